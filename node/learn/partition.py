"""Who holds which examples of a common training set: every example on exactly one node.

All nodes compute the same table from the same seed, and each takes its row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from node.errors import ConfigError
from node.learn import draw

By: TypeAlias = Literal["none", "iid", "class", "dirichlet"]
Indices: TypeAlias = NDArray[np.int64]
ATTEMPTS = 100  # redraws of a Dirichlet partition that left a node without examples


@dataclass(frozen=True, slots=True)
class PartitionSettings:
    """none: everybody reads data of their own (or all of it); class: each class on one node only.

    `alpha` of dirichlet: small is skewed; 0.3 gives a node most of its examples from a few classes.
    """

    by: By = "none"
    alpha: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.by not in ("none", "iid", "class", "dirichlet"):
            raise ConfigError(f"partition.by: {self.by!r} is not known; wanted none, iid, class or dirichlet")
        if self.by == "dirichlet" and not self.alpha > 0:
            raise ConfigError(f"partition.alpha: {self.alpha} seen, a number above 0 wanted")


def partition(labels: Sequence[int], nodes: int, settings: PartitionSettings) -> list[Indices]:
    """Indices into `labels` for each node, sorted.

    Raises:
        ConfigError: fewer classes (or examples) than nodes.
    """
    if settings.by == "none":
        return [np.arange(len(labels))] * nodes
    if len(labels) < nodes:
        raise ConfigError(f"partition: {len(labels)} examples cannot be dealt to {nodes} nodes; give more data")
    deal = {"iid": _iid, "class": _by_class, "dirichlet": _dirichlet}[settings.by]
    return [np.sort(rows) for rows in deal(np.asarray(labels, dtype=np.int64), nodes, settings)]


def _iid(labels: Indices, nodes: int, settings: PartitionSettings) -> list[Indices]:
    return list(np.array_split(draw.permutation(len(labels), settings.seed, "iid"), nodes))


def _by_class(labels: Indices, nodes: int, settings: PartitionSettings) -> list[Indices]:
    """Classes in a seeded order, dealt out like cards."""
    classes = np.unique(labels)
    if len(classes) < nodes:
        raise ConfigError(
            f"partition.by: class deals {len(classes)} classes to {nodes} nodes; use dirichlet, or fewer nodes"
        )
    order = classes[draw.permutation(len(classes), settings.seed, "class")]
    return [np.flatnonzero(np.isin(labels, order[node::nodes])) for node in range(nodes)]


def _dirichlet(labels: Indices, nodes: int, settings: PartitionSettings) -> list[Indices]:
    """Each class is cut by shares from Dirichlet(alpha); redrawn while a node has nothing.

    References:
        Hsu, Qi, Brown 2019, arXiv:1909.06335. Difference: shares are drawn a class, not a node, as most followers do.
    """
    for attempt in range(ATTEMPTS):
        generator = np.random.Generator(draw.stream(settings.seed, "dirichlet", attempt))
        rows: list[list[Indices]] = [[] for _ in range(nodes)]
        for label in np.unique(labels):
            members = np.flatnonzero(labels == label)
            members = members[draw.permutation(len(members), settings.seed, "dirichlet", attempt, label)]
            shares = generator.dirichlet(np.full(nodes, settings.alpha))
            cuts = np.round(np.cumsum(shares)[:-1] * len(members)).astype(np.int64)
            for node, part in enumerate(np.split(members, cuts)):
                rows[node].append(part)
        dealt = [np.concatenate(parts) for parts in rows]
        if all(len(part) for part in dealt):
            return dealt
    raise ConfigError(
        f"partition.alpha: {settings.alpha} left one of {nodes} nodes without examples {ATTEMPTS} times; "
        f"wanted: a larger alpha"
    )
