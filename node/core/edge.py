"""The public copies of one edge, and the only place that knows deltas.

Mine: what the neighbour holds of us, as *it* computed it. Theirs: what we hold of the neighbour. Both ends compute
the same bits, since the sender stores its own decode. A delta names the version it is added to and carries a check of
the result; a gap, a restart or a mismatch leaves the replica as it was and asks for a snapshot. Everything is
idempotent on (sender, epoch, seq).

The base of a delta is the last version *sent*, not the last acknowledged: the bits must not hang on the timing of acks.

What a codec loses is made up for by itself: the next delta is taken against what the neighbour really holds of us, so
that it has the error of the last one in it (error feedback). The copy of a vector that stays still comes nearer to it
with each message by what the codec leaves of one. Memory of it there is none but the copy: a snapshot starts anew.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
import xxhash

from node.codec import float32 as plain
from node.codec.compressor import Compressor
from node.codec.same import SAME, is_same, same
from node.codec.sizes import SMALL
from node.core.messages import Channel, Held, Hello, Pair, Settlement, Snapshot, SnapshotRequest, Update
from node.core.settlement import Amount, Follower, Leader
from node.errors import BadMessage, OutOfSequence, StaleMessage
from node.types import PeerId, Shared

NOTHING = -1  # the seq before the first message


def check_of(shared: Shared) -> bytes:
    """16 bytes that tell two public copies apart: XXH3-128 over names and float32 bytes.

    It finds divergence, not forgery: 0.06 ms/MB, where SHA-256 takes 0.65 (2-core CI machine).
    """
    digest = xxhash.xxh3_128()
    for name in sorted(shared):
        digest.update(name.encode())
        digest.update(shared[name].contiguous().numpy().data)
    return digest.digest()


def digest(shared: Shared) -> str:
    """Hex of `check_of`: how a journal names a state."""
    return check_of(shared).hex()


def plain_channels(shared: Shared) -> tuple[Channel, ...]:
    """All of `shared` in float32."""
    return tuple(Channel(name, "float32", x.numel(), plain.encode(x)) for name, x in shared.items())


def _new_book(leads: bool | None) -> Leader | Follower | None:
    return None if leads is None else Leader() if leads else Follower()


class Edge:
    """Our end of one edge.

    Args:
        peer: the neighbour.
        leads: whether our end names the pairs that are applied (the smaller id); None: nothing is settled.
        epoch: of our own process; grows with each start.
        channels: name -> entries of every channel that travels.
        codecs: by name, what we can decode; `codec` is what we send deltas with.
        generator: the randomness of `codec`.
        by_channel: channels that are sent with another codec; a neighbour that cannot decode one gets float32.
    """

    def __init__(
        self,
        peer: PeerId,
        epoch: int,
        channels: Mapping[str, int],
        codec: Compressor,
        codecs: Mapping[str, Compressor],
        generator: torch.Generator,
        leads: bool | None = None,
        by_channel: Mapping[str, Compressor] | None = None,
    ) -> None:
        self.peer = peer
        self.mine: Shared | None = None  # our public copy as the neighbour holds it
        self.check = b""  # of `mine`
        self.told: tuple[int, int] | None = None  # (round, hop) of the last message sent
        self.snapshots = 0  # sent
        self.unsettled = 0  # pairs that a restart of either end left open
        self._leads, self._due = leads, list[Amount]()
        self._book = _new_book(leads)
        self._channels = dict(channels)
        self._codec, self._codecs, self._generator = codec, codecs, generator
        self._by_channel = {name: (by_channel or {}).get(name, codec) for name in channels}
        self._decodes: Collection[str] = ()  # what the neighbour can
        self._said: Shared = {}  # what `mine` stands for
        self.beyond: tuple[str, ...] = ()  # codecs of ours that the neighbour cannot decode: it gets float32
        self._epoch, self._seq = epoch, NOTHING
        self._snapshot_seq = NOTHING  # the seq of the last snapshot sent
        self.broken = True  # the neighbour does not hold `mine`: the next message must be a snapshot
        self._theirs: Shared = {}
        self._their_epoch, self._their_seq = -1, NOTHING

    # ---- the connection
    @property
    def held(self) -> Held | None:
        """The version of the neighbour's copy that we hold, for our hello."""
        if self._their_seq == NOTHING:
            return None
        return Held(self._their_epoch, self._their_seq, check_of(self._theirs))

    def greet(self, hello: Hello) -> None:
        """Take a neighbour's hello: the stream goes on where it broke if both ends still hold the same copy.

        Raises:
            StaleMessage: the hello of an older process of this neighbour.
        """
        if hello.epoch < self._their_epoch:
            raise StaleMessage(f"{self.peer}: hello of epoch {hello.epoch} after one of epoch {self._their_epoch}")
        if hello.epoch > self._their_epoch:
            self._their_epoch, self._their_seq, self._theirs = hello.epoch, NOTHING, {}
            self.unsettled += self._book.open if self._book is not None else 0
            self._book, self._due = _new_book(self._leads), []
        self._decodes = frozenset(hello.codecs)
        self.beyond = tuple(sorted({c.name for c in self._by_channel.values()} - {plain.NAME, *hello.codecs}))
        mine = None if self.mine is None else Held(self._epoch, self._seq, self.check)
        self.broken = mine is None or hello.held != mine

    # ---- outgoing
    def tell(self, shared: Shared, round: int, hop: int, is_mixed: bool = False) -> Snapshot | Update:
        """The message that makes the neighbour's copy of us follow `shared`: a delta where it can be.

        Args:
            is_mixed: we have done this exchange already, with the neighbour, which has forgotten it.
        """
        self.told, before, self._said = (round, hop), self._said, shared
        if self.mine is None or self.broken:
            self.mine, self.check = dict(shared), check_of(shared)
            return self._snapshot(is_mixed)
        channels, mine = [], {}
        for name, x in shared.items():
            channel, mine[name] = self._delta(name, x, self.mine[name], x is before.get(name))
            channels.append(channel)
        self.mine, self.check, base = mine, check_of(mine), self._seq
        settlement = self._next(is_mixed)
        return Update(self._epoch, self._seq, base, round, hop, tuple(channels), self.check, settlement)

    def _delta(self, name: str, x: torch.Tensor, base: torch.Tensor, is_known: bool) -> tuple[Channel, torch.Tensor]:
        """One channel, and our public copy of it after that.

        Args:
            is_known: the neighbour was told this very vector last time: it gets no second word on it.
        """
        codec = self._codec_for(name, x, base, is_known)
        delta = codec.subtract(x, base)
        if not codec.takes(delta):  # not finite, most likely: the neighbour shall see what we have, and refuse it
            codec = plain.float32()
            delta = codec.subtract(x, base)
        data = codec.encode(delta, self._generator)
        return Channel(name, codec.name, x.numel(), data), codec.add(base, codec.decode(data, x.numel()))

    def _codec_for(self, name: str, x: torch.Tensor, base: torch.Tensor, is_known: bool) -> Compressor:
        ours = self._by_channel[name]
        codec = ours if ours.name in self._decodes else plain.float32()
        if x.numel() <= SMALL:
            return plain.float32()
        is_still = is_same(x, base) or (is_known and not codec.is_lossless)
        return same() if is_still and SAME in self._decodes else codec

    def again(self) -> Snapshot:
        """Our public copy for a neighbour that has lost it; it may have mixed it, so settlement leaves it alone."""
        return self._snapshot(is_mixed=True)

    def answer(self, request: SnapshotRequest) -> Snapshot | None:
        """A snapshot of our public copy, or None when one that was sent later than `request.seq` is on its way."""
        if self.mine is None or request.epoch != self._epoch or self._snapshot_seq > request.seq:
            return None
        return self._snapshot()

    def _snapshot(self, is_mixed: bool = False) -> Snapshot:
        assert self.mine is not None
        assert self.told is not None
        settlement = self._next(is_mixed)
        self._snapshot_seq, self.broken, self.snapshots = self._seq, False, self.snapshots + 1
        channels = plain_channels(self.mine)
        return Snapshot(self._epoch, self._seq, *self.told, channels, self.check, settlement)

    def _next(self, is_mixed: bool) -> Settlement | None:
        """The next seq stands for `mine`; what is to be said about the pairs applied before."""
        assert self.mine is not None
        self._seq += 1
        if self._book is None:
            return None
        self._book.told(self._seq, self.mine, is_mixed)
        return self._book.statement()

    # ---- incoming
    def hear(self, message: Snapshot | Update) -> Shared:
        """The neighbour's public copy after `message`.

        Raises:
            StaleMessage: a duplicate, or of another epoch.
            OutOfSequence: a delta to a version that we do not hold, or whose result differs from the sender's.
            BadMessage: other channels or sizes than ours, or values that are not finite. The copy is as it was.
        """
        if message.epoch != self._their_epoch:
            raise StaleMessage(f"{self.peer}: epoch {message.epoch}, its hello said {self._their_epoch}")
        if message.seq <= self._their_seq:
            raise StaleMessage(f"{self.peer}: seq {message.seq} after seq {self._their_seq}")
        if isinstance(message, Update) and (message.base != self._their_seq or self._their_seq == NOTHING):
            raise OutOfSequence(f"delta to seq {message.base}, we hold {self._their_seq}")
        decoded = self.decode(message.channels)
        if isinstance(message, Update):
            codecs = {c.name: self._codecs[c.encoding] for c in message.channels}
            decoded = {name: codecs[name].add(self._theirs[name], x) for name, x in decoded.items()}
        self.require_finite(decoded)
        if check_of(decoded) != message.check:
            raise OutOfSequence(f"seq {message.seq} gives another result here than at its sender")
        self._theirs, self._their_seq = decoded, message.seq
        if message.settlement is None:  # of version 1.0: nobody would name or confirm a pair
            self._book, self._due = None, []
        if self._book is not None and message.settlement is not None:
            self._book.heard(message.seq, decoded)
            self._due += self._book.settle(message.settlement, message.seq)
        return decoded

    @property
    def version(self) -> tuple[int, int]:
        """(epoch, seq) of the neighbour's copy that `hear` gave last."""
        return self._their_epoch, self._their_seq

    # ---- settlement
    def can_use(self, epoch: int) -> bool:
        """Whether what the neighbour's process `epoch` said may be mixed.

        Not while too many pairs wait for it to confirm them, nor when that process is gone: its seqs mean nothing to
        the next one.
        """
        return self._book is None or (self._book.can_use and epoch == self._their_epoch)

    def used(self, theirs_seq: int, weight: float, theirs: Shared) -> None:
        """A mix has taken in version `theirs_seq` of the neighbour's copy, against `mine`."""
        if self._book is not None:
            assert self.mine is not None
            self._book.used(Pair(self._seq, theirs_seq, weight), theirs, self.mine)

    def due(self) -> list[Amount]:
        """What the next mix has to add to make up differences with the neighbour; our newest version has been mixed."""
        if self._book is not None:
            self._due += self._book.reconcile()
        due, self._due = self._due, []
        return due

    def request(self, message: Snapshot | Update, reason: str) -> SnapshotRequest:
        return SnapshotRequest(self._their_epoch, message.seq, reason)

    def decode(self, channels: tuple[Channel, ...], names: Collection[str] | None = None) -> dict[str, torch.Tensor]:
        """All channels that travel, or those of `names`. Raises BadMessage: other channels, sizes or encodings."""
        ours = {name: size for name, size in self._channels.items() if names is None or name in names}
        sizes = {c.name: c.size for c in channels}
        if sizes != ours or len(sizes) != len(channels):
            raise BadMessage(f"{self.peer}: channels {sizes}, ours are {ours}")
        for c in channels:
            if c.encoding not in self._codecs:
                raise BadMessage(
                    f"{self.peer}: channel {c.name} comes in {c.encoding!r}, we know {sorted(self._codecs)}"
                )
        return {c.name: self._codecs[c.encoding].decode(c.data, c.size) for c in channels}

    def require_finite(self, shared: Shared) -> None:
        """Raises BadMessage: a value is NaN or infinite."""
        for name, x in shared.items():
            if not bool(torch.isfinite(x).all()):
                raise BadMessage(f"{self.peer}: channel {name} holds values that are not finite")
