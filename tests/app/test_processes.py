"""Who runs is told by files that anyone may read, and believed only while the process lives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.app.run.processes import announce, end, interruptible, running, state_of, telling
from node.app.run.run_folder import NodeFolder, read_json, write_json
from node.errors import ConfigError
from tests.lab import eventually

STUBBORN = (
    "import signal, sys\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\nsys.stdin.read()"
)
OBEDIENT = "import sys\nprint('up', flush=True)\nsys.stdin.read()"


@pytest.fixture
def folder(tmp_path: Path) -> NodeFolder:
    return NodeFolder(tmp_path / "n0")


class Child:
    """A process that waits for the end of its input, and says when it is up."""

    def __init__(self, code: str, folder: NodeFolder) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"up\n"
        announce(folder, "running", epoch=3, pid=self.process.pid)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def obedient(folder: NodeFolder) -> Iterator[Child]:
    child = Child(OBEDIENT, folder)
    yield child
    child.close()


@pytest.fixture
def stubborn(folder: NodeFolder) -> Iterator[Child]:
    child = Child(STUBBORN, folder)
    yield child
    child.close()


def test_nobody_has_a_state_before_the_first_start(folder: NodeFolder) -> None:
    assert state_of(folder) is None
    assert running(folder) is None


def test_a_process_tells_its_own_state(folder: NodeFolder) -> None:
    announce(folder, "running", epoch=2)
    state, process = state_of(folder), running(folder)
    assert state is not None
    assert (state.phase, state.epoch, state.pid) == ("running", 2, os.getpid())
    assert process is not None
    assert process.pid == os.getpid()


def test_a_pid_that_came_back_is_another_process(folder: NodeFolder) -> None:
    announce(folder, "running")
    told = read_json(folder.state)
    assert told is not None
    write_json(folder.state, told | {"created": told["created"] - 60.0})
    state = state_of(folder)
    assert state is not None
    assert (state.phase, state.exit_code) == ("failed", 1)
    assert f"process {os.getpid()} was killed" in state.message


@pytest.mark.process
def test_a_killed_process_has_failed(folder: NodeFolder, obedient: Child) -> None:
    obedient.process.kill()
    eventually(lambda: running(folder) is None, "the kill")  # a zombie until we wait for it: dead all the same
    state = state_of(folder)
    assert state is not None
    assert (state.phase, state.epoch) == ("failed", 3)


@pytest.mark.process
def test_who_obeys_is_not_killed(folder: NodeFolder, obedient: Child) -> None:
    assert end([folder], grace=30.0) == []
    assert obedient.process.wait() == -signal.SIGTERM


@pytest.mark.process
def test_who_does_not_obey_is_killed(folder: NodeFolder, stubborn: Child) -> None:
    assert end([folder], grace=0.1) == [folder]
    assert stubborn.process.wait() == -signal.SIGKILL


def test_ending_who_has_ended_does_nothing(folder: NodeFolder) -> None:
    announce(folder, "finished", exit_code=0)
    assert end([folder], grace=30.0) == []


# ---- what goes wrong is told
def test_wrong_settings_are_told_with_code_2(folder: NodeFolder) -> None:
    with pytest.raises(ConfigError), telling(folder):
        raise ConfigError("node.yaml: seed: 'x'; wanted a whole number")
    state = state_of(folder)
    assert state is not None
    assert (state.phase, state.exit_code) == ("failed", 2)
    assert state.message == "node.yaml: seed: 'x'; wanted a whole number"


def test_a_crash_is_told_with_code_1_and_the_log(folder: NodeFolder) -> None:
    with pytest.raises(ZeroDivisionError), telling(folder):
        _ = 1 / 0
    state = state_of(folder)
    assert state is not None
    assert (state.phase, state.exit_code) == ("failed", 1)
    assert state.message == f"ZeroDivisionError: division by zero; see {folder.log}"


def test_an_interruption_is_no_failure(folder: NodeFolder) -> None:
    with pytest.raises(KeyboardInterrupt), telling(folder):
        raise KeyboardInterrupt
    state = state_of(folder)
    assert state is not None
    assert (state.phase, state.exit_code) == ("stopped", 0)


def test_a_signal_on_the_way_out_does_not_turn_finished_into_stopped(folder: NodeFolder) -> None:
    def ends_late() -> None:
        with telling(folder):
            announce(folder, "finished", exit_code=0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ends_late()
    state = state_of(folder)
    assert state is not None
    assert state.phase == "finished"


def test_what_an_earlier_process_finished_does_not_count(folder: NodeFolder) -> None:
    announce(folder, "finished", exit_code=0, pid=os.getppid())
    with pytest.raises(KeyboardInterrupt), telling(folder):
        raise KeyboardInterrupt
    state = state_of(folder)
    assert state is not None
    assert state.phase == "stopped"


def test_sigterm_interrupts_once(folder: NodeFolder) -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        interruptible()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)  # from the other side: nothing happens
    finally:
        signal.signal(signal.SIGTERM, before)


# ---- files
def test_json_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state.json"
    assert read_json(path) is None
    write_json(path, {"a": 1})
    assert read_json(path) == {"a": 1}
    assert [p.name for p in path.parent.iterdir()] == ["state.json"]
    path.write_text('{"a": ')
    assert read_json(path) is None
    path.write_text("[1]")
    assert read_json(path) is None


def test_a_file_where_a_folder_should_be_holds_no_state(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    assert state_of(NodeFolder(tmp_path / "run" / "n0")) is None
