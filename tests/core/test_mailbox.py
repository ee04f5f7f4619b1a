from __future__ import annotations

import torch

from node.core.mailbox import Mailbox, Version
from node.types import PeerId

A, B = PeerId("a"), PeerId("b")


def at(value: float) -> dict[str, torch.Tensor]:
    return {"theta": torch.tensor([value])}


def picked(
    box: Mailbox, round: int, hop: int = 0, lively: tuple[PeerId, ...] = (A, B)
) -> dict[PeerId, tuple[int, int]]:
    return {p: version.key for p, version in box.pick((round, hop), lively).items()}


def test_the_asked_exchange_comes_before_the_newest():
    box = Mailbox([A, B], max_staleness=10)
    for key in ((0, 0), (1, 0), (2, 0)):
        box.put(A, Version(key, at(key[0])))
    assert picked(box, 1) == {A: (1, 0)}
    assert picked(box, 5) == {A: (2, 0)}


def test_what_is_older_than_max_staleness_is_not_used():
    box = Mailbox([A], max_staleness=2)
    box.put(A, Version((3, 0), at(3)))
    assert picked(box, 5) == {A: (3, 0)}
    assert picked(box, 6) == {}


def test_a_later_hop_takes_its_own_exchange_only():
    box = Mailbox([A], max_staleness=10)
    box.put(A, Version((3, 0), at(3)))
    assert picked(box, 3, hop=1) == {}
    box.put(A, Version((3, 1), at(4)))
    assert picked(box, 3, hop=1) == {A: (3, 1)}


def test_the_past_of_a_dead_neighbour_is_not_used_but_its_word_of_this_exchange_is():
    box = Mailbox([A, B], max_staleness=10)
    box.put(A, Version((3, 0), at(3)))
    assert picked(box, 4, lively=(B,)) == {}
    assert picked(box, 3, lively=(B,)) == {A: (3, 0)}


def test_memory_is_bounded_and_the_oldest_goes_first():
    box = Mailbox([A], max_staleness=100, depth=3)
    for r in (0, 2, 1, 3):
        box.put(A, Version((r, 0), at(r)))
    assert [picked(box, r) for r in (1, 2, 3)] == [{A: (1, 0)}, {A: (2, 0)}, {A: (3, 0)}]
    assert picked(box, 0) == {A: (3, 0)}


def test_a_neighbour_ahead_counts_as_having_reached_the_exchange():
    box = Mailbox([A, B], max_staleness=10)
    box.put(A, Version((2, 0), at(0)))
    assert box.reached(A, (1, 3))
    assert not box.reached(A, (2, 1))
    assert not box.reached(B, (0, 0))
    assert box.newest_round(0) == 2


def test_one_neighbour_of_several_is_not_believed_far_ahead_alone():
    box = Mailbox([A, B], max_staleness=10)
    assert box.newest_round(0) == -1
    box.put(A, Version((2**60, 0), at(0)))
    assert box.newest_round(5) == 15
    box.put(B, Version((40, 0), at(0)))
    assert box.newest_round(5) == 40  # both are that far
    alone = Mailbox([A], max_staleness=10)
    assert alone.newest_round(0) == -1
    alone.put(A, Version((50, 0), at(0)))
    assert alone.newest_round(0) == 50
