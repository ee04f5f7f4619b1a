"""Epidemic learning: each round a fresh random digraph, in which everyone tells s others."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from node.errors import ConfigError
from node.graph.checks import seen
from node.graph.draws import Stream, stream
from node.graph.scheduling.schedule import KEPT, Schedule, a_seed, every_pair, named_rows, want_no_edges, whole
from node.graph.weighting.rows import Rows
from node.graph.wiring import Edge
from node.types import PeerId


def epidemic(ids: Sequence[PeerId], edges: Sequence[Edge], s: int, seed: int = 0, oracle: bool = True) -> Schedule:
    """Everyone tells s others, drawn anew each round, and takes the plain mean of its own and what came.

    oracle true: everyone hears s others, too: W is doubly stochastic, not symmetric. false (local): everyone picks its
    s receivers on its own, so that one hears 0, another 2 s: W is row-stochastic only, and the mean wanders (though all
    can still work out from the seed who tells whom). What one round leaves of |x - mean|^2 on average:
    oracle (1 - s / (n - 1)) / (s + 1); local, about the mean before it, (1 - (1 - s / (n - 1))^n) / s - 1 / (n - 1).

    Args:
        s: whom everyone tells a round, 1 to n - 1; about log2 n is usual.
        oracle: as above.

    Raises:
        ConfigError: edges are given, or s or oracle is not of that kind.

    References:
        De Vos et al. 2023, Epidemic Learning: Boosting Decentralized Learning with Randomized Communication,
        arXiv:2310.01972, EL-Oracle and EL-Local, with the factors above. Differences: nobody is the oracle, all draw
        the same digraph from the seed; it is a random order of all nodes in a circle, each hearing the next s. Not
        every regular digraph can come up so, but everyone's s are a uniformly drawn set, which is all the factor needs.
    """
    want_no_edges("epidemic", edges)
    n, seed = len(ids), a_seed("epidemic", seed)
    s = whole("epidemic", "s", s, 1, n - 1)
    if not isinstance(oracle, bool):
        raise ConfigError(f"epidemic: oracle: {seen(oracle)}; wanted true or false")
    draw = _heard_by_order if oracle else _heard_by_own_choice

    def rows(round: int) -> Rows:
        heard = draw(stream(seed, round), n, s)
        return named_rows(ids, [dict.fromkeys(others, 1.0 / (1 + len(others))) for others in heard])

    everyone = s == n - 1  # whatever is drawn: W = J
    return Schedule(
        every_pair(ids),
        lru_cache(KEPT)(rows),
        period=1 if everyone else None,
        balanced=oracle or everyone,
        symmetric=everyone,
        exact=1 if everyone else None,
    )


def _heard_by_order(draw: Stream, n: int, s: int) -> list[list[int]]:
    """Position -> whom it hears: the next s in a random circle."""
    circle = draw.permutation(n)
    heard: list[list[int]] = [[] for _ in range(n)]
    for place, i in enumerate(circle):
        heard[i] = [circle[(place + step) % n] for step in range(1, s + 1)]
    return heard


def _heard_by_own_choice(draw: Stream, n: int, s: int) -> list[list[int]]:
    """Position -> who picked it."""
    heard: list[list[int]] = [[] for _ in range(n)]
    for i in range(n):
        for j in _receivers(draw, n - 1, s):
            heard[j if j < i else j + 1].append(i)
    return heard


def _receivers(draw: Stream, n: int, s: int) -> set[int]:
    """s distinct numbers below n, each set as likely as any other, in s draws (Floyd's sampling)."""
    picked: set[int] = set()
    for last in range(n - s, n):
        new = draw.below(last + 1)
        picked.add(last if new in picked else new)
    return picked
