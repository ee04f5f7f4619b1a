"""What faults cost: kills, stops, stragglers, partitions, churn; beside each figure the bad design that it catches."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context

from _figures import Figure, main

ROWS = ("checkpoint", "simulated", "processes")  # modules of _faults, in the order of the table
SEED = 0


def measure(quick: bool) -> tuple[Sequence[int], Sequence[Figure]]:
    """One part after the other; `quick` all at once: real processes mostly wait, the other two take a core."""
    if not quick:
        return [SEED], [figure for name in ROWS for figure in rows(name, quick)]
    with ProcessPoolExecutor(len(ROWS), mp_context=get_context("spawn")) as pool:
        parts = [pool.submit(rows, name, quick) for name in ROWS]
        return [SEED], [figure for part in parts for figure in part.result()]


def rows(name: str, quick: bool) -> list[Figure]:
    found: list[Figure] = import_module(f"_faults.{name}").rows(quick)
    return found


def hour() -> Sequence[Figure]:
    hour: Sequence[Figure] = import_module("_faults.processes").hour()
    return hour


if __name__ == "__main__":
    main("faults", measure, __doc__ or "", hour)
