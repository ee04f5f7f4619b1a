"""MATCHA: a graph cut into matchings, each on with a probability of its own, so that little traffic mixes best.

Decides the probabilities and the step size from the graph and the budget. Both are rounded before anyone draws with
them, so that nodes with other builds of the solver draw the same rounds. Needs scipy.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import floor
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from node.errors import ConfigError
from node.graph.draws import stream
from node.graph.scheduling.edge_colouring import Matching, matchings_of
from node.graph.scheduling.schedule import Meetings, Schedule, a_seed, drawn, number, positions, want_edges
from node.graph.wiring import Edge, named
from node.types import PeerId

Matrix: TypeAlias = NDArray[np.float64]

SHARPNESS = 200.0  # of the soft minimum, times the value at the start: its answer is within log(n) / 200 of the best
EVENNESS = 1e-3  # of the penalty on unequal probabilities: pins the answer where many are as good
STEPS = 200  # of the solver; it needed 5 to 40 on rings, tori and random graphs of 4 to 64 nodes


class Plan(NamedTuple):
    """What all rounds share."""

    matchings: list[Matching]
    chances: tuple[float, ...]  # probability of each matching, in thousandths
    alpha: float  # W = I - alpha * Laplacian of what is on, in millionths


def matcha(ids: Sequence[PeerId], edges: Sequence[Edge], budget: float = 0.5, seed: int = 0) -> Schedule:
    """Each matching of the graph is on with its probability in a round; W(t) = I - alpha L(t) of what is on.

    The probabilities favour the edges that hold the graph together: they make the algebraic connectivity of the
    expected graph as large as `budget` of all matchings allows. Every W(t) is symmetric and doubly stochastic (an entry
    of the diagonal may be negative); a round may have no edge at all.

    Args:
        budget: matchings on in a round, on average, as a share of all of them: above 0, at most 1 (all, always).

    Raises:
        ConfigError: no edges, or a budget out of its range.

    References:
        Wang, Sahu, Yang, Joshi, Kar 2019, MATCHA: Speeding Up Decentralized SGD via Matching Decomposition Sampling,
        arXiv:1905.09435: matching decomposition, activation probabilities, mixing matrix. Differences: the smallest
        eigenvalue is a soft minimum and equal probabilities are favoured a little, for one answer in all builds (its
        connectivity is within 2 % of the best one); a bipartite graph takes no more matchings than its largest degree.
    """
    want_edges("matcha", edges)
    budget, seed = number("matcha", "budget", budget), a_seed("matcha", seed)
    if not 0.0 < budget <= 1.0:
        raise ConfigError(f"matcha: budget: {budget}; wanted above 0, at most 1")
    pairs = positions(ids, edges)

    def meetings(round: int) -> Meetings:
        plan, draw = plan_of(len(ids), tuple(pairs), budget), stream(seed, round)
        on = [matching for matching, p in zip(plan.matchings, plan.chances, strict=True) if draw.uniform() < p]
        return dict.fromkeys((pair for matching in on for pair in matching), plan.alpha)

    return drawn(ids, named(ids, pairs).edges, meetings)._replace(period=1 if budget == 1.0 else None)


@cache
def plan_of(n: int, pairs: tuple[tuple[int, int], ...], budget: float) -> Plan:
    """Matchings, probabilities and step size for a graph, when its first round is asked for: 0.1 s on 64 nodes."""
    cut = Cut(n, matchings_of(n, pairs))
    chances = tuple(_on_grid(float(p), 1_000) for p in best_chances(cut, budget))
    return Plan(cut.matchings, chances, _on_grid(best_alpha(cut, chances), 1_000_000))


class Cut:
    """Matchings of a graph on n nodes, and sums over their Laplacians L_j."""

    def __init__(self, n: int, matchings: list[Matching]) -> None:
        self.n, self.matchings = n, matchings
        self._ends = np.array([pair for matching in matchings for pair in matching]).T
        self._which = np.repeat(np.arange(len(matchings)), [len(matching) for matching in matchings])

    def laplacian(self, factors: Matrix) -> Matrix:
        """Sum of factors_j L_j, (n, n)."""
        (i, j), weights = self._ends, factors[self._which]
        lap = np.zeros((self.n, self.n))
        lap[i, j] = lap[j, i] = -weights
        lap[np.arange(self.n), np.arange(self.n)] = -lap.sum(axis=1)
        return lap

    def forms(self, vectors: Matrix, shares: Matrix) -> Matrix:
        """(matchings,): sum of share * v^T L_j v over the columns v (n, k); v^T L_j v sums (v_a - v_b)^2 over edges."""
        i, j = self._ends
        along = (vectors[i] - vectors[j]) ** 2 @ shares
        return np.bincount(self._which, weights=along).astype(np.float64)

    def second_moment(self, chances: Matrix) -> Matrix:
        """E[L^2] where matchings are on independently: Lbar^2 + 2 sum of p_j (1 - p_j) L_j, as L_j^2 = 2 L_j."""
        mean = self.laplacian(chances)
        return mean @ mean + 2 * self.laplacian(chances * (1 - chances))


def best_chances(cut: Cut, budget: float) -> Matrix:
    """p (matchings,) within 0 and 1, of mean `budget`, with the largest second eigenvalue of sum of p_j L_j.

    The eigenvalue has kinks where it is multiple; its soft minimum -log(sum of exp(-mu lambda)) / mu has none, is
    concave as well, and does not depend on which eigenvectors the library gives for a multiple one.
    """
    from scipy.optimize import LinearConstraint, minimize

    count = len(cut.matchings)
    start = np.full(count, budget)
    if count == 1 or budget == 1.0:
        return start
    scale = float(np.linalg.eigvalsh(cut.laplacian(start))[1])

    def loss(p: Matrix) -> tuple[float, Matrix]:
        values, vectors = np.linalg.eigh(cut.laplacian(p))
        above = (values[1:] - values[1]) / scale
        used = 1 + np.flatnonzero(above < 30 / SHARPNESS)  # the others' shares are below 1e-13
        shares = np.exp(-SHARPNESS * above[used - 1])
        low = values[1] / scale - np.log(shares.sum()) / SHARPNESS
        slope = cut.forms(vectors[:, used], shares / shares.sum()) / scale
        return EVENNESS * float(p @ p) / 2 - float(low), EVENNESS * p - slope

    done = minimize(
        loss,
        start,
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * count,
        constraints=LinearConstraint(np.ones((1, count)), budget * count, budget * count),
        options={"maxiter": STEPS, "ftol": 1e-14},
    )
    return np.clip(np.asarray(done.x, dtype=np.float64), 0.0, 1.0)


def best_alpha(cut: Cut, chances: Sequence[float]) -> float:
    """The step size with the smallest norm of E[W^T W] - J, by halving: it is convex in alpha.

    E[W^T W] = I - 2 alpha E[L] + alpha^2 E[L^2].
    """
    first, second = cut.laplacian(np.array(chances)), cut.second_moment(np.array(chances))

    def rises(alpha: float) -> bool:
        left = np.eye(cut.n) - 1.0 / cut.n - 2 * alpha * first + alpha**2 * second
        top = np.linalg.eigh(left)[1][:, -1]  # scipy's subset_by_index finds no vector where the largest is multiple
        return bool(top @ (alpha * second - first) @ top > 0)

    low, high = 0.0, 1.0
    while not rises(high):
        high *= 2
    for _ in range(32):  # to 1e-9
        middle = (low + high) / 2
        low, high = (low, middle) if rises(middle) else (middle, high)
    return high


def _on_grid(value: float, per_unit: int) -> float:
    """The nearest fraction. Symmetric graphs give values halfway between two; 0.51 puts those on one side always."""
    return floor(value * per_unit + 0.51) / per_unit
