"""A picture of a topology: nodes, edges as thick as their weight, and what the graph promises.

Decides sizes, colours and words; `node.graph.layout` decides the places. A schedule is drawn as its first rounds beside
each other. matplotlib is imported when a picture is drawn, and never asks for a screen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from node.graph.layout import places
from node.graph.topology import Topology
from node.types import PeerId

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES = (".png", ".svg")
NODE, EDGE, NEGATIVE, FAINT, INK = "#3366cc", "#5f6b7a", "#cc3377", "#d5dae0", "#333333"
MOST_PANELS = 6  # rounds of a schedule; of a longer one, or one that is drawn, the first four
MOST_ARROWS = 800  # edges drawn one by one, curved where they must be; more are straight lines without heads
INCH = 72.0  # points


class Pen(NamedTuple):
    """Sizes in points for one panel."""

    node: float  # diameter
    label: float  # font size; 0: no labels
    widest: float  # edge


def draw_topology(topology: Topology, picture: Path, facts: Mapping[str, Any], title: str) -> None:
    """Draws `topology` into `picture`.

    Args:
        picture: its suffix, one of SUFFIXES, says the format.
        facts: what `node.graph.advice.prediction.summary` says of it.
        title: the first line above it.

    Raises:
        OSError: it cannot be written.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    where = places(topology)
    rounds = _rounds(topology)
    columns = 2 if len(rounds) == 4 else min(3, len(rounds))
    rows = -(-len(rounds) // columns)
    width, height = _panel_size(where, len(rounds))
    figure = Figure(figsize=(columns * width, rows * height + 1.0), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    panels = np.ravel(figure.subplots(rows, columns, squeeze=False))
    for axes in panels:
        axes.set_axis_off()
    for axes, t in zip(panels, rounds, strict=False):
        _draw_round(axes, topology, t, where, width, height)
    words = max(9.0, 1.7 * columns * width) if columns < 3 else 13.0
    figure.suptitle(f"{title}\n{_promise(topology, facts)}", color=INK, fontsize=words, x=0.02, ha="left")
    figure.supxlabel(_caption(topology, rounds), color="#777777", fontsize=0.75 * words, x=0.02, ha="left")
    with rc_context({"svg.hashsalt": "gossip"}):  # the same topology gives the same bytes
        figure.savefig(
            picture, facecolor="white", metadata={"Date": None} if picture.suffix.lower() == ".svg" else None
        )


def _rounds(topology: Topology) -> range:
    if topology.is_static:
        return range(1)
    period = topology.period
    return range(period if period is not None and period <= MOST_PANELS else 4)


def _panel_size(where: NDArray[np.float64], panels: int) -> tuple[float, float]:
    """Width and height in inches, of the shape of the graph."""
    side = {1: 5.0 + 0.4 * min(len(where), 64) ** 0.55, 2: 4.5}.get(panels, 3.8)
    wide, high = np.maximum(np.ptp(where, axis=0), 1e-9)
    shape = float(np.clip(high / wide, 0.3, 1.2))
    return side, side * shape + 0.3


def _draw_round(
    axes: Axes, topology: Topology, round: int, where: NDArray[np.float64], width: float, height: float
) -> None:
    span = np.maximum(np.ptp(where, axis=0), 1e-9)
    margin = 0.09 * max(span[0], span[1] * width / height)
    low, high = where.min(axis=0) - margin, where.max(axis=0) + margin
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_aspect("equal")
    points = INCH * min(width / (high[0] - low[0]), height / (high[1] - low[1]))  # a unit of `where`
    pen = _pen(topology.nodes, where, points)
    if not topology.is_static:
        axes.set_title(f"round {round}", loc="left", fontsize=9, color=INK)
        _lines(axes, where, [(i, j) for i, j in _indices(topology, topology.links)], [0.6], FAINT)
    _draw_edges(axes, topology, round, where, pen, points)
    _draw_nodes(axes, topology.nodes, where, pen)


def _pen(ids: Sequence[PeerId], where: NDArray[np.float64], points: float) -> Pen:
    """Nodes as large as their distance allows; labels inside them where those fit."""
    apart = np.linalg.norm(where[:, None] - where[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    node = float(np.clip(0.55 * points * apart.min(), 5.0, 30.0))
    longest = max(len(peer) for peer in ids)
    fits = 1.3 * node / max(longest, 2)
    label = min(fits, 10.0) if fits >= 4.0 else (7.0 if len(ids) <= 40 else 0.0)
    return Pen(node, label, float(np.clip(node / 5, 0.8, 4.0)))


def _draw_edges(
    axes: Axes, topology: Topology, round: int, where: NDArray[np.float64], pen: Pen, points: float
) -> None:
    w = topology.matrix(round)
    one_way = topology.directed if topology.is_static else not np.allclose(w, w.T)
    receivers, senders = np.nonzero(w - np.diag(np.diag(w)))
    edges = [(int(j), int(i)) for i, j in zip(receivers, senders, strict=True) if one_way or j < i]
    if not edges:
        return
    weights = np.array([w[i, j] for j, i in edges])
    crowded = min(1.0, (60 / len(edges)) ** 0.5)
    widths = max(1.0, crowded * pen.widest) * np.maximum(0.2, np.abs(weights) / np.abs(weights).max())
    colours = [EDGE if weight >= 0 else NEGATIVE for weight in weights]
    if len(edges) > MOST_ARROWS:
        _lines(axes, where, edges, 0.3 * widths, EDGE)
        return
    both = set(edges)
    for (i, j), width, colour in zip(edges, widths, colours, strict=True):
        bend = _bend(i, j, where, 0.6 * pen.node / points) or (0.08 if (j, i) in both else 0.0)
        _edge(axes, where[i], where[j], float(width), colour, pen, one_way, bend)


def _edge(
    axes: Axes,
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    width: float,
    colour: str,
    pen: Pen,
    one_way: bool,
    bend: float,
) -> None:
    from matplotlib.patches import FancyArrowPatch

    axes.add_patch(
        FancyArrowPatch(
            tuple(start),
            tuple(end),
            arrowstyle="-|>" if one_way else "-",
            mutation_scale=max(5.0, 0.38 * pen.node + 1.2 * width),
            shrinkA=0.0,
            shrinkB=0.5 * pen.node + 0.5 if one_way else 0.0,
            connectionstyle=f"arc3,rad={bend}",
            linewidth=width,
            color=colour,
            alpha=0.75,
            clip_on=False,
            zorder=1,
        )
    )


def _lines(axes: Axes, where: NDArray[np.float64], edges: Sequence[tuple[int, int]], widths: Any, colour: str) -> None:
    from matplotlib.collections import LineCollection

    axes.add_collection(LineCollection([where[[i, j]] for i, j in edges], linewidths=widths, colors=colour, zorder=0))


def _bend(i: int, j: int, where: NDArray[np.float64], near: float) -> float:
    """How far a line from i to j turns (to the right where positive) to pass by a node that is in its way; else 0."""
    line, from_i = where[j] - where[i], where - where[i]
    along = from_i @ line / (line @ line)
    left = (line[0] * from_i[:, 1] - line[1] * from_i[:, 0]) / np.linalg.norm(line)
    hit = (along > 0) & (along < 1) & (np.abs(left) < near)
    hit[[i, j]] = False
    return 0.0 if not hit.any() else 0.18 if left[hit].sum() > -1e-9 else -0.18


def _draw_nodes(axes: Axes, ids: Sequence[PeerId], where: NDArray[np.float64], pen: Pen) -> None:
    axes.scatter(
        where[:, 0], where[:, 1], s=pen.node**2, color=NODE, edgecolors="white", linewidths=0.06 * pen.node, zorder=2
    )
    inside = pen.label * max(len(peer) for peer in ids) <= 1.35 * pen.node
    for peer, (x, y) in zip(ids, where, strict=True):
        if inside and pen.label:
            axes.text(x, y, peer, ha="center", va="center_baseline", fontsize=pen.label, color="white", zorder=3)
        elif pen.label:
            axes.annotate(
                peer,
                (x, y),
                xytext=(0, -0.5 * pen.node - 2),
                textcoords="offset points",
                ha="center",
                va="top",
                fontsize=pen.label,
                color=INK,
                zorder=3,
            )


def _indices(topology: Topology, edges: Sequence[tuple[PeerId, PeerId]]) -> list[tuple[int, int]]:
    place = {peer: i for i, peer in enumerate(topology.nodes)}
    return [(place[a], place[b]) for a, b in edges]


def _promise(topology: Topology, facts: Mapping[str, Any]) -> str:
    rounds, gap = facts["rounds_to_1e-3"], facts["spectral_gap"]
    edges = f"{len(topology.edges)} {'directed ' if topology.directed else ''}edges"
    pairs = edges if topology.is_static else f"{len(topology.links)} pairs that meet"
    soon = "never mixes" if rounds is None else f"{rounds} round{'s' if rounds != 1 else ''} to 1e-3"
    return f"{len(topology.nodes)} nodes, {pairs}, spectral gap {gap:{'.4f' if gap >= 1e-3 else '.2g'}}, {soon}"


def _caption(topology: Topology, rounds: range) -> str:
    """What the width of an edge means."""
    weights = np.concatenate([w[~np.eye(len(w), dtype=bool)] for w in map(topology.matrix, rounds)])
    there = weights[weights != 0]
    if not len(there):
        return ""
    low, high = float(there.min()), float(there.max())
    rule = "" if topology.schedule is not None else f" ({topology.weights})"
    said = f"{low:.3g}" if np.isclose(low, high) else f"{low:.3g} to {high:.3g}"
    return f"width: weight W_ij{rule}, {said}" + ("; below 0 in pink" if low < 0 else "")
