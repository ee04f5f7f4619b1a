"""Runs a trainer without a network."""

from __future__ import annotations

from node.learn.prepare import Prepared
from node.types import Shared


def run(node: Prepared, rounds: int, shared: Shared | None = None, first: int = 0) -> Shared:
    """What `rounds` rounds without neighbours make of `shared` (x_0 by default)."""
    shared = node.shared if shared is None else shared
    for round in range(first, first + rounds):
        shared, _ = node.trainer.train(round, shared)
    return shared
