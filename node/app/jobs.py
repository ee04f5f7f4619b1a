"""What a forked process does: run a node of the network, or learners to compare with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from node.app.run_folder import RunFolder
from node.app.settings import learn_settings
from node.config import NodeConfig, load_node_config, load_topology
from node.graph.topology import Topology
from node.types import PeerId

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads would not survive a fork


@dataclass(frozen=True, slots=True)
class Warm:
    """What all jobs of a run share, opened before the first fork."""

    config: NodeConfig
    topology: Topology
    settings: Any  # learn.prepare.LearnSettings
    base: Any  # learn.base.Base
    learner: Any  # learn.prepare.Learner, or None where every node has data of its own


def prepare(run: RunFolder, alone: PeerId | None = None) -> Warm:
    """Import the learning stack and open what the nodes of `run` have in common; one thread only.

    Args:
        alone: the only node of this process: then it opens its texts itself, and no others.
    """
    import torch

    torch.set_num_threads(1)
    from node.learn.prepare import open_learner, open_model

    config, topology = load_node_config(run.config), load_topology(run.topology)
    settings = learn_settings(config)
    base = open_model(settings, alone or topology.nodes[0])
    learner = None
    if settings.common and alone is None:
        learner = open_learner(settings, base)
        learner.remember()
    return Warm(config, topology, settings, base, learner)


def run_job(run: RunFolder, job: Mapping[str, Any], warm: Warm) -> int:
    """One job in this process; its exit code."""
    import torch

    torch.set_num_threads(warm.config.threads)
    folder = run.node(job["name"])
    if job["kind"] == "node":
        from node.app.node import Node

        peer = PeerId(job["name"])
        return Node(run, warm, peer, fresh=job.get("fresh", False), sentences=job.get("sentences", ())).run()
    from node.app.learners import Bench, run_alone, run_pooled

    bench = Bench(warm.settings, warm.base, warm.learner, warm.config.gossip.rounds)
    if job["kind"] == "alone":
        run_alone(bench, folder, warm.topology.nodes, job["sentences"])
    else:
        run_pooled(bench, folder, job["rates"])
    return 0
