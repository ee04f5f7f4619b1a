from __future__ import annotations

import math

import pytest
import torch

from node.learn.training.adamw import AdamW, AdamWSettings, no_moments, steepest
from tests.reference import adamw as twin


def test_first_step_moves_by_the_learning_rate_against_the_sign() -> None:
    theta = torch.tensor([1.0, 1.0])
    optimizer = AdamW(AdamWSettings(learning_rate=0.1), no_moments(2))

    optimizer.step(theta, torch.tensor([2.0, -0.5]))

    # m/c1 = g and sqrt(v)/c2 = |g| after one step, so the move is lr * sign(g)
    torch.testing.assert_close(theta, torch.tensor([0.9, 1.1]))
    torch.testing.assert_close(optimizer.channels()["scalars"], torch.tensor([0.1, 0.001**0.5]))
    torch.testing.assert_close(optimizer.channels()["m"], torch.tensor([0.2, -0.05]))
    torch.testing.assert_close(optimizer.channels()["s"], torch.tensor([2.0, 0.5]) * 0.001**0.5)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("steps_a_round", [1, 7, 40])
def test_rounds_of_any_length_agree_with_torch(seed: int, weight_decay: float, steps_a_round: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(50, generator=generator)
    grads = [torch.randn(50, generator=generator) * 10.0 ** (i % 3 - 2) for i in range(40)]

    theta, moments = start.clone(), no_moments(50)
    for first in range(0, 40, steps_a_round):
        optimizer = AdamW(AdamWSettings(3e-2, weight_decay), moments)
        for grad in grads[first : first + steps_a_round]:
            optimizer.step(theta, grad)
        moments = optimizer.channels()

    torch.testing.assert_close(theta, twin.steps(start, grads, 3e-2, weight_decay), atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("seed", range(3))
def test_a_delayed_gradient_moves_theta_one_step_later(seed: int) -> None:
    """The first gradient moves theta at once and again in the second step; the last one not yet."""
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(20, generator=generator)
    grads = [torch.randn(20, generator=generator) for _ in range(9)]

    theta = start.clone()
    optimizer = AdamW(AdamWSettings(1e-2, delayed=True), no_moments(20))
    for grad in grads:
        optimizer.step(theta, grad)

    first = twin.steps(start, grads[:1], 1e-2, 0.0)
    torch.testing.assert_close(theta, twin.steps(first, grads[:-1], 1e-2, 0.0), atol=1e-5, rtol=1e-5)


def test_the_average_of_equal_channels_changes_nothing() -> None:
    """What consensus over moments needs: a form in which the mean of equals is the same optimizer."""
    optimizer = AdamW(AdamWSettings(0.1), no_moments(3))
    for _ in range(5):
        optimizer.step(torch.zeros(3), torch.tensor([1.0, 2.0, 3.0]))
    channels = optimizer.channels()
    mean = {name: (t + t) / 2 for name, t in channels.items()}
    a, b = torch.zeros(3), torch.zeros(3)

    AdamW(AdamWSettings(0.1), channels).step(a, torch.ones(3))
    AdamW(AdamWSettings(0.1), mean).step(b, torch.ones(3))

    assert torch.equal(a, b)


def test_negative_s_counts_as_zero() -> None:
    moments = {"m": torch.zeros(2), "s": torch.tensor([-3.0, 0.0]), "scalars": torch.tensor([0.5, 0.5])}
    theta = torch.zeros(2)

    AdamW(AdamWSettings(0.1), moments).step(theta, torch.ones(2))

    assert theta[0] == theta[1]


def test_channels_handed_in_stay_as_they_are() -> None:
    moments = {"m": torch.ones(2), "s": torch.ones(2), "scalars": torch.tensor([0.5, 0.5])}

    AdamW(AdamWSettings(0.1), moments).step(torch.zeros(2), torch.ones(2))

    assert moments["m"].tolist() == [1.0, 1.0]
    assert moments["s"].tolist() == [1.0, 1.0]


# ---- moments that came by a codec
def test_the_steepest_ratio_of_m_to_s_worked_by_hand() -> None:
    # beta1 = 1/2, beta2 = 3/4: (1/2) / sqrt(1/4 * (1 - 1/3)) = (1/2) / sqrt(1/6)
    assert steepest(0.5, 0.75) == pytest.approx(0.5 * 6**0.5)
    assert steepest(0.9, 0.5) == math.inf  # 0.81 / 0.5 > 1: old gradients leave v sooner than m


@pytest.mark.parametrize("seed", range(5))
def test_no_gradients_lead_beyond_the_steepest_ratio_and_a_mean_over_nodes_does_not_either(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    nodes = []
    for _ in range(3):
        optimizer, theta = AdamW(AdamWSettings(0.1, beta1=0.8, beta2=0.99), no_moments(100)), torch.zeros(100)
        for step in range(40):
            optimizer.step(theta, torch.randn(100, generator=generator) * 3.0 ** (step / (1 + seed)))
        nodes.append(optimizer.channels())
    mean = {name: torch.stack([c[name] for c in nodes]).mean(0) for name in ("m", "s")}
    for moments in (*nodes, mean):
        assert float((moments["m"].abs() / moments["s"]).max()) <= steepest(0.8, 0.99) * (1 + 1e-5)


def test_the_ratio_comes_near_its_bound_when_gradients_grow_by_the_worst_factor() -> None:
    optimizer, theta = AdamW(AdamWSettings(0.1, beta1=0.8, beta2=0.99), no_moments(1)), torch.zeros(1)
    for step in range(60):
        optimizer.step(theta, torch.tensor([(0.99 / 0.8) ** step]))
    found = optimizer.channels()
    assert float(found["m"] / found["s"]) > 0.98 * steepest(0.8, 0.99)


def test_a_denominator_that_was_lost_on_the_way_does_not_make_a_huge_step() -> None:
    lost = {"m": torch.tensor([1.0, 1.0]), "s": torch.tensor([0.0, 4.0]), "scalars": torch.tensor([0.2, 0.1])}
    moved = {}
    for floored in (False, True):
        theta = torch.zeros(2)
        AdamW(AdamWSettings(0.1, beta1=0.8, beta2=0.99, delayed=True, floored=floored), lost).step(
            theta, torch.zeros(2)
        )
        moved[floored] = theta.tolist()
    assert moved[False][0] < -1e6
    assert moved[True][0] == pytest.approx(-0.1 * (1.0 / 0.2) / (1.0 / steepest(0.8, 0.99) / 0.1), rel=1e-5)
    assert moved[True][1] == moved[False][1]  # what is in order stays as it is
