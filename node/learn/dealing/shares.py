"""Random shares of a whole: Dirichlet and power law, from our own Philox stream; and shares as whole numbers.

numpy keeps its raw stream stable between versions, not what `Generator.dirichlet` makes of it, so the gamma numbers are
drawn here. Logarithms are the C library's: another one may differ in the last of 53 bits, which moves a cut between
two examples about once in 10^12 cuts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from node.learn import draw

Shares = NDArray[np.float64]  # (n,) of 0 or more, sum 1
STEP = 2.0**-53  # distance of two neighbouring uniform numbers


def dirichlet(n: int, alpha: float, *purpose: object) -> Shares:
    """(n,) shares from Dirichlet(alpha, ..., alpha): independent gamma numbers over their sum.

    Worked in logarithms, so that shares stay a distribution where alpha is 1e-4 and every gamma number underflows.
    """
    numbers = _uniforms(*purpose)
    logs = np.array([log_gamma(alpha, numbers) for _ in range(n)])
    weights = np.array([math.exp(log - logs.max()) for log in logs])
    return np.asarray(weights / weights.sum())


def power_law(n: int, power: float, *purpose: object) -> Shares:
    """(n,) shares proportional to 1 / rank^power; who has which rank is drawn. 0: all alike."""
    ranks = draw.permutation(n, *purpose)
    weights = np.array([float(rank + 1) ** -power for rank in ranks])
    return np.asarray(weights / weights.sum())


def apportioned(total: int, shares: Shares) -> NDArray[np.int64]:
    """(n,) whole numbers that sum to `total`, each within 1 of its share: the largest remainders are rounded up.

    Equal remainders: the first in order.
    """
    wanted = total * shares
    whole = np.floor(wanted).astype(np.int64)
    largest = np.argsort(whole - wanted, kind="stable")
    whole[largest[: total - int(whole.sum())]] += 1
    return whole


def log_gamma(shape: float, numbers: Iterator[float]) -> float:
    """The logarithm of one number from Gamma(shape, 1).

    References:
        Marsaglia, Tsang 2000, A Simple Method for Generating Gamma Variables, ACM TOMS 26(3): the method of section 4,
        and its remark for shapes below 1 (Gamma(a + 1) U^(1/a)). Difference: no squeeze step, which saves a logarithm
        and changes no number.
    """
    if shape < 1.0:
        return log_gamma(shape + 1.0, numbers) + math.log(1.0 - next(numbers)) / shape
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        x = _normal(numbers)
        v = (1.0 + c * x) ** 3
        if v > 0.0 and math.log(1.0 - next(numbers)) < 0.5 * x * x + d - d * v + d * math.log(v):
            return math.log(d * v)


def _normal(numbers: Iterator[float]) -> float:
    """One normal number of each pair that Marsaglia's polar method gives: no sine, no cosine."""
    while True:
        a, b = 2.0 * next(numbers) - 1.0, 2.0 * next(numbers) - 1.0
        square = a * a + b * b
        if 0.0 < square < 1.0:
            return a * math.sqrt(-2.0 * math.log(square) / square)


def _uniforms(*purpose: object) -> Iterator[float]:
    """Numbers in [0, 1), without end."""
    stream = draw.stream(*purpose)
    while True:
        yield from ((stream.random_raw(256) >> np.uint64(11)).astype(np.float64) * STEP).tolist()
