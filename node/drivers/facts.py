"""What a journal is told of the things that a driver carries out: one fact, its name and fields that JSON takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from node.core.edge import digest
from node.core.events import Finished, Mixed, Noted, Send
from node.core.messages import Snapshot, Update
from node.core.peer import GossipPeer

Fact: TypeAlias = tuple[str, Mapping[str, Any]]
Journal: TypeAlias = Callable[[str, Mapping[str, Any]], None]


def no_journal(event: str, fields: Mapping[str, Any]) -> None:
    """Where nobody writes one."""


def start_of(peer: GossipPeer, damaged: int = 0, fresh: bool = False) -> list[Fact]:
    """The first facts of a process: who it is, and where it goes on.

    Args:
        damaged: checkpoints that it passed over.
        fresh: it was told to forget those that it had.
    """
    c = peer.config
    facts: list[Fact] = [
        (
            "start",
            {
                "round": c.start_round,
                "rounds": c.rounds,
                "neighbours": list(peer.neighbours),
                "digests": dict(c.digests),
                "fresh": fresh,
            },
        )
    ]
    if damaged:
        facts.append(("checkpoint-damaged", {"reason": f"{damaged} passed over"}))
    if c.start_round:
        facts.append(("resume", {"round": c.start_round, "digest": digest(peer.settled)}))
    return facts


def of(effect: object, leaving: bool = False) -> Fact | None:
    """The fact that an effect is, if it is one."""
    match effect:
        case Noted(event=event, fields=fields):
            return event, fields
        case Send(to=to, message=Snapshot() | Update() as said):
            place = {"seq": said.seq, "round": said.round, "hop": said.hop}
            return "send", {"to": to, "kind": type(said).__name__.lower(), **place, "check": said.check.hex()}
        case Mixed():
            return "mix", {
                "round": effect.round,
                "used": {peer: list(version) for peer, version in effect.used.items()},
                "staleness": dict(effect.staleness),
                "missing": list(effect.missing),
                "contributions": effect.contributions,
                "settled": effect.settled,
                "digest": digest(effect.after),
                "mass": effect.mass,
            }
        case Finished(shared=shared, rounds=rounds):
            return "leave" if leaving else "finish", {"round": rounds, "digest": digest(shared)}
    return None
