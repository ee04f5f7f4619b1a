"""Moment gossip and exact mixing by local steps a round, and by the codec of the moments; see `_learning.levers`."""

from __future__ import annotations

from dataclasses import replace

from _figures import Figure

from _learning.levers import NEXT, STEPS, bases, levers
from _learning.network import run
from _learning.tables import networks

CODECS = ("int8", "int4")


def rows(quick: bool) -> list[Figure]:
    figures: list[Figure] = []
    for k in (2,) if quick else (1, 2, 8, 16):
        rounds = 4 if quick else STEPS // k
        settings = [replace(s, local_steps=k, rounds=rounds) for s in bases(quick)]
        head = f"levers, one-peer exponential, {settings[0].nodes} nodes, K = {k}"
        figures += levers(head, settings, NEXT[: 2 if quick else None])
    for codec in () if quick else CODECS:
        by_channel = {"theta": "float32", "m": codec, "s": "int8"}
        coded = [replace(s, mixing="dpsgd", more={"gossip.codec": by_channel}) for s in bases(quick)]
        name = f"levers, one-peer exponential, 16 nodes, K = 4: moments, m in {codec}, s in int8"
        figures += networks(name, [run(s) for s in coded])
    return figures
