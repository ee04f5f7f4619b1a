"""A trainer that takes longer than it does: a straggler, or rounds of a realistic length on a machine with few cores.

The wait is in the training thread, where a slower machine would compute; the event loop runs as fast as before. So
"peer n3 trains 6x slower" means here what it means in the simulator, whatever else the machine does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from node.core.events import Stats
from node.drivers.trainer import Trainer
from node.types import Shared


class Interrupted(Exception):
    """`stop` was called while we waited."""


@dataclass(frozen=True, slots=True)
class Slow:
    """How long the training of a round takes: `factor` times what it takes, or times `at_least` if that is longer."""

    factor: float = 1.0
    at_least: float = 0.0  # seconds


def slowed(trainer: Trainer, slow: Slow) -> Trainer:
    """The same trainer, where nothing is to be slowed."""
    return trainer if slow == Slow() else Slowed(trainer, slow)


class Slowed:
    """`trainer`, slower."""

    def __init__(self, trainer: Trainer, slow: Slow) -> None:
        self._trainer, self._slow = trainer, slow
        self._stopped = threading.Event()

    def train(self, round: int, shared: Shared) -> tuple[Shared, Stats]:
        start = time.monotonic()
        trained = self._trainer.train(round, shared)
        spent = time.monotonic() - start
        if self._stopped.wait(max(0.0, self._slow.factor * max(spent, self._slow.at_least) - spent)):
            raise Interrupted
        return trained

    def stop(self) -> None:
        self._stopped.set()
        self._trainer.stop()

    def state(self) -> Mapping[str, Any]:
        return self._trainer.state()
