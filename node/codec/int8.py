"""One byte an entry: whole numbers from -127 to 127 in units of a scale that each group of 64 entries has."""

from __future__ import annotations

import numpy as np
import torch

from node.codec import groups, sizes
from node.codec.compressor import Buffer, Compressor
from node.errors import BadMessage
from node.types import Vector

NAME = "int8"
LEVELS = 127


def int8() -> Compressor:
    """The codec: an entry is off by half a scale at most, 1/253 of the largest of its group."""
    return Compressor(NAME, encode, decode, size=sizes.int8, takes=groups.takes)


def encode(x: Vector, _: torch.Generator | None = None) -> bytes:
    """(d,) -> bytes: all scales, then all codes in two's complement."""
    x = x.contiguous()
    scales = groups.scales_of(x, LEVELS)
    codes = groups.codes_of(x, scales).to(torch.int8)
    return groups.scale_bytes(scales) + codes.numpy().tobytes()


def decode(data: Buffer, d: int) -> Vector:
    """The inverse, up to rounding.

    Raises:
        BadMessage: another number of bytes, a bad scale, or a code that `encode` never writes.
    """
    scales, rest = groups.split(data, d, sizes.int8(d), NAME)
    codes = np.frombuffer(rest, np.int8)
    if codes.min(initial=0) < -LEVELS:
        raise BadMessage(f"int8: a code of -128; wanted -{LEVELS} to {LEVELS}")
    return groups.scaled(torch.from_numpy(codes.astype(np.float32)), scales)
