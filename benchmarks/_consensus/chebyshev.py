"""What Chebyshev's polynomials leave of a spread, in float64, beside what the interval of W's eigenvalues promises.

One round of the hops that a node takes by default, and one of as many as leave 1e-10: there a hop leaves, on the
geometric mean, nearly c / (1 + sqrt(1 - c^2)), which is the rate of the method.
"""

from __future__ import annotations

from math import acosh, cosh, sqrt
from typing import NamedTuple

from _figures import Figure, at_most

from _consensus.networks import course, deviation, generic, lockstep, network, slowest
from node.gossip.chebyshev import chebyshev
from node.graph.advice.pace import hops_to
from node.graph.topology import Topology
from node.graph.weighting.spectrum import interval

MANY = 1e10  # times that the spread shrinks in one round of many hops
SMALL = ("path", "ring", "star", "torus", "mesh", "hypercube", "exponential", "tree", "two_cliques", "clusters")
SCHEMES = ("metropolis", "lazy", "max_degree", "best_constant", "sinkhorn", "fdla")
LARGE = ("ring", "torus", "hypercube", "exponential", "star")


class Outcome(NamedTuple):
    """Off what was promised, in %."""

    name: str
    whole: float  # a default round
    hop: float  # a hop of many
    generic: float  # spread that a default round leaves of a start in general position, over what it may leave


def rows(quick: bool) -> list[Figure]:
    graphs = [network(name, 16, weights=scheme) for name in SMALL for scheme in SCHEMES]
    large = (64,) if quick else (64, 256, 1024)
    graphs += [network(name, n) for name in LARGE for n in large]
    runs = [_run(graph) for graph in graphs if len(set(interval(graph.matrix()))) > 1]
    whole, hop = (max(runs, key=lambda r: getattr(r, key)) for key in ("whole", "hop"))
    what = f"Chebyshev in float64, {len(runs)} pairs of graph and weights, n = 16 to {large[-1]}"
    return [
        at_most(f"{what}: one default round, off log10(1 / T_k), worst ({whole.name})", whole.whole, "%", 5),
        at_most(f"{what}: a hop of many, off log10 of its rate, worst ({hop.name})", hop.hop, "%", 5),
        Figure(f"{what}: left of a generic start, over 1 / T_k, worst", max(r.generic for r in runs), "ratio"),
    ]


def _run(graph: Topology) -> Outcome:
    w = graph.matrix()
    low, high = interval(w)
    c = (high - low) / (2 - low - high)
    hops, many = hops_to(low, high), hops_to(low, high, MANY)
    vector = slowest(w).vector[:, None]
    promised = 1 / cosh(hops * acosh(1 / c))
    d = course(lockstep(graph, chebyshev(low, high, hops), vector), 1)
    whole = deviation(d[1] / d[0], promised)
    rate = c / (1 + sqrt(1 - c * c))
    if many * len(w) > 1e5:  # a ring of 1,024: 6,000 hops
        hop = 0.0
    else:
        d = course(lockstep(graph, chebyshev(low, high, many), vector), 1)
        hop = deviation((d[1] / d[0]) ** (1 / many), rate)
    d = course(lockstep(graph, chebyshev(low, high, hops), generic(len(w))), 1)
    return Outcome(f"{graph.source} {graph.weights}", whole, hop, d[1] / d[0] / promised)
