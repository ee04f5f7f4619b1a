"""What the verbs that only look and steer cost: CPU seconds and memory of a process, with torch left out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from _figures import Figure, at_most, main

VERBS = (["--version"], ["topology", "show", "topology/ring-8.yaml"], ["health", "127.0.0.1:1"])
SCRIPT = (
    "import resource, sys; sys.argv = ['gossip', *sys.argv[1:]]\n"
    "from node.cli.main import main\n"
    "try: main()\n"
    "except SystemExit: pass\n"
)
REPORT = SCRIPT + (
    "r = resource.getrusage(resource.RUSAGE_SELF)\n"
    "print(r.ru_utime + r.ru_stime, r.ru_maxrss * 1024, 'torch' in sys.modules, file=sys.stderr)"
)


def cost(arguments: list[str]) -> tuple[float, float, bool]:
    """(CPU seconds, bytes, whether torch was imported) of one process."""
    done = subprocess.run([sys.executable, "-c", REPORT, *arguments], capture_output=True, text=True)
    seconds, memory, torch = done.stderr.strip().splitlines()[-1].split()
    return float(seconds), float(memory), torch == "True"


def measure(quick: bool) -> tuple[Sequence[int], Sequence[Figure]]:
    figures = []
    for arguments in VERBS:
        runs = [cost(arguments) for _ in range(3 if quick else 9)]
        name = "gossip " + " ".join(arguments[:2])
        figures.append(Figure(f"{name}: CPU, median", sorted(r[0] for r in runs)[len(runs) // 2], "s"))
        figures.append(Figure(f"{name}: peak memory", max(r[1] for r in runs) / 1e6, "MB"))
        figures.append(at_most(f"{name}: imports torch", float(any(r[2] for r in runs)), "0 or 1", 0))
    return [], figures


if __name__ == "__main__":
    main("control_plane", measure, __doc__ or "")
