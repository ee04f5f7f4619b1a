"""What is said of every node of the network, and who is believed.

The words and their order are SWIM's: of two rumours the later epoch wins, then the higher incarnation, then the worse
state. Only the node itself can raise its incarnation, and does so when it hears that it is suspected or dead. News is
passed on once, to all neighbours but the one it came from; a neighbour that says hello is told everything.

References:
    Das, Gupta, Motivala 2002, SWIM: scalable weakly-consistent infection-style process group membership protocol,
    sections 4.1 and 4.2. Differences: probes go to the neighbours of the graph only (who is no neighbour is of no
    use to the mixing), and news floods the graph's streams, which lose nothing while they live; it does not ride on
    probes.
"""

from __future__ import annotations

from collections.abc import Iterable

from node.core.messages import Rumour
from node.types import PeerId

STATES = ("alive", "suspect", "dead", "left")  # in order of precedence, the last wins
HIGHEST = 1 << 32  # incarnation; one more than a made up 2^64 - 1 could not be said on the wire


class Rumours:
    """The newest rumour of each node, our own included.

    Args:
        own: our id.
        epoch: of our process.
        limit: nodes at most; more come from a neighbour that makes them up.
    """

    def __init__(self, own: PeerId, epoch: int, limit: int = 100_000) -> None:
        self._own, self._limit = own, limit
        self.by_node = {own: Rumour(own, "alive", epoch, 0)}
        self.refuted = 0

    def learn(self, rumours: Iterable[Rumour]) -> list[Rumour]:
        """What of `rumours` was news, and worth passing on; a wrong one about ourselves comes back refuted."""
        return [news for rumour in rumours if (news := self._learn(rumour)) is not None]

    def _learn(self, rumour: Rumour) -> Rumour | None:
        old = self.by_node.get(rumour.node)
        if rumour.incarnation >= HIGHEST or (old is not None and rank(rumour) <= rank(old)):
            return None
        if rumour.node == self._own:
            return self._answer(rumour)
        if old is None and len(self.by_node) >= self._limit:
            return None
        self.by_node[rumour.node] = rumour
        return rumour

    def _answer(self, rumour: Rumour) -> Rumour | None:
        """We are alive, whatever was said; a rumour about a later process of ours is not about us."""
        own = self.by_node[self._own]
        if rumour.epoch != own.epoch:
            return None
        self.refuted += 1
        self.by_node[self._own] = refutation = Rumour(self._own, "alive", own.epoch, rumour.incarnation + 1)
        return refutation

    def say(self, node: PeerId, state: str, epoch: int) -> list[Rumour]:
        """What we found out about `node` ourselves, as a rumour to spread; [] where it is known."""
        old = self.by_node.get(node)
        incarnation = old.incarnation if old is not None and old.epoch == epoch else 0
        return self.learn([Rumour(node, state, epoch, incarnation)]) if node != self._own else []


def rank(rumour: Rumour) -> tuple[int, int, int]:
    return rumour.epoch, rumour.incarnation, STATES.index(rumour.state)
