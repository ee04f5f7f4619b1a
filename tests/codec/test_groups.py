"""int8 and int4: by hand, laws, the slow twin, and bytes that no honest end sends."""

from __future__ import annotations

from math import inf, nan

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from node.codec.bf16 import bf16
from node.codec.compressor import Compressor
from node.codec.groups import LARGEST
from node.codec.int4 import int4
from node.codec.int8 import int8
from node.codec.named import KNOWN
from node.codec.sizes import GROUP
from node.errors import BadMessage
from tests.reference.codec_by_loop import bytes_by_loop, decoded_by_loop

LEVELS = {"int8": 127, "int4": 7}
NOBODY = torch.Generator()
GROUPED = [int8(), int4()]
IDS = ["int8", "int4"]


def through(codec: Compressor, x: torch.Tensor) -> torch.Tensor:
    return codec.decode(codec.encode(x, NOBODY), x.numel())


def some(d: int, seed: int) -> torch.Tensor:
    """Of many magnitudes, with zeros."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(d, generator=generator) * torch.exp(4 * torch.randn(d, generator=generator))
    return x * (torch.rand(d, generator=generator) > 0.1)


def one(*values: float) -> torch.Tensor:
    return torch.tensor(values)


def test_a_group_of_four_in_int8_worked_by_hand():
    # the largest is 127, so the scale is 1: 3f800000 without its last 15 bits is 7f00; -63.5 is a tie, to the even -64
    x = one(127.0, -63.5, 1.0, 0.0)
    assert int8().encode(x, NOBODY) == bytes.fromhex("007f" + "7fc00100")
    assert through(int8(), x).tolist() == [127.0, -64.0, 1.0, 0.0]


def test_a_group_of_four_in_int4_worked_by_hand():
    # scale 1; -3.5 is a tie, to -4, which is c; two codes a byte, the first one in the lower half
    x = one(7.0, -3.5, 1.0, 0.0)
    assert int4().encode(x, NOBODY) == bytes.fromhex("007f" + "c701")
    assert through(int4(), x).tolist() == [7.0, -4.0, 1.0, 0.0]


def test_a_scale_has_nine_bits_and_is_the_next_larger_one():
    # 1000 / 127 = 7.874...; of 9 bits: 503.9 / 64, so 504 / 64 = 7.875
    assert through(int8(), one(1000.0, 7.875)).tolist() == [127 * 7.875, 7.875]


@pytest.mark.parametrize("codec", GROUPED, ids=IDS)
def test_zeros_stay_zero_and_cost_as_much(codec):
    assert len(codec.encode(torch.zeros(100), NOBODY)) == codec.size(100)
    assert not through(codec, torch.zeros(100)).any()


@pytest.mark.parametrize("codec", KNOWN[:4], ids=lambda c: c.name)
@pytest.mark.parametrize("d", [0, 1, 2, 63, 64, 65, 129])
def test_the_size_is_known_before(codec, d):
    assert len(codec.encode(some(d, d), NOBODY)) == codec.size(d)
    assert through(codec, some(d, d)).shape == (d,)


def test_sizes_worked_by_hand():
    # 130 entries are three groups
    assert {c.name: c.size(130) for c in KNOWN} == {"float32": 520, "bf16": 260, "int8": 136, "int4": 71, "same": 0}


@pytest.mark.parametrize("codec", GROUPED, ids=IDS)
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("d", [1, 130])
def test_the_slow_twin_writes_the_same_bytes(codec, seed, d):
    x, levels = some(d, seed), LEVELS[codec.name]
    assert codec.encode(x, NOBODY) == bytes_by_loop(x.tolist(), levels, GROUP)
    assert through(codec, x).tolist() == decoded_by_loop(x.tolist(), levels, GROUP)


FLOATS = st.floats(-LARGEST, LARGEST, width=32)


@pytest.mark.parametrize("codec", GROUPED, ids=IDS)
@settings(max_examples=25, deadline=None)
@given(values=st.lists(FLOATS, min_size=1, max_size=2 * GROUP + 3))
def test_no_entry_is_off_by_more_than_half_a_scale(codec, values):
    x, levels = torch.tensor(values), LEVELS[codec.name]
    y = through(codec, x)
    for at in range(0, len(values), GROUP):
        part, error = x[at : at + GROUP].double(), y[at : at + GROUP].double() - x[at : at + GROUP].double()
        largest = float(part.abs().max())
        scale = max(largest / levels * (1 + 2.0**-8), 2.0**-126) if largest else 0.0
        assert float(error.abs().max()) <= 0.5 * scale * (1 + 1e-6)


@pytest.mark.parametrize("codec", [int8(), int4(), bf16()], ids=lambda c: c.name)
@pytest.mark.parametrize("seed", range(5))
def test_what_was_rounded_once_is_not_rounded_again(codec, seed):
    x = through(codec, some(1000, seed))
    assert torch.equal(through(codec, x), x)


@pytest.mark.parametrize("codec", GROUPED, ids=IDS)
def test_entries_too_small_for_a_normal_scale_vanish(codec):
    assert not through(codec, torch.full((70,), 1e-44)).any()


@pytest.mark.parametrize("codec", [int8(), int4(), bf16()], ids=lambda c: c.name)
@pytest.mark.parametrize("bad", [nan, inf, -inf, 3e38])
def test_what_cannot_be_said_is_known_before_and_never_becomes_a_number(codec, bad):
    x = some(200, 0)
    assert codec.takes(x)
    x[130] = bad
    assert not codec.takes(x)
    if bad != 3e38:
        with pytest.raises(BadMessage):
            through(codec, x)


# ---- bytes of a stranger
@pytest.mark.parametrize("codec", [int8(), int4(), bf16()], ids=lambda c: c.name)
@pytest.mark.parametrize("length", [0, 1, -1, +1, 10**6])
def test_another_length_is_refused_before_anything_is_made_of_it(codec, length):
    wanted = codec.size(100)
    found = length if length in (0, 10**6) else wanted + (length if length < 0 else 1)
    with pytest.raises(BadMessage, match=f"{codec.name}: {found} bytes where 100 entries need {wanted}"):
        codec.decode(bytes(found), 100)


@pytest.mark.parametrize("codec", [int8(), int4()], ids=lambda c: c.name)
@pytest.mark.parametrize("scale", [0xFF00, 0xFF01, 0xFFFF, 0xFE00, 0xF800])  # infinite, two NaN, finite but huge
def test_a_scale_that_is_no_number_or_a_huge_one_is_refused(codec, scale):
    data = bytearray(codec.encode(some(100, 0), NOBODY))
    data[2:4] = scale.to_bytes(2, "little")
    with pytest.raises(BadMessage, match="a scale that is not finite, or above"):
        codec.decode(bytes(data), 100)


def test_a_code_out_of_range_is_refused():
    data = int8().encode(some(100, 0), NOBODY)
    with pytest.raises(BadMessage, match="int8: a code of -128"):
        int8().decode(data[:-1] + b"\x80", 100)
    data = int4().encode(some(100, 0), NOBODY)
    for last in (b"\x80", b"\x08", b"\x88"):
        with pytest.raises(BadMessage, match="int4: a code of -8"):
            int4().decode(data[:-1] + last, 100)


def test_half_a_byte_beyond_the_last_entry_holds_nothing():
    data = int4().encode(some(101, 0), NOBODY)
    assert data[-1] >> 4 == 0
    with pytest.raises(BadMessage, match="beyond the last entry"):
        int4().decode(data[:-1] + bytes([data[-1] | 0x10]), 101)


@pytest.mark.parametrize("codec", [int8(), int4(), bf16()], ids=lambda c: c.name)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_bytes_of_the_right_length_are_refused_or_finite(codec, data):
    d = data.draw(st.integers(0, 2 * GROUP + 1))
    sent = data.draw(st.binary(min_size=codec.size(d), max_size=codec.size(d)))
    try:
        found = codec.decode(memoryview(sent), d)
    except BadMessage:
        return
    assert found.shape == (d,)
    assert bool(torch.isfinite(found).all())


# ---- bf16
def test_bf16_worked_by_hand():
    # 1 + 2^-8 and 1 + 3 2^-8 are ties between eight-bit neighbours: to the even one
    x = one(1.0, 1 + 2.0**-8, 1 + 3 * 2.0**-8, -1 - 2.0**-8)
    assert bf16().encode(x, NOBODY) == bytes.fromhex("803f803f823f80bf")


@pytest.mark.parametrize("seed", range(5))
def test_bf16_is_what_torch_makes_of_it(seed):
    x = some(1000, seed)
    assert torch.equal(through(bf16(), x), x.bfloat16().float())
