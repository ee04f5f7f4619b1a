"""What a forked process does: run a node of the network, or learners to compare with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from node.app.run.run_folder import RunFolder
from node.app.warm import Warm, opened
from node.types import PeerId


def run_job(run: RunFolder, job: Mapping[str, Any], warm: Warm) -> int:
    """One job in this process; its exit code."""
    import torch

    torch.set_num_threads(warm.config.threads)
    folder = run.node(job["name"])
    if job["kind"] == "node":
        from node.app.node import Node
        from node.drivers.slow import Slow

        peer = PeerId(job["name"])
        warm = opened(warm, peer, common=False)
        if "addresses" in job:  # neighbours that this node reaches at another address than the topology file's
            graph = replace(warm.topology, addresses={**warm.topology.addresses, **job["addresses"]})
            warm = replace(warm, topology=graph)
        slow = Slow(**job.get("slow", {}))
        node = Node(run, warm, peer, fresh=job.get("fresh", False), sentences=job.get("sentences", ()), slow=slow)
        return node.run()
    from node.app.learners import Bench, run_alone, run_pooled

    warm = opened(warm, warm.topology.nodes[0], common=True)
    bench = Bench(warm.settings, warm.base, warm.learner, warm.config.gossip.rounds)
    if job["kind"] == "alone":
        run_alone(bench, folder, warm.topology.nodes, job["sentences"])
    else:
        run_pooled(bench, folder, job["rates"])
    return 0
