"""Gradient tracking: by hand, against the paper's recursion, and the exact optimum whatever is lost on the way."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from node.codec.compressor import Compressor
from node.codec.float32 import decode, encode
from node.drivers.simulation import Simulation
from node.gossip.dpsgd import dpsgd
from node.gossip.gradient_tracking import TRACKER, gradient_tracking
from tests.cluster import descend, peers_on, topology
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
from tests.reference.gradient_tracking_by_matrix import gradient_tracking_by_matrix

SCHEDULES = {
    "ring": lambda t: ring(8),
    "one-peer exponential": one_peer_exponential(8),
    "random matching": random_matching(8, 3),
}


def shrinking(keeps: float) -> Compressor:
    """Q(x) = keeps * x: it loses in every message."""
    return Compressor("shrinking", lambda x, g: encode(keeps * x), decode)


def corrections(run: Rounds) -> np.ndarray:
    return np.stack([np.asarray(s.correction) for s in run.states.values()])


def gone(a, b, round, hop):
    return "p05" not in (a, b)


def directed_ring_with_chords(n: int) -> np.ndarray:
    """Rows sum to 1, columns do not: i hears i + 1, and every third i + 2, too."""
    w = np.eye(n) + np.roll(np.eye(n), 1, axis=1)
    w[::3] += np.roll(np.eye(n), 2, axis=1)[::3]
    return w / w.sum(1, keepdims=True)


def test_two_rounds_on_a_path_of_two_worked_by_hand():
    # u = -3 at a, 3 at b, whatever x; W = 2/3, 1/3. Round 0: y = u, x + y = 0 - 3 and 6 + 3: x = -3 + 12/3 = 1, 9 - 4;
    # Wy = -1 and 1. Round 1: y = Wy + u - u, x + y = 0 and 6: x = 2 and 4
    run = Rounds(gradient_tracking(), np.array([[0.0], [6.0]]), path(2))
    push = [-3.0, 3.0]
    run.after(1, lambda i, x: x + push[i])
    assert run.x.ravel().tolist() == pytest.approx([1.0, 5.0])
    assert corrections(run).ravel().tolist() == pytest.approx([2.0, -2.0])  # Wy - u
    run.after(1, lambda i, x: x + push[i])
    assert run.x.ravel().tolist() == pytest.approx([2.0, 4.0])


@pytest.mark.parametrize("name", SCHEDULES)
def test_it_agrees_with_the_papers_recursion(name):
    problem, run = quadratics(8), Rounds(gradient_tracking(), start_of(8), SCHEDULES[name])
    found = run.after(80, problem.train)
    x, _ = gradient_tracking_by_matrix(SCHEDULES[name], start_of(8), problem.update, 80)
    np.testing.assert_allclose(found, x, atol=1e-12)
    _, y = gradient_tracking_by_matrix(SCHEDULES[name], start_of(8), problem.update, 81)
    np.testing.assert_allclose(problem.update(found) + corrections(run), y, atol=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
def test_it_reaches_the_exact_optimum_where_dpsgd_keeps_a_bias(name):
    problem = quadratics(8)
    ends = [
        Rounds(rule, start_of(8), SCHEDULES[name]).after(300, problem.train) for rule in (gradient_tracking(), dpsgd())
    ]
    assert off(ends[0], problem.optimum) < 1e-6
    assert off(ends[1], problem.optimum) > 0.1


def test_on_a_directed_graph_whose_columns_do_not_sum_to_one_it_is_exact_too():
    problem, w = quadratics(9, lr=0.05), directed_ring_with_chords(9)
    assert abs(w.sum(0) - 1).max() > 0.2
    assert off(Rounds(gradient_tracking(), start_of(9), w).after(600, problem.train), problem.optimum) < 1e-6


def test_everybody_who_hears_us_is_given_as_much_as_we_keep_on_a_directed_graph():
    w = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.5, 0.0, 0.5]])  # p01 and p02 hear p00
    run = Rounds(gradient_tracking(), np.zeros((3, 1)), w)
    run.after(1, lambda i, x: x + 6.0)
    assert corrections(run).ravel().tolist() == pytest.approx([-4.0, 2.0, 2.0])


def test_what_a_codec_loses_cancels_in_the_sum_over_peers():
    graph, sizes = topology("ring", 6), {"theta": 96}
    peers = peers_on(graph, gradient_tracking, sizes, rounds=12, codec=shrinking(0.4))
    Simulation(peers, descend).run()
    c = torch.stack([peer._rule.correction for peer in peers.values()])
    assert float(c.abs().max()) > 0.1
    assert float(c.sum(0).abs().max()) < 1e-5


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_mean_of_the_trackers_is_the_mean_of_the_updates(name):
    run, problem = Rounds(gradient_tracking(), start_of(8), SCHEDULES[name]), quadratics(8)
    for _ in range(20):
        expected = run.x.mean(0) + problem.update(run.x).mean(0)
        run.after(1, problem.train)
        np.testing.assert_allclose(run.x.mean(0), expected, atol=1e-12)
        np.testing.assert_allclose(corrections(run).sum(0), 0, atol=1e-12)


def test_in_float32_it_stays_at_the_optimum():
    problem, start = quadratics(8), start_of(8).astype(np.float32) + 100.0
    end = Rounds(gradient_tracking(), start, ring(8)).after(500, problem.train)
    assert end.dtype == np.float32
    assert off(end, problem.optimum) < 5e-5


# ---- loss
@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("seed", range(2))
def test_lost_messages_cost_time_and_no_accuracy(name, seed):
    problem, run = quadratics(8), Rounds(gradient_tracking(), start_of(8), SCHEDULES[name])
    assert off(run.after(350, problem.train, losing(0.05, seed)), problem.optimum) < 1e-6


def test_one_lost_message_puts_the_sum_out_until_the_next_one_comes():
    problem, run = quadratics(6), Rounds(gradient_tracking(), start_of(6), ring(6))
    run.after(10, problem.train, lambda a, b, round, hop: (a, b, round) != ("p02", "p03", 9))
    assert np.abs(corrections(run).sum(0)).max() > 1e-4
    run.after(1, problem.train)
    np.testing.assert_allclose(corrections(run).sum(0), 0, atol=1e-12)


def test_a_silent_neighbour_is_given_one_share_and_no_more():
    problem, run = quadratics(6), Rounds(gradient_tracking(), start_of(6), ring(6))
    run.after(5, problem.train)
    apart = lambda a, b, round, hop: {a, b} != {"p02", "p03"}  # noqa: E731
    run.after(1, problem.train, apart)
    given = run.states["p02"].given["p03"]
    run.after(50, problem.train, apart)
    assert torch.equal(run.states["p02"].given["p03"], given)
    assert off(run.after(300, problem.train), problem.optimum) < 1e-6


def test_those_that_live_go_to_their_own_optimum_when_one_is_gone():
    problem, run = quadratics(6), Rounds(gradient_tracking(), start_of(6), ring(6))
    run.after(20, problem.train)
    for seen in run.present.values():
        seen.pop("p05", None)
    run.after(350, problem.train, gone)
    living = problem._replace(a=problem.a[:5], b=problem.b[:5])
    assert off(run.x[:5], living.optimum) < 1e-6
    for seen in run.present.values():
        seen["p05"] = 0
    assert off(run.after(350, problem.train), problem.optimum) < 1e-6


def test_one_that_hears_us_and_is_gone_takes_nothing_away_on_a_directed_graph():
    n = 5
    w = (np.eye(n) + np.roll(np.eye(n), 1, axis=1)) / 2  # a directed ring of five, and p05 that hears p00 alone
    w = np.block([[w, np.zeros((n, 1))], [np.zeros((1, n + 1))]])
    w[n, [0, n]] = 0.5
    problem, run = quadratics(n + 1), Rounds(gradient_tracking(), start_of(n + 1), w)
    run.after(30, problem.train)
    for seen in run.present.values():
        seen.pop("p05", None)
    run.after(350, problem.train, gone)
    living = problem._replace(a=problem.a[:5], b=problem.b[:5])
    assert off(run.x[:5], living.optimum) < 1e-6


# ---- state
def test_a_stopped_run_goes_on_with_the_same_bits():
    problem, start = quadratics(5), start_of(5).astype(np.float32)
    lossy = [losing(0.2, 4), losing(0.2, 4)]
    whole = Rounds(gradient_tracking(), start, ring(5)).after(20, problem.train, lossy[0])
    first = Rounds(gradient_tracking(), start, ring(5))
    first.after(9, problem.train, lossy[1])
    first.stopped_and_resumed()
    assert np.array_equal(first.after(11, problem.train, lossy[1]), whole)


@pytest.mark.parametrize("how", ["adopt", "init"])
def test_a_peer_that_took_anothers_parameters_or_lost_its_disk_does_no_harm(how):
    run, problem = Rounds(gradient_tracking(), start_of(6), ring(6)), quadratics(6)
    run.after(50, problem.train)
    run.shared["p02"] = run.shared["p01"]
    ctx, rule = run.context("p02", 0), run.rule
    run.states["p02"] = (
        rule.adopt(run.shared["p02"], run.states["p02"], ctx) if how == "adopt" else rule.init(run.shared["p02"], ctx)
    )
    assert off(run.after(350, problem.train), problem.optimum) < 1e-6


def test_the_tracker_is_one_channel_as_large_as_theta():
    assert gradient_tracking().extra({"theta": 7, "m": 7, "scalars": 2}) == {TRACKER: 7}


def test_moments_are_mixed_by_w():
    start = {"theta": np.array([[0.0], [6.0]]), "m": np.array([[12.0], [0.0]])}
    run = Rounds(gradient_tracking(), start, path(2))
    run.advance()
    assert run.stack("m").ravel().tolist() == pytest.approx([8.0, 4.0])
