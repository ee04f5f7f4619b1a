"""How a node that is not in the topology file gets into a network that runs.

    look --status of one node--> plan --propose to every neighbour--> all agree --commit, round R--> wait for R --> run
                                                       |--one refuses, or is silent--> nothing has changed anywhere
R lies far enough ahead that the news reaches all nodes first. Who has joined once keeps its place in a file and goes on
by it after a restart.
"""

from __future__ import annotations

import asyncio
import logging
import math
import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc
import grpc.aio

from node.app.run.run_folder import NodeFolder, read_json, write_json
from node.core.messages import Hello, Join
from node.errors import BadMessage, ConfigError, GossipError
from node.graph.growth import chosen, grown
from node.graph.reach import NOWHERE
from node.graph.topology import Topology
from node.observe.status import NodeStatus
from node.types import PeerId
from node.wire.asking import insecure_channel
from node.wire.join import Answer, Proposal, ask_commit, ask_propose
from node.wire.status import ask_status

Ask: TypeAlias = Callable[[grpc.aio.Channel, PeerId], Awaitable[Answer]]

LOG = logging.getLogger(__name__)
DEADLINE = 5.0  # seconds for one answer; a node whose cores are all training is late, not dead
NEWS = 0.5  # seconds that a join may take to every node; it floods in milliseconds, and settlement covers who is late
AHEAD = 2  # rounds at least: the one under way, and the next one
LOOKS = 20.0  # times a round, while we wait for ours
NO_RECORDS = 2**62  # a round that nobody has done


class NoAnswer(GossipError):
    """A node that is needed did not answer; nothing has changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a new node wants to stand."""

    peer: PeerId
    address: str  # host:port that others dial, or NOWHERE
    listen: str  # host:port
    base: Topology  # as the network began
    joins: tuple[Join, ...]  # earlier ones, and our own where `joined`
    neighbours: tuple[PeerId, ...]
    joined: bool  # we have been let in before
    asked: tuple[PeerId, str]  # who was asked, and where it answered
    rounds: int  # that the run will have
    round_s: float  # seconds that a round takes there; 0: not known

    @property
    def share(self) -> tuple[int, int]:
        """Our number, and of how many: which part of common data is ours. Others have been dealt theirs before."""
        earlier = [join for join in self.joins if join.node != self.peer]
        place = len(self.base.nodes) + len(earlier)
        return place, place + 1

    def where(self, peer: PeerId) -> str:
        """The address of `peer`, as far as we know one that works from here."""
        known = grown(self.base, [j for j in self.joins if j.node != self.peer]).addresses
        return self.asked[1] if peer == self.asked[0] else known[peer]


# ---- before anything is asked
def look(via: str) -> NodeStatus:
    """What the node at `via` says of its network.

    Raises:
        NoAnswer: nobody there.
        ConfigError: its run is over.
    """
    status = asyncio.run(_status(via, 0))
    if status.state in ("finished", "leaving"):
        raise ConfigError(
            f"--via {via}: the run is over at {status.node} (round {status.round} of {status.rounds}); "
            f"wanted a network that runs"
        )
    return status


def plan(
    status: NodeStatus,
    via: str,
    peer: PeerId,
    listen: str,
    address: str,
    neighbours: Sequence[PeerId],
    kept: NodeFolder,
) -> Place:
    """Where `peer` will stand in the network that `status` tells of.

    Args:
        neighbours: () chooses them.
        kept: where an earlier join of ours would have left its place.

    Raises:
        ConfigError: the id is taken, or a neighbour cannot be one.
        BadMessage: a status that contradicts itself.
    """
    base, joins = _base(status, via), status.topology.joins
    own = next((join for join in joins if join.node == peer), None)
    before = _kept(kept)
    if own is not None and own == before[1]:
        listen, address, neighbours = before[0], own.address, own.neighbours
    elif peer in status.topology.addresses:
        raise ConfigError(f"--id {peer}: the network has a node of that id already; wanted another id")
    else:
        own = None
        graph = grown(base, joins)
        neighbours = tuple(neighbours) or chosen(graph, status.node)
        for other in neighbours:
            if other not in graph.addresses:
                raise ConfigError(f"--neighbours: {other} is not a node of the network ({', '.join(graph.nodes)})")
            if graph.addresses[other] == NOWHERE and other != status.node:
                raise ConfigError(f"--neighbours: {other} has no address, so it cannot be asked; wanted another node")
        grown(base, (*joins, Join(peer, address, neighbours, status.round)))
    return Place(
        peer=peer,
        address=address,
        listen=listen,
        base=base,
        joins=joins,
        neighbours=tuple(neighbours),
        joined=own is not None,
        asked=(status.node, via),
        rounds=status.rounds,
        round_s=_seconds_a_round(status),
    )


def _base(status: NodeStatus, via: str) -> Topology:
    """The topology file that the network began with."""
    told = status.topology
    late = {join.node for join in told.joins}
    nodes = {peer: address or None for peer, address in told.addresses.items() if peer not in late}
    edges = [list(edge) for edge in told.edges if not late & set(edge)]
    base = Topology.from_mapping({"nodes": nodes, "edges": edges, "weights": told.weights}, via)
    if base.digest != told.digest:
        raise BadMessage(f"{via}: the topology that {status.node} tells is not the one that it was started with")
    return base


def _seconds_a_round(status: NodeStatus) -> float:
    took = [record.seconds.train + record.seconds.exchange for record in status.records]
    return statistics.median(took) if took else 0.0


def _kept(folder: NodeFolder) -> tuple[str, Join | None]:
    """Where we listened, and the join of ours that was agreed on."""
    said = read_json(folder.join)
    if said is None:
        return "", None
    return said["listen"], Join(said["node"], said["address"], tuple(said["neighbours"]), said["round"])


def keep(folder: NodeFolder, place: Place, join: Join) -> None:
    """For the next start of this node."""
    document = {"node": join.node, "address": join.address, "neighbours": list(join.neighbours), "round": join.round}
    write_json(folder.join, {"listen": place.listen, **document})


# ---- asking, agreeing, waiting
async def enter(place: Place, hello: Hello) -> Join:
    """Ask every neighbour, and commit where all agree.

    Raises:
        ConfigError: one refuses; it and its reason are named, and nothing has changed anywhere.
        NoAnswer: one does not answer; nothing has changed anywhere. Or none took the commit.
    """
    proposal = Proposal(hello, place.address, place.neighbours)
    answers = await _ask_all(place, lambda channel, peer: ask_propose(channel, proposal, DEADLINE))
    agreed = [_agreement(place, peer, said) for peer, said in answers.items()]
    join = Join(place.peer, place.address, place.neighbours, _round_for(place, agreed))
    done = await _ask_all(place, lambda channel, peer: ask_commit(channel, peer, join, DEADLINE))
    took = [peer for peer, said in done.items() if isinstance(said, Answer) and said.agreed]
    failed = {peer: said if isinstance(said, str) else said.reason for peer, said in done.items() if peer not in took}
    if not took:
        raise NoAnswer("; ".join(f"{peer} did not take the join: {reason}" for peer, reason in failed.items()))
    for peer, reason in failed.items():
        LOG.warning("%s did not take the join (%s); %s will tell it", peer, reason, took[0])
    return join


def _agreement(place: Place, peer: PeerId, said: Answer | str) -> Answer:
    """What `peer` said, if that was yes. Raises as `enter` does."""
    if isinstance(said, str):
        raise NoAnswer(f"{peer} does not answer at {place.where(peer)}: {said}; nothing has changed")
    if said.node != peer:
        raise ConfigError(f"{place.where(peer)} answers as {said.node}, wanted {peer}; nothing has changed")
    if not said.agreed:
        raise ConfigError(f"{peer} refuses: {said.reason}; nothing has changed")
    return said


def _round_for(place: Place, answers: Sequence[Answer]) -> int:
    """When all nodes will know. Raises ConfigError where the run ends before."""
    newest = max(answer.round for answer in answers)
    ahead = AHEAD + (math.ceil(NEWS / place.round_s) if place.round_s > 0 else 0)
    if newest + ahead >= place.rounds:
        raise ConfigError(
            f"the run is nearly over: round {newest} of {place.rounds}, and a node that joins now would count from "
            f"round {newest + ahead} on; nothing has changed"
        )
    return newest + ahead


async def reached(place: Place, join: Join) -> None:
    """Waits until the network is in the round of `join`; before it nobody would mix with us."""
    pause = min(1.0, max(0.02, place.round_s / LOOKS))
    while True:
        rounds = [r for peer in join.neighbours if (r := await _round_of(place.where(peer))) is not None]
        if not rounds or max(rounds) >= join.round:
            return
        await asyncio.sleep(pause)


async def _round_of(address: str) -> int | None:
    if address == NOWHERE:
        return None
    try:
        status = await _status(address, NO_RECORDS)
    except GossipError:
        return None
    return status.rounds if status.state == "finished" else status.round


async def _ask_all(place: Place, ask: Ask) -> dict[PeerId, Answer | str]:
    """Every neighbour at the same time: its answer, or why there is none."""

    async def one(peer: PeerId) -> Answer | str:
        async with insecure_channel(place.where(peer)) as channel:
            try:
                return await ask(channel, peer)
            except grpc.aio.AioRpcError as error:
                return _why(error)
            except BadMessage as fault:
                return f"its answer was refused: {fault}"

    said = await asyncio.gather(*(one(peer) for peer in place.neighbours))
    return dict(zip(place.neighbours, said, strict=True))


async def _status(address: str, since: int) -> NodeStatus:
    async with insecure_channel(address) as channel:
        try:
            return await ask_status(channel, since, DEADLINE)
        except grpc.aio.AioRpcError as error:
            raise NoAnswer(f"{address}: no gossip node answers ({_why(error)}); is it up?") from None


def _why(error: Any) -> str:
    match error.code():
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return f"no answer within {DEADLINE:g} s"
        case grpc.StatusCode.UNAVAILABLE:
            return "no connection"
        case grpc.StatusCode.UNIMPLEMENTED:
            return "it has no such service: an older version, or joins are off (gossip.joins in its node file)"
        case _:
            return f"{error.code().name.lower()}: {error.details()}"
