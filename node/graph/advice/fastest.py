"""Which topology, schedule and rule would agree first on links as they were measured.

The model. In one exchange a node sends its messages one after the other: the last one has left after the sum of
`bytes / bandwidth` over those it tells, and arrives one latency later. We take the longest latency among them:

    seconds of node i in exchange t  =  max_j latency_ij  +  sum_j bytes / bandwidth_ij    over all j that i tells
    seconds of exchange t            =  max_i of that      (everybody waits for the slowest)
    seconds to consensus             =  sum over the exchanges that the rule takes to the target

What it leaves out: training, mixing, queues of the receiver, links that share a wire, and that only neighbours wait for
each other. So it errs upwards where slow links are far apart, and ranks rather than foretells. Nodes are placed in the
order of the file; no other placement is tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from node.graph.advice.candidates import Candidate, candidates
from node.graph.advice.choice import LOSSY
from node.graph.advice.forecast import Forecast, forecasts
from node.graph.links import Links
from node.graph.topology import Topology

TIMED = 64  # rounds of a schedule that are timed one by one; more take the mean of these


class Offer(NamedTuple):
    """One way to agree."""

    line: str  # of the topology file
    forecast: Forecast
    seconds: float  # until the target is reached
    bytes: int  # sent by all nodes together until then
    at_best: float | None = None  # seconds by other links, where these were given


def offers(
    now: Topology, links: Links, message_bytes: int, target: float = 1e-3, at_best: Links | None = None
) -> tuple[Offer, ...]:
    """All that fits these nodes, the soonest first; of equals the one with fewer bytes. `now` is among them.

    Args:
        now: the topology as the file has it.
        links: between the nodes of `now`, in its order.
        message_bytes: of one message, all channels.
        target: spread after / spread before.
        at_best: a second reading of the same measurements, told beside the first; it ranks nothing.
    """
    as_it_is = [] if now.is_open else [Candidate("as it is", now)]
    named = [*as_it_is, *(c for c in candidates(now.addresses) if not _same(c.topology, now))]
    found = [offer for candidate in named for offer in _offers_of(candidate, links, message_bytes, target, at_best)]
    found.sort(key=lambda offer: (round(offer.seconds, 9), offer.bytes))
    return tuple(offer for place, offer in enumerate(found) if not any(_alike(offer, other) for other in found[:place]))


def _same(other: Topology, now: Topology) -> bool:
    return (other.edges, other.schedule, other.weights) == (now.edges, now.schedule, now.weights)


def _alike(offer: Offer, other: Offer) -> bool:
    """Whether they are one schedule by two settings: base {k: 2} on 16 nodes is base {k: 1}."""
    names = (offer.line.partition(",")[0], other.line.partition(",")[0])
    return names[0] == names[1] and (offer.seconds, offer.bytes) == (other.seconds, other.bytes)


def _offers_of(
    candidate: Candidate, links: Links, message_bytes: int, target: float, at_best: Links | None
) -> Iterator[Offer]:
    found = forecasts(candidate.topology, target)
    for forecast in found if candidate.topology.is_static else found[:1]:  # exact on a schedule: the same exchanges
        if forecast.rounds is None or forecast.messages is None or _is_lossy(forecast):
            continue
        exchanges = forecast.rounds * forecast.hops
        seconds = seconds_until(candidate.topology, exchanges, links, message_bytes)
        best = None if at_best is None else seconds_until(candidate.topology, exchanges, at_best, message_bytes)
        yield Offer(candidate.line, forecast, seconds, forecast.messages * message_bytes, best)


def _is_lossy(forecast: Forecast) -> bool:
    return forecast.rule == "exact" and (forecast.left is None or forecast.left > LOSSY)


def seconds_until(topology: Topology, exchanges: int, links: Links, message_bytes: int) -> float:
    """Seconds that exchanges 0 to `exchanges` - 1 take."""
    different = min(exchanges, topology.period or TIMED, TIMED)
    each = [seconds_of(topology, t, links, message_bytes) for t in range(different)]
    whole, rest = divmod(exchanges, max(different, 1))
    if topology.period is None or topology.period > TIMED:
        return sum(each) * exchanges / different if different else 0.0
    return whole * sum(each) + sum(each[:rest])


def seconds_of(topology: Topology, round: int, links: Links, message_bytes: int) -> float:
    """Seconds of one exchange by W(round); see the model above."""
    sender, receiver = _arcs(topology, round)
    if not len(sender):
        return 0.0
    sending, late = np.zeros(len(links.ids)), np.zeros(len(links.ids))
    np.add.at(sending, sender, message_bytes * links.per_byte[sender, receiver])
    np.maximum.at(late, sender, links.latency[sender, receiver])
    return float((sending + late).max())


def _arcs(topology: Topology, round: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of (sender, receiver) of every message of W(round)."""
    place = {peer: i for i, peer in enumerate(topology.nodes)}
    rows = topology.rows_at(round)
    pairs = [(place[q], place[p]) for p, row in rows.items() for q in row if q != p]
    both = np.array(pairs, dtype=np.intp).reshape(-1, 2)
    return both[:, 0], both[:, 1]
