"""One copy of the frozen base a machine: its weights stay pages of their file, whatever is trained beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from torch import Tensor

from node.learn.model.lora_settings import LoraSettings, Method
from node.learn.prepare import LearnSettings, open_model, prepare
from tests.learn.runs import run

SMAPS = Path("/proc/self/smaps")


@dataclass
class Region:
    """A range of this process's memory, as the kernel tells of it."""

    start: int
    stop: int
    path: str  # empty: no file
    copied: int = 0  # KiB that were written to, and so are this process's own


def _regions() -> Iterator[Region]:
    region = None
    for words in map(str.split, SMAPS.read_text().splitlines()):
        if not words[0].endswith(":"):
            if region is not None:
                yield region
            start, stop = (int(word, 16) for word in words[0].split("-"))
            region = Region(start, stop, words[5] if len(words) > 5 else "")
        elif words[0] == "Anonymous:" and region is not None:
            region.copied = int(words[1])
    if region is not None:
        yield region


def _region_of(tensor: Tensor, regions: list[Region]) -> Region:
    return next(r for r in regions if r.start <= tensor.data_ptr() < r.stop)


@pytest.mark.skipif(not SMAPS.exists(), reason="this kernel does not tell")
@pytest.mark.parametrize("method", ["lora", "ia3", "prompt", "bias", "head"])
def test_training_writes_to_no_page_of_the_weights_file(settings: LearnSettings, method: Method) -> None:
    settings = replace(settings, lora=LoraSettings(r=2, method=method, layers=(2,) if method == "lora" else None))
    base = open_model(settings)
    node = prepare(settings, base, peer="n0", index=0, nodes=2)
    end = run(node, 3)
    node.trainer.evaluate(node.trainer.whole(end))

    regions = list(_regions())
    weights = [p for name, p in base.model.named_parameters() if name not in base.fresh]
    frozen = [p for p in node.adapter.model.parameters() if not p.requires_grad and p.numel() > 3 * 16]

    held = [_region_of(p, regions) for p in (*weights, *frozen)]
    assert {(Path(r.path).name, r.copied) for r in held} == {("model.safetensors", 0)}
