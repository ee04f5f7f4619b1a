"""What the network learns, beside learners that do not gossip: MiniLM and real text, all nodes in one process each.

To write a row: a module benchmarks/_learning/NAME.py with `rows(quick: bool) -> list[Figure]`, which calls
`run(Setting(...))` of `_learning.network` for each of `seeds(quick)`, and makes figures with `nodes`, `several` and
`gain` of `_learning.tables` (mean, deviation, worst node, paired difference); then its name into PARTS below.
`--only NAME` runs it alone. Text is found by GOSSIP_DATA or in shared/data beside the checkout (`_learning.data`).

A part that is done is kept in benchmarks/out/learning/; `--resume` takes what the same commit has left there, where no
file differs from it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path

from _figures import ROOT, Figure, commit, main

PARTS = (  # modules of _learning
    "relay",
    "products",
    "codecs",
    "levers",
    "remedies",
    "baselines",
    "defaults",
    "sharing",
    "foundation",
    "full",
    "causal",
    "levers_nodes",
    "levers_steps",
)
AT_ONCE = 2  # processes
KEPT = ROOT / "benchmarks" / "out" / "learning"


def measure(quick: bool) -> tuple[Sequence[int], Sequence[Figure]]:
    """Two parts at a time: none of them measures seconds. A process a part; short ones share what is loaded."""
    wanted, resume = OPTIONS.only or PARTS, OPTIONS.resume
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    most = None if quick else 1
    with ProcessPoolExecutor(AT_ONCE, mp_context=get_context("spawn"), max_tasks_per_child=most) as pool:
        parts = [pool.submit(rows, name, quick, resume) for name in wanted]
        return range(1 if quick else 3), [figure for part in parts for figure in part.result()]


def rows(name: str, quick: bool, resume: bool) -> list[Figure]:
    """Figures of one part; kept, so that a run that is killed loses little."""
    path = KEPT / f"{name}{'.quick' if quick else ''}.json"
    if resume and (figures := _kept(path)) is not None:
        return figures
    import torch

    torch.set_num_threads(1)
    start = time.process_time()
    found: list[Figure] = import_module(f"_learning.{name}").rows(quick)
    seconds = round(time.process_time() - start)
    print(f"{name}: {seconds} CPU seconds", file=sys.stderr, flush=True)
    KEPT.mkdir(parents=True, exist_ok=True)
    kept = {"commit": commit(), "cpu_seconds": seconds, "figures": [asdict(figure) for figure in found]}
    path.write_text(json.dumps(kept, indent=1))
    return found


def _kept(path: Path) -> list[Figure] | None:
    """What the same tree has left; None: nothing."""
    kept = json.loads(path.read_text()) if path.exists() else {}
    is_same = kept.get("commit") == commit() and not commit().endswith("+")
    return [Figure(**figure) for figure in kept["figures"]] if is_same else None


def long() -> list[Figure]:
    """64 nodes; here, not in a pool."""
    found: list[Figure] = import_module("_learning.levers_nodes").long()
    return found


# --only and --resume, taken off the command line before `main` reads the rest of it
OPTIONS = argparse.Namespace(only=None, resume=False)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART")
    parser.add_argument("--resume", action="store_true")
    OPTIONS, sys.argv[1:] = parser.parse_known_args()
    main("learning", measure, long=long, about=f"{__doc__}\nAlso: --only PART ... ({', '.join(PARTS)}), --resume.")
