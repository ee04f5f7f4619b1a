"""A graph for the tests of weights: ids, edges and nothing else, directed or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import networkx as nx

from node.types import PeerId


@dataclass(frozen=True)
class Plain:
    """What `node.graph.weighting.rows.Graph` asks for."""

    nodes: tuple[PeerId, ...]
    edges: tuple[tuple[PeerId, PeerId], ...]
    weights: str = "metropolis"
    directed: bool = False
    edge_weights: Mapping[tuple[PeerId, PeerId], float] = field(default_factory=dict)
    sizes: Mapping[PeerId, float] = field(default_factory=dict)

    def hears(self, peer: PeerId) -> tuple[PeerId, ...]:
        return self._heard[peer]

    def tells(self, peer: PeerId) -> tuple[PeerId, ...]:
        return self._told[peer]

    @cached_property
    def _heard(self) -> dict[PeerId, tuple[PeerId, ...]]:
        ways = [*self.edges, *([] if self.directed else [(b, a) for a, b in self.edges])]
        heard: dict[PeerId, list[PeerId]] = {peer: [] for peer in self.nodes}
        for sender, receiver in ways:
            heard[receiver].append(sender)
        return {peer: tuple(sorted(others)) for peer, others in heard.items()}

    @cached_property
    def _told(self) -> dict[PeerId, tuple[PeerId, ...]]:
        return {peer: tuple(sorted(other for other in self.nodes if peer in self._heard[other])) for peer in self.nodes}


def plain(n: int, pairs: Iterable[tuple[int, int]], weights: str = "metropolis", **fields: object) -> Plain:
    """Nodes a, b, c ... (n000 ... from 27 on) joined by positions."""
    names = [PeerId(chr(97 + i) if n <= 26 else f"n{i:04d}") for i in range(n)]
    directed = bool(fields.get("directed", False))
    edges = {(names[i], names[j]) if directed or i < j else (names[j], names[i]) for i, j in pairs}
    return Plain(tuple(names), tuple(sorted(edges)), weights, **fields)  # type: ignore[arg-type]


def ring(n: int) -> list[tuple[int, int]]:
    return [(i, (i + 1) % n) for i in range(n)]


def path(n: int) -> list[tuple[int, int]]:
    return [(i, i + 1) for i in range(n - 1)]


def star(n: int) -> list[tuple[int, int]]:
    return [(0, i) for i in range(1, n)]


def torus(n: int) -> list[tuple[int, int]]:
    side = round(n**0.5)
    return [(i, i // side * side + (i + 1) % side) for i in range(n)] + [(i, (i + side) % n) for i in range(n)]


def hypercube(n: int) -> list[tuple[int, int]]:
    return [(i, i ^ (1 << bit)) for i in range(n) for bit in range((n - 1).bit_length()) if i < i ^ (1 << bit)]


def exponential(n: int) -> list[tuple[int, int]]:
    """i tells i + 1, i + 2, i + 4 ...: to be read as directed edges."""
    return [(i, (i + 2**power) % n) for i in range(n) for power in range((n - 1).bit_length())]


def karate() -> list[tuple[int, int]]:
    """Zachary's club of 34: 78 friendships, degrees 1 to 17."""
    return list(nx.karate_club_graph().edges)
