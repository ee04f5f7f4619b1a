"""What the outside world can tell a peer, and what a peer asks of it. Plain values: comparing two lists is a test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from node.core.messages import Join, Message
from node.types import PeerId, Shared

Stats: TypeAlias = Mapping[str, float]  # what training measured: "loss", "examples", sometimes "accuracy"


@dataclass(frozen=True, slots=True)
class Started:
    """The driver is ready to carry out effects."""


@dataclass(frozen=True, slots=True)
class Trained:
    """Local training for `round` is over."""

    round: int
    shared: Shared
    stats: Stats


@dataclass(frozen=True, slots=True)
class PeerUp:
    """A stream to `peer` is open; nothing was said on it yet."""

    peer: PeerId


@dataclass(frozen=True, slots=True)
class PeerDown:
    """The stream to `peer` is gone."""

    peer: PeerId
    reason: str


@dataclass(frozen=True, slots=True)
class Received:
    """A message arrived on the stream of `sender`."""

    sender: PeerId
    message: Message


@dataclass(frozen=True, slots=True)
class Persisted:
    """The state after `round` rounds is on disk."""

    round: int


@dataclass(frozen=True, slots=True)
class Tick:
    """The deadline that the peer asked for has passed."""


@dataclass(frozen=True, slots=True)
class Leave:
    """The operator wants this peer to stop now."""


@dataclass(frozen=True, slots=True)
class Joined:
    """A node that wants to become part of the graph was let in here."""

    join: Join


Event: TypeAlias = Started | Trained | PeerUp | PeerDown | Received | Persisted | Tick | Leave | Joined


@dataclass(frozen=True, slots=True)
class Train:
    """Run local steps from `shared`, then report `Trained(round)`."""

    round: int
    shared: Shared


@dataclass(frozen=True, slots=True)
class Send:
    """Deliver `message` to `to`, best effort, on its stream."""

    to: PeerId
    message: Message


@dataclass(frozen=True, slots=True)
class Close:
    """End the stream to `peer` after what was sent on it; dial again only when `retry`."""

    peer: PeerId
    reason: str
    retry: bool = False


@dataclass(frozen=True, slots=True)
class Mixed:
    """A round is over: `before` is what training gave, `after` what the consensus step made of it."""

    round: int
    before: Shared
    after: Shared
    stats: Stats
    staleness: Mapping[PeerId, int]  # rounds behind us of each message used in the last hop; negative: ahead
    missing: tuple[PeerId, ...]  # neighbours that some hop went without
    contributions: int  # neighbours' vectors applied, over all hops
    intact: bool = True  # no hop of ours, nor (exact mixing) of anyone heard, went without a neighbour
    used: Mapping[PeerId, tuple[int, int]] = field(default_factory=dict)  # (epoch, seq) of each version in the last hop
    settled: float = 0.0  # L2 norm, in theta, of what earlier exchanges owed; see `node.core.settlement`
    mass: Mapping[str, Any] | None = None  # push-sum's books


@dataclass(frozen=True, slots=True)
class Persist:
    """Write the state after `round` rounds, then report `Persisted(round)`."""

    round: int
    shared: Shared
    state: Mapping[str, Any] = field(default_factory=dict)  # the protocol's own: JSON-able values and tensors, nested


@dataclass(frozen=True, slots=True)
class Connect:
    """`peer` has become a neighbour."""

    peer: PeerId
    address: str  # host:port; empty: it dials


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that a journal should hold; nobody needs to act on it."""

    event: str  # "apply", "member", "adopt", "join"
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Finished:
    """All rounds are done, or the peer left. It still answers its neighbours until `GossipPeer.drained`."""

    shared: Shared
    rounds: int  # rounds done


Effect: TypeAlias = Train | Send | Close | Mixed | Persist | Finished | Connect | Noted
