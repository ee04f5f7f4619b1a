"""Codecs by name: what every node can decode."""

from __future__ import annotations

from collections.abc import Mapping

from node.codec.bf16 import bf16
from node.codec.compressor import Compressor
from node.codec.float32 import float32
from node.codec.int4 import int4
from node.codec.int8 import int8
from node.codec.same import same

KNOWN = (float32(), bf16(), int8(), int4(), same())  # what a hello names


def codecs_of(names: Mapping[str, str]) -> dict[str, Compressor]:
    """Channel -> codec, from channel -> name."""
    known = {codec.name: codec for codec in KNOWN}
    return {channel: known[name] for channel, name in names.items()}
