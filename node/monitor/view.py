"""A `View` as a picture for a terminal (rich) or as plain lines. Decides looks only."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from node.monitor.network import Row, View

BARS = "▁▂▃▄▅▆▇█"
NONE = "-"
WIDE = 100  # columns; below that addresses are left out and bars are fewer, so that numbers fit into 80
STATE_STYLES = {
    "starting": "yellow",
    "training": "cyan",
    "exchanging": "blue",
    "alive": "cyan",
    "finished": "green",
    "leaving": "yellow",
    "unreachable": "yellow",
    "suspect": "yellow",
    "left": "dim",
    "dead": "bold red",
    "refused": "bold red",
    "down": "bold red",
    "unknown": "dim",
}
VERDICT_STYLES = {"healthy": "bold green", "slower than predicted": "bold yellow", "waiting": "dim"}


def sparkline(values: Sequence[float], width: int, log: bool = False) -> str:
    """The newest `width` values as bars from their least to their greatest.

    A value that is not finite (or, with `log`, not positive) is a blank.
    """
    shown = [_height(value, log) for value in values[-width:]]
    known = [height for height in shown if height is not None]
    if not known:
        return ""
    low, high = min(known), max(known)
    step = (high - low) / (len(BARS) - 1)
    return "".join(" " if h is None else BARS[round((h - low) / step) if step > 0 else 0] for h in shown)


def _height(value: float, log: bool) -> float | None:
    if not math.isfinite(value) or (log and value <= 0):
        return None
    return math.log(value) if log else value


def picture(view: View, width: int) -> RenderableType:
    """The live table with its header, for a terminal of `width` columns (80 or more)."""
    title = Text.assemble(("gossip ", "bold"), _title(view))
    warnings = [Text(f"! {warning}", style="yellow") for warning in view.warnings]
    return Panel(
        Group(
            _header(view),
            *warnings,
            Text(),
            _table(view, wide=width >= WIDE),
            *(Text(line, style="dim") for line in metric_lines(view)),
        ),
        title=title,
        title_align="left",
        border_style="dim",
    )


def _title(view: View) -> str:
    parts = [f"{len(view.nodes)} nodes", f"{len(view.edges)} edges"]
    if view.mixing:
        parts.append(view.mixing)
    parts.append(_progress(view))
    return ", ".join(parts)


def _progress(view: View) -> str:
    done = 0 if view.round is None else view.round + 1
    return f"{done} of {view.rounds} rounds"


def _header(view: View) -> Table:
    header = Table.grid(padding=(0, 2))
    header.add_row("consensus distance", Text(scientific(view.consensus_distance), style="bold"), _distance_line(view))
    if view.product_distance is not None:
        header.add_row("of the products B A", Text(scientific(view.product_distance)), Text("by probes", style="dim"))
    measured, predicted = fixed(view.measured_contraction), fixed(view.predicted_contraction)
    verdict = Text(view.verdict, style=VERDICT_STYLES[view.verdict])
    header.add_row(
        "contraction a round", Text(measured, style="bold"), Text.assemble(f"predicted {predicted}  ", verdict)
    )
    return header


def _distance_line(view: View) -> Text:
    return Text(sparkline(view.distances, 40, log=True), style="magenta")


def _table(view: View, wide: bool) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2 if wide else 1, 0, 0), header_style="dim")
    table.add_column("node", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for name in ("round", "loss"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for name in ("accuracy", "distance", "sent/s", "age"):
        table.add_column(name, justify="right", no_wrap=True)
    if wide:
        table.add_column("address", no_wrap=True, style="dim", overflow="ellipsis")
    for row in view.nodes:
        table.add_row(*_cells(row, wide), style="" if row.id in view.counted or row.pid else "dim")
    return table


def _cells(row: Row, wide: bool) -> list[Text]:
    address = [Text(place(row.address, row.seen_by))] if wide else []
    return [
        Text(row.id, style="bold"),
        Text(row.state, style=STATE_STYLES.get(row.state, "")),
        Text(whole(row.round)),
        Text(fixed(row.loss)),
        Text(sparkline(row.losses, 16 if wide else 8), style="blue"),
        Text(fixed(row.accuracy)),
        Text(scientific(row.distance)),
        Text(amount(row.bytes_per_s)),
        Text(seconds(row.age_s)),
        *address,
    ]


def lines(view: View) -> list[str]:
    """Plain ASCII: one line for the network, one for each warning, one for each node, one for each metric."""
    nodes = [
        f"{row.id:<8} {row.state:<11} round {whole(row.round):>4}"
        f"  loss {fixed(row.loss):>7}  accuracy {fixed(row.accuracy):>6}"
        f"  distance {scientific(row.distance):>8}  sent/s {amount(row.bytes_per_s):>8}"
        f"  {place(row.address, row.seen_by)}"
        for row in view.nodes
    ]
    return [summary_line(view), *(f"! {warning}" for warning in view.warnings), *nodes, *metric_lines(view)]


def metric_lines(view: View) -> list[str]:
    """What each metric comes to across the nodes: never the mean alone."""
    return [
        f"{name}: mean {fixed(one.mean)}, worst {fixed(one.worst)} ({one.worst_node}), spread {fixed(one.spread)}"
        for name, one in view.metrics.items()
    ]


def _of_products(view: View) -> str:
    return "" if view.product_distance is None else f" (products {scientific(view.product_distance)})"


def summary_line(view: View) -> str:
    """The network in one line of ASCII."""
    states = [row.state for row in view.nodes]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    return (
        f"{_progress(view)}"
        f"  consensus distance {scientific(view.consensus_distance)}{_of_products(view)}"
        f"  contraction {fixed(view.measured_contraction)} (predicted {fixed(view.predicted_contraction)})"
        f"  {view.verdict}  [{counts}]"
    )


def place(address: str | None, seen_by: Sequence[str]) -> str:
    """Where a node is; of one that nobody can dial, who has heard from it."""
    return address or f"no address: seen by {', '.join(seen_by) or 'nobody'}"


def whole(value: int | None) -> str:
    return NONE if value is None or value < 0 else str(value)


def fixed(value: float | None) -> str:
    """Three decimals."""
    return NONE if value is None else f"{value:.3f}"


def scientific(value: float | None) -> str:
    """Two digits and a power of ten."""
    return NONE if value is None else f"{value:.1e}"


def amount(value: float | None) -> str:
    """Bytes in SI units: 1 MB = 10^6."""
    if value is None:
        return NONE
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value:.0f} B"


def seconds(value: float | None) -> str:
    if value is None:
        return NONE
    return f"{value:.1f} s" if value < 100 else f"{value:.0f} s"
