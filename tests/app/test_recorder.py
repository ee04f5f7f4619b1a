"""A round that is over is recorded; a disk that is full costs its record and nothing else."""

from __future__ import annotations

from pathlib import Path

import torch

from node.app.recorder import Recorder
from node.app.warm import Warm
from node.config import NodeConfig, load_topology
from node.core.events import Mixed
from node.drivers.grpc import RoundReport
from node.observe.records import read_records
from tests.conftest import fill

ROOT = Path(__file__).resolve().parent.parent.parent


def recorder(path: Path) -> Recorder:
    warm = Warm(NodeConfig(), load_topology(ROOT / "topology" / "ring-4.yaml"), None, None, None)
    return Recorder(path, torch.zeros(8), warm)


def report(round: int) -> RoundReport:
    shared = {"theta": torch.full((8,), float(round))}
    mixed = Mixed(round, shared, shared, {"loss": 0.5}, {}, (), contributions=2)
    return RoundReport(mixed, 0.1, 0.2, 10, 20)


def test_rounds_are_recorded_in_the_file_and_in_memory(tmp_path: Path) -> None:
    with recorder(tmp_path / "records.jsonl") as notes:
        for round in range(3):
            notes.note(report(round))

    assert [r.round for r in read_records(tmp_path / "records.jsonl")] == [0, 1, 2]
    assert [r.round for r in notes.newest] == [0, 1, 2]
    assert notes.counters == {}


def test_a_full_disk_costs_records_and_no_round(small_disk: Path) -> None:
    path = small_disk / "records.jsonl"
    with recorder(path) as notes:
        notes.note(report(0))
        other = fill(small_disk)
        for round in (1, 2, 3, 4):  # what is left of the last block takes some of it
            notes.note(report(round))
        other.unlink()
        notes.note(report(5))

    recorded = [r.round for r in read_records(path)]
    assert recorded[0] == 0
    assert recorded[-1] == 5
    assert 1 <= notes.counters["records"] <= 4
    assert [r.round for r in notes.newest] == [0, 1, 2, 3, 4, 5]
