"""Status as protobuf, and the gRPC service that answers with it.

Decides how `NodeStatus` and `RoundRecord` travel and which answers are refused: what another machine says ends up on an
operator's terminal, so text must be printable and every count bounded. Knows no torch and no monitor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import grpc
import grpc.aio

from node.errors import BadMessage
from node.observe.records import RoundRecord, Seconds
from node.observe.status import RECORDS, Member, NodeStatus, TopologyStatus
from node.types import PeerId
from node.wire.generated import status_pb2 as pb
from node.wire.news import from_join, to_join

SERVICE = pb.DESCRIPTOR.services_by_name["StatusService"].full_name
TEXT = 1024  # characters of one id, address or name
SKETCH = 1 << 17  # bytes of one sketch: k = 32,768, the longest that `node.observe.sketch` makes
METRICS = 64  # names of one record; three sets of six make 18
METROPOLIS = "metropolis"  # what a node that says nothing of its weights has
MESSAGE = 16 << 20  # bytes of one answer; a topology of 10,000 nodes and 50,000 edges takes 1.5 MB


def encode_status(status: NodeStatus, since_round: int = 0) -> pb.GetStatusResponse:
    """The answer to a caller who has all rounds before `since_round`."""
    newest = [record for record in status.records if record.round >= since_round][-RECORDS:]
    return pb.GetStatusResponse(
        node=status.node,
        epoch=status.epoch,
        address=status.address,
        pid=status.pid,
        state=status.state,
        round=status.round,
        rounds=status.rounds,
        loss=status.loss,
        accuracy=status.accuracy,
        uptime_s=status.uptime_s,
        bytes_sent=status.bytes_sent,
        bytes_received=status.bytes_received,
        mixing=status.mixing,
        predicted_contraction=status.predicted_contraction,
        topology=_encode_topology(status.topology),
        members=[_encode_member(member) for member in status.members],
        counters=dict(status.counters),
        loop_lag_s=status.loop_lag_s,
        records=[encode_record(record) for record in newest],
        metrics=dict(status.metrics),
    )


def decode_status(message: pb.GetStatusResponse) -> NodeStatus:
    """The inverse of `encode_status`.

    Raises:
        BadMessage: text that is not printable, an edge to an unlisted node, too many records or metrics, a sketch of a
            wrong size.
    """
    if len(message.records) > RECORDS:
        raise BadMessage(f"status with {len(message.records)} records, the limit is {RECORDS}")
    return NodeStatus(
        node=PeerId(_text(message.node)),
        epoch=message.epoch,
        address=_text(message.address),
        pid=message.pid,
        state=_text(message.state),
        round=message.round,
        rounds=message.rounds,
        loss=_optional(message, "loss"),
        accuracy=_optional(message, "accuracy"),
        uptime_s=message.uptime_s,
        bytes_sent=message.bytes_sent,
        bytes_received=message.bytes_received,
        mixing=_text(message.mixing),
        predicted_contraction=_optional(message, "predicted_contraction"),
        topology=_decode_topology(message.topology),
        members=tuple(_decode_member(member) for member in message.members),
        counters={_text(name): count for name, count in sorted(message.counters.items())},
        loop_lag_s=message.loop_lag_s,
        records=tuple(decode_record(record) for record in message.records),
        metrics=_metrics(message.metrics),
    )


def encode_record(record: RoundRecord) -> pb.RoundRecord:
    return pb.RoundRecord(
        round=record.round,
        time=record.time,
        loss=record.loss,
        accuracy=record.accuracy,
        train_s=record.seconds.train,
        exchange_s=record.seconds.exchange,
        bytes_sent=record.bytes_sent,
        bytes_received=record.bytes_received,
        contributions=record.contributions,
        missing=record.missing,
        staleness={str(peer): lag for peer, lag in record.staleness.items()},
        local_distance=record.local_distance,
        intact=record.intact,
        settled=record.settled,
        metrics=dict(record.metrics),
        before=record.before,
        after=record.after,
        product=record.product,
        predicted_contraction=record.predicted_contraction,
    )


def decode_record(message: pb.RoundRecord) -> RoundRecord:
    """The inverse of `encode_record`.

    Raises:
        BadMessage: ids that are not printable, too many metrics, or a sketch of a wrong size.
    """
    return RoundRecord(
        round=message.round,
        time=message.time,
        loss=message.loss,
        accuracy=_optional(message, "accuracy"),
        seconds=Seconds(train=message.train_s, exchange=message.exchange_s),
        bytes_sent=message.bytes_sent,
        bytes_received=message.bytes_received,
        contributions=message.contributions,
        missing=_peers(message.missing),
        staleness={PeerId(_text(peer)): lag for peer, lag in sorted(message.staleness.items())},
        local_distance=_optional(message, "local_distance"),
        intact=message.intact,
        settled=message.settled,
        metrics=_metrics(message.metrics),
        before=_sketch(message.before),
        after=_sketch(message.after),
        product=_sketch(message.product),
        predicted_contraction=_optional(message, "predicted_contraction"),
    )


def _encode_topology(topology: TopologyStatus) -> pb.Topology:
    return pb.Topology(
        digest=topology.digest,
        nodes=[pb.TopologyNode(id=peer, address=address) for peer, address in topology.addresses.items()],
        edges=[pb.TopologyEdge(a=a, b=b) for a, b in topology.edges],
        weights=topology.weights,
        joins=[from_join(join) for join in topology.joins],
    )


def _decode_topology(message: pb.Topology) -> TopologyStatus:
    addresses = {PeerId(_text(node.id)): _text(node.address) for node in message.nodes}
    edges = tuple((PeerId(edge.a), PeerId(edge.b)) for edge in message.edges)
    unlisted = sorted({end for edge in edges for end in edge} - addresses.keys())
    if unlisted:
        raise BadMessage(f"topology with an edge to {unlisted[0]!r}, which is not listed under its nodes")
    joins = tuple(to_join(join) for join in message.joins)
    if unlisted := sorted({join.node for join in joins} - addresses.keys()):
        raise BadMessage(f"topology that {unlisted[0]!r} has joined, which is not listed under its nodes")
    return TopologyStatus(
        digest=_text(message.digest),
        addresses=addresses,
        edges=edges,
        weights=_text(message.weights) or METROPOLIS,
        joins=joins,
    )


def _encode_member(member: Member) -> pb.Member:
    return pb.Member(
        id=member.id,
        address=member.address,
        state=member.state,
        incarnation=member.incarnation,
        round=member.round,
        age_s=member.age_s,
    )


def _decode_member(message: pb.Member) -> Member:
    return Member(
        id=PeerId(_text(message.id)),
        address=_text(message.address),
        state=_text(message.state),
        incarnation=message.incarnation,
        round=message.round,
        age_s=_optional(message, "age_s"),
    )


def _optional(message: Any, name: str) -> float | None:
    return getattr(message, name) if message.HasField(name) else None


def _peers(names: Iterable[str]) -> tuple[PeerId, ...]:
    return tuple(PeerId(_text(name)) for name in names)


def _text(value: str) -> str:
    if len(value) > TEXT or not value.isprintable():  # escape sequences could rewrite what the operator sees
        raise BadMessage(f"text of {len(value)} characters that is not printable or over {TEXT}: {value[:40]!r}")
    return value


def _metrics(found: Mapping[str, float]) -> dict[str, float]:
    if len(found) > METRICS:
        raise BadMessage(f"{len(found)} metrics, the limit is {METRICS}")
    return {_text(name): value for name, value in sorted(found.items())}


def _sketch(data: bytes) -> bytes:
    if len(data) > SKETCH or len(data) % 4:
        raise BadMessage(f"sketch of {len(data)} bytes, wanted a multiple of 4 up to {SKETCH}")
    return data


def add_status_service(server: grpc.aio.Server, read: Callable[[], NodeStatus]) -> None:
    """Lets `server` answer `GetStatus`; `read` is called on the event loop once a question, and must not block."""

    async def get_status(request: pb.GetStatusRequest, context: Any) -> pb.GetStatusResponse:
        return encode_status(read(), request.since_round)

    handler = grpc.unary_unary_rpc_method_handler(
        get_status,
        request_deserializer=pb.GetStatusRequest.FromString,
        response_serializer=pb.GetStatusResponse.SerializeToString,
    )
    # Not the generated adder: it is untyped, and this is all that it does.
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"GetStatus": handler}),))


async def ask_status(channel: grpc.aio.Channel, since_round: int, timeout: float) -> NodeStatus:
    """Asks once.

    Args:
        channel: to the node.
        since_round: first round whose record the caller lacks.
        timeout: seconds until the answer must be here.

    Raises:
        grpc.aio.AioRpcError: nobody there, too slow, or no such service.
        BadMessage: an answer that `decode_status` refuses.
    """
    ask = channel.unary_unary(
        f"/{SERVICE}/GetStatus",
        request_serializer=pb.GetStatusRequest.SerializeToString,
        response_deserializer=pb.GetStatusResponse.FromString,
    )
    return decode_status(await ask(pb.GetStatusRequest(since_round=since_round), timeout=timeout))
