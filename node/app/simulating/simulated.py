"""What a simulation comes to: where the peers are, how far apart they were on the way, and what that cost."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from node.drivers.lockstep import Traffic
from node.graph.topology import Topology
from node.observe.distance import spread

ROUNDING = {"float32": 1e-6, "float64": 1e-13}  # of the start's spread: below it rounding is all that is left


@dataclass(frozen=True, repr=False)
class Simulated:
    """What came of it. Rows are peers, in the order of `topology.nodes`."""

    topology: Topology
    mixing: str  # name of the rule
    dtype: str  # of x
    x: NDArray[Any]  # (n, d) after the last round; of a peer that died: what it held last
    start: NDArray[Any]  # (n, d)
    distance: NDArray[np.float64]  # (rounds + 1,) see `node.app.simulating.simulate`
    predicted: float | None  # what a round leaves of a spread, by the graph and the rule; None: nothing is promised
    traffic: Traffic  # of all peers together, over all rounds
    trained: bool  # whether there were local steps

    @property
    def rounds(self) -> int:
        return len(self.distance) - 1

    @property
    def mean(self) -> NDArray[Any]:
        """(d,) over peers, after the last round."""
        return self.x.mean(axis=0)  # type: ignore[no-any-return]

    @property
    def drift(self) -> float:
        """How far the mean over peers went from the start's, by the start's spread: 0 where a rule keeps it."""
        moved, width = float(np.linalg.norm(self.mean - self.start.mean(axis=0))), spread(self.start)
        return moved / width if width else moved

    @property
    def messages(self) -> float:
        """A round, of all peers together."""
        return self.traffic.messages / max(1, self.rounds)

    @property
    def bytes(self) -> float:
        """A round, of all peers together: payload in float32."""
        return self.traffic.bytes / max(1, self.rounds)

    def rounds_to(self, distance: float = 1e-3) -> int | None:
        """Rounds from which on the distance stayed at most this; None: it is larger at the end."""
        above = np.flatnonzero(~(self.distance <= distance))
        first = int(above[-1]) + 1 if len(above) else 0
        return first if first <= self.rounds else None

    @property
    def contraction(self) -> float | None:
        """What a late round leaves of the spread, measured: the geometric mean over the later half of the rounds.

        Rounds in which rounding is all that is left do not count. None where local steps pull the peers apart again.
        """
        d = self.distance
        if self.trained or self.rounds == 0 or not d[0] > 0.0:
            return None
        floor = np.flatnonzero(d <= ROUNDING[self.dtype] * d[0])
        last = int(floor[0]) - 1 if len(floor) else self.rounds
        period = self.topology.period or 1
        if last < 2 * period:  # there at once
            return float((d[min(last + 1, self.rounds)] / d[0]) ** (1 / min(last + 1, self.rounds)))
        span = max(1, last // 2 // period) * period
        return float((d[last] / d[last - span]) ** (1 / span))

    def plot(self, path: str | PathLike[str]) -> None:
        """The distance by round, and what the graph predicts, as a picture: .png, .svg or .pdf."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.0, 3.6), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot(xlabel="round", ylabel="distance", title=self._what)
        axes.semilogy(self.distance, label="measured")
        if self.predicted and not self.trained:
            promise = self.distance[0] * self.predicted ** np.arange(self.rounds + 1)
            axes.semilogy(promise, "--", label=f"{self.predicted:.4f} a round, by the graph")
            axes.legend()
        figure.savefig(path)

    def __repr__(self) -> str:
        said = [f"distance {self.distance[0]:.3g} to {self.distance[-1]:.3g}"]
        if self.contraction is not None:
            promise = "" if self.predicted is None else f" (graph: {self.predicted:.4f})"
            said.append(f"contraction {self.contraction:.4f}{promise}")
        if not self.trained:
            there = self.rounds_to()
            said.append("1e-3 not reached" if there is None else f"1e-3 after {there} rounds")
        said.append(f"{self.bytes / 1e3:,.1f} kB a round")
        return f"<{self._what}: {', '.join(said)}>"

    @property
    def _what(self) -> str:
        return f"{self.mixing} on {len(self.x)} nodes, {self.rounds} rounds, {self.dtype}"
