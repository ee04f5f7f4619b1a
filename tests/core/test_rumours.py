"""Of two rumours everybody believes the same one, whatever came first."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.core.messages import Rumour
from node.core.rumours import HIGHEST, STATES, Rumours
from node.types import PeerId
from tests.reference.swim import overrides

OWN, X, Y = PeerId("own"), PeerId("x"), PeerId("y")

rumour = st.builds(Rumour, st.sampled_from([X, Y]), st.sampled_from(STATES), st.integers(0, 2), st.integers(0, 2))


def said(state: str, incarnation: int = 0, epoch: int = 1, node: PeerId = X) -> Rumour:
    return Rumour(node, state, epoch, incarnation)


# ---- by hand
@pytest.mark.parametrize(
    ("old", "new", "wins"),
    [
        (said("alive"), said("alive"), False),
        (said("alive"), said("suspect"), True),
        (said("suspect"), said("alive"), False),
        (said("suspect"), said("alive", 1), True),
        (said("alive", 1), said("suspect"), False),
        (said("suspect"), said("dead"), True),
        (said("dead"), said("suspect"), False),
        (said("dead"), said("alive", 1), True),
        (said("dead"), said("left"), True),
        (said("left"), said("dead"), False),
        (said("left", 7), said("alive", 0, epoch=2), True),
        (said("alive", 0, epoch=2), said("dead", 9), False),
    ],
)
def test_precedence_worked_by_hand(old, new, wins):
    rumours = Rumours(OWN, 1)
    assert rumours.learn([old]) == [old]
    assert rumours.learn([new]) == ([new] if wins else [])
    assert rumours.by_node[X] == (new if wins else old)


def test_a_suspicion_of_ourselves_is_refuted_by_a_higher_incarnation():
    rumours = Rumours(OWN, 3)
    refutation = Rumour(OWN, "alive", 3, 5)
    assert rumours.learn([said("suspect", 4, 3, OWN)]) == [refutation]
    assert (rumours.by_node[OWN], rumours.refuted) == (refutation, 1)
    assert rumours.learn([said("dead", 4, 3, OWN)]) == []  # answered already


@pytest.mark.parametrize("epoch", [2, 4])
def test_what_is_said_of_another_process_of_ours_is_not_answered(epoch):
    rumours = Rumours(OWN, 3)
    assert rumours.learn([said("dead", 0, epoch, OWN)]) == []
    assert (rumours.by_node[OWN].state, rumours.refuted) == ("alive", 0)


def test_what_we_find_out_is_said_of_the_incarnation_that_we_know():
    rumours = Rumours(OWN, 1)
    rumours.learn([said("alive", 6)])
    assert rumours.say(X, "suspect", 1) == [said("suspect", 6)]
    assert rumours.say(X, "suspect", 1) == []
    assert rumours.say(X, "alive", 1) == []  # only the node itself can clear its name
    assert rumours.say(X, "alive", 2) == [said("alive", 0, epoch=2)]
    assert rumours.say(OWN, "dead", 1) == []


def test_made_up_nodes_fill_no_more_than_the_limit_and_push_nobody_out():
    rumours = Rumours(OWN, 1, limit=3)
    rumours.learn(said("alive", node=PeerId(f"n{i}")) for i in range(100))
    assert list(rumours.by_node) == [OWN, "n0", "n1"]
    assert rumours.learn([said("dead", node=PeerId("n0"))])


def test_an_incarnation_that_could_not_be_exceeded_is_not_believed():
    rumours = Rumours(OWN, 1)
    assert rumours.learn([said("dead", HIGHEST, 1, OWN), said("dead", 2**64 - 1)]) == []
    assert list(rumours.by_node) == [OWN]


# ---- laws
ALL = [said(s, i, e) for s in STATES for i in range(3) for e in range(2)]


def test_every_pair_is_judged_as_the_paper_does():
    for old, new in itertools.product(ALL, ALL):
        rumours = Rumours(OWN, 1)
        rumours.learn([old])
        assert bool(rumours.learn([new])) == overrides(new, old), (old, new)


@settings(max_examples=200, deadline=None)
@given(st.lists(rumour, max_size=8), st.randoms(use_true_random=False), st.integers(0, 8))
def test_order_grouping_and_repetition_of_news_do_not_matter(news, rng, cut):
    """The newest rumour is a join: commutative, associative, idempotent. So all nodes come to agree."""
    one, other = Rumours(OWN, 1), Rumours(OWN, 1)
    one.learn(news)
    shuffled = [*news, *news[:cut]]
    rng.shuffle(shuffled)
    middle = Rumours(PeerId("middle"), 1)
    middle.learn(shuffled[:cut])
    other.learn(shuffled[cut:])
    other.learn(r for r in middle.by_node.values() if r.node != "middle")
    assert one.by_node == other.by_node


@settings(max_examples=100, deadline=None)
@given(st.lists(rumour, max_size=20))
def test_news_is_passed_on_once_so_that_a_flood_ends(news):
    rumours = Rumours(OWN, 1)
    rumours.learn(news)
    assert rumours.learn(news) == []
