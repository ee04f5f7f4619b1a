"""Graphs in GML: `graph [ node [ id 0 label "a" ] edge [ source 0 target 1 weight 0.3 ] ]`.

Decides what of a GML file counts: the nodes, the edges, `directed`, and the attributes that are ours. Whatever else is
in it (graphics, comments, creator) is passed over, but must be balanced and at most 16 levels deep. networkx's reader
calls itself at each level and takes 3 microseconds a word; this one is a loop.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from typing import Any

from node.graph.checks import MAX_EDGES, MAX_NODES, seen
from node.graph.formats.foreign import GRAPH_KEYS, NODE_KEYS, WEIGHT, Listed, Misread, known
from node.graph.reading import PEER_ID

GAP = r"\s*+(?:#[^\n]*+\s*+)*+"
VALUE = r'"[^"]*+"|\[|[^\s\[\]"#]++'
PAIR = re.compile(rf"{GAP}(?:([A-Za-z][A-Za-z0-9_]*+){GAP}({VALUE})|(\])|\Z|(.))", re.DOTALL)
KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
WHOLE = re.compile(r"[+-]?[0-9]++")
MAX_DIGITS = 18
REAL = re.compile(r"[+-]?(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[Ee][+-]?[0-9]{1,9})?|[+-]?(?:INF|NAN)")
MAX_DEPTH = 16  # ours nest two deep, drawn ones four
MAX_PAIRS = 300_000  # an edge takes 4, with a weight 5; these take 0.4 s
NAMES = ("id", "label", "source", "target")  # here a bare word is a text: `id a`, as networkx has it
KEPT = {
    "graph": {"directed", *GRAPH_KEYS},
    "node": {"id", "label", *NODE_KEYS},
    "edge": {"source", "target", WEIGHT},
}


def read_gml(text: str) -> Listed:
    """The one graph of the file. Its nodes are called by their labels where each has one that is an id, else by ids."""
    graph, nodes, edges = _records(text)
    listed = Listed(directed=_flag(graph.get("directed", 0)), said=known(graph, GRAPH_KEYS))
    for place, (record, line) in enumerate(nodes):
        if "id" not in record:
            raise Misread(f"node[{place}] has no id; wanted node [ id {place} ]", line)
    labels = [record.get("label") for record, _ in nodes]
    by_label = all(_is_id(label) for label in labels) and len({str(label) for label in labels}) == len(labels)
    names: dict[Any, Any] = {}
    for place, (record, line) in enumerate(nodes):
        if record["id"] in names:
            raise Misread(f"node[{place}]: id {seen(record['id'])} is given twice; wanted each id once", line)
        names[record["id"]] = record["label"] if by_label else record["id"]
        listed.add_node(names[record["id"]], record, f"node[{place}]", line)
    for place, (record, line) in enumerate(edges):
        for end in ("source", "target"):
            if record.get(end) not in names:
                raise Misread(f"edge[{place}]: {end} {seen(record.get(end))} is the id of no node", line)
        listed.add_edge(names[record["source"]], names[record["target"]], record.get(WEIGHT), line)
    return listed


Records = list[tuple[dict[str, Any], int]]  # what a node or edge says, and its line
OPEN, CLOSE = object(), ""  # `key [`, and the `]` that has no key


def _records(text: str) -> tuple[Mapping[str, Any], Records, Records]:
    """What the graph says of itself, its nodes, its edges."""
    graphs: Records = []
    found: dict[str, Records] = {"node": [], "edge": []}
    path: list[str] = []
    for line, key, value in _pairs(text):
        if key == CLOSE:
            if not path:
                raise Misread("']' closes nothing", line)
            path.pop()
        elif value is OPEN:
            path.append(key)
            if path == ["graph"]:
                graphs.append(({}, line))
            elif len(path) == 2 and path[0] == "graph" and key in found:
                found[key].append(({}, line))
            _check_size(path, len(graphs), found, line)
        elif path and key in KEPT.get(path[-1], ()) and len(path) <= 2 and path[0] == "graph":
            record = (found[path[1]] if len(path) == 2 else graphs)[-1][0]
            if key in record:
                raise Misread(f"{key} is given twice in one {path[-1]}", line)
            record[key] = value
    if path:
        raise Misread(f"{path[-1]} [ is never closed; wanted ]", line)
    if not graphs:
        raise Misread("no graph; wanted graph [ node [ id 0 ] ... ]")
    return graphs[0][0], found["node"], found["edge"]


def _check_size(path: list[str], graphs: int, found: Mapping[str, Records], line: int) -> None:
    if len(path) > MAX_DEPTH:
        raise Misread(f"nested deeper than {MAX_DEPTH} levels", line)
    if graphs > 1:
        raise Misread("a second graph; wanted one", line)
    for kind, most in (("node", MAX_NODES), ("edge", MAX_EDGES)):
        if len(found[kind]) > most:
            raise Misread(f"more than {most} {kind}s; wanted {most} or fewer", line)


def _pairs(text: str) -> Iterator[tuple[int, str, Any]]:
    """Line, key and value; OPEN where a list begins; CLOSE where one ends."""
    line, counted = 1, 0
    for number, match in enumerate(PAIR.finditer(text)):
        key, token, close, wrong = match.groups()
        start = match.start(1 if key else match.lastindex or 0)
        line, counted = line + text.count("\n", counted, start), start
        if number >= MAX_PAIRS:
            raise Misread(f"more than {MAX_PAIRS} keys; wanted a smaller graph, or another format", line)
        if key:
            yield line, key, OPEN if token == "[" else _value(token, key, line)
        elif close:
            yield line, CLOSE, None
        elif wrong:
            raise Misread(_complaint(text[start:]), line)


def _complaint(rest: str) -> str:
    """What is wrong with a text that begins with neither a pair nor `]`."""
    word = rest.split(maxsplit=1)[0]
    if not (key := KEY.match(rest)):
        return f"{seen(word)}; wanted a key and its value"
    if rest[key.end() :].lstrip().startswith('"'):
        return f"the text of {seen(key[0])} is never closed"
    return f"{seen(key[0])} has no value; wanted a number, a text or ["


def _value(token: str, key: str, line: int) -> Any:
    if token.startswith('"'):
        return html.unescape(token[1:-1])
    if WHOLE.fullmatch(token):
        if len(token) > MAX_DIGITS:
            raise Misread(f"{key} {seen(token)}; wanted {MAX_DIGITS} digits or fewer", line)
        return int(token)
    if REAL.fullmatch(token):
        return float(token)
    if key in NAMES:
        return token
    raise Misread(f"{key} {seen(token)}; wanted a number, a text in quotes or [", line)


def _is_id(label: Any) -> bool:
    return (isinstance(label, str) and PEER_ID.fullmatch(label) is not None) or type(label) is int


def _flag(said: Any) -> bool:
    if said not in (0, 1):
        raise Misread(f"directed {seen(said)}; wanted 0 or 1")
    return bool(said)
