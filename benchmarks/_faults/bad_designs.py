"""Fork servers that start nodes of a worse design: to see that a figure notices."""

from __future__ import annotations

import sys

from node.app import node
from node.app.launching import forkserver
from node.core.peer_config import PeerConfig


def not_probing() -> int:
    """Nodes that never ask a silent neighbour whether it is there. Runs `python -c CODE RUN_FOLDER`."""
    from dataclasses import replace

    ours = node.peer_config

    def peer_config(*given: object) -> PeerConfig:
        return replace(ours(*given), probing=False)  # type: ignore[arg-type]

    node.peer_config = peer_config
    return forkserver.main(sys.argv[1:])
