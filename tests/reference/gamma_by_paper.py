"""Gamma numbers as Marsaglia and Tsang list them (2000, section 4), squeeze step and all; their remark for a < 1."""

from __future__ import annotations

import math
from collections.abc import Iterator


def gamma(a: float, uniforms: Iterator[float]) -> float:
    """One number from Gamma(a, 1); U is 1 - the next uniform number, so that it is never 0."""
    if a < 1:
        return gamma(a + 1, uniforms) * (1 - next(uniforms)) ** (1 / a)
    d = a - 1 / 3
    c = 1 / math.sqrt(9 * d)
    while True:
        x = normal(uniforms)
        v = 1 + c * x
        while v <= 0:
            x = normal(uniforms)
            v = 1 + c * x
        v = v * v * v
        u = 1 - next(uniforms)
        if u < 1 - 0.0331 * x**4:
            return d * v
        if math.log(u) < 0.5 * x**2 + d * (1 - v + math.log(v)):
            return d * v


def normal(uniforms: Iterator[float]) -> float:
    """Marsaglia's polar method, the first of each pair."""
    while True:
        a, b = 2 * next(uniforms) - 1, 2 * next(uniforms) - 1
        s = a**2 + b**2
        if 0 < s < 1:
            return a * math.sqrt(-2 * math.log(s) / s)
