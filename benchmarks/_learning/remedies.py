"""What helps against unlike data: pull to the start, masked or adjusted logits, tracking, moments, exactness, weights.

A ring of 16, K = 4, 16 CLINC intents: one a node, and dealt by Dirichlet .1. One remedy at a time on plain D-PSGD. Then
quantity skew (sizes as 1 / rank): W that counts nodes alike, and W that counts texts alike. Twenty rounds of batches of
8 (half of what the other tables take): it is their order that is asked for, and there are 45 networks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from _figures import Figure

from _learning.network import BY_CLASS, Result, Setting, dirichlet, pooled_at_best, run
from _learning.tables import gain, nodes, seeds, several
from node.app.data.holdings import holdings_of

ONE, SOME = "one class a node", "Dirichlet .1"
SKEWS: Mapping[str, Mapping[str, Any]] = {ONE: BY_CLASS, SOME: dirichlet(0.1)}
PLAIN = Setting(mixing="dpsgd", moments=False, rounds=20, batch=8)


def _with(**train: Any) -> Setting:
    return replace(PLAIN, more={f"train.{key}": value for key, value in train.items()})


REMEDIES = {
    "D-PSGD": PLAIN,
    "proximal .1": _with(proximal=0.1),
    "logits masked": _with(missing_classes="mask"),
    "logits adjusted": _with(logit_adjustment=1.0),
    "gradient tracking": replace(PLAIN, mixing="gradient-tracking"),
    "moments": replace(PLAIN, moments=True),
    "moments, logits adjusted": replace(PLAIN, moments=True, more={"train.logit_adjustment": 1.0}),
    "exact": replace(PLAIN, mixing="exact"),
    "exact, logits adjusted": replace(PLAIN, mixing="exact", more={"train.logit_adjustment": 1.0}),
}
NOTHING_TO_LEARN = (ONE, "logits masked")  # the softmax of one class
QUICK = ("D-PSGD", "logits adjusted")


def rows(quick: bool) -> list[Figure]:
    if quick:
        return _label_skew(SOME, 3, QUICK, quick)
    label = [figure for skew in SKEWS for figure in _label_skew(skew, PLAIN.rounds, tuple(REMEDIES), quick)]
    return label + _quantity_skew()


def _label_skew(skew: str, rounds: int, remedies: Sequence[str], quick: bool) -> list[Figure]:
    head, wanted = f"remedies, ring of 16, {skew}", [name for name in remedies if (skew, name) != NOTHING_TO_LEARN]

    def settings(name: str) -> list[Setting]:
        changed = {"partition": SKEWS[skew], "rounds": rounds, **({"data": "few16"} if quick else {})}
        return [replace(REMEDIES[name], **changed, seed=seed) for seed in seeds(quick)]

    whole = pooled_at_best(settings("D-PSGD"))
    found = {name: [run(setting) for setting in settings(name)] for name in wanted}
    return [several(f"{head}: one learner with all the data, same steps", whole), *_beside(head, found)]


def _quantity_skew() -> list[Figure]:
    """Of 1,600 texts the largest node has 470, the smallest 30."""
    partition = {"by": "quantity", "power": 1.0}
    settings = [replace(PLAIN, partition=partition, seed=seed) for seed in seeds(False)]
    found = {"D-PSGD": [run(s) for s in settings], "weights: data_size": [run(_by_size(s)) for s in settings]}
    return _beside("remedies, ring of 16, sizes as 1 / rank", found)


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
