"""What peers say to each other, as plain values. Payloads are bytes: this module knows no torch and no protobuf.

An edge direction starts with one `Snapshot`, goes on with `Update`s (each a delta to the one sent before), and asks
for a `Snapshot` again by `SnapshotRequest` only when something was lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from node.types import Digests, PeerId

PROTOCOL_VERSION = (1, 0)  # major.minor; another major is refused at the hello


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
class Snapshot:
    """A whole public copy, in float32."""

    epoch: int
    seq: int
    round: int
    hop: int
    channels: tuple[Channel, ...]
    check: bytes  # 16 bytes


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


Message: TypeAlias = Hello | Snapshot | Update | SnapshotRequest | Bye
