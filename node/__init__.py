"""Gossip learning: nodes train LoRA adapters on private data and average them with their neighbours. No server.

The names below are what others may build on; each is imported when it is first used, so that `import node` costs
nothing and the control plane never sees torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from node.app.own_loop.callback import GossipCallback
    from node.app.simulating.simulate import simulate
    from node.config import load_topology
    from node.core.peer import GossipPeer
    from node.core.peer_config import PeerConfig
    from node.drivers.faults import Faults
    from node.errors import ConfigError
    from node.gossip.mixing import Context, Heard, Mixing
    from node.graph.topology import Topology
    from node.settings import NodeConfig

__version__ = "0.1.0"

__all__ = [
    "ConfigError",
    "Context",
    "Faults",
    "GossipCallback",
    "GossipPeer",
    "Heard",
    "Mixing",
    "NodeConfig",
    "PeerConfig",
    "Topology",
    "__version__",
    "load_topology",
    "simulate",
]

_HOMES = {
    "ConfigError": "node.errors",
    "Context": "node.gossip.mixing",
    "Faults": "node.drivers.faults",
    "GossipCallback": "node.app.own_loop.callback",
    "GossipPeer": "node.core.peer",
    "Heard": "node.gossip.mixing",
    "Mixing": "node.gossip.mixing",
    "NodeConfig": "node.settings",
    "PeerConfig": "node.core.peer_config",
    "Topology": "node.graph.topology",
    "load_topology": "node.config",
    "simulate": "node.app.simulating.simulate",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'node' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
