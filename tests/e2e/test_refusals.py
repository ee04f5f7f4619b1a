"""A node that was started with other settings is refused at the hello; both ends say why; nobody waits for it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from safetensors.torch import load_file, save_file

from node.observe.records import read_records
from tests.e2e.conftest import MakeLab
from tests.lab import Lab

pytestmark = [pytest.mark.process, pytest.mark.slow]

OTHERS = {  # id -> (what it is started with, what both ends say differs)
    "n2": (("--set", "lora.r=4"), "adapter"),
    "n3": (("--set", "lora.alpha=8"), "adapter"),
    "n4": (("--set", "labels=[net, files, maths]"), "labels"),
    "n5": (("--set", "seed=1"), "initial"),
    "n6": (("--set", "base_model=./other"), "base_model"),
}
IDS = ("n0", "n1", *OTHERS)
WRONG = "wrong data"
STAR = tuple(("n0", leaf) for leaf in IDS[1:])


def other_weights(model: Path, folder: Path) -> None:
    """The same architecture and tokenizer, one weight changed."""
    shutil.copytree(model, folder)
    weights = load_file(folder / "model.safetensors")
    weights["encoder.layer.0.output.dense.bias"] += 1.0
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


class Star(NamedTuple):
    lab: Lab
    wrong: Lab  # of a node of another network, whose data is wrong
    codes: dict[str, int]
    said: dict[str, str]  # what each node wrote


@pytest.fixture(scope="module")
def star(make_lab: MakeLab) -> Star:
    """A hub, a leaf with its settings, and five with others; all ended."""
    lab = make_lab(STAR, IDS)
    other_weights(lab.path / "model", lab.path / "other")
    options = {peer: OTHERS[peer][0] if peer in OTHERS else () for peer in IDS}
    commands = {p: ["run", "--id", p, "--set", f"output_dir=run-{p}", *options[p]] for p in IDS}
    wrong = make_lab()
    wrong.write_data("n2", [("read the file", "files"), ("send it", "post")])
    commands["n1"].append("--json")
    commands[WRONG] = ["run", "--id", "n2", "-c", f"{wrong.path}/node.yaml", "--set", f"output_dir={wrong.run.path}"]
    done = lab.launch([sys.executable, "-m", "tests.e2e.warm", json.dumps(commands)]).end()
    assert done.code == 0, done.err
    return Star(lab, wrong, done.document, {p: (lab.path / f"{p}.err").read_text() for p in commands})


@pytest.mark.parametrize("peer", OTHERS)
def test_both_ends_say_what_differs(star: Star, peer: str) -> None:
    what = f"{OTHERS[peer][1]} differs: "
    assert f"{what}{peer} has " in star.said["n0"] or f"refused by {peer}: {what}n0 has " in star.said["n0"]
    assert f"{what}n0 has " in star.said[peer] or f"refused by n0: {what}{peer} has " in star.said[peer]


def test_nobody_waits_for_a_refused_neighbour(star: Star) -> None:
    assert star.codes == {**dict.fromkeys(IDS, 0), WRONG: 2}
    assert '"state": "finished"' in star.said["n1"]


def test_what_was_refused_is_not_mixed(star: Star) -> None:
    records = {peer: read_records(star.lab.path / f"run-{peer}" / peer / "records.jsonl") for peer in IDS}
    assert {r.contributions for peer in OTHERS for r in records[peer]} == {0}
    assert max(r.contributions for r in records["n0"]) == 1  # the leaf with the hub's settings
    assert {missing for r in records["n0"] for missing in r.missing} >= set(OTHERS)


def test_a_node_that_finds_its_data_wrong_says_so_and_leaves_nothing(star: Star) -> None:
    where = f"{star.wrong.path}/data/n2.jsonl:2"
    last = star.said[WRONG].splitlines()[-1]
    assert last == f"gossip: {where}: label 'post' is not listed under labels (files, net, maths)"
    assert "Traceback" not in star.said[WRONG]
    assert not star.wrong.run.path.exists()
