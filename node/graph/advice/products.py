"""How fast a schedule agrees: what the product W(t-1) ... W(0) leaves of a spread, computed, not bounded.

Knows rows and nothing of how they came about. The spread is taken about the mean that the nodes have then, so that a
schedule that moves the mean (row-stochastic W) is judged by its agreement alone. Needs scipy (sparse products).
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from node.graph.advice.pace import norm
from node.graph.draws import stream
from node.graph.scheduling.schedule import Schedule

Matrix: TypeAlias = NDArray[np.float64]

SMALL = 128  # nodes up to which a rate is an eigenvalue (30 ms there); above, it is measured
EXACT = 1e-12  # norm that is rounding only; 1,024 nodes after 19 rounds: 2e-15
MOST_ROUNDS = 10_000  # a ring of 128 with Metropolis weights needs 8,598 to 1e-3
SETTLING, MEASURED = 50, 500  # rounds of a random schedule before and under measurement: log(rate) to about 3 %


def rounds_to_by_products(schedule: Schedule, n: int, epsilon: float = 1e-3, most: int = MOST_ROUNDS) -> int | None:
    """Smallest t with norm((I - J) W(t-1) ... W(0)) <= epsilon: any start's spread is at most epsilon of what it was.

    Where W is doubly stochastic that is norm(W(t-1) ... W(0) - J). A random schedule is followed in the rounds that it
    will draw, from round 0 on.

    Args:
        n: nodes of the schedule.
        epsilon: above 0.
        most: rounds after which it is given up.

    Returns:
        None where that many rounds are not enough.
    """
    if n < 2:
        return 0
    product = centred(np.eye(n))
    start = _start(n)
    for t in range(most):
        product = centred(matrix_of(schedule, t) @ product)
        # |A v| of a unit v bounds the norm from below, and last round's best v does so well: most rounds need no norm
        if np.linalg.norm(product @ start) <= epsilon and norm(product) <= epsilon:
            return t + 1
        start = _turned(product, start)
    return None


def exact_rounds(schedule: Schedule, n: int) -> int | None:
    """Rounds after which everyone holds the same, whatever the start, found by multiplying; None: not in a period.

    A schedule that is drawn anew has no such number.
    """
    if schedule.period is None:
        return None
    return rounds_to_by_products(schedule, n, EXACT, schedule.period)


def rate(schedule: Schedule, n: int, rounds: int = MEASURED) -> float:
    """What a round leaves of a spread, geometric mean over many: 0 where a period is exact, 1 where it never agrees.

    With a period: the spectral radius of the product over one, to the power of 1 / period (up to 128 nodes; above, and
    where rounds are drawn: how a spread shrinks over `rounds` rounds, after 50 that forget the start).
    """
    if n < 2 or exact_rounds(schedule, n) is not None:
        return 0.0
    if schedule.period is None or n > SMALL:
        return _measured(schedule, n, max(rounds, 4 * (schedule.period or 0)))
    product = centred(np.eye(n))
    for t in range(schedule.period):
        product = centred(matrix_of(schedule, t) @ product)
    return float(np.abs(np.linalg.eigvals(product)).max() ** (1 / schedule.period))


def matrix_of(schedule: Schedule, round: int) -> Any:
    """W(round) as a scipy CSR array (n, n); nodes in the order of the rows."""
    from scipy.sparse import csr_array

    rows = schedule.rows(round)
    place = {peer: i for i, peer in enumerate(rows)}
    columns = [place[other] for row in rows.values() for other in row]
    ends = np.cumsum([0, *(len(row) for row in rows.values())])
    weights = [weight for row in rows.values() for weight in row.values()]
    return csr_array((weights, columns, ends), shape=(len(rows), len(rows)))


def centred(x: Matrix) -> Matrix:
    """(I - J) x: each column less its mean."""
    return np.asarray(x - x.mean(axis=0))


def _turned(a: Matrix, v: Matrix) -> Matrix:
    """One step of power iteration on A^T A; v itself where A v is nothing."""
    w = a.T @ (a @ v)
    size = np.linalg.norm(w)
    return np.asarray(w / size) if size > 0 else v


def _start(n: int) -> Matrix:
    """A unit vector (n,) of mean 0 in general position."""
    draw = stream(0)
    v = centred(np.array([draw.uniform() for _ in range(n)]))
    return np.asarray(v / np.linalg.norm(v))


def _measured(schedule: Schedule, n: int, rounds: int) -> float:
    x, logs = _start(n), 0.0
    for t in range(SETTLING + rounds):
        x = centred(matrix_of(schedule, t) @ x)
        size = float(np.linalg.norm(x))
        if size < EXACT:
            return 0.0
        x = x / size
        logs += np.log(size) if t >= SETTLING else 0.0
    return float(np.exp(logs / rounds))
