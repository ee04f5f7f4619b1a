"""A peer's state on disk: written whole or not at all, checked when read, two generations.

A write is: temporary file, fsync, rename, fsync of the folder; then the oldest generation goes. (Overwriting in place
left 92 of 100 killed writes unreadable; this left 0.) A write that fails takes its temporary file away. A file is one
line, `gossip-checkpoint 1 <sha256 of the rest>`, then safetensors: its metadata holds what is not a tensor as JSON.
Nothing in it can run code. What the state means is not known here.

The number of starts is in the *name* of an empty file, `start-000007`: it has no content to be torn or to flip.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from node.errors import ConfigError, LocalFault
from node.failpoints import hit
from node.types import Digests, Shared

LOG = logging.getLogger(__name__)
MAGIC = b"gossip-checkpoint 1 "
PREFIX = len(MAGIC) + 64 + 1  # bytes before the safetensors: magic, sha256 in hex, newline
NAME = re.compile(r"epoch-([0-9]+)-round-([0-9]+)\.ckpt")
START = re.compile(r"start-([0-9]+)")
GENERATIONS = 2
TENSOR = "$tensor"  # key that stands for a tensor in the JSON


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a node needs to go on where it was."""

    epoch: int  # of the process that wrote it
    round: int  # rounds done
    shared: Shared  # what was mixed, after `round` rounds
    private: Mapping[str, Any] = field(default_factory=dict)  # the trainer's: JSON-able values and tensors, nested
    digests: Digests = field(default_factory=dict)  # what it was made with
    protocol: Mapping[str, Any] = field(default_factory=dict)  # the peer's own, like `private`


class Damaged(Exception):
    """Not a whole checkpoint."""


class CheckpointStore:
    """The checkpoints of one node.

    Args:
        folder: made at the first save; nothing else should write there, and one process at a time.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.damaged = 0  # files that `load` passed over so far
        self._passed_over: set[Path] = set()  # they go at the next save, and do not count as a generation

    def save(self, checkpoint: Checkpoint) -> Path:
        """Writes `checkpoint`; when this returns, it survives a power cut, and so does the one before it.

        Raises:
            OSError: it could not be written; what was there is there still, and nothing else.
        """
        data = encode(checkpoint)
        _make(self._folder)
        for torn in self._folder.glob("*.tmp"):  # of writers that were killed; first, for the disk may be full of them
            torn.unlink()
        path = self._folder / f"epoch-{checkpoint.epoch:06d}-round-{checkpoint.round:08d}.ckpt"
        _write_atomically(path, data)
        whole = [old for old in self._paths() if old not in self._passed_over]
        for old in (*self._passed_over, *whole[GENERATIONS:]):
            old.unlink(missing_ok=True)
        self._passed_over.clear()
        return path

    def load(self) -> Checkpoint | None:
        """The newest checkpoint that is whole; None: there is none. Each newer one that is not is told and counted.

        Raises:
            ConfigError: there are checkpoints, and all of them are damaged.
        """
        paths = self._paths()
        for path in paths:
            try:
                return decode(path.read_bytes())
            except (Damaged, OSError) as damage:
                self.damaged += 1
                self._passed_over.add(path)
                LOG.warning("%s is damaged (%s): going back to the checkpoint before it", path, damage)
        if paths:
            names = ", ".join(path.name for path in paths)
            raise ConfigError(f"{self._folder}: no checkpoint is whole ({names}): start from round 0 with --fresh")
        return None

    def claim_epoch(self) -> int:
        """A number that grows by one with each call, that is with each start of the process; 1 the first time.

        It is on disk before this returns, so that no two starts share it, whether or not a checkpoint is ever written.
        """
        _make(self._folder)
        starts = {path: int(found[1]) for path in self._folder.iterdir() if (found := START.fullmatch(path.name))}
        epoch = max([*starts.values(), *(epoch for epoch, _ in map(_number, self._paths()))], default=0) + 1
        (self._folder / f"start-{epoch:06d}").touch(exist_ok=False)
        _sync(self._folder)
        for earlier in starts:
            earlier.unlink()
        return epoch

    def _paths(self) -> list[Path]:
        """Newest first: by epoch, then round."""
        found = (path for path in self._folder.glob("*.ckpt") if NAME.fullmatch(path.name))
        return sorted(found, key=_number, reverse=True)


def encode(checkpoint: Checkpoint) -> bytes:
    """The bytes of a checkpoint file.

    Raises:
        LocalFault: the private or the protocol's state holds something that is neither JSON-able nor a tensor.
    """
    tensors: dict[str, torch.Tensor] = {}
    header = {
        "epoch": checkpoint.epoch,
        "round": checkpoint.round,
        "digests": dict(checkpoint.digests),
        "shared": _put(dict(checkpoint.shared), "shared", tensors),
        "private": _put(dict(checkpoint.private), "private", tensors),
        "protocol": _put(dict(checkpoint.protocol), "protocol", tensors),
    }
    body = safetensors.torch.save(tensors, {"checkpoint": json.dumps(header)})
    return MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def decode(data: bytes) -> Checkpoint:
    """The inverse of `encode`; tuples come back as lists.

    Raises:
        Damaged: any byte is missing or was changed.
    """
    body = memoryview(data)[PREFIX:]
    if data[: len(MAGIC)] != MAGIC:
        raise Damaged(f"begins with {data[: len(MAGIC)]!r}, wanted {MAGIC!r}")
    if data[len(MAGIC) : PREFIX] != hashlib.sha256(body).hexdigest().encode() + b"\n":
        raise Damaged(f"{len(data)} bytes do not have the sha256 that its first line says")
    try:
        tensors = safetensors.torch.load(bytes(body))
        header = json.loads(_metadata(body)["checkpoint"])
    except (SafetensorError, ValueError, KeyError) as error:
        raise Damaged(f"not written by this program: {error}") from error
    shared, private = _take(header["shared"], tensors), _take(header["private"], tensors)
    protocol = _take(header.get("protocol", {}), tensors)  # the first files had none
    return Checkpoint(header["epoch"], header["round"], shared, private, header["digests"], protocol)


def _metadata(body: memoryview) -> dict[str, str]:
    """Of a safetensors file: eight bytes of length, then JSON."""
    length = int.from_bytes(body[:8], "little")
    metadata: dict[str, str] = json.loads(bytes(body[8 : 8 + length]))["__metadata__"]
    return metadata


def _put(value: Any, name: str, tensors: dict[str, torch.Tensor]) -> Any:
    """`value` as JSON, its tensors moved to `tensors` under dotted names."""
    match value:
        case torch.Tensor():
            # A copy of its own: safetensors refuses tensors that share memory.
            tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
            return {TENSOR: name}
        case dict():
            if wrong := [key for key in value if not isinstance(key, str) or key == TENSOR]:
                raise LocalFault(
                    f"checkpoint: {name} has the key {wrong[0]!r}, keys must be strings other than {TENSOR!r}"
                )
            return {key: _put(inner, f"{name}.{key}", tensors) for key, inner in value.items()}
        case list() | tuple():
            return [_put(inner, f"{name}.{i}", tensors) for i, inner in enumerate(value)]
        case None | bool() | int() | float() | str():
            return value
    raise LocalFault(f"checkpoint: {name} is a {type(value).__name__}, wanted a JSON value or a tensor")


def _take(value: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    match value:
        case {"$tensor": str(name)}:
            return tensors[name]
        case dict():
            return {key: _take(inner, tensors) for key, inner in value.items()}
        case list():
            return [_take(inner, tensors) for inner in value]
    return value


def _number(path: Path) -> tuple[int, int]:
    """(epoch, round) of a checkpoint's name."""
    found = NAME.fullmatch(path.name)
    assert found is not None, path
    return int(found[1]), int(found[2])


def _write_atomically(path: Path, data: bytes) -> None:
    """`path` holds either what it held before or all of `data`, whenever the power goes."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        _write(temporary, data)
        hit("checkpoint.before-rename")
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    hit("checkpoint.after-rename")
    _sync(path.parent)
    hit("checkpoint.after-fsync-folder")


def _write(path: Path, data: bytes) -> None:
    """All of `data`, on the disk when this returns."""
    half = len(data) // 2
    with path.open("wb") as file:
        hit("checkpoint.before-write")
        file.write(memoryview(data)[:half])
        file.flush()
        hit("checkpoint.mid-write")
        file.write(memoryview(data)[half:])
        file.flush()
        hit("checkpoint.before-fsync")
        os.fsync(file.fileno())


def _make(folder: Path) -> None:
    """A new folder is on the disk only when the one that it is in was synced too."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in new:
        _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
