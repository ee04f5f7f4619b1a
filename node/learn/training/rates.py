"""What the learning rate is multiplied with, round by round: a warm-up times a schedule.

Rounds, not steps: all K steps of a round have one rate, so that nodes that mix after it have moved alike. Both factors
are functions of the round alone; a node that resumes or joins late is where the others are.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

Schedule: TypeAlias = Literal["constant", "linear", "cosine"]


def rate(schedule: Schedule, warmup: float, rounds: int, round: int) -> float:
    """A number from 0 to 1 for this round (0 is the first).

    The schedule falls from the first round on, beneath the warm-up, which grows in equal steps: schedules elsewhere
    begin to fall when the warm-up ends.

    Args:
        warmup: share of the rounds, from 0 to below 1.
        rounds: of the run; linear and cosine are at 0 from then on.

    References:
        cosine: Loshchilov, Hutter 2017, arXiv:1608.03983, equation 5, without restarts.
    """
    grown = min(1.0, (round + 1) / (int(warmup * rounds + 0.5) + 1))
    return grown * _falling(schedule, min(1.0, round / rounds))


def _falling(schedule: Schedule, done: float) -> float:
    if schedule == "constant":
        return 1.0
    return 1.0 - done if schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))
