"""Who runs: every process of a run writes its own `state.json`; anyone may read it. No parent is needed to know.

A state is believed only while its process lives: a pid counts together with the moment of its creation, since pids
come back.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from node.app.run.run_folder import NodeFolder, read_json, write_json
from node.errors import ConfigError

ENDED = ("finished", "stopped", "failed")
POLL = 0.05  # seconds between looks at a process that is asked to end


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessState:
    """What a process last said of itself."""

    phase: str  # "running", or one of ENDED
    pid: int
    created: float  # seconds from the machine's start to the process's; no clock that can be set
    epoch: int = 0
    exit_code: int | None = None
    message: str = ""
    address: str = ""  # host:port where this machine reaches it, if it listens


def announce(
    folder: NodeFolder,
    phase: str,
    epoch: int = 0,
    exit_code: int | None = None,
    message: str = "",
    pid: int | None = None,
    address: str = "",
) -> None:
    """Write our own state, or that of a process `pid` which we have just started."""
    pid = pid or os.getpid()
    created = started(pid)
    state = ProcessState(
        phase=phase, pid=pid, created=created, epoch=epoch, exit_code=exit_code, message=message, address=address
    )
    write_json(folder.state, asdict(state))


def started(pid: int) -> float:
    """When a process began, in seconds after the machine did (field 22 of /proc/PID/stat).

    psutil counts from 1970, by the time of day: set by a second, every living node would look like another process.

    Raises:
        FileNotFoundError: no such process.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def interruptible() -> None:
    """From here on SIGTERM raises KeyboardInterrupt, as Ctrl-C does; once, for it may come from two sides."""
    signal.signal(signal.SIGTERM, _interrupt)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # the fork server holds it back while it forks


def _interrupt(number: int, frame: object) -> None:
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


@contextmanager
def telling(folder: NodeFolder) -> Iterator[None]:
    """What goes wrong inside is told in our state before it goes on its way; a signal after our end changes nothing."""
    try:
        yield
    except KeyboardInterrupt:
        if not _has_ended(folder):
            announce(folder, "stopped", exit_code=0, message="interrupted; start it again to go on")
        raise
    except ConfigError as error:
        announce(folder, "failed", exit_code=2, message=str(error))
        raise
    except BaseException as error:
        announce(folder, "failed", exit_code=1, message=f"{type(error).__name__}: {error}; see {folder.log}")
        raise


def _has_ended(folder: NodeFolder) -> bool:
    """Whether this process has said how it ended: then it is only on its way out."""
    said = read_json(folder.state)
    return said is not None and said["pid"] == os.getpid() and said["phase"] in ENDED


def state_of(folder: NodeFolder) -> ProcessState | None:
    """The last state; "failed" where it says running and the process is gone. None: never started."""
    document: dict[str, Any] | None = read_json(folder.state)
    if document is None:
        return None
    state = ProcessState(**document)
    if state.phase == "running" and process_of(state) is None:
        lost = {"phase": "failed", "exit_code": 1, "message": f"process {state.pid} was killed; see {folder.log}"}
        return ProcessState(**(document | lost))
    return state


def process_of(state: ProcessState) -> psutil.Process | None:
    """The living process that wrote `state`."""
    try:
        process = psutil.Process(state.pid)
        alive = started(state.pid) == state.created and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return None
    return process if alive else None


def running(folder: NodeFolder) -> psutil.Process | None:
    state = state_of(folder)
    return process_of(state) if state is not None and state.phase == "running" else None


def end(folders: Iterable[NodeFolder], grace: float) -> list[NodeFolder]:
    """Ask the processes of `folders` to end (SIGTERM), and kill those that still run after `grace` seconds.

    Returns:
        The folders whose process had to be killed.
    """
    alive = {f: p for f in folders if (p := running(f)) is not None}
    for process in alive.values():
        _signal(process, signal.SIGTERM)
    until = time.monotonic() + grace
    while time.monotonic() < until and any(running(f) for f in alive):
        time.sleep(POLL)
    killed = [f for f in alive if running(f) is not None]
    for folder in killed:
        _signal(alive[folder], signal.SIGKILL)
    return killed


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
