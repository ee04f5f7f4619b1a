"""Moment gossip and exact mixing by the number of nodes; see `_learning.levers`."""

from __future__ import annotations

from dataclasses import replace

from _figures import Figure

from _learning.levers import NEXT, bases, levers
from _learning.network import Setting


def rows(quick: bool) -> list[Figure]:
    if quick:
        return _of(4, bases(quick), NEXT[:2])
    settings = bases(quick)
    return [*_of(4, settings), *_of(8, settings), *_of(32, settings[:2])]  # a run of 32 takes as long as two of 16


def long() -> list[Figure]:
    """64 nodes, one seed."""
    return _of(64, bases(quick=False)[:1])


def _of(nodes: int, settings: list[Setting], names: tuple[str, ...] = NEXT) -> list[Figure]:
    changed = [replace(s, nodes=nodes) for s in settings]
    return levers(f"levers, one-peer exponential, {nodes} nodes, K = 4", changed, names)
