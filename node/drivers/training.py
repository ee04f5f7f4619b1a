"""Training in a thread of its own, and the private state that belongs to the last mixed round."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from node.core.events import Trained
from node.drivers.trainer import Trainer
from node.types import Shared


class Training:
    """Runs one round at a time, off the loop's thread.

    A trainer's state runs ahead of the consensus: it has trained for rounds that are not mixed yet. `settle` says that
    one of them now is; `settled` is what belongs in a checkpoint.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.seconds = 0.0  # that the last round took
        self.settled: Mapping[str, Any] = trainer.state()
        self._ahead: dict[int, Mapping[str, Any]] = {}  # round -> the state after it; one, or two with overlap
        self._trainer = trainer
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="train")

    async def run(self, round: int, shared: Shared) -> Trained:
        """Train; raises what the trainer raises."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._train, round, shared)

    def _train(self, round: int, shared: Shared) -> Trained:
        start = time.perf_counter()
        trained, stats = self._trainer.train(round, shared)
        self._ahead[round] = self._trainer.state()
        self.seconds = time.perf_counter() - start
        return Trained(round, trained, stats)

    def settle(self, round: int) -> None:
        """What was trained for `round` is mixed now."""
        for r in sorted(r for r in self._ahead if r <= round):
            self.settled = self._ahead.pop(r)

    def stop(self) -> None:
        self._trainer.stop()

    def close(self) -> None:
        """Waits for the thread, which `stop` makes short."""
        self._thread.shutdown()
