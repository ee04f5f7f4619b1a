"""What peers say to each other, as plain values. Payloads are bytes: this module knows no torch and no protobuf.

An edge direction starts with one `Snapshot`, goes on with `Update`s (each a delta to the one sent before), and asks
for a `Snapshot` again by `SnapshotRequest` only when something was lost. `Ping` and `Ack` find out who is still there,
`Members` tells of others, `StateRequest` and `State` bring a late node up to date, `Join` adds one to the graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from node.types import Digests, PeerId

PROTOCOL_VERSION = (1, 1)  # major.minor; another major is refused at the hello
# Minor versions: 1.1 added Settlement, Ping, Ack, Members, StateRequest, State and Join; no 1.0 end is sent these.


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel of what a rule mixes, as bytes."""

    name: str  # "theta", "m", "s", "scalars", "intact"
    encoding: str  # name of the codec that made `data`, e.g. "float32"
    size: int  # entries of the decoded vector
    data: bytes | memoryview  # little-endian


@dataclass(frozen=True, slots=True)
class Held:
    """The version of somebody's public copy that the sender of a hello still holds."""

    epoch: int
    seq: int
    check: bytes  # 16 bytes, see `node.core.edge.check_of`


@dataclass(frozen=True, slots=True)
class Hello:
    """First message in either direction of a stream."""

    version: tuple[int, int]
    node: PeerId
    epoch: int  # grows by one with each start of the process
    round: int
    digests: Digests
    codecs: tuple[str, ...]
    held: Held | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """The two versions of an edge that the end which leads it has mixed."""

    mine: int  # seq of the leader's version
    theirs: int  # seq of the other end's version
    weight: float  # in (0, 1]


@dataclass(frozen=True, slots=True)
class Settlement:
    """What both ends of an edge must know to have applied the same pairs; see `node.core.settlement`."""

    pairs: tuple[Pair, ...] = ()  # from the leader: what it applied and was not told to be settled; one of the
    # message's own seq: its part of this exchange was done before a restart, and stands
    final: int = -1  # from the other end: all of the leader's versions before this seq are settled
    refused: tuple[int, ...] = ()  # from the other end: seqs whose pairs it could not apply


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A whole public copy, in float32."""

    epoch: int
    seq: int
    round: int
    hop: int
    channels: tuple[Channel, ...]
    check: bytes  # 16 bytes
    settlement: Settlement | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """The change of a public copy since `base`."""

    epoch: int
    seq: int
    base: int  # the seq that the delta is added to
    round: int
    hop: int
    channels: tuple[Channel, ...]
    check: bytes  # 16 bytes, of the result
    settlement: Settlement | None = None


@dataclass(frozen=True, slots=True)
class SnapshotRequest:
    """The sender cannot apply `seq` of `epoch`; a snapshot sent after that seq answers it."""

    epoch: int
    seq: int
    reason: str


@dataclass(frozen=True, slots=True)
class Bye:
    """The last message of a stream: the run is over, the node leaves, or the hello was refused."""

    round: int
    reason: str  # "finished", "leaving", or why the hello was refused
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Ping:
    """Are you there? `Ack` with the same number answers at once, whatever the other end is doing."""

    number: int


@dataclass(frozen=True, slots=True)
class Ack:
    number: int


@dataclass(frozen=True, slots=True)
class Rumour:
    """What is said of a node, by itself or by others."""

    node: PeerId
    state: str  # alive, suspect, dead, left
    epoch: int
    incarnation: int  # grows when the node refutes; within an epoch


@dataclass(frozen=True, slots=True)
class Members:
    """News of nodes; passed on by who did not know them."""

    rumours: tuple[Rumour, ...]


@dataclass(frozen=True, slots=True)
class StateRequest:
    """The sender is too far behind to catch up by mixing: `State` answers."""

    round: int  # where the sender stands


@dataclass(frozen=True, slots=True)
class State:
    """What the sender holds after `round` rounds."""

    round: int
    channels: tuple[Channel, ...]  # float32
    check: bytes  # 16 bytes


@dataclass(frozen=True, slots=True)
class Join:
    """From `round` on the graph has one node more. Passed on by who did not know it."""

    node: PeerId
    address: str  # host:port; empty: it cannot be dialled
    neighbours: tuple[PeerId, ...]
    round: int


Payload: TypeAlias = Snapshot | Update | State  # a header, and data that travels in parts
Message: TypeAlias = Hello | Payload | SnapshotRequest | Bye | Ping | Ack | Members | StateRequest | Join
