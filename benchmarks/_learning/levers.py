"""Moment gossip and exact mixing: where each pays, by graph, local steps, number of nodes, and codec of the moments.

One factor at a time around 16 nodes on the one-peer exponential graph (a message a node and round), K = 4, Dirichlet
.1; 80 steps a node everywhere, so that K = 1 talks 80 times and K = 16 five times.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from _figures import Figure

from _learning.network import Setting, dirichlet, isolated, pooled, run
from _learning.tables import gain, networks, seeds, several

STEPS = 80  # a node
BASE = Setting(graph=None, schedule="one_peer_exponential", partition=dirichlet(0.1), rounds=STEPS // 4)
GRAPHS: Mapping[str, Mapping[str, Any]] = {
    "one-peer exponential": {},
    "static exponential": {"graph": "exponential", "schedule": None},
    "torus": {"graph": "torus", "schedule": None},
    "ring": {"graph": "ring", "schedule": None},
}
LEVERS: Mapping[str, Mapping[str, Any]] = {
    "neither": {"mixing": "dpsgd", "moments": False},
    "moments": {"mixing": "dpsgd", "moments": True},
    "exact": {"mixing": "exact", "moments": False},
    "both": {"mixing": "exact", "moments": True},
}
CODECS = ("int8", "int4")


def rows(quick: bool) -> list[Figure]:
    chosen = seeds(quick)
    if quick:
        short = replace(BASE, nodes=8, rounds=5, data="few16")
        return _levers("5 rounds, 8 nodes", [replace(short, seed=s) for s in chosen], ("neither", "moments"))
    settings = [replace(BASE, seed=s) for s in chosen]
    figures = [
        several("levers: one learner with all the data, same steps", [pooled(s) for s in settings]),
        several("levers: isolated", [isolated(s).accuracy for s in settings]),
    ]
    for name, graph in GRAPHS.items():
        figures += _levers(f"{name}, 16 nodes, K = 4", [replace(s, **graph) for s in settings], tuple(LEVERS))
    for k in (1, 2, 8, 16):
        changed = [replace(s, local_steps=k, rounds=STEPS // k) for s in settings]
        figures += _levers(f"one-peer exponential, 16 nodes, K = {k}", changed, ("neither", "moments", "both"))
    for n in (4, 8, 32):
        changed = [replace(s, nodes=n) for s in settings[: 2 if n == 32 else None]]
        figures += _levers(f"one-peer exponential, {n} nodes, K = 4", changed, ("neither", "moments", "both"))
    for codec in CODECS:
        by_channel = {"theta": "float32", "m": codec, "s": "int8"}
        coded = [replace(s, more={"gossip.codec": by_channel}) for s in settings]
        name = f"one-peer exponential, 16 nodes, K = 4: moments, m in {codec}, s in int8"
        figures += networks(name, [run(s) for s in coded])
    return figures


def _levers(head: str, settings: list[Setting], names: tuple[str, ...]) -> list[Figure]:
    results = {name: [run(replace(s, **LEVERS[name])) for s in settings] for name in names}
    figures = [figure for name, found in results.items() for figure in networks(f"{head}: {name}", found)]
    plain = [r.accuracy for r in results["neither"]]
    return [
        *figures,
        *(gain(f"{head}: {n} minus neither", [r.accuracy for r in results[n]], plain) for n in names if n != "neither"),
    ]
