"""Servers and channels: the one place that says how sockets are opened, and whether what goes over them is encrypted.

Today it is not, and a line in the log says so where others could listen. Certificates come in here and nowhere else.
"""

from __future__ import annotations

import ipaddress
import logging
import socket

import grpc

from node.errors import ConfigError
from node.wire.limits import MAX_FRAME

LOG = logging.getLogger(__name__)

# A peer that is stopped or whose cable is cut is noticed after PING_EVERY + PING_TIMEOUT. Without the option
# grpc.http2.ping_timeout_ms it was not in 30 s. Not shorter: four trainers on two cores starve the threads that answer.
PING_EVERY = 2000  # ms
PING_TIMEOUT = 4000  # ms
COMMON = (
    ("grpc.max_receive_message_length", MAX_FRAME),
    ("grpc.max_send_message_length", MAX_FRAME),
    ("grpc.keepalive_time_ms", PING_EVERY),
    ("grpc.keepalive_timeout_ms", PING_TIMEOUT),
    ("grpc.http2.ping_timeout_ms", PING_TIMEOUT),
    ("grpc.http2.max_pings_without_data", 0),  # 0: no bound; an edge is silent while both ends train
)
SERVER = (
    *COMMON,
    ("grpc.so_reuseport", 0),  # with it, a second node on the same port would take half of the connections, silently
    ("grpc.http2.min_ping_interval_without_data_ms", PING_EVERY // 2),
    ("grpc.http2.max_ping_strikes", 0),
)
CHANNEL = (
    *COMMON,
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.use_local_subchannel_pool", 1),  # each dial is a connection of its own, and its failure is its own too
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),  # neighbours are reached directly, whatever the environment says
)


def new_server(streams: int) -> grpc.aio.Server:
    """A server that takes at most `streams` calls at a time."""
    return grpc.aio.server(options=SERVER, maximum_concurrent_rpcs=streams)


def new_channel(address: str) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(address, options=CHANNEL)


def bind(server: grpc.aio.Server, address: str) -> int:
    """Listens on `address` (host:port; port 0 takes a free one) and gives the port.

    Raises:
        ConfigError: the address cannot be had.
    """
    try:
        port: int = server.add_insecure_port(address)
    except RuntimeError:
        port = 0
    if port == 0:
        raise ConfigError(
            f"cannot listen on {address}: {_why_not(address)}; stop what uses it or change the address under nodes "
            f"in the topology file"
        )
    if not is_loopback(address):
        LOG.warning("listening on %s: what neighbours send each other is NOT encrypted", address)
    return port


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach `address`."""
    host = split(address)[0]
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def split(address: str) -> tuple[str, int]:
    """host and port of "host:port" or "[v6]:port".

    Raises:
        ConfigError: it is neither.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"address {address!r}, wanted host:port as in 127.0.0.1:7001; see nodes in the topology file")
    return host.strip("[]"), int(port)


def _why_not(address: str) -> str:
    """The operating system's own words for why `address` cannot be bound (gRPC keeps them to itself)."""
    host, port = split(address)
    try:
        family, kind, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
            probe.listen()
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return "gRPC refused it"
