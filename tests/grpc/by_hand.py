"""The shortest driver there is: one queue, no time. What it ends with is what every driver must end with."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from node.core.events import Event, Finished, PeerUp, Persist, Persisted, Received, Send, Started, Train, Trained
from node.core.peer import GossipPeer
from node.drivers.simulation import LocalStep
from node.types import PeerId, Shared


def by_hand(peers: Mapping[PeerId, GossipPeer], step: LocalStep) -> dict[PeerId, Shared]:
    queue: deque[tuple[PeerId, Event]] = deque((peer, Started()) for peer in peers)
    queue.extend((peer, PeerUp(other)) for peer, state in peers.items() for other in state.neighbours)
    final = {}
    while queue:
        peer, event = queue.popleft()
        for effect in peers[peer].handle(event, 0.0):
            match effect:
                case Train(round=r, shared=shared):
                    queue.append((peer, Trained(r, *step(peer, r, shared))))
                case Send(to=to, message=message):
                    queue.append((to, Received(peer, message)))
                case Persist(round=r):
                    queue.append((peer, Persisted(r)))
                case Finished(shared=shared):
                    final[peer] = shared
    return final
