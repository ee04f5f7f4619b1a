"""What the monitor concludes from answers; no sockets."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from node.monitor.network import HISTORY, Network, to_document
from node.monitor.view import lines
from node.observe.status import Member
from tests.monitor.ring import IDS, PREDICTED, ROUNDS, W, addresses, histories, record, status


def told(*statuses, now=0.0):
    network = Network()
    for each in statuses:
        network.heard(each, now)
    return network


def at_rounds(*rounds, **kwargs):
    """A network in which node i has done rounds[i] rounds."""
    records = histories()
    return told(*(status(i, records[i][:r], **kwargs) for i, r in enumerate(rounds)))


def test_three_vectors_by_hand():
    """After mixing x = (0, 3, 6) e_1: mean 3, distances 1, 0, 1, consensus distance sqrt(6) / 3. Before: (-3, 3, 9)."""
    one = np.zeros(10)
    one[0] = 1.0
    view = told(*(status(i, [record(0, (6 * i - 3) * one, 3 * i * one)]) for i in range(3))).view(0.0)
    assert view.consensus_distance == pytest.approx(math.sqrt(6) / 3)
    assert [row.distance for row in view.nodes] == [pytest.approx(1), pytest.approx(0), pytest.approx(1), None]
    assert view.measured_contraction == pytest.approx(0.5)


def test_three_products_by_hand_and_none_where_one_node_shows_none():
    """Products 0, 3 and 6 in one direction, whatever the parameters do: mean 3, distances 1, 0, 1."""
    zero = np.zeros(10)
    said = [dataclasses.replace(record(0, zero, zero), product=np.float32([3 * i, 0]).tobytes()) for i in range(3)]
    network = told(*(status(i, [said[i]]) for i in range(3)))
    assert network.view(0.0).product_distance == pytest.approx(math.sqrt(6) / 3)
    assert to_document(network.view(0.0))["product_distance"] == pytest.approx(math.sqrt(6) / 3)
    said[1] = dataclasses.replace(said[1], product=b"")
    assert told(*(status(i, [said[i]]) for i in range(3))).view(0.0).product_distance is None


def test_only_equal_rounds_are_compared():
    view = at_rounds(3, 4, 5, 4).view(0.0)
    same = at_rounds(3, 3, 3, 3).view(0.0)
    assert view.round == 2
    assert view.consensus_distance == same.consensus_distance


def test_no_distance_without_a_common_round():
    records = histories()
    view = told(status(0, records[0][:2]), status(1, records[1][5:7])).view(0.0)
    assert view.round is None
    assert view.consensus_distance is None
    assert view.verdict == "waiting"


def test_one_node_alone_has_no_consensus_distance():
    assert at_rounds(3).view(0.0).consensus_distance is None


def test_a_ring_that_mixes_by_its_w_is_healthy():
    view = at_rounds(10, 10, 10, 10).view(0.0)
    assert view.measured_contraction == pytest.approx(PREDICTED, abs=1e-4)
    assert view.verdict == "healthy"


def test_a_ring_with_a_cut_edge_is_slower_than_predicted():
    path = W.copy()
    path[0, 3] = path[3, 0] = 0.0
    path[0, 0] = path[3, 3] = 2 / 3
    records = histories(w=path)
    view = told(*(status(i, records[i]) for i in range(4))).view(0.0)
    assert view.verdict == "slower than predicted"


def test_a_dead_node_is_left_out_of_the_distance_and_named():
    network = at_rounds(6, 6, 6, 6)
    network.lost(IDS[3], "127.0.0.1:7003: no connection")
    view = network.view(5.0)
    assert view.counted == IDS[:3]
    assert view.nodes[3].state == "down"
    assert view.nodes[3].distance is None
    assert view.nodes[3].age_s == 5.0
    assert "n3 does not answer: 127.0.0.1:7003: no connection" in view.warnings


def test_a_distance_among_some_is_not_a_distance_among_all():
    network = at_rounds(12, 12, 12, 12)
    assert network.view(0.0).within(1e-2)
    network.lost(IDS[3], "gone")
    view = network.view(0.0)
    assert view.consensus_distance < 1e-2
    assert not view.within(1e-2)


@pytest.mark.parametrize(
    ("neighbour_says", "heard_before", "state"),
    [
        ("unknown", False, "unknown"),
        ("down", False, "down"),
        ("refused", False, "refused"),
        ("alive", False, "unreachable"),
        ("alive", True, "unreachable"),
        ("unknown", True, "down"),
        ("finished", True, "finished"),
    ],
)
def test_the_state_of_a_silent_node(neighbour_says, heard_before, state):
    member = Member(id=IDS[1], address="", state=neighbour_says, incarnation=3, round=7, age_s=1.5)
    network = told(status(0, [], members=(member,)))
    if heard_before:
        network.heard(status(1, []), 0.0)
    network.lost(IDS[1], "no connection")
    row = network.view(9.0).nodes[1]
    assert row.state == state
    assert row.age_s == 1.5


def test_what_neighbours_heard_fills_in_for_a_node_that_we_never_reached():
    old = Member(id=IDS[1], address="", state="alive", incarnation=1, round=2, age_s=60.0)
    new = Member(id=IDS[1], address="", state="down", incarnation=2, round=7, age_s=3.0)
    network = told(status(0, [], members=(old,)), status(2, [], members=(new,)))
    network.lost(IDS[1], "no connection")
    row = network.view(0.0).nodes[1]
    assert (row.state, row.incarnation, row.round, row.age_s) == ("down", 2, 7, 3.0)


@pytest.mark.parametrize(
    ("says", "state"), [("alive", "alive"), ("down", "down"), ("finished", "finished"), ("unknown", "unknown")]
)
def test_a_node_without_an_address_stands_as_its_neighbours_say(says, state):
    """Nobody asks it, so there is nothing to warn of."""
    at = addresses() | {IDS[1]: ""}
    age = None if says == "unknown" else 1.5
    member = Member(id=IDS[1], address="", state=says, incarnation=3, round=7, age_s=age)
    network = told(
        status(0, [], at=at, members=(member,)), status(2, [], at=at, members=(member,)), status(3, [], at=at)
    )
    view = network.view(0.0)
    row = view.nodes[1]
    seers = () if says == "unknown" else (IDS[0], IDS[2])
    assert (row.state, row.address, row.seen_by) == (state, "", seers)
    assert view.warnings == ()
    assert to_document(view)["nodes"][1]["address"] is None


def test_a_node_without_an_address_that_answers_says_where():
    at = addresses() | {IDS[1]: ""}
    answer = dataclasses.replace(status(1, [], at=at), address="127.0.0.1:4711")
    assert told(answer).view(0.0).nodes[1].address == "127.0.0.1:4711"


def test_a_node_that_left_after_its_last_round_is_finished_and_still_counts():
    network = at_rounds(ROUNDS, ROUNDS, ROUNDS, ROUNDS)
    for peer in IDS:
        network.lost(peer, "no connection")
    view = network.view(0.0)
    assert view.finished
    assert view.within(1e-2)
    assert view.warnings == ()


def test_a_restarted_node_is_asked_for_all_its_rounds_again():
    records = histories()
    network = told(status(1, records[1][:8]))
    assert network.since(IDS[1]) == 8

    redone = histories(seed=1)[1]
    network.heard(status(1, redone[:5], epoch=2), 1.0)
    assert network.since(IDS[1]) == 0
    network.heard(status(1, redone[:6], epoch=2), 2.0)
    assert network.since(IDS[1]) == 6
    network.heard(status(0, histories(seed=1)[0][:6]), 2.0)
    assert network.view(2.0).round == 5


def test_rounds_of_an_earlier_life_beyond_the_checkpoint_are_not_compared():
    records = histories()
    resumed = dataclasses.replace(status(1, records[1][:9], epoch=2), round=4)
    view = told(status(0, records[0][:9]), resumed).view(0.0)
    assert view.round == 3


def test_bytes_per_second_are_a_mean_over_the_last_polls_and_start_again_with_the_process():
    records = histories()
    network = told(status(0, records[0][:4]))
    assert network.view(0.0).nodes[0].bytes_per_s == 400.0  # 4,000 bytes in 10 s since the start
    network.heard(status(0, records[0][:6]), 4.0)
    assert network.view(4.0).nodes[0].bytes_per_s == 500.0  # 2,000 bytes in 4 s
    network.heard(status(0, records[0][:2], epoch=2), 5.0)
    assert network.view(5.0).nodes[0].bytes_per_s == 200.0


def test_memory_is_bounded():
    network = Network()
    records = histories(rounds=4)
    for r in range(0, 1000, 4):
        network.heard(status(0, [dataclasses.replace(each, round=r + each.round) for each in records[0]]), 0.0)
    assert len(network._seen[IDS[0]].records) == HISTORY


def test_another_topology_is_noticed():
    network = told(status(0, []), status(1, [], digest="other"))
    assert network.view(0.0).warnings == ("n1 was started with another topology than n0",)


def test_faults_are_shown():
    network = told(status(0, [], counters={"fault.BadMessage": 3, "snapshots": 2}))
    assert network.view(0.0).warnings == ("n0 counted fault.BadMessage 3",)


def test_the_document_is_strict_json_even_when_a_loss_blew_up():
    records = histories(rounds=2)
    broken = [dataclasses.replace(each, loss=math.nan) for each in records[0]]
    document = to_document(told(status(0, broken), status(1, records[1])).view(0.0))
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["nodes"][0]["loss"] is None


def test_sketches_of_different_lengths_are_not_compared():
    records = histories(rounds=2)
    short = [dataclasses.replace(each, after=each.after[:64], before=each.before[:64]) for each in records[1]]
    view = told(status(0, records[0]), status(1, short)).view(0.0)
    assert view.consensus_distance is None


def test_metrics_are_told_across_nodes_with_the_worst():
    records = histories()
    said = [dataclasses.replace(status(i, records[i][:3]), metrics={"common/loss": 1.0 + i}) for i in range(3)]
    document = to_document(told(*said).view(0.0))
    assert document["metrics"]["common/loss"] == {
        "mean": 2.0,
        "worst": 3.0,
        "worst_node": "n2",
        "spread": 2.0,
        "deviation": pytest.approx(math.sqrt(2 / 3)),
        "nodes": 3,
    }
    assert "common/loss: mean 2.000, worst 3.000 (n2), spread 2.000" in lines(told(*said).view(0.0))
