"""The frame of one part of a payload, written and read by hand: one copy of the data, not the generated class's four.

Frames of parts are nearly all bytes that a node sends: 0.10 instead of 0.42 CPU-ms/MB to write, and 1.0 instead of 2.3
to read, nearly all of it the first touch of the buffer (2-core CI machine). All else goes through the generated
classes, and so does a frame that is not laid out as `encode_part` does it; tests hold both functions to those classes.
"""

from __future__ import annotations

from typing import TypeAlias

from node.wire.generated import gossip_pb2 as pb

Buffer: TypeAlias = bytes | memoryview

# Tags of the protobuf wire format: field number << 3 | 2 (length) or 0 (number).
FRAME = pb.EdgeRequest.FRAME_FIELD_NUMBER << 3 | 2
CONTENT = pb.Frame.PART_FIELD_NUMBER << 3 | 2
OFFSET = pb.Part.OFFSET_FIELD_NUMBER << 3
DATA = pb.Part.DATA_FIELD_NUMBER << 3 | 2


def encode_part(offset: int, data: Buffer) -> bytes:
    """The frame of `data`, which stands at `offset` of the payload."""
    part = (bytes((OFFSET,)) + _varint(offset) if offset else b"") + bytes((DATA,)) + _varint(len(data))
    frame = bytes((CONTENT,)) + _varint(len(part) + len(data)) + part
    return b"".join((bytes((FRAME,)), _varint(len(frame) + len(data)), frame, data))


def decode_part(frame: bytes) -> tuple[int, memoryview] | None:
    """Offset and data, a view into `frame`; None for what only the generated class can say more about."""
    try:
        at = _enclosing(frame, 0, FRAME)
        at = _enclosing(frame, at, CONTENT)
        offset = 0
        if frame[at] == OFFSET:
            offset, at = _number(frame, at + 1)
        at = _enclosing(frame, at, DATA)
    except (IndexError, ValueError):
        return None
    return offset, memoryview(frame)[at:]


def _enclosing(frame: bytes, at: int, tag: int) -> int:
    """Where the content of the field `tag` begins that starts at `at` and reaches to the end of the frame."""
    if frame[at] != tag:
        raise ValueError
    length, at = _number(frame, at + 1)
    if at + length != len(frame):
        raise ValueError
    return at


def _number(frame: bytes, at: int) -> tuple[int, int]:
    """The number at `at`, and where it ends."""
    n = 0
    for shift in range(0, 63, 7):  # nine bytes at most: no length of ours needs the tenth
        n |= (frame[at] & 0x7F) << shift
        at += 1
        if frame[at - 1] <= 0x7F:
            return n, at
    raise ValueError


def _varint(n: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)
