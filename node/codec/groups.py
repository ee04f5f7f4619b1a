"""What int8 and int4 share: a scale for each group of entries, and codes that count it.

Decides how numbers are rounded; knows no bytes of codes. A scale is a positive float32 cut to 16 bits: the sign, always
plus, and the last 15 bits of the mantissa are not sent. With 9 significant bits a code times its scale is exact in
float32, so every machine decodes the same bits, and the largest entry of a group always has the largest code.
"""

from __future__ import annotations

import numpy as np
import torch

from node.codec.compressor import Buffer
from node.codec.sizes import GROUP, SCALE, groups
from node.errors import BadMessage
from node.types import Vector

CUT = 15  # bits of a float32 that a scale does without
TINIEST = 2.0**-126  # scales are normal numbers, or 0 for a group of zeros: some processors flush smaller ones to 0
LARGEST = 2.0**120  # of an entry; a delta beyond it goes in float32
SCALES = np.dtype("<u2")


def takes(x: Vector) -> bool:
    """Whether all of x is finite and not so large that a scale would overflow."""
    return x.numel() == 0 or bool(x.abs().amax() <= LARGEST)  # not so for NaN


def scales_of(x: Vector, levels: int) -> Vector:
    """(groups,): the smallest scales by which no entry of a group needs a code beyond `levels`; see `takes`."""
    whole = x.numel() // GROUP * GROUP
    largest = x[:whole].view(-1, GROUP).abs().amax(1)
    if whole < x.numel():
        largest = torch.cat((largest, x[whole:].abs().amax().view(1)))
    scales = _cut_up((largest / levels).clamp_(min=TINIEST))
    scales = torch.where(scales * levels < largest, _cut_up(torch.nextafter(scales, _INFINITY)), scales)
    return torch.where(largest == 0.0, torch.zeros(()), scales)


_INFINITY = torch.tensor(torch.inf)


def _cut_up(x: Vector) -> Vector:
    """The next larger number of 9 significant bits."""
    mask = (1 << CUT) - 1
    return ((x.view(torch.int32) + mask) & ~mask).view(torch.float32)


def codes_of(x: Vector, scales: Vector) -> Vector:
    """(d,) whole numbers, as float32: x / scale to the nearest, ties to even."""
    codes = x.clone()
    _by_group(codes, torch.where(scales == 0.0, torch.ones(()), scales), torch.Tensor.div_)
    return codes.round_()


def scaled(codes: Vector, scales: Vector) -> Vector:
    """(d,): codes times scales, in place."""
    _by_group(codes, scales, torch.Tensor.mul_)
    return codes


def _by_group(x: Vector, scales: Vector, do: object) -> None:
    whole = x.numel() // GROUP
    do(x[: whole * GROUP].view(-1, GROUP), scales[:whole, None])  # type: ignore[operator]
    if whole < len(scales):
        do(x[whole * GROUP :], scales[whole])  # type: ignore[operator]


def scale_bytes(scales: Vector) -> bytes:
    """SCALE bytes each, little-endian."""
    return (scales.view(torch.int32) >> CUT).numpy().astype(SCALES).tobytes()


def split(data: Buffer, d: int, wanted: int, name: str) -> tuple[Vector, Buffer]:
    """Scales and the bytes of codes.

    Raises:
        BadMessage: not `wanted` bytes, or a scale that is not finite, or too large.
    """
    if len(data) != wanted:
        raise BadMessage(f"{name}: {len(data)} bytes where {d} entries need {wanted}")
    at = SCALE * groups(d)
    scales = torch.from_numpy(np.frombuffer(data[:at], SCALES).astype(np.int32) << CUT).view(torch.float32)
    if not takes(scales):
        raise BadMessage(f"{name}: a scale that is not finite, or above {LARGEST:g}")
    return scales, data[at:]
