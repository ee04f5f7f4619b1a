"""When to dial again: jittered exponential backoff, the same for the same seed."""

from __future__ import annotations

import random

FIRST = 0.1  # seconds; nodes of one machine come up within seconds of each other
LONGEST = 5.0  # seconds; what a neighbour that comes back waits for us at the most


class Backoff:
    """Delays that double from FIRST to LONGEST, each drawn between half of it and all of it.

    Args:
        seed: of the draws; give each edge its own, or all neighbours of a node that comes back dial at once.
    """

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)
        self._next = FIRST

    def delay(self) -> float:
        """Seconds to wait before the next try."""
        delay = self._next * self._random.uniform(0.5, 1.0)
        self._next = min(2 * self._next, LONGEST)
        return delay

    def reset(self) -> None:
        """The last try has come to something."""
        self._next = FIRST
