"""Progress of a run on the terminal: bars where there is one, a line now and then where there is not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from node.cli.console import errors, note, plain
from node.observe.records import RoundRecord

LINES = 5  # of a whole run, where there is no terminal

Newest = Mapping[str, RoundRecord | None]


class RunProgress:
    """A bar for each name; call it with the newest record of each.

    Args:
        totals: name -> rounds.
        titles: name -> what stands before its bar.
    """

    def __init__(self, totals: Mapping[str, int], titles: Mapping[str, str] | None = None) -> None:
        self._totals, self._titles = dict(totals), dict(titles or {})
        self._told = 0
        self._bars: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=errors(),
            disable=plain(),
        )

    def __enter__(self) -> Self:
        self._progress.start()
        for name, total in self._totals.items():
            self._bars[name] = self._progress.add_task(self._titles.get(name, name), total=total, note="starting")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, newest: Newest) -> None:
        for name, record in newest.items():
            if record is not None:
                self._progress.update(self._bars[name], completed=record.round + 1, note=_note(record))
        if plain():
            self._line(newest)

    def _line(self, newest: Newest) -> None:
        done = {name: record.round + 1 if record else 0 for name, record in newest.items()}
        fifths = LINES * sum(done.values()) // max(1, sum(self._totals.values()))
        if fifths > self._told:
            self._told = fifths
            note(
                "rounds done: " + ", ".join(f"{self._titles.get(n, n)} {d}/{self._totals[n]}" for n, d in done.items())
            )


def _note(record: RoundRecord) -> str:
    return "" if math.isnan(record.loss) else f"loss {record.loss:.3f}"
