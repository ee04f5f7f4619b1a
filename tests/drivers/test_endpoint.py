"""Addresses, and the waits between two dials."""

from __future__ import annotations

import pytest

from node.drivers.dialling import FIRST, LONGEST, Backoff
from node.drivers.endpoint import SERVER, is_loopback, split
from node.errors import ConfigError


@pytest.mark.parametrize(
    ("address", "parts"),
    [("127.0.0.1:7001", ("127.0.0.1", 7001)), ("[::1]:80", ("::1", 80)), ("n0.local:0", ("n0.local", 0))],
)
def test_an_address_is_host_and_port(address: str, parts: tuple[str, int]) -> None:
    assert split(address) == parts


@pytest.mark.parametrize("address", ["127.0.0.1", ":7001", "n0:", "n0:http", "n0:65536", ""])
def test_anything_else_is_refused_with_an_example(address: str) -> None:
    with pytest.raises(ConfigError, match=r"wanted host:port as in 127\.0\.0\.1:7001"):
        split(address)


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1:1", True),
        ("127.8.0.1:1", True),
        ("localhost:1", True),
        ("[::1]:1", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("10.0.0.1:1", False),
        ("n0:1", False),
        ("127.evil.example:1", False),
    ],
)
def test_loopback_is_what_only_this_machine_reaches(address: str, local: bool) -> None:
    assert is_loopback(address) is local


def test_two_servers_cannot_share_a_port() -> None:
    assert ("grpc.so_reuseport", 0) in SERVER


def test_waits_double_with_jitter_up_to_the_longest() -> None:
    backoff = Backoff("0/n0/n1")
    full = FIRST
    for _ in range(12):
        assert full / 2 <= backoff.delay() <= full
        full = min(2 * full, LONGEST)
    assert full == LONGEST


def test_a_stream_that_was_good_starts_the_waits_anew() -> None:
    backoff = Backoff("0/n0/n1")
    for _ in range(5):
        backoff.delay()

    backoff.reset()

    assert backoff.delay() <= FIRST


def test_waits_are_the_same_for_the_same_edge_and_differ_between_edges() -> None:
    def waits(seed: str) -> list[float]:
        backoff = Backoff(seed)
        return [backoff.delay() for _ in range(5)]

    assert waits("0/n0/n1") == waits("0/n0/n1")
    assert waits("0/n0/n1") != waits("0/n0/n2")
