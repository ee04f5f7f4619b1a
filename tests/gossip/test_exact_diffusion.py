"""Exact diffusion and D2: by hand, against the papers' listings, the exact optimum, and what breaks each of them."""

from __future__ import annotations

import numpy as np
import pytest

from node.gossip.dpsgd import dpsgd
from node.gossip.exact_diffusion import exact_diffusion
from tests.gossip.rounds import (
    Rounds,
    losing,
    off,
    one_peer_exponential,
    path,
    quadratics,
    random_matching,
    ring,
    start_of,
)
from tests.reference.exact_diffusion_by_matrix import d2_by_matrix, exact_diffusion_by_matrix

TWINS = {True: exact_diffusion_by_matrix, False: d2_by_matrix}


def corrections(run: Rounds) -> np.ndarray:
    return np.stack([np.asarray(s.correction) for s in run.states.values()])


def test_two_rounds_on_a_path_of_two_worked_by_hand():
    # no training; W = [[2/3, 1/3], ...], Wbar moves 1/6 of the difference.
    # round 0: 0 + 6/6 = 1 and 5, c = 1 and -1. Round 1: phi = 2 and 4, x = 2 + 2/6 and 4 - 2/6
    run = Rounds(exact_diffusion(), np.array([[0.0], [6.0]]), path(2))
    run.advance()
    assert run.x.ravel().tolist() == pytest.approx([1.0, 5.0])
    assert corrections(run).ravel().tolist() == pytest.approx([1.0, -1.0])
    run.advance()
    assert run.x.ravel().tolist() == pytest.approx([7 / 3, 11 / 3])


@pytest.mark.parametrize("lazy", [True, False], ids=["exact diffusion", "D2"])
@pytest.mark.parametrize("n", [5, 8])
def test_it_agrees_with_the_papers_listing(lazy, n):
    problem = quadratics(n)
    found = Rounds(exact_diffusion(lazy), start_of(n), ring(n)).after(80, problem.train)
    np.testing.assert_allclose(found, TWINS[lazy](ring(n), start_of(n), problem.update, 80), atol=1e-12)


@pytest.mark.parametrize("lazy", [True, False], ids=["exact diffusion", "D2"])
def test_it_reaches_the_exact_optimum_where_dpsgd_keeps_a_bias(lazy):
    problem = quadratics(7)  # an even ring's W has -1/3, where D2 hardly settles
    ends = [Rounds(rule, start_of(7), ring(7)).after(300, problem.train) for rule in (exact_diffusion(lazy), dpsgd())]
    assert off(ends[0], problem.optimum) < 1e-6
    assert off(ends[1], problem.optimum) > 0.1


@pytest.mark.parametrize("seed", range(3))
def test_corrections_sum_to_zero_and_the_mean_moves_by_the_mean_update(seed):
    problem, x = quadratics(8, seed=seed), start_of(8, seed)
    run = Rounds(exact_diffusion(), x, ring(8))
    for _ in range(20):
        expected = run.x.mean(0) + problem.update(run.x).mean(0)
        run.after(1, problem.train)
        np.testing.assert_allclose(run.x.mean(0), expected, atol=1e-12)
        np.testing.assert_allclose(corrections(run).sum(0), 0, atol=1e-12)


def test_in_float32_rounding_does_not_gather_in_the_mean():
    problem, start = quadratics(8), start_of(8).astype(np.float32) + 100.0
    end = Rounds(exact_diffusion(), start, ring(8)).after(600, problem.train)
    assert end.dtype == np.float32
    assert off(end, problem.optimum) < 2e-5


# ---- what no theory covers
@pytest.mark.parametrize("w", [one_peer_exponential(8), random_matching(8, 3)], ids=["one-peer", "matching"])
def test_on_schedules_the_lazy_form_was_exact_and_d2_never_settled(w):
    problem = quadratics(8)
    assert off(Rounds(exact_diffusion(), start_of(8), w).after(300, problem.train), problem.optimum) < 1e-6
    assert off(Rounds(exact_diffusion(lazy=False), start_of(8), w).after(300, problem.train), problem.optimum) > 0.1


def test_d2_diverges_where_an_eigenvalue_is_below_minus_a_third_and_the_lazy_form_does_not():
    problem, w = quadratics(4), np.roll(np.eye(4), 1, axis=1)
    w = 0.2 * np.eye(4) + 0.4 * (w + w.T)  # a ring of four: 0.2 - 0.8 = -0.6
    assert off(Rounds(exact_diffusion(lazy=False), start_of(4), w).after(100, problem.train), problem.optimum) > 1e3
    assert off(Rounds(exact_diffusion(), start_of(4), w).after(300, problem.train), problem.optimum) < 1e-6


def test_a_loss_that_nobody_settles_leaves_a_bias_for_good():
    problem = quadratics(8)
    run = Rounds(exact_diffusion(), start_of(8), ring(8))
    run.after(400, problem.train, losing(0.05, 0, until=150))
    left = corrections(run).sum(0) / 8
    np.testing.assert_allclose(-left, problem.update(run.x).mean(0), atol=1e-9)  # it stops where the mean update is -c
    assert off(run.x, problem.optimum) > 0.1


# ---- state
def test_a_stopped_run_goes_on_with_the_same_bits():
    problem, start = quadratics(5), start_of(5).astype(np.float32)
    whole = Rounds(exact_diffusion(), start, ring(5)).after(20, problem.train)
    first = Rounds(exact_diffusion(), start, ring(5))
    first.after(9, problem.train)
    first.stopped_and_resumed()
    assert np.array_equal(first.after(11, problem.train), whole)


def test_a_peer_that_takes_anothers_parameters_keeps_its_correction():
    run, problem = Rounds(exact_diffusion(), start_of(6), ring(6)), quadratics(6)
    run.after(50, problem.train)
    run.shared["p02"] = run.shared["p01"]
    run.states["p02"] = run.rule.adopt(run.shared["p02"], run.states["p02"], run.context("p02", 0))
    assert off(run.after(300, problem.train), problem.optimum) < 1e-6


def test_moments_are_mixed_by_the_same_weights():
    start = {"theta": np.array([[0.0], [6.0]]), "m": np.array([[12.0], [0.0]])}
    run = Rounds(exact_diffusion(), start, path(2))
    run.advance()
    assert run.stack("m").ravel().tolist() == pytest.approx([10.0, 2.0])
