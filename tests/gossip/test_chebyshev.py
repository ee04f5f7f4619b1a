"""Chebyshev acceleration: the best polynomial of W, hop by hop, and what damage does to it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from node.core.deadlines import DeadlineLimits
from node.drivers.faults import Faults
from node.drivers.simulation import Simulation
from node.errors import ConfigError
from node.gossip.chebyshev import chebyshev
from node.graph.advice.pace import hops_to
from tests.cluster import again_on, descend, digest, keep, peers_on, spread, stack, start_of, topology
from tests.gossip.rounds import Rounds, path, ring, spread_of
from tests.reference.chebyshev_by_eigenvalues import chebyshev_by_eigenvalues, left_after, rate_of_a_hop

SHORT = DeadlineLimits(floor=0.5, ceiling=2.0)
GRAPHS = [("ring", 8), ("ring", 16), ("ring", 33), ("path", 10), ("path", 16)]


def matrix(kind: str, n: int) -> np.ndarray:
    return ring(n) if kind == "ring" else path(n)


def interval(w: np.ndarray) -> tuple[float, float]:
    values = np.linalg.eigvalsh(w)
    return float(values[0]), float(values[-2])


def slowest(w: np.ndarray) -> np.ndarray:
    """(n, 1): the eigenvector of the second largest eigenvalue."""
    return np.linalg.eigh(w)[1][:, -2:-1]


def averaged(w: np.ndarray, x: np.ndarray, hops: int | None, rounds: int = 1) -> np.ndarray:
    return Rounds(chebyshev(*interval(w), hops or hops_to(*interval(w))), x, w).after(rounds)


def test_two_hops_on_a_path_of_three_worked_by_hand():
    """W has the eigenvalues 1, 2/3, 0: low = 0, high = 2/3, sigma = 3/2, c = 1/2, omega_2 = 8/7.

    From (3, 0, 0): hop 1 gives 3 - 3/2 = 3/2, 3/2, 0. Hop 2 makes y = (3/2, 3/4, 3/4) of it, and x + 8/7 (y - x) =
    (9/7, 6/7, 6/7). T_2 is 1 at both ends and 1 / T_2(2) = 1/7 of the spread is left: 1 + 2/7, 1 - 1/7, 1 - 1/7.
    """
    w = np.array([[2, 1, 0], [1, 1, 1], [0, 1, 2]]) / 3
    x = np.array([[3.0], [0.0], [0.0]])
    np.testing.assert_allclose(averaged(w, x, 1), [[1.5], [1.5], [0.0]])
    np.testing.assert_allclose(averaged(w, x, 2), np.array([[9], [6], [6]]) / 7)


@pytest.mark.parametrize(("kind", "n"), GRAPHS)
@pytest.mark.parametrize("hops", [1, 2, 3, 7, 20])
def test_it_agrees_with_the_slow_twin(kind, n, hops):
    w, x = matrix(kind, n), np.random.default_rng(n).standard_normal((n, 4))
    slow = chebyshev_by_eigenvalues(w, x, *interval(w), hops)
    np.testing.assert_allclose(averaged(w, x, hops), slow, atol=1e-9)
    np.testing.assert_allclose(slow.mean(0), x.mean(0), atol=1e-9)


@pytest.mark.parametrize(("kind", "n"), GRAPHS)
@pytest.mark.parametrize("hops", [1, 4, 12])
def test_a_round_leaves_one_over_t_of_the_worst_spread(kind, n, hops):
    w = matrix(kind, n)
    x = slowest(w)
    for _ in range(3):
        after = averaged(w, x, hops)
        assert spread_of(after) / spread_of(x) == pytest.approx(left_after(*interval(w), hops), rel=1e-9)
        x = after
    random = np.random.default_rng(0).standard_normal((n, 50))
    assert spread_of(averaged(w, random, hops)) <= left_after(*interval(w), hops) * spread_of(random) * (1 + 1e-9)


@pytest.mark.parametrize(("kind", "n"), GRAPHS)
def test_the_rate_of_a_late_hop_is_the_predicted_one_to_five_percent(kind, n):
    w = matrix(kind, n)
    k = 2 * hops_to(*interval(w), 100.0)
    one, two = (spread_of(averaged(w, slowest(w), hops)) for hops in (k, 2 * k))
    measured, predicted = np.log(two / one) / k, np.log(rate_of_a_hop(*interval(w)))
    assert measured == pytest.approx(predicted, rel=0.05)


@pytest.mark.parametrize(("kind", "n"), GRAPHS)
def test_the_default_hops_shrink_ten_times_and_one_less_does_not(kind, n):
    low, high = interval(matrix(kind, n))
    hops = hops_to(low, high)
    assert chebyshev(low, high, hops).hops(0) == hops
    assert left_after(low, high, hops) <= 0.1 < left_after(low, high, hops - 1)


def test_with_one_eigenvalue_one_hop_is_exact():
    w = np.full((4, 4), 0.2) + 0.2 * np.eye(4)  # Metropolis off the optimum: every eigenvalue but 1 is 1/5
    x = np.random.default_rng(0).standard_normal((4, 3))
    assert hops_to(*interval(w)) == 1
    np.testing.assert_allclose(averaged(w, x, None), np.tile(x.mean(0), (4, 1)), atol=1e-12)


def test_in_float32_it_reaches_the_rounding_floor_and_stays_there():
    w, x = ring(32), np.random.default_rng(0).standard_normal((32, 8))
    final = Rounds(chebyshev(*interval(w), hops_to(*interval(w))), x.astype(np.float32), w).after(9)
    assert spread_of(final) < 1e-6 * spread_of(x)
    np.testing.assert_allclose(final.mean(0), x.mean(0), atol=1e-6)


def on_ring(n: int, rounds: int, hops: int | None = None, fall_back: bool = True, **settings):
    low, high = interval(ring(n))
    return peers_on(
        topology("ring", n),
        lambda: chebyshev(low, high, hops or hops_to(low, high), fall_back),
        rounds=rounds,
        **settings,
    )


def test_moments_are_mixed_too_and_every_round_says_that_it_was_intact():
    channels = {"theta": 8, "m": 8, "s": 8, "scalars": 2}
    simulation = Simulation(on_ring(8, 8, channels=channels), keep)
    final = simulation.run()
    assert all(m.intact for _, _, m in simulation.log)
    for name in channels:
        start = torch.stack([start_of(p, channels)[name] for p in sorted(final)])
        assert spread(stack(final, name)) < 1e-5 * spread(start)
        torch.testing.assert_close(stack(final, name).mean(0), start.mean(0), atol=1e-6, rtol=0)


@pytest.mark.parametrize("seed", range(10))
def test_peers_whose_flag_survives_a_loss_hold_what_they_would_hold_without(seed):
    expected = Simulation(on_ring(12, 1), keep).run()
    simulation = Simulation(on_ring(12, 1), keep, Faults(loss=0.01), seed=seed)
    simulation.run()
    for _, p, mixed in simulation.log:
        same = float((mixed.after["theta"] - expected[p]["theta"]).abs().max()) < 1e-5
        assert mixed.intact == same


def test_damage_is_over_with_its_round():
    """One message is lost in round 0; in round 1 all hold what a whole round makes of what they had."""
    w, x = ring(8), np.random.default_rng(0).standard_normal((8, 3))
    lost = lambda a, b, round, hop: (a, b, round, hop) != ("p04", "p03", 0, 0)  # noqa: E731
    peers = Rounds(chebyshev(*interval(w), 3), x, w)
    before = peers.after(1, arrives=lost)
    assert sum(not peers.rule.intact(s) for s in peers.states.values()) == 5  # two hops away, on either side
    np.testing.assert_allclose(peers.after(1), averaged(w, before, 3), atol=1e-12)
    assert all(peers.rule.intact(s) for s in peers.states.values())


@pytest.mark.parametrize("fall_back", [True, False])
@pytest.mark.parametrize("seed", range(2))
def test_under_loss_it_converges_with_a_mean_that_has_drifted(fall_back, seed):
    """Stated: at 5 % loss 91 % of the rounds are damaged; the spread still goes, the mean moves by .1 to .2 of it."""
    start = stack({p: start_of(p) for p in topology("ring", 8).nodes})
    peers = on_ring(8, 40, fall_back=fall_back, deadlines=SHORT)
    final = stack(Simulation(peers, keep, Faults(loss=0.05), seed=seed).run())
    assert spread(final) < 0.01 * spread(start)
    assert float((final.double().mean(0) - start.double().mean(0)).norm()) < 0.5 * spread(start)


def test_a_run_that_was_stopped_and_resumed_ends_with_the_same_bits():
    low, high = interval(ring(6))
    unbroken = digest(Simulation(on_ring(6, 12), descend).run())
    first = Simulation(on_ring(6, 5), descend)
    first.run()
    again = again_on(topology("ring", 6), lambda: chebyshev(low, high, hops_to(low, high)), rounds=12)
    peers = {p: again(p, 1, first._disk[p]) for p in topology("ring", 6).nodes}
    assert digest(Simulation(peers, descend).run()) == unbroken


@pytest.mark.parametrize("settings", [(0.5, 0.2, 3), (-0.3, 1.0, 3), (-0.3, 0.9, 0), (float("nan"), 0.9, 2)])
def test_intervals_of_no_connected_graph_are_refused(settings):
    with pytest.raises(ConfigError, match="low <= high < 1"):
        chebyshev(*settings)
