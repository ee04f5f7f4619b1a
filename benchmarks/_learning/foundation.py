"""A foundation model as a starting point: MiniLM against the same architecture with random weights.

After Tan et al. 2023 (arXiv:2306.15546), who ask what a pretrained start saves in federated rounds. The same parameters
are trained in both (LoRA on the last layer, and the head); the frozen layers below differ. Ring of 16, the default.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import torch
from _figures import Figure

from _learning.network import BY_CLASS, IID, Result, Setting, run
from _learning.tables import NOT_THERE, networks, seeds, several
from node.learn.model.base import embedded_folder
from node.learn.model.libraries import transformers

LEVELS = (0.5, 0.8)  # accuracy


def rows(quick: bool) -> list[Figure]:
    skews = {"one class a node": BY_CLASS} if quick else {"IID": IID, "one class a node": BY_CLASS}
    base = Setting(nodes=8, rounds=4, data="few16") if quick else Setting(rounds=20)
    figures: list[Figure] = []
    for skew, partition in skews.items():
        for name, model in (("pretrained", "minilm"), ("random", random_weights())):
            settings = [replace(base, partition=partition, base=model, seed=s) for s in seeds(quick)]
            results = [run(s, watch=2, asked=1) for s in settings]
            figures += networks(f"foundation, ring of {base.nodes}, {skew}: {name} weights", results)
            figures += [
                _rounds(f"foundation, ring of {base.nodes}, {skew}: {name} weights", results, at, base) for at in LEVELS
            ]
    return figures


def _rounds(head: str, results: Sequence[Result], level: float, setting: Setting) -> Figure:
    found = [r.rounds_to(level) for r in results]
    if max(found) > setting.rounds:
        return Figure(f"{head}: rounds to {level:.0%}", setting.rounds, f"rounds{NOT_THERE}")
    return several(f"{head}: rounds to {level:.0%}", found, "rounds")


@lru_cache
def random_weights() -> str:
    """A folder with MiniLM's architecture and tokenizer, and weights as a fresh model has them."""
    source = embedded_folder()
    place = Path(tempfile.gettempdir()) / f"gossip-learning-{os.getuid()}" / f"random-minilm-{os.getpid()}"
    torch.manual_seed(0)
    config = transformers.AutoConfig.from_pretrained(source)
    transformers.AutoModel.from_config(config).save_pretrained(place)
    transformers.AutoTokenizer.from_pretrained(source).save_pretrained(place)
    return str(place)
