"""Distances and contraction, worked by hand first."""

from __future__ import annotations

import math

import numpy as np
import pytest

from node.observe.distance import (
    consensus_distance,
    contraction,
    distances_to_mean,
    keeps_promise,
    pairwise,
    spread,
    window_contraction,
)
from node.observe.sketch import sketch

PATH = np.array([[2, 1, 0], [1, 1, 1], [0, 1, 2]]) / 3  # Metropolis on a path of three; eigenvalues 1, 2/3, 0


def test_three_nodes_on_a_line_by_hand():
    """x = 0, 3, 6 (mean 3): spread sqrt((9 + 0 + 9) / 3) = sqrt 6, and relative to the mean sqrt(6) / 3."""
    rows = [[0.0], [3.0], [6.0]]
    assert spread(rows) == pytest.approx(math.sqrt(6))
    assert consensus_distance(rows) == pytest.approx(math.sqrt(6) / 3)
    assert distances_to_mean(rows) == pytest.approx([1.0, 0.0, 1.0])
    assert pairwise(rows) == pytest.approx(np.array([[0, 3, 6], [3, 0, 3], [6, 3, 0]]))


def test_one_metropolis_step_on_the_path_shrinks_that_line_by_two_thirds():
    """(0, 3, 6) is the eigenvector of 2/3 plus the mean: W x = (1, 3, 5)."""
    before = np.array([[0.0], [3.0], [6.0]])
    assert contraction(before, PATH @ before) == pytest.approx(2 / 3)


def test_distances_to_mean_and_consensus_distance_agree():
    rows = np.random.default_rng(0).standard_normal((7, 30))
    assert np.sqrt(np.mean(distances_to_mean(rows) ** 2)) == pytest.approx(consensus_distance(rows))


def test_nodes_at_the_start_have_distance_zero_and_nodes_that_cancel_out_an_infinite_one():
    assert consensus_distance([[0.0, 0.0], [0.0, 0.0]]) == 0.0
    assert consensus_distance([[1.0], [-1.0]]) == math.inf


def test_nodes_that_agree_have_no_contraction_to_measure():
    assert contraction([[1.0], [1.0]], [[1.0], [1.0]]) is None
    assert contraction([[0.0], [0.0]], [[0.0], [0.0]]) is None
    assert contraction([[1.0], [1.0 + 1e-8]], [[1.0], [1.0]]) is None


def test_a_mean_that_moves_does_not_hide_in_the_contraction():
    """0 and 2 become 10 and 11: half the spread, whatever happened to the mean."""
    assert contraction([[0.0], [2.0]], [[10.0], [11.0]]) == pytest.approx(0.5)


def test_a_window_takes_the_geometric_mean_and_skips_rounds_without_a_ratio():
    assert window_contraction([0.5, None, 0.125]) == pytest.approx(0.25)
    assert window_contraction([0.5, 0.0]) == 0.0
    assert window_contraction([None]) is None
    assert window_contraction([math.inf, math.nan]) is None


@pytest.mark.parametrize("seed", range(10))
def test_no_vectors_shrink_slower_than_the_spectral_gap_says(seed):
    before = np.random.default_rng(seed).standard_normal((3, 40))
    measured = contraction(before, PATH @ before)
    assert measured is not None
    assert measured <= 2 / 3 + 1e-12


@pytest.mark.parametrize("seed", range(20))
def test_sketches_tell_the_consensus_distance_and_the_contraction_within_ten_percent(seed):
    generator = np.random.default_rng(seed)
    before = generator.standard_normal(20_000) + 0.3 * generator.standard_normal((3, 20_000))
    after = PATH @ before
    s_before, s_after = (np.stack([sketch(x, seed=seed) for x in rows]) for rows in (before, after))
    assert consensus_distance(s_before) == pytest.approx(consensus_distance(before), rel=0.1)
    assert contraction(s_before, s_after) == pytest.approx(contraction(before, after), rel=0.1)


@pytest.mark.parametrize("seed", range(10))
def test_noise_of_short_sketches_never_raises_a_false_alarm(seed):
    """S(W x) = W S(x): with k = 8 norms are off by 25 %, the bound of the contraction by nothing."""
    before = np.random.default_rng(seed).standard_normal((3, 5_000))
    s_before, s_after = (np.stack([sketch(x, seed=seed, k=8) for x in rows]) for rows in (before, PATH @ before))
    measured = contraction(s_before, s_after)
    assert measured is not None
    assert measured <= 2 / 3 + 1e-5


def test_a_healthy_gossip_is_not_called_slow_and_a_silent_neighbour_is_noticed():
    assert keeps_promise(0.7, 2 / 3)
    assert keeps_promise(1e-6, 0.0)
    assert not keeps_promise(0.8, 2 / 3)
    assert not keeps_promise(0.05, 0.0)
