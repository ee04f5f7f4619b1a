"""Writes docs/results.md from the figures that `make bench` left in benchmarks/out/. Measures nothing itself."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

ROOT = Path(__file__).resolve().parent.parent
OUT, PAGE = ROOT / "benchmarks" / "out", ROOT / "docs" / "results.md"
HEAD = """\
# Results

Written by `make results` from what `make bench` measured; nothing here is typed by hand. A bar is what the project set
itself before measuring; *falls short* stays until a run holds. What was tried is in [experiments.md](experiments.md).
"""


BESIDE = {  # ending of a figure that stands beside a mean over nodes -> its column
    "worst node": "worst node",
    "best node minus worst": "best minus worst, points",
    "sent a node": "MB sent a node",
    "sent a node to 80%": "MB to 80 %",
}
WORST = next(iter(BESIDE))
Row: TypeAlias = dict[str, Any]


def summary(documents: Sequence[dict[str, Any]]) -> str:
    """How many bars hold in each benchmark, and every one that does not."""
    lines = ["| benchmark | bars | hold |", "|---|---|---|"]
    short = ["What falls short:\n", "| benchmark | figure | value | unit | bar |", "|---|---|---|---|---|"]
    for document in documents:
        name, bars = document["name"], [f for f in document["figures"] if f["holds"] is not None]
        lines.append(f"| [{name}](#{name}) | {len(bars)} | {sum(f['holds'] for f in bars)} |")
        missed = [f for f in bars if not f["holds"]]
        short += [f"| {name} | {f['name']} | {f['value']:.4g} | {f['unit']} | {f['bar']} |" for f in missed]
    return "\n".join([*lines, "", *short]) + "\n"


def section(document: dict[str, Any]) -> str:
    """One benchmark: where it ran, and its tables."""
    seeds = ", ".join(map(str, document["seeds"])) or "none"
    lines = [
        f"## {document['name']}\n",
        f"`{document['command']}` at commit {document['commit']}; seeds: {seeds}; {document['machine']}\n",
    ]
    if any(f["name"].endswith(f": {WORST}") for f in document["figures"]):
        return "\n".join(lines + _by_setting(document["figures"]))
    return "\n".join([*lines, *_plain(document["figures"])]) + "\n"


def _plain(figures: Sequence[Row]) -> list[str]:
    """A line a figure."""
    lines = ["| figure | value | unit | bar | |", "|---|---|---|---|---|"]
    for f in figures:
        verdict = "" if f["holds"] is None else "holds" if f["holds"] else "**falls short**"
        unit = f["unit"].replace("|", "\\|")
        lines.append(f"| {f['name']} | {f['value']:.4g} | {unit} | {f['bar'] or ''} | {verdict} |")
    return lines


def _by_setting(figures: Sequence[Row]) -> list[str]:
    """A heading for what stands before the first colon of a name; under it what nodes came to, then the rest."""
    by_head: dict[str, list[Row]] = {}
    for f in figures:
        head, _, rest = f["name"].partition(": ")
        by_head.setdefault(head, []).append({**f, "name": rest or head})
    lines: list[str] = []
    for head, rows in by_head.items():
        table, others = _of_nodes(rows)
        lines += [f"### {head}\n", *table, *([""] if table and others else []), *(_plain(others) if others else []), ""]
    return lines


def _of_nodes(rows: Sequence[Row]) -> tuple[list[str], list[Row]]:
    """Means over nodes with what stands beside them, a line each; and the figures that are none of these."""
    values = {f["name"]: f for f in rows}
    names = [name for name in values if f"{name}: {WORST}" in values]
    endings = [ending for ending in BESIDE if any(f"{name}: {ending}" in values for name in names)]
    columns = ["", "mean of nodes", *(BESIDE[ending] for ending in endings)]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for name in names:
        beside = [values.get(f"{name}: {ending}") for ending in endings]
        unit = values[name]["unit"].removeprefix("accuracy").removeprefix(", ").replace(", ", " ", 1)
        lines.append(f"| {name} | {values[name]['value']:.4g} {unit} | {' | '.join(map(_short, beside))} |")
    told = {*names, *(f"{name}: {ending}" for name in names for ending in BESIDE)}
    return lines if names else [], [f for f in rows if f["name"] not in told]


def _short(figure: Row | None) -> str:
    """More than what was sent, where that was not enough."""
    if figure is None:
        return ""
    return f"{'> ' if figure['unit'].endswith('not there') else ''}{figure['value']:.3g}"


def main() -> int:
    documents = [json.loads(path.read_text()) for path in sorted(OUT.glob("*.json"))]
    if not documents:
        print(f"{OUT}: no figures there; run `make bench` first", file=sys.stderr)
        return 1
    PAGE.write_text("\n".join([HEAD, summary(documents), *map(section, documents)]), encoding="utf-8")
    print(f"wrote {PAGE}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
