"""How LoRA's products are mixed, where few nodes meet: the row of TAD-LoRA and RoLoRA, and what the cross term is.

The graph is drawn anew each round: each pair of the 16 nodes meets with probability p, Metropolis weights on those that
do. So a p of .02 needs no repair to be connected: 2.4 edges a round, and everybody is reached in time. Parameters alone
are mixed, Adam's moments stay at home, as in the papers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from _figures import Figure
from numpy.typing import NDArray

from _learning.network import Result, Setting, dirichlet, layout_of, run
from _learning.tables import gain, networks, seeds, several
from node.core.events import Mixed
from node.types import Pair, PeerId

METHODS: Mapping[str, Mapping[str, Any]] = {
    "factors": {},
    "freeze A": {"lora.freeze": ["lora_A"]},
    "RoLoRA": {"gossip.products": "alternate", "gossip.alternate_every": 1},
    "TAD": {"gossip.products": "alternate"},
    "procrustes": {"gossip.products": "procrustes"},
    "svd": {"gossip.products": "svd"},
}
DENSITIES = (0.5, 0.1, 0.02)
ROUNDS = 20
Thetas: TypeAlias = NDArray[np.float32]  # (d,) or (n, d)


def rows(quick: bool) -> list[Figure]:
    """Per density: every method, the differences that the papers promise, and the cross term."""
    found, seen = list[Figure](), list[Cross]()
    for p in (0.1,) if quick else DENSITIES:
        methods = ("factors", "svd") if quick else [m for m in METHODS if m != "procrustes" or p == 0.1]
        course = Course(layout_of(setting("factors", p, 0, quick)))
        runs = {}
        for method in methods:
            watched = course.note if method == "factors" else None
            runs[method] = [
                run(setting(method, p, seed, quick), on_mixed=watched if seed == 0 else None) for seed in seeds(quick)
            ]
            found += _table(f"products, p {p:g}: {method}", runs[method])
        found += _promises(p, {method: [r.accuracy for r in results] for method, results in runs.items()})
        seen += course.terms()
        found.append(Figure(f"products, p {p:g}: cross term by mean product, last round", seen[-1].share, "1"))
    slope = float(np.polyfit(np.log([c.distance for c in seen]), np.log([c.term for c in seen]), 1)[0])
    return [*found, Figure("products, cross term: power of the distance of factors (fit over all rounds)", slope, "1")]


def setting(method: str, p: float, seed: int, quick: bool = False, **more: Any) -> Setting:
    """16 nodes, label skew (Dirichlet .1), K = 4."""
    links = {"name": "failing_links", "p": round(1.0 - p, 4), "seed": seed}
    said: dict[str, Any] = {
        "graph": "complete",
        "schedule": links,
        "mixing": "dpsgd",
        "moments": False,
        "rounds": 4 if quick else ROUNDS,
        "data": "few16" if quick else Setting.data,
        "batch": 8,
        "partition": dirichlet(0.1),
        "more": METHODS[method],
    }
    return Setting(**(said | more), seed=seed)


def _table(name: str, results: Sequence[Result]) -> list[Figure]:
    distances = [r.product_distance[-1] for r in results]
    found = networks(name, results)
    found.append(several(f"{name}: distance of factors", [r.distance[-1] for r in results], "1"))
    if None not in distances:
        found.append(several(f"{name}: distance of products", [d for d in distances if d is not None], "1"))
    return found


def _promises(p: float, accuracies: Mapping[str, Sequence[float]]) -> list[Figure]:
    """TAD-LoRA's abstract: competitive where the graph is dense (a point), clear gains where it is not."""
    least = {"TAD": 0.0 if p < 0.5 else -1.0, "RoLoRA": 0.0}
    plain = accuracies["factors"]
    others = [method for method in accuracies if method != "factors"]
    found = [gain(f"products, p {p:g}: {m} over factors", accuracies[m], plain, least=least.get(m)) for m in others]
    if "TAD" in accuracies:
        found.append(gain(f"products, p {p:g}: TAD over RoLoRA", accuracies["TAD"], accuracies["RoLoRA"], least=0.0))
    return found


# ---- mean(B A) - mean(B) mean(A)
class Cross(NamedTuple):
    """Of all nodes after one round."""

    distance: float  # sqrt(mean |x_i - xbar|^2), of the factors
    term: float  # |mean(B A) - mean(B) mean(A)|, Frobenius, over all pairs
    share: float  # of |mean(B A)|


def cross(thetas: Thetas, pairs: Sequence[Pair]) -> Cross:
    """It is mean((B - mean B)(A - mean A)), so of second order in the distance."""
    terms, wholes, spread = 0.0, 0.0, 0.0
    for pair in pairs:
        a = thetas[:, pair.a].reshape(-1, pair.r, pair.n_in).astype(np.float64)
        b = thetas[:, pair.b].reshape(-1, pair.n_out, pair.r).astype(np.float64)
        mean = np.mean(b @ a, axis=0)
        terms += float(np.sum((mean - b.mean(0) @ a.mean(0)) ** 2))
        wholes += float(np.sum(mean**2))
        spread += float(np.mean([np.sum((x - x.mean(0)) ** 2) / len(x) for x in (a, b)]) * 2)
    return Cross(spread**0.5, terms**0.5, (terms / wholes) ** 0.5 if wholes else 0.0)


class Course:
    """Where all nodes of a run of plain factor mixing were after each round."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self._pairs = pairs
        self._rounds: dict[int, dict[PeerId, Thetas]] = {}

    def note(self, peer: PeerId, mixed: Mixed, sent: int, received: int) -> None:
        self._rounds.setdefault(mixed.round, {})[peer] = mixed.after["theta"].numpy()

    def terms(self) -> list[Cross]:
        """By round."""
        rounds = (at for _, at in sorted(self._rounds.items()))
        return [cross(np.stack([at[peer] for peer in sorted(at)]), self._pairs) for at in rounds]
