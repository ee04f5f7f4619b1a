"""How long a round waits for one neighbour: learnt from that neighbour's arrival times, never one fixed number."""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass

MEMORY = 32  # arrivals remembered
FEWEST = 3  # arrivals before the learnt value is trusted
SPREAD = 6.0  # k of median + k * MAD; 6 MADs are about 4 standard deviations of a normal law


@dataclass(frozen=True, slots=True)
class DeadlineLimits:
    """seconds; the floor also serves where the spread is zero."""

    floor: float = 10.0
    ceiling: float = 120.0


class Patience:
    """Arrival times of one neighbour, in seconds after our own part of the exchange was done.

    Args:
        limits: of the learnt value.
        first: seconds, before anything was learnt; None: the ceiling.

    A miss counts as a censored sample (the time that we waited) and is replaced when the late message comes, never
    thrown away: otherwise a neighbour that has become slow would be missed for ever.
    """

    def __init__(self, limits: DeadlineLimits, first: float | None = None) -> None:
        self._limits, self._first = limits, limits.ceiling if first is None else first
        self._waits: deque[float] = deque(maxlen=MEMORY)
        self._missed_since: float | None = None
        self._timeout: float | None = None  # of the waits as they are; asked for at every event

    @property
    def timeout(self) -> float:
        """median + k * MAD of the remembered waits, between floor and ceiling: seconds."""
        if self._timeout is None:
            self._timeout = self._learn()
        return self._timeout

    def _learn(self) -> float:
        if len(self._waits) < FEWEST:
            return self._first
        median = statistics.median(self._waits)
        mad = statistics.median(abs(w - median) for w in self._waits)
        return min(max(median + SPREAD * mad, self._limits.floor), self._limits.ceiling)

    def arrived(self, start: float, now: float) -> None:
        """The neighbour's part of the exchange that began at `start` (ours: may lie after `now`) is here."""
        self._settle_miss(now)
        self._remember(max(0.0, now - start))

    def missed(self, start: float, now: float) -> None:
        """We gave up on the exchange that began at `start`. Misses in a row do not make a silent neighbour dearer."""
        self._remember(now - start)
        if self._missed_since is None:
            self._missed_since = start

    def late(self, now: float) -> None:
        """Something came from the neighbour after a miss: now its true delay is known."""
        self._settle_miss(now)

    def _settle_miss(self, now: float) -> None:
        if self._missed_since is not None and self._waits:
            self._waits[-1] = now - self._missed_since
            self._timeout = None
        self._missed_since = None

    def _remember(self, wait: float) -> None:
        self._waits.append(wait)
        self._timeout = None
