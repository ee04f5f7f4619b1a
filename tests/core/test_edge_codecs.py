"""One edge with a codec that loses bits: the loss is made up for, and nobody is sent what it cannot read."""

from __future__ import annotations

from math import inf, nan

import pytest
import torch

from node.codec.bf16 import bf16
from node.codec.compressor import Compressor
from node.codec.float32 import float32
from node.codec.int4 import int4
from node.codec.int8 import int8
from node.codec.named import KNOWN
from node.core.edge import Edge
from node.core.messages import PROTOCOL_VERSION, Hello, Snapshot, Update
from node.errors import BadMessage, OutOfSequence
from node.types import PeerId

A, B = PeerId("a"), PeerId("b")
SIZES = {"theta": 200, "s": 200, "scalars": 2}
NAMES = tuple(codec.name for codec in KNOWN)
LOSSY = [bf16(), int8(), int4()]
LEFT = {"bf16": 1 / 256, "int8": 1 / 253, "int4": 1 / 13.9}  # of an error at most, by one message: half a scale


def shared(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(size, generator=generator) for name, size in SIZES.items()}


def copied(x: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in x.items()}


def pair(
    codec: Compressor, by_channel: dict[str, Compressor] | None = None, reads: tuple[str, ...] = NAMES
) -> tuple[Edge, Edge]:
    """Our end, which sends by `codec`, and the other one, which says that it can read `reads`."""
    known = {c.name: c for c in KNOWN}
    a = Edge(B, 0, SIZES, codec, known, torch.Generator(), None, by_channel)
    b = Edge(A, 0, SIZES, float32(), known, torch.Generator())
    a.greet(Hello(PROTOCOL_VERSION, B, 0, 0, {}, reads, b.held))
    b.greet(Hello(PROTOCOL_VERSION, A, 0, 0, {}, NAMES, a.held))
    return a, b


def encodings(message: Update | Snapshot) -> dict[str, str]:
    return {c.name: c.encoding for c in message.channels}


# ---- error feedback
@pytest.mark.parametrize("codec", LOSSY, ids=lambda c: c.name)
@pytest.mark.parametrize("seed", range(3))
def test_the_copy_of_what_stays_still_comes_nearer_with_each_message(codec, seed):
    a, b = pair(codec)
    b.hear(a.tell(shared(seed), 0, 0))
    x = shared(seed + 100)
    error = float((x["theta"] - a.mine["theta"]).abs().max())
    floor = 2e-7 * float(x["theta"].abs().max())
    for t in range(1, 9):
        theirs = b.hear(a.tell(copied(x), t, 0))
        assert torch.equal(theirs["theta"], a.mine["theta"])
        before, error = error, float((x["theta"] - theirs["theta"]).abs().max())
        assert error <= LEFT[codec.name] * before + floor
    assert error <= 2 * floor


@pytest.mark.parametrize("codec", LOSSY, ids=lambda c: c.name)
def test_the_error_of_what_moves_is_bounded_by_one_move_however_long_it_goes_on(codec):
    a, b = pair(codec)
    x = shared(0)
    b.hear(a.tell(x, 0, 0))
    for t in range(1, 60):
        x = {name: value + 0.1 * shared(t)[name] for name, value in x.items()}
        theirs = b.hear(a.tell(x, t, 0))
    move = 0.1 * 4.5  # the largest of 200 normal numbers, with room
    assert float((x["theta"] - theirs["theta"]).abs().max()) <= LEFT[codec.name] * move / (1 - LEFT[codec.name])


# ---- who can read what
def test_each_channel_goes_by_its_own_codec_and_small_ones_in_float32():
    a, b = pair(int4(), {"s": int8()})
    assert set(encodings(a.tell(shared(0), 0, 0)).values()) == {"float32"}  # the first contact
    a, b = pair(int4(), {"s": int8()})
    b.hear(a.tell(shared(0), 0, 0))
    update = a.tell(shared(1), 1, 0)
    b.hear(update)
    assert encodings(update) == {"theta": "int4", "s": "int8", "scalars": "float32"}
    assert {c.name: len(c.data) for c in update.channels} == {
        "theta": int4().size(200),
        "s": int8().size(200),
        "scalars": 8,
    }


def test_a_neighbour_that_cannot_read_a_codec_gets_float32_until_it_can():
    a, b = pair(int4(), {"s": int8()}, reads=("float32", "int8", "same"))
    assert a.beyond == ("int4",)
    b.hear(a.tell(shared(0), 0, 0))
    update = a.tell(shared(1), 1, 0)
    assert encodings(update) == {"theta": "float32", "s": "int8", "scalars": "float32"}
    assert torch.equal(b.hear(update)["theta"], shared(1)["theta"])
    a.greet(Hello(PROTOCOL_VERSION, B, 0, 0, {}, NAMES, b.held))  # the stream broke, and the other end was upgraded
    assert a.beyond == ()
    update = a.tell(shared(2), 2, 0)
    assert encodings(update)["theta"] == "int4"
    assert torch.equal(b.hear(update)["theta"], a.mine["theta"])


@pytest.mark.parametrize("codec", LOSSY, ids=lambda c: c.name)
def test_the_very_vector_that_was_told_before_costs_nothing(codec):
    a, b = pair(codec)
    b.hear(a.tell(shared(0), 0, 0))
    x = shared(1)
    b.hear(a.tell(x, 1, 0))
    update = a.tell({**shared(2), "theta": x["theta"]}, 2, 0)  # as rules say it that mix a channel in some rounds only
    assert encodings(update)["theta"] == "same"
    assert torch.equal(b.hear(update)["theta"], a.mine["theta"])


# ---- what goes wrong
@pytest.mark.parametrize("codec", LOSSY, ids=lambda c: c.name)
@pytest.mark.parametrize("bad", [nan, inf, 3e38])
def test_values_that_no_codec_can_say_go_as_they_are_and_the_other_end_refuses_what_is_not_finite(codec, bad):
    a, b = pair(codec)
    b.hear(a.tell(shared(0), 0, 0))
    x = shared(1)
    x["theta"][3] = bad
    update = a.tell(x, 1, 0)
    assert encodings(update)["theta"] == "float32"
    if bad == 3e38:
        assert torch.equal(b.hear(update)["theta"], x["theta"])
        return
    with pytest.raises(BadMessage, match="theta holds values that are not finite"):
        b.hear(update)
    a.greet(Hello(PROTOCOL_VERSION, B, 0, 0, {}, NAMES, b.held))
    mended = a.tell(shared(2), 2, 0)
    assert torch.equal(b.hear(mended)["theta"], shared(2)["theta"])


@pytest.mark.parametrize("codec", LOSSY, ids=lambda c: c.name)
def test_a_snapshot_that_was_asked_for_holds_the_copy_and_not_the_vector(codec):
    a, b = pair(codec)
    b.hear(a.tell(shared(0), 0, 0))
    a.tell(shared(1), 1, 0)  # lost
    late = a.tell(shared(2), 2, 0)
    with pytest.raises(OutOfSequence):
        b.hear(late)
    mended = b.hear(a.answer(b.request(late, "gap")))
    assert torch.equal(mended["theta"], a.mine["theta"])
    assert not torch.equal(mended["theta"], shared(2)["theta"])  # what we may have mixed is what it stands for
    assert torch.equal(b.hear(a.tell(shared(3), 3, 0))["theta"], a.mine["theta"])


@pytest.mark.parametrize("codec", LOSSY, ids=lambda c: c.name)
def test_a_restarted_neighbour_gets_the_vector_itself_and_the_feedback_begins_anew(codec):
    a, b = pair(codec)
    b.hear(a.tell(shared(0), 0, 0))
    b.hear(a.tell(shared(1), 1, 0))
    reborn = Edge(A, 1, SIZES, float32(), {c.name: c for c in KNOWN}, torch.Generator())
    a.greet(Hello(PROTOCOL_VERSION, B, 1, 0, {}, NAMES, reborn.held))
    reborn.greet(Hello(PROTOCOL_VERSION, A, 0, 0, {}, NAMES, a.held))
    message = a.tell(shared(2), 2, 0)
    assert isinstance(message, Snapshot)
    assert torch.equal(reborn.hear(message)["theta"], shared(2)["theta"])
    assert torch.equal(reborn.hear(a.tell(shared(3), 3, 0))["theta"], a.mine["theta"])


@pytest.mark.parametrize("codec", LOSSY, ids=lambda c: c.name)
def test_a_flipped_bit_in_a_code_is_found_by_the_check(codec):
    a, b = pair(codec)
    b.hear(a.tell(shared(0), 0, 0))
    update = a.tell(shared(1), 1, 0)
    theta = update.channels[0]
    data = bytearray(theta.data)
    data[-40] ^= 1
    tampered = type(theta)(theta.name, theta.encoding, theta.size, bytes(data))
    held = b.held
    with pytest.raises((OutOfSequence, BadMessage)):
        b.hear(
            type(update)(
                **{**{f: getattr(update, f) for f in update.__slots__}, "channels": (tampered, *update.channels[1:])}
            )
        )
    assert b.held == held
