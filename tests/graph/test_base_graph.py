"""The Base-(k+1) graph: exact after the tabulated rounds, for any number of nodes."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from numpy.typing import NDArray

from node.graph.advice.products import matrix_of
from node.graph.scheduling.base_graph import base_rounds, hyper_hypercube, simple_base_rounds
from node.graph.scheduling.schedules import SCHEDULES
from tests.graph.shapes import ids
from tests.reference.base_graph_by_listing import base_graph

TABLE = {10: (6, 4, 4, 2), 16: (4, 4, 2, 2), 20: (7, 5, 4, 2), 32: (5, 5, 3, 3), 100: (11, 8, 6, 3)}  # n -> k = 1 .. 4


def matrices(n: int, k: int) -> list[NDArray[np.float64]]:
    found = []
    for meetings in base_rounds(range(n), k):
        w = np.zeros((n, n))
        for (i, j), weight in meetings.items():
            w[i, j] = w[j, i] = weight
        found.append(w + np.diag(1 - w.sum(axis=1)))
    return found


def test_base_2_on_five_by_hand():
    # 5 = 4 + 1: four agree (2 rounds), the fifth gives its part to one of them while the other three meet as they can
    # (weight 4/5: the fifth then holds the mean), and the four agree again.
    assert base_rounds(range(5), 1) == [
        {(0, 1): 1 / 2, (2, 3): 1 / 2},
        {(0, 2): 1 / 2, (1, 3): 1 / 2},
        {(3, 4): 4 / 5, (0, 1): 1 / 2},
        {(0, 1): 1 / 2, (2, 3): 1 / 2},
        {(0, 2): 1 / 2, (1, 3): 1 / 2},
    ]


def test_base_3_on_five_by_hand():
    # 5 = 3 + 2: each of the two meets one of the three with weight 3/5, then the three agree again.
    three = {(0, 1): 1 / 3, (0, 2): 1 / 3, (1, 2): 1 / 3}

    assert base_rounds(range(5), 2) == [
        {**three, (3, 4): 1 / 2},
        {(2, 3): 3 / 5, (1, 4): 3 / 5},
        {**three, (3, 4): 1 / 2},
    ]


def test_six_nodes_of_at_most_two_neighbours_meet_by_two_digits():
    assert hyper_hypercube(range(6), 2) == [
        {(0, 1): 1 / 2, (2, 3): 1 / 2, (4, 5): 1 / 2},
        {(0, 2): 1 / 3, (0, 4): 1 / 3, (2, 4): 1 / 3, (1, 3): 1 / 3, (1, 5): 1 / 3, (3, 5): 1 / 3},
    ]


def test_splitting_off_the_small_primes_saves_rounds():
    # 10 = 2 * 5: two fives side by side and one round across, against 8 + 2.
    assert len(simple_base_rounds(range(10), 1)) == 7
    assert len(base_rounds(range(10), 1)) == 6


@pytest.mark.parametrize("k", [1, 2, 3, 4])
@pytest.mark.parametrize("n", TABLE)
def test_rounds_of_the_table(n: int, k: int):
    schedule = SCHEDULES["base"](ids(n), (), k=k)

    assert schedule.period == schedule.exact == TABLE[n][k - 1]


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 6])
def test_the_product_is_the_mean_on_any_number_of_nodes(k: int):
    for n in range(max(2, k + 1), 131):
        product = np.eye(n)
        for w in matrices(n, k):
            assert (np.count_nonzero(w - np.diag(np.diag(w)), axis=1) <= k).all(), (n, k)
            assert w.min() > -1e-15, (n, k)
            product = w @ product
        np.testing.assert_allclose(product, np.full((n, n), 1 / n), rtol=0, atol=1e-14, err_msg=f"{n} {k}")


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 6])
def test_rounds_stay_below_the_bound_of_the_paper(k: int):
    assert len(base_rounds(range(k + 1), k)) == 1  # all can meet at once
    for n in range(k + 2, 131):
        assert len(base_rounds(range(n), k)) <= 2 * log(n, k + 1) + 2, n  # theorem 1


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_w_is_what_the_listing_of_the_paper_gives(k: int):
    for n in range(k + 1, 27):
        slow, fast = base_graph(n, k), matrices(n, k)
        assert len(slow) == len(fast), n
        for w, v in zip(slow, fast, strict=True):
            np.testing.assert_allclose(v, w, rtol=0, atol=1e-15, err_msg=str(n))


def test_a_thousand_nodes_agree_to_rounding():
    n = 1000
    schedule = SCHEDULES["base"](ids(n), (), k=2)
    x = np.cos(np.arange(n))
    mean = x.mean()

    for t in range(schedule.period):
        x = matrix_of(schedule, t) @ x

    assert np.abs(x - mean).max() < 1e-14
