"""Two nodes with other label sets share the LoRA part: real processes, four classes beside five."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from safetensors.torch import load_file

from node.observe.records import read_records
from tests.e2e.conftest import MakeLab
from tests.lab import Lab
from tests.learn import tiny

pytestmark = [pytest.mark.process, pytest.mark.slow]

LABELS = {"n0": ("read", "write", "open", "close"), "n1": ("socket", "send", "receive", "tree", "date")}
SHARED, LORA = 4 * 2 * 16, "bert.encoder.layer.2"  # entries of the factors, and where they are
FIRST, ALL = 3, 6  # rounds
OPTIONS = ("--set", "labels=labels/{id}.txt", "--set", "gossip.share=[all, '!classifier']", "--json")


class Runs(NamedTuple):
    lab: Lab
    check: dict[str, Any]
    tried: dict[str, Any]  # a node -> what `gossip try` says of a text
    refused: str


def adapter(lab: Lab, folder: str, peer: str) -> dict[str, Any]:
    found = load_file(Path(lab.path, folder, peer, "adapter", "adapter_model.safetensors"))
    return {name.removeprefix("base_model.model."): tensor for name, tensor in found.items()}


@pytest.fixture(scope="module")
def runs(make_lab: MakeLab) -> Runs:
    lab = make_lab((("n0", "n1"),), ("n0", "n1"))
    text = (lab.path / "node.yaml").read_text()
    (lab.path / "node.yaml").write_text(text.replace("labels: [files, net, maths]\n", ""))
    (lab.path / "labels").mkdir()
    for peer, labels in LABELS.items():
        (lab.path / "labels" / f"{peer}.txt").write_text("\n".join(labels) + "\n")
        lab.write_data(
            peer, [(f"{labels[i % len(labels)]} {text}", labels[i % len(labels)]) for i, (text, _) in rows()]
        )

    def up(folder: str, rounds: int) -> None:
        done = lab.gossip("up", "--set", f"output_dir={folder}", "--set", f"gossip.rounds={rounds}", *OPTIONS)
        assert done.code == 0, done.err
        assert [node["state"] for node in done.document["nodes"]] == ["finished"] * 2

    check = lab.verb("check", *OPTIONS)
    shared_head = lab.verb("check", "--set", "labels=labels/{id}.txt", "--json")
    for folder, rounds in (("unbroken", ALL), ("broken", FIRST), ("broken", ALL)):
        up(folder, rounds)
    tried = {p: lab.verb("try", "socket", "--run", "broken", "--node", p, "--json").document for p in lab.ids}
    return Runs(lab, check.document, tried, json.dumps(shared_head.document))


def rows() -> list[tuple[int, tuple[str, str]]]:
    return list(enumerate(tiny.texts(60)))


def test_both_learn_their_own_labels_and_test_on_their_own_texts(runs: Runs) -> None:
    for peer, labels in LABELS.items():
        result = json.loads(Path(runs.lab.path, "broken", peer, "result.json").read_text())
        assert len(result["classes"]) == len(labels)
        assert result["parameters"] == {"shared": SHARED, "private": 17 * len(labels), "frozen": 0}
        assert result["tested_on"] == "own"
        card = Path(runs.lab.path, "broken", peer, "adapter", "README.md").read_text()
        assert f"| private parameters | {17 * len(labels)} |" in card
        assert "accuracy on the node's own test set" in card
        assert set(runs.tried[peer]["labels"]) == set(labels)


def test_the_shared_part_is_mixed_and_the_heads_are_not(runs: Runs) -> None:
    a, b = (adapter(runs.lab, "unbroken", peer) for peer in runs.lab.ids)
    assert {name for name in a if a[name].shape != b[name].shape} == {"classifier.weight", "classifier.bias"}
    for name in (name for name in a if name.startswith(LORA)):
        assert float((a[name] - b[name]).norm()) < 1e-6 + 1e-4 * float(a[name].norm()), name
    records = read_records(Path(runs.lab.path, "unbroken", "n0", "records.jsonl"))
    assert {record.contributions for record in records} == {1}


def test_a_run_gone_on_with_keeps_its_private_parts(runs: Runs) -> None:
    for peer in runs.lab.ids:
        once, twice = (adapter(runs.lab, folder, peer) for folder in ("unbroken", "broken"))
        assert all((once[name] == twice[name]).all() for name in once)


def test_check_tells_what_is_private_and_why_a_shared_head_will_not_do(runs: Runs) -> None:
    assert runs.check["ok"]
    said = runs.check["checks"]["model and data of n1"]
    assert f"{SHARED} shared parameters, 85 private parameters (private: classifier.bias, classifier.weight)" in said
    assert "tested on the node's own test set" in said
    assert "labels: each node has its own, but all would have classifier.bias in common" in runs.refused
