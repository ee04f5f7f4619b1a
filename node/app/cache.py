"""Fills prefix caches by several processes at once: torch has one thread before the fork, and the cores are idle.

Every process computes its share of the groups of texts, always the same groups, so the bits do not depend on how many
processes there are.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors.torch import load_file, save_file

from node.learn.model.prefix import Remembered

MOST = 8  # processes; a share of a small corpus is soon done


def fill_caches(caches: Sequence[Remembered], processes: int) -> None:
    """Fill all of `caches`; returns when they are full in this process.

    Args:
        processes: how many may work, this one included.
    """
    parts = max(1, min(processes, MOST)) if caches else 1
    with TemporaryDirectory() as folder:
        files = {part: Path(folder) / f"{part}.safetensors" for part in range(1, parts)}
        children = [_fork(caches, part, parts, file) for part, file in files.items()]
        _fill(caches, 0, parts)
        for child in children:
            os.waitpid(child, 0)
        for file in files.values():
            if file.exists():
                _adopt(caches, file)
    _fill(caches, 0, 1)  # what a child that failed has left


def _fork(caches: Sequence[Remembered], part: int, parts: int, file: Path) -> int:
    child = os.fork()
    if child:
        return child
    try:
        _fill(caches, part, parts)
        rows = {f"{number}.{i}": row for number, cache in enumerate(caches) for i, row in cache.rows.items()}
        written = file.with_suffix(".part")
        save_file(rows, written)
        written.replace(file)
    except BaseException:
        traceback.print_exc()
    os._exit(0)


def _fill(caches: Sequence[Remembered], part: int, parts: int) -> None:
    for cache in caches:
        cache.fill(part, parts)


def _adopt(caches: Sequence[Remembered], file: Path) -> None:
    """Take the rows that another process computed."""
    for name, row in load_file(file).items():
        number, index = name.split(".")
        caches[int(number)].rows[int(index)] = row
