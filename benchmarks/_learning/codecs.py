"""What messages of fewer bits cost: Dec-LoRA's graphs with equal data, and moments under the worst skew.

Dec-LoRA (Ghiasvand et al. 2025, arXiv:2501.15361): ring and Erdos-Renyi, 10 and 20 nodes, IID, beside one learner with
all the data at equal gradient steps. Here CLINC's ten domains, tested on 4,500 texts; 10 rounds of K = 4, so that all
of it takes about ten CPU minutes. Differences are paired by seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from _figures import Figure

from _learning.network import IID, Result, Setting, pooled_at_best, run
from _learning.tables import gain, networks, seeds, several

BASE = Setting(data="domains", partition=IID, mixing="dpsgd", rounds=10)
GRAPHS: Mapping[str, Any] = {"ring": "ring", "Erdos-Renyi": "erdos_renyi"}
CELLS: Mapping[tuple[int, str], tuple[str, ...]] = {  # nodes, graph -> codecs
    (10, "ring"): ("float32", "int8", "int4"),
    (10, "Erdos-Renyi"): ("float32", "int8", "int4"),
    (20, "ring"): ("float32", "int8", "int4"),
    (20, "Erdos-Renyi"): ("float32", "int8", "int4"),
}
MOST = {"int8": 0.2, "int4": 1.0}  # points that a codec may cost
SKEWED = Setting(nodes=8, mixing="dpsgd", rounds=16)  # one intent a node, moments shared


def rows(quick: bool) -> list[Figure]:
    if quick:
        short = replace(BASE, data="few16", rounds=4)
        return _cell(10, "ring", ("float32", "int4"), [short], pooled_at_best([short]))
    settings = [replace(BASE, seed=seed) for seed in seeds(quick)]
    whole = pooled_at_best(settings)
    figures = [
        several("codecs, 10 domains: one learner with all the data, same steps", whole),
        several("codecs, 10 domains: one learner with all the data, 10 x the batch", pooled_at_best(settings, 10)),
    ]
    for (n, graph), codecs in CELLS.items():
        figures += _cell(n, graph, codecs, settings, whole)
    return [*figures, *_moments([replace(SKEWED, seed=seed) for seed in seeds(quick)])]


def _cell(n: int, graph: str, codecs: tuple[str, ...], settings: list[Setting], whole: list[float]) -> list[Figure]:
    head, figures = f"codecs, {graph} of {n}, IID", list[Figure]()
    found = {c: [_sent(replace(s, nodes=n, graph=GRAPHS[graph]), c) for s in settings] for c in codecs}
    plain = [result.accuracy for result in found["float32"]]
    figures.append(gain(f"{head}: float32 minus one learner with all the data", plain, whole, least=-1.5))
    for codec, results in found.items():
        figures += networks(f"{head}: {codec}", results)
        if codec in MOST:
            ours = [result.accuracy for result in results]
            figures.append(gain(f"{head}: {codec} minus float32", ours, plain, least=-MOST[codec]))
    return figures


def _moments(settings: list[Setting]) -> list[Figure]:
    """Parameters and moments by the same codec, where hardly anything but moments carries the others' classes."""
    head, plain = "codecs, ring of 8, one intent a node, moments shared", [_sent(s, "float32") for s in settings]
    figures = networks(f"{head}: float32", plain)
    for codec in ("int8", "int4"):
        found = [_sent(s, codec) for s in settings]
        figures += networks(f"{head}: {codec}", found)
        figures.append(gain(f"{head}: {codec} minus float32", [r.accuracy for r in found], [r.accuracy for r in plain]))
    return figures


def _sent(setting: Setting, codec: str) -> Result:
    return run(replace(setting, more={**setting.more, "gossip.codec": codec}))
