"""What each mixing rule will cost on a topology until the worst start is within a distance of the mean.

Decides which rules make sense on which topology, and counts rounds, exchanges and messages. Says nothing of time or
bytes: `node.graph.advice.fastest` and `node.graph.advice.prediction` do.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from node.graph.advice.pace import chebyshev, pushes
from node.graph.advice.products import rounds_to_by_products
from node.graph.topology import Topology
from node.graph.weighting.spectrum import exact_error, exact_steps, interval, rounds_to
from node.graph.weighting.weights import PUSH_SUM

TRIED = 256  # hops of exact mixing that are tried in float32; 1,023 of them at n = 1024 take 2 s to try
COUNTED = 64  # rounds of a schedule whose messages are counted one by one; more are as many on the mean
LOOKED = 16  # rounds of a schedule that stand for all of them where a mean or a maximum is asked for


class Forecast(NamedTuple):
    """One rule on one topology, nobody missing, no training in between."""

    rule: str  # as under `gossip.mixing`
    rounds: int | None  # until the spread of any start is at most the target; None: never
    hops: int  # exchanges in a round
    messages: int | None  # sent by all nodes together in these rounds
    left: (
        float | None
    )  # of the spread then: the target, or where the rule is exact what float32 leaves; None: not tried


class Exactly(NamedTuple):
    """Finite-time exact mixing on a graph that stands still."""

    hops: int
    left: float | None  # of the spread, in float32; None: too many hops to try


def forecasts(topology: Topology, target: float = 1e-3) -> tuple[Forecast, ...]:
    """One for each rule that fits: first the plain one.

    Args:
        target: spread after / spread before; above 0, below 1.
    """
    found = [plain(topology, target)]
    if topology.plan is not None:
        hops = topology.plan.exact
        found += [] if hops is None else [_exact(topology, hops, _left(topology, hops))]
    elif not topology.directed and topology.weights != PUSH_SUM:
        if topology.is_symmetric:
            found.append(_chebyshev(topology, target))
        found.append(_exact(topology, *exactly(topology)))
    return tuple(found)


def plain(topology: Topology, target: float = 1e-3) -> Forecast:
    """What `mixing: dpsgd` does; push-sum where the file asks for that."""
    if topology.plan is not None:
        return _plain(topology, "dpsgd", rounds_to_by_products(topology.plan, len(topology.nodes), target), target)
    if topology.weights == PUSH_SUM:
        return _plain(topology, "push-sum", pushes(topology.matrix(), target), target)
    try:
        rounds = rounds_to(topology.matrix(), target)
    except ValueError:  # it never mixes
        return _plain(topology, "dpsgd", None, target)
    return _plain(topology, "dpsgd", rounds, target)


@lru_cache(maxsize=4)  # asked for by a forecast and by `choice`: 0.5 s and more at n = 1024
def exactly(topology: Topology) -> Exactly:
    """Exact mixing on an undirected graph that stands still."""
    hops = len(exact_steps(topology))
    return Exactly(hops, exact_error(topology) if hops <= TRIED else None)


def messages_in(topology: Topology, round: int = 0) -> int:
    """Messages that all nodes together send in one exchange by W(round)."""
    if topology.schedule is None:
        return len(topology.edges) * (1 if topology.directed else 2)
    return sum(len(row.keys() - {peer}) for peer, row in topology.rows_at(round).items())


def messages_until(topology: Topology, rounds: int) -> int:
    """Messages of rounds 0 to `rounds` - 1; beyond the period, or COUNTED rounds, by their mean."""
    if topology.schedule is None:
        return rounds * messages_in(topology)
    counted = min(rounds, topology.period or COUNTED, COUNTED)
    sent = [messages_in(topology, t) for t in range(counted)]
    if topology.period is not None and topology.period <= COUNTED:
        whole, rest = divmod(rounds, max(counted, 1))
        return whole * sum(sent) + sum(sent[:rest])
    return sum(sent) if rounds == counted else round(rounds * sum(sent) / counted)


def messages_a_round(topology: Topology) -> float:
    """Messages of all nodes in an exchange; of a schedule the mean over its first rounds."""
    looked = min(topology.period or LOOKED, LOOKED)
    return messages_until(topology, looked) / looked


def busiest(topology: Topology) -> int:
    """Messages that the busiest node sends in an exchange; of a schedule the most in its first rounds."""
    return max(_busiest_in(topology, t) for t in range(min(topology.period or LOOKED, LOOKED)))


def _busiest_in(topology: Topology, round: int) -> int:
    sent = Counter(other for peer, row in topology.rows_at(round).items() for other in row if other != peer)
    return max(sent.values(), default=0)


def _plain(topology: Topology, rule: str, rounds: int | None, target: float) -> Forecast:
    return Forecast(rule, rounds, 1, None if rounds is None else messages_until(topology, rounds), target)


def _chebyshev(topology: Topology, target: float) -> Forecast:
    found = chebyshev(*interval(topology.matrix()), target)
    if found is None:
        return Forecast("chebyshev", None, 1, None, target)
    rounds, hops = found
    return Forecast("chebyshev", rounds, hops, messages_until(topology, rounds * hops), target)


def _exact(topology: Topology, hops: int, left: float | None) -> Forecast:
    return Forecast("exact", 1, hops, messages_until(topology, hops), left)


def _left(topology: Topology, rounds: int, starts: int = 16) -> float:
    """Distance to the mean that rounds 0 to `rounds` - 1 leave of random starts, in float32, by the spread before."""
    x = np.random.default_rng(0).standard_normal((len(topology.nodes), starts)).astype(np.float32)
    mean = x.mean(axis=0, dtype=np.float64)
    before = np.linalg.norm(x - mean)
    for t in range(rounds):
        x = topology.matrix(t).astype(np.float32) @ x
    return float(np.linalg.norm(x - mean) / before)
