"""Scripts of one's own as processes: the example runs, and a script that fails lets go of the network."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from node.app.run.processes import state_of
from node.app.run.run_folder import RunFolder
from node.learn.model.base import embedded_folder
from tests.lab import ROOT, Running, free_ports

pytestmark = [pytest.mark.process, pytest.mark.slow]

FAILS = """\
import sys
from pathlib import Path
import transformers
from node import GossipCallback
from tests.learn import own

class Fails(transformers.TrainerCallback):
    def on_step_begin(self, *args, **said):
        raise RuntimeError("on purpose")

bert = Path(sys.argv[1])
callbacks = [Fails(), GossipCallback("pair.yaml", "n0", output_dir="run")]
own.make_trainer(own.make_model(bert), own.Rows(own.tokenizer_of(bert), 0, 2), Path("out"), callbacks=callbacks).train()
"""


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    nodes = {f"n{i}": f"127.0.0.1:{port}" for i, port in enumerate(free_ports(2))}
    (tmp_path / "pair.yaml").write_text(json.dumps({"nodes": nodes, "edges": [["n0", "n1"]]}))
    return tmp_path


@pytest.fixture
def started() -> Iterator[list[Running]]:
    commands: list[Running] = []
    yield commands
    for command in commands:
        command.close()


def run(lab: Path, *words: str) -> Running:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return Running([sys.executable, *words], lab, environment)


def test_two_scripts_of_the_example_agree(lab: Path, started: list[Running]) -> None:
    embedded_folder()
    words = ("--topology", "pair.yaml", "--steps", "2", "--every", "1", "--texts", "32")
    for node in ("n0", "n1"):
        started.append(run(lab, str(ROOT / "examples" / "own_trainer.py"), *words, "--node", node))

    done = [command.end(patience=300.0) for command in started]

    assert [d.code for d in done] == [0, 0], done[0].err + done[1].err
    assert "n0: accuracy 0." in done[0].out
    folder = RunFolder(lab / "runs" / "own")
    held = [load_file(folder.node(n).adapter / "adapter_model.safetensors") for n in ("n0", "n1")]
    assert max(float((held[0][name] - x).abs().max()) for name, x in held[1].items()) < 1e-5
    assert any(bool(x.any()) for name, x in held[0].items() if "lora_B" in name)  # they have learnt something
    assert not any(torch.isnan(x).any() for x in held[0].values())


def test_a_script_that_fails_ends_at_once_and_its_node_says_goodbye(
    lab: Path, model: Path, started: list[Running]
) -> None:
    (lab / "fails.py").write_text(FAILS)
    started.append(run(lab, "fails.py", str(model)))

    done = started[0].end(patience=120.0)

    assert done.code == 1
    assert "RuntimeError: on purpose" in done.err
    state = state_of(RunFolder(lab / "run").node("n0"))
    assert state is not None
    assert (state.phase, state.message) == ("stopped", "after round 0 of 6")
