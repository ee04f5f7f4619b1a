"""Graph files of every kind: by its suffix, a text becomes a topology, and a topology a text.

Decides which suffix means what. Each reader gives what its file lists, unchecked; the border (`node.graph.reading`)
checks all alike, and its complaints get the line of the file. Knows no files: `node.config` reads them, and YAML.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from node.errors import ConfigError
from node.graph.formats.foreign import Listed, Misread, check_text, located, mapping_of
from node.graph.formats.gml import read_gml
from node.graph.formats.graphml import read_graphml
from node.graph.formats.line_formats import read_adjacency_list, read_csv, read_edge_list, read_neighbour_lines
from node.graph.formats.node_link import read_json
from node.graph.topology import Topology

YAML = (".yaml", ".yml")
READERS: Mapping[str, Callable[[str], Listed | Any]] = {
    ".json": read_json,
    ".graphml": read_graphml,
    ".gml": read_gml,
    ".edgelist": read_edge_list,
    ".edges": read_edge_list,
    ".adjlist": read_adjacency_list,
    ".adj": read_neighbour_lines,
    ".csv": read_csv,
}
SUFFIXES = (*YAML, *READERS)


def suffix_of(path: str) -> str:
    """One of SUFFIXES. Raises ConfigError."""
    for suffix in SUFFIXES:
        if path.lower().endswith(suffix):
            return suffix
    raise ConfigError(f"{path}: the name tells no format; wanted one that ends in {', '.join(SUFFIXES)}")


def topology_of(text: str, suffix: str, source: str) -> Topology:
    """The checked topology in a text of one of READERS.

    Raises:
        ConfigError: one line with source, line or key, value seen and value wanted.
    """
    try:
        check_text(text)
        found = READERS[suffix](text)
    except Misread as error:
        raise ConfigError(f"{source}{f':{error.line}' if error.line else ''}: {error}") from None
    if not isinstance(found, Listed):
        return Topology.from_mapping(found, source)
    try:
        return Topology.from_mapping(mapping_of(found), source)
    except ConfigError as error:
        raise ConfigError(f"{source}{located(str(error).removeprefix(f'{source}: '), found)}") from None
