"""The demo: four nodes on a ring learn docstrings by area; beside them, learners that do not gossip.

Decides the settings of that run and what is told of it. The nodes are ordinary nodes: `gossip up` with the files that
this leaves in the run folder does the same.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.app.launching import launcher
from node.app.run.run_folder import RunFolder, make_folder, read_json
from node.config import NodeConfig, check_config, write_yaml
from node.errors import ConfigError, GossipError
from node.graph.topology import Topology
from node.observe.distance import consensus_distance
from node.observe.records import RoundRecord, read_records
from node.observe.sketch import from_bytes
from node.yaml_files import to_yaml, write_text

NODES = 4
ROUNDS = 120
FIRST_PORT = 7001
ALONE, POOLED = "alone", "pooled"  # folders of the learners that do not gossip
SENTENCES = (
    "Accept an incoming connection and answer the HTTP request.",
    "Return the median of a list of numbers.",
    "Wait until the child process has ended.",
)
MIXINGS = {"moments": ("dpsgd", True), "exact": ("exact", True), "dpsgd": ("dpsgd", False)}
POOLED_RATES = (5e-3, 5e-3)  # same batch, four times the batch: the best of the grid in docs/experiments.md

Progress = Callable[[Mapping[str, RoundRecord | None]], None]


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """What the user may choose."""

    seed: int = 0
    mixing: str = "moments"  # one of MIXINGS
    partition: str = "class"  # class, iid, or dirichlet:ALPHA
    rounds: int = ROUNDS

    def config(self, output_dir: Path) -> NodeConfig:
        """The node file of this demo.

        Raises:
            ConfigError: a choice that is not known.
        """
        if self.mixing not in MIXINGS:
            raise ConfigError(f"--mixing {self.mixing}: wanted one of {', '.join(MIXINGS)}")
        rule, moments = MIXINGS[self.mixing]
        partition: dict[str, Any] = {"by": self.partition, "seed": self.seed}
        if self.partition.startswith("dirichlet:"):
            partition |= {"by": "dirichlet", "alpha": _number(self.partition.removeprefix("dirichlet:"))}
        return check_config(
            {
                "base_model": "minilm",
                "datasets": [{"path": "stdlib-docstrings"}],
                "output_dir": str(output_dir),
                "partition": partition,
                "lora": {
                    "r": 8,
                    "alpha": 16.0,
                    "target_modules": ["query", "value"],
                    "layers": [5],
                    "modules_to_save": ["pooler"],
                },
                "train": {
                    "learning_rate": 7e-3,
                    "lr_scheduler": "linear",
                    "warmup_ratio": 0.2,
                    "adam_beta1": 0.8,
                    "micro_batch_size": 16,
                    "local_steps": 1,
                    "sequence_len": 16,
                    "eval_every": 8,
                },
                "gossip": {"rounds": self.rounds, "mixing": rule, "moments": moments, "topology": "topology.yaml"},
                "seed": self.seed,
                "checkpoint_every": 20,
            },
            "demo",
        )


def prepare(plan: DemoPlan, path: Path) -> RunFolder:
    """Write the files of a new run below `path`; nothing is written when the plan is wrong."""
    config = plan.config(path)
    ports = free_ports(NODES)
    nodes = {f"n{i}": f"127.0.0.1:{port}" for i, port in enumerate(ports)}
    edges = [["n0", "n1"], ["n1", "n2"], ["n2", "n3"], ["n3", "n0"]]
    run = RunFolder(path)
    if path.exists():
        raise ConfigError(f"--run {path}: exists already, and is left as it is; wanted a new folder")
    make_folder(path, "name another by --run")
    write_yaml(run.config, config)
    write_text(run.topology, to_yaml({"nodes": nodes, "edges": edges}))
    return run


def execute(run: RunFolder, topology: Topology, progress: Progress) -> dict[str, Any]:
    """Run the nodes and the learners to the end; the document of `gossip demo --json`.

    Raises:
        GossipError: one of them failed; the message says which and why.
    """
    started = time.monotonic()
    names = [*topology.nodes, ALONE, POOLED]
    server = launcher.start(run, _jobs(topology), threads=1)
    try:
        states = launcher.follow(run, names, server, progress)
    except KeyboardInterrupt:
        launcher.stop(run, names)
        raise
    if wrong := [s.message for s in states.values() if s.exit_code == 2]:
        raise ConfigError(wrong[0])
    failed = [f"{name}: {s.message}" for name, s in states.items() if s.phase != "finished"]
    if failed:
        raise GossipError("; ".join(failed))
    return _document(run, topology, time.monotonic() - started)


def free_ports(count: int) -> list[int]:
    """`FIRST_PORT` and the following where they are free, else ports that the system gives."""
    wanted = range(FIRST_PORT, FIRST_PORT + count)
    if all(_is_free(port) for port in wanted):
        return list(wanted)
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def _jobs(topology: Topology) -> list[dict[str, Any]]:
    nodes = [{"kind": "node", "name": peer, "fresh": True, "sentences": SENTENCES} for peer in topology.nodes]
    return [
        *nodes,
        {"kind": "alone", "name": ALONE, "sentences": SENTENCES},
        {"kind": "pooled", "name": POOLED, "rates": POOLED_RATES},
    ]


def _document(run: RunFolder, topology: Topology, seconds: float) -> dict[str, Any]:
    nodes = [read_json(run.node(peer).result) or {} for peer in topology.nodes]
    alone, pooled = read_json(run.node(ALONE).result) or {}, read_json(run.node(POOLED).result) or {}
    records = [read_records(run.node(peer).records) for peer in topology.nodes]
    sent = [n["bytes_sent"] for n in nodes]
    return {
        "isolated": [alone["isolated"][peer] for peer in topology.nodes],
        "isolated_ceiling": [alone["isolated_ceiling"][peer] for peer in topology.nodes],
        "one_shot": alone["one_shot"],
        "gossip": [n["accuracy"] for n in nodes],
        **pooled,
        "consensus_distance": {
            "start": consensus_distance([from_bytes(r[0].before) for r in records]),
            "end": consensus_distance([from_bytes(r[-1].after) for r in records]),
        },
        "rounds": nodes[0]["rounds"],
        "bytes_per_node": round(sum(sent) / len(sent)),
        "ideal_bytes_per_node": nodes[0]["ideal_bytes"],
        "seconds": round(seconds, 1),
        "seed": nodes[0]["seed"],
        "data_digest": nodes[0]["data_digest"],
        "sentences": [
            {"text": text, "alone": before, "network": after}
            for text, before, after in zip(SENTENCES, alone["sentences"], nodes[0]["sentences"], strict=True)
        ],
    }


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"--partition dirichlet:{text}: {text!r} is no number; wanted e.g. dirichlet:0.3") from None
