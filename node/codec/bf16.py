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


def bf16() -> Compressor:
    """The codec: an entry is off by 1/256 of itself at most."""
    return Compressor("bf16", encode, decode, size=sizes.bf16, takes=takes)


def encode(x: Vector, _: torch.Generator | None = None) -> bytes:
    """(d,) -> 2 d bytes; to the nearest, ties to even."""
    bits = x.contiguous().view(torch.int32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).numpy().astype(HALF).tobytes()


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
