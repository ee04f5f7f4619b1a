"""A picture of who holds what: classes by nodes, darker where there is more; above it how much each node has.

Decides sizes, colours and words. matplotlib is imported when a picture is drawn, and never asks for a screen.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES = (".png", ".svg")
BAR, INK, FAINT = "#3366cc", "#333333", "#777777"
MOST_NUMBERS = 400  # cells that say how much; with more the shade must do
ROOT = 0.5  # shade: the square root of the count, so that ten texts beside a thousand are seen


def draw_classes(facts: dict[str, Any], picture: Path, title: str) -> None:
    """Draws the facts of `node.app.data.holdings`.

    Args:
        picture: its suffix, one of SUFFIXES, says the format.
        title: the first line above it.

    Raises:
        OSError: it cannot be written.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    labels, nodes = facts["labels"] or ["texts"], facts["nodes"]
    counts = np.array(
        [[node["classes"].get(label, 0) for label in facts["labels"]] or [node["examples"]] for node in nodes]
    ).T
    width, height = _size(len(nodes), labels)
    figure = Figure(figsize=(width, height + 1.6), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    bars, cells = figure.subplots(2, 1, sharex=True, height_ratios=[1.0, max(height, 1.0)])
    _draw_sizes(bars, [node["examples"] for node in nodes])
    _draw_cells(cells, counts, 72 * height / len(labels), 72 * (width - 1.2) / len(nodes))
    cells.set_yticks(range(len(labels)), labels, fontsize=_font(72 * height / len(labels)))
    turned = 72 * (width - 1.2) / len(nodes) < 5.0 * max(len(node["id"]) for node in nodes)
    cells.set_xticks(range(len(nodes)), [n["id"] for n in nodes], fontsize=7.5, rotation=90 if turned else 0)
    figure.suptitle(title, color=INK, fontsize=10, x=0.02, ha="left")
    figure.supxlabel(_said(facts), color=FAINT, fontsize=8, x=0.02, ha="left")
    with rc_context({"svg.hashsalt": "gossip"}):  # the same data gives the same bytes
        metadata = {"Date": None} if picture.suffix.lower() == ".svg" else None
        figure.savefig(picture, facecolor="white", metadata=metadata)


def _size(nodes: int, labels: list[str]) -> tuple[float, float]:
    """Width and height of the cells in inches: 2 to 150 classes and 4 to 64 nodes stay readable."""
    longest = max(map(len, labels))
    return float(np.clip(0.38 * nodes, 3.5, 17.0)) + 0.085 * min(longest, 30), float(
        np.clip(0.24 * len(labels), 0.8, 16)
    )


def _font(points: float) -> float:
    return float(np.clip(0.85 * points, 4.0, 8.5))


def _draw_sizes(axes: Axes, sizes: list[int]) -> None:
    axes.bar(range(len(sizes)), sizes, color=BAR, width=0.75)
    axes.set_ylabel("texts", fontsize=7.5, color=INK)
    axes.tick_params(labelsize=7.5, bottom=False, labelbottom=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_ylim(0, None)


def _draw_cells(axes: Axes, counts: NDArray[np.int64], row: float, column: float) -> None:
    """`row`, `column`: points that a cell is high and wide."""
    from matplotlib.colors import PowerNorm

    most = max(int(counts.max()), 1)
    axes.imshow(counts, cmap="Blues", norm=PowerNorm(ROOT, 0, most), aspect="auto", interpolation="nearest")
    axes.tick_params(length=0)
    axes.set_xticks(np.arange(counts.shape[1] + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(counts.shape[0] + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#e6e9ee", linewidth=0.5)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)
    font = min(7.0, 0.6 * row, 0.5 * column)
    if counts.size > MOST_NUMBERS or font < 4.0:
        return
    for (c, n), count in np.ndenumerate(counts):
        if count:
            shade = (count / most) ** ROOT
            axes.text(n, c, str(count), ha="center", va="center", fontsize=font, color="white" if shade > 0.6 else INK)


def _said(facts: dict[str, Any]) -> str:
    sizes = list(facts["sizes"].values())
    worth = f"worth {facts['effective_nodes']:.3g} equal nodes"
    words = [f"{facts['examples']:,} texts, {min(sizes):,} to {max(sizes):,} a node, {worth}"]
    if facts["labels"]:
        effective = [node["effective_classes"] for node in facts["nodes"]]
        words.append(f"{len(facts['labels'])} classes, {min(effective):.2g} to {max(effective):.2g} effective a node")
        words.append(f"mean distance to the whole {facts['mean_total_variation']:.2f} (total variation)")
    return "\n".join(words)
