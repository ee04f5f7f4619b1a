"""Codecs by name: what every node can decode, and what it sends its channels with."""

from __future__ import annotations

from collections.abc import Mapping

from node.codec.bf16 import bf16
from node.codec.compressor import Compressor
from node.codec.float32 import float32
from node.codec.int4 import int4
from node.codec.int8 import int8
from node.codec.same import same

KNOWN = (float32(), bf16(), int8(), int4(), same())  # what a hello names, and every node decodes
UPWARDS = "s"  # the channel that is rounded up: a square root of Adam's second moment, that updates are divided by


def codecs_of(names: Mapping[str, str]) -> dict[str, Compressor]:
    """Channel -> codec, from channel -> name."""
    made = {"float32": float32, "bf16": bf16, "int8": int8, "int4": int4}
    rounding = {"bf16": bf16(up=True), "int8": int8(up=True), "int4": int4(up=True)}
    return {c: rounding.get(name, float32()) if c == UPWARDS else made[name]() for c, name in names.items()}
