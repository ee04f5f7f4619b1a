"""int8 and int4 entry by entry, in exact fractions where the text says exact: what the vectors must agree with."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor, log2

import numpy as np


def scale_by_loop(group: list[float], levels: int) -> Fraction:
    """The smallest number of 9 significant bits, 2^-126 or more, of which `levels` are not less than any entry."""
    largest = max(abs(Fraction(x)) for x in group)
    if largest == 0:
        return Fraction(0)
    wanted = max(largest / levels, Fraction(2) ** -126)
    unit = Fraction(2) ** (floor(log2(wanted)) - 8)
    while wanted / unit >= 512:  # log2 rounds
        unit *= 2
    return ceil(wanted / unit) * unit


def codes_by_loop(group: list[float], levels: int) -> list[int]:
    """To the nearest of the quotient in float32, ties to even."""
    scale = scale_by_loop(group, levels)
    if scale == 0:
        return [0] * len(group)
    return [round(float(np.float32(x) / np.float32(float(scale)))) for x in group]


def decoded_by_loop(x: list[float], levels: int, group: int) -> list[float]:
    """What arrives."""
    found: list[float] = []
    for at in range(0, len(x), group):
        part = x[at : at + group]
        scale = scale_by_loop(part, levels)
        found += [float(code * scale) for code in codes_by_loop(part, levels)]
    return found


def bytes_by_loop(x: list[float], levels: int, group: int) -> bytes:
    """What travels: scales of two bytes, then codes of a byte (int8) or half a byte (int4)."""
    parts = [x[at : at + group] for at in range(0, len(x), group)]
    scales = b""
    for part in parts:
        bits = int(np.float32(float(scale_by_loop(part, levels))).view(np.uint32))
        assert bits % 2**15 == 0
        scales += (bits >> 15).to_bytes(2, "little")
    codes = [code for part in parts for code in codes_by_loop(part, levels)]
    if levels == 127:
        return scales + bytes(code % 256 for code in codes)
    halves = [code % 16 for code in codes] + [0] * (len(codes) % 2)
    return scales + bytes(low + 16 * high for low, high in zip(halves[::2], halves[1::2], strict=True))
