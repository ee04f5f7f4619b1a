"""What `gossip up` says at its end: each metric with its worst node and spread."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from node.app.run.processes import ProcessState
from node.app.run.run_folder import RunFolder, write_json
from node.cli.up import report


@pytest.fixture
def ended(tmp_path: Path) -> tuple[RunFolder, dict[str, ProcessState]]:
    run = RunFolder(tmp_path)
    for name, value in (("n0", 0.5), ("n1", 0.75)):
        write_json(run.node(name).result, {"node": name, "bytes_sent": 1, "metrics": {"common/f1": value}})
    return run, {name: ProcessState(phase="finished", pid=1, created=0.0) for name in ("n0", "n1", "n2")}


def test_metrics_come_with_the_worst_node(
    ended: tuple[RunFolder, dict[str, ProcessState]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(*ended, json=False) == 0

    lines = [" ".join(line.split()) for line in capsys.readouterr().err.splitlines()]
    assert "common/f1 mean 0.6250 worst 0.5000 (n0) spread 0.2500 deviation 0.1250" in lines


def test_the_document_has_them_too(
    ended: tuple[RunFolder, dict[str, ProcessState]], capsys: pytest.CaptureFixture[str]
) -> None:
    report(*ended, json=True)

    found = json.loads(capsys.readouterr().out)["metrics"]
    assert found["common/f1"] == {
        "mean": 0.625, "worst": 0.5, "worst_node": "n0", "spread": 0.25, "deviation": 0.125, "nodes": 2,
    }  # fmt: skip
