"""Moment gossip and exact mixing by the number of nodes; see `_learning.levers`."""

from __future__ import annotations

from dataclasses import replace

from _figures import Figure

from _learning.levers import NEXT, bases, levers


def rows(quick: bool) -> list[Figure]:
    figures: list[Figure] = []
    for n in (4,) if quick else (4, 8, 32, 64):
        settings = [replace(s, nodes=n) for s in bases(quick)]
        chosen = settings[: {32: 2, 64: 1}.get(n)]  # a run of 64 takes as long as four of 16
        figures += levers(f"one-peer exponential, {n} nodes, K = 4", chosen, NEXT[: 2 if quick else None])
    return figures
