"""What a run leaves to look at: loss, accuracy and consensus distance as a picture and a table; metrics across nodes.

Reads the records of a run (`runs/NAME/NODE/records.jsonl`) and nothing else; records without sketches are of learners
that ran beside the nodes, and are left out. matplotlib is imported when a picture is drawn, rich when a table is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from node.errors import GossipError
from node.monitor.view import amount, fixed, scientific
from node.observe.across import Across, by_metric
from node.observe.distance import consensus_distance, contraction, distances_to_mean, window_contraction
from node.observe.records import RoundRecord, newest_metrics, read_records
from node.observe.sketch import from_bytes
from node.types import PeerId

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rich.console import RenderableType

PALETTE = ("#3366cc", "#dd8800", "#119955", "#cc3377", "#7755bb", "#008899", "#995533", "#667788")
INK = "#333333"
FLOOR = 1e-8  # float32 cannot show less; a distance of zero is drawn here


@dataclass(frozen=True, slots=True)
class Run:
    """The records of all nodes of a run, by round."""

    nodes: Mapping[PeerId, Sequence[RoundRecord]]

    @property
    def common(self) -> list[int]:
        """Rounds that every node has finished; a laggard skips rounds."""
        return sorted(set.intersection(*({record.round for record in records} for records in self.nodes.values())))

    def sketches(self, which: str) -> list[np.ndarray]:
        """For each common round, (n, k): `before` or `after` mixing, or the `product` after it."""
        by_round = [{record.round: record for record in records} for records in self.nodes.values()]
        return [np.stack([from_bytes(getattr(rounds[r], which)) for rounds in by_round]) for r in self.common]

    @property
    def predicted(self) -> float | None:
        """What the graph promised; None: no record says."""
        told = (record.predicted_contraction for records in self.nodes.values() for record in records)
        return next((value for value in told if value is not None), None)

    @property
    def metrics(self) -> dict[str, Across]:
        """Of each node the newest that its records hold, across nodes."""
        return by_metric({peer: newest_metrics(records) for peer, records in self.nodes.items()})

    @property
    def measured(self) -> float | None:
        """Contraction a round, geometric mean over the run."""
        return window_contraction(map(contraction, self.sketches("before"), self.sketches("after")))


def load_run(folder: Path) -> Run:
    """The records of the nodes below `folder`, in the order of their names.

    Raises:
        GossipError: no node there has finished a round.
        BadMessage: a line that is no record.
    """
    paths = sorted(folder.glob("*/records.jsonl"), key=lambda path: _natural(path.parent.name))
    nodes = {PeerId(path.parent.name): [r for r in read_records(path) if r.before and r.after] for path in paths}
    run = Run({peer: records for peer, records in nodes.items() if records})
    if not run.nodes:
        raise GossipError(f"{folder}: no node has finished a round here (wanted NODE/records.jsonl with sketches)")
    return run


def _natural(name: str) -> tuple[str, int]:
    """n2 before n10."""
    letters = name.rstrip("0123456789")
    return letters, int(name[len(letters) :] or 0)


def draw_report(folder: Path, picture: Path, title: str = "", marks: Mapping[str, float] | None = None) -> None:
    """Draws the run below `folder` into the PNG `picture`.

    Args:
        title: above the panels; empty: the number of nodes and rounds.
        marks: accuracies to compare with, name -> value, drawn as level lines.

    Raises:
        GossipError: no records.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    run = load_run(folder)
    figure = Figure(figsize=(13.5, 4.4), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    loss, accuracy, distance = figure.subplots(1, 3)
    _curves(loss, run, lambda record: (record.round + 1, record.loss), "training loss")
    _curves(accuracy, run, lambda record: (record.round, record.accuracy), "accuracy on the test set")
    _level_lines(accuracy, marks or {})
    _distances(distance, run)
    handles, names = loss.get_legend_handles_labels()
    if len(names) <= len(PALETTE):
        loss.legend(handles, names, frameon=False, fontsize=9, ncols=2)
    rounds = max(records[-1].round for records in run.nodes.values()) + 1
    figure.suptitle(title or f"{len(run.nodes)} nodes, {rounds} rounds", color=INK, fontsize=12, x=0.01, ha="left")
    figure.savefig(picture)


def _curves(axes: Axes, run: Run, point: Callable[[RoundRecord], tuple[int, float | None]], title: str) -> None:
    """One line a node; `point` gives rounds done and value (accuracy is of the vectors that a round starts from)."""
    for i, (peer, records) in enumerate(run.nodes.items()):
        points = [(x, y) for x, y in map(point, records) if y is not None and math.isfinite(y)]
        if points:
            marker = "o" if len(points) < len(records) else None
            axes.plot(
                *zip(*points, strict=True), color=_colour(i, len(run.nodes)), lw=1.4, marker=marker, ms=3.5, label=peer
            )
    if not axes.lines:
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", color="#999999")
    axes.set_ylim(bottom=0)
    _dress(axes, title)


def _level_lines(axes: Axes, marks: Mapping[str, float]) -> None:
    for name, value in marks.items():
        axes.axhline(value, color="#888888", lw=1, ls=(0, (4, 3)))
        axes.annotate(
            f"{name} {value:.2f}",
            (0, value),  # on the left, where the curves still are far below
            xycoords=("axes fraction", "data"),
            xytext=(4, 3),
            textcoords="offset points",
            fontsize=8,
            color="#666666",
        )


def _distances(axes: Axes, run: Run) -> None:
    """Consensus distance before and after each mixing, and what the graph promised."""
    rounds = np.array(run.common) + 1
    before = np.array([consensus_distance(rows) for rows in run.sketches("before")])
    after = np.array([consensus_distance(rows) for rows in run.sketches("after")])
    axes.fill_between(rounds, _shown(after), _shown(before), color=PALETTE[0], alpha=0.12, lw=0)
    axes.plot(rounds, _shown(before), color=PALETTE[0], alpha=0.45, lw=1.4, label="after local training")
    axes.plot(rounds, _shown(after), color=PALETTE[0], lw=1.8, label="after mixing")
    predicted, measured = run.predicted, run.measured
    if predicted is not None and predicted > 0:  # 0: exact mixing; there is no such place on a log axis
        axes.plot(rounds, _shown(before * predicted), color=INK, lw=1.3, ls=":", label="at most, says the graph")
    axes.set_yscale("log")
    if len(rounds) == 0:
        axes.text(0.5, 0.5, "no common round", transform=axes.transAxes, ha="center", color="#999999")
    axes.legend(frameon=False, fontsize=9)
    axes.text(
        0.02,
        0.03,
        f"one mixing: x {fixed(measured)} (graph: x {fixed(predicted)})",
        transform=axes.transAxes,
        fontsize=9,
    )
    _dress(axes, "consensus distance")


def _shown(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), np.maximum(values, FLOOR), np.nan)


def _colour(i: int, n: int) -> Any:
    if n <= len(PALETTE):
        return PALETTE[i]
    from matplotlib import colormaps

    return colormaps["viridis"](i / (n - 1))


def _dress(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.set_xlim(left=0)
    axes.set_xlabel("rounds done", fontsize=9, color=INK)
    axes.grid(alpha=0.25, lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9, colors=INK)


def summary_table(run: Run) -> RenderableType:
    """One line a node, where it ended and what it took, and one for the network: for the end of a run (rich)."""
    from rich.console import Group
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("node")
    for name in (
        "rounds",
        "loss",
        "accuracy",
        "distance",
        "sent",
        "received",
        "train",
        "exchange",
        "missed",
        "stalest",
    ):
        table.add_column(name, justify="right")
    last = run.sketches("after")[-1:]
    distances = distances_to_mean(last[0]).tolist() if last else [None] * len(run.nodes)
    for (peer, records), distance in zip(run.nodes.items(), distances, strict=True):
        table.add_row(*_summary(peer, records, distance))
    return Group(table, _caption(run), *([metrics_table(run.metrics)] if run.metrics else []))


def metrics_table(metrics: Mapping[str, Across]) -> RenderableType:
    """A line a metric: mean, worst node, spread and deviation across the nodes (rich)."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("metric")
    for name in ("mean", "worst", "node", "spread", "deviation"):
        table.add_column(name, justify="right")
    for name, one in metrics.items():
        table.add_row(name, fixed(one.mean), fixed(one.worst), one.worst_node, fixed(one.spread), fixed(one.deviation))
    return table


def _summary(peer: PeerId, records: Sequence[RoundRecord], distance: float | None) -> list[str]:
    accuracies = [record.accuracy for record in records if record.accuracy is not None]
    return [
        peer,
        str(records[-1].round + 1),
        fixed(records[-1].loss),
        fixed(accuracies[-1] if accuracies else None),
        scientific(distance),
        amount(sum(record.bytes_sent for record in records)),
        amount(sum(record.bytes_received for record in records)),
        f"{sum(record.seconds.train for record in records):.1f} s",
        f"{sum(record.seconds.exchange for record in records):.1f} s",
        str(sum(bool(record.missing) for record in records)),
        str(max((lag for record in records for lag in record.staleness.values()), default=0)),
    ]


def _caption(run: Run) -> str:
    if not run.common:
        return "no round was finished by all nodes"
    start, end = consensus_distance(run.sketches("before")[0]), consensus_distance(run.sketches("after")[-1])
    rows = run.sketches("product")[-1] if all(r.product for records in run.nodes.values() for r in records) else None
    products = "" if rows is None else f" (products {scientific(consensus_distance(rows))})"
    return (
        f"consensus distance {scientific(start)} at the first exchange, {scientific(end)} after the last{products}; "
        f"a mixing shrank it to {fixed(run.measured)} (graph: {fixed(run.predicted)})"
    )
