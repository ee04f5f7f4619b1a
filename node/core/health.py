"""Whether it is ourselves who are slow: a score that makes us slower to accuse others.

References:
    Dadgar, Phillips, Currey 2017, Lifeguard: local health awareness for more accurate failure detection,
    arXiv:1707.00788, section 3.1 (local health aware probe). Difference: a process that trains starves its own loop,
    so a timer that fires late counts too, and gives every probe under way its time again.
"""

from __future__ import annotations

WORST = 8  # as in the paper
LATE = 0.5  # seconds; a timer later than this says that we did not run


class LocalHealth:
    """0 is well; waits for others are multiplied by 1 + score."""

    def __init__(self) -> None:
        self.score = 0

    @property
    def multiplier(self) -> int:
        return 1 + self.score

    def better(self) -> None:
        """A probe of ours was answered."""
        self.score = max(0, self.score - 1)

    def worse(self) -> None:
        """A probe of ours was not answered, others suspect us, or our own timer was late."""
        self.score = min(WORST, self.score + 1)
