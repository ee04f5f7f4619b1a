"""Graphs a line at a time: edge lists, adjacency lists, CSV, and decentralizepy's two.

Decides how a line becomes ids and a weight. networkx reads the first two as well, but skips a line of one word,
evaluates the attributes and merges what is listed twice; here each line is an edge, or an error with its number. A line
`# directed` makes the edges directed (networkx sees a comment); a CSV says it in a column `type`, as Gephi's do.

decentralizepy (github.com/sacs-epfl/decentralizepy, graphs/Graph.py) puts the number of nodes N alone on the first
line; then `i j` a line (.edges), or N lines with the neighbours of node 0, 1, ... (.adj). Its files list each edge both
ways.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import chain

from node.graph.checks import MAX_NODES, seen
from node.graph.formats.foreign import Listed, Misread, lines_of, merge_both_ways

ROW = re.compile(r"([^\s,]++)[\s,]++([^\s,]++)(?:[\s,]++(.+))?")
ENTRY = re.compile(
    r"""\s*+(?:'([^'\\]*+)'|"([^"\\]*+)")\s*+:\s*+('[^'\\]*+'|"[^"\\]*+"|[^\s,{}()'"\[\]]++)\s*+(?:,|$)"""
)
COUNT = re.compile(r"[+-]?[0-9]{1,4300}")
MAX_CSV_LINE = 10_000
WHOLE = re.compile(r"[0-9]{1,9}")
ENDS = (("source", "target"), ("from", "to"), ("src", "dst"))  # how a header names the two ends
DIRECTIONS = {"directed": True, "undirected": False}  # in the column `type`


def read_edge_list(text: str) -> Listed:
    """`a b`, `a b 0.3` or `a b {'weight': 0.3}` a line (commas do as well); decentralizepy's where N comes first."""
    rows, directed = _rows(text)
    if rows and COUNT.fullmatch(rows[0][1]):
        return _numbered_edges(rows)
    listed = Listed(directed)
    for line, row in rows:
        found = ROW.fullmatch(row)
        if found is None:
            raise Misread(f"{seen(row)}; wanted two ids, such as a b, and a weight if there is one", line)
        a, b, rest = found.groups()
        listed.add_edge(listed.meet(a, line), listed.meet(b, line), _weight(rest, line) if rest else None, line)
    if not directed:
        merge_both_ways(listed)
    return listed


def read_adjacency_list(text: str) -> Listed:
    """`a b c` a line: a is joined to b and c. An edge may be there once, as networkx writes it, or from both ends."""
    rows, directed = _rows(text)
    listed = Listed(directed)
    for line, row in rows:
        a, *others = row.split()
        listed.meet(a, line)
        for b in others:
            listed.add_edge(a, listed.meet(b, line), None, line)
    if not directed:
        merge_both_ways(listed, always=True)
    return listed


def read_neighbour_lines(text: str) -> Listed:
    """decentralizepy's .adj: N, then the neighbours of node 0, of node 1, ... Each edge stands in two lines."""
    (line, first), *rows = lines_of(text)
    listed = _numbered_nodes(first, line)
    n = len(listed.nodes)
    while len(rows) > n and not rows[-1][1]:
        rows.pop()
    if len(rows) != n:
        raise Misread(f"{len(rows)} lines of neighbours for {n} nodes; wanted one each", line)
    for i, (line, row) in enumerate(rows):
        for j in row.split():
            listed.add_edge(i, _number(j, line), None, line)
    _check_both_ends(listed)
    merge_both_ways(listed, always=True)
    return listed


def read_csv(text: str) -> Listed:
    """source,target[,weight] in commas, semicolons or tabs; other columns where a header names these, and `type`."""
    rows = _cells(text)
    top, first = next(rows, (0, ["", ""]))
    header = _header([cell.lower() for cell in first])
    if not header and len(first) not in (2, 3):
        raise Misread(f"{seen(first)}; wanted source,target or source,target,weight", top)
    source, target, weight, kind = header or (0, 1, 2 if len(first) == 3 else None, None)
    listed = Listed()
    kinds: set[bool] = set()
    for line, row in rows if header else chain([(top, first)], rows):
        if len(row) != len(first):
            raise Misread(f"{seen(row)}; wanted {len(first)} cells, as on the first line", line)
        if kind is not None:
            kinds.add(_direction(row[kind], line))
        value = None if weight is None else _weight(row[weight], line)
        listed.add_edge(listed.meet(row[source], line), listed.meet(row[target], line), value, line)
        if len(kinds) > 1:
            raise Misread("edges with a direction and edges without; wanted one kind", line)
    listed.directed = kinds == {True}
    if not listed.directed:
        merge_both_ways(listed)
    return listed


def _rows(text: str) -> tuple[list[tuple[int, str]], bool]:
    """Lines without comments and blank ones; whether one of the comments is `# directed`."""
    rows, directed = [], False
    for line, row in lines_of(text):
        if row.startswith(("#", "%")):
            directed = directed or row.lstrip("#% ").lower() == "directed"
        elif row := row.partition("#")[0].rstrip() if "#" in row else row:
            rows.append((line, row))
    return rows, directed


def _weight(said: str | None, line: int) -> float | None:
    """`0.3`, or networkx's `{'weight': 0.3}`; other attributes are passed over. Never evaluated."""
    if not said:
        return None
    if said.startswith("{") and said.endswith("}"):
        said = _attribute(said[1:-1], line)
        if said is None:
            return None
    try:
        return float(said)
    except ValueError:
        raise Misread(f"weight {seen(said)}; wanted a number", line) from None


def _attribute(entries: str, line: int) -> str | None:
    """The value of 'weight' in `'weight': 0.3, 'colour': 'red'`."""
    entries, found, place = entries.strip(), None, 0
    while place < len(entries):
        entry = ENTRY.match(entries, place)
        if entry is None:
            raise Misread(f"attributes {seen(entries)}; wanted 'weight': 0.3 and other plain values", line)
        place = entry.end()
        if (entry[1] or entry[2]) == "weight":
            found = entry[3]
    return found


def _numbered_nodes(said: str, line: int) -> Listed:
    if not COUNT.fullmatch(said):
        raise Misread(f"{seen(said)}; wanted the number of nodes, alone on the first line", line)
    if not WHOLE.fullmatch(said) or not 2 <= int(said) <= MAX_NODES:
        raise Misread(f"{said[:20]} nodes; wanted 2 to {MAX_NODES}", line)
    listed = Listed()
    for i in range(int(said)):
        listed.add_node(i, {}, "nodes")
    return listed


def _number(said: str, line: int) -> int:
    if not WHOLE.fullmatch(said):
        raise Misread(f"{seen(said)}; wanted the number of a node, 0 or more", line)
    return int(said)


def _numbered_edges(rows: Sequence[tuple[int, str]]) -> Listed:
    listed = _numbered_nodes(rows[0][1], rows[0][0])
    for line, row in rows[1:]:
        ends = row.split()
        if len(ends) != 2:
            raise Misread(f"{seen(row)}; wanted the numbers of two nodes", line)
        listed.add_edge(_number(ends[0], line), _number(ends[1], line), None, line)
    merge_both_ways(listed, always=True)
    return listed


def _check_both_ends(listed: Listed) -> None:
    pairs = {(a, b) for a, b in listed.edges}
    for (a, b), line in zip(listed.edges, listed.edge_lines, strict=True):
        if b in listed.nodes and (b, a) not in pairs:
            raise Misread(f"node {a} lists {b}, but {b} (line {b + 2}) does not list {a}; wanted both", line)


def _cells(text: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each row that is not empty; a comment line is none."""
    lines = list(lines_of(text))
    long = next((line for line, row in lines if len(row) > MAX_CSV_LINE), None)
    if long is not None:  # two million commas would take 140 MB
        raise Misread(f"more than {MAX_CSV_LINE} characters; wanted source,target or source,target,weight", long)
    head = next((row for _, row in lines if row and not row.startswith("#")), "")
    delimiter = next((mark for mark in ",;\t" if mark in head), ",")
    reader = csv.reader((f"{row}\n" for _, row in lines), delimiter=delimiter, strict=True, skipinitialspace=True)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells) and not cells[0].startswith("#"):
                yield reader.line_num, cells
    except csv.Error as error:
        raise Misread(f"{error}; wanted source,target or source,target,weight", reader.line_num) from None


def _header(cells: Sequence[str]) -> tuple[int, int, int | None, int | None] | None:
    """Columns of source, target, weight and type; None where the first row is an edge already."""
    for source, target in ENDS:
        if source in cells and target in cells:
            weight, kind = (cells.index(name) if name in cells else None for name in ("weight", "type"))
            return cells.index(source), cells.index(target), weight, kind
    return None


def _direction(said: str, line: int) -> bool:
    if said.lower() not in DIRECTIONS:
        raise Misread(f"type {seen(said)}; wanted Directed or Undirected", line)
    return DIRECTIONS[said.lower()]
