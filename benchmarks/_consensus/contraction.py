"""What a round of D-PSGD leaves of a spread, measured in float64, beside the second eigenvalue that predicts it.

Every static graph with every weight scheme that takes it. The worst start is the eigenvector of the slowest eigenvalue;
a second opinion, where it does not take long, is a start in general position, followed until only rounding is left. Of
its course the later half counts: it should come to the same, and what it has not forgotten yet is in the measurement.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import log
from typing import Any, NamedTuple

import numpy as np
from _figures import Figure, at_most

from _consensus.networks import Array, course, deviation, generic, lockstep, network, slowest
from node.errors import ConfigError
from node.gossip.dpsgd import dpsgd
from node.graph.draws import stream
from node.graph.families.generators import GENERATORS
from node.graph.topology import Topology
from node.graph.weighting.spectrum import contraction, contraction_of_a_round
from node.graph.weighting.weights import PUSH_SUM, WEIGHTS

EXACT = 1e-5  # a contraction that is rounding only (FMMC and FDLA end within 1e-5 of J on a complete graph)
NORMAL = 1e-9  # a round leaves at most what late rounds leave: W is normal, in the norm of its stationary weights
SETTINGS: dict[str, list[dict[str, Any]]] = {  # of generators; {} where nothing is said
    "ring": [{}, {"direction": "left"}, {"direction": "right"}],
    "exponential": [{}, {"base": 3}, {"symmetric": False}],
    "tree": [{"branching": 2}, {"branching": 3}],
    "random_regular": [{"degree": 4}],
}
PEOPLE = {"karate": 34, "florentine": 15}
LARGE = ("ring", "torus", "hypercube", "exponential", "star", "random_regular")
OPTIMAL = ("fmmc", "fdla")  # at most 128 nodes
FEW = ("metropolis", "uniform", "best_constant", "data_size")  # on a thousand nodes


class Case(NamedTuple):
    """One W."""

    name: str
    topology: Topology
    w: Array
    rate: float


class Measured(NamedTuple):
    """By how much a measured contraction is off: %."""

    name: str
    worst_start: float
    generic: float | None  # None: would take too long


def rows(quick: bool) -> list[Figure]:
    small, large = ((16,), (256,)) if quick else ((10, 16), (64, 1024))
    cases, refused, exact = [], 0, 0
    for case in _cases(small, large, quick):
        refused += case is None
        exact += case is not None and case.rate <= EXACT
        if case is not None and case.rate > EXACT:
            cases.append(case)
    normal = [_measure(case, 60 if quick else 600) for case in cases if _is_normal(case)]
    worst = max(normal, key=lambda m: m.worst_start)
    seen = [m for m in normal if m.generic is not None]
    late = max(seen, key=lambda m: m.generic or 0.0)
    counted = f"{len(normal)} pairs of graph and weights, n = {small[0]} to {large[-1]}"
    what = "contraction of D-PSGD in float64, off log10(rho)"
    return [
        at_most(f"{what}, worst of {counted} ({worst.name})", worst.worst_start, "%", 2),
        Figure(f"{what}: pairs measured, W normal and rho > 0", len(normal), "pairs"),
        Figure(f"{what}: pairs whose W is not normal, left out", len(cases) - len(normal), "pairs"),
        Figure(f"{what}: pairs with rho = 0, left out", exact, "pairs"),
        Figure(f"{what}: pairs that the scheme refuses", refused, "pairs"),
        Figure(f"{what}, generic start, median of {len(seen)} pairs", float(np.median([m.generic for m in seen])), "%"),
        Figure(f"{what}, generic start, worst ({late.name})", late.generic or 0.0, "%"),
    ]


def _cases(small: tuple[int, ...], large: tuple[int, ...], quick: bool) -> Iterator[Case | None]:
    """Every pair; None where the scheme refuses the graph."""
    for generator in GENERATORS:
        sizes = (PEOPLE[generator],) if generator in PEOPLE else small + (large if generator in LARGE else ())
        for n in sizes:
            for settings in SETTINGS.get(generator, [{}]):
                yield from _on(generator, n, settings, quick)


def _on(generator: str, n: int, settings: dict[str, Any], quick: bool) -> Iterator[Case | None]:
    try:
        plain = network(generator, n, settings, weights=PUSH_SUM)  # takes every strongly connected graph
    except ConfigError:
        return  # no such graph of n nodes
    for scheme in WEIGHTS:
        if scheme == PUSH_SUM or (scheme in OPTIMAL and n > (16 if quick else 64)) or (n > 256 and scheme not in FEW):
            continue
        yield _case(plain, scheme, " ".join([generator, *map(str, settings.values()), str(n)]))


def _case(plain: Topology, scheme: str, name: str) -> Case | None:
    said: dict[str, Any] = {**plain.mapping(), "weights": scheme}
    if scheme == "data_size":
        draw = stream(len(plain.nodes), 20)
        said["sizes"] = {peer: 1.0 + 9.0 * draw.uniform() for peer in plain.nodes}
    if scheme == "file":
        said["edges"] = _written(plain)
    try:
        topology = Topology.from_mapping(said, name)
    except ConfigError:
        return None
    w = topology.matrix()
    return Case(f"{name} {scheme}", topology, w, contraction(w))


def _written(plain: Topology) -> list[list[Any]]:
    """Metropolis weights, each less by up to a half that is drawn; of a directed graph equal ones."""
    degree = {peer: 1 + len(plain.hears(peer)) for peer in plain.nodes}
    draw = stream(len(plain.nodes), 21)
    share = 1.0 if plain.directed else 0.5
    return [[a, b, (share + (1.0 - share) * draw.uniform()) / max(degree[a], degree[b])] for a, b in plain.edges]


def _is_normal(case: Case) -> bool:
    return contraction_of_a_round(case.w) < case.rate + NORMAL


def _measure(case: Case, most: int) -> Measured:
    n = len(case.w)
    vector = slowest(case.w).vector[:, None]
    rounds = max(3, min(8 if n > 36 else 40, int(log(1e-9) / log(case.rate))))
    d = course(lockstep(case.topology, dpsgd(), vector), rounds)
    off = deviation((d[-1] / d[0]) ** (1 / rounds), case.rate)
    late = int(log(1e-11) / log(case.rate))
    if n > 36 or late > most:
        return Measured(case.name, off, None)
    late = max(2, late)
    d = course(lockstep(case.topology, dpsgd(), generic(n)), late)
    half = late // 2
    return Measured(case.name, off, deviation((d[late] / d[half]) ** (1 / (late - half)), case.rate))
