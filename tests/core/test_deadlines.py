from __future__ import annotations

import pytest

from node.core.deadlines import DeadlineLimits, Patience

LIMITS = DeadlineLimits(floor=1.0, ceiling=60.0)


def after(*waits: float) -> Patience:
    patience = Patience(LIMITS)
    for wait in waits:
        patience.arrived(start=100.0, now=100.0 + wait)
    return patience


def test_a_stranger_is_waited_for_up_to_the_ceiling():
    assert after(0.1, 0.1).timeout == 60.0


def test_median_plus_six_deviations_worked_by_hand():
    # waits 2, 3, 5: median 3, deviations 1, 0, 2, their median 1
    assert after(2, 3, 5).timeout == pytest.approx(3 + 6 * 1)


def test_the_floor_serves_where_the_spread_is_zero():
    assert after(0.2, 0.2, 0.2).timeout == 1.0


def test_an_early_message_counts_as_no_wait():
    assert after(-5.0, -5.0, -5.0).timeout == 1.0


def test_a_neighbour_that_became_slow_is_not_missed_for_ever():
    patience = after(*[1.0] * 5)
    start = 1000.0
    for _ in range(8):
        patience.missed(start, start + patience.timeout)
        patience.late(start + 20.0)  # it always takes 20 s now
        start += 30.0
    assert 20.0 <= patience.timeout <= 60.0


def test_a_neighbour_that_stays_silent_costs_one_deadline_a_round_and_no_more():
    patience = after(1.0, 1.0, 1.0)
    timeouts = []
    for t in range(40):
        timeouts.append(patience.timeout)
        patience.missed(1000.0 * t, 1000.0 * t + patience.timeout)
    assert timeouts == [1.0] * 40
