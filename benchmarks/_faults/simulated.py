"""Whole networks in virtual time: loss, stragglers, partitions, churn, pauses and kills, each beside a bad design.

The protocol is the one that runs over sockets, to the bit; only network, disk and clock are simulated. Rings of 8; a
round of training takes 1 s; deadlines are learnt between 0.5 and 4 s unless a row says otherwise.
"""

from __future__ import annotations

import gc
import itertools
import math
import statistics
import tracemalloc
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from _figures import Figure, at_least, at_most

from _faults.problem import (
    CLASSES,
    FEATURES,
    Network,
    Problem,
    drift,
    keep,
    network,
    random_kills,
    scattered,
    spread,
    spreads,
    stack,
)
from node.app.auditing.audit import Report, judge
from node.app.auditing.evidence import Evidence
from node.core.deadlines import DeadlineLimits
from node.core.edge import check_of
from node.core.events import Mixed
from node.core.messages import Message, SnapshotRequest
from node.core.peer import GossipPeer
from node.core.settlement import Amount, Follower, Leader
from node.drivers.faults import Faults, Kill, Leaving, Partition, Pause
from node.drivers.simulation import Simulation
from node.gossip.push_sum import push_sum
from node.graph.weighting.spectrum import spectral_gap
from node.graph.weighting.weights import matrix
from node.observe.journal import Entry
from node.types import PeerId

LONGEST = (
    1.1 + 4.0 + 0.2
)  # seconds: training, the deadline's ceiling, two delays; a round that takes longer has stalled
SLOW = PeerId("p03")
NEVER = 10**9  # rounds


def rows(quick: bool) -> list[Figure]:
    torch.set_num_threads(1)
    figures: list[Figure] = []
    for part in (storm, settlement, straggler, halves, churn, pause, kills, pushes, modes, memory):
        figures += part(quick)
    return figures


# ---- loss, delay, duplicates, reorder ------------------------------------------------------------------------------


def storm(quick: bool) -> list[Figure]:
    seeds, rounds = (3, 60) if quick else (20, 200)
    problem, net = Problem(8), Network(rounds=rounds)
    faults = Faults(loss=0.1, delay=(0.03, 0.07), duplicate=0.1, reorder=0.2, calm_after=0.8 * rounds)
    even = [problem.loss(net.simulation(problem.step, seed=s).run()) for s in range(1)] * max(
        seeds, 3
    )  # bits do not depend on it
    ours = [_weather(problem, net, faults, seed) for seed in range(seeds)]
    bad = [_weather(problem, net, replace(faults, tamper=_no_resync), seed) for seed in range(2 if quick else 3)]
    what, n = "10 % loss, 50 +- 20 ms, duplicates, reorder", f"of {seeds} runs"
    figures = [
        at_most(f"{what}: stalled rounds", sum(r["stalled"] for r in ours), f"in {seeds} runs", 0),
        at_most(f"{what}: diverged replicas", sum(r["diverged"] for r in ours), f"in {seeds} runs", 0),
        at_most(f"{what}: final loss over no-fault, worst seed", _over(ours, even), f"ratio {n}", 1.02),
        Figure(f"{what}: rounds jumped by a node", _per_round(ours, "jumped", rounds), "% of rounds"),
        Figure(f"{what}: diverged replicas; no resync (bad)", sum(r["diverged"] for r in bad), f"in {len(bad)} runs"),
        Figure(f"{what}: final loss over no-fault; no resync (bad)", _over(bad, even), f"ratio of {len(bad)} runs"),
    ]
    return figures


def _weather(problem: Problem, net: Network, faults: Faults, seed: int) -> Mapping[str, float]:
    simulation = net.simulation(problem.step, faults, seed)
    loss = problem.loss(simulation.run())
    return {"loss": loss, "diverged": _diverged(simulation), **_rounds(simulation, net.rounds)}


def _no_resync(sender: PeerId, message: Message) -> Message:
    """The bad design: nobody answers a request for a snapshot (this one asks for what was sent before)."""
    return replace(message, seq=-1) if isinstance(message, SnapshotRequest) else message


def _rounds(simulation: Simulation, rounds: int) -> dict[str, float]:
    """Rounds that a node took too long for or never came to, and those that it jumped to be level with the others."""
    stalled = jumped = 0
    for node in simulation.peers:
        mine = [(t, m.round) for t, p, m in simulation.log if p == node]
        stalled += sum(b[0] - a[0] > LONGEST for a, b in itertools.pairwise(mine))
        stalled += rounds - 1 - mine[-1][1]
        jumped += rounds - len(mine)
    return {"stalled": stalled, "jumped": jumped}


def _diverged(simulation: Simulation) -> int:
    """Ends of edges whose copy of the other end is not what that end believes it to be."""
    peers = simulation.peers
    pairs = ((peers[p].edges[q], peers[q].edges[p]) for p in peers for q in peers[p].neighbours)
    return sum(a.held is None or b.mine is None or a.held.check != check_of(b.mine) for a, b in pairs)


def _over(runs: list[Mapping[str, float]], even: list[float]) -> float:
    return max(run["loss"] / loss for run, loss in zip(runs, even, strict=False))


def _per_round(runs: list[Mapping[str, float]], name: str, rounds: int) -> float:
    return 100.0 * statistics.mean(run[name] for run in runs) / (8 * rounds)


# ---- settlement ----------------------------------------------------------------------------------------------------


def settlement(quick: bool) -> list[Figure]:
    """How far pure averaging moves the mean, over the spread of the start: the worst seed."""
    seeds = 2 if quick else 10
    lossy = Faults(loss=0.1, duplicate=0.05, reorder=0.1, calm_after=50.0)
    slow = Faults(straggle={SLOW: 6.0})
    plans: list[tuple[str, Faults, dict[str, Any]]] = [
        ("10 % loss", lossy, {}),
        ("one node 6x slower", slow, {}),
        ("10 % loss, asynchronous", lossy, {"asynchronous": True}),
        ("one node 6x slower, asynchronous", slow, {"asynchronous": True}),
    ]
    figures = []
    for name, faults, mode in plans:
        what = f"mean moved by pure averaging, {name}: settle"
        ours, closed = _drifts(Network(start=scattered, settings=mode), faults, seeds)
        without, _ = _drifts(Network(start=scattered, settings={"settle": False, **mode}), faults, seeds)
        figures += [at_most(f"{what}: true", ours, "sigma", 1e-5), Figure(f"{what}: false", without, "sigma")]
        if mode:
            figures.append(at_most(f"{what}: true, pairs open at the end undone", closed, "sigma", 1e-5))
    return figures


def _drifts(net: Network, faults: Faults, seeds: int) -> tuple[float, float]:
    """The worst seed's: as it is, and with the pairs undone that the end of the run left to be settled."""
    start, found = stack({p: net.start(p) for p in net.graph.nodes}), []
    for seed in range(seeds):
        simulation = net.simulation(keep, faults, seed)
        moved = stack(simulation.run()).mean(0) - start.mean(0)
        found.append((float(moved.norm()), float((moved + _still_open(simulation)).norm())))
    ours, closed = (max(of) / spread(start) for of in zip(*found, strict=True))
    return ours, closed


def _still_open(simulation: Simulation) -> torch.Tensor:
    """What settling the last pairs would add to the mean: each undone at both ends. (d,)"""
    peers, amounts = simulation.peers, list[Amount]()
    for p, q in ((a, b) for a in peers for b in peers[a].neighbours if a < b):
        leader, follower = peers[p].edges[q]._book, peers[q].edges[p]._book
        assert isinstance(leader, Leader)
        assert isinstance(follower, Follower)
        amounts += [*peers[p].edges[q]._due, *peers[q].edges[p]._due]
        for seq, (pair, theirs, mine) in leader._applied.items():
            if seq in follower._refused or (seq >= follower._final and seq not in follower._settled):
                amounts.append(Amount(-pair.weight, theirs, mine))
        for uses in follower._uses.values():
            amounts += [use.times(-use.weight) for use in uses.values()]
    zero = torch.zeros(FEATURES * CLASSES, dtype=torch.float64)
    return sum((a.weight * (a.theirs["theta"] - a.mine["theta"]).double() for a in amounts), zero) / len(peers)


# ---- one slow node -------------------------------------------------------------------------------------------------


def straggler(quick: bool) -> list[Figure]:
    rounds = 90 if quick else 240
    problem, slow = Problem(8), Faults(straggle={SLOW: 6.0})
    even = _pace(problem, Network(rounds=rounds), Faults())
    ours = _pace(problem, Network(rounds=rounds), slow)
    strict = _pace(problem, Network(rounds=rounds, settings={"max_staleness": 0}), slow)
    without = _pace(problem, Network(rounds=rounds, settings={"settle": False}), slow)
    what = "one node 6x slower"
    return [
        at_least(f"{what}: rounds of its neighbours that use its word", ours["used"], "share", 0.85),
        at_most(f"{what}: spread over the even network's", ours["spread"] / even["spread"], "ratio", 1.3),
        Figure(f"{what}: final loss over the even network's", ours["loss"] / even["loss"], "ratio"),
        Figure(f"{what}: time over the even network's", ours["time"] / even["time"], "ratio"),
        Figure(f"{what}: rounds that use its word; strict rounds (bad)", strict["used"], "share"),
        Figure(f"{what}: spread over the even; strict rounds (bad)", strict["spread"] / even["spread"], "ratio"),
        Figure(f"{what}: spread over the even; settle: false", without["spread"] / even["spread"], "ratio"),
        Figure(f"{what}: final loss over the even; settle: false", without["loss"] / even["loss"], "ratio"),
    ]


def _pace(problem: Problem, net: Network, faults: Faults) -> Mapping[str, float]:
    simulation = net.simulation(problem.step, faults)
    final = simulation.run()
    near = [m for _, p, m in simulation.log if p in net.graph.neighbours(SLOW)]
    others = max(t for t, p, _ in simulation.log if p != SLOW)
    used = sum(SLOW in m.staleness for m in near) / len(near)
    return {"used": used, "spread": _late_spread(simulation), "loss": problem.loss(final), "time": others}


def _late_spread(simulation: Simulation) -> float:
    """Of all nodes' newest vectors, at the moments of the last third."""
    newest: dict[PeerId, Any] = {}
    seen = []
    for _, peer, mixed in simulation.log:
        newest[peer] = mixed.after
        seen.append(spread(stack(newest)) if len(newest) == len(simulation.peers) else math.nan)
    return statistics.mean(seen[len(seen) * 2 // 3 :])


# ---- partition -----------------------------------------------------------------------------------------------------


def halves(quick: bool) -> list[Figure]:
    length = 40.0 if quick else 110.0  # seconds; 110 are 100 rounds
    problem, net = Problem(8), Network(rounds=int(length) + 70)
    cut = Faults(partition=[Partition(frozenset(net.graph.nodes[:4]), 20.0, 20.0 + length)])
    calm, run = net.simulation(problem.step), net.simulation(problem.step, cut)
    calm.run()
    run.run()
    even, torn = spreads(calm), spreads(run)
    heals = min(m.round for t, _, m in run.log if t >= 20.0 + length)
    level = (r for r in torn if r >= heals and torn[r] < 1.5 * even[r])
    bar = math.ceil(3 / spectral_gap(matrix(net.graph)))
    what = f"two halves for {length:.0f} s, then healed"
    return [
        Figure(f"{what}: consensus distance over no-fault before healing", torn[heals] / even[heals], "ratio"),
        at_most(f"{what}: rounds to 1.5x no-fault", next(level, NEVER) - heals, "rounds", bar),
    ]


# ---- join, leave, come back ----------------------------------------------------------------------------------------


def churn(quick: bool) -> list[Figure]:
    settings = {"deadlines": DeadlineLimits(), "first_contact": 5.0, "persist_every": 1}
    net, problem = Network(rounds=125, settings=settings), Problem(8)
    calm = net.simulation(problem.step)
    calm.run()
    ours = _comes_and_goes(problem, net, calm)
    bad = _comes_and_goes(problem, replace(net, prepare=_never_adopts), calm)
    what = "join at 50, leave at 80, back at 100"
    return [
        at_most(f"{what}: rounds until level, the worse time", max(ours["join"], ours["back"]), "rounds", 3),
        at_most(f"{what}: rounds in which another waited in vain", ours["failed"], "rounds", 0),
        Figure(f"{what}: rounds until level after the join; no adoption (bad)", bad["join"], "rounds"),
        Figure(f"{what}: rounds until level after the return; no adoption (bad)", bad["back"], "rounds"),
    ]


def _never_adopts(peer: GossipPeer) -> None:
    """The bad design: who comes late starts from what it has."""
    peer._catch_up.gap = NEVER


def _comes_and_goes(problem: Problem, net: Network, calm: Simulation) -> Mapping[str, float]:
    node = PeerId("p04")
    plan = Faults(start={node: 50.0}, leave=[Leaving(node, 80.0, back_after=20.0)])
    simulation, before = net.simulation(problem.step, plan), Counter[str]()

    def note(peer: PeerId, event: str, fields: Mapping[str, Any]) -> None:
        if simulation.now < 20.0:  # by then the late node is known to be absent
            before["deadline"] = _missed(simulation, node)

    simulation.journal = note
    simulation.run()
    failed = _missed(simulation, node) - before["deadline"]
    even = spreads(calm)
    join, back = (_level(simulation, node, since, even) for since in (50.0, 100.0))
    return {"join": join, "back": back, "failed": failed}


def _missed(simulation: Simulation, but: PeerId) -> int:
    return sum(peer.faults["deadline"] for name, peer in simulation.peers.items() if name != but)


def _level(simulation: Simulation, node: PeerId, since: float, even: Mapping[int, float]) -> int:
    """Rounds that `node` mixes until it is in the others' round and all together are as near as without faults.

    As near: the consensus distance is at most 1.5 times that of the same round of the calm run.
    """
    newest: dict[PeerId, Mixed] = {}
    count = 0
    for t, peer, mixed in simulation.log:
        newest[peer] = mixed
        if peer != node or t < since:
            continue
        count += 1
        behind = max(m.round for m in newest.values()) - mixed.round
        if behind <= 1 and spread(stack({p: m.after for p, m in newest.items()})) <= 1.5 * even[mixed.round]:
            return count
    return NEVER


# ---- a process that is stopped -------------------------------------------------------------------------------------


def pause(quick: bool) -> list[Figure]:
    seeds = 3 if quick else 10
    net = Network(rounds=110, settings={"deadlines": DeadlineLimits()})
    deaf = replace(net, settings={"deadlines": DeadlineLimits(), "probing": False})
    ours = [_stopped(net, seed) for seed in range(seeds)]
    bad = _stopped(deaf, 0)
    what = "1 of 8 stopped for 30 s"
    return [
        at_most(f"{what}: until both neighbours suspect it, worst", max(r["suspect"] for r in ours), "s", 3),
        at_most(f"{what}: the others' round time after that", max(r["slower"] for r in ours), "ratio", 1.2),
        at_least(f"{what}: its word used again afterwards", min(r["back"] for r in ours), "share of rounds", 0.95),
        Figure(f"{what}: the others' round time; no probes (bad)", bad["slower"], "ratio"),
    ]


def _stopped(net: Network, seed: int) -> Mapping[str, float]:
    at = 20.0 + 0.37 * seed
    simulation = net.simulation(Problem(8).step, Faults(pause=[Pause(SLOW, at, 30.0)]), seed)
    suspected: dict[PeerId, float] = {}

    def note(peer: PeerId, event: str, fields: Mapping[str, Any]) -> None:
        if event == "member" and fields["peer"] == SLOW and fields["state"] == "suspect":
            suspected.setdefault(peer, simulation.now - at)

    simulation.journal = note
    simulation.run()
    near = net.graph.neighbours(SLOW)
    waits = max(suspected.get(p, math.inf) for p in near)
    detected = at + min(waits, 3.0)
    slower = _seconds(simulation, detected, at + 30.0) / _seconds(simulation, 5.0, at)
    back = [m for t, p, m in simulation.log if p in near and at + 40.0 < t < at + 60.0]
    used = sum(SLOW in m.staleness for m in back) / max(1, len(back))
    return {"suspect": waits, "slower": slower, "back": used}


def _seconds(simulation: Simulation, start: float, end: float) -> float:
    """Of a round of the nodes other than the stopped one, on average, between two moments."""
    rounds = [m.round for t, p, m in simulation.log if p != SLOW and start < t <= end]
    return (end - start) * 7 / max(1, len(rounds))


# ---- kills and restarts --------------------------------------------------------------------------------------------


def kills(quick: bool) -> list[Figure]:
    count = 20 if quick else 100
    net = Network(rounds=4 * count + 40, settings={"persist_every": 1})
    problem = Problem(8)
    even = problem.loss(net.simulation(problem.step).run())
    plan = Faults(kill=[Kill(p, t, 2.0) for p, t in random_kills(net.graph, count, 5.0, 3.7, seed=0)])
    ours = _killed(problem, net, plan)
    bad = _killed(problem, replace(net, forgets=True), plan)
    what = f"{count} kills and restarts"
    return [
        at_most(f"{what}: committed rounds lost or altered", ours["lost"], "facts", 0),
        at_most(f"{what}: other checks of the audit that failed", ours["failed"], "checks", 0),
        at_most(f"{what}: neighbours ended", ours["ended"], "nodes", 0),
        at_most(f"{what}: final loss over no-fault", ours["loss"] / even, "ratio", 1.02),
        Figure(f"{what}: committed rounds lost; started afresh (bad)", bad["lost"], "facts"),
    ]


def _killed(problem: Problem, net: Network, plan: Faults) -> Mapping[str, float]:
    simulation = net.simulation(problem.step, plan)
    journals: dict[PeerId, list[Entry]] = {p: [] for p in net.graph.nodes}
    numbers: Counter[tuple[PeerId, int]] = Counter()

    def note(peer: PeerId, event: str, fields: Mapping[str, Any]) -> None:
        epoch, journal = simulation.peers[peer].config.epoch, journals[peer]
        n, numbers[peer, epoch] = numbers[peer, epoch], numbers[peer, epoch] + 1
        journal.append(Entry(event, f"{peer}:{len(journal)}", n, simulation.now, simulation.now, epoch, fields))

    simulation.journal = note
    final = simulation.run()
    report: Report = judge(Evidence(journals, mixing="dpsgd"))
    failed = {f.check: f.failed for f in report.findings if f.failed}
    lost = failed.pop("committed-not-lost", 0) + failed.pop("committed-not-altered", 0)
    return {"lost": lost, "failed": len(failed), "ended": 8 - len(final), "loss": problem.loss(final)}


# ---- push-sum ------------------------------------------------------------------------------------------------------


def pushes(quick: bool) -> list[Figure]:
    seeds = 2 if quick else 10
    lossy = Faults(loss=0.1, duplicate=0.05, reorder=0.1)
    nets = {
        "push_sum": Network(rounds=80, rule=push_sum, start=scattered),
        "dpsgd, settle: true": Network(rounds=80, start=scattered),
        "dpsgd, settle: false": Network(rounds=80, start=scattered, settings={"settle": False}),
    }
    worst = {name: max(_moved(net, lossy, s) for s in range(seeds)) for name, net in nets.items()}
    what = "10 % loss to the end, mean moved: "
    return [
        at_most(f"{what}push_sum", worst.pop("push_sum"), "sigma", 1e-3),
        *(Figure(what + name, value, "sigma") for name, value in worst.items()),
    ]


def _moved(net: Network, faults: Faults, seed: int) -> float:
    simulation = net.simulation(keep, faults, seed)
    return drift({p: net.start(p) for p in net.graph.nodes}, simulation.run())


# ---- overlap and asynchronous --------------------------------------------------------------------------------------


def modes(quick: bool) -> list[Figure]:
    problem, rounds = Problem(8), 60 if quick else 200
    plans = [
        ("exchange of 0.8 to 1 s", Faults(delay=(0.8, 1.0)), "overlap"),
        ("one node 4x slower", Faults(straggle={SLOW: 4.0}), "asynchronous"),
    ]
    figures = []
    for name, faults, mode in plans:
        plain, other = (
            _pace(problem, Network(rounds=rounds, settings=s), faults)
            for s in ({"deadlines": DeadlineLimits()}, {"deadlines": DeadlineLimits(), mode: True})
        )
        what = f"{name}: {mode} over synchronous"
        figures += [
            Figure(f"{what}, time of the others", other["time"] / plain["time"], "ratio"),
            Figure(f"{what}, final loss", other["loss"] / plain["loss"], "ratio"),
        ]
    return figures


# ---- memory --------------------------------------------------------------------------------------------------------


def memory(quick: bool) -> list[Figure]:
    """Of Python objects and tensors; medians over eleven moments, for a peer holds more at some than at others."""
    rounds, warm = (350, 150) if quick else (10_000, 1_000)
    early, late, clock = list[int](), list[int](), 0
    tracemalloc.start()
    simulation = Network(graph=network(4), rounds=rounds).simulation(keep, Faults(loss=0.02))
    simulation.log = deque(maxlen=16)  # type: ignore[assignment]  # the record of a run grows by design

    def note(peer: PeerId, event: str, fields: Mapping[str, Any]) -> None:
        nonlocal clock
        clock += event == "mix" and peer == "p00"
        for when, seen in ((warm, early), (rounds - 80, late)):
            if event == "mix" and peer == "p00" and clock in range(when, when + 55, 5):
                gc.collect()
                seen.append(tracemalloc.get_traced_memory()[0] + _tensor_bytes())

    simulation.journal = note
    simulation.run()
    tracemalloc.stop()
    growth = statistics.median(late) / statistics.median(early) - 1.0
    what = f"{rounds} simulated rounds of 4 nodes"
    return [
        at_most(f"{what}: growth of memory after {warm}", 100.0 * growth, "%", 5),
        Figure(f"{what}: memory after {warm}", statistics.median(early) / 1000, "kB"),
    ]


def _tensor_bytes() -> int:
    """Storage of live tensors: tracemalloc does not see it."""
    tensors = (x for x in gc.get_objects() if type(x) is torch.Tensor)
    return sum({x.untyped_storage().data_ptr(): x.untyped_storage().nbytes() for x in tensors}.values())
