"""Rounds of D-PSGD until the worst start is within 1e-3: by the spectrum, and by doing them."""

from __future__ import annotations

from typing import Any

import torch
from _figures import Figure, just

from _consensus.networks import course, lockstep, network, slowest
from node.gossip.dpsgd import dpsgd
from node.graph.topology import Topology
from node.graph.weighting.spectrum import rounds_to

TARGET = 1e-3
ONE_WAY = {"symmetric": False}  # and equal weights: the static exponential graph of the paper
TABLE: list[tuple[str, int, dict[str, Any], str, int | None]] = [  # graph, n, settings, weights, rounds
    ("path", 10, {}, "metropolis", 209),
    ("ring", 10, {}, "metropolis", 51),
    ("star", 10, {}, "metropolis", 66),
    ("exponential", 10, ONE_WAY, "uniform", 14),
    ("exponential", 10, {}, "metropolis", None),
    ("path", 16, {}, "metropolis", 536),
    ("ring", 16, {}, "metropolis", 133),
    ("torus", 16, {}, "metropolis", 14),
    ("hypercube", 16, {}, "metropolis", 14),
    ("exponential", 16, ONE_WAY, "uniform", None),
    ("exponential", 16, {}, "metropolis", None),
]


def rows(quick: bool) -> list[Figure]:
    figures = []
    for name, n, settings, weights, bar in TABLE:
        graph = network(name, n, settings, weights=weights)
        predicted, measured = rounds_to(graph.matrix(), TARGET), _measured(graph)
        arrows = " one way" if graph.directed else ""
        what = f"rounds to 1e-3, {name}{arrows} of {n}, {weights}"
        figures.append(_figure(f"{what}: predicted", predicted, bar))
        figures.append(just(f"{what}: measured", measured, "rounds", predicted if bar is None else bar))
    return figures


def _figure(name: str, value: int, bar: int | None) -> Figure:
    return Figure(name, value, "rounds") if bar is None else just(name, value, "rounds", bar)


def _measured(graph: Topology) -> int:
    """The first round that leaves at most TARGET of the slowest eigenvector."""
    found = slowest(graph.matrix())
    run = lockstep(graph, dpsgd(), found.vector[:, None], torch.float64)
    start = course(run, 0)[0]
    while course(run, 1)[-1] > TARGET * start:
        pass
    return run.round
