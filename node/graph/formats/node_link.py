"""Graphs in JSON: node-link data (networkx, D3), or our own mapping as in YAML.

Decides which of the two it is (node-link lists its nodes, ours maps ids to addresses or counts them), and what JSON may
not do here: a key twice, NaN, hundreds of thousands of objects. networkx would make a node of each unknown end of an
edge.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from node.graph.checks import seen
from node.graph.formats.foreign import GRAPH_KEYS, MAX_ROWS, WEIGHT, Listed, Misread, known

MAX_OBJECTS = MAX_ROWS + 20_000  # { and [ together; an object of one key takes 230 bytes
ENDS = ("source", "target")


def read_json(text: str) -> Listed | Any:
    """A graph of another program, or the values of our own mapping."""
    if text.count("{") + text.count("[") > MAX_OBJECTS:
        raise Misread(f"more than {MAX_OBJECTS} objects and lists; wanted a graph of 100000 edges or fewer")
    try:
        data = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise Misread(f"{error.msg}; wanted JSON", error.lineno) from None
    except Misread:
        raise
    except RecursionError:
        raise Misread("nested too deeply; wanted a list of nodes and a list of edges") from None
    except ValueError as error:  # a number of more than 4300 digits
        raise Misread(f"{str(error).split(';')[0]}; wanted plain numbers") from None
    return read_node_link(data) if isinstance(data, Mapping) and isinstance(data.get("nodes"), list) else data


def json_values(text: str) -> Any | None:
    """Values of a text that is JSON and no node-link data; None: it is something else."""
    try:
        found = read_json(text)
    except Misread:
        return None
    return None if isinstance(found, Listed) else found


def read_node_link(data: Mapping[str, Any]) -> Listed:
    """`{"nodes": [{"id": ..}], "edges" or "links": [{"source": .., "target": .., "weight": ..}], "directed": ..}`."""
    key = _edges_key(data)
    graph = data.get("graph") or {}
    if not isinstance(graph, Mapping):
        raise Misread(f"graph: {seen(graph)}; wanted the attributes of the graph")
    directed = data.get("directed", False)
    if not isinstance(directed, bool):
        raise Misread(f"directed: {seen(directed)}; wanted true or false")
    listed = Listed(directed, said=known(graph, GRAPH_KEYS), edges_key=key)
    for place, node in enumerate(data["nodes"]):
        if not isinstance(node, Mapping) or "id" not in node:
            raise Misread(f"nodes[{place}]: {seen(node)}; wanted an object with an id")
        listed.add_node(node["id"], node, f"nodes[{place}]")
    for place, edge in enumerate(data[key]):
        if not isinstance(edge, Mapping) or not all(end in edge for end in ENDS):
            raise Misread(f"{key}[{place}]: {seen(edge)}; wanted an object with source and target")
        listed.add_edge(edge["source"], edge["target"], edge.get(WEIGHT))
    return listed


def _edges_key(data: Mapping[str, Any]) -> str:
    """Older networkx and D3 call them links."""
    there = [key for key in ("edges", "links") if key in data]
    if len(there) != 1:
        raise Misread(f"{' and '.join(there) or 'no edges, no links'}; wanted edges or links beside nodes")
    if not isinstance(data[there[0]], list):
        raise Misread(f"{there[0]}: {seen(data[there[0]])}; wanted a list of objects with source and target")
    return there[0]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for place, key in enumerate(keys) if key in keys[:place])
        raise Misread(f"key {seen(twice)} is given twice in one object; wanted each key once")
    return values


def _no_constant(name: str) -> NoReturn:
    raise Misread(f"{name}; wanted a finite number")
