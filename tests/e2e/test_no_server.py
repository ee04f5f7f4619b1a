"""Nobody is needed but the nodes: launcher, fork server and monitor are killed in mid-run, and all nodes finish."""

from __future__ import annotations

import signal
import sys

import psutil
import pytest

from node.app.run.processes import running
from node.observe.records import read_records
from tests.e2e.conftest import MakeLab
from tests.lab import ROOT, eventually

pytestmark = [pytest.mark.process, pytest.mark.slow]

ROUNDS = 150


def test_all_nodes_finish_when_launcher_fork_server_and_monitor_are_killed(make_lab: MakeLab) -> None:
    lab = make_lab()
    up = lab.start("up", "--set", f"gossip.rounds={ROUNDS}")
    monitor = lab.launch([sys.executable, str(ROOT / "monitor.py"), lab.address("n1"), "--timeout", "100"])
    eventually(lambda: min(lab.round(p) for p in lab.ids) >= 2, "round 2", up)
    server = running(lab.run.server)
    assert server is not None

    server.kill()
    up.kill()
    monitor.kill()
    killed_at = max(lab.round(p) for p in lab.ids)

    assert killed_at < ROUNDS - 1, "the run was over before the kill"
    assert lab.wait_for_end() == dict.fromkeys(lab.ids, "finished")
    assert [command.end().code for command in (up, monitor)] == [-signal.SIGKILL] * 2
    for peer in lab.ids:
        assert lab.result(peer)["rounds"] == ROUNDS
        assert lab.result(peer)["bytes_sent"] >= lab.result(peer)["ideal_bytes"] > 0
        neighbours = {r.contributions for r in read_records(lab.run.node(peer).records)}
        assert neighbours == {2}, "all went on mixing to the end"
    assert not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in [server])
