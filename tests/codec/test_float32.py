from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from node.codec.float32 import add, float32, subtract
from node.errors import BadMessage


def test_bytes_are_little_endian_worked_by_hand():
    assert float32().encode(torch.tensor([1.0, -2.0]), torch.Generator()) == bytes.fromhex("0000803f000000c0")


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_lost(seed):
    x = torch.randn(1000, generator=torch.Generator().manual_seed(seed)) * 10.0 ** (seed * 5)
    codec = float32()
    assert torch.equal(codec.decode(memoryview(codec.encode(x, torch.Generator())), 1000), x)


def test_another_length_is_refused():
    with pytest.raises(BadMessage, match="7 bytes where 2 entries need 8"):
        float32().decode(bytes(7), 2)


# ---- deltas of bit patterns
PATTERNS = st.integers(0, 2**32 - 1)
ODD = (0x00000000, 0x80000000, 0x00000001, 0x807FFFFF, 0x7F800000, 0xFF800000, 0x7FC00000, 0x7FA00001, 0xFFFFFFFF)


def floats(patterns: list[int]) -> torch.Tensor:
    """(d,) float32 of these bits: any zero, denormal, infinity or NaN among them."""
    return torch.from_numpy(np.array(patterns, dtype="<u4").view("<f4").astype(np.float32, copy=False))


def bits(x: torch.Tensor) -> list[int]:
    return [int(v) & 0xFFFFFFFF for v in x.view(torch.int32)]


def test_a_delta_counts_units_in_the_last_place_worked_by_hand():
    x, base = floats([0x3F800002, 0x00000000]), floats([0x3F800000, 0x80000000])  # 1 + 2 ulp against 1; 0 against -0
    assert bits(subtract(x, base)) == [2, 0x80000000]
    assert bits(add(base, subtract(x, base))) == [0x3F800002, 0]


@settings(deadline=None)
@given(st.lists(st.tuples(PATTERNS | st.sampled_from(ODD), PATTERNS | st.sampled_from(ODD)), min_size=1, max_size=50))
def test_a_delta_gives_the_very_bits_whatever_they_mean(pairs):
    x, base = floats([p for p, _ in pairs]), floats([q for _, q in pairs])
    codec = float32()
    sent = codec.decode(codec.encode(codec.subtract(x, base), torch.Generator()), len(pairs))
    assert bits(codec.add(base, sent)) == [p for p, _ in pairs]


def test_a_difference_of_values_would_not():
    """(x - b) + b rounds twice: of a thousand random entries about a third come back as a neighbouring float."""
    generator = torch.Generator().manual_seed(0)
    x, base = torch.randn(1000, generator=generator), torch.randn(1000, generator=generator)
    assert ((x - base) + base != x).sum() > 100
    assert torch.equal(add(base, subtract(x, base)), x)
