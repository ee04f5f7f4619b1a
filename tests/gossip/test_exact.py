"""Finite-time exact mixing: the mean after the last hop, and flags that travel as fast as damage."""

from __future__ import annotations

import pytest
import torch

from node.drivers.faults import Faults
from node.drivers.simulation import Simulation
from node.errors import ConfigError
from node.gossip.exact import exact
from node.graph.weighting.spectrum import exact_steps
from node.types import PeerId
from tests.cluster import keep, peers_on, spread, stack, start_of, topology


def test_two_peers_meet_in_one_hop_worked_by_hand():
    final = Simulation(peers_on(topology("path", 2), "exact", rounds=1), keep).run()
    torch.testing.assert_close(final[PeerId("p00")]["theta"], final[PeerId("p01")]["theta"])
    mean = (start_of(PeerId("p00"))["theta"] + start_of(PeerId("p01"))["theta"]) / 2
    torch.testing.assert_close(final[PeerId("p00")]["theta"], mean)


@pytest.mark.parametrize(
    ("kind", "n", "hops"), [("ring", 5, 2), ("ring", 8, 4), ("star", 6, 2), ("path", 9, 8), ("complete", 7, 1)]
)
def test_the_mean_is_exact_after_as_many_hops_as_distinct_eigenvalues(kind, n, hops):
    graph = topology(kind, n)
    peers = peers_on(graph, "exact", rounds=1)
    start = stack({p: peers[p]._shared for p in peers})
    simulation = Simulation(peers, keep)
    final = stack(simulation.run())
    assert len(exact_steps(graph)) == hops
    mean = start.double().mean(0)
    assert float((final.double() - mean).norm(dim=1).max() / start.double().norm(dim=1).max()) < 1e-5
    assert all(m.intact for _, _, m in simulation.log)


@pytest.mark.parametrize("seed", range(20))
def test_peers_whose_flag_survives_a_loss_hold_the_exact_mean(seed):
    graph = topology("ring", 12)
    peers = peers_on(graph, "exact", rounds=1)
    start = stack({p: peers[p]._shared for p in peers}).double().mean(0)
    simulation = Simulation(peers, keep, Faults(loss=0.02), seed=seed)
    simulation.run()
    for _, _, mixed in simulation.log:
        error = float((mixed.after["theta"].double() - start).norm() / start.norm())
        assert mixed.intact == (error < 1e-3)


def test_a_damaged_peer_takes_its_metropolis_mix_when_told_to_fall_back():
    graph = topology("ring", 8)
    dead = PeerId("p00")
    cut = Faults(cut=lambda a, b, now: dead in (a, b))
    after = {}
    for fall_back in (True, False):
        rule = lambda choice=fall_back: exact(exact_steps(graph), choice)  # noqa: E731
        after[fall_back] = stack(Simulation(peers_on(graph, rule, rounds=1), keep, cut).run())
    start = stack({p: peer._shared for p, peer in peers_on(graph).items()})
    own, left, right = start[4], start[3], start[5]  # the peer opposite to the dead one is damaged in the last hop
    torch.testing.assert_close(after[True][4], (own + left + right) / 3)
    assert spread(after[True]) < spread(start)


@pytest.mark.parametrize("eigenvalues", [[], [0.0], [-1.0, 2.0]])
def test_eigenvalues_of_no_connected_graph_are_refused(eigenvalues):
    with pytest.raises(ConfigError, match="positive eigenvalues"):
        exact(eigenvalues)
