"""gossip health: whether a node answers, by the standard gRPC health service. For containers and load balancers."""

from __future__ import annotations

from typing import Annotated

import grpc
import typer
from grpc_health.v1 import health_pb2, health_pb2_grpc

from node.cli.console import Json, note, print_json
from node.monitor.client import parse_address


def health(
    address: Annotated[str, typer.Argument(help="HOST:PORT of the node.")],
    timeout: Annotated[float, typer.Option(help="seconds")] = 3.0,
    json: Json = False,
) -> int:
    """Exit with 0 when the node serves, with 1 when it does not."""
    with grpc.insecure_channel(parse_address(address)) as channel:
        try:
            reply = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=timeout)
            status = health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status)
        except grpc.RpcError as error:
            status = f"UNREACHABLE ({error.code().name})"
    if json:
        print_json({"address": address, "status": status})
    else:
        note(f"{address}: {status}")
    return 0 if status == "SERVING" else 1
