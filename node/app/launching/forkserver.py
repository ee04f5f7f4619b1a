"""Imports the learning stack and opens the frozen base once, then forks one process a job: they share that memory.

Four trainers are ready in 4 s instead of 16, in 0.9 GB instead of 2.9 (2 cores). Children get a session of their own
and write their own state: killing this process, or the launcher, ends nobody. gRPC is imported in the children, after
the fork; torch keeps one thread until then (two-thread work before a fork hangs the child).

    python -m node.app.launching.forkserver RUN_FOLDER [--allow-code]      (reads RUN_FOLDER/jobs.json)

Signals are waited for, never handled in between: SIGCHLD, a child has ended; SIGHUP, jobs.json asks for more (a job
with a "life" that was not started yet); SIGTERM, end, and hand it on, also to children that have not said yet who they
are. With "restart": N in jobs.json, a child that crashed or was killed is started again, N times at the most, each
time after a longer wait. With "stay" it waits for more jobs when all children have ended.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from node.app.launching.launcher import ALLOW_CODE
from node.app.run.output import redirect, turn_over_when_full
from node.app.run.processes import interruptible, telling
from node.app.run.run_folder import RunFolder, read_json
from node.config import load_node_config, load_topology
from node.errors import ConfigError
from node.settings import LogsConfig

Job = Mapping[str, Any]  # {"kind": "node", "name": "n0", "life": 0, ...}; life: which start of `name` it is
AWAITED = {signal.SIGCHLD, signal.SIGHUP, signal.SIGTERM}
BY_DESIGN = (0, 2)  # exit codes after which a restart makes no sense: done, and wrong settings
FIRST, LONGEST = 1.0, 60.0  # seconds before a child is started again; doubled each time


def main(argv: list[str]) -> int:
    """Run all jobs of a run folder; 0 when all of them ended well."""
    run = RunFolder(Path(argv[0]))
    plan = read_json(run.jobs)
    if plan is None:
        print(f"{run.jobs}: missing or damaged", file=sys.stderr)
        return 1
    try:
        from node.app.launching.jobs import run_job
        from node.app.warm import prepare

        warm = prepare(load_node_config(run.config), load_topology(run.topology), allow_code=ALLOW_CODE in argv[1:])
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    gc.collect()
    gc.freeze()  # the collector would otherwise touch, and so copy, every shared page
    return Server(run, lambda job: run_job(run, job, warm), warm.config.logs).serve()


class Server:
    """Starts the jobs of a run folder and waits for them. One thread; signals come when it waits for them.

    Args:
        run: whose jobs.json says what to start.
        work: does a job, in the child.
        logs: of the children.
    """

    def __init__(self, run: RunFolder, work: Callable[[Job], int], logs: LogsConfig) -> None:
        self._run, self._work, self._logs = run, work, logs
        self._children: dict[int, Job] = {}  # by pid; who has ended leaves, for its number may soon be another's
        self._lives: dict[str, int] = {}  # the newest that was started
        self._again: list[tuple[float, Job]] = []  # monotonic seconds, and what to start then
        self._restarts: dict[str, int] = {}
        self._plan: Mapping[str, Any] = {}
        self._is_ending = False
        self._code = 0

    def serve(self) -> int:
        """Until no child is left and none will come; the highest exit code, without those that were made up for."""
        signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)
        self._read()
        while self._children or self._again or self._plan.get("stay"):
            self._wait()
            self._reap()
            now = time.monotonic()
            due, self._again = [j for t, j in self._again if t <= now], [(t, j) for t, j in self._again if t > now]
            for job in due:
                self._start(job)
        return self._code

    def _wait(self) -> None:
        """For the next signal, or until somebody must be started again."""
        next_start = min((t for t, _ in self._again), default=None)
        seconds = LONGEST if next_start is None else max(0.0, next_start - time.monotonic())
        said = signal.sigtimedwait(AWAITED, seconds)
        if said is not None and said.si_signo == signal.SIGHUP and not self._is_ending:
            self._read()
        if said is not None and said.si_signo == signal.SIGTERM:
            self._is_ending, self._plan, self._again = True, {}, []
            for pid in self._children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)

    def _read(self) -> None:
        self._plan = read_json(self._run.jobs) or self._plan
        for job in self._plan["jobs"]:
            if job.get("life", 0) > self._lives.get(job["name"], -1):
                self._start(job)

    def _start(self, job: Job) -> None:
        self._lives[job["name"]] = job.get("life", 0)
        self._children[_fork(self._run, job, self._work, self._logs)] = job

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            code = abs(os.waitstatus_to_exitcode(status))
            job = self._children.pop(pid)
            if code in BY_DESIGN or not self._will_restart(job):
                self._code = max(self._code, code)

    def _will_restart(self, job: Job) -> bool:
        tries = self._restarts.get(job["name"], 0)
        if tries >= self._plan.get("restart", 0) or self._lives[job["name"]] != job.get("life", 0):
            return False
        self._restarts[job["name"]] = tries + 1
        wait = min(FIRST * 2**tries, LONGEST)
        print(f"{job['name']} ended; started again in {wait:g} s ({tries + 1} of {self._plan['restart']})", flush=True)
        self._again.append((time.monotonic() + wait, {**job, "fresh": False}))
        return True


def _fork(run: RunFolder, job: Job, work: Callable[[Job], int], logs: LogsConfig) -> int:
    pid = os.fork()
    if pid:
        return pid
    signal.pthread_sigmask(signal.SIG_UNBLOCK, AWAITED - {signal.SIGTERM})  # `interruptible` lets that one in
    os.setsid()
    log = run.node(job["name"]).log
    redirect(log)
    turn_over_when_full(log, logs.rotate_bytes, logs.keep)
    os._exit(_guarded(run, job, work))


def _guarded(run: RunFolder, job: Job, work: Callable[[Job], int]) -> int:
    """The exit code of a job; whatever goes wrong is in its state and its log."""
    try:
        with telling(run.node(job["name"])):
            interruptible()
            return work(job)
    except KeyboardInterrupt:
        return 0
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def entry() -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the launcher's to handle
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # jobs that come while we import are read after it
    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    entry()
