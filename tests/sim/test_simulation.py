"""Laws of the whole protocol, in virtual time."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from node.core.deadlines import DeadlineLimits
from node.core.edge import check_of
from node.core.events import Tick
from node.drivers.faults import Faults, Kill
from node.drivers.simulation import Simulation
from node.graph.weighting.spectrum import contraction
from node.graph.weighting.weights import matrix
from node.types import PeerId
from tests.cluster import again_on, descend, digest, keep, peers_on, spread, stack, start_of, topology
from tests.reference.gossip_by_matrix import gossip_by_matrix

MOMENTS = {"theta": 64, "m": 64, "s": 64, "scalars": 2}
SHORT = DeadlineLimits(floor=0.5, ceiling=2.0)


@pytest.mark.parametrize("kind", ["ring", "path", "complete", "star"])
@pytest.mark.parametrize("n", [4, 9])
def test_gossip_keeps_the_mean_and_contracts_as_the_spectrum_says(kind, n):
    graph = topology(kind, n)
    peers = peers_on(graph, rounds=10)
    start = stack({p: peer._shared for p, peer in peers.items()})
    final = stack(Simulation(peers, keep).run())
    torch.testing.assert_close(final.mean(0), start.mean(0), atol=1e-5, rtol=0)
    assert spread(final) <= contraction(matrix(graph)) ** 10 * spread(start) * 1.0001 + 1e-6


@pytest.mark.parametrize("kind", ["ring", "star"])
def test_the_protocol_agrees_with_products_of_w(kind):
    graph = topology(kind, 6)
    final = stack(Simulation(peers_on(graph, rounds=7), descend).run())
    start = {p: start_of(p)["theta"] for p in graph.nodes}
    expected = gossip_by_matrix(matrix(graph), torch.stack(list(start.values())).double().numpy(), rounds=7, lr=0.1)
    torch.testing.assert_close(final.double(), torch.from_numpy(expected), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("rule", ["dpsgd", "exact"])
@pytest.mark.parametrize("seed", range(10))
def test_without_loss_arrival_order_does_not_matter(rule, seed):
    graph = topology("ring", 6)
    runs = [digest(Simulation(peers_on(graph, rule, MOMENTS), descend, seed=s).run()) for s in (seed, 999)]
    assert runs[0] == runs[1]


@pytest.mark.parametrize("seed", range(5))
def test_same_seed_same_bits_under_every_fault(seed):
    faults = Faults(loss=0.2, duplicate=0.1, reorder=0.2, straggle={PeerId("p01"): 3.0})
    graph = topology("ring", 6)
    runs = [digest(Simulation(peers_on(graph, deadlines=SHORT), descend, faults, seed=seed).run()) for _ in range(2)]
    assert runs[0] == runs[1]


@pytest.mark.parametrize("rule", ["dpsgd", "exact"])
@pytest.mark.parametrize("seed", range(5))
def test_every_peer_finishes_and_no_replica_diverges_under_loss(rule, seed):
    faults = Faults(loss=0.1, duplicate=0.1, reorder=0.1)
    graph = topology("ring", 8)
    peers = peers_on(graph, rule, rounds=30, deadlines=SHORT)
    simulation = Simulation(peers, descend, faults, seed=seed)
    final = simulation.run()
    assert len(final) == 8
    assert simulation.counts["lost"] > 0
    for p in graph.nodes:
        for q in graph.neighbours(p):
            held = peers[p].edges[q].held
            if held.seq == peers[q].edges[p]._seq:  # nothing is missing at the end: then the bits agree
                assert held.check == check_of(peers[q].edges[p].mine)
    optimum = sum(range(8)) / 8
    assert abs(float(stack(final).mean()) - optimum) < 0.5
    assert spread(stack(final)) < spread(stack({p: start_of(p) for p in graph.nodes}))


def test_one_snapshot_an_edge_direction_and_then_deltas_only():
    simulation = Simulation(peers_on(topology("ring", 5), "exact", MOMENTS, rounds=6), descend)
    simulation.run()
    hops = 2
    assert simulation.counts["Snapshot"] == 10
    assert simulation.counts["Update"] == 10 * (6 * hops - 1)
    assert simulation.counts["SnapshotRequest"] == 0


@pytest.mark.parametrize("slow", [3.0, 6.0])
def test_a_straggler_is_still_heard(slow):
    late = PeerId("p00")
    peers = peers_on(topology("ring", 8), rounds=60, deadlines=DeadlineLimits(1.0, 1.0))
    simulation = Simulation(peers, descend, Faults(straggle={late: slow}))
    simulation.run()
    seen = [m for t, p, m in simulation.log if t <= 60 and p in ("p01", "p07")]
    assert sum(late in m.staleness for m in seen) > 0.85 * len(seen)


def test_a_crash_stops_nobody_and_a_restart_comes_back():
    graph = topology("ring", 6)
    dead = PeerId("p03")
    peers = peers_on(graph, rounds=40, deadlines=SHORT, persist_every=1)

    rebuild = again_on(graph, rounds=40, deadlines=SHORT, persist_every=1)
    faults = Faults(kill=[Kill(dead, 10.5, back_after=10.0)])
    simulation = Simulation(peers, descend, faults, rebuild=rebuild)
    final = simulation.run()
    assert len(final) == 6
    away = [m for t, p, m in simulation.log if p == "p02" and 12 < t < 20]
    back = [m for t, p, m in simulation.log if p == "p02" and 23 < t < 40]
    assert away
    assert all(dead in m.missing for m in away)
    assert all(dead in m.staleness for m in back)
    rounds = [m.round for t, p, m in simulation.log if p == dead]
    assert rounds == sorted(rounds)
    assert rounds[-1] == 39


@pytest.mark.parametrize("seed", range(3))
def test_a_liar_is_refused_and_the_rest_goes_on(seed):
    from dataclasses import replace

    from node.core.messages import Snapshot, Update

    liar = PeerId("p00")

    def tamper(sender, message):
        if sender == liar and isinstance(message, Snapshot | Update):  # all bits set: NaN
            return replace(message, channels=tuple(replace(c, data=b"\xff" * len(c.data)) for c in message.channels))
        return message

    peers = peers_on(topology("ring", 6), rounds=20, deadlines=SHORT)
    simulation = Simulation(peers, descend, Faults(tamper=tamper), seed=seed)
    final = simulation.run()
    assert simulation.counts["refused BadMessage"] > 0
    assert all(math.isfinite(float(x["theta"].sum())) for x in final.values())


def test_every_deadline_is_armed_after_a_refused_message_too():
    class Armed(Simulation):
        def _feed(self, name, event):
            super()._feed(name, event)
            due = self.peers[name].deadline
            ticks = [t for t, _, p, _, what in self._queue if p == name and isinstance(what, Tick)]
            assert due is None or due <= self.now or due in ticks

    peers = peers_on(topology("ring", 4), rounds=30, deadlines=SHORT)
    simulation = Armed(peers, keep, Faults(loss=0.1, duplicate=0.3, reorder=0.3), seed=1)
    simulation.run()
    assert simulation.counts["refused StaleMessage"] > 10


@pytest.mark.parametrize("seed", range(3))
def test_a_tick_leaves_no_deadline_behind(seed):
    class Punctual(Simulation):
        def _feed(self, name, event):
            super()._feed(name, event)
            due = self.peers[name].deadline
            assert not isinstance(event, Tick) or due is None or due > self.now

    limits = DeadlineLimits(floor=0.5, ceiling=4.0)
    simulation = Punctual(peers_on(topology("ring", 8), rounds=40, deadlines=limits), keep, Faults(loss=0.1), seed=seed)
    simulation.run()
    for p in simulation.peers:  # and so no round waits for longer than it may
        times = [t for t, q, _ in simulation.log if q == p]
        assert max(b - a for a, b in itertools.pairwise(times)) < 1.0 + 4.0 + 0.1
