"""Kills of a process that writes its checkpoint, and flipped bits: what is left of the file, and what is noticed.

One folder lives through all kills, as one node's would: each life claims an epoch, loads, and saves round after round
until it dies. The checkpoint has the size of the demo's. A life ends in one of three ways, in turn:

    point    SIGKILL to itself at a failpoint of the save, first or second passage
    offset   the kernel ends it at a given byte of the file (RLIMIT_FSIZE, whose signal is not caught)
    moment   SIGKILL from outside after a random time

Kills leave the page cache alone: what a power cut takes is not measured here, and only fsync guards against it.
"""

from __future__ import annotations

import logging
import os
import random
import resource
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import safetensors.torch
import torch
from _figures import Figure, at_least, at_most

from node import failpoints
from node.drivers import checkpoint as on_disk
from node.drivers.checkpoint import PREFIX, Checkpoint, CheckpointStore, encode
from node.errors import ConfigError

SIZE, CHANNELS = 170_000, ("theta", "m", "s", "said")
KILLS, FLIPS = (1000, 100), (1000, 100)  # full, quick
HEADER = 4096  # bytes; every second flip falls in here
ENDLESS = 1000  # rounds; no life is that long
SEED = 0


class InPlace(CheckpointStore):
    """The bad design: one file, written over where it stands. Epochs and the check when it is read are the same."""

    points = ("checkpoint.before-write", "checkpoint.mid-write", "checkpoint.before-fsync")

    def save(self, checkpoint: Checkpoint) -> Path:
        path = self._folder / "epoch-000000-round-00000000.ckpt"
        on_disk._write(path, encode(checkpoint))
        return path


class Atomic(CheckpointStore):
    """Ours."""

    points = tuple(point for point in failpoints.POINTS if point.startswith("checkpoint."))


Kind = type[InPlace] | type[Atomic]


def state(epoch: int, round: int) -> Checkpoint:
    """A state that is different in every entry from that of another round, and can be told to be whole."""
    tensors = {name: torch.arange(SIZE, dtype=torch.float32) + (round + i) for i, name in enumerate(CHANNELS)}
    return Checkpoint(epoch, round, tensors, {"round": round})


def is_whole(loaded: Checkpoint) -> bool:
    wanted = state(loaded.epoch, loaded.round).shared
    return loaded.private == {"round": loaded.round} and all(torch.equal(loaded.shared[c], wanted[c]) for c in wanted)


# ---- kills ---------------------------------------------------------------------------------------------------------


def kills(kind: Kind, folder: Path, count: int) -> Counter[str]:
    """What went wrong how often in `count` lives that ended by a kill."""
    draw, found, last_epoch = random.Random(SEED), Counter[str](), 0
    kind(folder).claim_epoch()
    while found["kills"] < count:
        way = ("point", "offset", "moment")[found["kills"] % 3]
        if _newest(kind, folder) is None:
            kind(folder).save(state(0, 0))
        before = _newest(kind, folder)
        epochs, committed = _life(kind, folder, way, draw)
        found["kills"] += 1
        found[way] += 1
        found["epochs used twice"] += sum(epoch <= last_epoch for epoch in epochs)
        last_epoch = max([last_epoch, *epochs])
        after = _newest(kind, folder)
        found["unreadable"] += after is None
        found["lost"] += after is None or after < max([before or 0, *committed])
    return found


def _newest(kind: Kind, folder: Path) -> int | None:
    """The round of the newest checkpoint; None where any file is damaged, or holds other bits. Then nothing is left."""
    store = kind(folder)
    try:
        loaded = store.load()
    except ConfigError:
        loaded = None
    if loaded is not None and store.damaged == 0 and is_whole(loaded):
        return loaded.round
    for path in folder.glob("*.ckpt"):
        path.unlink()
    return None


def _life(kind: Kind, folder: Path, way: str, draw: random.Random) -> tuple[list[int], list[int]]:
    """One life in a process of its own: (epochs, committed rounds) that it told before it was killed."""
    ending = _ending(kind, way, draw)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _live(kind(folder), ending, lambda word: os.write(writing, word.encode()))
    os.close(writing)
    if way == "moment":
        time.sleep(draw.uniform(0.0, 0.1))
        os.kill(pid, signal.SIGKILL)
    with open(reading) as pipe:
        told = [word.split("=") for word in pipe.read().split()]
    _, status = os.waitpid(pid, 0)
    if not os.WIFSIGNALED(status):
        raise AssertionError(f"a life that should end by a kill ({way}) ended by {os.waitstatus_to_exitcode(status)}")
    return [int(n) for name, n in told if name == "epoch"], [int(n) for name, n in told if name == "round"]


def _ending(kind: Kind, way: str, draw: random.Random) -> Callable[[], None]:
    """What the process does at its start so that it ends that way."""
    point, nth, offset = draw.choice(kind.points), draw.choice((1, 2)), draw.randrange(4 * SIZE * len(CHANNELS))
    if way == "point":
        return lambda: _arm(f"{point}:kill@{nth}")
    if way == "offset":
        return lambda: _end_at(offset)
    return lambda: None


def _arm(spec: str) -> None:
    failpoints.arm(spec)


def _end_at(offset: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (offset, offset))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it


def _live(store: CheckpointStore, ending: Callable[[], None], tell: Callable[[str], int]) -> NoReturn:
    try:
        ending()
        epoch = store.claim_epoch()
        tell(f"epoch={epoch} ")
        saved = store.load()
        first = saved.round + 1 if saved is not None else 1
        for round in range(first, first + ENDLESS):
            store.save(state(epoch, round))
            tell(f"round={round} ")
    finally:
        os._exit(1)


# ---- flipped bits --------------------------------------------------------------------------------------------------


def flips(folder: Path, count: int) -> tuple[int, int]:
    """(flips that `load` noticed and went back for, flips that would be noticed without the sha256)."""
    draw, store = random.Random(SEED), CheckpointStore(folder)
    store.save(state(1, 1))
    path = store.save(state(1, 2))
    size, found, found_without = path.stat().st_size, 0, 0
    for trial in range(count):
        position, bit = draw.randrange(HEADER if trial % 2 else size), draw.randrange(8)
        _flip(path, position, bit)
        loaded = store.load()
        found += loaded is not None and loaded.round == 1 and is_whole(loaded) and store.damaged == trial + 1
        found_without += not _reads_without_check(path)
        _flip(path, position, bit)
    return found, found_without


def _flip(path: Path, position: int, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 1 << bit]))


def _reads_without_check(path: Path) -> bool:
    """The bad design: what safetensors accepts with our names and sizes is believed."""
    try:
        tensors = safetensors.torch.load(path.read_bytes()[PREFIX:])
    except (safetensors.SafetensorError, ValueError, KeyError):
        return False
    return all(f"shared.{c}" in tensors and tensors[f"shared.{c}"].shape == (SIZE,) for c in CHANNELS)


def rows(quick: bool) -> list[Figure]:
    torch.set_num_threads(1)
    logging.getLogger(on_disk.__name__).setLevel(logging.ERROR)  # a thousand warnings of what we damage ourselves
    lives, bits = KILLS[quick], FLIPS[quick]
    fewer = lives // 4  # enough to see the bad design fail
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours, bad = kills(Atomic, folder / "ours", lives), kills(InPlace, folder / "bad", fewer)
        found, found_without = flips(folder / "flips", bits)
    unreadable, lost = "checkpoint unreadable after a kill", "checkpoint: committed round lost by a kill"
    return [
        at_most(unreadable, ours["unreadable"], f"of {lives}", 0),
        at_most(lost, ours["lost"], f"of {lives}", 0),
        at_most("checkpoint: epoch used twice", ours["epochs used twice"], f"of {lives}", 0),
        Figure(f"{unreadable}; overwritten in place (bad)", bad["unreadable"], f"of {fewer}"),
        Figure(f"{lost}; overwritten in place (bad)", bad["lost"], f"of {fewer}"),
        at_least("checkpoint: flipped bits found, older generation taken", found, f"of {bits}", bits),
        Figure("checkpoint: flipped bits found; no sha256 (bad)", found_without, f"of {bits}"),
    ]
