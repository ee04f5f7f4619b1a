"""Failing links: a graph whose edges are down now and then."""

from __future__ import annotations

from collections.abc import Sequence

from node.errors import ConfigError
from node.graph.draws import stream
from node.graph.scheduling.schedule import Meetings, Schedule, a_seed, drawn, number, positions, repeating, want_edges
from node.graph.wiring import Edge, named
from node.types import PeerId


def failing_links(ids: Sequence[PeerId], edges: Sequence[Edge], p: float, seed: int = 0) -> Schedule:
    """Each edge fails with probability p in a round, on its own; Metropolis weights on what is left of the graph.

    Both ends know (it is drawn from the seed), so every W(t) is symmetric and doubly stochastic, and the mean is kept:
    planned failures, to see what the sparser traffic costs. Real ones, which nobody planned, are not like that.

    Args:
        p: 0 (the static graph) to below 1.

    Raises:
        ConfigError: no edges, or p is not of that range.

    References:
        Xiao, Boyd, Lall 2005, A Scheme for Robust Distributed Sensor Fusion Based on Average Consensus:
        Metropolis weights on a graph that changes.
    """
    want_edges("failing_links", edges)
    p, seed = number("failing_links", "p", p), a_seed("failing_links", seed)
    if not 0.0 <= p < 1.0:
        raise ConfigError(f"failing_links: p: {p}; wanted 0 to below 1")
    pairs = positions(ids, edges)
    if p == 0.0:
        return repeating(ids, [metropolis_meetings(pairs)])

    def meetings(round: int) -> Meetings:
        draw = stream(seed, round)
        return metropolis_meetings([pair for pair in pairs if draw.uniform() >= p])

    return drawn(ids, named(ids, pairs).edges, meetings)


def metropolis_meetings(pairs: Sequence[tuple[int, int]]) -> Meetings:
    """W_ij = 1 / (1 + max(degree_i, degree_j)) on these pairs, with the degrees that they give."""
    degree: dict[int, int] = {}
    for pair in pairs:
        for end in pair:
            degree[end] = degree.get(end, 0) + 1
    return {(i, j): 1.0 / (1 + max(degree[i], degree[j])) for i, j in pairs}
