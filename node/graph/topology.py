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
from node.graph.reading import read_topology
from node.graph.weights import check_doubly_stochastic, row_of
from node.types import PeerId


@dataclass(frozen=True)
class Topology:
    """An undirected graph of nodes with an address each."""

    nodes: tuple[PeerId, ...]  # order of the file: rows of W, and the order that generators follow
    addresses: Mapping[PeerId, str] = field(hash=False)  # id -> host:port
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
