"""The states of a neighbour by hand, and when there is something to do."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.core.deadlines import DeadlineLimits
from node.core.health import LATE
from node.core.members import ANSWER_WITHIN, PROBE_AFTER, RECONNECT, SUSPECT_FOR, Liveness, Members
from node.types import PeerId

B, C = PeerId("b"), PeerId("c")
FIRST_CONTACT = 60.0
ANSWER = ANSWER_WITHIN.floor


def members(*peers: PeerId, probing: bool = True) -> Members:
    made = Members(peers or (B,), DeadlineLimits(1.0, 3.0), FIRST_CONTACT, probing)
    made.started(0.0)
    return made


def meet(m: Members, peer: PeerId = B, now: float = 0.0, version: tuple[int, int] = (1, 1)) -> None:
    """A stream opens and a hello is taken."""
    m.by_id[peer].streaming = True
    m.heard(peer, now)
    m.by_id[peer].version, m.by_id[peer].epoch = version, 1
    m.mark(peer, Liveness.ALIVE, now)


def state(m: Members, peer: PeerId = B) -> str:
    return m.by_id[peer].state


def suspected(m: Members) -> float:
    """B was heard at 0 and never again; when it became a suspect."""
    assert m.tick(PROBE_AFTER, 0.0) == ([B], [])
    assert m.tick(PROBE_AFTER + ANSWER, 0.0) == ([B], [B])  # and asked again at once
    assert state(m) == "suspect"
    return PROBE_AFTER + ANSWER


# ---- by hand
def test_a_silent_neighbour_is_probed_suspected_and_called_dead():
    m = members()
    assert m.deadline() is None  # nobody there
    meet(m)
    assert m.deadline() == PROBE_AFTER
    at = suspected(m)
    assert m.health.multiplier == 2  # our probe got no answer: perhaps it is us
    assert m.by_id[B].reason == "silent for 2.5 s"
    dead_at = at + 2 * SUSPECT_FOR
    for _ in range(int(2 * SUSPECT_FOR / PROBE_AFTER) - 1):
        probes, changed = m.tick(m.deadline(), 0.0)
        assert (probes, changed) == ([B], [])  # asked again and again
    assert m.deadline() == dead_at
    assert m.tick(dead_at, 0.0) == ([], [B])
    assert (state(m), m.deadline()) == ("dead", None)


@pytest.mark.parametrize("until", ["suspect", "dead"])
def test_any_word_clears_it(until):
    m = members()
    meet(m)
    at = suspected(m)
    if until == "dead":
        m.tick(at + 2 * SUSPECT_FOR, 0.0)
    assert state(m) == until
    assert m.heard(B, 50.0)
    assert (state(m), m.by_id[B].since) == ("alive", 50.0)
    assert not m.heard(B, 51.0)  # no news


def test_an_answer_in_time_is_no_news_and_silence_counts_from_it():
    m = members()
    meet(m)
    m.tick(1.0, 0.0)
    assert not m.heard(B, 1.2)
    assert m.deadline() == 1.2 + PROBE_AFTER


def test_who_talks_is_not_probed():
    m = members()
    meet(m)
    for now in (0.5, 1.0, 1.5):
        m.heard(B, now)
        assert m.tick(now + 0.4, 0.0) == ([], [])


def test_a_word_on_no_stream_or_before_the_hello_clears_nobody():
    m = members()
    meet(m)
    m.down(B, 5.0, "reset")
    assert not m.heard(B, 5.1)
    m.by_id[B].streaming = True  # a new stream, and no hello on it yet
    assert not m.heard(B, 5.2)
    assert state(m) == "suspect"


def test_a_lost_stream_is_waited_for_a_moment_then_it_is_a_suspect_like_others():
    m = members()
    meet(m)
    assert m.down(B, 5.0, "reset")
    assert (state(m), m.by_id[B].reason) == ("suspect", "reset")
    assert m.wait_until(B, 4.0) == 5.0 + RECONNECT
    assert not m.down(B, 6.0, "again")
    assert m.wait_until(B, 4.0) == 5.0 + RECONNECT
    assert m.deadline() == 5.0 + SUSPECT_FOR  # no stream, no probe
    assert m.tick(5.0 + SUSPECT_FOR, 0.0) == ([], [B])
    meet(m, now=20.0)
    assert (state(m), m.wait_until(B, 20.0)) == ("alive", 23.0)


@pytest.mark.parametrize("last", [Liveness.LEFT, Liveness.FINISHED, Liveness.REFUSED, Liveness.UNKNOWN])
def test_who_said_goodbye_stays_so_when_its_stream_ends(last):
    m = members()
    m.by_id[B].streaming = True
    m.mark(B, last, 1.0)
    assert not m.down(B, 2.0, "closed")
    assert state(m) == last
    assert not m.by_id[B].is_open


def test_who_is_waited_for():
    m = members(B, C)
    assert m.wait_until(B, 7.0) == FIRST_CONTACT  # whenever the exchange began
    meet(m)
    assert m.wait_until(B, 7.0) == 7.0 + 3.0  # nothing learnt: the ceiling
    for gone in (Liveness.DEAD, Liveness.LEFT, Liveness.FINISHED, Liveness.REFUSED, Liveness.SUSPECT):
        m.mark(B, gone, 8.0)
        assert m.wait_until(B, 7.0) is None


def test_who_is_there_and_whose_word_counts():
    m = members(B, C)
    meet(m)
    assert (m.present(), m.lively()) == ({B: 1}, {B})
    m.mark(B, Liveness.FINISHED, 1.0)
    assert (m.present(), m.lively()) == ({}, {B})
    m.mark(B, Liveness.DEAD, 1.0)
    assert m.lively() == set()


def test_a_neighbour_that_joins_is_not_waited_for_before_its_hello():
    m = members(C)
    m.add(B)
    assert list(m.by_id) == [B, C]
    assert (state(m), m.wait_until(B, 0.0), m.deadline()) == ("dead", None, None)


def test_nobody_of_the_first_version_is_probed():
    m = members()
    meet(m, version=(1, 0))
    assert m.deadline() is None
    assert m.tick(100.0, 0.0) == ([], [])


def test_without_probing_only_lost_streams_become_suspects():
    m = members(probing=False)
    meet(m)
    assert (m.deadline(), m.tick(100.0, 0.0)) == (None, ([], []))


# ---- our own health
def test_our_own_lateness_excuses_the_others():
    m = members(B, C)
    meet(m)
    meet(m, C)
    m.tick(1.0, 0.0)
    assert m.tick(40.0, late=37.5) == ([], [])
    assert m.health.score == 1
    assert m.deadline() == 40.0 + 2 * ANSWER  # all their time again, and twice of it
    m = members()
    meet(m)
    m.tick(1.0, 0.0)
    assert m.tick(1.0 + ANSWER + LATE, late=LATE) == ([B], [B])  # that little is no excuse


def test_answers_make_us_quicker_again():
    m = members()
    meet(m)
    m.health.worse()
    m.tick(1.0, 0.0)
    assert m.deadline() == 1.0 + 2 * ANSWER
    m.heard(B, 1.5)
    m.tick(2.5, 0.0)
    assert m.deadline() == 2.5 + ANSWER


def test_answers_are_learnt_so_that_slow_ones_are_no_suspects():
    m = members()
    meet(m)
    now = 0.0
    for _ in range(8):
        m.tick(now := now + PROBE_AFTER, 0.0)
        m.heard(B, now := now + 1.4)
    m.tick(now := now + PROBE_AFTER, 0.0)
    assert m.deadline() - now == pytest.approx(1.5)  # the floor: 1.4 and no spread
    for _ in range(32):
        m.heard(B, now := now + 4.0)
        m.tick(now := now + PROBE_AFTER, 0.0)
    assert m.deadline() - now == pytest.approx(4.0)


# ---- law
HAPPENS = st.tuples(
    st.sampled_from(["hello", "old", "word", "down", "finished", "left", "tick", "tick", "worse"]),
    st.sampled_from([B, C]),
    st.integers(0, 24),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(HAPPENS, max_size=30))
def test_the_deadline_is_exactly_when_there_is_something_to_do(happens):
    m, now = members(B, C), 1.0
    for what, peer, quarters in happens:
        now += quarters / 4
        match what:
            case "hello" | "old":
                meet(m, peer, now, (1, int(what == "hello")))
            case "word" if m.by_id[peer].streaming:
                m.heard(peer, now)
            case "down":
                m.down(peer, now, "reset")
            case "finished" | "left":
                m.mark(peer, Liveness(what), now)
            case "worse":
                m.health.worse()
        if what == "tick":
            m.tick(now, 0.0)
        if (due := m.deadline()) is None:
            assert copy.deepcopy(m).tick(now + 1e6, 0.0) == ([], [])
        elif due > now:
            assert copy.deepcopy(m).tick(due - 1e-6, 0.0) == ([], [])
        if due is not None:
            there = copy.deepcopy(m)
            assert there.tick(max(now, due), 0.0) != ([], [])
            again = there.deadline()
            assert again is None or again > max(now, due)  # no timer fires for ever
