"""What a bad topology file gets: one line with file and line or key, exit code 2, under 1 s and 200 MiB."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.graph.hostile import SECONDS, Hostile, Took, cheapest, files, slowness
from tests.lab import ROOT

pytestmark = pytest.mark.process

FILES = dict(files())
WORST = ("100000 weighted edges and one wrong", "many words of gml", "300000 tags", "many objects", "long yaml")
MIB = 200.0
QUIET = {"OMP_NUM_THREADS": "1", "COLUMNS": "60"}  # a line is a line in a narrow terminal, too


class Seen(NamedTuple):
    path: Path
    slowness: float
    took: Took


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Seen]:
    """Each file, shown by a process of its own: forks of one that has imported everything (a start takes 0.5 s)."""
    folder = tmp_path_factory.mktemp("hostile")
    paths = {str(hostile.write(folder)): name for name, hostile in FILES.items()}
    done = subprocess.run(
        [sys.executable, "-m", "tests.graph.hostile"],
        cwd=ROOT,
        input="\n".join(paths),
        text=True,
        stdout=subprocess.PIPE,
        check=True,
        env={**os.environ, **QUIET},
    )
    rows = (json.loads(line) for line in done.stdout.splitlines())
    return {paths[path]: Seen(Path(path), slow, Took(*took)) for path, slow, took in rows}


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_gets_one_line_and_costs_little(seen: Mapping[str, Seen], name: str):
    path, slow, took = seen[name]

    refused(path, took, FILES[name])
    assert took.seconds < SECONDS * slow
    assert took.mib < MIB


def refused(path: Path, took: Took, hostile: Hostile) -> None:
    assert took.code == 2, took
    assert took.out == ""
    start = f"gossip: {path}:"
    assert took.err.startswith(start), took.err
    assert took.err.endswith("\n")
    line = took.err[len(start) - 1 : -1]
    assert line.isprintable(), "a control character, or a second line"
    assert re.match(r"(:[0-9]+)?: \S", line), line
    assert re.search(hostile.told, line), line
    assert len(line) < 450


def test_there_are_many_of_each_format():
    counts = {suffix: sum(h.file.endswith(f".{suffix}") for h in FILES.values()) for suffix in SUFFIXES}

    assert len(FILES) >= 50
    assert min(counts.values()) >= 5, counts


SUFFIXES = ("yaml", "json", "graphml", "gml", "edgelist", "edges", "csv")


# ru_maxrss of a command that we start is at least our own: Linux counts what was there before exec.
ALONE = """
import re, sys, pathlib, resource
from node.cli.main import main
try:
    main()
finally:
    peak = re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1]
    used = resource.getrusage(resource.RUSAGE_SELF)
    pathlib.Path(sys.argv[-1] + ".took").write_text(f"{used.ru_utime + used.ru_stime} {int(peak) / 1024}")
"""


def alone(path: Path) -> Took:
    """`gossip topology show PATH` from the start of the interpreter on."""
    command = [sys.executable, "-c", ALONE, "topology", "show", str(path)]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, env={**os.environ, **QUIET})
    seconds, mib = map(float, Path(f"{path}.took").read_text().split())
    return Took(done.returncode, done.stdout, done.stderr, seconds, mib)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Took:
    """What the command takes on a small ring."""
    path = tmp_path_factory.mktemp("good") / "ring-4.yaml"
    path.write_text("nodes: 4\ngenerator: ring\n")
    return min((alone(path) for _ in range(2)), key=lambda one: one.seconds)


@pytest.mark.slow
@pytest.mark.parametrize("name", WORST)
def test_the_worst_are_as_cheap_in_a_command_of_their_own(tmp_path: Path, start: Took, name: str):
    path = FILES[name].write(tmp_path)
    slow = slowness()

    took = cheapest(lambda: alone(path), start.seconds + SECONDS)

    refused(path, took, FILES[name])
    slow = max(slow, slowness())  # others may have come since
    assert took.seconds - start.seconds < SECONDS * slow
    assert took.mib < MIB


# ---- What is no file -------------------------------------------------------------------------------------------------


@pytest.fixture(params=["yaml", "json", "graphml", "gml", "edgelist", "edges", "adjlist", "adj", "csv"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"x.{request.param}"


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: None, "cannot be read: No such file"),
        (lambda path: path.mkdir(), "wanted a file, not a folder"),
        (os.mkfifo, "wanted a file, not a folder, pipe"),
        (lambda path: path.symlink_to(path), "cannot be read: Too many levels"),
        (lambda path: path.symlink_to("/dev/zero"), "wanted a file"),
    ],
)
def test_what_is_no_file_is_refused_without_waiting(place: Path, make, told: str, capfd: pytest.CaptureFixture[str]):
    from tests.lab import call

    make(place)

    code = call(["topology", "show", str(place)])

    assert code == 2
    assert capfd.readouterr().err.startswith(f"gossip: {place}: {told}")
