"""Checkpoints come back bit for bit, and damage is noticed wherever it is."""

from __future__ import annotations

import logging
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from node.drivers.checkpoint import Checkpoint, CheckpointStore, Damaged, decode, encode
from node.errors import ConfigError, LocalFault


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
    return Checkpoint(epoch, round, shared, private, {"schema": "ab12"})


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

    with pytest.raises(ConfigError, match=r"no checkpoint is whole .*delete the folder to start from round 0"):
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


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = CheckpointStore(tmp_path)
    store.save(small(round=3))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store.save(small(round=4))
    monkeypatch.undo()

    loaded = store.load()
    assert loaded is not None
    assert loaded.round == 3


def test_the_epoch_grows_with_each_start_even_if_nothing_was_saved(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)

    first, second = store.claim_epoch(), CheckpointStore(tmp_path).claim_epoch()
    store.save(small(epoch=7))
    (tmp_path / "epoch").unlink()

    assert (first, second, CheckpointStore(tmp_path).claim_epoch()) == (1, 2, 8)


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
