"""decode(encode(m)) == m, part sizes, and the hand-written frame against the generated class."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.core.messages import Bye, Channel, Hello, Message, Snapshot, Update
from node.wire.assembly import Assembler
from node.wire.frames import encode
from node.wire.generated import gossip_pb2 as pb
from node.wire.limits import MAX_FRAME, PART, Limits
from node.wire.parts import decode_part, encode_part
from tests.wire.strategies import WITHIN, messages

CHECK = bytes(range(16))


def decode(frames: list[bytes], within: Limits = WITHIN) -> list[Message]:
    assembler = Assembler(within)
    heard = [assembler.feed(frame) for frame in frames]
    assert assembler.is_between_messages
    return [message for message in heard if message is not None]


def test_an_update_by_hand_is_a_header_and_one_part_with_all_channels() -> None:
    theta = Channel("theta", "float32", 2, b"\x00\x00\x80?\x00\x00\x00@")  # 1.0, 2.0
    flag = Channel("intact", "float32", 1, b"\x00\x00\x80?")
    update = Update(1, 3, 2, 7, 1, (theta, flag), CHECK)

    frames = list(encode(update))

    assert len(frames) == 2
    header = pb.EdgeRequest.FromString(frames[0]).frame.update
    assert (header.epoch, header.seq, header.base, header.round, header.hop) == (1, 3, 2, 7, 1)
    assert [(c.name, c.encoding, c.size, c.data_bytes) for c in header.channels] == [
        ("theta", "float32", 2, 8),
        ("intact", "float32", 1, 4),
    ]
    assert header.payload_bytes == 12
    assert pb.EdgeResponse.FromString(frames[1]).frame.part.data == theta.data + flag.data
    assert decode(frames) == [update]


def test_a_message_without_payload_is_one_frame() -> None:
    assert len(list(encode(Bye(3, "finished")))) == 1
    assert len(list(encode(Snapshot(0, 0, 0, 0, (), CHECK)))) == 1
    assert decode(list(encode(Snapshot(0, 0, 0, 0, (), CHECK)))) == [Snapshot(0, 0, 0, 0, (), CHECK)]


@given(messages)
def test_decoding_gives_what_was_encoded(message: Message) -> None:
    assert decode(list(encode(message))) == [message]


@given(st.lists(messages, max_size=5))
def test_messages_come_out_in_the_order_they_went_in(spoken: list[Message]) -> None:
    frames = [frame for message in spoken for frame in encode(message)]

    assert decode(frames) == spoken


@pytest.mark.parametrize("size", [1, PART - 1, PART, PART + 1, 2 * PART, 2 * PART + 5])
def test_no_frame_is_larger_than_the_limit(size: int) -> None:
    blocks = bytes(size), b"\x01\x02\x03\x04"
    snapshot = Snapshot(0, 0, 0, 0, tuple(Channel(str(i), "int8", len(b), b) for i, b in enumerate(blocks)), CHECK)

    frames = list(encode(snapshot))

    parts = [pb.EdgeRequest.FromString(frame).frame.part.data for frame in frames[1:]]
    assert max(map(len, frames)) <= MAX_FRAME
    assert max(map(len, parts)) <= PART
    assert b"".join(parts) == b"".join(blocks)
    assert decode(frames, Limits(3 * PART, 3 * PART)) == [snapshot]


@given(st.integers(0, 2**64 - 1), st.binary(min_size=1, max_size=300))
def test_a_part_written_by_hand_is_what_the_generated_class_writes(offset: int, data: bytes) -> None:
    expected = pb.EdgeRequest()
    expected.frame.part.offset, expected.frame.part.data = offset, data

    assert encode_part(offset, memoryview(data)) == expected.SerializeToString()


@given(st.integers(0, 2**63 - 1), st.binary(min_size=1, max_size=300))
def test_a_part_read_by_hand_is_what_the_generated_class_reads(offset: int, data: bytes) -> None:
    assert decode_part(encode_part(offset, data)) == (offset, data)


@given(
    st.integers(0, 300),
    st.binary(max_size=300),
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 255)), max_size=3),
)
def test_what_is_read_by_hand_at_all_is_what_the_generated_class_reads(
    offset: int, data: bytes, changes: list[tuple[int, int]]
) -> None:
    frame = bytearray(encode_part(offset, data))
    for at, value in changes:
        frame[at % len(frame)] = value
    read = decode_part(bytes(frame))
    if read is not None:
        part = pb.EdgeRequest.FromString(bytes(frame)).frame.part
        assert read == (part.offset, part.data)


def test_an_endless_number_costs_nothing() -> None:
    assert decode_part(b"\x0a" + b"\xff" * (1 << 20)) is None


def test_decoded_channels_share_one_writable_buffer() -> None:
    snapshot = Snapshot(0, 0, 0, 0, (Channel("a", "x", 1, b"1234"), Channel("b", "x", 1, b"5678")), CHECK)

    (heard,) = decode(list(encode(snapshot)))

    first, second = (channel.data for channel in heard.channels)
    assert isinstance(first, memoryview)
    assert isinstance(second, memoryview)
    assert first.obj is second.obj
    assert not first.readonly


def test_a_reason_of_ours_that_is_too_long_is_cut_so_that_the_other_end_takes_it() -> None:
    (heard,) = decode(list(encode(Bye(0, "why\n" * 500, refused=True))))

    assert isinstance(heard, Bye)
    assert len(heard.reason) == 400
    assert heard.reason.startswith("why why ")
    assert heard.reason.endswith("...")


def test_a_field_of_a_newer_minor_version_is_skipped() -> None:
    hello = Hello((1, 9), "n0", 0, 0, {"schema": "ab"}, ("float32",))
    frame = pb.EdgeRequest.FromString(next(encode(hello))).frame
    unknown = b"\xfa\x06\x03new"  # field 111, three bytes
    content = frame.hello.SerializeToString() + unknown

    (heard,) = decode([_frame_of(pb.Frame.HELLO_FIELD_NUMBER, content) + unknown])

    assert heard == hello


def _frame_of(number: int, content: bytes) -> bytes:
    """An EdgeRequest around the serialised message `number` of the oneof; short ones only."""
    inner = bytes((number << 3 | 2, len(content))) + content
    return bytes((0x0A, len(inner))) + inner
