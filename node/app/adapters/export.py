"""A node's model as a folder that others load: the adapter as peft saves it, or merged into a model of its own.

Decides what is in the folder. A merged model is written in float32 from a base opened in float32, whatever the run
computed in: weights that were rounded before they are added would not give the logits of the adapter.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from node.app.adapters.current import Current, current, open_adapter
from node.app.adapters.model_card import CardFacts, model_card, told
from node.app.run.run_folder import RunFolder, make_folder, read_json
from node.app.settings import learn_settings, mixing_said
from node.config import NodeConfig, load_topology
from node.errors import ConfigError
from node.graph.advice.choice import written
from node.learn.model.adapter import Adapter
from node.learn.training.metrics import on_set
from node.types import PeerId, Vector


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    folder: Path
    round: int
    source: str  # "adapter": what the node ended with; "checkpoint"
    files: tuple[str, ...]


def export(run: RunFolder, config: NodeConfig, peer: PeerId, folder: Path, merge: bool) -> Exported:
    """Write the model of `peer` as it stands.

    Args:
        folder: new, or empty.
        merge: the whole model instead of the adapter.

    Raises:
        ConfigError: nothing saved yet, the folder is not empty, or the method cannot be merged.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"-o {folder}: not empty; wanted a new folder")
    if merge and config.lora.method == "prompt":
        raise ConfigError("--merge: prompt tuning adds no weights to the model; wanted an export without --merge")
    settings = learn_settings(config, peer)
    whole = replace(settings, train=replace(settings.train, bf16=False, four_bits=False, device="cpu"))
    now = current(run, config, peer, lambda: open_adapter(whole if merge else settings, peer))
    make_folder(folder, "change -o")
    if merge:
        save_merged(now.adapter, now.theta, folder)
    else:
        now.adapter.save(folder, now.theta)
    card = model_card(facts_of(run, config, now, merge), ".")
    (folder / "README.md").write_text(card, encoding="utf-8")
    return Exported(folder, now.round, now.source, tuple(sorted(p.name for p in folder.iterdir())))


def save_merged(adapter: Adapter, theta: Vector, folder: Path) -> None:
    """Write config, safetensors and tokenizer of the model with the adapter inside; equal logits to float rounding.

    Args:
        theta: (whole.d,) the adapter's parameters.
    """
    with adapter.lock, torch.no_grad():
        adapter.theta.copy_(theta)
        # A copy: merging adds to the frozen weights, which other adapters on the same base share.
        model: Any = copy.deepcopy(adapter.peft_model if adapter.peft_model is not None else adapter.model)
    if adapter.peft_model is not None:
        model = model.merge_and_unload()
    for parameter in model.parameters():  # views into one vector look like tied weights to whoever saves them
        parameter.grad, parameter.data = None, parameter.data.clone()
    model.save_pretrained(str(folder))
    adapter.base.tokenizer.save_pretrained(str(folder))


def facts_of(run: RunFolder, config: NodeConfig, now: Current, merged: bool) -> CardFacts:
    """What the files of a run tell of a node's model."""
    graph, base = load_topology(run.topology), now.adapter.base
    result: Mapping[str, Any] = (read_json(run.node(now.peer).result) or {}) if now.source == "adapter" else {}
    others = {peer: (read_json(run.node(peer).result) or {}).get("accuracy") for peer in graph.nodes}
    private = now.adapter.whole.d - now.adapter.schema.d
    known = [float(accuracy) for accuracy in others.values() if accuracy is not None]
    return CardFacts(
        base=base.hub_name,
        node=now.peer,
        task=base.task,
        labels=base.labels,
        datasets=tuple(d.path for d in config.datasets),
        rounds=now.round,
        nodes=len(graph.nodes),
        neighbours=graph.neighbours(now.peer) if now.peer in graph.nodes else (),
        schedule="" if graph.schedule is None else written(graph.schedule),
        mixing=mixing_said(config),
        parameters=result.get("parameters") or {"shared": now.adapter.schema.d, "private": private},
        tested_on=result.get("tested_on") or "common",
        examples=result.get("examples"),
        classes=sum(count > 0 for count in result.get("classes") or ()),
        metrics=told({**result, **on_set(result.get("tested_on") or "common", result.get("metrics") or {})}),
        method=config.lora.method,
        over_nodes=(min(known), mean(known), max(known)) if len(known) > 1 and result else None,
        merged=merged,
    )
