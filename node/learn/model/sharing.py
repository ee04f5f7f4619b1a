"""Patterns over the names of parameters: what is shared (`gossip.share`) and what is frozen (`lora.freeze`).

Decides what a pattern matches. Knows names only. A pattern is one of
- "all": every parameter;
- words of a name: "lora_A", "classifier", "layer.5" match where these stand as whole words between dots;
- a glob over the whole name, where it holds *, ? or [: "classifier*", "*.layer.5.*lora_B*";
- any of these after "!": what is excluded, whatever else matches. A list of nothing but exclusions starts from all.

Patterns that papers have names for:
- FedSA-LoRA (Guo et al. 2024, arXiv:2410.01463): share [lora_A]; B stays with its node. Difference: A goes to
  neighbours, not to a server, with Adam's moments of A where gossip.moments is on; the head is private unless named.
- FFA-LoRA (Sun et al. 2024, arXiv:2403.12313): lora.freeze [lora_A], so that the mean of products is the product of
  means. Difference: every node draws the same A from name and seed, nobody hands it out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from node.errors import ConfigError

ALL = ("all",)
NOT = "!"


def selected(setting: str, patterns: Sequence[str], names: Iterable[str]) -> frozenset[str]:
    """The names that `patterns` mean.

    Args:
        setting: where the user wrote them, for the complaint.

    Raises:
        ConfigError: a pattern that matches no name; the message lists the names there are.
    """
    known = sorted(names)
    found = {pattern: _matched(pattern.removeprefix(NOT), known) for pattern in patterns}
    for pattern, matched in found.items():
        if not matched:
            raise ConfigError(f"{setting}: {pattern!r} matches no parameter; there are {listed(known)}")
    wanted = [matched for pattern, matched in found.items() if not pattern.startswith(NOT)]
    excluded = [matched for pattern, matched in found.items() if pattern.startswith(NOT)]
    return frozenset(known if not wanted else ()).union(*wanted).difference(*excluded)


def listed(names: Iterable[str]) -> str:
    """Names in one line, alike ones once: numbers between dots are written as N."""
    return ", ".join(sorted({re.sub(r"(?<=\.)\d+(?=\.)", "N", name) for name in names}))


def _matched(pattern: str, names: Sequence[str]) -> frozenset[str]:
    if pattern == "all":
        return frozenset(names)
    if any(sign in pattern for sign in "*?["):
        return frozenset(name for name in names if fnmatchcase(name, pattern))
    return frozenset(name for name in names if f".{pattern}." in f".{name}.")
