"""Whose state a late node takes, worked by hand."""

from __future__ import annotations

import pytest
import torch

from node.core.catch_up import CatchUp
from node.types import PeerId

A, B, C, D = (PeerId(p) for p in "abcd")
ROW = {A: 0.25, B: 0.5, C: 0.25}


def state(value: float) -> dict[str, torch.Tensor]:
    return {"theta": torch.full((2,), value), "scalars": torch.full((1,), value / 2)}


def late(gap: int = 0) -> CatchUp:
    return CatchUp(gap, patience=30.0)


@pytest.mark.parametrize(("gap", "theirs", "ours", "asks"), [(0, 0, 0, False), (0, 1, 0, True), (0, 3, 5, False)])
def test_a_node_without_a_round_of_its_own_asks_whoever_has_one(gap, theirs, ours, asks):
    assert late(gap).asks(B, theirs, ours, 0.0) is asks


def test_a_node_with_rounds_of_its_own_asks_beyond_the_gap_only():
    assert not late(10).asks(B, 25, 15, 0.0)
    assert late(10).asks(B, 26, 15, 0.0)


def test_nobody_is_asked_twice_at_a_time():
    c = late()
    assert c.asks(B, 5, 0, 0.0)
    assert not c.asks(B, 6, 0, 1.0)
    assert c.asks(C, 5, 0, 2.0)
    assert c.deadline == 30.0  # B's, the earlier one


def test_answers_of_one_round_become_their_mean_by_the_weights_of_our_row():
    c = late()
    c.asks(B, 5, 0, 0.0)
    c.asks(C, 5, 0, 0.0)
    assert c.answered(B, 5, state(3.0), 0)
    assert (c.pending, c.ready) == (True, False)
    assert c.answered(C, 5, state(6.0), 0)
    assert c.ready
    newest, mean, peers = c.take(ROW)
    assert (newest, peers) == (5, (B, C))
    assert mean["theta"].tolist() == pytest.approx([4.0, 4.0])  # (0.5 * 3 + 0.25 * 6) / 0.75
    assert mean["scalars"].tolist() == pytest.approx([2.0])
    assert (c.pending, c.ready, c.deadline) == (False, False, None)


def test_of_several_rounds_only_the_newest_counts():
    c = late()
    for peer, round, value in ((B, 5, 3.0), (C, 6, 6.0), (D, 4, 9.0)):
        c.asks(peer, round, 0, 0.0)
        c.answered(peer, round, state(value), 0)
    newest, mean, peers = c.take(ROW)
    assert (newest, mean["theta"].tolist(), peers) == (6, [6.0, 6.0], (C,))


def test_the_order_of_answers_changes_no_bit():
    means = []
    for order in ((B, C), (C, B)):
        c = late()
        for peer in order:
            c.asks(peer, 5, 0, 0.0)
            c.answered(peer, 5, state(0.1 if peer == B else 0.7), 0)
        means.append(c.take({A: 0.1, B: 0.3, C: 0.6})[1]["theta"])
    assert torch.equal(*means)


def test_a_neighbour_that_is_not_in_our_row_yet_counts_too():
    c = late()
    for peer in (B, D):
        c.asks(peer, 5, 0, 0.0)
        c.answered(peer, 5, state(3.0 if peer == B else 6.0), 0)
    assert c.take({A: 1.0})[1]["theta"].tolist() == [4.5, 4.5]


def test_an_answer_that_nobody_asked_for_is_not_taken():
    c = late()
    assert not c.answered(B, 99, state(3.0), 0)
    assert not c.pending


def test_an_answer_no_newer_than_what_we_have_ends_the_question():
    c = late()
    c.asks(B, 5, 0, 0.0)
    assert not c.answered(B, 5, state(3.0), 5)
    assert not c.pending


def test_who_is_gone_or_too_late_is_waited_for_no_longer():
    c = late()
    for peer in (B, C, D):
        c.asks(peer, 5, 0, 0.0)
    c.answered(B, 5, state(3.0), 0)
    c.give_up(C)
    assert not c.ready
    c.tick(29.9)
    assert not c.ready
    c.tick(30.0)
    assert c.ready
    assert not c.answered(D, 6, state(9.0), 0)  # too late
    assert c.take(ROW)[0] == 5


def test_without_any_answer_the_node_goes_on_alone():
    c = late()
    c.asks(B, 5, 0, 0.0)
    c.tick(30.0)
    assert (c.pending, c.ready, c.deadline) == (False, False, None)
    assert c.asks(B, 5, 0, 31.0)  # and may ask again


def test_who_is_far_ahead_of_all_others_alone_is_not_believed():
    c = late()
    for peer, round in ((B, 50), (C, 2**60), (D, 49)):
        c.asks(peer, round, 0, 0.0)
        c.answered(peer, round, state(3.0), 0)
    assert c.take(ROW)[::2] == (50, (B,))
