from __future__ import annotations

import pytest
import torch

from node.codec.float32 import float32
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
