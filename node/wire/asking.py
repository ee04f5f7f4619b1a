"""The connection over which anyone asks a node something (its status, to be let in). Edges have their own streams."""

from __future__ import annotations

import grpc
import grpc.aio

from node.wire.status import MESSAGE

OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE),
    ("grpc.use_local_subchannel_pool", 1),  # or a new channel would inherit the back-off of the one that failed
    ("grpc.enable_http_proxy", 0),  # nodes are addressed directly
)


def insecure_channel(address: str) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(address, options=OPTIONS)
