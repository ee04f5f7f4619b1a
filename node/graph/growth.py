"""The graph while nodes join it: topology file and joins in, topology and rows of W out, round by round.

Every node works the same out of the same joins, in whatever order it heard of them. Decides what a join may look like
and from when an edge counts: from the round of the join on, or of the later one where both ends joined. Knows no
messages: whoever let a node in has asked its neighbours.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from node.errors import ConfigError
from node.graph.checks import MAX_EDGES, MAX_NODES, seen
from node.graph.reach import NOWHERE, dialler
from node.graph.reading import PEER_ID
from node.graph.topology import Topology
from node.graph.weighting.weights import row_of
from node.graph.wiring import link
from node.types import PeerId, Weights

GROWS = ("metropolis",)  # degrees alone decide, so a new edge changes the rows around it and no others


class Joining(Protocol):
    """One node more; `node.core.messages.Join` is one."""

    @property
    def node(self) -> PeerId: ...
    @property
    def address(self) -> str: ...  # host:port, or NOWHERE
    @property
    def neighbours(self) -> tuple[PeerId, ...]: ...
    @property
    def round(self) -> int: ...  # from which on it counts


def grown(topology: Topology, joins: Sequence[Joining], round: int | None = None) -> Topology:
    """The topology at `round`, with the nodes that joined until then; None: with all of them.

    Raises:
        ConfigError: a join that cannot be, in one line.
    """
    check_joins(topology, joins)
    return _at(topology, joins, round)


def rows_of(topology: Topology, joins: Sequence[Joining], peer: PeerId) -> Callable[[int], Weights]:
    """Round -> row of W of `peer`; before it joined: its own weight only.

    Raises:
        ConfigError: a join that cannot be, in one line.
    """
    check_joins(topology, joins)
    changes = sorted({join.round for join in joins})
    rows: dict[int, Weights] = {}  # number of changes until then -> row

    def row(round: int) -> Weights:
        place = bisect_right(changes, round)
        if place not in rows:
            graph = _at(topology, joins, changes[place - 1] if place else -1)
            rows[place] = row_of(graph, peer) if peer in graph.addresses else {peer: 1.0}
        return rows[place]

    return row


def check_joins(topology: Topology, joins: Sequence[Joining]) -> None:
    """Refuse what would not be a graph afterwards.

    Raises:
        ConfigError: the first join that cannot be.
    """
    if joins and not (topology.is_static and not topology.directed):
        raise ConfigError("joins: a schedule and directed edges have a plan for the nodes of the file; wanted neither")
    if joins and topology.weights not in GROWS:
        raise ConfigError(f"weights: {topology.weights} cannot grow; wanted {', '.join(GROWS)} where nodes join")
    if len(topology.nodes) + len(joins) > MAX_NODES:
        raise ConfigError(f"{len(topology.nodes)} nodes and {len(joins)} that joined; wanted {MAX_NODES} or fewer")
    if len(topology.edges) + sum(len(join.neighbours) for join in joins) > MAX_EDGES:
        raise ConfigError(f"more than {MAX_EDGES} edges with those that joined; wanted as many or fewer")
    addresses = dict(topology.addresses)
    for join in joins:
        if not PEER_ID.fullmatch(join.node):
            wanted = "wanted a node id of letters, digits, '.', '_' or '-', 63 at most"
            raise ConfigError(f"{seen(join.node)} joins; {wanted}")
        if join.node in addresses:
            raise ConfigError(f"'{join.node}' is a node of the network already; wanted another id")
        addresses[join.node] = join.address
    for join in joins:
        _check_neighbours(join, addresses)


def _check_neighbours(join: Joining, addresses: dict[PeerId, str]) -> None:
    if not join.neighbours:
        raise ConfigError(f"'{join.node}' joins without neighbours; wanted one or more nodes of the network")
    for place, other in enumerate(join.neighbours):
        if other == join.node:
            raise ConfigError(f"'{join.node}' is joined to itself; wanted other nodes as neighbours")
        if other not in addresses:
            raise ConfigError(f"'{join.node}' names the neighbour {seen(other)}, which is not a node of the network")
        if other in join.neighbours[:place]:
            raise ConfigError(f"'{join.node}' names the neighbour '{other}' twice; wanted each once")
        if dialler(join.node, other, addresses) is None:
            raise ConfigError(
                f"neither '{join.node}' nor '{other}' has an address, so neither can dial the other; "
                f"wanted an address for '{join.node}', or another neighbour"
            )


def _at(topology: Topology, joins: Iterable[Joining], round: int | None) -> Topology:
    """`topology` with those of checked `joins` that count at `round`, in an order that all nodes agree on."""
    there = sorted((j for j in joins if round is None or j.round <= round), key=lambda j: (j.round, j.node))
    if not there:
        return topology
    addresses = {**topology.addresses, **{join.node: join.address for join in there}}
    edges = set(topology.edges)
    for join in there:
        edges |= {link(join.node, other) for other in join.neighbours if other in addresses}
    return replace(topology, nodes=tuple(addresses), addresses=addresses, edges=tuple(sorted(edges)))


def chosen(topology: Topology, via: PeerId, most: int = 3) -> tuple[PeerId, ...]:
    """Neighbours for a node that names none: `via` and one or two of its neighbours, those with the fewest edges.

    So the new node sits in a triangle or two: a leaf would hang on one life, and slow the whole graph's mixing. A node
    without an address cannot be asked, so it is not chosen.
    """
    others = [peer for peer in topology.neighbours(via) if topology.addresses[peer] != NOWHERE]
    others.sort(key=lambda peer: (len(topology.neighbours(peer)), peer))
    return (via, *others[: most - 1])
