"""What the defaults could be instead: a gradient that acts at once, logits adjusted to a node's classes.

16 nodes, 16 CLINC intents, moments shared, K = 4, 20 rounds. Whether a delayed gradient helps hangs on the mixing: so
exact and partial mixing, one class a node and Dirichlet .1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from _figures import Figure

from _learning.network import Setting, dirichlet, run
from _learning.tables import gain, networks, seeds

SOME = {"partition": dirichlet(0.1)}
ONE_PEER: Mapping[str, Any] = {"graph": None, "schedule": "one_peer_exponential"}
PLACES: Mapping[str, Mapping[str, Any]] = {
    "ring, one class a node, exact": {"mixing": "exact"},
    "ring, Dirichlet .1, exact": {"mixing": "exact", **SOME},
    "ring, Dirichlet .1, D-PSGD": {"mixing": "dpsgd", **SOME},
    "one-peer exponential, Dirichlet .1, D-PSGD": {"mixing": "dpsgd", **SOME, **ONE_PEER},
}
DEFAULT = "default"
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    DEFAULT: {},
    "nothing delayed": {"train.delayed_gradient": False},
    "logits adjusted": {"train.logit_adjustment": 1.0},
}


def rows(quick: bool) -> list[Figure]:
    base = Setting(nodes=8, rounds=4, data="few16") if quick else Setting(rounds=20)
    places = dict(list(PLACES.items())[: 1 if quick else None])
    return [figure for place, more in places.items() for figure in _at(place, replace(base, **more), quick)]


def _at(place: str, base: Setting, quick: bool) -> list[Figure]:
    head = f"defaults, {place}"
    found = {
        name: [run(replace(base, seed=seed, more=more)) for seed in seeds(quick)] for name, more in VARIANTS.items()
    }
    accuracy = {name: [r.accuracy for r in results] for name, results in found.items()}
    return [
        *(figure for name, results in found.items() for figure in networks(f"{head}: {name}", results)),
        *(
            gain(f"{head}: {name} minus {DEFAULT}", accuracy[name], accuracy[DEFAULT])
            for name in VARIANTS
            if name != DEFAULT
        ),
    ]
