"""One edge: a snapshot, then deltas; both ends hold the same bits whatever is lost."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from node.codec.compressor import Compressor
from node.codec.float32 import encode, float32, subtract
from node.codec.same import same
from node.core.edge import Edge, check_of
from node.core.messages import PROTOCOL_VERSION, Hello, Snapshot, Update
from node.errors import BadMessage, OutOfSequence, StaleMessage
from node.types import PeerId

A, B = PeerId("a"), PeerId("b")
CHANNELS = {"theta": 100, "flag": 1}


def shared(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(size, generator=generator) for name, size in CHANNELS.items()}


def to_nan() -> bytes:
    """The delta that makes every entry of `shared(0)` NaN."""
    return encode(subtract(torch.full((100,), math.nan), shared(0)["theta"]))


def edge(peer: PeerId, epoch: int = 0, codec: Compressor | None = None) -> Edge:
    codec = codec or float32()
    codecs = {"float32": float32(), "same": same(), codec.name: codec}
    return Edge(peer, epoch, CHANNELS, codec, codecs, torch.Generator())


ALL = ("float32", "same", "bf16", "int8", "int4", "coarse")


def hello(node: PeerId, to: Edge, epoch: int = 0, codecs: tuple[str, ...] = ALL) -> Hello:
    return Hello(PROTOCOL_VERSION, node, epoch, 0, {}, codecs, to.held)


def greet(a: Edge, b: Edge, epoch_a: int = 0, epoch_b: int = 0) -> None:
    """`a` is A's end (its peer is B), `b` is B's end."""
    from_a, from_b = hello(A, a, epoch_a), hello(B, b, epoch_b)
    a.greet(from_b)
    b.greet(from_a)


def pair(codec: Compressor | None = None) -> tuple[Edge, Edge]:
    a, b = edge(B, codec=codec), edge(A, codec=codec)
    greet(a, b)
    return a, b


def coarse() -> Compressor:
    """One bit an entry: sign times mean magnitude. The lossiest codec there is, to show that both ends still agree."""

    def encode(x: torch.Tensor, _: torch.Generator) -> bytes:
        return float(x.abs().mean()).hex().encode() + b"|" + bytes((x > 0).tolist())

    def decode(data: bytes | memoryview, size: int) -> torch.Tensor:
        scale, signs = bytes(data).split(b"|", 1)
        return torch.tensor([1.0 if s else -1.0 for s in signs]) * float.fromhex(scale.decode())

    return Compressor("coarse", encode, decode)


def test_one_snapshot_then_deltas_only():
    a, _ = pair()
    messages = [a.tell(shared(t), round=t, hop=0) for t in range(4)]
    assert [type(m) for m in messages] == [Snapshot, Update, Update, Update]
    assert [m.seq for m in messages] == [0, 1, 2, 3]
    assert [m.base for m in messages[1:]] == [0, 1, 2]


@pytest.mark.parametrize("codec", [float32(), coarse()], ids=lambda c: c.name)
def test_both_ends_hold_the_same_bits_of_a_copy(codec):
    a, b = pair(codec)
    for t in range(10):
        theirs = b.hear(a.tell(shared(t), t, 0))
        assert all(torch.equal(theirs[name], a.mine[name]) for name in CHANNELS)


def test_float32_deltas_do_not_pile_up_error():
    a, b = pair()
    for t in range(200):
        theirs = b.hear(a.tell(shared(t), t, 0))
    torch.testing.assert_close(theirs["theta"], shared(199)["theta"], atol=1e-6, rtol=1e-6)


def test_a_small_channel_survives_a_coarse_codec():
    a, b = pair(coarse())
    b.hear(a.tell({"theta": torch.ones(100), "flag": torch.tensor([1.0])}, 0, 0))
    assert b.hear(a.tell({"theta": torch.ones(100), "flag": torch.tensor([0.0])}, 0, 1))["flag"].item() == 0.0


def test_a_lost_delta_is_found_and_a_snapshot_mends_it():
    a, b = pair()
    b.hear(a.tell(shared(0), 0, 0))
    a.tell(shared(1), 1, 0)  # lost
    late = a.tell(shared(2), 2, 0)
    with pytest.raises(OutOfSequence):
        b.hear(late)
    mended = b.hear(a.answer(b.request(late, "gap")))
    assert torch.equal(mended["theta"], a.mine["theta"])
    assert isinstance(a.tell(shared(3), 3, 0), Update)


def test_a_request_that_a_snapshot_on_its_way_answers_gets_no_second_one():
    a, b = pair()
    b.hear(a.tell(shared(0), 0, 0))
    a.tell(shared(1), 1, 0)
    second, third = a.tell(shared(2), 2, 0), a.tell(shared(3), 3, 0)
    assert a.answer(b.request(second, "gap")) is not None
    assert a.answer(b.request(third, "gap")) is None


def test_a_delta_before_any_snapshot_is_out_of_sequence():
    a, b = pair()
    update = Update(0, 0, -1, 0, 0, a.tell(shared(0), 0, 0).channels, b"")
    with pytest.raises(OutOfSequence):
        b.hear(update)


def test_a_duplicate_changes_nothing():
    a, b = pair()
    first = a.tell(shared(0), 0, 0)
    b.hear(first)
    with pytest.raises(StaleMessage):
        b.hear(first)


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (lambda m: replace(m, check=bytes(16)), OutOfSequence),
        (lambda m: replace(m, channels=m.channels[:1]), BadMessage),
        (lambda m: replace(m, channels=m.channels + m.channels[:1]), BadMessage),
        (lambda m: replace(m, channels=(replace(m.channels[0], data=b"1234"), m.channels[1])), BadMessage),
        (lambda m: replace(m, channels=(replace(m.channels[0], encoding="pickle"), m.channels[1])), BadMessage),
        (lambda m: replace(m, channels=(replace(m.channels[0], data=to_nan()), m.channels[1])), BadMessage),
        (lambda m: replace(m, epoch=7), StaleMessage),
    ],
)
def test_a_refused_message_leaves_the_copy_as_it_was(damage, error):
    a, b = pair()
    b.hear(a.tell(shared(0), 0, 0))
    held = b.held
    with pytest.raises(error):
        b.hear(damage(a.tell(shared(1), 1, 0)))
    assert b.held == held


def test_a_broken_stream_goes_on_with_a_delta_when_nothing_was_lost():
    a, b = pair()
    b.hear(a.tell(shared(0), 0, 0))
    greet(a, b)
    assert isinstance(a.tell(shared(1), 1, 0), Update)


def test_a_broken_stream_that_lost_a_message_goes_on_with_a_snapshot():
    a, b = pair()
    b.hear(a.tell(shared(0), 0, 0))
    a.tell(shared(1), 1, 0)  # lost with the stream
    greet(a, b)
    message = a.tell(shared(2), 2, 0)
    assert isinstance(message, Snapshot)
    assert torch.equal(b.hear(message)["theta"], shared(2)["theta"])


def test_a_restarted_neighbour_gets_a_snapshot_and_sends_one():
    a, b = pair()
    b.hear(a.tell(shared(0), 0, 0))
    a.hear(b.tell(shared(1), 0, 0))
    reborn = edge(A, epoch=1)
    greet(a, reborn, epoch_b=1)
    assert isinstance(a.tell(shared(2), 1, 0), Snapshot)
    assert a.hear(reborn.tell(shared(3), 0, 0)) is not None


def test_the_hello_of_an_older_process_is_refused():
    a, b = edge(B), edge(A, epoch=3)
    greet(a, b, epoch_b=3)
    with pytest.raises(StaleMessage, match="epoch 2 after one of epoch 3"):
        a.greet(hello(B, b, epoch=2))


def test_the_check_tells_names_and_single_bits_apart():
    x = torch.zeros(8)
    y = x.clone()
    y[3] = 1e-45  # the smallest step that float32 has
    assert len(check_of({"theta": x})) == 16
    assert len({check_of({"theta": x}), check_of({"theta": y}), check_of({"m": x})}) == 3


# ---- settlement (its laws are in test_settlement)
def settling(epoch_a: int = 0, epoch_b: int = 0) -> tuple[Edge, Edge]:
    a, b = (
        Edge(peer, epoch, CHANNELS, float32(), {"float32": float32()}, torch.Generator(), leads)
        for peer, epoch, leads in ((B, epoch_a, True), (A, epoch_b, False))
    )
    greet(a, b, epoch_a, epoch_b)
    return a, b


def test_what_a_process_said_that_is_gone_is_not_mixed_where_pairs_are_named():
    a, b = settling()
    a.hear(b.tell(shared(0), 0, 0))
    epoch, _ = a.version
    assert a.can_use(epoch)
    a.greet(hello(B, edge(A, epoch=1), epoch=1))
    assert not a.can_use(epoch)
    assert edge(B).can_use(-5)  # nothing is named here


def test_a_neighbour_of_the_first_version_that_names_no_pairs_is_not_settled_with():
    a, b = settling()
    told = b.tell(shared(0), 0, 0)
    b.hear(replace(a.tell(shared(1), 0, 0), settlement=None))
    b.used(0, 0.5, shared(1))
    b.hear(replace(a.tell(shared(2), 1, 0), settlement=None))
    assert b.due() == []  # a leader of ours would have named what it used
    a.hear(replace(told, settlement=None))
    for _ in range(100):
        a.used(0, 0.5, shared(0))
        a.tell(shared(3), 2, 0)
    assert a.can_use(0)
    assert b.tell(shared(0), 2, 0).settlement is None


def test_pairs_that_a_restart_left_open_are_counted():
    a, b = settling()
    a.tell(shared(1), 0, 0)
    a.hear(b.tell(shared(0), 0, 0))
    a.used(0, 0.5, shared(0))
    a.greet(hello(B, edge(A, epoch=1), epoch=1))
    assert a.unsettled == 1
    assert a.tell(shared(2), 1, 0).settlement.pairs == ()


def test_a_channel_that_is_what_it_was_costs_no_bytes_and_arrives():
    a, b = pair()
    first = shared(0)
    b.hear(a.tell(first, 0, 0))
    second = shared(1) | {"theta": first["theta"].clone()}

    update = a.tell(second, 1, 0)

    assert {c.name: len(c.data) for c in update.channels} == {"theta": 0, "flag": 4}
    heard = b.hear(update)
    assert all(torch.equal(heard[name], second[name]) for name in CHANNELS)
    third = shared(2)
    assert all(torch.equal(x, third[name]) for name, x in b.hear(a.tell(third, 2, 0)).items())


def test_minus_zero_is_a_change():
    a, b = pair()
    b.hear(a.tell({"theta": torch.zeros(100), "flag": torch.zeros(1)}, 0, 0))

    heard = b.hear(a.tell({"theta": -torch.zeros(100), "flag": torch.zeros(1)}, 1, 0))

    assert bool(heard["theta"].signbit().all())


def test_who_does_not_know_empty_channels_gets_the_bytes():
    a, b = edge(B), edge(A)
    a.greet(hello(B, b, codecs=("float32",)))
    b.greet(hello(A, a))
    b.hear(a.tell(shared(0), 0, 0))

    assert [len(c.data) for c in a.tell(shared(0), 1, 0).channels] == [400, 4]


def test_bytes_in_an_empty_channel_are_refused():
    a, b = pair()
    b.hear(a.tell(shared(0), 0, 0))
    update = a.tell(shared(0), 1, 0)
    theta, flag = update.channels

    with pytest.raises(BadMessage, match="same: 1 bytes where none belong"):
        b.hear(replace(update, channels=(replace(theta, data=b"x"), flag)))
