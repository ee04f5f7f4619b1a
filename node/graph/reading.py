"""Check of the mapping in a topology file: the border behind which ids, addresses and edges are trusted.

Every error is one line: key, value seen, value wanted. The caller puts the file name before it.
"""

from __future__ import annotations

import difflib
import inspect
import re
import reprlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from ipaddress import IPv6Address
from typing import Any, NamedTuple

import networkx as nx

from node.errors import ConfigError
from node.graph.generators import GENERATORS, Edge
from node.graph.reach import NOWHERE, dialler
from node.graph.weights import ROWS
from node.types import PeerId

MAX_NODES = 1024  # a file describes processes with an address each; W is dense in predictions: 8 MB
MAX_EDGES = 100_000  # all pairs of 447 nodes
KEYS = ("nodes", "host", "base_port", "edges", "generator", "weights")
SHORT = reprlib.Repr()  # bounded in depth, length and time, whatever it is shown
SHORT.maxstring = SHORT.maxother = 60
PEER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")  # it names a folder and a certificate
HOST = re.compile(r"(?!-)[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]")


class Parts(NamedTuple):
    """What a topology file says, checked."""

    addresses: Mapping[PeerId, str]  # in the order of the file; NOWHERE: it can only dial out
    edges: tuple[Edge, ...]
    weights: str


def read_topology(data: Any) -> Parts:
    """Mapping of a topology file -> its parts. Raises ConfigError."""
    if not isinstance(data, Mapping):
        raise ConfigError(f"{seen(data)}; wanted a mapping with nodes, and edges or generator")
    for key in data:
        if key not in KEYS:
            raise ConfigError(f"{seen(key)} is not one of the keys {', '.join(KEYS)}{did_you_mean(key, KEYS)}")
    if "nodes" not in data:
        raise ConfigError("nodes is missing; wanted a number, or a line 'id: host:port' for each node")
    addresses = _addresses(data)
    edges = _edges(data, tuple(addresses))
    _check_connected(tuple(addresses), edges)
    _check_dialled(addresses, edges)
    return Parts(addresses, edges, _weights(data.get("weights", "metropolis")))


def seen(value: object) -> str:
    """A value of the user in an error message: one short line."""
    if isinstance(value, int) and value.bit_length() > 200:
        return f"a number of {value.bit_length()} bits"
    return SHORT.repr(value)


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """`: did you mean 'edges'?` or nothing."""
    close = difflib.get_close_matches(word[:64], list(known), n=1) if isinstance(word, str) else []
    return f": did you mean '{close[0]}'?" if close else ""


def _addresses(data: Mapping[Any, Any]) -> dict[PeerId, str]:
    nodes = data["nodes"]
    if isinstance(nodes, int) and not isinstance(nodes, bool):
        return _numbered(nodes, data.get("host", "127.0.0.1"), data.get("base_port", 7001))
    if not isinstance(nodes, Mapping):
        raise ConfigError(f"nodes: {seen(nodes)}; wanted a number, or a line 'id: host:port' for each node")
    _check_count(len(nodes))
    for key in ("host", "base_port"):
        if key in data:
            raise ConfigError(f"{key}: {seen(data[key])} has no use where nodes lists addresses; remove this line")
    addresses: dict[PeerId, str] = {}
    for key, value in nodes.items():
        peer = _peer_id(key, "nodes")
        if peer in addresses:
            raise ConfigError(f"nodes: '{peer}' is listed twice; wanted each id once")
        addresses[peer] = _address(value, f"nodes.{peer}")
    _check_distinct(addresses)
    return addresses


def _numbered(count: int, host: Any, base_port: Any) -> dict[PeerId, str]:
    """n0, n1 ... at host:base_port + i; a host with {i} in it is a machine each, so the port stays."""
    _check_count(count)
    if not isinstance(host, str):
        raise ConfigError(f"host: {seen(host)}; wanted a host name, with {{i}} in it where each node has its own")
    if isinstance(base_port, bool) or not isinstance(base_port, int):
        raise ConfigError(f"base_port: {seen(base_port)}; wanted a port, 1 to 65535")
    own = "{i}" in host
    if not 1 <= base_port <= 65535 - (0 if own else count - 1):
        raise ConfigError(f"base_port: {seen(base_port)} with {count} nodes; wanted ports 1 to 65535")
    if _split(f"{host.replace('{i}', '0')}:{base_port}") is None:
        raise ConfigError(f"host: {seen(host)}; wanted a host name or address such as 127.0.0.1 or n{{i}}")
    return {
        PeerId(f"n{i}"): f"{host.replace('{i}', str(i))}:{base_port if own else base_port + i}" for i in range(count)
    }


def _address(value: Any, key: str) -> str:
    if value is None:
        return NOWHERE
    if not isinstance(value, str) or _split(value) is None:
        wanted = "wanted host:port such as 127.0.0.1:7001 (port 1 to 65535), or null where it can only dial out"
        raise ConfigError(f"{key}: {seen(value)}; {wanted}")
    return value


def _split(address: str) -> tuple[str, int] | None:
    """host:port -> its parts; None where it is not one."""
    host, _, port = address.rpartition(":")
    if not HOST.fullmatch(host) or not re.fullmatch(r"[1-9][0-9]{0,4}", port) or int(port) > 65535:
        return None
    if host.startswith("["):
        try:
            IPv6Address(host[1:-1])
        except ValueError:
            return None
    return host, int(port)


def _edges(data: Mapping[Any, Any], ids: tuple[PeerId, ...]) -> tuple[Edge, ...]:
    """What the generator gives, and what is listed besides."""
    if "edges" not in data and "generator" not in data:
        raise ConfigError(f"no edges, no generator; wanted edges: [[{ids[0]}, {ids[1]}], ...] or generator: ring")
    generated = _generated(data["generator"], ids) if "generator" in data else ()
    if "edges" not in data:
        return generated
    listed = data["edges"]
    if not isinstance(listed, Sequence) or isinstance(listed, str | bytes):
        raise ConfigError(f"edges: {seen(listed)}; wanted a list of pairs such as [[{ids[0]}, {ids[1]}]]")
    edges, known = set(generated), set(ids)
    for place, pair in enumerate(listed):
        edge = _edge(pair, f"edges[{place}]", ids, known)
        if edge in edges:
            raise ConfigError(f"edges[{place}]: {edge[0]} and {edge[1]} are joined already; remove this line")
        edges.add(edge)
    if len(edges) > MAX_EDGES:
        raise ConfigError(f"edges: {len(edges)} edges; wanted {MAX_EDGES} or fewer")
    return tuple(sorted(edges))


def _edge(pair: Any, key: str, ids: Sequence[PeerId], known: Collection[PeerId]) -> Edge:
    if not isinstance(pair, Sequence) or isinstance(pair, str | bytes) or len(pair) != 2:
        raise ConfigError(f"{key}: {seen(pair)}; wanted a pair of ids such as [{ids[0]}, {ids[1]}]")
    a, b = (_peer_id(end, key) for end in pair)
    for end in (a, b):
        if end not in known:
            raise ConfigError(f"{key}: node '{end}' is not listed under nodes ({_listing(ids)})")
    if a == b:
        raise ConfigError(f"{key}: '{a}' is joined to itself; wanted two different nodes")
    return (a, b) if a < b else (b, a)


def _generated(said: Any, ids: tuple[PeerId, ...]) -> tuple[Edge, ...]:
    """`generator: ring`, or `generator: {name: random_regular, degree: 3}`."""
    if isinstance(said, Mapping):
        params = {key: value for key, value in said.items() if key != "name"}
        name = said.get("name")
    else:
        name, params = said, {}
    if not isinstance(name, str) or name not in GENERATORS:
        wanted = ", ".join(GENERATORS)
        raise ConfigError(f"generator: {seen(name)}; wanted one of {wanted}{did_you_mean(name, GENERATORS)}")
    generator = GENERATORS[name]
    settings = dict(list(inspect.signature(generator).parameters.items())[1:])
    for key in params:
        if key not in settings:
            takes = ", ".join(settings) or "no settings"
            raise ConfigError(f"generator: {seen(key)} is unknown; {name} takes {takes}{did_you_mean(key, settings)}")
    for key, setting in settings.items():
        if setting.default is inspect.Parameter.empty and key not in params:
            raise ConfigError(f"generator: {name} wants {key}; write generator: {{name: {name}, {key}: 3}}")
    _check_size(name, len(ids), params.get("degree"))
    try:
        return generator(ids, **params)
    except ConfigError as error:
        raise ConfigError(f"generator: {error}") from None


def _check_size(name: str, nodes: int, degree: object) -> None:
    """Refuse too many edges before they are built."""
    each = nodes - 1 if name == "complete" else degree if isinstance(degree, int) else 4
    if nodes * each // 2 > MAX_EDGES:
        edges = seen(nodes * each // 2)
        raise ConfigError(f"generator: {name} of {nodes} nodes has {edges} edges; wanted {MAX_EDGES} or fewer")


def _weights(name: Any) -> str:
    if not isinstance(name, str) or name not in ROWS:
        raise ConfigError(f"weights: {seen(name)}; wanted one of {', '.join(ROWS)}{did_you_mean(name, ROWS)}")
    return name


def _peer_id(value: Any, key: str) -> PeerId:
    """An id as written in YAML -> PeerId. The one place where a number becomes a name."""
    number = isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= 200
    name = str(value) if number else value
    if not isinstance(name, str) or not PEER_ID.fullmatch(name):
        raise ConfigError(f"{key}: {seen(value)}; wanted a node id of letters, digits, '.', '_' or '-', 63 at most")
    return PeerId(name)


def _check_count(count: int) -> None:
    if not 2 <= count <= MAX_NODES:
        raise ConfigError(f"nodes: {seen(count)} nodes; wanted 2 to {MAX_NODES}")


def _check_distinct(addresses: Mapping[PeerId, str]) -> None:
    places = Counter(address.lower() for address in addresses.values())
    for peer, address in addresses.items():
        if address != NOWHERE and places[address.lower()] > 1:
            other = next(p for p, a in addresses.items() if a.lower() == address.lower() and p != peer)
            raise ConfigError(f"nodes.{other}: {seen(address)} is the address of '{peer}', too; wanted one each")


def _check_connected(ids: tuple[PeerId, ...], edges: tuple[Edge, ...]) -> None:
    graph: nx.Graph[PeerId] = nx.Graph()
    graph.add_nodes_from(ids)
    graph.add_edges_from(edges)
    parts = [[peer for peer in ids if peer in part] for part in nx.connected_components(graph)]
    if len(parts) > 1:
        shown = " | ".join(_listing(part) for part in parts[:4]) + (" | ..." if len(parts) > 4 else "")
        fix = f"add [{parts[0][0]}, {parts[1][0]}] to edges"
        raise ConfigError(f"edges: the graph falls into {len(parts)} parts ({shown}); wanted one: {fix}")


def _check_dialled(addresses: Mapping[PeerId, str], edges: tuple[Edge, ...]) -> None:
    for a, b in edges:
        if dialler(a, b, addresses) is None:
            raise ConfigError(
                f"edges: neither '{a}' nor '{b}' has an address, so neither can dial the other; "
                f"wanted host:port for one of them under nodes, or no edge [{a}, {b}]"
            )


def _listing(ids: Sequence[PeerId]) -> str:
    """`n0 to n4`, or the ids themselves where they are not numbered like that."""
    if len(ids) > 2 and list(ids) == [f"n{i}" for i in range(len(ids))]:
        return f"{ids[0]} to {ids[-1]}"
    return ", ".join(ids[:8]) + (f" and {len(ids) - 8} more" if len(ids) > 8 else "")
