"""Four processes, one of which dies in the middle of a checkpoint and another whose disk is full for a moment."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from node.drivers.checkpoint import CheckpointStore
from tests.e2e.conftest import MakeLab
from tests.lab import Done, Lab

pytestmark = [pytest.mark.process, pytest.mark.slow]

UP = ("up", "--json", "--set", "gossip.rounds=8", "--set", "checkpoint_every=1")
SPEC = "n1/checkpoint.before-rename:kill@3,n2/checkpoint.mid-write:error@2,n2/checkpoint.before-fsync:error@4"


class Run(NamedTuple):
    lab: Lab
    done: Done

    def store(self, peer: str) -> CheckpointStore:
        return CheckpointStore(self.lab.run.node(peer).checkpoint)


@pytest.fixture(scope="module")
def run(make_lab: MakeLab) -> Run:
    lab = make_lab()
    return Run(lab, lab.gossip(*UP, GOSSIP_FAILPOINTS=SPEC))


def test_a_node_that_dies_before_the_rename_keeps_what_it_had_committed(run: Run) -> None:
    store = run.store("n1")
    saved = store.load()

    assert run.lab.phases()["n1"] == "failed"
    assert saved is not None
    assert (saved.epoch, saved.round, store.damaged) == (1, 2, 0)
    assert [path.name for path in run.lab.run.node("n1").checkpoint.glob("*.tmp")] == [
        "epoch-000001-round-00000003.ckpt.tmp"
    ]


def test_a_full_disk_fails_two_checkpoints_of_its_node_and_no_round(run: Run) -> None:
    failed = run.lab.log("n2").count("was not written: [Errno 28] No space left on device (failpoint checkpoint.")
    saved = run.store("n2").load()

    assert failed == 2
    assert saved is not None
    assert saved.round == 8


def test_the_others_finish(run: Run) -> None:
    assert run.done.code == 1  # of n1
    assert run.lab.phases() == {"n0": "finished", "n1": "failed", "n2": "finished", "n3": "finished"}


def test_the_armed_points_are_told_in_the_log_of_their_node_only(run: Run) -> None:
    told = {p: "failpoints armed" in run.lab.log(p) for p in run.lab.ids}

    assert told == {"n0": False, "n1": True, "n2": True, "n3": False}
