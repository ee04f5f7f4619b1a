"""Early stopping of one node in a network that goes on.

A node whose private held-out loss has not become smaller for `limit` evaluations takes no more local steps. It still
mixes, with an update of zero: its neighbours lose neither the weight of its row nor what it has learnt, and the mean is
kept. It stays stopped: what it hears may still better its loss, and that is noted, but steps of its own made it worse.
The vector with the smallest loss of all evaluations is kept beside the newest one, for this node alone: consensus is
over the newest.

    stepping -- `limit` evaluations in a row without a smaller loss --> stopped (for good)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from node.types import Vector

PRIVATE_LOSS = "private/loss"  # the metric that is watched, lower is better


class Patience(NamedTuple):
    """What has been seen so far; a value, so that a round that is given up leaves no trace."""

    limit: int  # evaluations; 0: never stops, and keeps nothing
    loss: float = math.inf  # the smallest so far
    theta: Vector | None = None  # (whole.d,) that had it
    since: int = 0  # evaluations after that one
    is_over: bool = False

    def noted(self, loss: float, theta: Vector) -> Patience:
        """After one more evaluation, of theta (whole.d,). A loss that is no number is not smaller."""
        if not self.limit:
            return self
        if loss < self.loss:
            return self._replace(loss=loss, theta=theta.clone(), since=0)
        since = self.since + 1
        return self._replace(since=since, is_over=self.is_over or since >= self.limit)

    def state(self) -> dict[str, Any]:
        """For a checkpoint; empty before the first evaluation."""
        if self.theta is None:
            return {}
        rest = {"best_loss": self.loss, "since_best": self.since, "stopped": self.is_over}
        return {"best": self.theta.clone(), **rest}

    def restored(self, state: Mapping[str, Any]) -> Patience:
        """What `state` was made of, under our own limit."""
        if not self.limit or "best" not in state:
            return Patience(self.limit)
        return Patience(
            self.limit, float(state["best_loss"]), state["best"].clone(), int(state["since_best"]), state["stopped"]
        )
