"""What a neighbour may make us hold: a bound on every size, checked before anything is allocated.

Decides the numbers; knows neither sockets nor tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from node.errors import BadMessage

PART = 1 << 20  # bytes of payload in one frame; 64 KiB parts ran at 1.4 instead of 3.5 GB/s on loopback
HEADER = 64 << 10  # bytes of any other frame; a hello with every list full takes 12 KiB
MAX_FRAME = PART + HEADER  # bytes; what gRPC is told to accept

ID = 64  # characters of a node id
NAME = 64  # characters of a channel, codec or digest name
DIGEST = 128  # characters of a digest: SHA-512 in hex
REASON = 400  # characters; a longer one of our own is cut, a longer one of theirs refused
DIGESTS = 32
CODECS = 32
CHANNELS = 16
CHECK = 16  # bytes
PAIRS = 64  # twice what an end leaves open (`node.core.settlement.OPEN`)
RUMOURS = 512  # in one message; a longer list is sent in several
NEIGHBOURS = 512  # of a node that joins
ADDRESS = 256  # characters
ENTRY = 4  # bytes of one entry in float32, the widest encoding there is
SPARE = 1024  # bytes a channel may take beyond its entries: scales and zero points of small groups


@dataclass(frozen=True, slots=True)
class Limits:
    """What depends on the model.

    Args:
        entries: of the largest channel.
        payload: bytes of a whole message.
    """

    entries: int
    payload: int

    @classmethod
    def of(cls, channels: Mapping[str, int]) -> Limits:
        """What messages with our own channels (name -> entries) need."""
        sizes = channels.values()
        return cls(max(sizes, default=0), sum(ENTRY * size + SPARE for size in sizes))


def at_most(what: str, seen: int, wanted: int) -> None:
    """Raises BadMessage with both numbers."""
    if seen > wanted:
        raise BadMessage(f"{what}: {seen}, at most {wanted} are taken")


def text(what: str, value: str, longest: int) -> str:
    """`value`, if it is not longer than `longest` characters and holds nothing that would garble a log."""
    at_most(f"{what}, characters", len(value), longest)
    if not value.isprintable():
        raise BadMessage(f"{what}: {value!r} holds characters that cannot be printed")
    return value
