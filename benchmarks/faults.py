"""What faults cost: kills, stops, stragglers, partitions, churn; beside each figure the bad design that it catches."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from _figures import Figure, main

ROWS = ("checkpoint", "simulated", "processes")  # modules of _faults, in the order of the table
SEED = 0


def measure(quick: bool) -> tuple[Sequence[int], Sequence[Figure]]:
    figures: list[Figure] = []
    for name in ROWS:
        figures += import_module(f"_faults.{name}").rows(quick)
    return [SEED], figures


def hour() -> Sequence[Figure]:
    hour: Sequence[Figure] = import_module("_faults.processes").hour()
    return hour


if __name__ == "__main__":
    main("faults", measure, __doc__ or "", hour)
