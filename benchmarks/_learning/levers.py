"""Moment gossip and exact mixing: where each pays, by graph; levers_steps and levers_nodes go on with K and n.

One factor at a time around 16 nodes on the one-peer exponential graph (a message a node and round), K = 4, Dirichlet
.1; 80 steps a node everywhere, so that K = 1 talks 80 times and K = 16 five times.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from _figures import Figure

from _learning.network import Setting, dirichlet, isolated, pooled_at_best, run
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
NEXT = ("neither", "moments", "both")  # of the parts levers_steps and levers_nodes


def bases(quick: bool) -> list[Setting]:
    """The middle of all, a seed each."""
    base = replace(BASE, nodes=8, rounds=5, data="few16") if quick else BASE
    return [replace(base, seed=s) for s in seeds(quick)]


def rows(quick: bool) -> list[Figure]:
    settings = bases(quick)
    if quick:
        return levers("levers, one-peer exponential, 8 nodes, 5 rounds", settings, ("neither", "moments"))
    alone = [isolated(s) for s in settings]
    figures = [
        several("levers: one learner with all the data, same steps", pooled_at_best(settings)),
        several("levers: one learner with all the data, 16 x the batch", pooled_at_best(settings, 16)),
        several("levers: isolated", [a.accuracy for a in alone]),
        several("levers: isolated, ceiling", [a.ceiling for a in alone]),
        several("levers: adapters averaged once", [a.one_shot for a in alone]),
    ]
    for name, graph in GRAPHS.items():
        figures += levers(f"levers, {name}, 16 nodes, K = 4", [replace(s, **graph) for s in settings], tuple(LEVERS))
    return figures


def levers(head: str, settings: list[Setting], names: tuple[str, ...]) -> list[Figure]:
    """Each of LEVERS by itself, and what it adds to neither."""
    results = {name: [run(replace(s, **LEVERS[name]), watch=4, asked=2) for s in settings] for name in names}
    figures = [figure for name, found in results.items() for figure in networks(f"{head}: {name}", found)]
    plain = [r.accuracy for r in results["neither"]]
    return [
        *figures,
        *(gain(f"{head}: {n} minus neither", [r.accuracy for r in results[n]], plain) for n in names if n != "neither"),
    ]
