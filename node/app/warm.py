"""What all jobs of a run share: settings, and the learning stack imported and opened once, before the first fork."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

from node.app.rules.code import Code, load, require_allowed
from node.app.settings import learn_settings
from node.config import NodeConfig, code_of, own_labels
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
    base: Any  # learn.base.Base, or None where it belongs on a GPU: then every child opens its own, see `opened`
    learner: Any  # learn.prepare.Learner, or None where every node has data of its own
    code: Code | None = None  # the rule, where it is the user's own

    def of(self, peer: PeerId) -> Warm:
        """The same for `peer`: where each node has labels of its own, it opens the base with a head of its own size."""
        if not own_labels(self.config):
            return self
        from node.learn.prepare import open_model

        settings = learn_settings(self.config, peer, self.settings.train.alternate)
        return self if settings == self.settings else replace(self, settings=settings, base=open_model(settings, peer))


def prepare(config: NodeConfig, topology: Topology, alone: PeerId | None = None, allow_code: bool = False) -> Warm:
    """Import the learning stack and open what the nodes of a run have in common; one thread only.

    Args:
        alone: the only node of this process: then it opens its texts itself, and no others.
        allow_code: the command line allows that the rule is code of the user's own; it is imported here, once.
    """
    import torch

    torch.set_num_threads(1)
    from node.app.rules.products import period_of
    from node.learn.model.device import CPU, device_of
    from node.learn.prepare import open_learner, open_model

    code = load_code(config, allow_code)
    first = alone or topology.nodes[0]
    settings = learn_settings(config, first, period_of(config, topology))
    if device_of(settings.train.device) != CPU and alone is None:
        return Warm(config, topology, settings, None, None, code)
    base = open_model(settings, first)
    learner = None
    if settings.common and alone is None:
        from node.app.cache import fill_caches

        learner = open_learner(settings, base)
        fill_caches(learner.caches, len(os.sched_getaffinity(0)))
    return Warm(config, topology, settings, base, learner, code)


def opened(warm: Warm, peer: PeerId, common: bool) -> Warm:
    """With the base (and the common texts) open in this process; CUDA does not survive a fork.

    Args:
        common: whether this job reads the texts of all nodes.
    """
    if warm.base is not None:
        return warm
    from node.learn.prepare import open_learner, open_model

    base = open_model(warm.settings, peer)
    return replace(warm, base=base, learner=open_learner(warm.settings, base) if common else None)


def load_code(config: NodeConfig, allowed: bool) -> Code | None:
    """The rule that is the user's own code; None where it is one of ours.

    Raises:
        ConfigError: it is not allowed, or cannot be loaded.
    """
    rule = code_of(config)
    if rule is None:
        return None
    require_allowed(rule.name, allowed)
    return load(rule.name, rule.settings)
