"""Deals by label and by number: iid, class, shards, Dirichlet, quantity. Every example goes to exactly one node.

Each function gives a row of indices for each node, in any order. All randomness is a stream keyed by the seed and the
words of its purpose (`node.learn.draw`), so that every node computes the same deal whatever its numpy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from node.errors import ConfigError
from node.learn import draw
from node.learn.dealing.shares import Shares, apportioned, dirichlet, power_law

Indices = NDArray[np.int64]
ATTEMPTS = 100  # redraws of a Dirichlet deal that left a node without examples


def iid(examples: int, nodes: int, seed: int) -> list[Indices]:
    """A seeded order, cut into rows of equal size (within 1)."""
    return list(np.array_split(draw.permutation(examples, seed, "iid"), nodes))


def by_class(labels: Indices, nodes: int, seed: int) -> list[Indices]:
    """Classes in a seeded order, dealt out like cards: each class is on one node only.

    Raises:
        ConfigError: fewer classes than nodes.
    """
    classes = np.unique(labels)
    if len(classes) < nodes:
        raise ConfigError(
            f"partition.by: class deals {len(classes)} classes to {nodes} nodes; "
            f"use shards or dirichlet, or fewer nodes"
        )
    order = classes[draw.permutation(len(classes), seed, "class")]
    return [np.flatnonzero(np.isin(labels, order[node::nodes])) for node in range(nodes)]


def by_shards(labels: Indices, nodes: int, shards: int, seed: int) -> list[Indices]:
    """Examples sorted by class, cut into `nodes * shards` pieces of equal size (within 1), `shards` pieces a node.

    So a node sees about `shards` classes (a piece may lie across two), and all nodes have as much data.

    Raises:
        ConfigError: fewer examples than pieces.

    References:
        McMahan, Moore, Ramage, Hampson, Aguera y Arcas 2017, Communication-Efficient Learning of Deep Networks from
        Decentralized Data, arXiv:1602.05629, section 3 ("pathological non-IID", 200 pieces of MNIST, 2 a client).
        Difference: the order of the classes is drawn, so that the seed says which of them share a piece.
    """
    pieces = nodes * shards
    if len(labels) < pieces:
        raise ConfigError(
            f"partition.shards: {len(labels)} examples give no {nodes} x {shards} pieces; wanted fewer shards or nodes"
        )
    classes = np.unique(labels)
    place = np.empty(len(classes), dtype=np.int64)
    place[draw.permutation(len(classes), seed, "shards", "classes")] = np.arange(len(classes))
    shuffled = draw.permutation(len(labels), seed, "shards", "examples")
    ordered = shuffled[np.argsort(place[np.searchsorted(classes, labels[shuffled])], kind="stable")]
    cut = np.array_split(ordered, pieces)
    dealt = draw.permutation(pieces, seed, "shards", "pieces").reshape(nodes, shards)
    return [np.concatenate([cut[piece] for piece in row]) for row in dealt]


def by_dirichlet(labels: Indices, nodes: int, alpha: float, seed: int) -> list[Indices]:
    """Each class is cut by shares from Dirichlet(alpha); redrawn while a node has nothing.

    Raises:
        ConfigError: a node had nothing 100 times.

    References:
        Hsu, Qi, Brown 2019, arXiv:1909.06335. Difference: shares are drawn a class, not a node, as most followers do.
    """
    for attempt in range(ATTEMPTS):
        rows: list[list[Indices]] = [[] for _ in range(nodes)]
        for label in np.unique(labels):
            members = np.flatnonzero(labels == label)
            members = members[draw.permutation(len(members), seed, "dirichlet", attempt, label)]
            shares = dirichlet(nodes, alpha, seed, "dirichlet", "shares", attempt, label)
            cuts = np.round(np.cumsum(shares)[:-1] * len(members)).astype(np.int64)
            for node, part in enumerate(np.split(members, cuts)):
                rows[node].append(part)
        dealt = [np.concatenate(parts) for parts in rows]
        if all(len(part) for part in dealt):
            return dealt
    raise ConfigError(
        f"partition.alpha: {alpha} left one of {nodes} nodes without examples {ATTEMPTS} times; wanted: a larger alpha"
    )


def by_quantity(examples: int, nodes: int, alpha: float, power: float | None, seed: int) -> list[Indices]:
    """Rows of different size, each iid: one example a node, and of the rest shares from Dirichlet(alpha).

    With `power` the shares are proportional to 1 / rank^power instead.

    References:
        Li, Diao, Chen, He 2022, Federated Learning on Non-IID Data Silos, arXiv:2102.02079, section 4.3 (q ~ Dir).
        Difference: the first example is given, so that nobody is empty.
    """
    shares: Shares = (
        dirichlet(nodes, alpha, seed, "quantity", "shares")
        if power is None
        else power_law(nodes, power, seed, "quantity", "ranks")
    )
    sizes = 1 + apportioned(examples - nodes, shares)
    return np.split(draw.permutation(examples, seed, "quantity"), np.cumsum(sizes)[:-1])
