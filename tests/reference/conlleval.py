"""Entities as the script of CoNLL-2000 to 2003 counts them: a walk over the true and the said tags at once.

Tjong Kim Sang's conlleval: `ends` and `starts` are its endOfChunk and startOfChunk for BIO tags.
"""

from __future__ import annotations

from collections.abc import Sequence


def split(tag: str) -> tuple[str, str]:
    return ("O", "") if tag == "O" else (tag[0], tag[2:])


def ends(before: str, tag: str, kind_before: str, kind: str) -> bool:
    if before == "B" and tag in ("B", "O"):
        return True
    if before == "I" and tag in ("B", "O"):
        return True
    return before != "O" and kind_before != kind


def starts(before: str, tag: str, kind_before: str, kind: str) -> bool:
    if tag == "B":
        return True
    if before == "O" and tag == "I":
        return True
    return tag != "O" and kind_before != kind


def count(true: Sequence[Sequence[str]], said: Sequence[Sequence[str]]) -> tuple[int, int, int]:
    """(right, found, true) chunks over all texts."""
    right = found = there = 0
    for row_true, row_said in zip(true, said, strict=True):
        in_correct = False
        last_true, last_said = ("O", ""), ("O", "")
        for tag_true, tag_said in zip([*row_true, "O"], [*row_said, "O"], strict=True):
            now_true, now_said = split(tag_true), split(tag_said)
            end_true = ends(last_true[0], now_true[0], last_true[1], now_true[1])
            end_said = ends(last_said[0], now_said[0], last_said[1], now_said[1])
            if in_correct:
                if end_true and end_said and last_true[1] == last_said[1]:
                    in_correct = False
                    right += 1
                elif end_true != end_said or now_true[1] != now_said[1]:
                    in_correct = False
            start_true = starts(last_true[0], now_true[0], last_true[1], now_true[1])
            start_said = starts(last_said[0], now_said[0], last_said[1], now_said[1])
            if start_true and start_said and now_true[1] == now_said[1]:
                in_correct = True
            there += start_true
            found += start_said
            last_true, last_said = now_true, now_said
    return right, found, there
