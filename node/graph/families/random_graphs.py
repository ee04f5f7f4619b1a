"""Graphs that are drawn: the same family, settings and seed give the same graph on every machine.

Decides how a graph is drawn from our own Philox stream (`node.graph.draws`) and that it is connected: a draw that falls
apart is drawn again from where the stream is. Only comparisons and the four operations of IEEE 754 touch a draw, so
no libm has a say; what a default takes from a logarithm is rounded to four digits first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from math import log, pi, sqrt

from node.errors import ConfigError
from node.graph.checks import at_least, check_edges, check_seed, number, whole
from node.graph.draws import Stream, stream
from node.graph.wiring import Pairs, Wiring, is_connected, named, pair
from node.types import PeerId

MAX_ATTEMPTS = 1000  # a random cubic graph of 1024 nodes took 1 to 3
MAX_WORK = 1_100_000  # pairs or ends looked at in all attempts together: about 0.5 s; two draws of 1024 nodes


def erdos_renyi(ids: Sequence[PeerId], p: float | None = None, seed: int = 0) -> Wiring:
    """Each pair is joined with probability p. Degree about p n, a few have far less; diameter log(n) / log(p n).

    Args:
        p: above 0, up to 1; by default 2 ln(n) / n, twice what it takes to be connected.
        seed: key of the Philox stream, one number a pair in the order of the file.

    References:
        Gilbert 1959, Random graphs; Erdos, Renyi 1960 (the threshold ln(n) / n). Difference: connected, by drawing
        again.
    """
    at_least(ids, 3, "erdos_renyi")
    n, seed = len(ids), check_seed(seed, "erdos_renyi")
    p = min(1.0, round(2 * log(n) / n, 4)) if p is None else number(p, "p")
    if not 0 < p <= 1:
        raise ConfigError(f"erdos_renyi: p {p}; wanted above 0, up to 1")
    check_edges("erdos_renyi", n, round(p * n * (n - 1) / 2))
    change = f"wanted a larger p ({round(2 * log(n) / n, 4)} is safe) or another seed"
    alone = n * (1 - p) ** (n - 1)  # expected; a draw is connected with a probability of about e^-alone
    if alone > 1 + log(_attempts(cost := n * (n - 1) // 2)):
        raise ConfigError(f"erdos_renyi: p {p}: about {alone:.0f} of {n} nodes would have no neighbour; {change}")
    draw = stream(seed)
    return _connected("erdos_renyi", ids, lambda: _coins(n, p, draw), cost, change)


def random_geometric(ids: Sequence[PeerId], radius: float | None = None, seed: int = 0) -> Wiring:
    """Points in the unit square, joined where they are within `radius`: radios in a field, with long ways round.

    Degree about pi radius^2 n, diameter about 1.4 / radius; rounds grow as 1 / radius^2.

    Args:
        radius: above 0, up to 1.5 (everybody); by default sqrt(2 ln(n) / (pi n)), where most draws are connected.
        seed: key of the Philox stream, two numbers a node in the order of the file.

    References:
        Gilbert 1961, Random plane networks; Boyd, Ghosh, Prabhakar, Shah 2006, Randomized Gossip Algorithms (gossip on
        it). Differences: a square with borders, not a torus; connected, by drawing again.
    """
    at_least(ids, 3, "random_geometric")
    n, seed = len(ids), check_seed(seed, "random_geometric")
    safe = min(1.5, round(sqrt(2 * log(n) / (pi * n)), 4))
    radius = safe if radius is None else number(radius, "radius")
    if not 0 < radius <= 1.5:
        raise ConfigError(f"random_geometric: radius {radius}; wanted above 0, up to 1.5")
    check_edges("random_geometric", n, round(_within(radius) * n * (n - 1) / 2))
    draw = stream(seed)
    change = f"wanted a larger radius ({safe} often serves) or another seed"
    return _connected("random_geometric", ids, lambda: _near(n, radius, draw), n * (n - 1) // 2, change)


def barabasi_albert(ids: Sequence[PeerId], m: int = 2, seed: int = 0) -> Wiring:
    """Each node in turn is joined to m before it, those with many edges more likely: few hubs, many leaves.

    Degree m to about m sqrt(n), 2 m on average; diameter about log(n) / log(log(n)). Hubs carry most messages.

    Args:
        m: 1 (a tree) to n - 1.
        seed: key of the Philox stream.

    References:
        Barabasi, Albert 1999, Emergence of scaling in random networks. Differences: the first m + 1 nodes are a clique
        (the paper leaves the start open); m ends of edges are drawn until m nodes differ.
    """
    at_least(ids, 3, "barabasi_albert")
    n, m, seed = len(ids), whole(m, "m"), check_seed(seed, "barabasi_albert")
    if not 1 <= m < n:
        raise ConfigError(f"barabasi_albert: m {m} of {n} nodes; wanted 1 to {n - 1}")
    check_edges("barabasi_albert", n, m * (m + 1) // 2 + m * (n - m - 1))
    draw = stream(seed)
    pairs: Pairs = set(combinations(range(m + 1), 2))
    ends = [i for edge in sorted(pairs) for i in edge]
    for new in range(m + 1, n):
        drawn: dict[int, None] = {}  # a set that keeps its order, so that `ends` is the same everywhere
        while len(drawn) < m:
            drawn[ends[draw.below(len(ends))]] = None
        pairs |= {(old, new) for old in drawn}
        ends += [end for old in drawn for end in (old, new)]
    return named(ids, pairs)


def watts_strogatz(ids: Sequence[PeerId], k: int = 4, p: float = 0.1, seed: int = 0) -> Wiring:
    """A ring of k nearest neighbours, a share p of its edges moved to anywhere: a small world.

    n k / 2 edges, degree k on average and k / 2 at least; a few long edges bring the diameter from n / k to log(n).

    Args:
        k: even, 2 to n - 1; half of them on each side.
        p: 0 to 1.
        seed: key of the Philox stream.

    References:
        Watts, Strogatz 1998, Collective dynamics of small-world networks: the nearest neighbours of all nodes are
        visited first, then the second ones ... Difference: connected, by drawing again.
    """
    at_least(ids, 3, "watts_strogatz")
    n, k, p, seed = len(ids), whole(k, "k"), number(p, "p"), check_seed(seed, "watts_strogatz")
    if not 2 <= k < n or k % 2:
        raise ConfigError(f"watts_strogatz: k {k} of {n} nodes; wanted an even number, 2 to {n - 1}")
    if not 0 <= p <= 1:
        raise ConfigError(f"watts_strogatz: p {p}; wanted 0 to 1")
    check_edges("watts_strogatz", n, n * k // 2)
    draw = stream(seed)
    change = "wanted a larger k, a smaller p or another seed"
    return _connected("watts_strogatz", ids, lambda: _rewired(n, k, p, draw), n * k, change)


def random_regular(ids: Sequence[PeerId], degree: int, seed: int = 0) -> Wiring:
    """Every node has `degree` neighbours, drawn at random: few edges, diameter log(n), and about the fastest mixing.

    Args:
        degree: at least 3 (2 would be a ring), below n, and n * degree even.
        seed: key of the Philox stream; the same ids, degree and seed give the same graph everywhere.

    References:
        Steger, Wormald 1999, Generating random regular graphs quickly. Differences: pairs that do not fit are shuffled
        again together (as networkx does), a dense graph is the complement of a sparse one, and a graph that is not
        connected is drawn again.
    """
    n, degree, seed = len(ids), whole(degree, "degree"), check_seed(seed, "random_regular")
    if not 3 <= degree < n:
        raise ConfigError(
            f"random_regular: degree {degree} of {n} nodes; wanted 3 to {n - 1} (degree 2 is generator: ring)"
        )
    if n * degree % 2:
        raise ConfigError(f"random_regular: {n} nodes of degree {degree}; wanted an even product: change either by 1")
    check_edges("random_regular", n, n * degree // 2)
    draw = stream(seed)
    return _connected("random_regular", ids, lambda: _regular(n, degree, draw), n * degree, "wanted another seed")


def _connected(family: str, ids: Sequence[PeerId], once: Callable[[], Pairs | None], cost: int, change: str) -> Wiring:
    """The first of several draws that is connected.

    Args:
        cost: pairs or ends that a draw looks at.
        change: what to write in the file where no draw is connected.
    """
    for _ in range(_attempts(cost)):
        pairs = once()
        if pairs is not None and is_connected(len(ids), pairs):
            return named(ids, pairs)
    raise ConfigError(f"{family}: no connected graph in {_attempts(cost)} draws; {change}")


def _attempts(cost: int) -> int:
    return max(1, min(MAX_ATTEMPTS, MAX_WORK // cost))


def _coins(n: int, p: float, draw: Stream) -> Pairs:
    return {(i, j) for i, j in combinations(range(n), 2) if draw.uniform() < p}


def _near(n: int, radius: float, draw: Stream) -> Pairs:
    points = [(draw.uniform(), draw.uniform()) for _ in range(n)]
    far = radius * radius
    return {
        (i, j)
        for (i, (a, b)), (j, (c, d)) in combinations(enumerate(points), 2)
        if (a - c) * (a - c) + (b - d) * (b - d) <= far
    }


def _within(radius: float) -> float:
    """Probability that two points of the unit square are within `radius`; from 1 on 1 (2.5 % too much)."""
    return pi * radius**2 - 8 * radius**3 / 3 + radius**4 / 2 if radius < 1 else 1.0


def _rewired(n: int, k: int, p: float, draw: Stream) -> Pairs:
    joined = [{(i + hop) % n for hop in range(-(k // 2), k // 2 + 1) if hop} for i in range(n)]
    for hop in range(1, k // 2 + 1):
        for i in range(n):
            if draw.uniform() >= p or len(joined[i]) == n - 1:
                continue
            old, new = (i + hop) % n, _stranger(i, joined[i], n, draw)
            joined[i] ^= {old, new}
            joined[old].remove(i)
            joined[new].add(i)
    return {(i, j) for i in range(n) for j in joined[i] if i < j}


def _stranger(i: int, joined: set[int], n: int, draw: Stream) -> int:
    """One of those that `i` is not joined to; there is one."""
    if 2 * len(joined) > n:  # rare ones would take up to n draws
        others = sorted(set(range(n)) - joined - {i})
        return others[draw.below(len(others))]
    while (new := draw.below(n)) == i or new in joined:
        pass
    return new


def _regular(n: int, degree: int, draw: Stream) -> Pairs | None:
    """One draw of the pairing model; None where it ran into a dead end."""
    if 2 * degree >= n:
        sparse = _regular(n, n - 1 - degree, draw)
        return None if sparse is None else set(combinations(range(n), 2)) - sparse
    pairs: Pairs = set()
    stubs = [i for i in range(n) for _ in range(degree)]
    while stubs:
        left: list[int] = []
        draw.shuffle(stubs)
        for i, j in zip(stubs[::2], stubs[1::2], strict=True):
            if i == j or pair(i, j) in pairs:
                left += [i, j]
            else:
                pairs.add(pair(i, j))
        if not any(pair(i, j) not in pairs for i, j in combinations(sorted(set(left)), 2)) and left:
            return None
        stubs = left
    return pairs
