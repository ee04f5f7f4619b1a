"""Optimisers from the literature, in our rounds and with our AdamW, beside ours.

16 nodes on the static exponential graph, Dirichlet .1, K = 4, 80 steps a node. Only ours delays a gradient. Local Adam
averages exactly every K steps (which a server does in one message, and peers in some hops); Chen et al. 2021
(arXiv:2109.03194) gossip theta and the second moment, and keep the first at home (differences: ours mixes s = sqrt(v),
and has no AMSGrad maximum); DES-LOC (arXiv:2505.22549) mixes theta, m and s every 1, 3 and 6 rounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from _figures import Figure

from _learning.network import Setting, dirichlet, run
from _learning.tables import gain, networks, seeds

BASE = Setting(graph="exponential", partition=dirichlet(0.1), rounds=20)
PROMPT: Mapping[str, Any] = {"more": {"train.delayed_gradient": False}}
NEVER = 10**6  # rounds
METHODS: Mapping[str, Mapping[str, Any]] = {
    "D-PSGD with local AdamW": {"mixing": "dpsgd", "moments": False},
    "Chen 2021: theta and second moment": {"mixing": {"name": "des-loc", "theta": 1, "m": NEVER, "s": 1}, **PROMPT},
    "DES-LOC 1, 3, 6": {"mixing": {"name": "des-loc"}, **PROMPT},
    "theta and moments, nothing delayed": {"mixing": "dpsgd", **PROMPT},
    "ours: moments, delayed gradient": {"mixing": "dpsgd"},
    "Local Adam, exact mean of theta": {"mixing": "exact", "moments": False},
    "Local Adam, exact mean of theta and moments": {"mixing": "exact", **PROMPT},
    "ours: exact, moments, delayed gradient": {"mixing": "exact"},
}


def rows(quick: bool) -> list[Figure]:
    chosen = seeds(quick)
    base = replace(BASE, nodes=8, rounds=5, data="few16") if quick else BASE
    names = list(METHODS)[:: 4 if quick else 1]
    head = f"baselines, static exponential, {base.nodes} nodes, {base.rounds} rounds"
    results = {name: [run(replace(base, seed=s, **METHODS[name])) for s in chosen] for name in names}
    figures = [figure for name, found in results.items() for figure in networks(f"{head}: {name}", found)]
    best = names[-1]
    return figures + [
        gain(f"{head}: {best} minus {n}", *([r.accuracy for r in results[x]] for x in (best, n))) for n in names[:-1]
    ]
