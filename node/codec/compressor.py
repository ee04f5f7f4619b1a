"""What a codec is: a stateless map from a vector to bytes and back. Error feedback lives at the edge, never here."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch

from node.types import Vector

Buffer: TypeAlias = bytes | memoryview


class Compressor(NamedTuple):
    """A codec, the name that stands for it on the wire, and what it calls the difference of two vectors."""

    name: str
    encode: Callable[[Vector, torch.Generator], bytes]  # (d,) float32 -> bytes; the generator is its only randomness
    decode: Callable[[Buffer, int], Vector]  # bytes, d -> (d,) float32; BadMessage when the length does not fit
    subtract: Callable[[Vector, Vector], Vector] = torch.sub  # x, base -> what `encode` takes
    add: Callable[[Vector, Vector], Vector] = torch.add  # base, what `decode` gave -> the new public copy
