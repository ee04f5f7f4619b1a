"""Two hosts, one of which can only dial out: a public one with node a, one behind a firewall with node b.

They meet, lose the link between them, go on alone, meet again, are stopped, go on and end. All in one story.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from node.app.launching.launcher import newest_record
from node.app.run.processes import state_of
from node.drivers.checkpoint import CheckpointStore
from node.observe.records import RoundRecord
from tests.e2e.conftest import MakeLab
from tests.lab import Done, eventually
from tests.namespaces import Cable, Host, NotHere

pytestmark = [pytest.mark.process, pytest.mark.slow]

PORT = 7001
TOPOLOGY = {"nodes": {"a": f"10.77.0.1:{PORT}", "b": None}, "edges": [["a", "b"]]}
NEVER = "gossip.rounds=1000000"
KNOCK = f"import socket; socket.create_connection(('10.77.0.2', {PORT}), timeout=1)"


class Story:
    """What was seen, in the order in which it happened."""

    def __init__(self, cable: Cable) -> None:
        self.a, self.b = cable.a, cable.b
        self._meet()
        self._lose_the_link()
        self._stop()
        self._end()

    def _start(self, rounds: str) -> None:
        run = ("--set", rounds, "--set", "checkpoint_every=1", "--json")
        self.commands = [host.start("run", "--id", peer, *run) for host, peer in ((self.a, "a"), (self.b, "b"))]

    def _meet(self) -> None:
        self.check = self.b.gossip("check", "--id", "b", "--json")
        self._start(NEVER)
        self._until(lambda record: record.contributions == 1 and record.round >= 5, "both mix")
        self.connections_of_b = self.b.connections(self.b.lab.pid("b"))
        self.connections_of_a = self.a.connections(self.a.lab.pid("a"))
        self.address_of_b = state_of(self.b.lab.run.node("b")).address  # type: ignore[union-attr]
        self.seen_from_a = self.a.gossip("members", f"10.77.0.1:{PORT}", "--json")
        self.seen_from_b = self.b.gossip("members", "--run", "run", "--json")
        self.health_of_b = self.b.gossip("health", self.address_of_b)
        self.top_of_b = self.b.gossip("top", self.address_of_b, "--once", "--json")

    def _lose_the_link(self) -> None:
        self.b.plug(into=False)
        self._until(lambda record: bool(record.missing), "each goes on alone")
        alone = {host.name: self._record(host, peer).round for host, peer in self._both()}
        self._until(
            lambda record: bool(record.missing) and record.round >= max(alone.values()) + 10, "ten rounds alone"
        )
        self.seen_without_b = self.a.gossip("members", f"10.77.0.1:{PORT}", "--json")
        self.b.plug(into=True)
        self._until(lambda record: record.contributions == 1, "they meet again")
        self.rounds_when_back = self._rounds()
        self._until(
            lambda r: r.contributions == 1 and r.round >= max(self.rounds_when_back) + 10, "ten rounds together"
        )

    def _stop(self) -> None:
        for command in self.commands:
            command.ctrl_c()
        self.stopped = [command.end() for command in self.commands]

    def _end(self) -> None:
        self.rounds = max(self._rounds()) + 30
        self._start(f"gossip.rounds={self.rounds}")
        self.finished = [command.end() for command in self.commands]
        saved = [CheckpointStore(host.lab.run.node(peer).checkpoint).load() for host, peer in self._both()]
        self.final = [s.shared["theta"] for s in saved if s is not None]
        self.last = [self._record(host, peer) for host, peer in self._both()]

    # ---- looking
    def _both(self) -> tuple[tuple[Host, str], ...]:
        return (self.a, "a"), (self.b, "b")

    def _record(self, host: Host, peer: str) -> RoundRecord:
        record = newest_record(host.lab.run.node(peer).records)
        assert record is not None
        return record

    def _rounds(self) -> list[int]:
        return [self._record(host, peer).round for host, peer in self._both()]

    def _until(self, holds: Any, what: str) -> None:
        """`holds` of the newest record of each node, at one time or another."""
        for (host, peer), command in zip(self._both(), self.commands, strict=True):
            path = host.lab.run.node(peer).records
            eventually(
                lambda path=path: (r := newest_record(path)) is not None and holds(r), f"{what}: {peer}", command
            )


@pytest.fixture(scope="module")
def cable(make_lab: MakeLab) -> Iterator[Cable]:
    labs = [make_lab((("a", "b"),), ("a", "b")) for _ in range(2)]  # a disk each
    for lab in labs:
        (lab.path / "topology.yaml").write_text(json.dumps(TOPOLOGY))
    try:
        made = Cable(*labs)
    except NotHere as why:
        pytest.skip(str(why))
    yield made
    made.close()


@pytest.fixture(scope="module")
def story(cable: Cable) -> Story:
    return Story(cable)


def row(done: Done, peer: str) -> dict[str, Any]:
    assert done.code == 0, done.err
    return next(node for node in done.document["nodes"] if node["id"] == peer)


def test_nobody_can_open_a_connection_to_b(cable: Cable) -> None:
    """The test's own premise: a knock at its door is not even answered."""
    with pytest.raises(subprocess.CalledProcessError) as knocked:
        cable.a.run(sys.executable, "-c", KNOCK)
    assert "TimeoutError" in knocked.value.stderr


def test_check_on_b_says_who_dials(story: Story) -> None:
    checks = story.check.document["checks"]
    assert checks["dialling"] == "ok: b dials a, and is dialled by nobody"
    assert checks["neighbours"] == "ok: not up yet: a"
    assert checks["ports"] == "ok"


def test_b_dials_although_its_id_is_the_larger(story: Story) -> None:
    """One connection, from a free port of b to the port of a."""
    ((free, port),) = story.connections_of_b
    assert port == PORT
    assert story.connections_of_a == {(PORT, free)}


def test_who_cannot_dial_b_sees_what_its_neighbour_says(story: Story) -> None:
    b = row(story.seen_from_a, "b")
    assert (b["address"], b["seen_by"], b["state"]) == (None, ["a"], "alive")
    assert b["round"] >= 5
    assert row(story.seen_from_a, "a")["state"] in ("training", "exchanging")


def test_on_its_own_host_b_answers_and_all_is_seen(story: Story) -> None:
    assert story.address_of_b.startswith("127.0.0.1:")
    assert row(story.seen_from_b, "b")["address"] == story.address_of_b
    assert {row(story.seen_from_b, peer)["state"] for peer in "ab"} <= {"training", "exchanging"}
    assert (story.health_of_b.code, "SERVING" in story.health_of_b.err) == (0, True)
    assert story.top_of_b.document["counted"] == ["a", "b"]
    assert story.top_of_b.document["consensus_distance"] is not None


def test_without_a_link_both_go_on_and_a_does_not_call_b_alive(story: Story) -> None:
    assert row(story.seen_without_b, "b")["state"] in ("down", "suspect", "dead")


def test_when_the_link_is_back_they_mix_again(story: Story) -> None:
    assert [done.code for done in story.stopped] == [0, 0]
    for done in story.stopped:
        assert done.document["nodes"][0]["state"] == "stopped"


def test_they_end_with_equal_adapters(story: Story) -> None:
    assert [done.code for done in story.finished] == [0, 0], story.finished[0].err + story.finished[1].err
    assert [(last.round, last.missing) for last in story.last] == [(story.rounds - 1, ())] * 2
    a, b = story.final
    assert float((a - b).abs().max()) <= 1e-5 * float(a.abs().max())
    assert bool(torch.isfinite(a).all())
