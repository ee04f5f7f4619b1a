"""What a codec is: a stateless map from a vector to bytes and back. Error feedback lives at the edge, never here."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch

from node.types import Vector

Buffer: TypeAlias = bytes | memoryview


class Compressor(NamedTuple):
    """A codec and the name that stands for it on the wire."""

    name: str
    encode: Callable[[Vector, torch.Generator], bytes]  # (d,) float32 -> bytes; the generator is its only randomness
    decode: Callable[[Buffer, int], Vector]  # bytes, d -> (d,) float32; BadMessage when the length does not fit
