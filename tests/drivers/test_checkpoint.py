"""Checkpoints come back bit for bit, damage is noticed wherever it is, and no kill and no full disk loses one."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import math
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch

from node import failpoints
from node.drivers.checkpoint import MAGIC, PREFIX, Checkpoint, CheckpointStore, Damaged, decode, encode
from node.errors import ConfigError, LocalFault
from tests.conftest import fill

POINTS = tuple(point for point in failpoints.POINTS if point.startswith("checkpoint."))
COMMITTED = ("checkpoint.after-rename", "checkpoint.after-fsync-folder")  # the new one is there when these are reached


@pytest.fixture(autouse=True)
def unarmed() -> Iterator[None]:
    yield
    failpoints.arm("")


def small(epoch: int = 1, round: int = 3) -> Checkpoint:
    shared = {"theta": torch.tensor([1.0, -2.0, math.inf]), "scalars": torch.tensor([0.5, 0.25])}
    private = {
        "steps": 7,
        "rng": {"torch": torch.arange(5, dtype=torch.uint8), "cursor": [1, 2, [3, None]]},
        "moments": [torch.ones(2, dtype=torch.bfloat16), {"v": torch.zeros(0)}],
        "loss": 0.1,
        "note": "zwölf",
        "done": False,
    }
    protocol = {"generator": torch.arange(3, dtype=torch.uint8), "edges": {"n1": {"seq": 4, "last": torch.ones(2)}}}
    return Checkpoint(epoch, round, shared, private, {"schema": "ab12"}, protocol)


def same(a: object, b: object) -> bool:
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


def test_a_checkpoint_comes_back_bit_for_bit(tmp_path: Path) -> None:
    saved = small()

    CheckpointStore(tmp_path / "deep" / "down").save(saved)
    loaded = CheckpointStore(tmp_path / "deep" / "down").load()

    assert loaded is not None
    assert (loaded.epoch, loaded.round, loaded.digests) == (1, 3, {"schema": "ab12"})
    assert same(dict(saved.shared), dict(loaded.shared))
    assert same(dict(saved.private), dict(loaded.private))
    assert same(dict(saved.protocol), dict(loaded.protocol))


def test_a_file_from_before_the_protocols_state_still_loads() -> None:
    header = {"epoch": 2, "round": 9, "digests": {}, "shared": {"theta": {"$tensor": "shared.theta"}}, "private": {}}
    body = safetensors.torch.save({"shared.theta": torch.ones(3)}, {"checkpoint": json.dumps(header)})

    loaded = decode(MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body)

    assert (loaded.epoch, loaded.round, loaded.protocol) == (2, 9, {})
    assert torch.equal(loaded.shared["theta"], torch.ones(3))


def test_nothing_was_saved_is_not_an_error(tmp_path: Path) -> None:
    assert CheckpointStore(tmp_path / "never").load() is None
    assert not (tmp_path / "never").exists()


def test_tensors_that_share_memory_are_saved_each_for_itself() -> None:
    x = torch.arange(6.0)

    loaded = decode(encode(Checkpoint(0, 0, {"theta": x}, {"view": x[:3], "strided": x[::2]})))

    assert same(dict(loaded.private), {"view": torch.tensor([0.0, 1, 2]), "strided": torch.tensor([0.0, 2, 4])})


def test_every_truncation_is_noticed() -> None:
    data = encode(small())

    for length in range(len(data)):
        with pytest.raises(Damaged):
            decode(data[:length])


def test_every_flipped_bit_is_noticed() -> None:
    data = bytearray(encode(small()))

    for bit in range(8 * len(data)):
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Damaged):
            decode(bytes(data))
        data[bit // 8] ^= 1 << bit % 8
    decode(bytes(data))


def test_trailing_bytes_are_noticed() -> None:
    with pytest.raises(Damaged):
        decode(encode(small()) + b"\0")


def test_two_generations_are_kept_the_newest_is_loaded(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    for epoch, round in [(1, 9), (1, 10), (2, 10), (2, 11)]:
        store.save(small(epoch, round))

    loaded = store.load()

    assert loaded is not None
    assert (loaded.epoch, loaded.round) == (2, 11)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "epoch-000002-round-00000010.ckpt",
        "epoch-000002-round-00000011.ckpt",
    ]


def large(round: int) -> Checkpoint:
    return Checkpoint(1, round, {"theta": torch.full((5000,), float(round))})


def test_a_flipped_bit_in_the_file_takes_the_older_generation(tmp_path: Path) -> None:
    """100 positions, half of them in the first 400 bytes: our line, the length, the header."""
    store, draw = CheckpointStore(tmp_path), random.Random(0)
    store.save(large(3))
    path = store.save(large(4))
    data = path.read_bytes()

    for trial in range(100):
        flipped = bytearray(data)
        flipped[draw.randrange(400 if trial % 2 else len(data))] ^= 1 << draw.randrange(8)
        path.write_bytes(flipped)
        loaded = store.load()
        assert loaded is not None
        assert (loaded.round, store.damaged) == (3, trial + 1)
    path.write_bytes(data)

    assert (loaded := store.load()) is not None
    assert (loaded.round, store.damaged) == (4, 100)


def boundaries(data: bytes) -> list[int]:
    """Where a part of the file ends: magic, first line, length, header, each 4096-byte block, one byte too few."""
    header = PREFIX + 8 + int.from_bytes(data[PREFIX : PREFIX + 8], "little")
    ends = [0, len(MAGIC), PREFIX, PREFIX + 8, header, *range(4096, len(data), 4096), len(data) - 1]
    return [cut for end in ends for cut in (end - 1, end, end + 1) if 0 <= cut < len(data)]


def test_a_truncated_file_takes_the_older_generation(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    store.save(large(3))
    path = store.save(large(4))
    data = path.read_bytes()

    for cut in boundaries(data):
        path.write_bytes(data[:cut])
        loaded = store.load()
        assert loaded is not None
        assert loaded.round == 3, cut

    assert store.damaged == len(boundaries(data))


def test_a_damaged_file_is_not_one_of_the_two_generations(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    store.save(large(3))
    store.save(large(4)).write_bytes(b"")
    assert store.load() is not None

    newest = store.save(Checkpoint(2, 4, large(4).shared))
    newest.write_bytes(b"")

    loaded = CheckpointStore(tmp_path).load()
    assert loaded is not None
    assert (loaded.epoch, loaded.round) == (1, 3)


def test_a_file_that_cannot_be_read_falls_back_too(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    store.save(large(3))
    newest = store.save(large(4))
    newest.unlink()
    newest.mkdir()  # stands for a bad block: reading it is an OSError

    loaded = store.load()

    assert loaded is not None
    assert (loaded.round, store.damaged) == (3, 1)


def test_a_damaged_one_falls_back_on_the_one_before_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = CheckpointStore(tmp_path)
    store.save(small(round=3))
    newest = store.save(small(round=4))
    newest.write_bytes(newest.read_bytes()[:-1])

    with caplog.at_level(logging.WARNING):
        loaded = store.load()

    assert loaded is not None
    assert loaded.round == 3
    assert f"{newest} is damaged" in caplog.text


def test_all_damaged_is_refused_with_the_way_out(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    for path in (store.save(small(round=3)), store.save(small(round=4))):
        path.write_bytes(b"")

    with pytest.raises(ConfigError, match=r"no checkpoint is whole .*start from round 0 with --fresh"):
        store.load()


def test_a_torn_temporary_file_is_no_checkpoint(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    path = store.save(small(round=3))
    torn = path.with_name("epoch-000001-round-00000004.ckpt.tmp")
    torn.write_bytes(path.read_bytes()[:50])

    loaded = store.load()

    assert loaded is not None
    assert loaded.round == 3
    store.save(small(round=5))
    assert not torn.exists()


@pytest.mark.parametrize("point", POINTS)
def test_a_failed_write_leaves_what_was_there_and_the_next_one_works(tmp_path: Path, point: str) -> None:
    store = CheckpointStore(tmp_path)
    before = [store.save(large(round)).read_bytes() for round in (3, 4)]

    failpoints.arm(f"{point}:error")
    with pytest.raises(OSError, match="No space left"):
        store.save(large(5))

    files = sorted(tmp_path.iterdir())
    assert [path.read_bytes() for path in files[:2]] == before
    assert len(files) == (3 if point in COMMITTED else 2)  # and no torn file
    store.save(large(6))
    loaded = store.load()
    assert loaded is not None
    assert (loaded.round, store.damaged, len(list(tmp_path.iterdir()))) == (6, 0, 2)


def test_a_full_disk_fails_the_save_and_a_freed_one_takes_it(small_disk: Path) -> None:
    store = CheckpointStore(small_disk)
    before = [store.save(large(round)).read_bytes() for round in (3, 4)]
    other = fill(small_disk, leave=8192)  # a checkpoint needs 20 kB

    for _ in range(3):
        with pytest.raises(OSError, match="No space left") as raised:
            store.save(large(5))
        assert raised.value.errno == errno.ENOSPC
        assert [path.read_bytes() for path in sorted(small_disk.glob("epoch-*"))] == before
    other.unlink()
    store.save(large(6))

    loaded = store.load()
    assert loaded is not None
    assert (loaded.round, store.damaged) == (6, 0)


def test_an_epoch_is_claimed_on_a_full_disk_too(small_disk: Path) -> None:
    first = CheckpointStore(small_disk).claim_epoch()
    fill(small_disk)

    assert (first, CheckpointStore(small_disk).claim_epoch()) == (1, 2)


def test_torn_files_of_killed_writers_make_room_first(small_disk: Path) -> None:
    torn = fill(small_disk).rename(small_disk / "epoch-000001-round-00000004.ckpt.tmp")

    CheckpointStore(small_disk).save(large(5))

    assert not torn.exists()


def test_the_epoch_grows_with_each_start_even_if_nothing_was_saved(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)

    first, second = store.claim_epoch(), CheckpointStore(tmp_path).claim_epoch()
    store.save(small(epoch=7))
    third = CheckpointStore(tmp_path).claim_epoch()

    assert (first, second, third) == (1, 2, 8)


def test_what_a_start_file_holds_does_not_matter(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    epochs = [store.claim_epoch() for _ in range(3)]

    for content in (b"", b"1\n", b"\xff" * 4096):
        (start,) = tmp_path.glob("start-*")
        start.write_bytes(content)
        epochs.append(CheckpointStore(tmp_path).claim_epoch())

    assert epochs == [1, 2, 3, 4, 5, 6]


def test_without_the_start_file_the_checkpoints_names_keep_the_epoch_growing(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    store.save(small(epoch=store.claim_epoch() + 4)).write_bytes(b"damaged")
    for start in tmp_path.glob("start-*"):
        start.unlink()

    assert store.claim_epoch() == 6


def test_names_are_ordered_as_numbers(tmp_path: Path) -> None:
    """Six digits are padding, not a limit; and files of other names are nobody's business."""
    store = CheckpointStore(tmp_path)
    (tmp_path / "epoch-x-round-y.ckpt").write_text("a note")
    (tmp_path / "start-x").write_text("a note")
    for epoch in (999_999, 1_000_000):
        store.save(small(epoch=epoch))

    loaded = store.load()

    assert loaded is not None
    assert (loaded.epoch, store.claim_epoch()) == (1_000_000, 1_000_001)


@pytest.mark.parametrize("private", [{"x": object()}, {"x": {1: 2}}, {"$tensor": 1}, {"x": [{"y": b"bytes"}]}])
def test_a_state_that_could_not_come_back_is_refused(private: dict[str, object]) -> None:
    with pytest.raises(LocalFault, match="checkpoint: private"):
        encode(Checkpoint(0, 0, {}, private))


WRITER = """
import sys, torch
from pathlib import Path
from node.drivers.checkpoint import Checkpoint, CheckpointStore
store = CheckpointStore(Path(sys.argv[1]))
for round in range(1, 10**6):
    store.save(Checkpoint(1, round, {"theta": torch.full((1000,), float(round))}))
    if round > 2:
        print(round, flush=True)
"""


def test_a_killed_writer_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    """Slow (one process, about 2 s): whatever it was doing, the newest round that it reported is there."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    reported = [int(process.stdout.readline()) for _ in range(5)][-1]
    process.send_signal(signal.SIGKILL)
    reported = max([reported, *map(int, process.stdout.read().split())])
    process.stdout.close()
    process.wait()

    loaded = CheckpointStore(tmp_path).load()

    assert loaded is not None
    assert loaded.round >= reported
    assert torch.equal(loaded.shared["theta"], torch.full((1000,), float(loaded.round)))


KILLED_AT = """
import os, sys, torch
from pathlib import Path
from node import failpoints
from node.drivers.checkpoint import Checkpoint, CheckpointStore

def state(round):
    return Checkpoint(1, round, {"theta": torch.full((50_000,), float(round))}, protocol={"round": round})

torch.set_num_threads(1)
for point in sys.argv[2:]:
    folder = Path(sys.argv[1]) / point
    store = CheckpointStore(folder)
    for round in (1, 2):
        store.save(state(round))
    if (pid := os.fork()) == 0:
        failpoints.arm(f"{point}:kill@2")
        store.save(state(3))
        store.save(state(4))
        os._exit(0)
    print(point, os.WTERMSIG(os.waitpid(pid, 0)[1]), flush=True)
"""


def test_a_kill_at_any_point_of_a_save_loses_nothing_that_was_committed(tmp_path: Path) -> None:
    """Slow (one process that forks, about 2 s): round 3 was committed, round 4 was under way."""
    done = subprocess.run([sys.executable, "-c", KILLED_AT, str(tmp_path), *POINTS], capture_output=True, text=True)

    assert done.stdout.split() == [word for point in POINTS for word in (point, str(int(signal.SIGKILL)))], done.stderr
    for point in POINTS:
        store = CheckpointStore(tmp_path / point)
        loaded = store.load()
        assert loaded is not None
        assert loaded.round == (4 if point in COMMITTED else 3), point
        assert torch.equal(loaded.shared["theta"], torch.full((50_000,), float(loaded.round)))
        assert loaded.protocol == {"round": loaded.round}
        assert store.damaged == 0
        torn = {path.suffix for path in (tmp_path / point).iterdir()} - {".ckpt"}
        assert torn == (set() if point in COMMITTED else {".tmp"})
        store.save(large(5))
        assert len(list((tmp_path / point).iterdir())) == 2
