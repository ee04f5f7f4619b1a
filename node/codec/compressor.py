"""What a codec is: a stateless map from a vector to bytes and back. Error feedback lives at the edge, never here."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch

from node.codec import sizes
from node.types import Vector

Buffer: TypeAlias = bytes | memoryview


class Compressor(NamedTuple):
    """A codec, the name that stands for its bytes on the wire, and what it calls the difference of two vectors."""

    name: str
    encode: Callable[[Vector, torch.Generator], bytes]  # (d,) float32 -> bytes; the generator is its only randomness
    decode: Callable[[Buffer, int], Vector]  # bytes, d -> (d,) float32; BadMessage when the length does not fit
    subtract: Callable[[Vector, Vector], Vector] = torch.sub  # x, base -> what `encode` takes
    add: Callable[[Vector, Vector], Vector] = torch.add  # base, what `decode` gave -> the new public copy
    size: Callable[[int], int] = sizes.float32  # d -> bytes that `encode` gives, exactly
    takes: Callable[[Vector], bool] = lambda x: True  # whether `encode` can say `x`; what it cannot goes in float32
    is_lossless: bool = False  # decode(encode(x)) is x, bit by bit
