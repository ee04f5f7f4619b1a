"""What a driver needs of whatever trains: nothing here knows models, data or torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from node.core.events import Stats
from node.types import Shared


class Trainer(Protocol):
    """The private side of a node."""

    def train(self, round: int, shared: Shared) -> tuple[Shared, Stats]:
        """Local steps from `shared`, which stays as it is. Blocks; runs in a thread of its own, one call at a time.

        Raises an exception soon after `stop` was called; the round then left no trace.
        """
        ...

    def stop(self) -> None:
        """Make a running or later `train` raise. Called from another thread."""
        ...

    def state(self) -> Mapping[str, Any]:
        """A copy of what the next round depends on besides `shared`: JSON-able values and tensors."""
        ...
