"""A message to the frames that say it: a header, then its payload in parts, each ready for the stream as bytes.

An EdgeRequest and an EdgeResponse with the same frame are the same bytes, so both directions use these functions.
"""

from __future__ import annotations

from collections.abc import Iterator

from node.core.messages import Message, Payload
from node.wire import convert
from node.wire.generated import gossip_pb2 as pb
from node.wire.limits import PART
from node.wire.parts import Buffer, encode_part


def encode(message: Message) -> Iterator[bytes]:
    """The frames of `message` in order; the payload is copied part by part, as the frames are asked for."""
    yield pb.EdgeRequest(frame=convert.to_frame(message)).SerializeToString()
    if isinstance(message, Payload):
        yield from _parts([channel.data for channel in message.channels])


def _parts(blocks: list[Buffer]) -> Iterator[bytes]:
    offset = 0
    for data in _pieces(blocks):
        yield encode_part(offset, data)
        offset += len(data)


def _pieces(blocks: list[Buffer]) -> Iterator[Buffer]:
    """Pieces of at most PART bytes: one piece where all fits, else each block is cut on its own."""
    total = sum(map(len, blocks))
    if total <= PART:
        if total:
            yield b"".join(blocks)
        return
    for block in blocks:
        for start in range(0, len(block), PART):
            yield memoryview(block)[start : start + PART]
