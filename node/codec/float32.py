"""Every entry as four little-endian bytes: nothing is lost."""

from __future__ import annotations

import numpy as np
import torch

from node.codec.compressor import Buffer, Compressor
from node.errors import BadMessage
from node.types import Vector

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


def float32() -> Compressor:
    """The codec; it also carries snapshots, whatever codec the deltas use."""
    return Compressor("float32", encode, decode)
