"""The graph of a running node as it stands: the topology file's, and the nodes that joined since.

What monitors are told, what records say that the graph promises, and where neighbours are come from here.
"""

from __future__ import annotations

from collections.abc import Callable

from node.app.rules.mixing import predicted_contraction
from node.config import NodeConfig
from node.core.messages import Join
from node.graph.growth import grown
from node.graph.topology import Topology


class GrowingGraph:
    """Works each graph out once.

    Args:
        base: of the topology file.
        joins: what the protocol knows now.
    """

    def __init__(self, config: NodeConfig, base: Topology, joins: Callable[[], tuple[Join, ...]]) -> None:
        self._config, self._base, self._joins = config, base, joins
        self._known: tuple[Join, ...] = ()
        self._graph = base
        self._promises: dict[tuple[Join, ...], float] = {}  # who had joined -> contraction

    def now(self) -> Topology:
        """With everybody who has joined, also those whose round is still to come."""
        if (joins := self._joins()) != self._known:
            self._known, self._graph = joins, grown(self._base, joins)
        return self._graph

    def predicted(self, round: int) -> float:
        """What `round` shrinks the spread to, nobody missing."""
        there = tuple(join for join in self._joins() if join.round <= round)
        if there not in self._promises:
            self._promises[there] = predicted_contraction(self._config, grown(self._base, there, round))
        return self._promises[there]
