"""What a user would want to know of a topology before a long run: one line a matter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil
from typing import NamedTuple

import networkx as nx

from node.graph.advice.candidates import candidates
from node.graph.advice.choice import LOSSY
from node.graph.advice.forecast import Forecast, busiest, messages_a_round, plain
from node.graph.topology import Topology
from node.graph.weighting.weights import PUSH_SUM

MANY_ROUNDS = 100  # to 1e-3; one class a node, 80 steps: a ring of 16 (133 rounds) gave .20 accuracy, exact mixing .97
MULTIPLIED = 128  # nodes up to which the products of a schedule that might be better are worked out: 1 s each at 1024


def cautions(topology: Topology, found: Sequence[Forecast], target: float = 1e-3) -> list[str]:
    """One line for each thing that is wrong or dear.

    Args:
        found: `forecasts(topology, target)`.
    """
    return [
        *_hopeless(topology, found[0], target),
        *_cuts(topology),
        *_ignored(topology),
        *_drifts(topology),
        *(line for forecast in found for line in _lossy(forecast)),
    ]


def _hopeless(topology: Topology, now: Forecast, target: float) -> Iterator[str]:
    if now.rounds is not None and now.rounds <= MANY_ROUNDS:
        return
    needs = "never" if now.rounds is None else f"need {now.rounds} rounds to"
    said = f"{len(topology.nodes)} nodes {needs} shrink their spread to {target:g}"
    better = better_at_the_same_degree(topology, now.rounds, target)
    yield said if better is None else f"{said}: {better}"


class Better(NamedTuple):
    """A candidate that mixes faster."""

    rounds: int
    messages: float  # a node and round, on the mean
    line: str
    sends: int  # messages of the node that sends most in a round
    is_static: bool

    def __str__(self) -> str:
        return f"{self.line} needs {self.rounds} with {self.messages:.3g} messages a node and round"


def better_at_the_same_degree(topology: Topology, rounds: int | None, target: float) -> str | None:
    """What mixes at least twice as fast with no node sending more a round than nodes do now (the mean, rounded up).

    Where that is a schedule, also the fastest graph that stands still with a degree of at most two more: not everybody
    may talk to everybody.
    """
    most = ceil(messages_a_round(topology) / len(topology.nodes))
    found = [b for b in _judged(topology, most + 2, target) if rounds is None or 2 * b.rounds <= rounds]
    same = min((b for b in found if b.sends <= most), default=None)
    still = min((b for b in found if b.is_static), default=None)
    named = [b for b in dict.fromkeys((same, still if same is None or not same.is_static else None)) if b is not None]
    return "; ".join(map(str, named)) or None


def _judged(topology: Topology, most: int, target: float) -> Iterator[Better]:
    for line, other in candidates(topology.addresses):
        sends = busiest(other)
        if sends <= most and (rounds := _rounds(other, target)) is not None:
            yield Better(rounds, messages_a_round(other) / len(other.nodes), line, sends, other.is_static)


def _rounds(topology: Topology, target: float) -> int | None:
    """Rounds of D-PSGD; on many nodes those until a schedule is exact, which may be one or two more, but known."""
    if len(topology.nodes) > MULTIPLIED and topology.plan is not None:
        return topology.plan.exact
    return plain(topology, target).rounds


def _cuts(topology: Topology) -> Iterator[str]:
    if not topology.is_static or len(topology.nodes) < 4:
        return
    graph: nx.Graph[str] = nx.Graph(topology.links)
    cuts = set(nx.articulation_points(graph))
    cut = [peer for peer in topology.nodes if peer in cuts]
    if cut:
        shown = ", ".join(cut[:4]) + (f" and {len(cut) - 4} more" if len(cut) > 4 else "")
        yield f"the graph falls apart where one of these stops: {shown}"


def _ignored(topology: Topology) -> Iterator[str]:
    if topology.edge_weights and topology.is_static and topology.weights != "file":
        yield f"weights: {topology.weights} takes no notice of the weights of edges in the file; weights: file would"


def _drifts(topology: Topology) -> Iterator[str]:
    if topology.plan is not None:
        if not topology.plan.balanced:
            assert topology.schedule is not None
            yield f"schedule: {topology.schedule.name} moves the mean: rows of W(t) sum to 1, columns do not"
        return
    if topology.weights == PUSH_SUM:
        yield "weights: push_sum is for gossip.mixing: push-sum (or auto); no other rule agrees on the mean with it"
        return
    if not topology.is_balanced:
        what = "weighted by data sizes, " if topology.weights == "data_size" else ""
        yield f"weights: {topology.weights} moves the mean: nodes agree on one {what}not on the plain one"


def _lossy(forecast: Forecast) -> Iterator[str]:
    if forecast.rule == "exact" and forecast.left is not None and forecast.left > LOSSY:
        exact = f"gossip.mixing: exact takes {forecast.hops} hops a round here"
        yield f"{exact} and leaves {forecast.left:.0e} of the spread in float32: prefer dpsgd"
