"""A run that was ended and gone on with is the run that was not: real processes, real training, the same bits."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeLab
from tests.lab import Lab

pytestmark = [pytest.mark.process, pytest.mark.slow]

FIRST, ALL = 7, 15  # rounds


def adapters(lab: Lab, folder: str) -> dict[str, str]:
    """SHA-256 of every node's adapter."""
    found = {p: Path(lab.path, folder, p, "adapter", "adapter_model.safetensors") for p in lab.ids}
    return {p: hashlib.sha256(path.read_bytes()).hexdigest() for p, path in found.items()}


def test_a_run_gone_on_with_ends_with_the_bits_of_an_unbroken_one(make_lab: MakeLab) -> None:
    lab = make_lab((("n0", "n1"), ("n1", "n2"), ("n0", "n2")), ("n0", "n1", "n2"))
    common = ("--set", "lora.dropout=0.1", "--json")

    def up(folder: str, rounds: int) -> list[str]:
        done = lab.gossip("up", "--set", f"output_dir={folder}", "--set", f"gossip.rounds={rounds}", *common)
        assert done.code == 0, done.err
        return [node["state"] for node in done.document["nodes"]]

    assert up("unbroken", ALL) == ["finished"] * 3
    assert up("broken", FIRST) == ["finished"] * 3
    assert up("broken", ALL) == ["finished"] * 3

    assert adapters(lab, "broken") == adapters(lab, "unbroken")
    audit = lab.verb("audit", "broken", "--json")
    assert audit.code == 0, audit.out
    lost = next(check for check in audit.document["checks"] if check["check"] == "committed-not-lost")
    assert lost["facts"] > 0
