"""A node in a thread of its own, beside a training loop that belongs to somebody else.

The thread has its own event loop and sockets; the loop that trains meets it in `node.app.own_loop.handed_in`. Whatever
ends the node is told there, too: an error of the network never ends the training by itself. When the interpreter goes,
the node says goodbye first.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import threading
import weakref
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from node.app.own_loop.handed_in import HandedIn, Over
from node.app.run.processes import announce, telling
from node.app.run.run_folder import write_json
from node.app.taking_part import Part, take_part
from node.app.warm import Warm
from node.core.events import Finished
from node.drivers.grpc import GrpcNode

LOG = logging.getLogger(__name__)
GOODBYE = 10.0  # seconds that an interpreter which ends waits for the node

# Before the pools of concurrent.futures are joined, where there is such a hook: their threads wait for the node.
_at_exit = getattr(threading, "_register_atexit", atexit.register)


class Beside:
    """One node; its thread runs from `start` to its last word.

    Args:
        warm: settings and topology.
        part: what is its own; its trainer is `handed`.
        handed: where the training loop meets it.
        facts: of the training, for result.json.
    """

    def __init__(self, warm: Warm, part: Part, handed: HandedIn, facts: Mapping[str, Any]) -> None:
        self.handed, self.config = handed, warm.config
        self.failure: BaseException | None = None  # what it ended by, if not well
        self._warm, self._part = warm, replace(part, ready=self._ready, on_finish=self._on_finish)
        self._facts = dict(facts)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._driver: GrpcNode | None = None
        self._leaving = threading.Event()
        name = f"gossip {part.protocol.config.peer}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()
        _at_exit(_goodbye, weakref.ref(self))

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def leave(self) -> None:
        """Say goodbye now, in the middle of a round, too; returns at once. Safe to call twice."""
        self._leaving.set()
        if self._loop is not None and self._driver is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._driver.stop)

    def wait(self, seconds: float | None = None) -> bool:
        """Until the node has gone, slower neighbours served; whether it has."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    # ---- in the thread
    def _run(self) -> None:
        epoch = self._part.protocol.config.epoch
        try:
            with telling(self._part.folder):
                asyncio.run(self._take_part(epoch))
        except BaseException as error:
            self.failure = error
            LOG.error("%s: %s: %s", self._thread.name, type(error).__name__, error)
            self.handed.end(Over(None, self._part.protocol.round, error))

    async def _take_part(self, epoch: int) -> None:
        folder, protocol = self._part.folder, self._part.protocol
        announce(folder, "running", epoch)
        self._loop = asyncio.get_running_loop()
        shared, driver = await take_part(self._warm, self._part)
        self.handed.end(Over(shared, protocol.round))
        finished = protocol.round >= protocol.config.rounds
        if finished:
            write_json(folder.result, self._result(driver))
        message = "" if finished else f"after round {protocol.round} of {protocol.config.rounds}"
        announce(folder, "finished" if finished else "stopped", epoch, 0, message)

    def _ready(self, driver: GrpcNode) -> None:
        self._driver = driver
        if self._leaving.is_set():
            driver.stop()

    def _on_finish(self, finished: Finished) -> None:
        self.handed.end(Over(finished.shared, finished.rounds))

    def _result(self, driver: GrpcNode) -> dict[str, Any]:
        protocol = self._part.protocol
        return {
            "node": protocol.config.peer,
            "rounds": protocol.round,
            "bytes_sent": driver.bytes_sent,
            "bytes_received": driver.bytes_received,
            "faults": dict(protocol.faults),
            **self._facts,
        }


def _goodbye(node: weakref.ref[Beside]) -> None:
    if (beside := node()) is not None and beside.is_running:
        beside.leave()
        beside.wait(GOODBYE)
