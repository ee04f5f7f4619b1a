"""Half a byte an entry: whole numbers from -7 to 7 in units of a scale that each group of 64 entries has."""

from __future__ import annotations

import numpy as np
import torch

from node.codec import groups, sizes
from node.codec.compressor import Buffer, Compressor
from node.errors import BadMessage
from node.types import Vector

NAME = "int4"
LEVELS = 7


def int4() -> Compressor:
    """The codec: an entry is off by half a scale at most, 1/14 of the largest of its group."""
    return Compressor(NAME, encode, decode, size=sizes.int4, takes=groups.takes)


def encode(x: Vector, _: torch.Generator | None = None) -> bytes:
    """(d,) -> bytes: all scales, then two codes a byte in two's complement, the first one in the lower half."""
    x = x.contiguous()
    scales = groups.scales_of(x, LEVELS)
    codes = groups.codes_of(x, scales).to(torch.int8).numpy().view(np.uint8) & 15
    pairs = codes[: len(codes) // 2 * 2].reshape(-1, 2)
    packed = (pairs[:, 0] | pairs[:, 1] << 4).tobytes()
    return groups.scale_bytes(scales) + packed + codes[2 * len(pairs) :].tobytes()


def decode(data: Buffer, d: int) -> Vector:
    """The inverse, up to rounding.

    Raises:
        BadMessage: another number of bytes, a bad scale, or a code that `encode` never writes.
    """
    scales, rest = groups.split(data, d, sizes.int4(d), NAME)
    packed = np.frombuffer(rest, np.uint8)
    codes = np.empty(2 * len(packed), np.float32)
    codes[0::2], codes[1::2] = _VALUES[packed & 15], _VALUES[packed >> 4]
    if np.isnan(codes).any() or codes[d:].any():
        raise BadMessage(f"int4: a code of -8, or one beyond the last entry; wanted -{LEVELS} to {LEVELS}")
    return groups.scaled(torch.from_numpy(codes)[:d], scales)


_VALUES = np.array([*range(8), np.nan, *range(-7, 0)], np.float32)  # of half a byte; -8 is never written
