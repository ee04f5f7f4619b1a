"""Who holds which examples of a common training set: every example on exactly one node.

All nodes compute the same table from the same seed, and each takes its row. How a deal is made is in
`node.learn.dealing.deals` (by label, by number) and `node.learn.dealing.column_deals` (by a column).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from node.errors import ConfigError
from node.learn.dealing.column_deals import by_key, by_time
from node.learn.dealing.deals import Indices, by_class, by_dirichlet, by_quantity, by_shards, iid

By: TypeAlias = Literal["none", "iid", "class", "shards", "dirichlet", "quantity", "key", "temporal"]
BY: tuple[str, ...] = get_args(By)
BY_LABEL = ("class", "shards", "dirichlet")
BY_COLUMN = ("key", "temporal")


@dataclass(frozen=True, slots=True)
class PartitionSettings:
    """none: everybody reads data of their own (or all of it); class: each class on one node only.

    `alpha` of dirichlet and quantity: small is skewed; 0.3 gives a node most of its examples from a few classes.
    """

    by: By = "none"
    alpha: float = 0.3
    seed: int = 0
    power: float | None = None  # quantity: sizes as 1 / rank^power, instead of Dirichlet(alpha)
    shards: int = 2  # shards: pieces a node
    column: str | None = None  # key, temporal: what the data calls it

    def __post_init__(self) -> None:
        if self.by not in BY:
            raise ConfigError(f"partition.by: {self.by!r} is not known; wanted {', '.join(BY[:-1])} or {BY[-1]}")
        if self.by in ("dirichlet", "quantity") and not self.alpha > 0:
            raise ConfigError(f"partition.alpha: {self.alpha} seen, a number above 0 wanted")
        if self.power is not None and not self.power >= 0:
            raise ConfigError(f"partition.power: {self.power} seen, 0 or more wanted")
        if self.shards < 1:
            raise ConfigError(f"partition.shards: {self.shards} seen, 1 or more wanted")
        if self.by in BY_COLUMN and not self.column:
            raise ConfigError(f"partition.column: missing; by: {self.by} wants the name of a column")


def partition(
    labels: Sequence[int], nodes: int, settings: PartitionSettings, column: Sequence[str] | None = None
) -> list[Indices]:
    """Indices into `labels` for each node, sorted; nobody is left without.

    Args:
        column: what partition.column says of each example; key and temporal want it.

    Raises:
        ConfigError: fewer classes, values or examples than nodes, or a time that is none.
    """
    s = settings
    if s.by == "none":
        return [np.arange(len(labels))] * nodes
    if len(labels) < nodes:
        raise ConfigError(f"partition: {len(labels)} examples cannot be dealt to {nodes} nodes; give more data")
    return [np.sort(rows) for rows in _deal(np.asarray(labels, dtype=np.int64), nodes, s, column or ())]


def _deal(labels: Indices, nodes: int, s: PartitionSettings, column: Sequence[str]) -> list[Indices]:
    match s.by:
        case "class":
            return by_class(labels, nodes, s.seed)
        case "shards":
            return by_shards(labels, nodes, s.shards, s.seed)
        case "dirichlet":
            return by_dirichlet(labels, nodes, s.alpha, s.seed)
        case "quantity":
            return by_quantity(len(labels), nodes, s.alpha, s.power, s.seed)
        case "key":
            return by_key(_complete(column, labels, s), nodes, s.seed)
        case "temporal":
            return by_time(_complete(column, labels, s), nodes)
    return iid(len(labels), nodes, s.seed)


def _complete(column: Sequence[str], labels: Indices, s: PartitionSettings) -> Sequence[str]:
    if len(column) != len(labels):
        raise ConfigError(
            f"partition.column: {s.column!r} says something of {len(column)} of {len(labels)} examples; "
            f"by: {s.by} wants a value of each"
        )
    return column
