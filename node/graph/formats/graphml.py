"""Graphs in GraphML: `<graph edgedefault="undirected"><node id="a"/><edge source="a" target="b"/></graph>`.

Decides which elements count (key, graph, node, edge, data) and refuses what could stand for more than it says: a
DOCTYPE, an entity, a graph in a node, a hyperedge. yEd's drawings and other programs' extensions are passed over.
networkx's reader makes a node of each unknown end of an edge, and knows no lines.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

from node.graph.checks import MAX_EDGES, MAX_NODES, seen
from node.graph.formats.foreign import GRAPH_KEYS, WEIGHT, Listed, Misread, known

DECLARATION = re.compile(r"<!(DOCTYPE|ENTITY|ELEMENT|ATTLIST|NOTATION)", re.IGNORECASE)
MAX_TAGS = 300_000  # an edge takes one or two, with a weight four; these take 0.4 s
MAX_DEPTH = 32  # ours nest three deep, yEd's drawings eight
DIRECTIONS = {"directed": True, "undirected": False, "true": True, "false": False}
MOST = {"node": MAX_NODES, "edge": MAX_EDGES}
NUMBERS = {WEIGHT, "data_size"}


def read_graphml(text: str) -> Listed:
    """The one graph of the file."""
    if found := DECLARATION.search(text):  # entities of a few lines can stand for gigabytes
        line = text.count("\n", 0, found.start()) + 1
        raise Misread(f"<!{found[1].upper()[:8]}; wanted GraphML without declarations", line)
    if max(text.count("<"), text.count("=")) > MAX_TAGS:
        raise Misread(f"more than {MAX_TAGS} tags or attributes; wanted a smaller graph, or another format")
    reader = _Reader()
    try:
        reader.parser.Parse(text.lstrip(), True)
    except expat.ExpatError as error:
        skipped = text[: len(text) - len(text.lstrip())].count("\n")
        raise Misread(f"{expat.ErrorString(error.code)}; wanted GraphML", error.lineno + skipped) from None
    return reader.listed()


@dataclass(slots=True)
class _Element:
    """A graph, node or edge: its tag and attributes, and what its data elements say."""

    tag: str
    given: Mapping[str, str]
    line: int
    data: dict[str, Any] = field(default_factory=dict)


class _Reader:
    """Collects elements as expat meets them; their order in the file does not matter."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.names: dict[tuple[str, str], str] = {}  # (id of a key, graph, node, edge or all) -> name
        self.defaults: dict[str, dict[str, str]] = {}  # graph, node, edge or all -> name -> value
        self.graph: _Element | None = None
        self.found: dict[str, list[_Element]] = {"node": [], "edge": []}
        self.path: list[str] = []  # tags that are open
        self.open: list[_Element] = []  # the graph, and the node or edge in it
        self.key = ("", "")  # the <key> that is open
        self.slot = ""  # the key of the <data> that is open
        self.pieces: list[str] | None = None  # its text, or that of a <default>

    def listed(self) -> Listed:
        if self.graph is None:
            raise Misread("no graph; wanted <graphml><graph>")
        directed = _direction(self.graph.given.get("edgedefault", "undirected"), self.graph.line)
        listed = Listed(directed, said=known(self._values(self.graph), GRAPH_KEYS))
        for place, node in enumerate(self.found["node"]):
            listed.add_node(node.given.get("id"), self._values(node), f"node[{place}]", node.line)
        for edge in self.found["edge"]:
            if "directed" in edge.given and _direction(edge.given["directed"], edge.line) != directed:
                raise Misread("edges with a direction and edges without; wanted one kind", edge.line)
            source, target = (edge.given.get(end) for end in ("source", "target"))
            listed.add_edge(source, target, self._values(edge).get(WEIGHT), edge.line)
        return listed

    def _values(self, element: _Element) -> dict[str, Any]:
        """Attributes by name: defaults, then what the element says."""
        values: dict[str, Any] = {**self.defaults.get("all", {}), **self.defaults.get(element.tag, {})}
        for key, text in element.data.items():
            name = self.names.get((key, element.tag)) or self.names.get((key, "all"))
            if name is None:
                raise Misread(f"data of key {seen(key)}, which is not declared for {element.tag}", element.line)
            values[name] = text
        for name in NUMBERS & values.keys():
            values[name] = _number(name, values[name], element.line)
        return values

    def _start(self, name: str, given: dict[str, str]) -> None:
        tag, line = name.rpartition(":")[2], self.parser.CurrentLineNumber
        above = tuple(self.path)
        self.path.append(tag)
        if len(self.path) > MAX_DEPTH:
            raise Misread(f"nested deeper than {MAX_DEPTH} levels", line)
        if above == ("graphml", "graph") and tag in self.found:
            if len(self.found[tag]) >= MOST[tag]:
                raise Misread(f"more than {MOST[tag]} {tag}s; wanted {MOST[tag]} or fewer", line)
            self.open.append(_Element(tag, given, line))
            self.found[tag].append(self.open[-1])
        elif tag == "data" and self.open and len(above) == len(self.open) + 1:
            self.slot, self.pieces = given.get("key", ""), []
            if self.slot in self.open[-1].data:
                raise Misread(f"data of key {seen(self.slot)} is given twice in one {above[-1]}", line)
        elif above == ("graphml",) and tag == "key":
            self._declare(given, line)
        elif above == ("graphml", "key") and tag == "default":
            self.pieces = []
        elif above == ("graphml",) and tag == "graph" and self.graph is None:
            self.graph = _Element(tag, given, line)
            self.open.append(self.graph)
        elif tag in ("graph", "hyperedge"):
            what = "a hyperedge" if tag == "hyperedge" else "a graph beside or in another, or not in <graphml>"
            raise Misread(f"{what}; wanted one plain graph", line)

    def _end(self, name: str) -> None:
        tag, pieces = self.path.pop(), self.pieces
        depth = len(self.path)
        if tag == "data" and pieces is not None and depth == len(self.open) + 1:
            self.open[-1].data[self.slot] = "".join(pieces).strip()
            self.pieces = None
        elif tag == "default" and pieces is not None and self.path == ["graphml", "key"]:
            self.defaults.setdefault(self.key[1], {})[self.names[self.key]] = "".join(pieces).strip()
            self.pieces = None
        elif self.open and tag == self.open[-1].tag and depth == len(self.open):
            self.open.pop()

    def _text(self, text: str) -> None:
        if self.pieces is not None:
            self.pieces.append(text)

    def _declare(self, given: Mapping[str, str], line: int) -> None:
        """<key id="d0" for="edge" attr.name="weight" attr.type="double">"""
        self.key = (given.get("id", ""), given.get("for", "all"))
        if self.key in self.names:
            raise Misread(f"key {seen(self.key[0])} is declared twice", line)
        self.names[self.key] = given.get("attr.name") or self.key[0]


def _direction(said: str, line: int) -> bool:
    if said not in DIRECTIONS:
        raise Misread(f"{seen(said)}; wanted directed or undirected edges", line)
    return DIRECTIONS[said]


def _number(name: str, said: str, line: int) -> float:
    try:
        return float(said)
    except ValueError:
        raise Misread(f"{name} {seen(said)}; wanted a number", line) from None
