"""A full node against the simulator: `gossip up` with eight real processes, and `gossip simulate` of the same files.

Where nobody is late the adapters are the same files, bit for bit; a busy machine may make somebody late, and then the
accuracies may differ as two seeds do.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from _figures import ROOT, Figure, at_most, just

from _learning.network import Setting
from node.app.demo import free_ports
from node.config import NodeConfig, write_yaml
from node.graph.topology import Topology
from node.yaml_files import to_yaml, write_text

NODES = 8
RULES = ("dpsgd", "auto")
NOISE = 1.0  # points; what two seeds differ by on this set


def rows(quick: bool) -> list[Figure]:
    setting = Setting(nodes=4, rounds=4, data="few16") if quick else Setting(nodes=NODES, rounds=20)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        return [
            f for rule in RULES[: 1 if quick else 2] for f in _pair(place / rule, replace(setting, mixing=rule), rule)
        ]


def _pair(place: Path, setting: Setting, rule: str) -> list[Figure]:
    place.mkdir()
    config, topology = setting.config(), setting.topology()
    real, here = _verb("up", place, config, topology), _verb("simulate", place, config, topology)
    apart = [abs(real[n]["accuracy"] - here[n]["accuracy"]) for n in real]
    same = [_weights(place / "up" / n) == _weights(place / "simulate" / n) for n in real]
    head = f"full node, {setting.nodes} processes on a ring, {rule}"
    return [
        just(f"{head}: adapters equal to the simulator's, bit for bit", sum(same), "nodes", len(same)),
        at_most(f"{head}: accuracy apart from the simulator's, worst node", 100 * max(apart), "points", NOISE),
    ]


def _verb(verb: str, place: Path, config: NodeConfig, topology: Topology) -> dict[str, Mapping[str, Any]]:
    """Run it; the result of every node by id."""
    nodes = {
        peer: f"127.0.0.1:{port}" for peer, port in zip(topology.nodes, free_ports(len(topology.nodes)), strict=True)
    }
    write_yaml(place / "node.yaml", config.model_copy(update={"output_dir": str(place / verb)}))
    write_text(place / "ring.yaml", to_yaml({"nodes": nodes, "generator": "ring"}))
    command = [sys.executable, "-m", "node", verb, "ring.yaml", "--config", "node.yaml", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=place, stdout=subprocess.PIPE, check=True, env=environment)
    return {node["id"]: node["result"] for node in json.loads(done.stdout)["nodes"]}


def _weights(node: Path) -> bytes:
    return (node / "adapter" / "adapter_model.safetensors").read_bytes()
