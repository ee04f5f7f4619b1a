"""Several `gossip` commands, each a process of its own, forked when the slow imports are done once.

    python -m tests.e2e.warm '{"n0": ["run", "--id", "n0"], ...}'

What each prints goes to NAME.err in the working directory; standard output gets {"n0": exit code, ...}.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch

import node.app.adapters.predict
import node.app.launching.jobs
import node.learn.training.trainer  # noqa: F401
from node.cli.main import main as gossip


def main() -> None:
    torch.set_num_threads(1)  # as in the fork server: two-thread work before a fork hangs the child
    commands = json.loads(sys.argv[1])
    pids = {name: fork(name, arguments) for name, arguments in commands.items()}
    codes = {name: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for name, pid in pids.items()}
    print(json.dumps(codes))


def fork(name: str, arguments: list[str]) -> int:
    pid = os.fork()
    if pid:
        return pid
    with Path(f"{name}.err").open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = ["gossip", *arguments]
    try:
        gossip()
    except SystemExit as end:
        sys.stderr.flush()
        os._exit(int(end.code or 0))


if __name__ == "__main__":
    main()
