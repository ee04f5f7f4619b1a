"""The demo, on several seeds, partitions and mixing rules: accuracy against the learners that do not gossip.

benchmarks/demo.py            seeds 0 to 4 with each class on one node; the other partitions and rules on seed 0
benchmarks/demo.py --quick    seed 0 only
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from _figures import Figure, at_least, at_most, main

POINTS = 100  # percent
SEEDS = (0, 1, 2, 3, 4)
OTHERS = (("class", "exact"), ("class", "dpsgd"), ("dirichlet:0.3", "moments"), ("iid", "moments"))


def run(seed: int, partition: str = "class", mixing: str = "moments") -> dict[str, Any]:
    """One `gossip demo --json`, in a folder that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        options = [
            "--seed",
            str(seed),
            "--partition",
            partition,
            "--mixing",
            mixing,
            "--run",
            str(Path(folder) / "run"),
        ]
        command = [sys.executable, "-m", "node", "demo", "--json", *options]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def barred(seed: int, d: dict[str, Any]) -> list[Figure]:
    """The bars of the demo: gossip against every lone node and against the better learner with all the data."""
    over_lone = POINTS * (min(d["gossip"]) - max(d["isolated"]))
    over_pooled = POINTS * (mean(d["gossip"]) - max(d["centralised"], d["centralised_4x"]))
    return [
        at_least(f"seed {seed}: gossip's worst node above the best lone node", over_lone, "points", 25),
        at_least(f"seed {seed}: gossip's mean above the better learner with all data", over_pooled, "points", -3),
        at_most(f"seed {seed}: wall time of the demo", d["seconds"], "s", 90),
        *accuracies(f"seed {seed}", d),
    ]


def accuracies(title: str, d: dict[str, Any]) -> list[Figure]:
    """Accuracy of everybody, consensus distance and traffic: nothing to hold."""
    values = {
        "best node alone": max(d["isolated"]),
        "best ceiling of a lone node": max(d["isolated_ceiling"]),
        "adapters averaged once": d["one_shot"],
        "gossip, mean": mean(d["gossip"]),
        "gossip, worst node": min(d["gossip"]),
        "one learner, all data": d["centralised"],
        "one learner, all data, 4x batch": d["centralised_4x"],
    }
    return [
        *(Figure(f"{title}: {name}", POINTS * value, "%") for name, value in values.items()),
        Figure(f"{title}: consensus distance at the end", d["consensus_distance"]["end"], "of |mean update|"),
        Figure(f"{title}: sent a node, over the ideal", d["bytes_per_node"] / d["ideal_bytes_per_node"], "ratio"),
    ]


def measure(quick: bool) -> tuple[Sequence[int], Sequence[Figure]]:
    seeds = SEEDS[:1] if quick else SEEDS
    figures = [figure for seed in seeds for figure in barred(seed, run(seed))]
    for partition, mixing in () if quick else OTHERS:
        figures += accuracies(f"{partition}, {mixing}, seed 0", run(0, partition, mixing))
    return seeds, figures


if __name__ == "__main__":
    main("demo", measure, __doc__ or "")
