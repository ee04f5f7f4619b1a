"""Who talks to whom, and where: a checked, frozen topology.

Decides ids, addresses, edges, the weight scheme and the schedule. What `from_mapping` returns is connected and has a W
that keeps the mean, unless the file asked for one that does not; other modules trust that without looking again. Knows
no files: `node.config` reads them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from node.errors import ConfigError
from node.graph.reach import NOWHERE, dialler
from node.graph.reading import ANYONE, Chosen, read_topology
from node.graph.scheduling.schedules import SCHEDULES, Schedule
from node.graph.weighting.rows import Rows, dense
from node.graph.weighting.weights import PUSH_SUM, check_weights, rows_of
from node.graph.wiring import Edge, Wiring
from node.types import PeerId, Turn

STRAY = 1e-9  # by which a column of W may miss 1
DECIMALS = 6  # of W in the digest: optimisers of different builds differ behind them


@dataclass(frozen=True)
class Topology:
    """An undirected graph of nodes, each with an address or NOWHERE."""

    nodes: tuple[PeerId, ...]  # order of the file: rows of W, and the order that generators follow
    addresses: Mapping[PeerId, str] = field(hash=False)  # id -> host:port; NOWHERE: it can only dial out
    edges: tuple[Edge, ...]  # of the static graph, sorted, each once; a schedule may do without
    weights: str = "metropolis"
    source: str = field(default="topology", compare=False)  # file name, for messages
    directed: bool = False  # edges are (sender, receiver)
    edge_weights: Mapping[Edge, float] = field(default_factory=dict, hash=False)  # as the file gives them
    sizes: Mapping[PeerId, float] = field(default_factory=dict, hash=False)  # of the nodes' data
    schedule: Chosen | None = None

    @classmethod
    def from_mapping(cls, data: Any, source: str) -> Topology:
        """Check what a topology file says; topology/README.md gives the format.

        Raises:
            ConfigError: one line with source, key, value seen and value wanted.
        """
        try:
            topology = cls(source=source, **read_topology(data)._asdict())
            topology._check()
        except ConfigError as error:
            raise ConfigError(f"{source}: {error}") from None
        return topology

    def mapping(self) -> dict[str, Any]:
        """What a file says: `from_mapping` gives an equal topology of it."""
        given = [[*edge, self.edge_weights[edge]] if edge in self.edge_weights else list(edge) for edge in self.edges]
        said: dict[str, Any] = {"nodes": {peer: address or None for peer, address in self.addresses.items()}}
        said |= {"edges": given or ANYONE} if given or self.is_open else {}
        said |= {"directed": True} if self.directed else {}
        said |= {"sizes": dict(self.sizes)} if self.sizes else {}
        if self.schedule is None:
            return said if self.is_open else said | {"weights": self.weights}
        return said | {"schedule": {"name": self.schedule.name, **dict(self.schedule.settings)}}

    # ---- who
    def neighbours(self, peer: PeerId) -> tuple[PeerId, ...]:
        """Ids that ever have a connection to `peer`, sorted."""
        return self._linked[peer]

    def hears(self, peer: PeerId) -> tuple[PeerId, ...]:
        """Ids that tell `peer` something in every round, sorted; of the static graph."""
        return self._heard[peer]

    def tells(self, peer: PeerId) -> tuple[PeerId, ...]:
        """Ids that `peer` tells something in every round, sorted; of the static graph."""
        return self._told[peer]

    @cached_property
    def links(self) -> tuple[Edge, ...]:
        """Undirected pairs that need a connection, sorted."""
        return self.plan.links if self.plan is not None else Wiring(self.edges, self.directed).links

    def dials(self, peer: PeerId) -> tuple[PeerId, ...]:
        """Neighbours that `peer` dials; the others dial it. See `node.graph.reach`."""
        return tuple(other for other in self.neighbours(peer) if dialler(peer, other, self.addresses) == peer)

    @property
    def reachable(self) -> tuple[PeerId, ...]:
        """Ids with an address, in the order of the file. One at least: of two ends of an edge, one can be dialled."""
        return tuple(peer for peer in self.nodes if self.addresses[peer] != NOWHERE)

    # ---- W
    @property
    def is_static(self) -> bool:
        """Whether every round has the same W."""
        return self.schedule is None

    @property
    def is_open(self) -> bool:
        """Whether anyone may talk to anyone, and nobody has said yet who does."""
        return not self.edges and self.schedule is None

    @cached_property
    def plan(self) -> Schedule | None:
        """The schedule; None where every round has the same W."""
        if self.schedule is None:
            return None
        return SCHEDULES[self.schedule.name](self.nodes, self.edges, **dict(self.schedule.settings))

    @property
    def period(self) -> int | None:
        """W(t + period) = W(t); None: drawn anew each round."""
        return 1 if self.plan is None else self.plan.period

    @property
    def is_symmetric(self) -> bool:
        """Whether two ends of an edge always count alike with each other."""
        return self._static_is_symmetric if self.plan is None else self.plan.symmetric

    @property
    def is_balanced(self) -> bool:
        """Whether the columns of every W(t) sum to 1, too: mixing by it leaves the mean where it is."""
        if self.plan is not None:
            return self.plan.balanced
        return bool(np.abs(self.matrix().sum(axis=0) - 1.0).max() < STRAY)

    @cached_property
    def rows(self) -> Rows:
        """Rows of the static W; with `weights: push_sum` of its P, whose columns sum to 1."""
        return rows_of(self)

    def rows_at(self, round: int) -> Rows:
        """Rows of W(round)."""
        return self.rows if self.plan is None else self.plan.rows(round)

    def matrix(self, round: int = 0) -> NDArray[np.float64]:
        """W(round) (n, n) in the order of `nodes`."""
        return dense(self, self.rows_at(round))

    def turn(self, peer: PeerId, round: int) -> Turn:
        """Whom `peer` hears and tells in `round`, and how much they count."""
        if self.plan is None:
            return Turn(self._own_rows[peer], self._told[peer])
        rows = self.plan.rows(round)
        tells = self._linked[peer] if self.plan.symmetric else self.nodes
        return Turn(rows[peer], tuple(sorted(q for q in tells if q != peer and peer in rows[q])))

    @cached_property
    def _own_rows(self) -> Rows:
        """What a rule is told. Push-sum weighs nothing that it hears, so whom it hears counts alike."""
        if self.weights != PUSH_SUM:
            return self.rows
        return {p: dict.fromkeys(sorted((p, *self.hears(p))), 1 / (1 + len(self.hears(p)))) for p in self.nodes}

    @cached_property
    def _static_is_symmetric(self) -> bool:
        return not self.directed and all(
            weight == self.rows[other].get(peer) for peer, row in self.rows.items() for other, weight in row.items()
        )

    def _check(self) -> None:
        if self.plan is None and not self.is_open:
            check_weights(self, self.rows)

    @cached_property
    def _linked(self) -> Mapping[PeerId, tuple[PeerId, ...]]:
        return self._joined([*self.links, *((b, a) for a, b in self.links)])

    @cached_property
    def _heard(self) -> Mapping[PeerId, tuple[PeerId, ...]]:
        return self._joined([(b, a) for a, b in self.edges]) if self.directed else self._undirected

    @cached_property
    def _told(self) -> Mapping[PeerId, tuple[PeerId, ...]]:
        return self._joined(list(self.edges)) if self.directed else self._undirected

    @cached_property
    def _undirected(self) -> Mapping[PeerId, tuple[PeerId, ...]]:
        return self._joined([*self.edges, *((b, a) for a, b in self.edges)])

    def _joined(self, pairs: list[Edge]) -> Mapping[PeerId, tuple[PeerId, ...]]:
        joined: dict[PeerId, list[PeerId]] = {peer: [] for peer in self.nodes}
        for a, b in pairs:
            joined[a].append(b)
        return {peer: tuple(sorted(others)) for peer, others in joined.items()}

    @cached_property
    def digest(self) -> str:
        """SHA-256 in hex of what two ends must agree on: ids and all W. Addresses may differ (containers)."""
        said: dict[str, Any] = {"edges": sorted(self.edges), "nodes": sorted(self.nodes), "weights": self.weights}
        said |= {"directed": True} if self.directed else {}
        if self.schedule is not None:
            # A schedule goes by the order of the nodes: two files that list them otherwise have another W(t).
            said["schedule"] = [self.schedule.name, sorted(self.schedule.settings), self.nodes]
        elif self.weights not in ("metropolis", PUSH_SUM):  # degrees alone decide these two
            said["rows"] = {p: {q: round(w, DECIMALS) for q, w in row.items()} for p, row in self.rows.items()}
        return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
