"""A log that turns over: nothing is lost, and who follows it goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from node.app.run.output import Tail, files_of, turn_over

# A process that turns its own log over between lines; one of them is written by no Python object.
TALKER = """
import os, sys
from pathlib import Path
from node.app.run.output import redirect, turn_over

log = Path(sys.argv[1])
redirect(log)
for line in range(40):
    os.write(1 + line % 2, b"line %d, written past every Python object\\n" % line)
    turn_over(log, limit_bytes=200, keep=100)
raise SystemError("last words")
"""


def read(paths: list[Path]) -> str:
    return "".join(path.read_text() for path in paths)


def turn(log: Path, keep: int = 3) -> bool:
    """Turns `log` over without moving the descriptors of this process."""
    saved = [os.dup(number) for number in (1, 2)]
    try:
        return turn_over(log, limit_bytes=10, keep=keep)
    finally:
        for number, descriptor in zip((1, 2), saved, strict=True):
            os.dup2(descriptor, number)
            os.close(descriptor)


def test_a_process_that_turns_its_log_over_loses_no_line_nor_its_traceback(tmp_path):
    log = tmp_path / "n0" / "log.txt"

    done = subprocess.run([sys.executable, "-c", TALKER, str(log)], capture_output=True, text=True)

    lines = read(files_of(log)).splitlines()
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    assert lines[:40] == [f"line {i}, written past every Python object" for i in range(40)]
    assert lines[-1] == "SystemError: last words"
    assert len(files_of(log)) == 9  # five lines of 42 bytes a file


def test_older_files_are_numbered_from_the_newest_and_the_last_goes(tmp_path):
    log = tmp_path / "log.txt"
    for number in range(6):
        log.write_text(f"this was file {number}")
        assert turn(log, keep=3)

    assert log.read_text() == ""
    assert [path.name for path in files_of(log)] == ["log.3.txt", "log.2.txt", "log.1.txt", "log.txt"]
    assert [path.read_text()[-1] for path in files_of(log)[:3]] == ["3", "4", "5"]


def test_a_log_below_its_limit_stays(tmp_path):
    log = tmp_path / "log.txt"
    log.write_text("9 bytes..")
    assert not turn(log)
    assert files_of(log) == [log]


def test_who_follows_a_log_reads_every_line_once_over_turns(tmp_path):
    log, seen = tmp_path / "log.txt", ""
    log.write_text("before anyone looked\n")
    tail = Tail(log)
    for number in range(7):
        seen += tail.read()
        with log.open("a") as file:
            file.write(f"line {number}\n")
        if number % 2:
            turn(log, keep=9)
    seen += tail.read() + tail.read()
    tail.close()

    assert seen.splitlines() == ["before anyone looked", *(f"line {number}" for number in range(7))]


def test_what_a_process_still_wrote_to_the_file_that_lost_its_name_is_read(tmp_path):
    log = tmp_path / "log.txt"
    log.write_text("one\n")
    tail = Tail(log)
    with log.open("a") as slow:
        log.rename(tmp_path / "log.1.txt")
        assert tail.read() == "one\n"  # no file has the name
        log.write_text("three\n")
        assert tail.read() == ""
        slow.write("two\n")
    assert tail.read() == "two\nthree\n"
    tail.close()
