"""The power goes: every process of a run is killed at once, and the same command goes on where the disk stands.

Twice: in the middle of the rounds, and again while the nodes come up after that.
"""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from node.app.run.processes import running
from node.drivers.checkpoint import decode
from node.observe.distance import consensus_distance
from node.observe.records import read_records
from node.observe.sketch import from_bytes
from tests.e2e.conftest import MakeLab
from tests.lab import Lab, Running, eventually

pytestmark = [pytest.mark.process, pytest.mark.slow]

UP = ("up", "--json", "--set", "checkpoint_every=1", "--set")
NEVER = "gossip.rounds=1000000"
EARLY = 10  # rounds before the first cut, at least
MORE = 30  # rounds after the last cut


class Cut:
    """What the disks held when the power had gone."""

    def __init__(self, lab: Lab, up: Running) -> None:
        self.before = committed(lab)
        self.killed = kill_all(lab, up)
        self.after = committed(lab)
        self.records = {p: read_records(lab.run.node(p).records) for p in lab.ids}


class Story:
    """What was seen, in the order in which it happened."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        up = lab.start(*UP, NEVER, nice=True)
        lab.wait_for_round(EARLY, up)
        eventually(lambda: min(committed(lab).values(), default=0) >= EARLY, "checkpoints", up)
        self.first = Cut(lab, up)
        up = lab.start(*UP, NEVER, nice=True)
        eventually(lambda: all(lab.epoch(p) == 2 for p in lab.ids), "all have claimed an epoch", up)
        self.second = Cut(lab, up)
        self.rounds = max(self.second.after.values()) + MORE
        self.finished = lab.gossip(*UP, f"gossip.rounds={self.rounds}")
        self.records = {p: read_records(lab.run.node(p).records) for p in lab.ids}


def committed(lab: Lab) -> dict[str, int]:
    """Rounds done, as the newest whole file of each node says. Which file a node takes is what we are here to see."""
    return {peer: max(rounds) for peer in lab.ids if (rounds := checkpoints(lab.run.node(peer).checkpoint))}


def checkpoints(folder: Path) -> list[int]:
    """The round of every checkpoint; the node may be writing."""
    while True:
        try:
            return [decode(path.read_bytes()).round for path in folder.glob("*.ckpt")]
        except FileNotFoundError:  # two generations later, the file that we were about to read is gone
            continue


def kill_all(lab: Lab, up: Running) -> int:
    """SIGKILL to all nodes, the fork server and the command, with nothing between; how many were alive."""
    folders = [lab.run.server, *(lab.run.node(p) for p in lab.ids)]
    processes = [process for folder in folders if (process := running(folder)) is not None]
    for pid in (up.process.pid, *(process.pid for process in processes)):
        os.kill(pid, signal.SIGKILL)
    up.end()
    eventually(lambda: all(running(folder) is None for folder in folders), "the end of all")
    return 1 + len(processes)


@pytest.fixture(scope="module")
def story(make_lab: MakeLab) -> Story:
    return Story(make_lab())


def resumed(lab: Lab, peer: str, epoch: int) -> int:
    """The round at which a start of `peer` began, as its log says."""
    said = re.findall(rf"{peer}: epoch {epoch}, round (\d+) of ", lab.log(peer))
    return int(said[0]) if said else -1


def test_six_processes_were_killed_each_time(story: Story) -> None:
    assert [cut.killed for cut in (story.first, story.second)] == [6, 6]


def test_nothing_that_was_committed_is_lost(story: Story) -> None:
    for cut in (story.first, story.second):
        assert set(cut.before) == set(cut.after) == set(story.lab.ids)
        for peer in story.lab.ids:
            assert cut.after[peer] >= cut.before[peer] >= EARLY
    assert all(story.second.after[p] >= story.first.after[p] for p in story.lab.ids)


def test_each_node_goes_on_from_its_newest_checkpoint(story: Story) -> None:
    assert {p: resumed(story.lab, p, 3) for p in story.lab.ids} == story.second.after
    for peer in story.lab.ids:  # -1: the second cut came before it had said so
        assert resumed(story.lab, peer, 2) in (story.first.after[peer], -1)


def test_committed_rounds_are_not_done_again(story: Story) -> None:
    """Each line of the records before the checkpoint stands as it was written before the cut."""
    for peer in story.lab.ids:
        kept = tuple(r for r in story.second.records[peer] if r.round < story.second.after[peer])
        assert tuple(r for r in story.records[peer] if r.round < story.second.after[peer]) == kept
        assert [r.round for r in kept] == sorted({r.round for r in kept})
        assert kept[0].round == 0


def test_the_same_command_ends_the_run(story: Story) -> None:
    assert story.finished.code == 0, story.finished.err
    assert {n["id"]: n["state"] for n in story.finished.document["nodes"]} == dict.fromkeys(story.lab.ids, "finished")
    assert {p: story.lab.epoch(p) for p in story.lab.ids} == dict.fromkeys(story.lab.ids, 3)
    assert {p: story.records[p][-1].round for p in story.lab.ids} == dict.fromkeys(story.lab.ids, story.rounds - 1)
    assert {p: story.records[p][-1].missing for p in story.lab.ids} == dict.fromkeys(story.lab.ids, ())


def test_the_nodes_end_closer_than_they_began(story: Story) -> None:
    start = consensus_distance([from_bytes(r[0].before) for r in story.records.values()])
    end = consensus_distance([from_bytes(r[-1].after) for r in story.records.values()])
    assert end < 0.5 * start
