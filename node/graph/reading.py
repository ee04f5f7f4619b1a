"""Check of the mapping in a topology file: the border behind which ids, addresses and edges are trusted.

Every error is one line: key, value seen, value wanted. The caller puts the file name before it.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from ipaddress import IPv6Address
from typing import Any, NamedTuple

import networkx as nx

from node.errors import ConfigError
from node.graph.checks import MAX_EDGES, MAX_NODES, seen
from node.graph.families.generators import GENERATORS
from node.graph.reach import NOWHERE, dialler
from node.graph.scheduling.schedules import SCHEDULES, Schedule
from node.graph.weighting.weights import WEIGHTS
from node.graph.wiring import Edge, Wiring, link
from node.types import PeerId

KEYS = ("nodes", "host", "base_port", "edges", "generator", "directed", "weights", "sizes", "schedule")
ANYONE = "any"  # under `edges`: anyone may talk to anyone, and gossip.mixing: auto says who does
HUGE = 1e12  # numbers of a file are below this
DATA_SIZE = "data_size"  # the weight scheme that wants sizes
PEER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")  # it names a folder and a certificate
HOST = re.compile(r"(?!-)[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]")


class Chosen(NamedTuple):
    """A name with settings: `torus`, or `{name: torus, rows: 3}`."""

    name: str
    settings: tuple[tuple[str, Any], ...] = ()


class Parts(NamedTuple):
    """What a topology file says, checked: fields of a `Topology`."""

    nodes: tuple[PeerId, ...]
    addresses: Mapping[PeerId, str]  # in the order of the file; NOWHERE: it can only dial out
    edges: tuple[Edge, ...]
    directed: bool
    weights: str
    edge_weights: Mapping[Edge, float]
    sizes: Mapping[PeerId, float]
    schedule: Chosen | None


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
    ids = tuple(addresses)
    wiring, edge_weights = _edges(data, ids)
    weights = _weights(data)
    schedule, plan = _schedule(data, ids, wiring)
    if plan is not None or data.get("edges") != ANYONE:
        links = wiring.links if plan is None else plan.links
        _check_connected(ids, wiring, links)
        _check_dialled(addresses, links)
    sizes = _sizes(data, ids, weights)
    return Parts(ids, addresses, wiring.edges, wiring.directed, weights, edge_weights, sizes, schedule)


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


def _edges(data: Mapping[Any, Any], ids: tuple[PeerId, ...]) -> tuple[Wiring, dict[Edge, float]]:
    """What the generator gives, and what is listed besides; second, the weights that listed edges have."""
    if data.get("edges") == ANYONE and "generator" not in data:
        return Wiring(()), {}
    if "edges" not in data and "generator" not in data:
        if "schedule" in data:
            return Wiring((), _directed(data, False)), {}
        raise ConfigError(f"no edges, no generator; wanted edges: [[{ids[0]}, {ids[1]}], ...] or generator: ring")
    generated = _generated(data["generator"], ids) if "generator" in data else Wiring(())
    if "directed" in data and "generator" in data:
        raise ConfigError("directed: the generator decides; remove this line")
    directed = generated.directed or _directed(data, False)
    if "edges" not in data:
        return generated, {}
    listed = data["edges"]
    if not isinstance(listed, Sequence) or isinstance(listed, str | bytes):
        raise ConfigError(f"edges: {seen(listed)}; wanted a list of pairs such as [[{ids[0]}, {ids[1]}]]")
    edges, known, weights = set(generated.edges), set(ids), dict[Edge, float]()
    for place, said in enumerate(listed):
        edge, weight = _edge(said, f"edges[{place}]", ids, known, directed)
        if edge in edges:
            raise ConfigError(f"edges[{place}]: {edge[0]} and {edge[1]} are joined already; remove this line")
        edges.add(edge)
        if weight is not None:
            weights[edge] = weight
    if len(edges) > MAX_EDGES:
        raise ConfigError(f"edges: {len(edges)} edges; wanted {MAX_EDGES} or fewer")
    return Wiring(tuple(sorted(edges)), directed), weights


def _directed(data: Mapping[Any, Any], default: bool) -> bool:
    said = data.get("directed", default)
    if not isinstance(said, bool):
        raise ConfigError(f"directed: {seen(said)}; wanted true where edges are [sender, receiver], or false")
    return said


def _edge(
    said: Any, key: str, ids: Sequence[PeerId], known: Collection[PeerId], directed: bool
) -> tuple[Edge, float | None]:
    if not isinstance(said, list | tuple) or len(said) not in (2, 3):
        wanted = f"wanted a pair of ids such as [{ids[0]}, {ids[1]}], or [{ids[0]}, {ids[1]}, weight]"
        raise ConfigError(f"{key}: {seen(said)}; {wanted}")
    a, b = said[:2]
    if not (type(a) is type(b) is str and a in known and b in known):  # a third of the time of 100,000 edges
        a, b = _peer_id(a, key), _peer_id(b, key)
        for end in (a, b):
            if end not in known:
                raise ConfigError(f"{key}: node '{end}' is not listed under nodes ({_listing(ids)})")
    if a == b:
        raise ConfigError(f"{key}: '{a}' is joined to itself; wanted two different nodes")
    weight = _number(said[2], key, "a weight such as 0.25") if len(said) == 3 else None
    return (a, b) if directed else link(a, b), weight


def _number(value: Any, key: str, wanted: str) -> float:
    number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < HUGE else 0
    if not number and value != 0:  # NaN is not below HUGE either
        raise ConfigError(f"{key}: {seen(value)}; wanted {wanted}")
    return number


def _generated(said: Any, ids: tuple[PeerId, ...]) -> Wiring:
    """`generator: ring`, or `generator: {name: random_regular, degree: 3}`."""
    chosen = _chosen(said, "generator", GENERATORS, first=1)
    try:
        return GENERATORS[chosen.name](ids, **dict(chosen.settings))
    except ConfigError as error:
        raise ConfigError(f"generator: {error}") from None


def _schedule(
    data: Mapping[Any, Any], ids: tuple[PeerId, ...], wiring: Wiring
) -> tuple[Chosen | None, Schedule | None]:
    """`schedule: {name: random_matching, seed: 3}`, on the edges of the file if it has any."""
    if "schedule" not in data:
        return None, None
    chosen = _chosen(data["schedule"], "schedule", SCHEDULES, first=2)
    if wiring.directed:
        raise ConfigError("schedule: the edges are directed; wanted undirected edges, or none")
    if "weights" in data:
        raise ConfigError(f"weights: {seen(data['weights'])} has no use beside a schedule; remove this line")
    try:
        plan = SCHEDULES[chosen.name](ids, wiring.edges, **dict(chosen.settings))
    except ConfigError as error:
        raise ConfigError(f"schedule: {error}") from None
    if len(plan.links) > MAX_EDGES:
        raise ConfigError(f"schedule: {chosen.name} joins {len(plan.links)} pairs; wanted {MAX_EDGES} or fewer")
    return chosen, plan


def _chosen(said: Any, key: str, known: Mapping[str, Callable[..., Any]], first: int) -> Chosen:
    """A name of a registry with settings that its factory takes; `first`: arguments that are not the file's."""
    if isinstance(said, Mapping):
        given = {name: value for name, value in said.items() if name != "name"}
        name = said.get("name")
    else:
        name, given = said, {}
    if not isinstance(name, str) or name not in known:
        raise ConfigError(f"{key}: {seen(name)}; wanted one of {', '.join(known)}{did_you_mean(name, known)}")
    takes = dict(list(inspect.signature(known[name]).parameters.items())[first:])
    for word in given:
        if word not in takes:
            listed = ", ".join(takes) or "no settings"
            raise ConfigError(f"{key}: {seen(word)} is unknown; {name} takes {listed}{did_you_mean(word, takes)}")
    for word, setting in takes.items():
        if setting.default is inspect.Parameter.empty and word not in given:
            raise ConfigError(f"{key}: {name} wants {word}; write {key}: {{name: {name}, {word}: 3}}")
    for word, value in given.items():
        if not isinstance(value, str | int | float):
            raise ConfigError(f"{key}.{word}: {seen(value)}; wanted a number, a word, true or false")
    return Chosen(name, tuple(given.items()))


def _weights(data: Mapping[Any, Any]) -> str:
    if data.get("edges") == ANYONE and "weights" in data:
        raise ConfigError(f"weights: {seen(data['weights'])} has no use with edges: {ANYONE}; remove this line")
    name = data.get("weights", "metropolis")
    if not isinstance(name, str) or name not in WEIGHTS:
        raise ConfigError(f"weights: {seen(name)}; wanted one of {', '.join(WEIGHTS)}{did_you_mean(name, WEIGHTS)}")
    return name


def _sizes(data: Mapping[Any, Any], ids: tuple[PeerId, ...], weights: str) -> dict[PeerId, float]:
    """`sizes: {n0: 1200, n1: 300}`: how much data each node has."""
    if weights != DATA_SIZE:
        if "sizes" in data:
            raise ConfigError(f"sizes: no use with weights: {weights}; remove it, or write weights: {DATA_SIZE}")
        return {}
    said = data.get("sizes")
    if not isinstance(said, Mapping):
        raise ConfigError(f"sizes: {seen(said)}; weights: {DATA_SIZE} wants a line 'id: number' for each node")
    sizes = {_peer_id(key, "sizes"): (value, f"sizes.{seen(key)}") for key, value in said.items()}
    for peer in sizes:
        if peer not in ids:
            raise ConfigError(f"sizes: node '{peer}' is not listed under nodes ({_listing(ids)})")
    for peer in ids:
        if peer not in sizes:
            raise ConfigError(f"sizes: '{peer}' is missing; wanted a number for each node")
    found = {peer: _number(*sizes[peer], "a number above 0 such as 1200") for peer in ids}
    for peer, size in found.items():
        if not size > 0:
            raise ConfigError(f"sizes.{peer}: {size:g}; wanted a number above 0 such as 1200")
    return found


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


def _check_connected(ids: tuple[PeerId, ...], wiring: Wiring, links: tuple[Edge, ...]) -> None:
    graph: nx.Graph[PeerId] = nx.Graph()
    graph.add_nodes_from(ids)
    graph.add_edges_from(links)
    parts = [[peer for peer in ids if peer in part] for part in nx.connected_components(graph)]
    if len(parts) > 1:
        shown = " | ".join(_listing(part) for part in parts[:4]) + (" | ..." if len(parts) > 4 else "")
        fix = f"add [{parts[0][0]}, {parts[1][0]}] to edges"
        raise ConfigError(f"edges: the graph falls into {len(parts)} parts ({shown}); wanted one: {fix}")
    if wiring.directed:
        _check_strongly_connected(ids, wiring.edges)


def _check_strongly_connected(ids: tuple[PeerId, ...], edges: tuple[Edge, ...]) -> None:
    """Whether the news of everybody reaches everybody along the arrows."""
    for arrows, verb in ((edges, "reaches"), ([(b, a) for a, b in edges], "hears of")):
        graph: nx.DiGraph[PeerId] = nx.DiGraph(arrows)
        graph.add_nodes_from(ids)
        near = {ids[0], *nx.descendants(graph, ids[0])}
        far = next((peer for peer in ids if peer not in near), None)
        if far is not None:
            raise ConfigError(f"edges: '{ids[0]}' never {verb} '{far}' along the arrows; wanted one more directed edge")


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
