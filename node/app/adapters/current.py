"""The adapter of a node as it stands: what it ended with, or its newest checkpoint; of a node that runs, too.

Decides which of the two is newer, by rounds. Reads files only; whoever runs is not asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

import torch

from node.app.run.run_folder import RunFolder, read_json
from node.app.settings import learn_settings
from node.config import NodeConfig
from node.drivers.checkpoint import Checkpoint, CheckpointStore
from node.errors import ConfigError
from node.learn.model.adapter import Adapter, attach
from node.learn.prepare import LearnSettings, open_model
from node.types import PeerId, Vector

Source: TypeAlias = Literal["adapter", "checkpoint"]


@dataclass(frozen=True)
class Current:
    """A node's model, and what it is of."""

    peer: PeerId
    adapter: Adapter
    theta: Vector  # (whole.d,)
    round: int  # rounds done
    source: Source  # "adapter": what it ended with


def open_adapter(settings: LearnSettings, peer: PeerId) -> Adapter:
    """Base model and adapter of a node, at their start values.

    Raises:
        ConfigError: the base model cannot be opened, or the settings do not fit it.
    """
    return attach(open_model(settings, peer), settings.lora, settings.seed, settings.share)


def current(run: RunFolder, config: NodeConfig, peer: PeerId, opened: Callable[[], Adapter]) -> Current:
    """What `peer` has now; its model is opened once something of it was found.

    Raises:
        ConfigError: it has saved nothing yet, or what it has saved is of another shape; what `opened` raises.
    """
    folder = run.node(peer)
    ended = (read_json(folder.result) or {}).get("rounds") if folder.adapter.is_dir() else None
    saved = CheckpointStore(folder.checkpoint).load()
    if ended is not None and (saved is None or ended >= saved.round):
        adapter = opened()
        return Current(peer, adapter, adapter.load(folder.adapter), int(ended), "adapter")
    if saved is None:
        raise ConfigError(
            f"{folder.path}: nothing saved yet; {peer} writes a checkpoint every {config.checkpoint_every} rounds "
            f"(checkpoint_every), and its adapter after the last one"
        )
    adapter = opened()
    return Current(peer, adapter, _whole(saved, adapter, peer), saved.round, "checkpoint")


def each(run: RunFolder, config: NodeConfig, peers: Sequence[PeerId]) -> Iterator[Current]:
    """What each of `peers` has now, one after the other: a base model is opened once unless labels differ."""
    models: dict[LearnSettings, Adapter] = {}

    def opened(peer: PeerId) -> Adapter:
        settings = learn_settings(config, peer)
        if settings not in models:
            models.clear()  # one base model at a time
            models[settings] = open_adapter(settings, peer)
        return models[settings]

    for peer in peers:
        yield current(run, config, peer, partial(opened, peer))


def _whole(saved: Checkpoint, adapter: Adapter, peer: PeerId) -> Vector:
    """(whole.d,): what was shared, and after it the private part, which only checkpoints hold."""
    private = saved.private.get("theta", torch.empty(0))
    theta = torch.cat([saved.shared["theta"], private])
    if theta.numel() != adapter.whole.d:
        raise ConfigError(
            f"{peer}: its checkpoint holds {theta.numel()} parameters, the settings of the run make {adapter.whole.d}; "
            f"wanted the node.yaml that it was made with"
        )
    return theta
