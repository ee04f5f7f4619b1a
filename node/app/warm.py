"""What all jobs of a run share: settings, and the learning stack imported and opened once, before the first fork."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from node.app.settings import learn_settings
from node.config import NodeConfig
from node.graph.topology import Topology
from node.types import PeerId

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads would not survive a fork
os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its core tells every stream that ends; our log tells what matters


@dataclass(frozen=True, slots=True)
class Warm:
    """Ready to run jobs."""

    config: NodeConfig
    topology: Topology
    settings: Any  # learn.prepare.LearnSettings
    base: Any  # learn.base.Base
    learner: Any  # learn.prepare.Learner, or None where every node has data of its own


def prepare(config: NodeConfig, topology: Topology, alone: PeerId | None = None) -> Warm:
    """Import the learning stack and open what the nodes of a run have in common; one thread only.

    Args:
        alone: the only node of this process: then it opens its texts itself, and no others.
    """
    import torch

    torch.set_num_threads(1)
    from node.learn.prepare import open_learner, open_model

    settings = learn_settings(config)
    base = open_model(settings, alone or topology.nodes[0])
    learner = None
    if settings.common and alone is None:
        from node.app.cache import fill_caches

        learner = open_learner(settings, base)
        fill_caches(learner.caches, len(os.sched_getaffinity(0)))
    return Warm(config, topology, settings, base, learner)
