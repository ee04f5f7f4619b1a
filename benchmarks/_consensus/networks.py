"""Graphs, starts and measures that all rows share.

Ids are numbers with leading zeros, so that the order of a file, of W's rows and of the alphabet are one.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import log
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from node.drivers.lockstep import Lockstep
from node.gossip.mixing import Mixing
from node.graph.draws import stream
from node.graph.topology import Topology
from node.graph.weighting.spectrum import stationary
from node.observe.distance import spread
from node.types import PeerId, Shared

Array: TypeAlias = NDArray[np.float64]

THETA = "theta"
ALIKE = 1e-12  # entries of W
DIM = 16  # entries of a generic start


class Slowest(NamedTuple):
    """The eigenvalue of W that a spread shrinks by last."""

    rate: float  # its absolute value
    vector: Array  # (n,) an eigenvector of it, of length 1; of a pair of complex ones the real part


def network(generator: str | None, n: int, settings: Mapping[str, Any] | None = None, **keys: Any) -> Topology:
    """`n` nodes on a generator's graph; `keys` as in a topology file. Raises ConfigError."""
    nodes = {f"p{i:04d}": f"127.0.0.1:{7001 + i}" for i in range(n)}
    made = {"generator": {"name": generator, **(settings or {})}} if generator else {}
    return Topology.from_mapping({"nodes": nodes, **made, **keys}, f"{generator or keys.get('schedule')}-{n}")


def slowest(w: Array) -> Slowest:
    """Of W (n, n), rows that sum to 1: the start that takes longest."""
    pi = stationary(w)
    root = np.sqrt(pi)
    m = w - pi
    turned = root[:, None] * m / root
    if np.abs(turned - turned.T).max() < ALIKE:  # W is reversible: symmetric in other coordinates
        values, vectors = np.linalg.eigh((turned + turned.T) / 2)
        vectors = vectors / root[:, None]
    else:
        values, vectors = np.linalg.eig(m)
    place = int(np.argmax(np.abs(values)))
    vector = np.real(vectors[:, place])
    return Slowest(float(np.abs(values[place])), vector / np.linalg.norm(vector))


def generic(n: int, d: int = DIM, seed: int = 0) -> Array:
    """(n, d) standard normal numbers, by twelve uniform ones each: a start in general position."""
    draw = stream(seed, 10)
    return np.array([[sum(draw.uniform() for _ in range(12)) - 6.0 for _ in range(d)] for _ in range(n)])


def shared_of(topology: Topology, x: Array, dtype: torch.dtype = torch.float64) -> dict[PeerId, Shared]:
    """x (n, d) as what each peer starts from."""
    rows = torch.from_numpy(np.atleast_2d(x)).to(dtype)
    return {peer: {THETA: row.clone()} for peer, row in zip(topology.nodes, rows, strict=True)}


def lockstep(topology: Topology, rule: Mixing, x: Array, dtype: torch.dtype = torch.float64) -> Lockstep:
    """Peers that start at the rows of x (n, d)."""
    return Lockstep(topology, rule, shared_of(topology, x, dtype))


def stacked(shared: Mapping[PeerId, Shared]) -> Array:
    """(n, d) in float64, in order of ids."""
    return np.stack([shared[peer][THETA].double().numpy() for peer in sorted(shared)])


def course(run: Lockstep, rounds: int) -> list[float]:
    """The spread before the first round and after each."""
    spreads = [spread(stacked(run.shared))]
    for _ in range(rounds):
        run.advance()
        spreads.append(spread(stacked(run.shared)))
    return spreads


def deviation(measured: float, predicted: float) -> float:
    """Of log10(what a round leaves) from log10(what it should leave): %."""
    return 100.0 * abs(log(measured) / log(predicted) - 1.0)
