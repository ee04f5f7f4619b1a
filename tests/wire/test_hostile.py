"""What must be refused, with the value seen and the one wanted, and without a change to what was being put together."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.core.messages import Channel, Held, Hello, Message, Snapshot, SnapshotRequest, Update
from node.errors import BadMessage
from node.wire.assembly import Assembler
from node.wire.frames import encode
from node.wire.generated import gossip_pb2 as pb
from node.wire.limits import CHANNELS, CODECS, DIGESTS, MAX_FRAME, PART, Limits
from node.wire.parts import encode_part
from tests.wire.strategies import WITHIN, messages

CHECK = bytes(16)
DATA = bytes(range(100))
SNAPSHOT = Snapshot(0, 1, 2, 0, (Channel("theta", "float32", 25, DATA),), CHECK)


def hello(**changes: object) -> Hello:
    fields = {"version": (1, 0), "node": "n0", "epoch": 0, "round": 0, "digests": {}, "codecs": ()} | changes
    return Hello(**fields)  # type: ignore[arg-type]


def snapshot(**changes: object) -> Snapshot:
    fields = {"epoch": 0, "seq": 0, "round": 0, "hop": 0, "channels": (), "check": CHECK} | changes
    return Snapshot(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (hello(node="n" * 65), "node id, characters: 65, at most 64"),
        (hello(node=""), "hello without a node id"),
        (hello(node="n0\n2026 ERROR all is lost"), "cannot be printed"),
        (hello(digests={str(i): "" for i in range(DIGESTS + 1)}), "digests: 33, at most 32"),
        (hello(digests={"x" * 65: ""}), "digest name, characters: 65"),
        (hello(digests={"x": "a" * 129}), "digest of x, characters: 129"),
        (hello(codecs=("c",) * (CODECS + 1)), "codecs: 33, at most 32"),
        (hello(codecs=("c" * 65,)), "codec, characters: 65"),
        (hello(held=Held(0, 0, b"short")), "check of 5 bytes, wanted 16"),
        (snapshot(check=b""), "check of 0 bytes, wanted 16"),
        (snapshot(channels=(Channel("a", "b", 1, b""),) * (CHANNELS + 1)), "channels: 17, at most 16"),
        (snapshot(channels=(Channel("theta", "float32", WITHIN.entries + 1, b""),)), "channel theta, entries: 1048577"),
        (
            snapshot(channels=(Channel("t", "f", 1, bytes(WITHIN.payload + 1)),)),
            "payload, bytes: 3145729, at most 3145728",
        ),
        (snapshot(channels=(Channel("t" * 65, "f", 1, b""),)), "channel, characters: 65"),
        (snapshot(channels=(Channel("t", "f" * 65, 1, b""),)), "encoding, characters: 65"),
    ],
)
def test_a_message_over_a_limit_is_refused_with_both_numbers(message: Message, why: str) -> None:
    assembler = Assembler(WITHIN)

    with pytest.raises(BadMessage, match=why):
        assembler.feed(next(encode(message)))

    assert assembler.is_between_messages


def test_a_reason_over_the_limit_is_refused() -> None:
    request = pb.EdgeRequest(frame=pb.Frame(snapshot_request=pb.SnapshotRequest(reason="x" * 401)))

    with pytest.raises(BadMessage, match="reason, characters: 401, at most 400"):
        Assembler(WITHIN).feed(request.SerializeToString())


def test_a_frame_over_the_limit_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(BadMessage, match=f"frame, bytes: {MAX_FRAME + 1}, at most {MAX_FRAME}"):
        Assembler(WITHIN).feed(bytes(MAX_FRAME + 1))


def test_a_huge_announcement_is_refused_before_anything_is_allocated() -> None:
    header = pb.Snapshot(
        check=CHECK, payload_bytes=1 << 60, channels=[pb.Channel(name="t", size=1, data_bytes=1 << 60)]
    )
    frame = pb.EdgeRequest(frame=pb.Frame(snapshot=header)).SerializeToString()

    tracemalloc.start()
    with pytest.raises(BadMessage, match=f"payload, bytes: {1 << 60}"):
        Assembler(WITHIN).feed(frame)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 100_000


def test_channels_that_do_not_add_up_to_the_payload_are_refused() -> None:
    header = pb.Update(check=CHECK, payload_bytes=9, channels=[pb.Channel(name="t", size=2, data_bytes=8)])

    with pytest.raises(BadMessage, match="payload of 9 bytes, its channels announce 8"):
        Assembler(WITHIN).feed(pb.EdgeRequest(frame=pb.Frame(update=header)).SerializeToString())


def test_the_payload_limit_follows_from_our_own_channels() -> None:
    assert Limits.of({"theta": 1000, "scalars": 2}) == Limits(entries=1000, payload=4 * 1002 + 2 * 1024)


@pytest.mark.parametrize(
    "frame", [b"", b"\x0a\x00", pb.EdgeRequest(frame=pb.Frame()).SerializeToString(), b"\xfa\x06\x03new"]
)
def test_a_frame_that_says_nothing_we_know_is_refused(frame: bytes) -> None:
    with pytest.raises(BadMessage, match="nothing that we know"):
        Assembler(WITHIN).feed(frame)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (lambda: encode_part(0, DATA[:10]), "a part of 10 bytes at 0, wanted one at 40 of 100"),
        (lambda: encode_part(50, DATA[50:]), "a part of 50 bytes at 50, wanted one at 40 of 100"),
        (lambda: encode_part(40, b""), "a part of 0 bytes at 40"),
        (lambda: encode_part(40, DATA[:61]), "part, bytes: 61, at most 60"),
        (lambda: next(encode(hello())), "a message inside another one, at byte 40 of 100"),
        (lambda: next(encode(SNAPSHOT)), "a message inside another one, at byte 40 of 100"),
        (lambda: b"\xff\xff\xff", "that are no frame"),
        (lambda: bytes(MAX_FRAME + 1), "frame, bytes"),
    ],
)
def test_what_is_refused_in_the_middle_of_a_message_changes_nothing(bad: Callable[[], bytes], why: str) -> None:
    assembler = Assembler(WITHIN)
    header = next(encode(SNAPSHOT))
    assert assembler.feed(header) is None
    assert assembler.feed(encode_part(0, DATA[:40])) is None

    with pytest.raises(BadMessage, match=why):
        assembler.feed(bad())

    assert assembler.feed(encode_part(40, DATA[40:])) == SNAPSHOT


def test_a_part_over_its_own_limit_is_refused() -> None:
    assembler = Assembler(Limits(4 * PART, 4 * PART))
    big = snapshot(channels=(Channel("t", "f", PART, bytes(3 * PART)),))
    assembler.feed(next(encode(big)))

    with pytest.raises(BadMessage, match=f"part, bytes: {PART + 1}, at most {PART}"):
        assembler.feed(encode_part(0, bytes(PART + 1)))


def test_a_part_without_a_header_is_refused() -> None:
    with pytest.raises(BadMessage, match="a part of 4 bytes without a header"):
        Assembler(WITHIN).feed(encode_part(0, b"1234"))


@given(messages, st.data())
def test_a_truncated_frame_is_refused_or_is_shorter_but_never_anything_else(
    message: Message, data: st.DataObject
) -> None:
    frame = next(encode(message))
    cut = data.draw(st.integers(0, len(frame) - 1))
    assembler = Assembler(WITHIN)

    with pytest.raises(BadMessage):  # the outer length does not fit any more, or nothing is left
        assembler.feed(frame[:cut])

    assert assembler.is_between_messages


@given(st.binary(max_size=300))
def test_garbage_gives_a_message_or_a_bad_message_never_another_error(garbage: bytes) -> None:
    assembler = Assembler(WITHIN)
    try:
        assembler.feed(garbage)
    except BadMessage:
        assert assembler.is_between_messages


@given(messages, st.data())
def test_a_flipped_bit_gives_a_message_or_a_bad_message_never_another_error(
    message: Message, data: st.DataObject
) -> None:
    assembler = Assembler(WITHIN)
    frames = list(encode(message))
    which = data.draw(st.integers(0, len(frames) - 1))
    bit = data.draw(st.integers(0, 8 * len(frames[which]) - 1))
    flipped = bytearray(frames[which])
    flipped[bit // 8] ^= 1 << bit % 8
    frames[which] = bytes(flipped)
    try:
        for frame in frames:
            heard = assembler.feed(frame)
            if isinstance(heard, SnapshotRequest | Hello | Snapshot | Update):
                assert next(encode(heard))
    except BadMessage:
        pass
