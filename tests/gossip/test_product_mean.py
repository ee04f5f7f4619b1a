"""Products mixed and cut back to their rank: against products that are formed, and where factors are degenerate."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from node.gossip.dpsgd import dpsgd
from node.gossip.factors import matrices, padded
from node.gossip.mixing import Heard
from node.gossip.product_mean import TRUNCATED, factored, product_mean, terms_of, truncated
from node.types import PeerId
from tests.gossip.pairs import adapters, layout, products
from tests.gossip.rounds import Rounds, path, ring
from tests.reference.product_mean_by_forming import product_mean_by_forming

SEEDS = range(4)
SHAPES = ((3, 7, 5), (2, 4, 6))


def pair_of(x, pair):
    return tuple(np.asarray(m, dtype=np.float64) for m in matrices(torch.as_tensor(np.asarray(x)), pair))


def test_two_peers_of_rank_one_worked_by_hand():
    # P = (2 0)^T (1 0) + (0 1)^T (0 1) = diag(2, 1), a half of each: the best of rank one is diag(1, 0), lost 1/sqrt(5)
    (pair,), _ = layout((1, 2, 2))
    start = np.array([[1.0, 0.0, 2.0, 0.0], [0.0, 1.0, 0.0, 1.0]])
    run = Rounds(product_mean([pair]), start, np.full((2, 2), 0.5))
    for x in run.after(1):
        np.testing.assert_allclose(products(x, [pair])[0], [[1.0, 0.0], [0.0, 0.0]], atol=1e-12)
        # mean A = (1/2 1/2), .71 of it on the direction; mean B = (1 1/2)^T, .89 of it: B = (1 0)^T, and A follows
        np.testing.assert_allclose(x, [1.0, 0.0, 1.0, 0.0], atol=1e-12)
    assert run.rule.measured(run.states["p00"])[TRUNCATED] == pytest.approx(5**-0.5)


@pytest.mark.parametrize("seed", SEEDS)
def test_it_is_the_best_approximation_of_the_formed_product(seed):
    pairs, d = layout(*SHAPES)
    start, w = adapters(4, d, pairs, seed, spread=1.0), ring(4)
    run = Rounds(product_mean(pairs), start, w)
    end = run.after(1)
    for i in range(4):
        lost, whole = 0.0, 0.0
        for pair in pairs:
            factors = [pair_of(x, pair) for x in start]
            wanted, share = product_mean_by_forming(w[i], factors, pair.r)
            np.testing.assert_allclose(products(end[i], [pair])[0], wanted, atol=1e-9)
            norm = np.linalg.norm(sum(c * b @ a for c, (a, b) in zip(w[i], factors, strict=True)))
            lost, whole = lost + (share * norm) ** 2, whole + norm**2
        state = run.states[PeerId(f"p{i:02d}")]
        assert run.rule.measured(state)[TRUNCATED] == pytest.approx((lost / whole) ** 0.5)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_peers_that_agree_are_a_fixed_point_factors_and_all(seed, dtype):
    pairs, d = layout(*SHAPES)
    start = adapters(4, d, pairs, seed, spread=0.0, dtype=dtype)
    np.testing.assert_allclose(Rounds(product_mean(pairs), start, ring(4)).after(5), start, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("r", [3, 4])
def test_where_the_rank_suffices_the_mean_of_products_is_kept(r):
    pairs, d = layout((r, 3, 3))  # no product here has a rank above three
    start = adapters(4, d, pairs, 0, spread=1.0)
    mean = np.mean([products(x, pairs)[0] for x in start], axis=0)
    for x in Rounds(product_mean(pairs), start, ring(4)).after(60):
        np.testing.assert_allclose(products(x, pairs)[0], mean, atol=1e-6)


def test_a_direction_that_a_factor_hardly_has_does_not_blow_up_the_other_one():
    # A is nearly (1 0), the product nearly all on (0 1): B = P / (A v) would be 1000
    cut = truncated([(1.0, torch.ones(1, 1).double(), torch.tensor([[0.001, 1.0]]).double())], 1)
    near = torch.tensor([[1.0, 0.0]]).double()
    b, a = factored(cut, torch.zeros(1, 1).double(), near)
    assert float(b.abs()) == pytest.approx(2.0, rel=1e-3)  # the least size is a half
    np.testing.assert_allclose(b @ a, [[0.001, 1.0]], atol=1e-12)


@pytest.mark.parametrize("what", ["b", "a", "both", "one column", "all but one peer"])
def test_zeros_give_finite_factors_that_can_be_learnt(what):
    (pair,), d = layout((3, 7, 5))
    start = adapters(4, d, [pair], 0)
    for x in start[1 if what == "all but one peer" else 0 :]:
        a, b = matrices(torch.from_numpy(x), pair)
        for m in {"b": [b], "a": [a], "both": [a, b], "one column": [b[:, 1]], "all but one peer": [b]}[what]:
            m.zero_()
    end = Rounds(product_mean([pair]), start, ring(4)).after(6)
    assert np.isfinite(end).all()
    if what == "b":
        common = Rounds(dpsgd(), start, ring(4)).after(6)
        np.testing.assert_allclose(end, common, atol=1e-9)  # A by entries, B zero
    if what in ("b", "one column"):
        a = torch.from_numpy(pair_of(end[0], pair)[0])
        assert float(torch.linalg.svdvals(a)[-1]) > 0.1  # every direction of A is there to be learnt


def test_gradients_at_a_start_with_zero_b_are_those_of_plain_mixing():
    (pair,), d = layout((2, 3, 4))
    start = adapters(2, d, [pair], 0, spread=0.0)
    start[:, pair.b] = 0.0
    mixed = torch.from_numpy(Rounds(product_mean([pair]), start, ring(2)).after(1)[0]).requires_grad_()
    a, b = matrices(mixed, pair)
    ((b @ (a @ torch.ones(3).double())) - 1.0).square().sum().backward()
    slope_a, slope_b = matrices(mixed.grad, pair)
    assert slope_b.abs().min() > 0.0
    assert not slope_a.any()


@pytest.mark.parametrize("seed", SEEDS)
def test_factors_stay_next_to_the_entrywise_mix(seed):
    pairs, d = layout(*SHAPES)
    start = adapters(4, d, pairs, seed, spread=0.05)
    end, plain = (Rounds(rule, start, ring(4)).after(1) for rule in (product_mean(pairs), dpsgd()))
    assert np.linalg.norm(end - plain) < 0.2 * np.linalg.norm(plain - start)


def test_peers_of_unequal_ranks_take_what_fits_and_keep_their_padding():
    (pair,), d = layout((3, 7, 5))
    start = adapters(3, d, [pair], 1, spread=0.5)
    rows = [padded({"theta": torch.from_numpy(x)}, [pair], k)["theta"] for x, k in zip(start, (3, 1, 2), strict=True)]
    end = Rounds(product_mean([pair]), np.stack(rows), path(3)).after(1)
    for i, rank in enumerate((3, 1, 2)):
        wanted, _ = product_mean_by_forming(path(3)[i], [pair_of(x, pair) for x in rows], rank)
        np.testing.assert_allclose(products(end[i], [pair])[0], wanted, atol=1e-9)
        a, b = pair_of(end[i], pair)
        assert not a[rank:].any()
        assert not b[:, rank:].any()


def test_what_a_codec_lost_is_taken_back_with_what_it_gave():
    # the neighbour holds 0.9 of ours: both ends of the edge move by w (B_j A_j - 0.81 B_i A_i), apart from the sign
    (pair,), d = layout((2, 3, 4))
    x, y = map(torch.from_numpy, adapters(2, d, [pair], 2))
    terms = terms_of({"theta": x}, {PeerId("b"): Heard({"theta": y}, {"theta": 0.9 * x}, 0)}, {PeerId("b"): 0.25})
    assert [c for c, _ in terms] == [1.0, 0.25, -0.25]
    terms = terms_of({"theta": x}, {PeerId("b"): Heard({"theta": y}, {"theta": x.clone()}, 0)}, {PeerId("b"): 0.25})
    assert [c for c, _ in terms] == [0.75, 0.25]


def test_a_round_without_neighbours_changes_nothing():
    (pair,), d = layout((2, 3, 4))
    start = adapters(2, d, [pair], 0)
    run = Rounds(product_mean([pair]), start, ring(2))
    assert np.array_equal(run.after(1, arrives=lambda a, b, round, hop: False), start)
    assert run.rule.measured(run.states["p00"]) == {TRUNCATED: 0.0}
