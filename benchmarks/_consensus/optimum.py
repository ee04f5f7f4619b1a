"""How near every rule comes to the optimum of the sum of all losses: quadratics that differ from node to node.

Node i has the loss sum_k a_ik (x_k - b_ik)^2 / 2 with a from 0.5 to 1.5 and b standard normal, so that a node
alone ends far from the common optimum. One gradient step of 0.1 a round, no noise: what is left is the rule's.
float64, no loss; the same step for all (quasi-global momentum multiplies it by 1 / (1 - beta), NoLoCo by 1.4).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from _figures import Figure

from _consensus.networks import Array, generic, network
from node.app.simulating.simulate import simulate
from node.errors import ConfigError
from node.graph.draws import stream
from node.graph.topology import Topology
from node.types import PeerId, Vector

DIM, RATE, ROUNDS = 8, 0.1, 300
RULES: dict[str, Any] = {
    "dpsgd": "dpsgd",
    "push-sum": "push-sum",
    "gradient-tracking": "gradient-tracking",
    "exact-diffusion": "exact-diffusion",
    "quasi-global": "quasi-global",
    "noloco": "noloco",
    "choco": "choco",
    "chebyshev": "chebyshev",
    "exact": "exact",
    "des-loc, theta every 4 rounds": {"name": "des-loc", "theta": 4},
}


def rows(quick: bool) -> list[Figure]:
    graphs = {
        "ring of 16": network("ring", 16),
        "exponential of 16": network("exponential", 16),
        "base k = 1 of 16": network(None, 16, schedule={"name": "base", "k": 1}),
    }
    rounds = 100 if quick else ROUNDS
    figures = []
    for name, graph in graphs.items():
        problem = Problem(graph)
        for rule, said in RULES.items():
            try:
                run = simulate(graph, said, rounds, start=np.zeros((16, DIM)), step=problem.step)
            except ConfigError:
                continue  # a rule for graphs that stand still
            what = f"distance to the optimum after {rounds} rounds, {name}: {rule}"
            figures.append(Figure(what, problem.distance(run.x), "of a node alone"))
    return figures


class Problem:
    """The quadratics of all nodes of a graph."""

    def __init__(self, graph: Topology) -> None:
        n, draw = len(graph.nodes), stream(0, 30)
        a = np.array([[0.5 + draw.uniform() for _ in range(DIM)] for _ in range(n)])
        b = generic(n, DIM, seed=1)
        self.optimum: Array = (a * b).sum(axis=0) / a.sum(axis=0)
        self._alone = b
        self._of = {p: (torch.from_numpy(x), torch.from_numpy(y)) for p, x, y in zip(graph.nodes, a, b, strict=True)}

    def step(self, peer: PeerId, round: int, x: Vector) -> Vector:
        """One step of gradient descent."""
        a, b = self._of[peer]
        return x - RATE * a.to(x.dtype) * (x - b.to(x.dtype))

    def distance(self, x: Array) -> float:
        """Root mean square over nodes of |x_i - x*|, over that of nodes that learn alone and end at their own b_i."""
        return float(np.linalg.norm(x - self.optimum) / np.linalg.norm(self._alone - self.optimum))
