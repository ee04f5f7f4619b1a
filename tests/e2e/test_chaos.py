"""One plan of faults on four real processes: a kill, a pause, a partition and a broken connection; all of them end."""

from __future__ import annotations

import asyncio
import json

import psutil
import pytest

from node.app.auditing.audit import Report, audit
from node.app.launching.chaos import Chaos
from node.app.run.processes import ProcessState
from node.config import load_node_config, load_topology, set_values, write_yaml
from node.drivers.faults import Break, Faults, Kill, Partition, Pause
from node.observe.journal import Entry, read_journal
from node.types import PeerId
from tests.e2e.conftest import MakeLab
from tests.lab import RING, Lab, eventually

pytestmark = [pytest.mark.process, pytest.mark.slow]

N0, N1, N2, N3 = (PeerId(f"n{i}") for i in range(4))
PLAN = Faults(
    breaks=[Break(N2, N3, 0.5)],
    kill=[Kill(N1, 1.0, back_after=0.1)],
    pause=[Pause(N3, 6.0, 5.0)],
    partition=[Partition(frozenset({N0, N1}), 13.0, 22.0)],
)
SETTINGS = {
    "gossip.rounds": "130",
    "gossip.deadline.floor": "1",
    "gossip.deadline.ceiling": "3",
    "checkpoint_every": "1",
}


class Story:
    """What was done, and what is left of it."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        lab.run.path.mkdir()
        settings = set_values(load_node_config(lab.path / "node.yaml"), SETTINGS)
        write_yaml(lab.run.config, settings)
        lab.run.topology.write_text((lab.path / "topology.yaml").read_text())
        self.chaos = Chaos(lab.run, load_topology(lab.run.topology), PLAN, pace=0.25, patience=400)
        self.states: dict[PeerId, ProcessState] = asyncio.run(self.chaos.run())
        self.report: Report = audit(lab.run.path)

    def journal(self, peer: PeerId) -> list[Entry]:
        return list(read_journal(self.lab.run.node(peer).path))

    def done(self, what: str) -> float:
        return next(deed.time for deed in self.chaos.deeds if deed.what == what)

    def mixed_with(self, peer: PeerId, other: PeerId, start: float, end: float) -> list[int]:
        """Rounds of `peer` in this time that used something of `other`'s of the same round."""
        mixes = [e for e in self.journal(peer) if e.event == "mix" and start <= e.time <= end]
        return [e["round"] for e in mixes if e["staleness"].get(other) == 0]


@pytest.fixture(scope="module")
def story(make_lab: MakeLab) -> Story:
    return Story(make_lab(RING))


def test_all_nodes_finish(story: Story) -> None:
    assert {p: s.phase for p, s in story.states.items()} == dict.fromkeys(story.lab.ids, "finished")
    assert {p: s.epoch for p, s in story.states.items()} == {N0: 1, N1: 2, N2: 1, N3: 1}


def test_every_deed_of_the_plan_was_done(story: Story) -> None:
    assert [d.what for d in story.chaos.deeds] == ["break", "kill", "start", "pause", "continue", "cut", "heal"]


def test_the_audit_passes(story: Story) -> None:
    assert story.report.ok, json.dumps(story.report.document(), indent=1)
    states = {finding.check: finding.state for finding in story.report.findings}
    assert states["committed-not-lost"] == "passed"  # there was a restart to look at


def test_a_broken_connection_is_made_again(story: Story) -> None:
    assert any(e.event == "member" and e["peer"] == N3 and e["state"] == "suspect" for e in story.journal(N2))
    assert story.mixed_with(N2, N3, story.done("break") + 1.0, story.done("pause"))


def test_a_stopped_node_is_suspected_and_heard_again(story: Story) -> None:
    stopped, back = story.done("pause"), story.done("continue")
    for peer in (N0, N2):
        words = [e for e in story.journal(peer) if e.event == "member" and e["peer"] == N3]
        assert any(stopped < e.time < back and e["state"] == "suspect" for e in words), peer
        assert story.mixed_with(peer, N3, back, float("inf"))


def test_nothing_passes_between_the_parts_and_all_is_well_after(story: Story) -> None:
    cut, healed = story.done("cut"), story.done("heal")
    for peer, other in ((N1, N2), (N2, N1), (N0, N3), (N3, N0)):
        assert story.mixed_with(peer, other, cut + 1.0, healed) == [], (peer, other)
        assert story.mixed_with(peer, other, healed, float("inf")), (peer, other)
    assert story.mixed_with(N0, N1, cut + 1.0, healed)  # within a part they go on


def test_up_starts_a_killed_node_again_and_follows_it_to_the_end(make_lab: MakeLab) -> None:
    lab = make_lab(RING)
    up = lab.start("up", "--restart", "3", "--json", "--set", "gossip.rounds=1000000")
    lab.wait_for_round(3, up)
    psutil.Process(lab.pid("n2")).kill()
    eventually(lambda: lab.epoch("n2") == 2, "n2 is back", up)
    back = max(lab.round(p) for p in lab.ids)
    lab.wait_for_round(back + 5, up)
    down = lab.verb("down", "--run", "run", "--json")
    done = up.end()
    assert down.document == {"ended": list(lab.ids), "killed": []}
    assert done.code == 0, done.err
    assert {node["id"]: node["state"] for node in done.document["nodes"]} == dict.fromkeys(lab.ids, "stopped")
