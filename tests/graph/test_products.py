"""What the product of W(t) leaves of a spread."""

from __future__ import annotations

import numpy as np
import pytest

from node.graph.advice.products import centred, exact_rounds, matrix_of, norm, rate, rounds_to_by_products
from node.graph.families.generators import GENERATORS
from node.graph.scheduling.schedules import SCHEDULES
from node.graph.weighting.spectrum import contraction, rounds_to
from tests.graph.schedule_cases import CASES, Case, matrix
from tests.graph.shapes import ids

cases = pytest.mark.parametrize("case", CASES, ids=str)


def static(graph: str):
    """Metropolis on a graph, as a schedule."""
    return lambda n: SCHEDULES["failing_links"](ids(n), GENERATORS[graph](ids(n)).edges, p=0.0)


def test_one_peer_exponential_on_four_by_hand():
    # I + P over 2 has the eigenvalues (1 + w) / 2: sqrt(1/2), 0, sqrt(1/2) besides 1, and it is normal; then exact.
    schedule = SCHEDULES["one_peer_exponential"](ids(4), ())

    assert norm(centred(matrix(schedule, 0, 4))) == pytest.approx(0.5**0.5)
    assert rounds_to_by_products(schedule, 4, 0.71) == 1
    assert rounds_to_by_products(schedule, 4) == exact_rounds(schedule, 4) == 2
    assert rate(schedule, 4) == 0.0


def test_three_rounds_on_three_nodes_by_hand():
    # tau = 2 rounds leave (1 + w)(1 + w^2) / 4 = (2 + w + w^2) / 4 = 1/4 of either eigenvector.
    schedule = SCHEDULES["one_peer_exponential"](ids(3), ())

    assert exact_rounds(schedule, 3) is None
    assert rate(schedule, 3) == pytest.approx(0.5)
    assert rounds_to_by_products(schedule, 3) == 10  # 2^-10 < 1e-3


@pytest.mark.parametrize(
    ("graph", "n", "rounds"), [("path", 10, 209), ("ring", 10, 51), ("star", 10, 66), ("torus", 16, 14)]
)
def test_static_graphs_take_the_rounds_that_their_eigenvalues_say(graph: str, n: int, rounds: int):
    schedule = static(graph)(n)
    w = matrix(schedule, 0, n)

    assert rounds_to_by_products(schedule, n) == rounds_to(w) == rounds
    assert rate(schedule, n) == pytest.approx(contraction(w), abs=1e-12)


@pytest.mark.parametrize(("n", "rounds"), [(10, 14), (16, 14)])
def test_static_exponential_takes_the_tabulated_rounds(n: int, rounds: int):
    schedule = SCHEDULES["exponential_peers"](ids(n), (), peers=4)

    assert rounds_to_by_products(schedule, n) == rounds


# MATCHA with the whole budget is left out: its alpha is rounded to 1e-6, so that it is exact on some sizes by chance.
@pytest.mark.parametrize("case", [c for c in CASES if c.settings.get("budget") != 1.0], ids=str)
@pytest.mark.parametrize("n", [5, 8, 12])
def test_a_schedule_is_exact_where_it_says_so_and_nowhere_else(case: Case, n: int):
    schedule = case.made(n)

    assert exact_rounds(schedule, n) == schedule.exact


@pytest.mark.parametrize("n", range(2, 40))
def test_one_peer_exponential_is_exact_on_powers_of_two_only(n: int):
    schedule = SCHEDULES["one_peer_exponential"](ids(n), ())

    assert exact_rounds(schedule, n) == schedule.exact == ((n - 1).bit_length() if n & (n - 1) == 0 else None)


@pytest.mark.parametrize("n", range(4, 40))
def test_more_exponential_peers_are_never_exact(n: int):
    for peers in range(2, (n - 1).bit_length() + 1):
        assert SCHEDULES["exponential_peers"](ids(n), (), peers=peers).exact is None


@cases
def test_rounds_are_the_first_whose_product_is_small_enough(case: Case):
    n, schedule = 8, case.made(8)

    rounds = rounds_to_by_products(schedule, n)

    left, product = [], np.eye(n)
    for t in range(rounds):
        product = matrix(schedule, t, n) @ product
        left.append(np.linalg.svd(product - product.mean(axis=0))[1][0])
    assert left[-1] <= 1e-3 < min(left[:-1], default=1)


@pytest.mark.parametrize("n", [6, 150])
def test_the_norm_is_the_largest_singular_value(n: int):
    a = np.cos(np.outer(np.arange(n), np.arange(1, n + 1)) ** 1.5)

    assert norm(a) == pytest.approx(np.linalg.svd(a)[1][0], rel=1e-10)
    assert norm(np.zeros((n, n))) == 0.0


@pytest.mark.parametrize("case", [c for c in CASES if c.made(16).period is None], ids=str)
def test_the_rate_of_what_is_drawn_is_that_of_a_long_product(case: Case):
    n, schedule, logs = 16, case.made(16), []
    product = centred(np.eye(n))
    for t in range(550):
        product = centred(matrix(schedule, t, n) @ product)
        logs.append(np.log(np.linalg.norm(product)))
        product /= np.linalg.norm(product)

    assert np.log(rate(schedule, n)) == pytest.approx(np.mean(logs[50:]), rel=0.1)


@pytest.mark.parametrize("peers", [1, 2, 3])
def test_the_rate_of_many_nodes_is_measured_and_is_the_eigenvalue(peers: int):
    n, schedule = 140, SCHEDULES["exponential_peers"](ids(140), (), peers=peers)
    product = np.eye(n)
    for t in range(schedule.period):
        product = centred(matrix(schedule, t, n) @ product)

    assert rate(schedule, n) == pytest.approx(
        np.abs(np.linalg.eigvals(product)).max() ** (1 / schedule.period), abs=1e-3
    )


@pytest.mark.parametrize(("n", "s"), [(16, 1), (16, 4), (40, 3)])
@pytest.mark.parametrize("oracle", [True, False])
def test_epidemic_learning_contracts_by_the_factor_of_its_paper(n: int, s: int, oracle: bool):
    schedule = SCHEDULES["epidemic"](ids(n), (), s=s, oracle=oracle)
    x = centred(np.cos(np.arange(n)))
    share = s / (n - 1)
    factor = (1 - share) / (s + 1) if oracle else (1 - (1 - share) ** n) / s - 1 / (n - 1)

    left = np.array([np.square(matrix_of(schedule, t) @ x).sum() / np.square(x).sum() for t in range(600)])

    assert left.mean() == pytest.approx(factor, abs=4 * left.std() / len(left) ** 0.5)


@pytest.mark.parametrize("n", [8, 16])
def test_random_matchings_leave_the_share_of_the_spread_that_the_docstring_says(n: int):
    schedule = SCHEDULES["random_matching"](ids(n), ())
    x = centred(np.cos(np.arange(n)))

    left = np.array([np.square(matrix_of(schedule, t) @ x).sum() / np.square(x).sum() for t in range(600)])

    assert left.mean() == pytest.approx((1 - 1 / (n - 1)) / 2, abs=4 * left.std() / len(left) ** 0.5)


def test_a_graph_that_never_agrees_is_given_up():
    schedule = static("ring")(16)

    assert rounds_to_by_products(schedule, 16, most=50) is None
    assert rounds_to_by_products(schedule, 1) == 0
