"""How many bytes each codec takes, known before anything is encoded. No torch: verbs that forecast traffic use it, too.

int8, int4: a scale of two bytes for each `GROUP` entries, then the codes, one byte or half a byte an entry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

SMALL = 64  # entries; channels up to here (flags, bias corrections) always travel in float32
GROUP = 64  # entries that share a scale
SCALE = 2  # bytes


def float32(d: int) -> int:
    """Bytes of `d` entries; so do the others."""
    return 4 * d


def bf16(d: int) -> int:
    return 2 * d


def int8(d: int) -> int:
    return SCALE * groups(d) + d


def int4(d: int) -> int:
    return SCALE * groups(d) + (d + 1) // 2


def groups(d: int) -> int:
    """Scales of `d` entries."""
    return -(-d // GROUP)


SIZES: Mapping[str, Callable[[int], int]] = {"float32": float32, "bf16": bf16, "int8": int8, "int4": int4}


def message_bytes(params: int, codecs: Mapping[str, str], moments: bool = True) -> int:
    """Payload of an update of `params` shared parameters, with AdamW's two moments of each or without.

    Left out: the first message of an edge, which is in float32, and channels of a few entries.
    """
    names = ("theta", "m", "s") if moments else ("theta",)
    return update_bytes(dict.fromkeys(names, params), codecs)


def update_bytes(channels: Mapping[str, int], codecs: Mapping[str, str]) -> int:
    """Payload of a message that changes every channel.

    Args:
        channels: name -> entries.
        codecs: channel -> codec; float32 for those not named.
    """
    return sum(channel_bytes(name, entries, codecs) for name, entries in channels.items())


def channel_bytes(name: str, entries: int, codecs: Mapping[str, str]) -> int:
    """Payload of one channel that changed, in an update."""
    codec = "float32" if entries <= SMALL else codecs.get(name, "float32")
    return SIZES[codec](entries)
