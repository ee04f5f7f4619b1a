"""The questions of a node that wants to join, as protobuf, and the gRPC service that answers them.

Decides how proposals travel and what is refused unread; what is answered is the node's business. Whoever reaches the
port may ask: every list and every text is bounded, and nothing is allocated before that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from node.core.messages import Hello, Join
from node.errors import BadMessage
from node.types import PeerId
from node.wire import limits
from node.wire.convert import cut, from_hello, to_hello
from node.wire.generated import join_pb2 as pb
from node.wire.limits import at_most, text
from node.wire.news import from_join, to_join

SERVICE = pb.DESCRIPTOR.services_by_name["JoinService"].full_name


@dataclass(frozen=True, slots=True)
class Proposal:
    """A node that is not in the graph, and whose neighbour it wants to be."""

    hello: Hello
    address: str  # host:port; empty: it cannot be dialled
    neighbours: tuple[PeerId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a node says to a proposal or a commit."""

    node: PeerId
    agreed: bool
    reason: str = ""  # where not agreed
    round: int = 0  # where the node stands
    rounds: int = 0  # that its run will have


def encode_proposal(proposal: Proposal) -> pb.ProposeRequest:
    return pb.ProposeRequest(hello=from_hello(proposal.hello), address=proposal.address, neighbours=proposal.neighbours)


def decode_proposal(message: pb.ProposeRequest) -> Proposal:
    """The inverse of `encode_proposal`.

    Raises:
        BadMessage: over a limit, an empty id, or text that cannot be printed.
    """
    at_most("neighbours", len(message.neighbours), limits.NEIGHBOURS)
    neighbours = tuple(PeerId(text("node id", name, limits.ID)) for name in message.neighbours)
    return Proposal(to_hello(message.hello), text("address", message.address, limits.ADDRESS), neighbours)


def encode_answer(answer: Answer) -> pb.ProposeResponse:
    return pb.ProposeResponse(
        node=answer.node, agreed=answer.agreed, reason=cut(answer.reason), round=answer.round, rounds=answer.rounds
    )


def decode_answer(message: pb.ProposeResponse) -> Answer:
    """The inverse of `encode_answer`. Raises BadMessage."""
    return Answer(
        node=PeerId(text("node id", message.node, limits.ID)),
        agreed=message.agreed,
        reason=text("reason", message.reason, limits.REASON),
        round=message.round,
        rounds=message.rounds,
    )


def add_join_service(
    server: grpc.aio.Server, propose: Callable[[Proposal], Answer], commit: Callable[[Join], Answer]
) -> None:
    """Lets `server` answer `Propose` and `Commit`; both are called on the event loop, and must not block."""

    async def on_propose(request: bytes, context: Any) -> pb.ProposeResponse:
        said = await _checked(lambda: decode_proposal(pb.ProposeRequest.FromString(request)), context)
        return encode_answer(propose(said))

    async def on_commit(request: bytes, context: Any) -> pb.CommitResponse:
        said = await _checked(lambda: to_join(pb.CommitRequest.FromString(request).join), context)
        answer = commit(said)
        return pb.CommitResponse(agreed=answer.agreed, reason=cut(answer.reason))

    # Requests come as bytes: what gRPC cannot parse itself would stand in the log as an error of ours.
    handlers = {
        "Propose": grpc.unary_unary_rpc_method_handler(on_propose, None, pb.ProposeResponse.SerializeToString),
        "Commit": grpc.unary_unary_rpc_method_handler(on_commit, None, pb.CommitResponse.SerializeToString),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))


async def _checked(decode: Callable[[], Any], context: Any) -> Any:
    """What `decode` gives; else the caller is told what is wrong with its request."""
    try:
        return decode()
    except (BadMessage, DecodeError) as fault:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, cut(str(fault)))


async def ask_propose(channel: grpc.aio.Channel, proposal: Proposal, timeout: float) -> Answer:
    """Asks once.

    Args:
        timeout: seconds until the answer must be here.

    Raises:
        grpc.aio.AioRpcError: nobody there, too slow, or no such service.
        BadMessage: an answer over a limit.
    """
    ask = channel.unary_unary(
        f"/{SERVICE}/Propose",
        request_serializer=pb.ProposeRequest.SerializeToString,
        response_deserializer=pb.ProposeResponse.FromString,
    )
    return decode_answer(await ask(encode_proposal(proposal), timeout=timeout))


async def ask_commit(channel: grpc.aio.Channel, peer: PeerId, join: Join, timeout: float) -> Answer:
    """Tells `peer` once; raises as `ask_propose` does."""
    ask = channel.unary_unary(
        f"/{SERVICE}/Commit",
        request_serializer=pb.CommitRequest.SerializeToString,
        response_deserializer=pb.CommitResponse.FromString,
    )
    message = await ask(pb.CommitRequest(join=from_join(join)), timeout=timeout)
    return Answer(node=peer, agreed=message.agreed, reason=text("reason", message.reason, limits.REASON))
