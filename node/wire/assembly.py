"""Frames to messages: one `Assembler` a stream direction, one buffer a message, made once its size is known and taken.

IDLE --header with payload--> FILLING --last part--> IDLE
 |--any other message--> IDLE
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from google.protobuf.message import DecodeError

from node.core.messages import Message, Payload
from node.errors import BadMessage
from node.wire import convert
from node.wire.generated import gossip_pb2 as pb
from node.wire.limits import MAX_FRAME, PART, Limits, at_most
from node.wire.parts import Buffer, decode_part


@dataclass(slots=True)
class _Filling:
    header: Payload
    sizes: tuple[int, ...]  # bytes of each channel
    buffer: bytearray  # of the payload; zero pages until they are written, so that an announcement alone costs nothing
    filled: int = 0


class Assembler:
    """Puts the messages of one stream direction together.

    Args:
        within: what a message may take.
    """

    def __init__(self, within: Limits) -> None:
        self._within = within
        self._filling: _Filling | None = None

    @property
    def is_between_messages(self) -> bool:
        """Whether a stream that ends here ends well."""
        return self._filling is None

    def feed(self, frame: bytes) -> Message | None:
        """The message that `frame` completes, if any. The data of its channels are views of one fresh, writable buffer.

        Raises:
            BadMessage: not a frame, over a limit, or not what follows what came before. Nothing has changed.
        """
        at_most("frame, bytes", len(frame), MAX_FRAME)
        if (part := decode_part(frame)) is not None:
            return self._fill(*part)
        try:
            content = pb.EdgeRequest.FromString(frame).frame
        except DecodeError as error:
            raise BadMessage(f"{len(frame)} bytes that are no frame: {error}") from error
        if content.WhichOneof("content") == "part":
            return self._fill(content.part.offset, content.part.data)
        if self._filling is not None:
            f = self._filling
            raise BadMessage(f"a message inside another one, at byte {f.filled} of {len(f.buffer)}")
        message = convert.to_message(content, self._within)
        if not isinstance(message, Payload):
            return message
        sizes = convert.header_sizes(content)
        self._filling = _Filling(message, sizes, bytearray(sum(sizes)))
        return self._whole()

    def _fill(self, offset: int, data: Buffer) -> Message | None:
        f = self._filling
        if f is None:
            raise BadMessage(f"a part of {len(data)} bytes without a header")
        if offset != f.filled or not data:
            raise BadMessage(f"a part of {len(data)} bytes at {offset}, wanted one at {f.filled} of {len(f.buffer)}")
        at_most("part, bytes", len(data), min(PART, len(f.buffer) - f.filled))
        f.buffer[f.filled : f.filled + len(data)] = data
        f.filled += len(data)
        return self._whole()

    def _whole(self) -> Message | None:
        """The message, once its buffer is full."""
        f = self._filling
        if f is None or f.filled < len(f.buffer):
            return None
        self._filling = None
        view, start, channels = memoryview(f.buffer), 0, []
        for channel, size in zip(f.header.channels, f.sizes, strict=True):
            channels.append(replace(channel, data=view[start : start + size]))
            start += size
        return replace(f.header, channels=tuple(channels))
