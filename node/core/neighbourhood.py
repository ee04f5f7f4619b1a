"""All that a peer knows of its neighbours: edges, mailbox, who is there, and what is said of others.

Decides how a neighbour is greeted, believed, probed and told news. Knows nothing of rounds, training and mixing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import torch

from node.codec import float32 as plain
from node.codec.named import KNOWN
from node.core import hello as greeting
from node.core.edge import Edge
from node.core.events import Close, Effect, Noted, Send
from node.core.mailbox import DEPTH, Key, Mailbox, Version
from node.core.members import NOT_SAID, Liveness, Members
from node.core.messages import Ack, Bye, Hello, Join, Message, Ping, Rumour, Snapshot, Update
from node.core.messages import Members as MembersMessage
from node.core.peer_config import PeerConfig
from node.core.rumours import Rumours
from node.errors import BadMessage, Incompatible, OutOfSequence, RemoteFault
from node.types import PeerId, Shared

AT_ONCE = 512  # rumours in one message
JOINS = 1000  # nodes at most that join; each is told in every hello and kept in every checkpoint
NEWS = {  # our own view of a neighbour -> the word of SWIM that others are told
    Liveness.ALIVE: "alive",
    Liveness.SUSPECT: "suspect",
    Liveness.DEAD: "dead",
    Liveness.LEFT: "left",
    Liveness.FINISHED: "left",
}


@dataclass(frozen=True, slots=True)
class Told:
    """The last exchange that neighbours were told about."""

    key: Key
    outbox: Mapping[PeerId, Shared]
    used: frozenset[PeerId] = frozenset()  # whose word we have mixed in that exchange


class Neighbourhood:
    """The neighbours of one peer.

    Args:
        config: of the peer.
        channels: name -> entries of every channel that travels.
        generator: the randomness of codecs.
        pairwise: whether the rule's edges can be settled.
    """

    def __init__(
        self, config: PeerConfig, channels: Mapping[str, int], generator: torch.Generator, pairwise: bool
    ) -> None:
        self.config = config
        self.faults: Counter[str] = Counter()  # refused by kind of fault, and rounds that went without a neighbour
        self.joins = config.joins
        peers = config.peers()
        self.members = Members(peers, config.deadlines, config.first_contact, config.probing)
        self.mailbox = Mailbox(peers, config.max_staleness)
        self.rumours = Rumours(config.peer, config.epoch)
        self._channels, self._generator, self._pairwise = channels, generator, pairwise
        self._codecs = {codec.name: codec for codec in (*KNOWN, config.codec, *config.codecs.values())}
        self._unsaid: dict[PeerId, list[Told]] = {}  # to whom we could not say it in its turn
        self.edges = {p: self._new_edge(p) for p in peers}

    def _new_edge(self, peer: PeerId) -> Edge:
        c = self.config
        leads = c.peer < peer if self._pairwise else None
        return Edge(peer, c.epoch, self._channels, c.codec, self._codecs, self._generator, leads, c.codecs)

    def add(self, peer: PeerId) -> None:
        """One more neighbour."""
        self.members.add(peer)
        self.mailbox.add(peer)
        self.edges = dict(sorted({**self.edges, peer: self._new_edge(peer)}.items()))

    # ---- what we say
    def hello(self, to: PeerId, round: int) -> Hello:
        c = self.config
        return Hello(c.version, c.peer, c.epoch, round, c.digests, tuple(self._codecs), self.edges[to].held)

    def tell(self, peer: PeerId, told: Told, is_mixed: bool = False) -> Effect:
        return Send(peer, self.edges[peer].tell(told.outbox[peer], *told.key, is_mixed))

    def as_held(self, told: Told | None) -> Told | None:
        """`told` as neighbours hold it: where a codec loses something, that is what we have mixed, not what we had."""
        if told is None or all(codec.is_lossless for codec in (self.config.codec, *self.config.codecs.values())):
            return told
        copies: dict[bytes, Shared] = {}  # mostly all neighbours hold the same one
        outbox = dict(told.outbox)
        for peer in outbox:
            edge = self.edges[peer]
            if edge.mine is not None and edge.told == told.key:
                outbox[peer] = copies.setdefault(edge.check, edge.mine)
        return replace(told, outbox=outbox)

    def tell_all(self, told: Told) -> list[Effect]:
        """Everybody who is there; who is not is told when it comes."""
        absent = [p for p in told.outbox if self.members.by_id[p].state is not Liveness.ALIVE]
        for peer in absent if self.config.turns is not None else ():
            self._unsaid[peer] = [*self._unsaid.get(peer, ()), told][-DEPTH:]
        return [self.tell(p, told) for p in told.outbox if p not in absent]

    def resume(self, peer: PeerId, told: Told | None, current: Key | None) -> list[Effect]:
        """What a neighbour that is back has missed.

        On a graph that changes that may be more than our last word: who does not hear a neighbour goes on without it,
        also before it has come up, and it will wait for what it was to hear in each of its turns.

        Args:
            current: the exchange under way.
        """
        earlier = [unsaid for unsaid in self._unsaid.pop(peer, ()) if told is None or unsaid.key != told.key]
        return [*(self.tell(peer, unsaid) for unsaid in earlier), *self._resume(peer, told, current)]

    def _resume(self, peer: PeerId, told: Told | None, current: Key | None) -> list[Effect]:
        edge = self.edges[peer]
        if told is None or peer not in told.outbox:  # not its turn now: what we said when it was
            return [Send(peer, edge.again())] if edge.broken and edge.mine is not None else []
        if not (edge.broken or edge.told != told.key):
            return []
        return [self.tell(peer, told, is_mixed=told.key != current and peer in told.used)]

    def spread(self, message: Message, but: PeerId | None = None) -> list[Effect]:
        """To everybody with a stream, but the one that it came from; a suspect too, for it alone can refute."""
        return [
            Send(p, message)
            for p, m in self.members.by_id.items()
            if p != but and m.streaming and m.version >= (1, 1) and m.state not in (Liveness.UNKNOWN, Liveness.REFUSED)
        ]

    def _spread_rumours(self, rumours: list[Rumour], but: PeerId | None = None) -> list[Effect]:
        return self.spread(MembersMessage(tuple(rumours)), but) if rumours else []

    def changed(self, peer: PeerId) -> list[Effect]:
        """We see `peer` in another state than before: note it and tell the others."""
        member = self.members.by_id[peer]
        fields = {"peer": peer, "state": str(member.state), "incarnation": member.epoch, "reason": member.reason}
        word = NEWS.get(member.state)
        news = self.rumours.say(peer, word, member.epoch) if word is not None and member.epoch >= 0 else []
        return [Noted("member", fields), *self._spread_rumours(news)]

    # ---- what we hear
    def greet(self, sender: PeerId, message: Hello, round: int, now: float) -> list[Effect]:
        """Take a hello, and tell the neighbour all the news; what is refused is answered by bye.

        Raises:
            RemoteFault: it was refused; `refuse` says it to the other end.
        """
        greeting.compare(self.hello(sender, round), message, sender)
        edge, member = self.edges[sender], self.members.by_id[sender]
        unsettled = edge.unsettled
        edge.greet(message)
        if edge.unsettled > unsettled:
            self.faults["unsettled"] += edge.unsettled - unsettled
        member.epoch, member.version = message.epoch, message.version
        member.round = max(member.round, message.round)
        self.members.mark(sender, Liveness.ALIVE, now)
        effects = [*self._in_float32(edge), *self.changed(sender)]
        if member.version >= (1, 1):
            everything = tuple(self.rumours.by_node.values())
            parts = (everything[i : i + AT_ONCE] for i in range(0, len(everything), AT_ONCE))
            effects += [Send(sender, MembersMessage(part)) for part in parts]
            effects += [Send(sender, join) for join in self.joins]
        return effects

    def _in_float32(self, edge: Edge) -> list[Effect]:
        """Note and count a neighbour that cannot decode what we would send it."""
        if not edge.beyond:
            return []
        self.faults["sent_in_float32"] += 1
        return [Noted("codec", {"peer": edge.peer, "wanted": list(edge.beyond), "sent": plain.NAME})]

    def refuse(self, sender: PeerId, fault: RemoteFault, round: int, now: float) -> list[Effect]:
        """A hello that cannot be accepted: say why, and end the stream."""
        self.faults[type(fault).__name__] += 1
        effects: list[Effect] = []
        if isinstance(fault, Incompatible):
            self.members.mark(sender, Liveness.REFUSED, now, str(fault))
            effects = self.changed(sender)
        farewell = Send(sender, Bye(round, str(fault), refused=True))
        return [*effects, farewell, Close(sender, str(fault), retry=True)]

    def require_hello(self, sender: PeerId, kind: str) -> None:
        """Raises BadMessage: the sender has not been let in on this stream."""
        member = self.members.by_id[sender]
        if member.version == NOT_SAID or member.state is Liveness.REFUSED:
            raise BadMessage(f"{sender}: {kind} before its hello was accepted")

    def hear(self, sender: PeerId, message: Snapshot | Update) -> list[Effect]:
        """Take a neighbour's vectors, or ask for a snapshot where some were lost.

        Raises:
            RemoteFault: refused, and our copy is as it was.
        """
        edge, member = self.edges[sender], self.members.by_id[sender]
        kind = type(message).__name__
        if member.state not in (Liveness.ALIVE, Liveness.FINISHED):
            raise BadMessage(f"{sender}: {kind} before its hello was accepted")
        try:
            theirs = edge.hear(message)
        except OutOfSequence as fault:
            self.faults["OutOfSequence"] += 1
            return [Send(sender, edge.request(message, str(fault)))]
        self.mailbox.put(sender, Version((message.round, message.hop), theirs, *edge.version))
        member.round = max(member.round, message.round)
        return [
            Noted(
                "apply",
                {
                    "from": sender,
                    "kind": kind.lower(),
                    "from_epoch": message.epoch,
                    "seq": message.seq,
                    "round": message.round,
                    "hop": message.hop,
                    "check": message.check.hex(),
                },
            )
        ]

    def learn(self, sender: PeerId, rumours: Iterable[Rumour]) -> list[Effect]:
        """News of others, passed on; a suspicion of us is refuted."""
        refuted = self.rumours.refuted
        news = self.rumours.learn(rumours)
        if self.rumours.refuted == refuted:
            return self._spread_rumours(news, but=sender)
        self.members.health.worse()
        return self._spread_rumours(news)

    def join(self, join: Join, source: PeerId | None) -> list[Effect]:
        """Note a node that joined and tell the others; [] where it is known."""
        self.joins = (*self.joins, join)
        own = self.config.peer
        if own in join.neighbours and join.node not in self.edges:
            self.add(join.node)
        fields = {"peer": join.node, "address": join.address, "neighbours": list(join.neighbours), "round": join.round}
        return [Noted("join", fields), *self.spread(join, but=source)]

    # ---- time
    def tick(self, now: float, late: float) -> list[Effect]:
        """Probe who is silent, and judge who did not answer."""
        probes, changed = self.members.tick(now, late)
        effects: list[Effect] = [Send(p, Ping(int(now * 1000))) for p in probes]
        for peer in changed:
            effects += self.changed(peer)
        return effects

    def answer(self, sender: PeerId, ping: Ping) -> list[Effect]:
        return [Send(sender, Ack(ping.number))]
