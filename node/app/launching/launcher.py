"""Starts the processes of a run on this machine and follows them through the files that they write.

No pipe, socket or parent ties a node to its launcher: started again, the launcher finds what is there.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from node.app.run.processes import ENDED, ProcessState, announce, end, running, state_of
from node.app.run.run_folder import NodeFolder, RunFolder, read_json, write_json
from node.errors import BadMessage
from node.observe.records import RoundRecord, from_line

POLL = 0.2  # seconds between two looks at the files
TAIL = 64 * 1024  # bytes; more than one line of records.jsonl
SERVER = ("-m", "node.app.launching.forkserver")
ALLOW_CODE = "--allow-code"
GRACE = 60.0  # seconds that a node has to write its checkpoint


def start(
    run: RunFolder,
    jobs: Sequence[Mapping[str, Any]],
    threads: int,
    *,
    restart: int = 0,
    stay: bool = False,
    allow_code: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a fork server with `jobs`, in a session of its own.

    Args:
        threads: torch threads of each process.
        restart: how often a process that crashed or was killed is started again.
        allow_code: the operator's word that a rule of the node file may be code of its own; it goes on by command line,
            since no file may say it.
        stay: the server waits for `again` when all of them have ended.
    """
    write_json(run.jobs, {"jobs": list(jobs), "restart": restart, "stay": stay})
    for job in jobs:
        run.node(job["name"]).state.unlink(missing_ok=True)
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1"}
    with run.server.log.open("ab") as log:
        server = subprocess.Popen(
            [sys.executable, *SERVER, str(run.path), *([ALLOW_CODE] if allow_code else [])],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=environment,
        )
    announce(run.server, "running", pid=server.pid)
    return server


def again(run: RunFolder, job: Mapping[str, Any]) -> bool:
    """Have the living fork server start `job`, whose process has ended or never was; False: there is no such server.

    Ready in the second that gRPC's import takes, instead of ten.
    """
    server, plan = running(run.server), read_json(run.jobs)
    if server is None or plan is None:
        return False
    lives = [j.get("life", 0) for j in plan["jobs"] if j["name"] == job["name"]]
    others = [j for j in plan["jobs"] if j["name"] != job["name"]]
    run.node(job["name"]).state.unlink(missing_ok=True)
    write_json(run.jobs, {**plan, "jobs": [*others, {**job, "life": max(lives, default=-1) + 1}]})
    server.send_signal(signal.SIGHUP)
    return True


def follow(
    run: RunFolder,
    names: Iterable[str],
    server: subprocess.Popen[bytes],
    progress: Callable[[Mapping[str, RoundRecord | None]], None] = lambda rounds: None,
) -> dict[str, ProcessState]:
    """Wait until every process has ended; their last states.

    Where one finds its settings wrong, the others are ended, too: they would wait for it.

    Args:
        progress: is told the newest record of each name, a few times a second.
    """
    names = list(names)
    while True:
        gone = server.poll() is not None
        states = {name: state_of(run.node(name)) for name in names}
        progress({name: newest_record(run.node(name).records) for name in names})
        ended = {name: s for name, s in states.items() if s is not None and s.phase in ENDED}
        if gone and all(s is None or s.phase in ENDED for s in states.values()):
            return {name: s or _never_started(run, server.returncode) for name, s in states.items()}
        if any(s.exit_code == 2 for s in ended.values()):
            stop(run, names)
        time.sleep(POLL)


def stop(run: RunFolder, names: Iterable[str], grace: float = GRACE) -> list[NodeFolder]:
    """Ask the processes of `names` to end, also those that have not said yet who they are; see `processes.end`."""
    return end([run.server, *(run.node(name) for name in names)], grace)


def newest_record(path: Path) -> RoundRecord | None:
    """The last whole line of a records file; None before the first."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - TAIL))
            lines = file.read().split(b"\n")[:-1]
        return from_line(lines[-1].decode()) if lines else None
    except (FileNotFoundError, BadMessage):
        return None


def last_line(path: Path) -> str:
    """The last line of a log that says something."""
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), f"{path} is empty")


def starting(run: RunFolder) -> set[str]:
    """Who is about to come up: a living fork server has the job, and nobody has said anything of it yet."""
    plan = read_json(run.jobs) if running(run.server) is not None else None
    return {job["name"] for job in (plan or {"jobs": ()})["jobs"] if state_of(run.node(job["name"])) is None}


def _never_started(run: RunFolder, code: int | None) -> ProcessState:
    if code == -signal.SIGTERM:
        return ProcessState(phase="stopped", pid=0, created=0.0, exit_code=0, message="before it was up")
    message = last_line(run.server.log)
    return ProcessState(phase="failed", pid=0, created=0.0, exit_code=code or 1, message=message)
