"""A node joins a running network, in virtual time."""

from __future__ import annotations

import pytest
import torch

from node.core.keep import unpack_joins
from node.core.messages import Join
from node.core.peer import GossipPeer
from node.core.peer_config import PeerConfig
from node.drivers.faults import Faults, Kill
from node.drivers.simulation import Saved, Simulation
from node.errors import BadMessage
from node.gossip.dpsgd import dpsgd
from node.gossip.mixing import Mixing
from node.gossip.push_sum import push_sum
from node.graph.growth import grown, rows_of
from node.graph.topology import Topology
from node.graph.weighting.weights import row_of
from node.types import PeerId
from tests.cluster import descend, keep, spread, stack, start_of, topology

RING = topology("ring", 8)
NEW, LATER = PeerId("p08"), PeerId("p09")
P00, P01, P07 = PeerId("p00"), PeerId("p01"), PeerId("p07")
FAR = PeerId("p04")
JOIN = Join(NEW, "127.0.0.1:7100", (P00, P01, P07), 52)
SECOND = Join(LATER, "127.0.0.1:7101", (NEW, FAR), 70)
MOMENTS = {"theta": 64, "m": 64, "s": 64, "scalars": 2}


def peer(
    name: PeerId, joins: tuple[Join, ...] = (), base: Topology = RING, rule: Mixing | None = None, **settings
) -> GossipPeer:
    """One that lets others in; the saved state goes on where there is one."""
    saved: Saved | None = settings.pop("saved", None)
    joins = unpack_joins(saved.state) if saved else joins
    graph = base if name in base.nodes else grown(base, joins)
    config = PeerConfig(
        peer=name,
        row=row_of(graph, name),
        joins=joins,
        rewire=lambda known: rows_of(base, known, name),
        start_round=saved.round if saved else 0,
        **settings,
    )
    start = saved.shared if saved else start_of(name, MOMENTS)
    return GossipPeer(config, start, rule or dpsgd(), saved.state if saved else None)


def network(step=descend, rounds=120, at=56.5, faults=None, rule=dpsgd, **more) -> Simulation:
    peers = {p: peer(p, rounds=rounds, rule=rule(), **more) for p in RING.nodes}
    peers[NEW] = peer(NEW, (JOIN,), rounds=rounds, rule=rule(), **more)
    return Simulation(peers, step, faults or Faults(start={NEW: at}), joins=[(50.0, JOIN)])


def mean_of(vectors) -> torch.Tensor:
    return stack(vectors).double().mean(0)


def by_round(simulation: Simulation) -> dict[int, dict[PeerId, object]]:
    rounds: dict[int, dict[PeerId, object]] = {}
    for _, p, mixed in simulation.log:
        rounds.setdefault(mixed.round, {})[p] = mixed
    return rounds


@pytest.mark.parametrize("seed", range(3))
def test_who_joins_at_round_50_is_level_within_three_rounds_and_nobody_misses_one(seed):
    simulation = network()
    simulation.seed = seed
    final = simulation.run()
    rounds = by_round(simulation)
    mine = sorted(r for r, by in rounds.items() if NEW in by)
    assert 52 <= mine[0] <= 56
    assert mine == list(range(mine[0], 120))  # and no round is missed from then on
    third = rounds[mine[2]]
    others = {p: m.after for p, m in third.items() if p != NEW}
    assert float((third[NEW].after["theta"] - mean_of(others)).norm()) < 3 * spread(stack(others))
    assert len(final) == 9
    for p in RING.nodes:
        assert sum(p in by for by in rounds.values()) == 120
        assert simulation.peers[p].faults["deadline"] == 0
        assert simulation.peers[p].joins == (JOIN,)  # flooded to all


@pytest.mark.parametrize("seed", range(5))
def test_the_mean_is_kept_before_and_after(seed):
    """Without training: nothing but the newcomer's own vector may move the mean."""
    simulation = network(step=keep)
    simulation.seed = seed
    start = {p: simulation.peers[p].settled for p in RING.nodes}
    final = simulation.run()
    adopted = by_round(simulation)
    first = min(r for r, by in adopted.items() if NEW in by)
    brought = adopted[first][NEW].before["theta"].double()  # of its neighbours, near the mean
    wanted = (8 * mean_of(start) + brought) / 9
    assert float((mean_of(final) - wanted).norm()) < 1e-5 * spread(stack(start))


def test_a_news_that_reaches_the_far_side_too_late_still_moves_no_mean():
    """Nobody knows of the join until rounds after it counts: the ends of an edge weigh it differently meanwhile."""
    early = Join(NEW, JOIN.address, JOIN.neighbours, 45)
    simulation = network(step=keep)
    simulation.peers[NEW] = peer(NEW, (early,), rounds=120)
    simulation.joins = [(50.0, early)]
    start = {p: simulation.peers[p].settled for p in RING.nodes}
    final = simulation.run()
    rounds = by_round(simulation)
    brought = rounds[min(r for r, by in rounds.items() if NEW in by)][NEW].before["theta"].double()
    wanted = (8 * mean_of(start) + brought) / 9
    assert float((mean_of(final) - wanted).norm()) < 1e-5 * spread(stack(start))


def test_who_runs_before_its_round_trains_alone_until_then_and_is_waited_for_by_nobody():
    simulation = network(at=51.0)
    simulation.run()
    first = [m for _, p, m in simulation.log if p == NEW][:4]
    assert first[0].round < 52
    assert all((m.contributions > 0) == (m.round >= 52) for m in first)
    assert all(simulation.peers[p].faults["deadline"] == 0 for p in simulation.peers)


def test_push_sum_takes_a_newcomer_and_every_peer_keeps_its_books():
    simulation = network(rule=push_sum)
    final = simulation.run()
    assert len(final) == 9
    newest = {p: m.mass for _, p, m in simulation.log}
    for mass in newest.values():
        assert mass["w"] + sum(mass["sent"].values()) - sum(mass["got"].values()) == pytest.approx(1.0, abs=1e-9)


def test_a_second_one_may_join_beside_the_first():
    simulation = network(faults=Faults(start={NEW: 56.5, LATER: 76.0}))
    simulation.peers[LATER] = peer(LATER, (JOIN, SECOND), rounds=120)
    simulation.joins = [*simulation.joins, (68.0, SECOND)]
    final = simulation.run()
    assert len(final) == 10
    assert all(set(p.joins) == {JOIN, SECOND} for p in simulation.peers.values())
    assert spread(stack(final)) < 6.0  # alone they would go to their optima, 0 to 9: a spread of 23


@pytest.mark.parametrize("gone", [P00, FAR])
def test_a_node_that_restarts_knows_the_newcomer_from_its_disk(gone):
    settings = {"rounds": 120, "persist_every": 5}
    faults = Faults(start={NEW: 56.5}, kill=[Kill(gone, 80.0, 10.0)])
    simulation = network(faults=faults, **settings)
    simulation.rebuild = lambda name, epoch, saved: peer(name, saved=saved, epoch=epoch, **settings)
    final = simulation.run()
    assert len(final) == 9
    assert simulation.peers[gone].config.joins == (JOIN,)
    assert (NEW in simulation.peers[gone].neighbours) == (gone == P00)


def test_a_node_whose_disk_is_older_than_the_join_takes_state_and_newcomer_from_its_neighbours():
    """It stands before the round of the join, and the newcomer is among those who tell it their state."""
    settings = {"rounds": 120, "persist_every": 30}
    faults = Faults(start={NEW: 56.5}, kill=[Kill(P00, 59.0, 12.0)])
    simulation = network(faults=faults, **settings)
    simulation.rebuild = lambda name, epoch, saved: peer(name, saved=saved, epoch=epoch, **settings)
    final = simulation.run()
    assert simulation.peers[P00].config.start_round == 30
    assert simulation.peers[P00].config.joins == ()
    assert simulation.peers[P00].joins == (JOIN,)
    assert len(final) == 9
    back = [m for _, p, m in simulation.log if p == P00][-5:]
    assert all(NEW in m.staleness for m in back)


def test_who_was_behind_the_join_and_knew_of_it_can_take_the_newcomers_state():
    """Its row of that round has no weight for the newcomer; the one that it takes has."""
    simulation = network(rounds=40)
    simulation.joins = ()
    simulation.run()
    disk = {p: simulation._disk[p] for p in RING.nodes}
    early = Saved(20, disk[P00].shared, {**disk[P00].state, "joins": [[NEW, JOIN.address, list(JOIN.neighbours), 52]]})
    peers = {p: peer(p, (JOIN,), rounds=120) for p in RING.nodes}
    peers[NEW] = peer(NEW, (JOIN,), rounds=120)
    peers[P00] = peer(P00, saved=early, rounds=120)
    later = Simulation(peers, descend, Faults(start={P00: 80.0}))
    assert len(later.run()) == 9
    assert peers[P00].faults["adopted"] == 1


def test_where_nobody_may_join_a_join_is_refused_and_nothing_changes():
    shut = {p: GossipPeer(PeerConfig(peer=p, row=row_of(RING, p), rounds=60), start_of(p), dpsgd()) for p in RING.nodes}
    simulation = Simulation(shut, descend, joins=[(20.0, JOIN)])
    final = simulation.run()
    assert simulation.counts["refused BadMessage"] == 3
    calm = Simulation({p: GossipPeer(s.config, start_of(p), dpsgd()) for p, s in shut.items()}, descend).run()
    assert torch.equal(stack(final), stack(calm))
    with pytest.raises(BadMessage, match=r"gossip\.joins"):
        shut[P00]._join(JOIN, None)
