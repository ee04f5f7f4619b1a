"""Graphs and schedules worth a try on given nodes: whatever of a short list fits their number.

Decides what is on the list; judges nothing (`node.graph.advice.cautions` and `node.graph.advice.fastest` do). A
candidate is left out where two nodes without an address would have to meet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from node.errors import ConfigError
from node.graph.checks import MAX_EDGES
from node.graph.families.generators import GENERATORS
from node.graph.reach import dialler
from node.graph.reading import Chosen
from node.graph.scheduling.schedules import SCHEDULES
from node.graph.topology import Topology
from node.types import PeerId

GRAPHS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("ring", {}),
    ("star", {}),
    ("torus", {}),
    ("hypercube", {}),
    ("exponential", {}),
    ("random_regular", {"degree": 3}),
    ("random_regular", {"degree": 4}),
    ("complete", {}),
)
TURNS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("one_peer_exponential", {}),
    ("base", {"k": 1}),
    ("base", {"k": 2}),
    ("base", {"k": 3}),
    ("base", {"k": 4}),
    ("random_matching", {"seed": 0}),
)
ALL_PAIRS = ("complete", "random_matching")  # everyone has a connection to everyone


class Candidate(NamedTuple):
    """A graph or schedule, as a line of a topology file and as what it stands for."""

    line: str
    topology: Topology


def candidates(addresses: Mapping[PeerId, str]) -> Iterator[Candidate]:
    """Everything that fits these nodes, in the order of the lists above.

    Args:
        addresses: id -> host:port, or NOWHERE; generators follow this order.
    """
    ids = tuple(addresses)
    for name, settings in GRAPHS:
        found = _graph(ids, addresses, name, settings)
        if found is not None and _can_meet(found):
            yield Candidate(_line("generator", name, settings), found)
    for name, settings in TURNS:
        found = _schedule(ids, addresses, name, settings)
        if found is not None and _can_meet(found):
            yield Candidate(_line("schedule", name, settings), found)


def _graph(
    ids: Sequence[PeerId], addresses: Mapping[PeerId, str], name: str, settings: Mapping[str, Any]
) -> Topology | None:
    if name not in GENERATORS or _too_many(name, len(ids)):
        return None
    try:
        wiring = GENERATORS[name](ids, **settings)
    except ConfigError:  # so many nodes do not make such a graph
        return None
    return Topology(tuple(ids), addresses, wiring.edges, directed=wiring.directed, source=name)


def _schedule(
    ids: Sequence[PeerId], addresses: Mapping[PeerId, str], name: str, settings: Mapping[str, Any]
) -> Topology | None:
    if name not in SCHEDULES or _too_many(name, len(ids)):
        return None
    topology = Topology(tuple(ids), addresses, (), schedule=Chosen(name, tuple(settings.items())), source=name)
    try:
        return topology if topology.plan is not None else None
    except ConfigError:
        return None


def _too_many(name: str, n: int) -> bool:
    """Known before they are made: half a million pairs at n = 1024 take a second to list."""
    return name in ALL_PAIRS and n * (n - 1) // 2 > MAX_EDGES


def _can_meet(topology: Topology) -> bool:
    return all(dialler(a, b, topology.addresses) is not None for a, b in topology.links)


def _line(key: str, name: str, settings: Mapping[str, Any]) -> str:
    if not settings:
        return f"{key}: {name}"
    return f"{key}: {{name: {name}, {', '.join(f'{word}: {value}' for word, value in settings.items())}}}"
