"""How far apart the nodes are, from their sketches.

All arrays are differences to the common start x_0, sketched or not: (n, k), one row a node.
Pure; knows no rounds and no wire.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

NOISE = 1e-6  # relative to |xbar|: below it a spread is float32 rounding, and a ratio of two says nothing
SLACK = 1.1  # not for the sketches, which obey the bound exactly: for what codecs lose and stale messages add


def spread(rows: ArrayLike) -> float:
    """sqrt(mean_i |x_i - xbar|^2), in the units of x."""
    x = np.asarray(rows, dtype=np.float64)
    return float(np.sqrt(np.mean(np.sum((x - x.mean(axis=0)) ** 2, axis=1))))


def consensus_distance(rows: ArrayLike) -> float:
    """sqrt(mean_i |x_i - xbar|^2) / |xbar - x_0|: 0 when all agree, infinite when they cancel out."""
    x = np.asarray(rows, dtype=np.float64)
    return _ratio(spread(x), float(np.linalg.norm(x.mean(axis=0))))


def distances_to_mean(rows: ArrayLike) -> NDArray[np.float64]:
    """(n,) |x_i - xbar| / |xbar - x_0| of each node; their root mean square is the consensus distance."""
    x = np.asarray(rows, dtype=np.float64)
    mean = x.mean(axis=0)
    norm = float(np.linalg.norm(mean))
    return np.array([_ratio(float(np.linalg.norm(row - mean)), norm) for row in x])


def pairwise(rows: ArrayLike) -> NDArray[np.float64]:
    """(n, n) |x_i - x_j|, in the units of x."""
    x = np.asarray(rows, dtype=np.float64)
    return np.stack([np.linalg.norm(x - row, axis=1) for row in x])


def contraction(before: ArrayLike, after: ArrayLike) -> float | None:
    """Spread after mixing / spread before it: at most max(|l2|, |ln|) of a symmetric W, whatever the vectors.

    Sketches obey that bound exactly, whatever their noise, because they are linear: S(W x) = W S(x).
    Absolute spreads, because a mean that moves would hide in a relative one. None where nodes agreed before already.
    """
    old = np.asarray(before, dtype=np.float64)
    width = spread(old)
    if not width > NOISE * float(np.linalg.norm(old.mean(axis=0))):
        return None
    return spread(after) / width


def window_contraction(ratios: Iterable[float | None]) -> float | None:
    """Asymptotic contraction a round: the geometric mean over a window; rounds without a ratio are skipped."""
    known = [ratio for ratio in ratios if ratio is not None and math.isfinite(ratio)]
    if not known:
        return None
    if min(known) <= 0.0:
        return 0.0
    return math.exp(math.fsum(math.log(ratio) for ratio in known) / len(known))


def keeps_promise(measured: float, predicted: float) -> bool:
    """Whether a measured contraction is as good as the predicted one, up to codec noise (10 %) and rounding (1e-3)."""
    return measured <= SLACK * predicted + 1e-3  # 1e-3: exact mixing predicts 0 and gives about 1e-6


def _ratio(part: float, whole: float) -> float:
    if whole == 0.0:
        return 0.0 if part == 0.0 else math.inf
    return part / whole
