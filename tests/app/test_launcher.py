"""What a launcher makes of the files that processes leave; the processes themselves are in tests/e2e."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from node.app.launching import launcher
from node.app.run.processes import announce, state_of
from node.app.run.run_folder import RunFolder, write_json
from node.observe.records import RecordWriter, RoundRecord, Seconds

NAMES = ("n0", "n1")


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    write_json(folder.jobs, {"jobs": [{"kind": "node", "name": name} for name in NAMES]})
    return folder


def ended_server(code: int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", f"import os, signal; os._exit({code})"])
    process.wait()
    return process


def killed_server() -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    process.terminate()
    process.communicate()
    return process


def record(round: int) -> RoundRecord:
    seconds = Seconds(train=0.1, exchange=0.1)
    return RoundRecord(
        round=round, time=0.0, loss=1.0, seconds=seconds, bytes_sent=0, bytes_received=0, contributions=0
    )


@pytest.mark.process
def test_all_that_ended_are_told_with_their_states(run: RunFolder) -> None:
    announce(run.node("n0"), "finished", exit_code=0)
    announce(run.node("n1"), "stopped", exit_code=0)
    told: list[dict[str, RoundRecord | None]] = []
    states = launcher.follow(run, NAMES, ended_server(0), lambda newest: told.append(dict(newest)))
    assert {name: s.phase for name, s in states.items()} == {"n0": "finished", "n1": "stopped"}
    assert told == [{"n0": None, "n1": None}]


@pytest.mark.process
def test_who_never_came_up_is_told_in_the_words_of_the_fork_server(run: RunFolder) -> None:
    run.server.log.write_text("chatter\nbase_model: nothing there\n\n")
    states = launcher.follow(run, NAMES, ended_server(2))
    assert {(s.phase, s.exit_code, s.message) for s in states.values()} == {("failed", 2, "base_model: nothing there")}


@pytest.mark.process
def test_who_was_ended_before_it_was_up_has_stopped(run: RunFolder) -> None:
    states = launcher.follow(run, NAMES, killed_server())
    assert {(s.phase, s.exit_code) for s in states.values()} == {("stopped", 0)}


@pytest.mark.process
def test_one_with_wrong_settings_ends_the_others(run: RunFolder) -> None:
    minute = "import select, sys; select.select([sys.stdin], [], [], 60)"
    other = subprocess.Popen([sys.executable, "-c", minute], stdin=subprocess.PIPE)
    announce(run.node("n0"), "failed", exit_code=2, message="datasets: empty")
    announce(run.node("n1"), "running", pid=other.pid)
    states = launcher.follow(run, NAMES, ended_server(2))
    other.communicate()
    assert states["n0"].message == "datasets: empty"
    assert other.returncode == -signal.SIGTERM


def test_one_that_crashed_does_not_end_the_others(run: RunFolder) -> None:
    announce(run.node("n0"), "failed", exit_code=1)
    announce(run.node("n1"), "running")
    looks = iter(range(3))

    def look(newest: object) -> None:
        if next(looks, None) is None:
            announce(run.node("n1"), "finished", exit_code=0)  # this process: still here to say so

    states = launcher.follow(run, NAMES, ended_server(1), look)
    assert {name: s.phase for name, s in states.items()} == {"n0": "failed", "n1": "finished"}


def test_who_has_a_job_and_said_nothing_is_about_to_come_up(run: RunFolder) -> None:
    assert launcher.starting(run) == set()  # no fork server
    announce(run.server, "running")
    announce(run.node("n0"), "running")
    assert launcher.starting(run) == {"n1"}


def test_the_newest_whole_record_is_read(run: RunFolder) -> None:
    path = run.node("n0").records
    assert launcher.newest_record(path) is None
    with RecordWriter(path) as writer:
        for round in range(3):
            writer.write(record(round))
    newest = launcher.newest_record(path)
    assert newest is not None
    assert newest.round == 2
    with path.open("a") as file:
        file.write('{"round": 3, "ti')  # torn
    assert launcher.newest_record(path) == newest


def test_a_record_longer_than_one_read_is_found(run: RunFolder) -> None:
    path = run.node("n0").records
    with RecordWriter(path) as writer:
        for round in range(launcher.TAIL // 100):
            writer.write(record(round))
    assert path.stat().st_size > launcher.TAIL
    newest = launcher.newest_record(path)
    assert newest is not None
    assert newest.round == launcher.TAIL // 100 - 1


def test_only_nodes_count_as_started(run: RunFolder) -> None:
    announce(run.server, "running")
    announce(run.node("n1"), "running")
    assert run.started() == ("n1",)
    state = state_of(run.node("n1"))
    assert state is not None
    assert state.pid == os.getpid()
