"""Every entry as four little-endian bytes: nothing is lost, in a delta neither.

A delta is the difference of the bit patterns, in units in the last place, and wraps around: added to the base it gives
the very bits that were meant. (x - base) + base misses them by an ulp now and then, and what a node holds of another
would depend on whether it came by deltas or by a snapshot: on when a connection broke.
"""

from __future__ import annotations

import numpy as np
import torch

from node.codec.compressor import Buffer, Compressor
from node.errors import BadMessage
from node.types import Vector

NAME = "float32"
LITTLE_ENDIAN = np.dtype("<f4")


def encode(x: Vector, _: torch.Generator | None = None) -> bytes:
    """(d,) -> 4 d bytes."""
    return x.contiguous().numpy().astype(LITTLE_ENDIAN, copy=False).tobytes()


def decode(data: Buffer, size: int) -> Vector:
    """4 size bytes -> (size,).

    Raises:
        BadMessage: another number of bytes.
    """
    if len(data) != LITTLE_ENDIAN.itemsize * size:
        raise BadMessage(f"float32: {len(data)} bytes where {size} entries need {LITTLE_ENDIAN.itemsize * size}")
    return torch.from_numpy(np.frombuffer(data, LITTLE_ENDIAN).astype(np.float32))


def subtract(x: Vector, base: Vector) -> Vector:
    """(d,) of bit patterns: ulps from `base` to `x`."""
    return (x.view(torch.int32) - base.view(torch.int32)).view(torch.float32)


def add(base: Vector, delta: Vector) -> Vector:
    """The inverse of `subtract`, bit by bit."""
    return (base.view(torch.int32) + delta.view(torch.int32)).view(torch.float32)


def float32() -> Compressor:
    """The codec; it also carries snapshots, whatever codec the deltas use."""
    return Compressor(NAME, encode, decode, subtract, add, is_lossless=True)
