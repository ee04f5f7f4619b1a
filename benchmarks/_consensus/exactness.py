"""Exact mixing: hops that were sent, and how far from the mean everybody is after them, in float32.

A hop counts where somebody sent something. The measured number is the first hop after which every run is within
1e-5 of the mean, relative to the spread of the start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from _figures import Figure, at_most, just

from _consensus.loopback import over_grpc
from _consensus.networks import THETA, Array, generic, network, shared_of
from node.app.rules.mixing import turns_of
from node.drivers.lockstep import Lockstep
from node.gossip.exact import exact, exact_by_schedule
from node.gossip.mixing import Context, Heard, Mixing, State
from node.graph.topology import Topology
from node.graph.weighting.spectrum import exact_steps
from node.types import PeerId, Shared

CLOSE = 1e-5
STATIC = [
    ("path", 10, 9),
    ("path", 16, 15),
    ("ring", 10, 5),
    ("ring", 16, 8),
    ("star", 10, 2),
    ("star", 16, 2),
    ("hypercube", 16, 4),
    ("torus", 16, 4),
]
BASE = {10: (6, 4, 4, 2), 16: (4, 4, 2, 2), 20: (7, 5, 4, 2), 32: (5, 5, 3, 3), 100: (11, 8, 6, 3)}  # k = 1 to 4
OVER_GRPC = (10, 16)  # nodes


class Case(NamedTuple):
    """One table entry."""

    name: str
    topology: Topology
    hops: int  # as tabulated


class Outcome(NamedTuple):
    hops: int  # in which anything was sent
    errors: list[float]  # relative, after each of them


def rows(quick: bool) -> list[Figure]:
    cases = _cases()
    small = [case for case in cases if len(case.topology.nodes) in OVER_GRPC]
    if quick:
        small = small[::3]
    seeds = 1 if quick else 3
    simulated = [("in the simulator", case, _simulated(case, seed)) for case in cases for seed in range(seeds)]
    sent = [("over gRPC", case, _over_grpc(case)) for case in small]
    return [*_table(simulated), *_table(sent)]


def _table(outcomes: list[tuple[str, Case, Outcome]]) -> list[Figure]:
    where = outcomes[0][0]
    worst = max(outcomes, key=lambda o: o[2].errors[-1])
    graphs = len({case.name for _, case, _ in outcomes})
    head = f"exact mixing {where}, {graphs} graphs: left of the spread after the last hop, worst ({worst[1].name})"
    cases = {case.name: case for _, case, _ in outcomes}
    hops = {name: max(_hops(o) for _, case, o in outcomes if case.name == name) for name in cases}
    return [
        at_most(head, worst[2].errors[-1], "ratio", CLOSE),
        *(
            just(f"exact mixing {where}, {name}: hops sent until within 1e-5", hops[name], "hops", case.hops)
            for name, case in cases.items()
        ),
    ]


def _hops(outcome: Outcome) -> int:
    """All that were sent, which is no more than it took; one more where they did not do."""
    first = next((hop for hop, error in enumerate(outcome.errors, 1) if error < CLOSE), outcome.hops + 1)
    return max(first, outcome.hops)


def _cases() -> list[Case]:
    static = [Case(f"{name} of {n}", network(name, n), hops) for name, n, hops in STATIC]
    one_peer = Case("one-peer exponential of 16", network(None, 16, schedule="one_peer_exponential"), 4)
    base = [
        Case(f"base k = {k} of {n}", network(None, n, schedule={"name": "base", "k": k}), hops)
        for n, all_hops in BASE.items()
        for k, hops in enumerate(all_hops, 1)
    ]
    return [*static, one_peer, *base]


class Watched:
    """A rule that notes who sent in which hop, and what every hop made of everybody."""

    def __init__(self, topology: Topology) -> None:
        plan = topology.plan
        self._rule = exact(exact_steps(topology)) if plan is None else exact_by_schedule(plan.exact or 0)
        self.sent: dict[int, int] = {}  # hop -> messages
        self.mixed: dict[int, dict[PeerId, Shared]] = {}

    def rule(self) -> Mixing:
        return self._rule._replace(emit=self._emit, combine=self._combine)

    def _emit(self, shared: Shared, state: State, ctx: Context) -> tuple[Mapping[PeerId, Shared], State]:
        outbox, state = self._rule.emit(shared, state, ctx)
        self.sent[ctx.hop] = self.sent.get(ctx.hop, 0) + len(outbox)
        return outbox, state

    def _combine(
        self, shared: Shared, heard: Mapping[PeerId, Heard], state: State, ctx: Context
    ) -> tuple[Shared, State]:
        mixed, state = self._rule.combine(shared, heard, state, ctx)
        self.mixed.setdefault(ctx.hop, {})[ctx.peer] = mixed
        return mixed, state

    def outcome(self, start: Array) -> Outcome:
        """Of one round from `start` (n, d)."""
        mean = start.mean(axis=0)
        before = np.linalg.norm(start - mean)
        xs = [self.mixed[hop] for hop in sorted(self.mixed)]
        x = [np.stack([by[peer][THETA].double().numpy() for peer in sorted(by)]) for by in xs]
        return Outcome(sum(map(bool, self.sent.values())), [float(np.linalg.norm(y - mean) / before) for y in x])


def _simulated(case: Case, seed: int) -> Outcome:
    def run(topology: Topology, watched: Watched, start: Mapping[PeerId, Shared]) -> Any:
        Lockstep(topology, watched.rule(), start, turns=turns_of(topology, "exact")).run(1)

    return _watched(case, seed, run)


def _over_grpc(case: Case) -> Outcome:
    return _watched(case, 0, lambda topology, watched, start: over_grpc(topology, watched.rule, "exact", start, 1))


def _watched(case: Case, seed: int, run: Callable[[Topology, Watched, Mapping[PeerId, Shared]], Any]) -> Outcome:
    start = generic(len(case.topology.nodes), seed=seed).astype(np.float32).astype(np.float64)
    watched = Watched(case.topology)
    run(case.topology, watched, shared_of(case.topology, start, torch.float32))
    return watched.outcome(start)
