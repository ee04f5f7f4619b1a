"""The life of one network of four processes on a ring with a chord.

It is watched while it runs; a node is killed and comes back; the network is taken down, goes on, is interrupted in the
middle of a step, goes on again and ends. All in one folder and one story, since each start takes seconds.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import psutil
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification

from node.drivers.checkpoint import CheckpointStore
from node.observe.distance import consensus_distance
from node.observe.records import RoundRecord, read_records
from node.observe.sketch import from_bytes
from tests.e2e.conftest import MakeLab
from tests.lab import RING, ROOT, Done, Lab, eventually, settled
from tests.learn.tiny import LABELS

pytestmark = [pytest.mark.process, pytest.mark.slow]

CHORD = (*RING, ("n0", "n2"))
NEVER = ("up", "--json", "--set", "gossip.rounds=1000000")  # no machine is so fast that this ends before we look
LONG_STEP = ("--set", "train.local_steps=100000")  # minutes


class Life:
    """What was seen, in the order in which it happened."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._is_watched()
        self._loses_n2_and_gets_it_back()
        self._is_taken_down()
        self._is_interrupted_in_a_step()
        self._ends()

    def _is_watched(self) -> None:
        self.up = self.lab.start(*NEVER, nice=True)
        self.lab.wait_for_round(3, self.up)
        address = self.lab.address("n0")
        self.sockets = settled(lambda: dials(self.lab), sorted(CHORD))
        self.members = self.lab.verb("members", self.lab.address("n3"), "--json")
        self.health = self.lab.verb("health", address)
        self.top = self.lab.verb("top", address, "--once", "--json")
        monitor = (sys.executable, str(ROOT / "monitor.py"))
        self.near = self.lab.launch([*monitor, address, "--until-distance", "10", "--timeout", "100"]).end()
        self.too_near = self.lab.verb("top", address, "--until-distance", "1e-9", "--timeout", "0.1")
        self.log = self.lab.verb("logs", "n2", "--run", "run", "-n", "0")
        self.twice = self.lab.verb(*NEVER)

    def _loses_n2_and_gets_it_back(self) -> None:
        psutil.Process(self.lab.pid("n2")).kill()
        others = ("n0", "n1", "n3")
        lost = max(self.lab.round(p) for p in others)
        self.lab.wait_for_round(lost + 10, self.up, others)
        self.members_without_n2 = self.lab.verb("members", address := self.lab.address("n0"), "--json")
        self.up_again = self.lab.start(*NEVER)
        eventually(lambda: self.lab.epoch("n2") == 2, "n2 is back", self.up_again)
        self.round_when_back = max(self.lab.round(p) for p in others)
        self.lab.wait_for_round(self.round_when_back + 10, self.up)  # all four: n2 has caught up
        self.members_with_n2 = self.lab.verb("members", address, "--json")
        self.records_of_n0 = read_records(self.lab.run.node("n0").records)

    def _is_taken_down(self) -> None:
        self.down = self.lab.verb("down", "--run", "run", "--json")
        self.ups = [self.up.end(), self.up_again.end()]
        self.rounds_when_down = checkpointed(self.lab)
        self.records_when_down = records(self.lab)

    def _is_interrupted_in_a_step(self) -> None:
        up = self.lab.start(*NEVER, *LONG_STEP, nice=True)
        eventually(lambda: self.lab.states() == {"training"}, "all four in a step", up)
        before = time.monotonic()
        up.ctrl_c()
        self.interrupted = up.end()
        self.seconds_to_end = time.monotonic() - before
        self.rounds_when_interrupted = checkpointed(self.lab)

    def _ends(self) -> None:
        self.rounds = max(self.rounds_when_down.values()) + 20
        self.finished = self.lab.gossip("up", "--json", "--set", f"gossip.rounds={self.rounds}")
        self.records = records(self.lab)


@pytest.fixture(scope="module")
def life(make_lab: MakeLab) -> Life:
    return Life(make_lab(CHORD))


def dials(lab: Lab) -> list[tuple[str, str]]:
    """(who dialled, whom) of every connection that stands between two nodes, once each."""
    peers = {port: peer for peer, port in lab.ports.items()}
    pids = {lab.pid(peer): peer for peer in lab.ids}
    standing = [c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_ESTABLISHED and c.pid in pids]
    return sorted((pids[c.pid], peers[c.raddr.port]) for c in standing if c.raddr and c.raddr.port in peers)


def checkpointed(lab: Lab) -> dict[str, int]:
    """Rounds done, as the checkpoints say."""
    saved = {p: CheckpointStore(lab.run.node(p).checkpoint).load() for p in lab.ids}
    return {p: s.round for p, s in saved.items() if s is not None}


def records(lab: Lab) -> dict[str, tuple[RoundRecord, ...]]:
    return {p: read_records(lab.run.node(p).records) for p in lab.ids}


def states_of(done: Done) -> dict[str, str]:
    return {node["id"]: node["state"] for node in done.document["nodes"]}


def row(done: Done, peer: str) -> dict[str, Any]:
    return next(node for node in done.document["nodes"] if node["id"] == peer)


# ---- watched
def test_sockets_stand_on_the_edges_of_the_topology_only(life: Life) -> None:
    assert life.sockets == sorted(CHORD)  # once each, and the smaller id has dialled


def test_a_chord_gives_its_ends_a_third_contribution(life: Life) -> None:
    whole = {p: [r for r in life.records[p] if r.round < 3] for p in life.lab.ids}
    assert {p: {r.contributions for r in whole[p]} for p in whole} == {"n0": {3}, "n1": {2}, "n2": {3}, "n3": {2}}


def test_any_node_names_all_members(life: Life) -> None:
    assert life.members.code == 0, life.members.err
    assert [n["id"] for n in life.members.document["nodes"]] == list(life.lab.ids)
    for node in life.members.document["nodes"]:
        assert node["state"] in ("training", "exchanging")
        assert (node["incarnation"], node["address"]) == (1, life.lab.address(node["id"]))
        assert node["round"] >= 3


def test_a_running_node_is_healthy(life: Life) -> None:
    assert (life.health.code, life.health.out) == (0, "")
    assert "SERVING" in life.health.err


def test_a_monitor_sees_four_nodes_and_their_distance(life: Life) -> None:
    assert life.top.code == 0, life.top.err
    assert len(life.top.document["nodes"]) == 4
    assert life.top.document["consensus_distance"] > 0.0


def test_a_monitor_waits_for_a_distance_or_says_that_it_was_not_reached(life: Life) -> None:
    assert life.near.code == 0, life.near.err
    assert life.too_near.code == 1
    assert "wanted 1.00e-09 among all 4 nodes" in life.too_near.err


def test_the_log_of_a_node_can_be_read(life: Life) -> None:
    assert life.log.code == 0
    assert "n2: epoch 1, round 0 of 1000000" in life.log.out


def test_a_second_start_is_refused_while_all_nodes_run(life: Life) -> None:
    assert life.twice.code == 2
    assert "all nodes run already" in life.twice.err


# ---- killed
def test_neighbours_go_on_without_a_killed_node(life: Life) -> None:
    assert row(life.members_without_n2, "n2")["state"] == "down"
    alone = [r for r in life.records_of_n0 if "n2" in r.missing]
    assert len(alone) >= 5
    assert {r.contributions for r in alone} <= {1, 2}  # n1 and n3 were there, but for rounds in which they restarted


def test_a_killed_node_comes_back_and_catches_up(life: Life) -> None:
    back = row(life.members_with_n2, "n2")
    assert back["incarnation"] == 2
    assert back["state"] in ("training", "exchanging")
    assert back["round"] >= life.round_when_back + 10
    assert 3 in {r.contributions for r in life.records_of_n0 if r.round > life.round_when_back}
    assert "n2: epoch 2, round " in life.lab.log("n2")
    assert "n2: epoch 2, round 0 " not in life.lab.log("n2"), "it did not resume from its checkpoint"


# ---- taken down
def test_down_ends_all_nodes_and_the_commands_that_follow_them(life: Life) -> None:
    assert life.down.document == {"ended": list(life.lab.ids), "killed": []}
    assert [done.code for done in life.ups] == [0, 0]
    assert states_of(life.ups[0]) == dict.fromkeys(life.lab.ids, "stopped")
    assert states_of(life.ups[1]) == {"n2": "stopped"}


def test_a_stopped_node_has_a_checkpoint_of_its_last_round(life: Life) -> None:
    assert life.rounds_when_down == {p: r[-1].round + 1 for p, r in life.records_when_down.items()}


# ---- interrupted
def test_ctrl_c_in_the_middle_of_a_step_ends_all_nodes_with_a_checkpoint(life: Life) -> None:
    assert life.interrupted.code == 0, life.interrupted.err
    assert states_of(life.interrupted) == dict.fromkeys(life.lab.ids, "stopped")
    assert life.seconds_to_end < 30
    assert "was given up: Interrupted" in life.lab.log("n0")
    for peer in life.lab.ids:  # not a round more than before, but for one that a node had missed
        assert 0 <= life.rounds_when_interrupted[peer] - life.rounds_when_down[peer] <= 1


# ---- ended
def test_started_again_the_network_goes_on_and_finishes(life: Life) -> None:
    assert life.finished.code == 0, life.finished.err
    assert states_of(life.finished) == dict.fromkeys(life.lab.ids, "finished")
    assert {p: life.lab.epoch(p) for p in life.lab.ids} == {"n0": 3, "n1": 3, "n2": 4, "n3": 3}


def test_every_round_stands_in_the_records_once_and_in_order(life: Life) -> None:
    for peer in ("n0", "n1", "n3"):
        lines = life.lab.run.node(peer).records.read_text().splitlines()
        rounds = [record.round for record in life.records[peer]]
        assert len(lines) == len(rounds), "a round that was mixed and kept was done again"
        assert (rounds[0], rounds[-1]) == (0, life.rounds - 1)
        # Who is behind when the network stops skips, when it is back, to where its neighbours are; so when one dies.
        stopped = life.rounds_when_down.values()
        assert life.rounds - len(rounds) <= max(stopped) - min(stopped) + 5


def test_the_report_says_what_each_node_came_to(life: Life) -> None:
    for node in life.finished.document["nodes"]:
        assert node["result"] == life.lab.result(node["id"])
        assert node["result"]["rounds"] == life.rounds
        assert 0.0 <= node["result"]["accuracy"] <= 1.0
        assert node["result"]["bytes_sent"] > 0
        assert node["result"]["memory"]["peak_rss"] > 1_000_000  # bytes


def test_the_nodes_end_closer_than_they_began(life: Life) -> None:
    start = consensus_distance([from_bytes(r[0].before) for r in life.records.values()])
    end = consensus_distance([from_bytes(r[-1].after) for r in life.records.values()])
    assert end < 0.5 * start


def test_a_node_leaves_a_card_beside_its_adapter(life: Life) -> None:
    for peer in life.lab.ids:
        card = (life.lab.run.node(peer).adapter / "README.md").read_text()
        assert "PeftModel.from_pretrained" in card
        assert f"node {peer} of a gossip network" in card


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
def test_peft_loads_the_adapter_with_the_bits_of_the_checkpoint(life: Life) -> None:
    for peer in life.lab.ids:
        saved = CheckpointStore(life.lab.run.node(peer).checkpoint).load()
        assert saved is not None
        base = AutoModelForSequenceClassification.from_pretrained(life.lab.path / "model", num_labels=len(LABELS))
        model = PeftModel.from_pretrained(base, str(life.lab.run.node(peer).adapter))
        loaded = {n: p.detach() for n, p in model.named_parameters() if "lora_" in n or "modules_to_save" in n}
        flat = torch.cat([loaded[name].flatten() for name in sorted(loaded)])
        assert torch.equal(flat.sort().values, saved.shared["theta"].sort().values)


def test_the_adapter_answers(life: Life) -> None:
    done = life.lab.verb("try", "open the file", "--run", "run", "--node", "n2", "--json")
    assert done.code == 0, done.err
    assert set(done.document["labels"]) == set(LABELS)
    assert sum(done.document["labels"].values()) == pytest.approx(1.0, abs=1e-5)
