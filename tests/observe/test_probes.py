"""Products seen through probes: by hand, beside products that are formed, and what the noise is."""

from __future__ import annotations

import numpy as np
import pytest

from node.errors import LocalFault
from node.observe.probes import PROBES, product_sketch, signs
from node.types import Pair
from tests.reference.products_by_forming import formed, probed

PAIRS = (Pair(slice(0, 24), slice(24, 39), 3, 8, 5), Pair(slice(40, 52), slice(52, 60), 2, 6, 4))  # one entry between
D = 61


def adapter(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=D)


def test_a_product_of_one_number_worked_by_hand():
    # B A = 3 * 2, probes are signs: each of the 64 is 6 or -6, by sqrt(64)
    pair = Pair(slice(0, 1), slice(1, 2), 1, 1, 1)
    z = product_sketch(np.array([2.0, 3.0]), [pair], k=64)
    assert set(np.abs(z)) == {0.75}
    assert np.linalg.norm(z) == pytest.approx(6.0)


def test_it_is_what_the_formed_products_give():
    x = adapter(0)
    drawn = [signs(413, number, 64, pair) for number, pair in enumerate(PAIRS)]
    np.testing.assert_allclose(product_sketch(x, PAIRS, k=64), probed(x, PAIRS, drawn), rtol=1e-5, atol=1e-5)


def test_the_mean_square_over_seeds_is_that_of_the_distance_of_products():
    x, y = adapter(0), adapter(1)
    wanted = np.sum((formed(x, PAIRS) - formed(y, PAIRS)) ** 2)
    ratios = []
    for seed in range(400):
        z = product_sketch(x, PAIRS, seed=seed, k=64) - product_sketch(y, PAIRS, seed=seed, k=64)
        ratios.append(np.sum(z.astype(float) ** 2) / wanted)
    assert abs(np.mean(ratios) - 1.0) < 3 * np.std(ratios) / 20
    assert np.std(np.sqrt(ratios)) < np.sqrt(2 / 64)


def test_the_gauge_and_what_is_no_factor_do_not_show():
    x, q = adapter(0), np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    y = x.copy()
    y[:24] = (q.T @ x[:24].reshape(3, 8)).ravel()
    y[24:39] = (x[24:39].reshape(5, 3) @ q).ravel()
    y[[39, 60]] = 7.0
    np.testing.assert_allclose(product_sketch(x, PAIRS), product_sketch(y, PAIRS), atol=1e-5)


def test_rank_one_is_no_noisier_than_promised():
    pair, x = Pair(slice(0, 30), slice(30, 60), 1, 30, 30), np.ones(60)
    norms = [np.linalg.norm(product_sketch(x, [pair], seed=seed)) / 30.0 for seed in range(300)]
    assert np.mean(np.square(norms)) == pytest.approx(1.0, abs=0.04)
    assert np.std(norms) < 1.1 * np.sqrt(2 / PROBES)


def test_zero_b_gives_zero_and_nothing_gives_zero():
    x = adapter(0)
    x[24:39] = x[52:60] = 0.0
    assert not product_sketch(x, PAIRS).any()
    assert product_sketch(x, ()).shape == (PROBES,)


@pytest.mark.parametrize(("size", "k"), [(D, 100), (D, 0), (20, 64)])
def test_a_layout_or_a_length_that_cannot_be_is_a_bug(size, k):
    with pytest.raises(LocalFault):
        product_sketch(np.zeros(size), PAIRS, k=k)
