"""What of the protocol belongs in a checkpoint, as JSON-able values and tensors: the rule's state and our last word.

The last word told to neighbours is kept because one of them may be a round behind us: after a restart of all nodes it
needs that word to do its round as it would have done it. (Of a round of several hops only the last one is kept: there
such a neighbour does its round as after any fault, not bit by bit.) Where a codec loses bits, the last word is kept as
each neighbour holds it: that is what we have mixed, and said again after a restart, as a snapshot, it leaves the mean
where it was and is the base of the next delta, so that the run goes on with the bits of one that was not interrupted.
Other public copies are not kept: who was not told the last word (on a schedule) gets a snapshot of what we have then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from node.core.messages import Join
from node.core.neighbourhood import Told
from node.gossip.mixing import Mixing, State
from node.types import PeerId, Shared


def pack(
    mixing: Mixing, state: State, told: Told | None, generator: torch.Generator, joins: tuple[Join, ...]
) -> dict[str, Any]:
    """The inverse of the `unpack_` functions together."""
    return {
        "rule": mixing.pack(state),
        "told": None if told is None else _pack_told(told),
        "generator": generator.get_state(),
        "joins": [[j.node, j.address, list(j.neighbours), j.round] for j in joins],
    }


def unpack_told(state: Mapping[str, Any]) -> Told | None:
    said = state.get("told")
    if said is None:
        return None
    outbox = {PeerId(p): said["vectors"][i] for p, i in said["to"].items()}
    return Told((said["round"], said["hop"]), outbox, frozenset(map(PeerId, said.get("used", outbox))))


def unpack_joins(state: Mapping[str, Any]) -> tuple[Join, ...]:
    said = state.get("joins", ())
    return tuple(Join(PeerId(n), address, tuple(map(PeerId, peers)), round) for n, address, peers, round in said)


def unpack_rule(mixing: Mixing, state: Mapping[str, Any], start: State) -> State:
    """The rule's state, or `start` where it keeps none."""
    packed = state.get("rule")
    return start if packed is None or mixing.unpack is None else mixing.unpack(packed)


def unpack_generator(state: Mapping[str, Any], generator: torch.Generator) -> None:
    if "generator" in state:
        generator.set_state(state["generator"])


def _pack_told(told: Told) -> dict[str, Any]:
    """Most rules tell everybody the same: each vector once."""
    vectors: list[Shared] = []
    to = {}
    for peer, shared in told.outbox.items():
        known = next((i for i, other in enumerate(vectors) if other is shared), None)
        if known is None:
            vectors.append(shared)
        to[peer] = len(vectors) - 1 if known is None else known
    return {"round": told.key[0], "hop": told.key[1], "vectors": vectors, "to": to, "used": sorted(told.used)}
