"""A topology as a text that other programs read, and what that text cannot hold.

Decides how each format says ids, edges, directions, weights and addresses. GraphML and GML are networkx's own writing.
Attributes: `weight` of an edge, `address` ("" where nobody can dial it) and `data_size` of a node, `weights` and
`schedule` (JSON) of the graph; the formats of bare lines hold ids and edges only.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import networkx as nx

from node.errors import ConfigError
from node.graph.formats.foreign import WEIGHT, default_weights
from node.graph.topology import Topology
from node.types import PeerId

WHOLE = (".json", ".graphml", ".gml")  # have attributes
DIRECTED = "# directed\n"  # a comment to other programs


class Written(NamedTuple):
    text: str
    left_out: tuple[str, ...] = ()  # what the format cannot hold, a sentence each


def text_of(topology: Topology, suffix: str) -> Written:
    """The text of a file of that suffix, one of WRITERS. Raises ConfigError: there is nothing that it could say."""
    if topology.is_open:
        raise ConfigError("cannot hold edges: any; wanted .yaml or .yml")
    if suffix not in WHOLE and not topology.edges:
        raise ConfigError(f"cannot hold a schedule without edges; wanted .yaml, {', '.join(WHOLE[:-1])} or {WHOLE[-1]}")
    return WRITERS[suffix](topology)


def _json(topology: Topology) -> Written:
    """node_link_data with `edges`, as networkx writes it since 3.4; older ones called them links."""
    graph = _networkx(topology)
    said = dict(graph.graph) | ({"schedule": topology.mapping()["schedule"]} if topology.schedule else {})
    data = {
        "directed": topology.directed,
        "multigraph": False,
        "graph": said,
        "nodes": [given | {"id": peer} for peer, given in graph.nodes(data=True)],
        "edges": [given | {"source": a, "target": b} for a, b, given in graph.edges(data=True)],
    }
    return Written(json.dumps(data, indent=1, allow_nan=False) + "\n")


def _graphml(topology: Topology) -> Written:
    return Written("\n".join(nx.generate_graphml(_networkx(topology))) + "\n")


def _gml(topology: Topology) -> Written:
    return Written("\n".join(nx.generate_gml(_networkx(topology))) + "\n")


def _edge_list(topology: Topology) -> Written:
    rows = (" ".join([*edge, *map(repr, weight)]) for edge, weight in _weighted(topology))
    return Written(_lines(topology, rows), tuple(_more_than(topology, "ids, edges and weights of edges")))


def _adjacency_list(topology: Topology) -> Written:
    told: dict[PeerId, list[PeerId]] = {peer: [] for peer in topology.nodes}
    for a, b in topology.edges:
        told[a].append(b)
    rows = (" ".join([peer, *others]) for peer, others in told.items())
    return Written(_lines(topology, rows), (*_more_than(topology, "ids and edges"), *_no_weights(topology)))


def _csv(topology: Topology) -> Written:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    kind = ["Directed"] if topology.directed else []
    weight = [WEIGHT] if topology.edge_weights else []
    writer.writerow(["source", "target", *(["type"] if kind else []), *weight])
    for edge, weights in _weighted(topology):
        writer.writerow([*edge, *kind, *(map(repr, weights) if weights else [""] * len(weight))])
    return Written(out.getvalue(), tuple(_more_than(topology, "ids, edges and weights of edges")))


def _decentralizepy_edges(topology: Topology) -> Written:
    number = {peer: i for i, peer in enumerate(topology.nodes)}
    pairs = sorted((number[a], number[b]) for a, b in topology.edges)
    both = sorted({*pairs, *((b, a) for a, b in pairs)})
    text = "\n".join([str(len(number)), *(f"{a} {b}" for a, b in both)]) + "\n"
    return Written(text, tuple(_decentralizepy_loses(topology)))


def _decentralizepy_neighbours(topology: Topology) -> Written:
    number = {peer: i for i, peer in enumerate(topology.nodes)}
    joined: list[set[int]] = [set() for _ in number]
    for a, b in topology.edges:
        joined[number[a]].add(number[b])
        joined[number[b]].add(number[a])
    text = "\n".join([str(len(number)), *(" ".join(map(str, sorted(others))) for others in joined)]) + "\n"
    return Written(text, tuple(_decentralizepy_loses(topology)))


def _networkx(topology: Topology) -> Any:
    graph: Any = nx.DiGraph() if topology.directed else nx.Graph()
    if topology.schedule is not None:
        graph.graph["schedule"] = json.dumps(topology.mapping()["schedule"])
    elif topology.weights != default_weights(topology.directed):
        graph.graph["weights"] = topology.weights
    for peer in topology.nodes:
        size = {"data_size": topology.sizes[peer]} if topology.sizes else {}
        graph.add_node(peer, address=topology.addresses[peer], **size)
    for edge, weight in _weighted(topology):
        graph.add_edge(*edge, **({WEIGHT: weight[0]} if weight else {}))
    return graph


def _weighted(topology: Topology) -> Iterable[tuple[tuple[PeerId, PeerId], list[float]]]:
    """Edges, each with its weight if it has one."""
    return ((e, [topology.edge_weights[e]] if e in topology.edge_weights else []) for e in topology.edges)


def _lines(topology: Topology, rows: Iterable[str]) -> str:
    return (DIRECTED if topology.directed else "") + "\n".join(rows) + "\n"


def _more_than(topology: Topology, holds: str) -> Iterable[str]:
    """What a format of bare lines leaves out."""
    yield f"addresses: it holds {holds}; read back, the nodes are at 127.0.0.1"
    if topology.schedule is not None:
        yield f"schedule {topology.schedule.name}: read back, every round has the same W"
    elif topology.weights != default_weights(topology.directed):
        yield f"weights {topology.weights}: read back, they are {default_weights(topology.directed)}"
    if topology.sizes:
        yield "sizes of the nodes' data"


def _no_weights(topology: Topology) -> Iterable[str]:
    return ["weights of edges"] if topology.edge_weights else []


def _decentralizepy_loses(topology: Topology) -> Iterable[str]:
    yield from _more_than(topology, "numbers of nodes and edges")
    yield from _no_weights(topology)
    if topology.nodes != tuple(str(i) for i in range(len(topology.nodes))):
        yield f"ids: nodes are numbers in the order of the file, {topology.nodes[0]} is 0"
    if topology.directed:
        yield "directions: each edge goes both ways"


WRITERS: Mapping[str, Callable[[Topology], Written]] = {
    ".json": _json,
    ".graphml": _graphml,
    ".gml": _gml,
    ".edgelist": _edge_list,
    ".edges": _decentralizepy_edges,
    ".adjlist": _adjacency_list,
    ".adj": _decentralizepy_neighbours,
    ".csv": _csv,
}
