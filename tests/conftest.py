"""What holds for every test: one thread, no network, and no chatter from the libraries; and a disk that can be full."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

# Set before torch or transformers is imported. Two trainers in one test process would otherwise fight for the cores,
# and sums in another order would break the comparisons of bits.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.pop("NO_COLOR", None)  # tests that look at colour set what they need


@pytest.hookimpl(optionalhook=True)  # there is no such hook without pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests that start processes share one worker: two networks at once would starve each other on two cores.

    By file, not by xdist_group: pytest-xdist 3.8 hands the group on in a private field that pytest 9.2 no longer reads.
    The largest scope goes first, so that it does not begin when the rest is nearly done.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            return "processes" if starts_processes(config.rootpath / path) else nodeid

    return Scheduling(config, log)


@cache
def starts_processes(path: Path) -> bool:
    return "e2e" in path.parts or "mark.process" in path.read_text()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 256 KiB; skipped where we may not mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("needs mount")
    if done.returncode != 0:
        pytest.skip(f"may not mount: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, leave: int = 0) -> Path:
    """Makes a file that takes all room of a file system but `leave` bytes."""
    room = os.statvfs(folder)
    path = folder / "someone-elses"
    path.write_bytes(b"x" * (room.f_bavail * room.f_frsize - leave))
    return path
