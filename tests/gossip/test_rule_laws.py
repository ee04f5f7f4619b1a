"""What holds for every rule with a memory of its own, and for CHOCO."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from node.gossip.choco import choco
from node.gossip.exact_diffusion import exact_diffusion
from node.gossip.gradient_tracking import gradient_tracking
from node.gossip.quasi_global import quasi_global
from tests.gossip.rounds import Rounds, off, one_peer_exponential, quadratics, random_matching, ring, start_of

RULES = {
    "choco": lambda: choco(0.5),
    "gradient tracking": gradient_tracking,
    "exact diffusion": exact_diffusion,
    "quasi-global": quasi_global,
}
GRAPHS = {"ring": lambda t: ring(8), "one-peer": one_peer_exponential(8), "matching": random_matching(8, 0)}


def towards(i, x):
    """A local update for any shape: a tenth of the way to the peer's number."""
    return x + 0.1 * (i - x)


def after(rule, start, w, rounds=12):
    return Rounds(rule(), start, w).after(rounds, towards)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_batch_of_rows_gives_the_bits_of_single_rows(name, dtype):
    start = np.random.default_rng(0).normal(size=(8, 3, 5)).astype(dtype)
    batch = after(RULES[name], start, ring(8))
    assert batch.dtype == dtype
    for k in range(3):
        assert np.array_equal(batch[:, k], after(RULES[name], start[:, k], ring(8)))


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("name", RULES)
def test_what_is_mixed_keeps_the_mean_where_w_is_doubly_stochastic(name, graph):
    run = Rounds(RULES[name](), np.random.default_rng(0).normal(size=(8, 5)), GRAPHS[graph])
    for _ in range(12):
        boxes = [(run.rule.emit(s, z, c)[0], c.tells) for s, z, c in trained(run)]
        assert all(set(box) == set(tells) for box, tells in boxes)
        told = np.stack([box[tells[0]]["theta"].numpy() for box, tells in boxes])
        run.after(1, towards)
        np.testing.assert_allclose(run.x.mean(0), told.mean(0), atol=1e-12)


def trained(run):
    """Of each peer what `emit` will be handed."""
    shared = [{"theta": towards(i, s["theta"])} for i, s in enumerate(run.shared.values())]
    return zip(shared, run.states.values(), run.contexts().values(), strict=True)


@pytest.mark.parametrize("name", RULES)
def test_nothing_that_is_handed_in_is_changed(name):
    run = Rounds(RULES[name](), np.random.default_rng(0).normal(size=(4, 5)), ring(4))
    run.after(3, towards)
    kept = [s["theta"] for s in run.shared.values()] + [
        x for z in run.states.values() for x in tensors(run.rule.pack(z))
    ]
    before = [x.clone() for x in kept]
    run.after(1, lambda i, x: x)
    assert all(torch.equal(x, y) for x, y in zip(kept, before, strict=True))


def tensors(packed):
    """All tensors of a packed state."""
    if isinstance(packed, torch.Tensor):
        return [packed]
    return [x for value in packed.values() for x in tensors(value)] if isinstance(packed, dict) else []


SECOND = {  # of p01, by hand: what it would have told, and what p00 told
    "choco": 4 + 0.25 * (-2 - 4),
    "gradient tracking": 1.5 + 0.5 * (-1.5 - 1.5),  # p00 has given half of its y = -1: c is 1/2 and -1/2
    "exact diffusion": 2 + 0.25 * (-2 - 2),  # c = 5 - 7 = -2
    "quasi-global": 1.55 + 0.5 * (-2.09 - 1.55),  # m = -0.1 and -0.5
}


@pytest.mark.parametrize("name", RULES)
def test_a_peer_that_nobody_hears_worked_by_hand(name):
    # p01 hears p00 by a half, p00 hears nobody; both go down by one a round, from 0 and 8
    run = Rounds(RULES[name](), np.array([[0.0], [8.0]]), np.array([[1.0, 0.0], [0.5, 0.5]]))
    for _ in range(2):
        run.after(1, lambda i, x: x - 1.0)
    assert run.x[1, 0] == pytest.approx(SECOND[name])


@pytest.mark.parametrize("name", ["gradient tracking", "quasi-global"])
def test_what_settlement_moved_is_no_update(name):
    run = Rounds(RULES[name](), np.array([[0.0], [6.0]]), ring(2))
    run.after(1, towards)
    after = {"theta": run.shared["p00"]["theta"] + 1.0}
    state = run.rule.settled(run.states["p00"], run.shared["p00"], after)
    assert torch.equal(state.start, after["theta"])


@pytest.mark.parametrize("rule", [gradient_tracking, exact_diffusion])
def test_with_several_local_steps_it_ends_where_the_mean_update_is_zero(rule):
    problem = quadratics(8, steps=2)
    end = Rounds(rule(), start_of(8), ring(8)).after(300, problem.train)
    assert np.abs(problem.update(end).mean(0)).max() < 1e-6
    assert 1e-4 < off(end, problem.optimum) < 0.05  # the drift within a round
    alike = quadratics(8, steps=2, alike=True)  # the same curvature everywhere: no drift
    assert off(Rounds(rule(), start_of(8), ring(8)).after(300, alike.train), alike.optimum) < 1e-6
