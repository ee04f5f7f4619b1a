"""Both ends of an edge apply the same pairs of versions, each once: by hand, then under any schedule."""

from __future__ import annotations

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from node.codec.float32 import float32
from node.core.edge import Edge
from node.core.messages import PROTOCOL_VERSION, Hello, Pair, Settlement, Snapshot, SnapshotRequest, Update
from node.core.settlement import KEPT, OPEN, Amount, Follower, Leader, add_up, size_of
from node.errors import OutOfSequence, StaleMessage
from node.types import PeerId

A, B = PeerId("a"), PeerId("b")
W = 0.5
NOTHING = Settlement()


def vector(value: float) -> dict[str, torch.Tensor]:
    return {"theta": torch.tensor([value])}


def added(amounts: list[Amount]) -> float:
    return float(add_up(vector(0.0), amounts)["theta"])


def named(*pairs: tuple[int, int], weight: float = W) -> Settlement:
    return Settlement(pairs=tuple(Pair(s, f, weight) for s, f in pairs))


def follower(*told: float, heard: dict[int, float]) -> Follower:
    """Has said `told`, as its versions 0, 1, ..., and heard some of the leader's."""
    end = Follower()
    for seq, value in enumerate(told):
        end.told(seq, vector(value))
    for seq, value in heard.items():
        end.heard(seq, vector(value))
        end.settle(NOTHING, seq)
    return end


def uses(end: Follower, s: int, f: int, theirs: float, mine: float, weight: float = W) -> float:
    """What the mix adds."""
    end.used(Pair(f, s, weight), vector(theirs), vector(mine))
    return weight * (theirs - mine) + added(end.reconcile())


# ---- by hand: the leader's version 0 is 1, the follower's is 3
def test_where_both_applied_the_same_pair_there_is_nothing_to_do():
    end = follower(3.0, heard={0: 1.0})
    assert uses(end, 0, 0, 1.0, 3.0) == -1.0
    assert end.open == 1
    assert end.settle(named((0, 0)), 1) == []
    assert (end.open, end.statement()) == (0, Settlement(final=1))


def test_who_applied_another_pair_takes_it_back_and_applies_the_one_named():
    end = follower(3.0, 7.0, heard={0: 1.0})
    uses(end, 0, 1, 1.0, 7.0)  # 0.5 * (1 - 7) = -3, where the leader used our version 0
    assert added(end.settle(named((0, 0)), 1)) == 3.0 - 1.0


def test_what_the_leader_does_not_name_is_taken_back():
    end = follower(3.0, heard={0: 1.0})
    uses(end, 0, 0, 1.0, 3.0)
    assert added(end.settle(NOTHING, 1)) == 1.0
    assert end.statement().final == 1


def test_a_version_of_ours_that_the_leader_used_twice_counts_once():
    """The leader had nothing newer from a slow end; each pair in full would pull the slow end too far."""
    end = follower(3.0, heard={0: 1.0})
    end.heard(1, vector(1.5))
    end.reconcile()
    assert added(end.settle(named((0, 0), (1, 0)), 2)) == W * (1.0 - 3.0)
    assert end.statement() == Settlement(final=2, refused=(1,))
    leader = Leader()
    for s, value in ((0, 1.0), (1, 1.5)):
        leader.used(Pair(s, 0, W), vector(3.0), vector(value))
    assert added(leader.settle(end.statement(), 0)) == -W * (3.0 - 1.5)  # the second one is taken back


def test_a_named_pair_that_was_not_used_is_applied():
    end = follower(3.0, heard={0: 1.0})
    end.reconcile()  # our exchange went without the leader
    assert added(end.settle(named((0, 0)), 1)) == -1.0


def test_a_pair_whose_version_never_came_is_refused_and_the_leader_takes_it_back():
    leads, end = Leader(), follower(3.0, heard={})
    leads.told(0, vector(1.0))
    leads.used(Pair(0, 0, W), vector(3.0), vector(1.0))  # adds 0.5 * (3 - 1) = 1
    leads.told(1, vector(2.0))
    end.heard(1, vector(2.0))
    end.reconcile()
    assert end.settle(leads.statement(), 1) == []
    assert end.statement() == Settlement(final=1, refused=(0,))
    assert added(leads.settle(end.statement(), 0)) == -1.0
    assert (leads.open, leads.settle(end.statement(), 1)) == (0, [])
    end.settle(leads.statement(), 2)
    assert end.statement().refused == ()  # said until the leader has heard it, no longer


def test_a_named_pair_waits_while_our_own_exchange_may_still_apply_it():
    end = follower(3.0, heard={0: 1.0})
    assert end.settle(named((0, 0)), 1) == []
    assert end.statement().final == 0
    assert uses(end, 0, 0, 1.0, 3.0) == -1.0  # and nothing on top
    assert end.statement().final == 1


def test_a_named_pair_that_waited_is_applied_when_our_exchange_went_without_it():
    end = follower(3.0, heard={0: 1.0})
    end.settle(named((0, 0)), 1)
    assert added(end.reconcile()) == -1.0


def test_the_leaders_weight_counts():
    end = follower(3.0, heard={0: 1.0})
    uses(end, 0, 0, 1.0, 3.0, weight=0.5)
    assert added(end.settle(named((0, 0), weight=0.25), 1)) == pytest.approx(0.25 * 2.0)


def test_a_statement_that_comes_again_changes_nothing():
    end = follower(3.0, heard={0: 1.0})
    end.reconcile()
    said = named((0, 0))
    assert added(end.settle(said, 1)) == -1.0
    for seq in (1, 2, 1, 3):
        assert end.settle(said, seq) == []


def test_a_confirmation_that_comes_late_or_twice_changes_nothing():
    leads = Leader()
    for s in (0, 1, 2):
        leads.told(s, vector(1.0))
        leads.used(Pair(s, s, W), vector(3.0), vector(1.0))
    assert leads.settle(Settlement(final=2), 0) == []
    assert leads.open == 1
    assert leads.settle(Settlement(final=1, refused=(0,)), 1) == []
    assert leads.statement() == named((2, 2))


def test_a_version_used_twice_counts_once():
    end = follower(3.0, 5.0, heard={0: 1.0})
    uses(end, 0, 0, 1.0, 3.0)
    uses(end, 0, 1, 1.0, 5.0)  # stale: the leader's next one is late; 0.5 * (1 - 5) = -2
    assert added(end.settle(named((0, 0)), 1)) == 2.0


# ---- restarts
def test_after_a_restart_the_leaders_part_of_an_old_exchange_stands():
    leads, end = Leader(), follower(3.0, heard={})
    leads.told(0, vector(1.0), is_mixed=True)
    end.heard(0, vector(1.0))
    end.settle(leads.statement(), 0)
    uses(end, 0, 0, 1.0, 3.0)
    leads.told(1, vector(2.0))
    assert leads.statement() == NOTHING
    assert end.settle(leads.statement(), 1) == []
    assert end.open == 0


def test_after_a_restart_the_other_ends_part_of_an_old_exchange_stands():
    end = Follower()
    end.told(0, vector(3.0), is_mixed=True)
    end.heard(0, vector(1.0))
    assert end.settle(named((0, 0)), 1) == []
    assert end.statement() == Settlement(final=1)


@pytest.mark.parametrize("end", [Leader(), Follower()], ids=["leader", "follower"])
def test_only_the_first_word_can_be_of_an_exchange_from_before(end):
    end.told(0, vector(3.0))
    end.told(1, vector(3.0), is_mixed=True)
    if isinstance(end, Leader):
        assert end.statement() == NOTHING
    else:
        end.heard(0, vector(1.0))
        assert added(end.settle(named((0, 1)), 1)) == -1.0


# ---- memory
def test_a_leader_stops_using_who_does_not_confirm():
    leads = Leader()
    for s in range(OPEN):
        assert leads.can_use
        leads.told(s, vector(1.0))
        leads.used(Pair(s, s, W), vector(3.0), vector(1.0))
    assert not leads.can_use
    leads.settle(Settlement(final=1), 0)
    assert leads.can_use


def test_the_other_end_keeps_a_few_versions_of_each():
    end = follower(*[3.0] * (KEPT + 9), heard={})
    for s in range(KEPT + 9):
        end.heard(s, vector(1.0))
    assert list(end._mine) == list(end._theirs) == list(range(9, KEPT + 9))


def test_a_pair_that_names_an_evicted_version_of_ours_is_refused():
    end = follower(*[3.0] * (KEPT + 1), heard={0: 1.0})
    end.reconcile()
    assert end.settle(named((0, 0)), 1) == []
    assert end.statement().refused == (0,)


def test_pairs_of_versions_to_come_are_not_kept():
    end = follower(3.0, heard={0: 1.0})
    for seq in range(1, 200):
        end.settle(named(*((10**9 + 64 * seq + i, 0) for i in range(64))), seq)
    assert len(end._named) == 0


# ---- sums
def test_adding_up_leaves_the_rules_own_channels_out_and_changes_nothing_in_place():
    x = vector(1.0)
    more = {**vector(3.0), "intact": torch.ones(1)}
    amount = Amount(0.5, more, {**vector(1.0), "intact": torch.zeros(1)})
    assert add_up(x, [amount, amount])["theta"].item() == 3.0
    assert x["theta"].item() == 1.0
    assert add_up(x, []) is x
    assert (size_of([amount, amount], x), size_of([], x)) == (2.0, 0.0)


# ---- law
class End:
    """One end of an edge with a number to average, driven by a schedule."""

    def __init__(self, own: PeerId, peer: PeerId, start: float, weight: float) -> None:
        self.edge = Edge(peer, 0, {"theta": 2}, float32(), {"float32": float32()}, torch.Generator(), own < peer)
        self.own, self.x, self.weight, self.round = own, {"theta": torch.tensor([start, -2.0 * start])}, weight, 0
        self.added = torch.zeros(2, dtype=torch.float64)
        self.heard: list[tuple[int, dict]] = []
        self.can_mix = False

    def hello(self) -> Hello:
        return Hello(PROTOCOL_VERSION, self.own, 0, self.round, {}, (), self.edge.held)

    def tell(self, learned: float) -> Snapshot | Update:
        self.x, self.can_mix = {"theta": self.x["theta"] + learned}, True
        self.round += 1
        return self.edge.tell(self.x, self.round, 0)

    def take(self, message: object) -> list[object]:
        """What it answers."""
        if isinstance(message, SnapshotRequest):
            answer = self.edge.answer(message)
            return [] if answer is None else [answer]
        try:
            theirs = self.edge.hear(message)
        except StaleMessage:
            return []
        except OutOfSequence:
            return [self.edge.request(message, "gap")]
        self.heard = [*self.heard[-3:], (message.seq, theirs)]
        return []

    def mix(self, back: int | None) -> None:
        """With the version `back` before the newest one heard; None: with none."""
        before = self.x["theta"].double()
        x = self.x["theta"].clone()
        if back is not None and self.heard and self.edge.can_use(0):
            seq, theirs = self.heard[max(0, len(self.heard) - 1 - back)]
            x += self.weight * (theirs["theta"] - self.edge.mine["theta"])
            self.edge.used(seq, self.weight, theirs)
        self.x, self.can_mix = add_up({"theta": x}, self.edge.due()), False
        self.added += self.x["theta"].double() - before


STEP = st.tuples(st.sampled_from(["tell", "tell", "mix", "mix", "pass", "pass", "lose", "twice"]), st.integers(0, 99))


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(STEP, max_size=80), weights=st.sampled_from([(0.5, 0.5), (0.3, 0.4)]))
def test_whatever_was_lost_doubled_or_late_both_ends_have_added_opposite_amounts(steps, weights):
    ends = {A: End(A, B, 1.0, weights[0]), B: End(B, A, -3.0, weights[1])}
    wires: dict[PeerId, list[object]] = {A: [], B: []}  # what is under way to it
    other = {A: B, B: A}
    for p, end in ends.items():
        end.edge.greet(ends[other[p]].hello())
    for what, n in steps:
        p = (A, B)[n % 2]
        end, n = ends[p], n // 2
        if what == "tell":
            wires[other[p]].append(end.tell(n / 7.0))
        elif what == "mix" and end.can_mix:
            end.mix(None if n % 5 == 4 else n % 3)
        elif wires[p] and what in ("pass", "twice", "lose"):  # any of them: they overtake each other
            message = wires[p][n % len(wires[p])] if what == "twice" else wires[p].pop(n % len(wires[p]))
            wires[other[p]] += end.take(message) if what != "lose" else []
    for calm in range(5):
        for p, end in ends.items():
            wires[other[p]].append(end.tell(0.0))
        while any(wires.values()):
            for p, end in ends.items():
                while wires[p]:
                    wires[other[p]] += end.take(wires[p].pop(0))
        for end in ends.values():
            end.mix(0 if calm < 1 else None)
    assert float((ends[A].added + ends[B].added).norm()) < 1e-5 * max(1.0, float(ends[A].x["theta"].norm()))
    assert ends[A].edge._book.open == ends[B].edge._book.open == 0
    assert len(ends[B].edge._book._named) == len(ends[B].edge._book._settled) == 0


@pytest.mark.parametrize("seed", range(3))
def test_an_end_that_only_hears_holds_a_bounded_past(seed):
    rng, leads, end = random.Random(seed), End(A, B, 1.0, W), End(B, A, 3.0, W)
    leads.edge.greet(end.hello())
    end.edge.greet(leads.hello())
    leads.take(end.tell(1.0))
    for _ in range(300):
        end.take(leads.tell(rng.random()))
        leads.mix(0)
    book, their = leads.edge._book, end.edge._book
    assert book.open <= OPEN
    assert max(map(len, (their._mine, their._theirs))) <= KEPT
    assert len(their._named) <= OPEN
