"""Where to put nodes in a picture: topology in, a place for each node out.

A graph whose shape is known (circle, star, grid, cube, line, tree) is laid out as that shape, found from its edges and
not from the name in the file, so that a ring written out by hand is a circle too. Anything else is laid out so that
distances in the picture follow distances in hops. The same topology gives the same places; no randomness.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, sqrt

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from node.errors import ConfigError
from node.graph.families.lattices import hypercube, mesh, path, torus
from node.graph.topology import Topology
from node.graph.wiring import Pairs, Wiring, pair
from node.types import PeerId

Places = NDArray[np.float64]  # (n, 2), x and y, in the order of the nodes; the unit is arbitrary
STEPS = 300  # of stress majorisation; it stops sooner where it stands still
MOST_ENTRIES = 20_000_000  # of (n, n) in all steps together: some seconds, and from 260 nodes on fewer steps
CUBE = ((1.0, 0.0), (0.0, 1.0), (0.5, 0.5), (1.8, 0.9), (-0.35, 1.85))  # found by search: edges pass by other nodes


def places(topology: Topology) -> Places:
    """x and y (n, 2) in the order of `topology.nodes`; two nodes never share a place.

    A schedule without edges of its own is a circle.
    """
    n = len(topology.nodes)
    pairs = positions(topology.nodes, Wiring(topology.edges, topology.directed).links)
    if not pairs or _is_circulant(n, pairs):
        return circle(n)
    for shape in (_star, _line, _grid, _cube, _tree):
        found = shape(topology.nodes, pairs)
        if found is not None:
            return found
    return stress(n, pairs)


def positions(ids: tuple[PeerId, ...], edges: tuple[tuple[PeerId, PeerId], ...]) -> Pairs:
    """Undirected edges as positions in `ids`."""
    place = {peer: i for i, peer in enumerate(ids)}
    return {pair(place[a], place[b]) for a, b in edges}


def circle(n: int) -> Places:
    """The first on top, then clockwise."""
    angles = 2 * np.pi * np.arange(n) / n
    return np.stack([np.sin(angles), np.cos(angles)], axis=1)


def stress(n: int, pairs: Pairs) -> Places:
    """Distances on paper near to distances in hops, each counted by 1 / hops^2; the longer side lies flat.

    References:
        Gansner, Koren, North 2004, Graph Drawing by Stress Majorization, eq. 8. Differences: it starts from the
        classical scaling of the hops, nudged so that no two nodes begin at one place; nodes that end close together are
        pushed apart.
    """
    hops = _hops(n, pairs)
    weights = np.divide(1.0, hops**2, out=np.zeros_like(hops), where=hops > 0)
    laplacian = np.diag(weights.sum(axis=1)) - weights
    inverse = np.linalg.inv(laplacian + 1 / n) - 1 / n  # the pseudo-inverse: constants are all that L takes to 0
    x = _scaling(hops) + 0.05 * circle(n)
    for _ in range(min(STEPS, MOST_ENTRIES // n**2)):
        apart = _distances(x)
        pull = -np.divide(weights * hops, apart, out=np.zeros_like(hops), where=apart > 1e-9)
        np.fill_diagonal(pull, -pull.sum(axis=1))
        moved = inverse @ (pull @ x)
        still = np.abs(moved - x).max() < 1e-4
        x = moved
        if still:
            break
    return _flat(_apart(x))


def _distances(x: Places) -> NDArray[np.float64]:
    return np.asarray(np.hypot(x[:, None, 0] - x[None, :, 0], x[:, None, 1] - x[None, :, 1]))


def _apart(x: Places, share: float = 0.6) -> Places:
    """Nodes nearer than `share` of what an even spread would give them, pushed apart until hardly any are."""
    n = len(x)
    span = np.maximum(np.ptp(x, axis=0), 1e-9)
    wanted = share * sqrt(span[0] * span[1] / n)
    for _ in range(min(50, MOST_ENTRIES // n**2)):
        far = _distances(x)
        np.fill_diagonal(far, np.inf)
        push = np.maximum(wanted - far, 0.0)
        if push.max() < 0.05 * wanted:
            break
        push /= np.maximum(far, 1e-9)
        x = x + 0.5 * (push.sum(axis=1)[:, None] * x - push @ x)
    return x


def _hops(n: int, pairs: Pairs) -> NDArray[np.float64]:
    """Length of the shortest way (n, n); parts that are not joined are as far as the graph is long, and one more."""
    hops = np.full((n, n), np.nan)
    for i, lengths in nx.all_pairs_shortest_path_length(_graph(n, pairs)):
        hops[i, list(lengths)] = list(lengths.values())
    return np.asarray(np.nan_to_num(hops, nan=float(np.nanmax(hops)) + 1))


def _scaling(hops: NDArray[np.float64]) -> Places:
    """Classical multidimensional scaling: the two largest axes of the doubly centred squares."""
    centre = np.eye(len(hops)) - 1 / len(hops)
    values, vectors = np.linalg.eigh(-0.5 * centre @ hops**2 @ centre)
    axes = vectors[:, -2:] * np.sqrt(np.maximum(values[-2:], 0.0))
    signs = np.where(axes[np.abs(axes).argmax(axis=0), [0, 1]] < 0, -1.0, 1.0)  # eigenvectors come with either sign
    return np.asarray(axes * signs)


def _flat(x: Places) -> Places:
    """Turned so that the longest axis is horizontal."""
    x = x - x.mean(axis=0)
    _, _, axes = np.linalg.svd(x, full_matrices=False)
    return np.asarray(x @ axes.T)


def _is_circulant(n: int, pairs: Pairs) -> bool:
    """Whether the edges stay the same when everyone moves on by one place."""
    return {pair((i + 1) % n, (j + 1) % n) for i, j in pairs} == pairs


def _star(ids: tuple[PeerId, ...], pairs: Pairs) -> Places | None:
    n = len(ids)
    middle = next((i for i in range(n) if len(pairs) == n - 1 and all(i in edge for edge in pairs)), None)
    if middle is None:
        return None
    around = circle(n - 1)
    return np.insert(around, middle, [0.0, 0.0], axis=0)


def _line(ids: tuple[PeerId, ...], pairs: Pairs) -> Places | None:
    """Up to ten in a row, more in a line that turns back and forth."""
    n = len(ids)
    if not _same(ids, pairs, path):
        return None
    width = n if n <= 10 else ceil(sqrt(2 * n))
    rows, columns = np.divmod(np.arange(n), width)
    return np.stack([np.where(rows % 2, width - 1 - columns, columns), -rows], axis=1).astype(float)


def _grid(ids: tuple[PeerId, ...], pairs: Pairs) -> Places | None:
    n = len(ids)
    for rows in (r for r in range(2, n // 2 + 1) if n % r == 0):
        if _same(ids, pairs, mesh, rows) or _same(ids, pairs, torus, rows):
            row, column = np.divmod(np.arange(n), n // rows)
            return np.stack([column, -row], axis=1).astype(float)
    return None


def _cube(ids: tuple[PeerId, ...], pairs: Pairs) -> Places | None:
    """Each binary digit is a step of its own, so that edges of one digit are parallel; up to five digits."""
    n = len(ids)
    if n > 1 << len(CUBE) or not _same(ids, pairs, hypercube):
        return None
    digits = n.bit_length() - 1
    bits = (np.arange(n)[:, None] >> np.arange(digits)) & 1
    return np.asarray(bits @ np.array(CUBE[:digits]))


def _tree(ids: tuple[PeerId, ...], pairs: Pairs) -> Places | None:
    """Leaves side by side, everyone else above the middle of those below; the top is the middle of the tree."""
    n = len(ids)
    graph = _graph(n, pairs)
    if not nx.is_tree(graph):
        return None
    top = min(nx.center(graph))
    below: dict[int, list[int]] = {i: [] for i in range(n)}
    for upper, lower in nx.bfs_edges(graph, top, sort_neighbors=sorted):
        below[upper].append(lower)
    depth = nx.single_source_shortest_path_length(graph, top)
    x = np.zeros(n)
    leaves = [i for i in nx.dfs_preorder_nodes(graph, top, sort_neighbors=sorted) if not below[i]]
    x[leaves] = np.arange(len(leaves))
    for i in sorted(range(n), key=lambda i: -depth[i]):
        if below[i]:
            x[i] = (x[below[i][0]] + x[below[i][-1]]) / 2
    height = max(1.0, len(leaves) / (2 * max(depth.values())))
    return np.stack([x, [-height * depth[i] for i in range(n)]], axis=1)


def _same(ids: tuple[PeerId, ...], pairs: Pairs, family: Callable[..., Wiring], *settings: int) -> bool:
    """Whether a family gives just these edges on these ids."""
    try:
        return positions(ids, family(ids, *settings).edges) == pairs
    except ConfigError:
        return False


def _graph(n: int, pairs: Pairs) -> nx.Graph[int]:
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(range(n))
    graph.add_edges_from(pairs)
    return graph
