"""What holds for every test: one thread, no network, and no chatter from the libraries; and a disk that can be full."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

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


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook, and would be first
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that start processes share one worker: two networks at once would starve each other on two cores.

    Side by side with others they come first: the longest group must not begin when the rest is nearly done.
    """
    if config.pluginmanager.hasplugin("xdist"):
        for item in items:
            if "e2e" in item.path.parts or item.get_closest_marker("process"):
                item.add_marker(pytest.mark.xdist_group("processes"))
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)


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
