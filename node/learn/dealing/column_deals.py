"""Deals by what a column of the data says: a natural key (speaker, hospital, domain) or a time.

Decides nothing about labels: the skew is whatever the world made it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from node.errors import ConfigError
from node.learn import draw
from node.learn.dealing.deals import Indices

SHOWN = 5  # values of a column in a complaint


def by_key(values: Sequence[str], nodes: int, seed: int) -> list[Indices]:
    """Each value on one node; nodes get as even a number of examples as whole values allow.

    The largest value first, each to the node that has least. So the fullest node has at most one value more than the
    emptiest; with as many values as nodes it is one value a node. The seed says which node is which.

    Raises:
        ConfigError: fewer values than nodes.

    References:
        Graham 1969, Bounds on Multiprocessing Timing Anomalies: longest first is within 4/3 of the best.
    """
    sizes = Counter(values)
    if len(sizes) < nodes:
        raise ConfigError(
            f"partition.column: {len(sizes)} values ({_some(sizes)}) cannot be dealt to {nodes} nodes; "
            f"wanted a column with more, or fewer nodes"
        )
    order = draw.permutation(nodes, seed, "key")
    load, owner = [0] * nodes, {}
    for value in sorted(sizes, key=lambda v: (-sizes[v], v)):
        node = min(range(nodes), key=lambda i: load[i])
        owner[value] = int(order[node])
        load[node] += sizes[value]
    owners = np.array([owner[value] for value in values])
    return [np.flatnonzero(owners == node) for node in range(nodes)]


def by_time(values: Sequence[str], nodes: int) -> list[Indices]:
    """Consecutive slices of equal size (within 1), the oldest on the first node; equal times stay in the data's order.

    Raises:
        ConfigError: a value that is neither a number nor a date of ISO 8601 like all the others.
    """
    return list(np.array_split(np.argsort(np.array(_times(values)), kind="stable"), nodes))


def _times(values: Sequence[str]) -> list[float]:
    """Numbers, or dates as seconds since 1970 (UTC where they name no zone)."""
    numbers = [_number(value) for value in values]
    if all(number is not None for number in numbers):
        return [number for number in numbers if number is not None]
    return [_date(value) for value in values]


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _date(text: str) -> float:
    try:
        date = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ConfigError(
            f"partition.column: {text!r} is no time; wanted numbers, or dates such as 2024-05-31T12:00"
        ) from None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def _some(values: Counter[str]) -> str:
    shown = ", ".join(sorted(values)[:SHOWN])
    return shown if len(values) <= SHOWN else f"{shown} ..."
