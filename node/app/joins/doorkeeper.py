"""What a running node answers to one that wants to be its neighbour.

    propose --nothing against it--> promised for a minute --commit--> the protocol knows the join, and tells the others
Nothing changes before the commit. Whoever reaches the port may ask, so what is promised is bounded and runs out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from node.app.joins.growing import GrowingGraph
from node.core import hello as greeting
from node.core.events import Joined
from node.core.messages import Hello, Join
from node.core.peer import GossipPeer, Phase
from node.errors import ConfigError, Incompatible
from node.graph.reach import NOWHERE
from node.types import PeerId
from node.wire.join import Answer, Proposal

PROMISE = 60.0  # seconds
PROMISES = 64  # at a time


@dataclass(frozen=True, slots=True)
class _Promise:
    address: str
    neighbours: tuple[PeerId, ...]
    until: float  # monotonic seconds


class Doorkeeper:
    """Answers for one node.

    Args:
        peer: the protocol.
        graph: as it stands.
        feed: gives an event to the protocol.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        peer: GossipPeer,
        graph: GrowingGraph,
        feed: Callable[[Joined], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._peer, self._graph, self._feed, self._clock = peer, graph, feed, clock
        self._own = peer.config.peer
        self._promises: dict[PeerId, _Promise] = {}

    def propose(self, proposal: Proposal) -> Answer:
        """Whether `proposal` could become a join here."""
        now = self._clock()
        self._promises = {node: p for node, p in self._promises.items() if p.until > now}
        reason = self._objection(proposal)
        if not reason:
            promise = _Promise(proposal.address, proposal.neighbours, now + PROMISE)
            self._promises[proposal.hello.node] = promise
        config = self._peer.config
        return Answer(node=self._own, agreed=not reason, reason=reason, round=self._peer.round, rounds=config.rounds)

    def commit(self, join: Join) -> Answer:
        """Takes the join that was promised; said twice, it is as good as once."""
        reason = "" if join in self._peer.joins else self._take(join)
        return Answer(node=self._own, agreed=not reason, reason=reason)

    def _take(self, join: Join) -> str:
        promise = self._promises.get(join.node)
        if promise is None or promise.until <= self._clock():
            return f"{self._own} has promised {join.node} nothing, or over {PROMISE:.0f} s ago"
        if (promise.address, promise.neighbours) != (join.address, join.neighbours):
            return f"{self._own} has promised {join.node} another address or other neighbours"
        if join.round >= self._peer.config.rounds:
            return f"round {join.round} will not be: {self._own} ends after {self._peer.config.rounds} rounds"
        if self._peer.phase is Phase.DONE:
            return self._over()
        self._feed(Joined(join))
        del self._promises[join.node]
        return "" if join in self._peer.joins else f"{self._own} knows another {join.node} by now"

    def _objection(self, proposal: Proposal) -> str:
        """The first thing against it; empty: nothing."""
        peer, theirs = self._peer, proposal.hello
        if peer.config.rewire is None:
            return f"joins are off at {self._own}: set gossip.joins: true in the node file of every node"
        if peer.phase is Phase.DONE:
            return self._over()
        if self._own not in proposal.neighbours:
            return f"{self._own} is not among the neighbours that {theirs.node} names"
        ours = Hello(peer.config.version, self._own, peer.config.epoch, peer.round, peer.config.digests, ())
        try:
            greeting.compare(ours, theirs, theirs.node)
            join = Join(theirs.node, proposal.address, proposal.neighbours, peer.round)
            peer.config.plan((*peer.joins, join))
        except (Incompatible, ConfigError) as error:
            return str(error)
        return self._rival(join)

    def _rival(self, join: Join) -> str:
        """Who has the address already, or was promised the id."""
        if join.address != NOWHERE:
            for node, address in self._graph.now().addresses.items():
                if address.lower() == join.address.lower():
                    return f"{join.address} is the address of {node}, too; wanted one each"
        promise = self._promises.get(join.node)
        if promise is not None and (promise.address, promise.neighbours) != (join.address, join.neighbours):
            return f"another {join.node} is about to join; try again in {PROMISE:.0f} s"
        if promise is None and len(self._promises) >= PROMISES:
            return f"{PROMISES} nodes are about to join; try again in {PROMISE:.0f} s"
        return ""

    def _over(self) -> str:
        return f"the run is over at {self._own} (round {self._peer.round} of {self._peer.config.rounds})"
