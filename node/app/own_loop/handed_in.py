"""A trainer that is somebody else's: the node asks, another thread trains, and hands in what came of it.

    node's thread:  train(r, shared) --asked--> (waits) --given--> returns, mixes, train(r + 1, mixed) --asked--> ...
    their thread:   asked() -> (r, shared), K steps, give(trained), asked() -> (r + 1, mixed), ..., asked() -> Over

Control is inverted here and nowhere else. No torch, no loop, no clock: one lock.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from node.core.events import Stats
from node.types import Shared


class Stopped(Exception):
    """The node leaves; what was trained and not handed in is dropped."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Train from here: what the round before was mixed to."""

    round: int
    shared: Shared


@dataclass(frozen=True, slots=True)
class Over:
    """The node wants nothing more: what it ended with, or why it failed."""

    shared: Shared | None
    rounds: int = 0
    error: BaseException | None = None


class HandedIn:
    """The private side of a node (`node.drivers.trainer.Trainer`) whose training happens elsewhere."""

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        self._changed = threading.Condition()
        self._asked: Asked | None = None
        self._given: tuple[Shared, Stats, Mapping[str, Any]] | None = None
        self._over: Over | None = None
        self._stopped = False
        self._state = dict(state or {})  # that belongs to what was given last

    # ---- the node's side
    def train(self, round: int, shared: Shared) -> tuple[Shared, Stats]:
        """Wait for what training gives.

        Raises:
            Stopped: soon after `stop`.
        """
        with self._changed:
            self._asked = Asked(round, shared)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._given is not None or self._stopped)
            if self._given is None:
                raise Stopped
            trained, stats, self._state = *self._given[:2], dict(self._given[2])
            self._given = None
            return trained, stats

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def state(self) -> dict[str, Any]:
        return dict(self._state)

    def end(self, over: Over) -> None:
        """Nothing more will be asked; the first word counts."""
        with self._changed:
            self._over = self._over or over
            self._changed.notify_all()

    # ---- the side that trains
    def asked(self) -> Asked | Over:
        """What to train from next; waits until the network has it."""
        with self._changed:
            self._changed.wait_for(lambda: self._asked is not None or self._over is not None)
            asked, self._asked = self._asked, None
            return self._over or asked or Over(None)

    def give(self, shared: Shared, stats: Stats, state: Mapping[str, Any]) -> None:
        """Hand in what training made of what was asked last.

        Args:
            state: what a restart needs to know of the training, JSON-able.
        """
        with self._changed:
            self._given = shared, stats, state
            self._changed.notify_all()
