"""Who talks to whom, and where: a checked, frozen topology.

Decides ids, addresses, edges and the name of the weight rule. What `from_mapping` returns is connected and has a doubly
stochastic W; other modules trust that without looking again. Knows no files: `node.config` reads them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from node.errors import ConfigError
from node.graph.generators import Edge
from node.graph.reach import NOWHERE, dialler
from node.graph.reading import read_topology
from node.graph.weights import check_doubly_stochastic, row_of
from node.types import PeerId


@dataclass(frozen=True)
class Topology:
    """An undirected graph of nodes, each with an address or NOWHERE."""

    nodes: tuple[PeerId, ...]  # order of the file: rows of W, and the order that generators follow
    addresses: Mapping[PeerId, str] = field(hash=False)  # id -> host:port; NOWHERE: it can only dial out
    edges: tuple[Edge, ...]  # each once, the smaller id first, sorted
    weights: str = "metropolis"
    source: str = field(default="topology", compare=False)  # file name, for messages

    @classmethod
    def from_mapping(cls, data: Any, source: str) -> Topology:
        """Check what a topology file says; topology/README.md gives the format.

        Raises:
            ConfigError: one line with source, key, value seen and value wanted.
        """
        try:
            parts = read_topology(data)
            topology = cls(tuple(parts.addresses), parts.addresses, parts.edges, parts.weights, source)
            check_doubly_stochastic({peer: row_of(topology, peer) for peer in topology.nodes})
        except ConfigError as error:
            raise ConfigError(f"{source}: {error}") from None
        return topology

    def neighbours(self, peer: PeerId) -> tuple[PeerId, ...]:
        """Ids joined to `peer` by an edge, sorted."""
        return self._neighbours[peer]

    def dials(self, peer: PeerId) -> tuple[PeerId, ...]:
        """Neighbours that `peer` dials; the others dial it. See `node.graph.reach`."""
        return tuple(other for other in self.neighbours(peer) if dialler(peer, other, self.addresses) == peer)

    @property
    def reachable(self) -> tuple[PeerId, ...]:
        """Ids with an address, in the order of the file. One at least: of two ends of an edge, one can be dialled."""
        return tuple(peer for peer in self.nodes if self.addresses[peer] != NOWHERE)

    @cached_property
    def _neighbours(self) -> Mapping[PeerId, tuple[PeerId, ...]]:
        joined: dict[PeerId, list[PeerId]] = {peer: [] for peer in self.nodes}
        for a, b in self.edges:
            joined[a].append(b)
            joined[b].append(a)
        return {peer: tuple(sorted(others)) for peer, others in joined.items()}

    @cached_property
    def digest(self) -> str:
        """SHA-256 in hex of what two ends must agree on: ids, edges, weight rule. Addresses may differ (containers)."""
        said = {"edges": sorted(self.edges), "nodes": sorted(self.nodes), "weights": self.weights}
        return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
