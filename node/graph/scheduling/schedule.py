"""What a schedule is: a mixing matrix W(t) for each round t, worked out alike by every node from ids, edges and a seed.

Decides the form that all families share and how rows are made from pairs. Knows no family:
`node.graph.scheduling.schedules` has the table of names. A schedule goes by the *order* of the ids, so nodes that share
it must list them in one order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import combinations
from math import isfinite
from typing import NamedTuple, TypeAlias

import numpy as np

from node.errors import ConfigError
from node.graph.checks import seen
from node.graph.draws import stream
from node.graph.weighting.rows import Rows, with_rest
from node.graph.wiring import Edge, named, pair
from node.types import PeerId

Meetings: TypeAlias = Mapping[tuple[int, int], float]  # who exchanges in a round: pair of positions -> W_ij = W_ji

KEPT = 8  # rounds whose rows stay at hand: a node asks for one round a few times, a neighbour's may be one off
EXACT = 1e-12  # distance from the mean, of a start of size 1, that counts as rounding


class Schedule(NamedTuple):
    """Round -> W, and what holds of all its rounds."""

    links: tuple[Edge, ...]  # undirected: every pair that can ever meet, the smaller id first, sorted
    rows: Callable[[int], Rows]  # round -> row of every peer: own id included, sorted by id, sums to 1
    period: int | None  # W(t + period) == W(t); None: drawn anew each round
    balanced: bool = True  # every W(t) is doubly stochastic: the mean is kept
    symmetric: bool = True
    exact: int | None = None  # after this many rounds, from round 0 on, everyone holds the mean; None: never


def repeating(ids: Sequence[PeerId], rounds: Sequence[Meetings], links: tuple[Edge, ...] | None = None) -> Schedule:
    """The schedule that goes through `rounds`, symmetric ones, again and again; `links` where the caller knows them."""

    def rows(round: int) -> Rows:
        return symmetric_rows(ids, rounds[round % len(rounds)])

    if links is None:
        links = named(ids, {ends for meetings in rounds for ends in meetings}).edges
    kept = lru_cache(max(KEPT, min(len(rounds), 64)))(rows)
    return Schedule(links, kept, len(rounds), exact=_exact(len(ids), rounds))


def drawn(ids: Sequence[PeerId], links: tuple[Edge, ...], meetings: Callable[[int], Meetings]) -> Schedule:
    """The schedule whose every round is drawn anew: round -> who meets, with symmetric weights."""
    return Schedule(links, lru_cache(KEPT)(lambda round: symmetric_rows(ids, meetings(round))), period=None)


def symmetric_rows(ids: Sequence[PeerId], meetings: Meetings) -> Rows:
    """Rows of the W whose entries W_ij = W_ji are given; everyone keeps the rest."""
    heard: list[dict[int, float]] = [{} for _ in ids]
    for (i, j), weight in meetings.items():
        heard[i][j] = heard[j][i] = weight
    return named_rows(ids, heard)


def named_rows(ids: Sequence[PeerId], heard: Sequence[Mapping[int, float]]) -> Rows:
    """Position -> {position heard: weight}; own weight is what is left to 1."""
    return {ids[i]: with_rest(ids[i], {ids[j]: w for j, w in others.items()}) for i, others in enumerate(heard)}


def every_pair(ids: Sequence[PeerId]) -> tuple[Edge, ...]:
    """All with all, sorted, the smaller id first: named without sorting half a million pairs."""
    return tuple(combinations(sorted(ids), 2))


def positions(ids: Sequence[PeerId], edges: Iterable[Edge]) -> list[tuple[int, int]]:
    """Edges as pairs of places in `ids`, sorted, so that the order of a file's edges decides nothing."""
    place = {peer: i for i, peer in enumerate(ids)}
    return sorted({pair(place[a], place[b]) for a, b in edges})


def want_no_edges(name: str, edges: Sequence[Edge]) -> None:
    """Raises ConfigError where a schedule that makes its own pairs is given edges."""
    if edges:
        raise ConfigError(f"{name} makes its own pairs; wanted no edges and no generator: remove them")


def want_edges(name: str, edges: Sequence[Edge]) -> None:
    """Raises ConfigError where a schedule that picks among edges is given none."""
    if not edges:
        raise ConfigError(f"{name} picks among the edges of a graph, and there is none; wanted edges or a generator")


def whole(name: str, key: str, value: object, low: int, high: int) -> int:
    """A setting that is a whole number from `low` to `high`. Raises ConfigError."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{name}: {key}: {seen(value)}; wanted a whole number, {low} to {high}")
    if not low <= value <= high:
        raise ConfigError(f"{name}: {key}: {seen(value)}; wanted {low} to {high}")
    return value


def a_seed(name: str, value: object) -> int:
    """A setting that is a key of the stream. Raises ConfigError."""
    return whole(name, "seed", value, 0, 2**64 - 1)


def number(name: str, key: str, value: object) -> float:
    """A setting that is a finite number. Raises ConfigError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e18 or not isfinite(value):
        raise ConfigError(f"{name}: {key}: {seen(value)}; wanted a number")
    return float(value)


def _exact(n: int, rounds: Sequence[Meetings]) -> int | None:
    """Rounds until a start in general position is its mean; such a start is exact only where the product of W is J."""
    draw = stream(0)
    x = np.array([draw.uniform() for _ in range(n)])
    mean = x.mean()
    for t, meetings in enumerate(rounds, 1):
        if meetings:
            i, j = np.array(list(meetings)).T
            flow = np.array(list(meetings.values())) * (x[j] - x[i])
            np.add.at(x, i, flow)
            np.add.at(x, j, -flow)
        if np.abs(x - mean).max() < EXACT:
            return t
    return None
