"""Factor pairs in flat vectors: gauges and turns, per-edge alignment, padding of unequal ranks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from node.gossip.aligned import aligned, aligned_mean, padded_mean
from node.gossip.dpsgd import dpsgd
from node.gossip.factors import held, matrices, padded, turn, turned
from node.gossip.mixing import Heard
from node.types import PeerId
from tests.gossip.pairs import adapters, layout, orthogonal, products
from tests.gossip.rounds import Rounds, path, ring

SEEDS = range(4)
SHAPES = ((3, 7, 5), (2, 4, 6))


def vector(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def in_another_gauge(x, pairs, seed):
    x = torch.as_tensor(x)
    return turned(x, pairs, [torch.from_numpy(orthogonal(pair.r, seed + k)) for k, pair in enumerate(pairs)])


def hears(theirs, mine):
    return {PeerId("b"): Heard({"theta": theirs}, {"theta": mine}, 0)}


# ---- one turn
def test_a_pair_of_rank_one_with_both_signs_turned_is_turned_back():
    # A = [3], B = [1, 2]^T against A = [-3], B = [-1, -2]^T: M = -(1 + 4) - 9 = -14, Q = -1
    (pair,), _ = layout((1, 1, 2))
    ours, theirs = vector(3, 1, 2), vector(-3, -1, -2)
    assert turn(theirs, ours, pair).item() == pytest.approx(-1.0)
    assert aligned_mean([pair])({"theta": ours}, hears(theirs, ours), {PeerId("b"): 0.5})["theta"].tolist() == [3, 1, 2]


def test_a_quarter_turn_of_two_directions_worked_by_hand():
    # A = I, B = (1 2), theirs (B R, R^T A) with R = (0 1; -1 0): A' = (0 -1; 1 0), B' = (-2 1). Back by Q = R^T
    (pair,), _ = layout((2, 2, 1))
    theirs = vector(0, -1, 1, 0, -2, 1)
    q = turn(theirs, vector(1, 0, 0, 1, 1, 2), pair)
    assert torch.allclose(q, torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64), atol=1e-5)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_the_same_adapter_in_another_gauge_is_brought_back(seed):
    pairs, d = layout(*SHAPES)
    x = torch.from_numpy(adapters(1, d, pairs, seed)[0])
    theirs = in_another_gauge(x, pairs, seed)
    assert not torch.allclose(theirs, x, atol=0.1)
    assert torch.allclose(turned(theirs, pairs, [turn(theirs, x, pair) for pair in pairs]), x, atol=1e-4)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_turn_keeps_every_product_and_is_no_further_than_random_turns(seed):
    pairs, d = layout(*SHAPES)
    x, y = map(torch.from_numpy, adapters(2, d, pairs, seed, spread=1.0))
    nearest = turned(y, pairs, [turn(y, x, pair) for pair in pairs])
    for one, other in zip(products(nearest, pairs), products(y, pairs), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)
    assert all((nearest - x).norm() <= (in_another_gauge(y, pairs, s) - x).norm() for s in range(20))


def test_zero_b_and_one_common_a_are_left_alone():
    pairs, d = layout((3, 7, 5))
    x = torch.from_numpy(adapters(1, d, pairs, 0)[0])
    x[pairs[0].b] = 0.0
    assert torch.allclose(turn(x, x, pairs[0]), torch.eye(3).double(), atol=1e-9)
    zero = torch.zeros(d)
    assert torch.equal(turn(zero, zero, pairs[0]), torch.eye(3).double())
    short = x.clone()
    matrices(short, pairs[0])[0][2] = 0.0  # a direction that says nothing
    q = turn(short, short, pairs[0])
    assert torch.allclose(q, torch.eye(3).double(), atol=1e-9)


# ---- alignment an edge
@pytest.mark.parametrize("seed", SEEDS)
def test_peers_that_hold_one_adapter_in_gauges_of_their_own_stay_where_they_are(seed):
    pairs, d = layout(*SHAPES)
    one = adapters(1, d, pairs, seed)[0]
    start = np.stack([in_another_gauge(one, pairs, 10 * i).numpy() for i in range(4)])
    plain, by_edges = Rounds(dpsgd(), start, ring(4)), Rounds(dpsgd(aligned_mean(pairs)), start, ring(4))
    np.testing.assert_allclose(by_edges.after(5), start, atol=1e-4)
    off = [np.linalg.norm(products(x, pairs)[0] - products(one, pairs)[0]) for x in plain.after(5)]
    assert min(off) > 0.3 * np.linalg.norm(products(one, pairs)[0])  # what is lost without


def test_while_a_is_common_and_b_small_alignment_is_plain_mixing_up_to_the_square_of_b():
    (pair,), d = layout((3, 7, 5))
    start = adapters(4, d, [pair], 0, spread=0.0)
    for size in (0.1, 0.01):
        start[:, pair.b] = size * np.random.default_rng(1).normal(size=(4, 15))
        ends = [Rounds(rule, start, ring(4)).after(5) for rule in (dpsgd(aligned_mean([pair])), dpsgd())]
        assert np.abs(ends[0] - ends[1]).max() < 2.0 * size**2


def test_both_ends_of_an_edge_move_by_the_same_length_and_the_mean_product_by_the_square_of_it():
    pairs, d = layout(*SHAPES)
    moved = {}
    for spread in (0.1, 0.01):
        start = adapters(2, d, pairs, 3, spread)
        start[1] = in_another_gauge(start[1], pairs, 5).numpy()
        end = Rounds(dpsgd(aligned_mean(pairs)), start, np.full((2, 2), 0.5)).after(1)
        lengths = np.linalg.norm(end - start, axis=1)
        assert lengths[0] == pytest.approx(lengths[1], rel=1e-4)
        before, after = (np.mean([products(x, pairs)[0] for x in rows], axis=0) for rows in (start, end))
        moved[spread] = np.linalg.norm(after - before)
    assert 50 < moved[0.1] / moved[0.01] < 200  # second order


def test_first_moments_turn_with_their_factors_and_second_ones_stay():
    pairs, d = layout((2, 3, 4))
    x, m, s = (torch.from_numpy(row) for row in adapters(3, d, pairs, 1, spread=1.0))
    q = [torch.from_numpy(orthogonal(2, 9))]
    theirs = {"theta": turned(x, pairs, q), "m": turned(m, pairs, q), "s": s, "scalars": torch.ones(2)}
    seen = aligned(Heard(theirs, {"theta": x, "m": m, "s": s, "scalars": torch.ones(2)}, 0), pairs).theirs
    assert torch.allclose(seen["m"], m, atol=1e-4)
    assert torch.allclose(seen["theta"], x, atol=1e-4)
    assert seen["s"] is s


# ---- unequal ranks
def test_padding_on_a_path_of_three_worked_by_hand():
    # r = 2, one input, one output: A = (a1, a2), B = (b1, b2). The middle peer holds the first direction only
    (pair,), _ = layout((2, 1, 1))
    start = np.array([[3.0, 6.0, 3.0, 6.0], [0.0, 0.0, 9.0, 0.0], [6.0, 3.0, 6.0, 3.0]])
    end = Rounds(dpsgd(padded_mean([pair])), start, path(3)).after(1)
    np.testing.assert_allclose(end[1], [3.0, 0.0, 6.0, 0.0])  # a third of each; its padding stays
    np.testing.assert_allclose(end[0], [2.0, 6.0, 5.0, 6.0])  # 2/3 and 1/3; the second direction has nobody near


@pytest.mark.parametrize("seed", SEEDS)
def test_the_mean_over_holders_is_kept_and_where_all_hold_all_the_bits_are_plain_mixing(seed):
    pairs, d = layout(*SHAPES)
    start = adapters(4, d, pairs, seed, dtype=np.float32)
    whole = Rounds(dpsgd(padded_mean(pairs)), start, ring(4)).after(5)
    assert np.array_equal(whole, Rounds(dpsgd(), start, ring(4)).after(5))
    ranks = [3, 1, 2, 3]
    rows = [padded({"theta": torch.from_numpy(x)}, pairs, rank)["theta"] for x, rank in zip(start, ranks, strict=True)]
    run = Rounds(dpsgd(padded_mean(pairs)), np.stack(rows), ring(4))
    end = torch.from_numpy(run.after(40))
    for pair in pairs:
        held_by = torch.stack([held(x, pair) for x in end])
        assert held_by.tolist() == [[k < min(rank, pair.r) for k in range(pair.r)] for rank in ranks]
        for k in range(pair.r):
            who = held_by[:, k]
            a = matrices(end, pair)[0][who, k]
            assert torch.allclose(a.mean(0), matrices(torch.stack(rows), pair)[0][who, k].mean(0), atol=1e-5)


def test_moments_are_padded_like_their_factors():
    (pair,), _ = layout((2, 1, 1))
    ours = {"theta": vector(1, 0, 1, 0), "s": vector(4, 0, 4, 0), "scalars": vector(1, 1)}
    theirs = {"theta": vector(3, 5, 3, 5), "s": vector(8, 9, 8, 9), "scalars": vector(0, 0)}
    mixed = padded_mean([pair])(ours, {PeerId("b"): Heard(theirs, ours, 0)}, {PeerId("b"): 0.5})
    assert mixed["s"].tolist() == [6, 0, 6, 0]
    assert mixed["scalars"].tolist() == [0.5, 0.5]
    start = padded(theirs, [pair], 1)
    assert start["s"].tolist() == [8, 0, 8, 0]
    assert start["scalars"] is not theirs["scalars"]


def test_padding_trains_to_nothing():
    """The gradient of a zero row of A is the zero column of B, and the other way round."""
    (pair,), d = layout((2, 3, 4))
    x = padded({"theta": torch.from_numpy(adapters(1, d, [pair], 0)[0])}, [pair], 1)["theta"].requires_grad_()
    a, b = matrices(x, pair)
    (b @ (a @ torch.ones(3).double())).square().sum().backward()
    slopes = matrices(x.grad, pair)
    assert not slopes[0][1].any()
    assert not slopes[1][:, 1].any()
    assert slopes[0][0].any()
