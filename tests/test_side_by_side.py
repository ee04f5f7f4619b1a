"""Tests side by side: those that start processes share one worker, the others go wherever there is room."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("xdist")

CONFTEST = Path(__file__).with_name("conftest.py")
TEST = """\
import os
import pathlib

def test_it():
    with pathlib.Path({log!r}).open("a") as file:
        file.write(os.environ["PYTEST_XDIST_WORKER"] + "\\n")
"""


def test_tests_that_start_processes_share_one_worker(tmp_path: Path) -> None:
    tests, together, others = tmp_path / "tests", tmp_path / "together", tmp_path / "others"
    (tests / "e2e").mkdir(parents=True)
    shutil.copy(CONFTEST, tests)
    marked = "# pytest.mark.process\n"
    for k in range(3):
        (tests / "e2e" / f"test_e{k}.py").write_text(TEST.format(log=str(together)))
        (tests / f"test_m{k}.py").write_text(marked + TEST.format(log=str(together)))
        (tests / f"test_o{k}.py").write_text(TEST.format(log=str(others)))

    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "xdist",
        "-p",
        "no:cacheprovider",
        "-n",
        "2",
        "--dist",
        "loadgroup",
    ]
    done = subprocess.run([*command, "tests"], cwd=tmp_path, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout
    assert len(together.read_text().split()) == 6
    assert len(set(together.read_text().split())) == 1
    assert set(others.read_text().split()) != set(together.read_text().split())
