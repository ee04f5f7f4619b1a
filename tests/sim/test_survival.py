"""What a network goes through and comes back from, in virtual time: kills, pauses, partitions, churn, lost messages."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from node.core.deadlines import DeadlineLimits
from node.core.edge import check_of
from node.core.events import Event, Tick
from node.core.members import Liveness
from node.core.settlement import OPEN
from node.drivers.faults import Break, Faults, Kill, Leaving, Partition, Pause
from node.drivers.simulation import Simulation
from node.types import PeerId
from tests.cluster import again_on, descend, digest, keep, peers_on, spread, stack, start_of, topology

SHORT = DeadlineLimits(floor=0.5, ceiling=2.0)
MOMENTS = {"theta": 64, "m": 64, "s": 64, "scalars": 2}
P00, P01, P02, P03 = (PeerId(f"p{i:02d}") for i in range(4))


def mean_of(shared) -> torch.Tensor:
    return stack(shared).double().mean(0)


def drift(rule: str, seed: int, faults: Faults, **settings) -> float:
    """How far pure averaging moves the mean, over the spread of the start."""
    graph = topology("ring", 8)
    peers = peers_on(graph, rule, rounds=60, deadlines=SHORT, **settings)
    start = {p: start_of(p) for p in graph.nodes}
    final = Simulation(peers, keep, faults, seed=seed).run()
    assert len(final) == 8
    return float((mean_of(final) - mean_of(start)).norm()) / spread(stack(start))


# ---- settlement
LOSSY = Faults(loss=0.1, duplicate=0.05, reorder=0.1, calm_after=50.0)


@pytest.mark.parametrize("seed", range(10))
def test_settlement_keeps_the_mean_through_lost_doubled_and_overtaken_messages(seed):
    assert drift("dpsgd", seed, LOSSY) < 1e-5


def test_without_settlement_the_same_traffic_moves_the_mean():
    assert max(drift("dpsgd", seed, LOSSY, settle=False) for seed in range(5)) > 1e-3


@pytest.mark.parametrize("seed", range(5))
def test_settlement_keeps_the_mean_with_a_straggler_and_in_asynchronous_mode(seed):
    straggler = Faults(straggle={P01: 4.0}, loss=0.05, calm_after=50.0)
    assert drift("dpsgd", seed, straggler) < 1e-5
    assert drift("dpsgd", seed, straggler, asynchronous=True) < 1e-2  # the fast ones end before all is settled


@pytest.mark.parametrize("rule", ["dpsgd", "exact"])
def test_without_faults_settlement_changes_no_bit(rule):
    graph = topology("ring", 6)
    runs = [digest(Simulation(peers_on(graph, rule, MOMENTS, settle=s), descend).run()) for s in (True, False)]
    assert runs[0] == runs[1]


def test_every_record_says_what_was_settled():
    peers = peers_on(topology("ring", 8), rounds=60, deadlines=SHORT)
    simulation = Simulation(peers, keep, LOSSY, seed=1)
    simulation.run()
    assert any(m.settled > 0 for _, _, m in simulation.log)
    quiet = Simulation(peers_on(topology("ring", 8), rounds=20), keep)
    quiet.run()
    assert all(m.settled == 0 for _, _, m in quiet.log)


# ---- replicas
@pytest.mark.parametrize("seed", range(20))
def test_under_loss_delay_duplicates_and_reorder_no_round_stalls_and_no_replica_differs(seed):
    faults = Faults(loss=0.1, delay=(0.03, 0.07), duplicate=0.1, reorder=0.2, calm_after=45.0)
    graph = topology("ring", 8)
    peers = peers_on(graph, rounds=60, deadlines=SHORT)
    simulation = Simulation(peers, descend, faults, seed=seed)
    final = simulation.run()
    assert len(final) == 8
    for p in graph.nodes:
        assert max(m.round for _, q, m in simulation.log if q == p) == 59
        for q in graph.neighbours(p):
            assert peers[p].edges[q].held.check == check_of(peers[q].edges[p].mine)


# ---- modes
def test_overlap_gives_the_mean_of_what_was_trained_one_round_late():
    graph = topology("ring", 6)
    plain = Simulation(peers_on(graph, rounds=60), descend)
    final = plain.run()
    over = Simulation(peers_on(graph, rounds=60, overlap=True), descend, Faults(delay=(0.8, 0.9)))
    late = over.run()
    slow = Simulation(peers_on(graph, rounds=60), descend, Faults(delay=(0.8, 0.9)))
    slow.run()
    torch.testing.assert_close(mean_of(late), mean_of(final), atol=0.05, rtol=0)
    assert over.now < 0.7 * slow.now  # the exchange is hidden behind the training


def test_overlap_without_training_is_plain_averaging():
    graph = topology("ring", 6)
    runs = [stack(Simulation(peers_on(graph, rounds=12, overlap=o), keep).run()) for o in (True, False)]
    torch.testing.assert_close(runs[0], runs[1], atol=1e-6, rtol=0)


def test_asynchronous_nodes_never_wait_for_a_straggler():
    slow = Faults(straggle={P00: 6.0})
    times = {}
    for asynchronous in (True, False):
        limits = DeadlineLimits(30.0, 60.0)
        peers = peers_on(topology("ring", 8), rounds=40, deadlines=limits, asynchronous=asynchronous)
        simulation = Simulation(peers, descend, slow)
        simulation.run()
        times[asynchronous] = max(t for t, p, _ in simulation.log if p == "p04")
        if asynchronous:
            seen = [m for _, p, m in simulation.log if p == "p01"]
            assert sum(P00 in m.staleness for m in seen) > 0.8 * len(seen)
    assert times[True] < 45.0
    assert times[False] > 2 * times[True]


# ---- liveness
def test_a_paused_neighbour_is_suspected_in_three_seconds_and_used_again_afterwards():
    peers = peers_on(topology("ring", 8), rounds=120)
    simulation = Simulation(peers, descend, Faults(pause=[Pause(P03, 20.0, 30.0)]))
    facts = []
    simulation.journal = lambda peer, event, fields: facts.append((simulation.now, peer, event, fields))
    simulation.run()
    suspected = [t for t, p, e, f in facts if p == P02 and e == "member" and f["state"] == "suspect"]
    assert 20.0 < suspected[0] < 23.0 + 1.1  # a message may have come in the second before the pause
    times = [t for t, p, m in simulation.log if p == "p06" and 25 < t < 50]
    assert max(b - a for a, b in itertools.pairwise(times)) < 1.2
    back = [m for t, p, m in simulation.log if p == P02 and 60 < t < 100]
    assert all(P03 in m.staleness for m in back)


def test_who_was_paused_does_not_accuse_the_others():
    peers = peers_on(topology("ring", 8), rounds=60)
    simulation = Simulation(peers, descend, Faults(pause=[Pause(P03, 20.0, 8.0)]))
    said = []
    simulation.journal = lambda peer, event, fields: said.append((peer, event, fields))
    simulation.run()
    assert not [f for p, e, f in said if p == P03 and e == "member" and f["state"] in ("suspect", "dead")]


def test_a_suspicion_travels_and_is_refuted_by_a_higher_incarnation():
    peers = peers_on(topology("ring", 8), rounds=100)
    Simulation(peers, descend, Faults(pause=[Pause(P03, 20.0, 30.0)])).run()
    for peer in peers.values():
        rumour = peer.rumours[P03]
        assert (rumour.state in ("alive", "left"), rumour.incarnation >= 1) == (True, True), peer.config.peer


def test_a_dead_neighbour_is_called_so_and_known_to_those_far_away():
    peers = peers_on(topology("ring", 8), rounds=80)
    Simulation(peers, descend, Faults(kill=[Kill(P03, 20.5)])).run()
    assert peers[P02].members.by_id[P03].state is Liveness.DEAD
    assert peers[PeerId("p07")].rumours[P03].state == "dead"


# ---- churn
def test_a_late_node_takes_round_and_state_of_its_neighbours():
    graph = topology("ring", 8)
    late = PeerId("p04")
    peers = peers_on(graph, channels=MOMENTS, rounds=100, first_contact=5.0)
    simulation = Simulation(peers, descend, Faults(start={late: 50.0}))
    simulation.run()
    rounds = [m.round for _, p, m in simulation.log if p == late]
    assert rounds[0] >= 40
    others = {p: m.after for t, p, m in simulation.log if m.round == rounds[3] and p != late}
    mine = next(m.after for _, p, m in simulation.log if p == late and m.round == rounds[3])
    away = float((mine["theta"] - stack(others).mean(0)).norm())
    assert away < 3 * spread(stack(others))
    assert peers[late].faults["adopted"] == 1


def test_a_node_that_leaves_and_comes_back_is_level_within_three_rounds():
    graph = topology("ring", 8)
    settings = {"rounds": 140, "persist_every": 5}
    gone = PeerId("p04")
    faults = Faults(leave=[Leaving(gone, 50.0, back_after=40.0)])
    simulation = Simulation(peers_on(graph, **settings), descend, faults, rebuild=again_on(graph, **settings))
    final = simulation.run()
    assert len(final) == 8
    back = [(t, m) for t, p, m in simulation.log if p == gone and t > 90]
    newest = max(m.round for t, p, m in simulation.log if t <= back[2][0])
    assert newest - back[2][1].round <= 1
    assert all(peer.faults["deadline"] == 0 for peer in simulation.peers.values())  # nobody waited for who had left


def test_a_node_that_comes_back_when_all_others_have_finished_takes_their_result():
    graph = topology("ring", 6)
    settings = {"rounds": 30, "persist_every": 5}
    gone = PeerId("p02")
    faults = Faults(kill=[Kill(gone, 6.5, back_after=60.0)])
    simulation = Simulation(peers_on(graph, **settings), descend, faults, rebuild=again_on(graph, **settings))
    final = simulation.run()
    assert simulation.peers[gone].faults["adopted"] == 1
    assert float((final[gone]["theta"] - mean_of(final)).norm()) < spread(stack(final))


def test_a_partition_heals_and_consensus_returns():
    graph = topology("ring", 8)
    halves = Partition(frozenset(graph.nodes[:4]), 20.0, 120.0)
    runs = {}
    for name, faults in (("cut", Faults(partition=[halves])), ("calm", Faults())):
        simulation = Simulation(peers_on(graph, rounds=180, deadlines=SHORT), descend, faults)
        simulation.run()
        rounds = {r: {p: m.after for _, p, m in simulation.log if m.round == r} for r in range(180)}
        runs[name] = {r: spread(stack(by)) for r, by in rounds.items() if len(by) == 8}
    cut, calm = runs["cut"], runs["calm"]
    assert cut[100] > 1.5 * calm[100]
    healed = [r for r in cut if r > 125 and cut[r] < 1.5 * calm[r]]
    assert healed
    assert min(healed) <= 125 + math.ceil(3 / 0.195)


def test_a_broken_connection_is_made_again_and_nobody_is_missed():
    peers = peers_on(topology("ring", 4), rounds=20)
    simulation = Simulation(peers, descend, Faults(breaks=[Break(P00, P01, 5.5)]))
    assert len(simulation.run()) == 4
    words = [(p, m) for _, p, m in simulation.log if p in (P00, P01)]
    assert all(not m.missing for _, m in words)
    assert simulation.counts["Hello"] == 2 * 4 + 2  # one each way on an edge, and again on the broken one


# ---- resume
@pytest.mark.parametrize("rule", ["dpsgd", "exact"])
def test_a_run_that_was_stopped_and_resumed_ends_with_the_same_bits(rule):
    graph = topology("ring", 6)
    settings = {"rule": rule, "channels": MOMENTS}
    unbroken = digest(Simulation(peers_on(graph, rounds=20, **settings), descend).run())
    first = Simulation(peers_on(graph, rounds=9, **settings), descend)
    first.run()
    again = again_on(graph, rounds=20, **settings)
    peers = {p: again(p, 1, first._disk[p]) for p in graph.nodes}
    assert digest(Simulation(peers, descend).run()) == unbroken


@pytest.mark.parametrize("behind", [("p00",), ("p01",), ("p02",), ("p00", "p02")], ids="-".join)
def test_nodes_stopped_a_round_apart_resume_with_the_same_bits(behind):
    graph = topology("path", 3)
    unbroken = digest(Simulation(peers_on(graph, rounds=20), descend).run())
    disks = {}
    for rounds in (8, 9):  # some have done 8 rounds; their neighbours one more, and have the word that they need
        run = Simulation(peers_on(graph, rounds=rounds), descend)
        run.run()
        disks[rounds] = run._disk
    again = again_on(graph, rounds=20)
    peers = {p: again(p, 1, disks[8 if p in behind else 9][p]) for p in graph.nodes}
    assert digest(Simulation(peers, descend).run()) == unbroken


# ---- timers
class Watched(Simulation):
    """Fails where a timer fires and leaves the deadline in the past: a real node would fire it again at once, for ever.

    It keeps the greatest number of versions and amounts that any edge held, too.
    """

    most = 0

    def _feed(self, name: PeerId, event: Event) -> None:
        super()._feed(name, event)
        peer = self.peers[name]
        due = peer.deadline
        assert due is None or due > self.now or not isinstance(event, Tick), (name, event, due, self.now)
        for edge in peer.edges.values():
            book = edge._book
            held = [len(edge._due)] + [len(v) for v in vars(book).values() if isinstance(v, dict | set)]
            self.most = max(self.most, *held)


@pytest.mark.parametrize("mode", [{}, {"overlap": True}, {"asynchronous": True}], ids=["plain", "overlap", "async"])
@pytest.mark.parametrize("seed", range(3))
def test_no_timer_fires_for_ever_and_no_edge_holds_much_whatever_goes_wrong(mode, seed):
    graph = topology("ring", 6)
    settings = {"rounds": 60, "persist_every": 7, "deadlines": SHORT, **mode}
    faults = Faults(
        loss=0.1, duplicate=0.1, reorder=0.1, straggle={P01: 5.0}, start={P02: 25.0}, pause=[Pause(P03, 10.0, 6.0)],
        kill=[Kill(P00, 14.0, 3.0), Kill(PeerId("p04"), 20.0, 20.0)],
        partition=[Partition(frozenset({P00, P01}), 30.0, 42.0)], calm_after=45.0,
    )  # fmt: skip
    simulation = Watched(peers_on(graph, **settings), descend, faults, seed=seed, rebuild=again_on(graph, **settings))
    assert len(simulation.run()) == 6
    assert simulation.most <= OPEN
