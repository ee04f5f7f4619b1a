"""The small messages about members and settlements, to protobuf and back; `convert` does all others.

What comes in is checked against every limit; what goes out is our own and trusted.
"""

from __future__ import annotations

import math

from node.core.messages import Ack, Join, Members, Pair, Ping, Rumour, Settlement, StateRequest
from node.core.rumours import STATES
from node.errors import BadMessage
from node.types import PeerId
from node.wire import limits
from node.wire.generated import gossip_pb2 as pb
from node.wire.limits import at_most, text

News = Ping | Ack | Members | StateRequest | Join
NONE = 0  # in Settlement.final: protobuf has no -1 here, and no version before the first one is ever settled


def to_frame(message: News) -> pb.Frame:
    match message:
        case Ping(number=number):
            return pb.Frame(ping=pb.Ping(number=number))
        case Ack(number=number):
            return pb.Frame(ack=pb.Ack(number=number))
        case Members(rumours=rumours):
            said = [pb.Rumour(node=r.node, state=r.state, epoch=r.epoch, incarnation=r.incarnation) for r in rumours]
            return pb.Frame(members=pb.Members(rumours=said))
        case StateRequest(round=r):
            return pb.Frame(state_request=pb.StateRequest(round=r))
        case Join():
            return pb.Frame(join=from_join(message))


def to_message(kind: str | None, frame: pb.Frame) -> News:
    """The message of a frame.

    Raises:
        BadMessage: over a limit, or nothing that we know.
    """
    match kind:
        case "ping":
            return Ping(frame.ping.number)
        case "ack":
            return Ack(frame.ack.number)
        case "members":
            at_most("rumours", len(frame.members.rumours), limits.RUMOURS)
            return Members(tuple(map(_to_rumour, frame.members.rumours)))
        case "state_request":
            return StateRequest(frame.state_request.round)
        case "join":
            return to_join(frame.join)
        case other:
            raise BadMessage(f"a frame with {other or 'nothing that we know'}, wanted a message")


def from_settlement(settlement: Settlement | None) -> pb.Settlement | None:
    if settlement is None:
        return None
    pairs = [pb.Pair(mine=p.mine, theirs=p.theirs, weight=p.weight) for p in settlement.pairs]
    return pb.Settlement(pairs=pairs, final=max(NONE, settlement.final), refused=settlement.refused)


def to_settlement(settlement: pb.Settlement) -> Settlement:
    """Raises BadMessage: more than an edge can have open, or a weight that no row of W holds."""
    at_most("pairs", len(settlement.pairs), limits.PAIRS)
    at_most("refused pairs", len(settlement.refused), limits.PAIRS)
    pairs = tuple(Pair(p.mine, p.theirs, p.weight) for p in settlement.pairs)
    for pair in pairs:
        if not (math.isfinite(pair.weight) and 0.0 < pair.weight <= 1.0):
            raise BadMessage(f"a pair of weight {pair.weight}, wanted one in (0, 1]")
    return Settlement(pairs, settlement.final, tuple(settlement.refused))


def _to_rumour(rumour: pb.Rumour) -> Rumour:
    if rumour.state not in STATES:
        raise BadMessage(f"a rumour of state {rumour.state[: limits.NAME]!r}, wanted one of {', '.join(STATES)}")
    return Rumour(_id(rumour.node), rumour.state, rumour.epoch, rumour.incarnation)


def from_join(join: Join) -> pb.Join:
    return pb.Join(node=join.node, address=join.address, neighbours=join.neighbours, round=join.round)


def to_join(join: pb.Join) -> Join:
    """Raises BadMessage: over a limit, or an empty id."""
    at_most("neighbours", len(join.neighbours), limits.NEIGHBOURS)
    address = text("address", join.address, limits.ADDRESS)
    return Join(_id(join.node), address, tuple(map(_id, join.neighbours)), join.round)


def _id(said: str) -> PeerId:
    if not said:
        raise BadMessage("a node without an id")
    return PeerId(text("node id", said, limits.ID))
