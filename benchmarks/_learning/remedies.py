"""What helps against unlike data: pull to the start, masked or adjusted logits, tracking, moments, exactness, weights.

A ring of 16, K = 4, 16 CLINC intents: one a node, and dealt by Dirichlet .1. The remedies one by one on plain D-PSGD;
where two are natural together, both. Then quantity skew (sizes by a power law): W that counts nodes alike, and W that
counts texts alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from _figures import Figure

from _learning.network import BY_CLASS, Result, Setting, dirichlet, pooled, run
from _learning.tables import gain, nodes, seeds, several
from node.app.holdings import holdings_of

SKEWS: Mapping[str, Mapping[str, Any]] = {"one class a node": BY_CLASS, "Dirichlet .1": dirichlet(0.1)}
PLAIN = Setting(mixing="dpsgd", moments=False)
MOMENTS, EXACT = Setting(mixing="dpsgd"), Setting(mixing="exact", moments=False)


def _with(setting: Setting, **train: Any) -> Setting:
    return replace(setting, more={f"train.{key}": value for key, value in train.items()})


REMEDIES = {
    "D-PSGD": PLAIN,
    "D-PSGD, proximal .1": _with(PLAIN, proximal=0.1),
    "D-PSGD, proximal 1": _with(PLAIN, proximal=1.0),
    "D-PSGD, logits masked": _with(PLAIN, missing_classes="mask"),
    "D-PSGD, logits adjusted": _with(PLAIN, logit_adjustment=1.0),
    "gradient tracking": replace(PLAIN, mixing="gradient-tracking"),
    "moments": MOMENTS,
    "moments, logits adjusted": _with(MOMENTS, logit_adjustment=1.0),
    "exact": EXACT,
    "exact, logits masked": _with(EXACT, missing_classes="mask"),
    "exact, moments": Setting(mixing="exact"),
}
QUICK = ("D-PSGD", "D-PSGD, logits adjusted", "moments")


def rows(quick: bool) -> list[Figure]:
    """All of it: 66 + 12 networks; quick: three."""
    skews = dict(list(SKEWS.items())[1:] if quick else SKEWS)
    label = [figure for name, partition in skews.items() for figure in _label_skew(name, partition, quick)]
    return label + ([] if quick else _quantity_skew())


def _label_skew(skew: str, partition: Mapping[str, Any], quick: bool) -> list[Figure]:
    head, rounds = f"ring of 16, {skew}", 10 if quick else 40
    chosen = QUICK if quick else tuple(REMEDIES)
    found = {
        name: [run(replace(REMEDIES[name], partition=partition, rounds=rounds, seed=seed)) for seed in seeds(quick)]
        for name in chosen
    }
    whole = [pooled(replace(PLAIN, partition=partition, rounds=rounds, seed=seed)) for seed in seeds(quick)]
    figures = [several(f"{head}: one learner with all the data, same steps", whole)]
    return figures + _beside(head, found)


def _quantity_skew() -> list[Figure]:
    """Sizes as 1 / rank: of 1,600 texts the largest node has 470, the smallest 30."""
    head, partition = "ring of 16, sizes as 1 / rank", {"by": "quantity", "power": 1.0}
    found: dict[str, list[Result]] = {}
    for rule, base in (("D-PSGD", PLAIN), ("moments", MOMENTS)):
        settings = [replace(base, partition=partition, seed=seed) for seed in seeds(False)]
        found[rule] = [run(s) for s in settings]
        found[f"{rule}, weights: data_size"] = [run(_by_size(s)) for s in settings]
    return _beside(head, found)


def _by_size(setting: Setting) -> Setting:
    """The same deal, W weighted by it."""
    sizes = holdings_of(setting.config(), setting.topology().nodes).facts()["sizes"]
    return replace(setting, weights="data_size", sizes=sizes)


def _beside(head: str, found: Mapping[str, list[Result]]) -> list[Figure]:
    """Every remedy's figures, and its gain over the first."""
    figures = [f for name, results in found.items() for f in nodes(f"{head}: {name}", [r.accuracies for r in results])]
    plain, *others = ([r.accuracy for r in results] for results in found.values())
    names = list(found)[1:]
    return figures + [
        gain(f"{head}: {name} minus {next(iter(found))}", ours, plain) for name, ours in zip(names, others, strict=True)
    ]
