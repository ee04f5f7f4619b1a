"""The upper half of a float32: eight significant bits of each entry, whatever the others are."""

from __future__ import annotations

import numpy as np
import torch

from node.codec import sizes
from node.codec.compressor import Buffer, Compressor
from node.codec.groups import takes
from node.errors import BadMessage
from node.types import Vector

HALF = np.dtype("<u2")


def bf16(up: bool = False) -> Compressor:
    """The codec: an entry is off by 1/256 of itself at most.

    Args:
        up: round up: nothing comes out below what went in, and off by 1/128 at most. The bytes are read alike.
    """
    return Compressor("bf16", lambda x, _=None: encode(x, up), decode, size=sizes.bf16, takes=takes)


def encode(x: Vector, up: bool = False) -> bytes:
    """(d,) -> 2 d bytes; to the nearest, ties to even, or up."""
    bits = x.contiguous().view(torch.int32)
    more = torch.where(bits < 0, 0, 0xFFFF) if up else 0x7FFF + (bits >> 16 & 1)  # of the magnitude, before it is cut
    return ((bits + more) >> 16).numpy().astype(HALF).tobytes()


def decode(data: Buffer, d: int) -> Vector:
    """2 d bytes -> (d,).

    Raises:
        BadMessage: another number of bytes, or entries that are not finite.
    """
    if len(data) != sizes.bf16(d):
        raise BadMessage(f"bf16: {len(data)} bytes where {d} entries need {sizes.bf16(d)}")
    x = torch.from_numpy((np.frombuffer(data, HALF).astype(np.uint32) << 16).view(np.float32))
    if not bool(torch.isfinite(x).all()):
        raise BadMessage("bf16: values that are not finite")
    return x
