"""Writes docs/results.md from the figures that `make bench` left in benchmarks/out/. Measures nothing itself."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OUT, PAGE = ROOT / "benchmarks" / "out", ROOT / "docs" / "results.md"
HEAD = """\
# Results

Written by `make results` from what `make bench` measured; nothing here is typed by hand. A bar is what the project set
itself before measuring; *falls short* stays until a run holds. What was tried is in [experiments.md](experiments.md).
"""


def section(document: dict[str, Any]) -> str:
    """One benchmark: where it ran, and its table."""
    seeds = ", ".join(map(str, document["seeds"])) or "none"
    lines = [
        f"## {document['name']}\n",
        f"`{document['command']}` at commit {document['commit']}; seeds: {seeds}; {document['machine']}\n",
        "| figure | value | unit | bar | |",
        "|---|---|---|---|---|",
    ]
    for f in document["figures"]:
        verdict = "" if f["holds"] is None else "holds" if f["holds"] else "**falls short**"
        unit = f["unit"].replace("|", "\\|")
        lines.append(f"| {f['name']} | {f['value']:.4g} | {unit} | {f['bar'] or ''} | {verdict} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    documents = [json.loads(path.read_text()) for path in sorted(OUT.glob("*.json"))]
    if not documents:
        print(f"{OUT}: no figures there; run `make bench` first", file=sys.stderr)
        return 1
    PAGE.write_text("\n".join([HEAD, *map(section, documents)]), encoding="utf-8")
    print(f"wrote {PAGE}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
