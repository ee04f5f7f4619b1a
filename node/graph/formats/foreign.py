"""What a graph file of another program says, as yet unchecked, and how it becomes the mapping of a topology file.

Decides the limits that hold for every such file before it is parsed (lines, rows, no control characters), which
attributes are ours, and what a node without an address gets. Knows no format, and checks no id, address, edge or
weight: `node.graph.reading` is the one border for all of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from node.errors import ConfigError
from node.graph.checks import MAX_EDGES, MAX_NODES, seen
from node.graph.reading import DATA_SIZE

MAX_BYTES = 4 * 1024 * 1024  # an edge list of 100,000 edges takes 0.8 MB, node-link JSON of them 4 MB
MAX_ROWS = 2 * MAX_EDGES  # each edge both ways, as decentralizepy writes them
MAX_LINES = 500_000  # rows, comments and blank lines; four million empty lines would take 0.6 s
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
HOST, BASE_PORT = "127.0.0.1", 7001  # what `nodes: N` gives, too
MAX_SETTINGS = 1000  # characters of a schedule's settings
NODE_KEYS = ("address", "data_size")  # attributes of a node that we write and read
GRAPH_KEYS = ("weights", "schedule")  # of the graph
WEIGHT = "weight"  # of an edge


class Misread(ValueError):
    """A file that is not what its suffix says. `line` counts from 1; 0: the reason names the key itself."""

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(reason)
        self.line = line


@dataclass
class Listed:
    """A graph as listed in a file: ids as they were written, numbers or text."""

    directed: bool = False
    nodes: dict[Any, Mapping[str, Any]] = field(default_factory=dict)  # id -> its NODE_KEYS
    edges: list[list[Any]] = field(default_factory=list)  # [a, b] or [a, b, weight]; directed: a sends to b
    said: dict[str, Any] = field(default_factory=dict)  # GRAPH_KEYS
    node_lines: dict[Any, int] = field(default_factory=dict)  # where each id is seen first; empty: lines mean nothing
    edge_lines: list[int] = field(default_factory=list)
    edges_key: str = "edges"  # what the file calls them

    def add_node(self, name: Any, attributes: Mapping[str, Any], place: str, line: int = 0) -> None:
        """A node that the file declares. Raises Misread: no id, or twice."""
        if not isinstance(name, str | int | float):  # the border says which of these can be an id
            raise Misread(f"{place}: id {seen(name)}; wanted text or a number", line)
        if len(self.nodes) >= MAX_NODES:
            raise Misread(f"more than {MAX_NODES} nodes; wanted 2 to {MAX_NODES}", line)
        if name in self.nodes:
            raise Misread(f"{place}: {seen(name)} is listed twice; wanted each id once", line)
        self.nodes[name] = {key: attributes[key] for key in NODE_KEYS if key in attributes}
        if line:
            self.node_lines[name] = line

    def add_edge(self, a: Any, b: Any, weight: Any = None, line: int = 0) -> None:
        if len(self.edges) >= MAX_ROWS:
            raise Misread(f"more than {MAX_ROWS} edges; wanted {MAX_EDGES} or fewer", line)
        self.edges.append([a, b] if weight is None else [a, b, weight])
        if line:
            self.edge_lines.append(line)

    def meet(self, name: str, line: int) -> str:
        """An id in a file that declares no nodes: it is one from its first line on."""
        if name not in self.nodes:
            if len(self.nodes) >= MAX_NODES:
                raise Misread(f"more than {MAX_NODES} nodes; wanted 2 to {MAX_NODES}", line)
            self.nodes[name] = {}
            self.node_lines[name] = line
        return name


def mapping_of(listed: Listed) -> dict[str, Any]:
    """What a topology file would say. Raises ConfigError: too many edges; an address for some nodes only."""
    if len(listed.edges) > MAX_EDGES:
        raise ConfigError(f"{listed.edges_key}: {len(listed.edges)} edges; wanted {MAX_EDGES} or fewer")
    data: dict[str, Any] = {"nodes": _addresses(listed.nodes), "edges": listed.edges, **listed.said}
    if listed.directed:
        data["directed"] = True
        if not data.keys() & set(GRAPH_KEYS):
            data["weights"] = default_weights(directed=True)
    if data.get("weights") == DATA_SIZE:
        data["sizes"] = {name: given["data_size"] for name, given in listed.nodes.items() if "data_size" in given}
    if isinstance(said := data.get("schedule"), str) and said.startswith("{"):
        data["schedule"] = _settings(said)
    return data


def default_weights(directed: bool) -> str:
    """What a file of another program means where it does not say: of directed edges only push-sum makes a mean."""
    return "push_sum" if directed else "metropolis"


def _settings(said: str) -> Any:
    """A schedule as an attribute of text: `{"name": "base", "k": 2}`."""
    try:
        return json.loads(said) if len(said) <= MAX_SETTINGS else said
    except (ValueError, RecursionError):
        return said


def _addresses(nodes: Mapping[Any, Mapping[str, Any]]) -> dict[Any, Any]:
    without = [name for name, given in nodes.items() if "address" not in given]
    if len(without) == len(nodes):
        return {name: f"{HOST}:{BASE_PORT + place}" for place, name in enumerate(nodes)}
    if without:
        raise ConfigError(f"nodes: {seen(without[0])} has no address, though others have; wanted one each, or none")
    return {name: given["address"] or None for name, given in nodes.items()}


def located(message: str, listed: Listed) -> str:
    """The message of the border with the line of the file before it, where lines are known: `:5: n0 and n1 ...`."""
    if place := re.match(r"edges\[([0-9]+)\]: ", message):
        if listed.edge_lines:
            return f":{listed.edge_lines[int(place[1])]}: {message[place.end() :]}"
        return f": {listed.edges_key}{message[len('edges') :]}"
    for name, line in listed.node_lines.items():
        if message.startswith((f"nodes: {seen(name)};", f"nodes.{name}: ")):
            return f":{line}: {message}"
    return f": {message}"


def lines_of(text: str) -> Iterator[tuple[int, str]]:
    """(number from 1, line without its end and without white space around it), empty ones included."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").split("\n")
    return ((number, line.strip()) for number, line in enumerate(lines, 1))


def check_text(text: str) -> None:
    """What no file of any format may hold. Raises Misread."""
    if not text.strip():
        raise Misread("empty; wanted a graph")
    if found := CONTROL.search(text):
        raise Misread(f"control character {found[0]!r}; wanted text", text.count("\n", 0, found.start()) + 1)
    if max(text.count("\n"), text.count("\r")) > MAX_LINES:
        raise Misread(f"more than {MAX_LINES} lines; wanted {MAX_EDGES} edges or fewer")


def merge_both_ways(listed: Listed, always: bool = False) -> None:
    """Drop the second of a-b and b-a in an undirected list.

    Args:
        always: the format lists neighbours, so that an edge may be there once or twice; otherwise it is dropped only
            where each edge is there both ways, as many lists have it: one such pair among others is a mistake.

    Raises:
        Misread: the two have different weights.
    """
    first: dict[tuple[Any, Any], int] = {}
    for place, (a, b, *_) in enumerate(listed.edges):
        first.setdefault((a, b), place)
    back = {pair: first[pair[::-1]] for pair in first if pair[::-1] in first and pair[0] != pair[1]}
    if not back or (not always and len(back) < len(first)):
        return
    seconds = {first[pair]: other for pair, other in back.items() if first[pair] > other}
    for place, other in seconds.items():
        one, two = listed.edges[other][2:], listed.edges[place][2:]
        if one != two:
            raise Misread(
                f"weight {seen(two)} there and {seen(one)} back (line {listed.edge_lines[other]}); wanted one weight",
                listed.edge_lines[place],
            )
    _keep(listed, [place for place in range(len(listed.edges)) if place not in seconds])


def _keep(listed: Listed, places: Sequence[int]) -> None:
    listed.edges = [listed.edges[place] for place in places]
    listed.edge_lines = [listed.edge_lines[place] for place in places]


def known(attributes: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """Those of the attributes that are ours."""
    return {key: attributes[key] for key in keys if key in attributes}
