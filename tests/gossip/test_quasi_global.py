"""Quasi-global momentum: by hand, against the paper's listing, faster than D-PSGD and as far off."""

from __future__ import annotations

import numpy as np
import pytest

from node.errors import ConfigError
from node.gossip.dpsgd import dpsgd
from node.gossip.quasi_global import quasi_global
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
from tests.reference.quasi_global_by_matrix import quasi_global_by_matrix

SCHEDULES = {"ring": ring(8), "one-peer exponential": one_peer_exponential(8), "random matching": random_matching(8, 3)}


def test_two_rounds_of_one_peer_worked_by_hand():
    # u = -1 each round, beta 1/2, mu 3/4. Round 0: 10 - 1 = 9, m = 1/4 * (9 - 10). Round 1: 9 - 1 + 1/2 * -1/4
    run = Rounds(quasi_global(0.5, 0.75), np.array([[10.0]]), np.eye(1))
    run.after(1, lambda i, x: x - 1.0)
    assert float(run.states["p00"].momentum) == -0.25
    run.after(1, lambda i, x: x - 1.0)
    assert run.x.item() == 7.875


@pytest.mark.parametrize("name", SCHEDULES)
def test_it_agrees_with_the_papers_listing(name):
    problem, w = quadratics(8), SCHEDULES[name]
    found = Rounds(quasi_global(0.9, 0.8), start_of(8), w).after(60, problem.train)

    def gradient(x: np.ndarray) -> np.ndarray:
        return np.einsum("nij,nj->ni", problem.a, x - problem.b)

    schedule = w if callable(w) else lambda t: w
    expected = quasi_global_by_matrix(schedule, start_of(8), gradient, problem.lr, 0.9, 0.8, 60)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_it_comes_nearer_than_dpsgd_in_as_many_rounds():
    problem, far = quadratics(8, lr=0.005), start_of(8) + 10.0
    away = [
        off(Rounds(rule, far, ring(8)).after(100, problem.train), problem.optimum) for rule in (quasi_global(), dpsgd())
    ]
    assert away[0] < 0.2 * away[1]


def test_in_the_end_it_has_the_bias_of_dpsgd_since_momentum_at_rest_is_zero():
    problem = quadratics(8, lr=0.05)
    ends = [Rounds(rule, start_of(8), ring(8)).after(500, problem.train) for rule in (quasi_global(), dpsgd())]
    np.testing.assert_allclose(*ends, atol=1e-4)
    assert off(ends[0], problem.optimum) > 0.1


def test_the_mean_is_kept_where_nothing_is_trained():
    run = Rounds(quasi_global(), start_of(8), ring(8))
    for _ in range(200):
        run.advance()
    np.testing.assert_allclose(run.x, np.broadcast_to(start_of(8).mean(0), (8, 5)), atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_five_percent_loss_moves_the_end_no_further_than_dpsgds(seed):
    problem, away = quadratics(8, lr=0.02), {}
    for name, rule in (("dpsgd", dpsgd()), ("quasi-global", quasi_global())):
        run = Rounds(rule, start_of(8), ring(8))
        away[name] = off(run.after(200, problem.train, losing(0.05, seed)), problem.optimum)
    assert away["quasi-global"] < 2.0 * away["dpsgd"]


def test_a_stopped_run_goes_on_with_the_same_bits():
    problem, rule = quadratics(5), quasi_global()
    whole = Rounds(rule, start_of(5).astype(np.float32), ring(5))
    whole.after(20, problem.train)
    first = Rounds(rule, start_of(5).astype(np.float32), ring(5))
    first.after(9, problem.train)
    first.stopped_and_resumed()
    assert np.array_equal(first.after(11, problem.train), whole.x)


def test_a_peer_that_takes_anothers_state_starts_without_momentum():
    run = Rounds(quasi_global(), start_of(4), path(4))
    run.after(5, quadratics(4).train)
    assert run.rule.adopt is None
    assert not run.rule.init(run.shared["p00"], run.context("p00", 0)).momentum.any()


@pytest.mark.parametrize(("beta", "mu"), [(1.0, None), (-0.1, None), (0.9, 1.0), (0.9, float("nan"))])
def test_momentum_out_of_range_is_refused(beta, mu):
    with pytest.raises(ConfigError, match="quasi-global"):
        quasi_global(beta, mu)
