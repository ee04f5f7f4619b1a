"""One byte an entry: whole numbers from -127 to 127 in units of a scale that each group of 64 entries has."""

from __future__ import annotations

import numpy as np
import torch

from node.codec import groups, sizes
from node.codec.compressor import Buffer, Compressor
from node.errors import BadMessage
from node.types import Vector

LEVELS = 127


def int8(up: bool = False) -> Compressor:
    """The codec: an entry is off by half a scale at most, 1/253 of the largest of its group.

    Args:
        up: round up: nothing comes out below what went in, and off by a whole scale at most. The bytes are read alike.
    """
    return Compressor("int8", lambda x, _=None: encode(x, up), decode, size=sizes.int8, takes=groups.takes)


def encode(x: Vector, up: bool = False) -> bytes:
    """(d,) -> bytes: all scales, then all codes in two's complement."""
    x = x.contiguous()
    scales = groups.scales_of(x, LEVELS)
    codes = groups.codes_of(x, scales, up).to(torch.int8)
    return groups.scale_bytes(scales) + codes.numpy().tobytes()


def decode(data: Buffer, d: int) -> Vector:
    """The inverse, up to rounding.

    Raises:
        BadMessage: another number of bytes, a bad scale, or a code that `encode` never writes.
    """
    scales, rest = groups.split(data, d, sizes.int8(d), LEVELS, "int8")
    codes = np.frombuffer(rest, np.int8)
    if codes.min(initial=0) < -LEVELS:
        raise BadMessage(f"int8: a code of -128; wanted -{LEVELS} to {LEVELS}")
    return groups.scaled(torch.from_numpy(codes.astype(np.float32)), scales)
