from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from node.learn.dealing.shares import _uniforms, apportioned, dirichlet, log_gamma, power_law
from tests.reference import gamma_by_paper

SEEDS = range(5)


def test_ten_are_apportioned_by_the_largest_remainders() -> None:
    assert apportioned(10, np.array([0.55, 0.25, 0.2])).tolist() == [6, 2, 2]  # 5.5, 2.5, 2: the first tie goes up
    assert apportioned(7, np.array([0.5, 0.3, 0.2])).tolist() == [4, 2, 1]  # 3.5, 2.1, 1.4
    assert apportioned(0, np.array([0.5, 0.5])).tolist() == [0, 0]


def test_a_power_law_of_one_on_three_nodes_is_six_three_two_elevenths() -> None:
    assert sorted(power_law(3, 1.0, "x") * 11) == pytest.approx([2, 3, 6])
    assert power_law(4, 0.0, "x").tolist() == [0.25] * 4
    assert len({tuple(power_law(5, 1.0, seed)) for seed in range(20)}) > 10  # who has most is drawn


@pytest.mark.parametrize("shape", [0.05, 0.3, 1.0, 2.5, 40.0])
def test_gamma_numbers_follow_their_law(shape: float) -> None:
    numbers = _uniforms("gamma", shape)
    drawn = [math.exp(log_gamma(shape, numbers)) for _ in range(2000)]

    assert stats.kstest(drawn, stats.gamma(shape).cdf).pvalue > 1e-3


@pytest.mark.parametrize("shape", [0.05, 0.3, 1.0, 2.5, 40.0])
def test_gamma_numbers_are_those_of_the_paper(shape: float) -> None:
    """A thousand in a row, from one stream: one rejection too many or too few, and all that follow differ."""
    ours, theirs = _uniforms("twin", shape), _uniforms("twin", shape)

    drawn = [(math.exp(log_gamma(shape, ours)), gamma_by_paper.gamma(shape, theirs)) for _ in range(1000)]

    assert [a for a, _ in drawn] == pytest.approx([b for _, b in drawn], rel=1e-9)


@pytest.mark.parametrize("alpha", [0.1, 1.0, 10.0])
def test_one_share_of_a_dirichlet_is_a_beta_number(alpha: float) -> None:
    first = [dirichlet(4, alpha, "beta", i)[0] for i in range(1500)]

    assert stats.kstest(first, stats.beta(alpha, 3 * alpha).cdf).pvalue > 1e-3


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("alpha", [1e-6, 1e-3, 0.1, 1e4])
def test_shares_sum_to_one_at_any_alpha(alpha: float, seed: int) -> None:
    shares = dirichlet(9, alpha, seed)

    assert shares.sum() == pytest.approx(1.0)
    assert bool((shares >= 0).all())
    assert dirichlet(9, alpha, seed).tolist() == shares.tolist()
    assert apportioned(1000, shares).sum() == 1000
    assert bool((np.abs(apportioned(1000, shares) - 1000 * shares) < 1).all())


def test_the_draw_is_pinned() -> None:
    """What every node of every build must compute: change it, and all deals change."""
    assert dirichlet(3, 0.3, 7, "pin").tolist() == pytest.approx(PINNED, rel=1e-12)


PINNED = [0.07895894020990318, 0.9123911895165797, 0.008649870273517081]
