"""How many exchanges push-sum and Chebyshev's polynomials take from the worst start to a distance.

Plain W are `node.graph.weighting.spectrum`'s, schedules `node.graph.advice.products`'.
"""

from __future__ import annotations

from collections.abc import Callable
from math import acosh, ceil, cosh, log

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

NEVER = 2**24  # exchanges; a path of 1024 takes 2.2 million to 1e-3
FLOOR = 0.25  # w that a peer never gives away, as `node.gossip.push_sum` has it
SETTLED = 200  # rounds after which w counts as settled
SHRINKS = 10.0  # what a round of Chebyshev mixing takes of a spread: 8 hops on a ring of 16, 24 to 1e-3 (D-PSGD: 133)
FLAT = 1e-12  # half width of the interval of eigenvalues, relative, that is a point
STUCK = 1.0 - 1e-12  # a contraction that shrinks nothing


def pushes(p: Matrix, epsilon: float = 1e-3) -> int | None:
    """Exchanges of push-sum by P after which x / w of any start is within `epsilon` of its spread of the mean.

    Args:
        p: (n, n), columns that sum to 1; w starts at 1.

    Returns:
        None: never.

    References:
        Kempe, Dobra, Gehrke 2003, Gossip-based computation of aggregate information. Difference: counted for the worst
        start by powers of P, not bounded; P is that of late rounds (see `floored`).
    """
    late = floored(p)
    return first_power(late, lambda power: norm(power / power.sum(axis=1, keepdims=True) - 1.0 / len(p)), epsilon)


def floored(p: Matrix) -> Matrix:
    """P where nobody gives away the last FLOOR of its w, once w is settled: who tells four or more keeps more."""
    w = np.ones(len(p))
    for _ in range(SETTLED):
        now = _keeping(p, w)
        w = now @ w
    return _keeping(p, w)


def _keeping(p: Matrix, w: NDArray[np.float64]) -> Matrix:
    own = np.diag(p)
    kept = np.maximum(own, np.minimum(1.0, FLOOR / w))
    given = np.divide(1.0 - kept, 1.0 - own, out=np.zeros(len(p)), where=own < 1.0)
    return np.asarray(p * given + np.diag(kept - own * given))


def chebyshev(low: float, high: float, epsilon: float = 1e-3) -> tuple[int, int] | None:
    """Rounds and hops a round of Chebyshev mixing until any spread is at most `epsilon` of what it was.

    A round takes as many hops as shrink any spread `SHRINKS` times, and k hops leave 1 / T_k((2 - low - high) /
    (high - low)) of the worst one; every round starts anew.

    Args:
        low, high: smallest and second largest eigenvalue of a symmetric W.

    Returns:
        None: never.

    References:
        Scaman, Bach, Bubeck, Lee, Massoulie 2017, arXiv:1702.08704, Algorithm 2; see `node.gossip.chebyshev`.
    """
    if high >= STUCK:
        return None
    hops = hops_to(low, high)
    left = left_by(low, high, hops)
    return max(1, ceil(log(epsilon) / log(left) - 1e-9)) if left else 1, hops


def hops_to(low: float, high: float, factor: float = SHRINKS) -> int:
    """The fewest hops in which any spread shrinks `factor` times: the smallest k with T_k(1 / c) >= factor."""
    c = _half_width(low, high)
    return max(1, ceil(acosh(factor) / acosh(1.0 / c) - 1e-9)) if c > FLAT else 1


def left_by(low: float, high: float, hops: int) -> float:
    """What a round of so many hops leaves of the worst spread: 1 / T_hops(1 / c)."""
    c = _half_width(low, high)
    return 1.0 / cosh(hops * acosh(1.0 / c)) if c > FLAT else 0.0


def _half_width(low: float, high: float) -> float:
    """c, of the interval of eigenvalues, where 1 lies at a distance of 1 from its middle."""
    return (high - low) / (2.0 - low - high)


def first_power(m: Matrix, error: Callable[[Matrix], float], epsilon: float) -> int | None:
    """The smallest t (of an error that never rises) with error(m^t) <= epsilon, by squaring; None: above `NEVER`."""
    squares = [m]  # m^1, m^2, m^4 ...
    while error(squares[-1]) > epsilon:
        if 2 ** len(squares) > NEVER:
            return None
        squares.append(squares[-1] @ squares[-1])
    done, power = 0, None
    for place in reversed(range(len(squares) - 1)):
        further = squares[place] if power is None else power @ squares[place]
        if error(further) > epsilon:
            done, power = done + 2**place, further
    return done + 1


def norm(m: Matrix) -> float:
    """Largest singular value of (n, n), by the eigenvalues of m' m: 0.3 s on 1,024 nodes, an SVD four times as long."""
    return float(np.sqrt(max(np.linalg.eigvalsh(m.T @ m)[-1], 0.0)))
