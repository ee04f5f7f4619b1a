from __future__ import annotations

import pytest

from node.learn.training.rates import Schedule, rate


def _rates(schedule: Schedule, warmup: float, rounds: int) -> list[float]:
    return [rate(schedule, warmup, rounds, round) for round in range(rounds + 2)]


def test_a_constant_rate_stays() -> None:
    assert _rates("constant", 0.0, 3) == [1.0] * 5


def test_a_linear_schedule_falls_in_equal_steps_to_zero() -> None:
    assert _rates("linear", 0.0, 4) == [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]


def test_a_cosine_falls_slowly_at_both_ends() -> None:
    assert _rates("cosine", 0.0, 4) == pytest.approx([1.0, 0.8535533906, 0.5, 0.1464466094, 0.0, 0.0])


def test_a_warm_up_grows_in_equal_steps_beneath_the_schedule() -> None:
    grown = [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]

    assert _rates("constant", 0.375, 8) == grown
    for schedule in ("linear", "cosine"):
        plain = _rates(schedule, 0.0, 8)  # type: ignore[arg-type]
        assert _rates(schedule, 0.375, 8) == [g * p for g, p in zip(grown, plain, strict=True)]  # type: ignore[arg-type]


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.9])
def test_a_rate_is_a_share_and_rises_only_while_it_warms_up(schedule: Schedule, warmup: float) -> None:
    rates = _rates(schedule, warmup, 100)

    assert all(0.0 <= r <= 1.0 for r in rates)
    after = rates[int(100 * warmup) + 1 :]
    assert after == sorted(after, reverse=True)
