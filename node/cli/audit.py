"""gossip audit: whether a run kept its promises, from what its nodes wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from node.app.auditing.audit import Report
from node.app.auditing.audit import audit as check
from node.cli.console import Json, find_run, note, print_json, results


def audit(
    run: Annotated[Path | None, typer.Argument(help="Folder of the run; default: the newest below runs/.")] = None,
    json: Json = False,
) -> int:
    """Check offline that nothing committed was lost and nothing was applied that was not sent."""
    report = check(find_run(run).path)
    if json:
        print_json(report.document())
    else:
        _show(report)
    return 0 if report.ok else 1


def _show(report: Report) -> None:
    table = Table("check", "result", "facts", box=None, pad_edge=False)
    table.columns[2].justify = "right"
    for finding in report.findings:
        result = f"{finding.failed} violations" if finding.failed else finding.state
        table.add_row(finding.check, result, f"{finding.facts:,}" if finding.facts else "")
    results().print(table)
    for finding in report.findings:
        for line in (*finding.examples, *finding.notes):
            note(f"{finding.check}: {line}")
    if report.silent:
        note(f"no journal of {', '.join(report.silent)} here: not verified")
