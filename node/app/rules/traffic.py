"""What a node has to send in a run where nothing is lost: payload bytes, to the byte."""

from __future__ import annotations

from node.app.rules.mixing import is_due
from node.codec import sizes
from node.core.peer import GossipPeer
from node.mixings import Rule
from node.types import PeerId


def bytes_to_send(peer: GossipPeer, rule: Rule) -> int:
    """Of `peer`, from its first round to its last: on each edge a first message in float32, then updates.

    Headers are not counted, nor what a fault makes a node say again.
    """
    whole = sum(map(sizes.float32, peer.channels.values()))
    told, total = set[PeerId](), 0
    for r in range(peer.config.start_round, peer.config.rounds):
        update = sum(_bytes(peer, rule, name, r) for name in peer.channels)
        for to in peer.tells(r):
            total += update if to in told else whole
            told.add(to)
    return total


def _bytes(peer: GossipPeer, rule: Rule, name: str, round: int) -> int:
    entries = peer.channels[name]
    if entries <= sizes.SMALL:
        return sizes.float32(entries)
    return peer.config.codec_for(name).size(entries) if is_due(rule, name, round) else 0
