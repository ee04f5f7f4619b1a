"""MATCHA: probabilities and step size by hand, against all cases, and against what is drawn."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from node.graph.families.generators import GENERATORS
from node.graph.scheduling.edge_colouring import matchings_of
from node.graph.scheduling.matcha import Cut, best_alpha, best_chances, plan_of
from node.graph.scheduling.schedule import positions
from node.graph.scheduling.schedules import SCHEDULES
from tests.graph.schedule_cases import matrix
from tests.graph.shapes import ids
from tests.reference.matcha_by_cases import norm_of_expectation

GRAPHS = {
    "path": [(i, i + 1) for i in range(5)],
    "two triangles and a bridge": [(0, 1), (0, 2), (1, 2), (2, 3), (3, 4), (3, 5), (4, 5)],
    "star": [(0, i) for i in range(1, 6)],
    "kite": [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3), (3, 4), (4, 5)],
}
graphs = pytest.mark.parametrize("pairs", GRAPHS.values(), ids=GRAPHS)


def connectivity(cut: Cut, chances) -> float:
    return float(np.linalg.eigvalsh(cut.laplacian(np.asarray(chances)))[1])


def test_path_of_three_by_hand():
    # Two matchings of one edge, each on with 1/2. On the eigenvectors of L (1 and 3) E[W^2] is 1 - a + 3/4 a^2 and
    # 1 - 3 a + 15/4 a^2; both are 2/3 at a = 2/3, where the first is smallest.
    plan = plan_of(3, ((0, 1), (1, 2)), 0.5)

    assert plan.matchings == [[(0, 1)], [(1, 2)]]
    assert plan.chances == (0.5, 0.5)
    assert plan.alpha == pytest.approx(2 / 3, abs=1e-6)
    assert norm_of_expectation(3, plan.matchings, plan.chances, plan.alpha) == pytest.approx(2 / 3, abs=1e-6)


def test_the_bridge_is_on_more_often_than_the_edges_of_the_triangles():
    plan = plan_of(6, tuple(GRAPHS["two triangles and a bridge"]), 0.4)

    bridge = next(p for p, m in zip(plan.chances, plan.matchings, strict=True) if (2, 3) in m)

    assert bridge == max(plan.chances)
    assert bridge > 0.4
    assert sum(plan.chances) == pytest.approx(0.4 * len(plan.matchings), abs=0.002)


@graphs
@pytest.mark.parametrize("budget", [0.2, 0.5, 0.9])
def test_probabilities_keep_to_the_budget_and_no_draw_of_others_connects_better(pairs, budget: float):
    cut = Cut(6, matchings_of(6, pairs))
    chances = best_chances(cut, budget)
    rng = np.random.default_rng(0)

    best = 0.0
    for _ in range(2000):
        other = rng.dirichlet(np.ones(len(chances))) * budget * len(chances)
        best = max(best, connectivity(cut, other)) if (other <= 1).all() else best

    assert (chances >= 0).all()
    assert (chances <= 1).all()
    assert chances.sum() == pytest.approx(budget * len(chances), abs=1e-9)
    assert connectivity(cut, chances) > 0.98 * best
    assert connectivity(cut, chances) >= 0.98 * connectivity(cut, np.full(len(chances), budget))


@pytest.mark.parametrize("budget", [0.3, 0.7])
def test_connectivity_is_that_of_the_semidefinite_programme(budget: float):
    cp = pytest.importorskip("cvxpy")
    graph = nx.barbell_graph(4, 0)
    cut = Cut(8, matchings_of(8, sorted((min(e), max(e)) for e in graph.edges)))
    p, low = cp.Variable(len(cut.matchings)), cp.Variable()
    unit = np.eye(len(cut.matchings))
    laplacian = sum(p[j] * cut.laplacian(unit[j]) for j in range(len(cut.matchings)))
    limits = [laplacian - low * (np.eye(8) - 1 / 8) >> 0, p >= 0, p <= 1, cp.sum(p) <= budget * len(cut.matchings)]
    cp.Problem(cp.Maximize(low), limits).solve()

    assert connectivity(cut, best_chances(cut, budget)) == pytest.approx(float(low.value), rel=5e-3)


@graphs
@pytest.mark.parametrize("budget", [0.3, 0.6])
def test_the_step_size_is_the_best_in_expectation_over_all_cases(pairs, budget: float):
    matchings = matchings_of(6, pairs)
    cut = Cut(6, matchings)
    chances = best_chances(cut, budget)

    alpha = best_alpha(cut, chances)
    at = {step: norm_of_expectation(6, matchings, chances, alpha + step) for step in (-1e-3, 0.0, 1e-3)}

    assert at[0.0] <= min(at.values()) + 1e-12
    assert at[0.0] < 1


def test_rounds_are_drawn_with_these_probabilities():
    # Monte Carlo: the mean of W over many rounds is I - alpha E[L], entry by entry, within four sigma.
    edges = GENERATORS["torus"](ids(9)).edges
    schedule = SCHEDULES["matcha"](ids(9), edges, budget=0.4, seed=1)
    plan = plan_of(9, tuple(positions(ids(9), edges)), 0.4)
    rounds = 2000

    mean = sum(matrix(schedule, t, 9) for t in range(rounds)) / rounds

    expected = np.eye(9) - plan.alpha * Cut(9, plan.matchings).laplacian(np.array(plan.chances))
    assert np.abs(mean - expected).max() < 4 * 4 * plan.alpha * 0.5 / rounds**0.5


def test_values_halfway_between_two_fractions_fall_on_one_side():
    ring = tuple(sorted((min(i, (i + 1) % 8), max(i, (i + 1) % 8)) for i in range(8)))

    plans = [plan_of(8, ring, 0.3125 + noise) for noise in (-1e-9, 0.0, 1e-9)]

    assert [plan.chances for plan in plans] == [(0.313, 0.313)] * 3


def test_the_whole_budget_is_the_static_graph_with_the_best_constant_weight():
    plan = plan_of(4, ((0, 1), (0, 3), (1, 2), (2, 3)), 1.0)

    assert plan.chances == (1.0, 1.0)
    assert plan.alpha == pytest.approx(2 / (2 + 4), abs=1e-6)  # 2 / (lambda_2 + lambda_n) of the ring of four
