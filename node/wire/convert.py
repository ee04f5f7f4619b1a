"""Messages of the core to protobuf and back. The payload itself is not touched here: see `frames` and `assembly`.

News of members and settlements are `news`'.

What comes in is checked against every limit; what goes out is our own and trusted, except for the length of a reason.
Unknown fields are skipped (a newer minor version); a frame with nothing that we know is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from node.core.messages import (
    Bye,
    Channel,
    Held,
    Hello,
    Message,
    Payload,
    Settlement,
    Snapshot,
    SnapshotRequest,
    State,
    Update,
)
from node.errors import BadMessage
from node.types import PeerId
from node.wire import limits, news
from node.wire.generated import gossip_pb2 as pb
from node.wire.limits import Limits, at_most, text


def to_frame(message: Message) -> pb.Frame:
    """The frame that says `message`, without the payload."""
    match message:
        case Hello():
            return pb.Frame(hello=from_hello(message))
        case Snapshot(epoch=epoch, seq=seq, round=r, hop=hop, channels=channels, check=check):
            headers, total = _from_channels(channels), payload_bytes(message)
            snapshot = pb.Snapshot(
                epoch=epoch, seq=seq, round=r, hop=hop, channels=headers, check=check, payload_bytes=total
            )
            if (said := news.from_settlement(message.settlement)) is not None:
                snapshot.settlement.CopyFrom(said)
            return pb.Frame(snapshot=snapshot)
        case Update(epoch=epoch, seq=seq, base=base, round=r, hop=hop, channels=channels, check=check):
            update = pb.Update(epoch=epoch, seq=seq, base=base, round=r, hop=hop, check=check)
            update.channels.extend(_from_channels(channels))
            update.payload_bytes = payload_bytes(message)
            if (said := news.from_settlement(message.settlement)) is not None:
                update.settlement.CopyFrom(said)
            return pb.Frame(update=update)
        case State(round=r, channels=channels, check=check):
            headers, total = _from_channels(channels), payload_bytes(message)
            return pb.Frame(state=pb.State(round=r, channels=headers, check=check, payload_bytes=total))
        case SnapshotRequest(epoch=epoch, seq=seq, reason=reason):
            return pb.Frame(snapshot_request=pb.SnapshotRequest(epoch=epoch, seq=seq, reason=cut(reason)))
        case Bye(round=r, reason=reason, refused=refused):
            return pb.Frame(bye=pb.Bye(round=r, reason=cut(reason), refused=refused))
        case _:
            return news.to_frame(message)


def payload_bytes(message: Payload) -> int:
    return sum(len(channel.data) for channel in message.channels)


def to_message(frame: pb.Frame, within: Limits) -> Message:
    """The message of a frame; the channels of a Snapshot or an Update have empty data, see `with_payload`.

    Raises:
        BadMessage: over a limit, or not a message that we know.
    """
    match frame.WhichOneof("content"):
        case "hello":
            return to_hello(frame.hello)
        case "snapshot":
            s = frame.snapshot
            channels, settlement = _to_channels(s.channels, s.payload_bytes, within), _settlement(s)
            return Snapshot(s.epoch, s.seq, s.round, s.hop, channels, _check(s.check), settlement)
        case "update":
            u = frame.update
            channels = _to_channels(u.channels, u.payload_bytes, within)
            return Update(u.epoch, u.seq, u.base, u.round, u.hop, channels, _check(u.check), _settlement(u))
        case "state":
            state = frame.state
            channels = _to_channels(state.channels, state.payload_bytes, within)
            return State(state.round, channels, _check(state.check))
        case "snapshot_request":
            r = frame.snapshot_request
            return SnapshotRequest(r.epoch, r.seq, text("reason", r.reason, limits.REASON))
        case "bye":
            return Bye(frame.bye.round, text("reason", frame.bye.reason, limits.REASON), frame.bye.refused)
        case other:
            return news.to_message(other, frame)


def header_sizes(frame: pb.Frame) -> tuple[int, ...]:
    """Bytes of each channel in the payload that a Snapshot or an Update announces; () for another message."""
    match frame.WhichOneof("content"):
        case "snapshot":
            return tuple(channel.data_bytes for channel in frame.snapshot.channels)
        case "update":
            return tuple(channel.data_bytes for channel in frame.update.channels)
        case "state":
            return tuple(channel.data_bytes for channel in frame.state.channels)
    return ()


def _settlement(message: pb.Snapshot | pb.Update) -> Settlement | None:
    return news.to_settlement(message.settlement) if message.HasField("settlement") else None


def from_hello(hello: Hello) -> pb.Hello:
    made = pb.Hello(node=hello.node, epoch=hello.epoch, round=hello.round, codecs=hello.codecs, digests=hello.digests)
    made.version.major, made.version.minor = hello.version
    if hello.held is not None:
        made.held.CopyFrom(pb.Held(epoch=hello.held.epoch, seq=hello.held.seq, check=hello.held.check))
    return made


def to_hello(hello: pb.Hello) -> Hello:
    at_most("digests", len(hello.digests), limits.DIGESTS)
    at_most("codecs", len(hello.codecs), limits.CODECS)
    if not hello.node:
        raise BadMessage("hello without a node id")
    digests = {
        text("digest name", name, limits.NAME): text(f"digest of {name}", value, limits.DIGEST)
        for name, value in hello.digests.items()
    }
    return Hello(
        (hello.version.major, hello.version.minor),
        PeerId(text("node id", hello.node, limits.ID)),
        hello.epoch,
        hello.round,
        digests,
        tuple(text("codec", codec, limits.NAME) for codec in hello.codecs),
        Held(hello.held.epoch, hello.held.seq, _check(hello.held.check)) if hello.HasField("held") else None,
    )


def _from_channels(channels: Iterable[Channel]) -> list[pb.Channel]:
    return [pb.Channel(name=c.name, encoding=c.encoding, size=c.size, data_bytes=len(c.data)) for c in channels]


def _to_channels(channels: Sequence[pb.Channel], total: int, within: Limits) -> tuple[Channel, ...]:
    at_most("channels", len(channels), limits.CHANNELS)
    at_most("payload, bytes", total, within.payload)
    announced = sum(channel.data_bytes for channel in channels)
    if announced != total:
        raise BadMessage(f"payload of {total} bytes, its channels announce {announced}")
    return tuple(_to_channel(channel, within) for channel in channels)


def _to_channel(channel: pb.Channel, within: Limits) -> Channel:
    name, encoding = text("channel", channel.name, limits.NAME), text("encoding", channel.encoding, limits.NAME)
    at_most(f"channel {name}, entries", channel.size, within.entries)
    return Channel(name, encoding, channel.size, b"")


def _check(check: bytes) -> bytes:
    if len(check) != limits.CHECK:
        raise BadMessage(f"check of {len(check)} bytes, wanted {limits.CHECK}")
    return check


def cut(reason: str) -> str:
    """A reason that the other end takes: printable and short."""
    clean = "".join(c if c.isprintable() else " " for c in reason)
    return clean if len(clean) <= limits.REASON else clean[: limits.REASON - 3] + "..."
