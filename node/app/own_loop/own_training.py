"""How a training loop of the user's own becomes a node: what its model is to the network, and where it goes on.

Decides where an interrupted training stands. Two memories may be there, the Trainer's checkpoint (a step) and the
node's (a round):

    Trainer at step 0, no checkpoint   begin: common start values, round 0
    Trainer at step 0, a checkpoint    the node's vectors go into the model; the Trainer's own schedule begins anew
    Trainer resumes at step s          round s // every; the protocol goes on where the node's checkpoint is of it
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor

from node.app.adapters.model_card import CardFacts, model_card
from node.app.own_loop.beside import Beside
from node.app.own_loop.handed_in import Asked, HandedIn, Over
from node.app.rules.code import Code
from node.app.rules.products import rule_of
from node.app.run.processes import running
from node.app.run.run_files import write_files
from node.app.run.run_folder import NodeFolder, RunFolder
from node.app.settings import agreed_digests, mixing_said, peer_config
from node.app.taking_part import Part, require_same_run
from node.app.warm import Warm
from node.config import NodeConfig
from node.core.peer import GossipPeer
from node.drivers.checkpoint import Checkpoint, CheckpointStore
from node.errors import ConfigError
from node.graph.advice.choice import written
from node.graph.topology import Topology
from node.learn.model.trainables import Trainables
from node.learn.training.torch_adam import TorchAdam
from node.observe.records import read_records
from node.types import Digests, PeerId, Shared, Vector

LOG = logging.getLogger(__name__)
SHOWN = 4  # names


@dataclass(frozen=True, slots=True)
class Place:
    """Where a training script stands in the network."""

    config: NodeConfig
    graph: Topology
    peer: PeerId
    run: RunFolder
    every: int  # optimizer steps a round
    draws: bool  # whether fresh LoRA factors get common start values
    fresh: bool
    linger: float  # seconds
    code: Code | None

    @property
    def folder(self) -> NodeFolder:
        return self.run.node(self.peer)


@dataclass
class Meeting:
    """A node beside a training, and the training's side of what passes between them."""

    place: Place
    beside: Beside
    trainables: Trainables
    adam: TorchAdam | None
    losses: _Losses
    start: Vector  # (d,) x_0
    keeps: bool  # the model is in the middle of a round: what it holds is newer than what the network hands out
    examples: int | None  # the script's own; None: it does not say
    over: Over | None = None
    accuracy: float | None = None  # measured last
    _told: float | None = None  # what of it a record has

    def begin(self) -> Asked | Over:
        """Start the node; when this returns the first round may be trained."""
        self.beside.start()
        return self._take(write=not self.keeps)

    def exchange(self, step: int) -> Asked | Over:
        """Hand in what the model holds after `step` steps; when this returns it holds what was mixed."""
        news = {} if self.accuracy in (None, self._told) else {"accuracy": self.accuracy}
        stats, self._told = {"loss": self.losses.mean(), **news}, self.accuracy
        self.beside.handed.give(self.shared(), stats, {"step": step, "initial": self.start})
        return self._take(write=True)

    def shared(self) -> Shared:
        """What the network mixes, as it stands in the model and the optimizer; copies."""
        return {"theta": self.trainables.read(), **(self.adam.read() if self.adam else {})}

    def end(self) -> None:
        """Leave, or stay for slower neighbours where all rounds are done."""
        self.losses.remove()
        if self.over is None:
            self.beside.leave()
        self.beside.wait()
        self._warn_of_silence()

    def _take(self, write: bool) -> Asked | Over:
        answer = self.beside.handed.asked()
        if isinstance(answer, Over):
            self.over = answer
        if answer.shared is not None and write:
            self.trainables.write(answer.shared["theta"])
            if self.adam is not None:
                self.adam.write(answer.shared)
        if isinstance(answer, Over) and answer.shared is not None:
            self._save(answer.shared["theta"], answer.rounds)
        return answer

    def _warn_of_silence(self) -> None:
        """A consensus with nobody is none."""
        path = self.place.folder.records
        records = read_records(path) if path.exists() else ()
        if records and not any(record.contributions for record in records):
            LOG.warning(
                "%s: heard no neighbour in any round: see the lines above, and the others' logs", self.place.peer
            )

    def _save(self, theta: Vector, rounds: int) -> None:
        """The adapter as consensus has it, in peft's layout; a model without one is its script's to save."""
        if self.trainables.peft_config is None:
            return
        folder, model = self.place.folder.adapter, cast(Any, self.trainables.model)
        with self.trainables.holding(theta):
            model.save_pretrained(str(folder))
        (folder / "README.md").write_text(model_card(self._facts(rounds)), encoding="utf-8")

    def _facts(self, rounds: int) -> CardFacts:
        config, graph = self.beside.config, self.place.graph
        peft = self.trainables.peft_config
        return CardFacts(
            base=peft.base_model_name_or_path or config.base_model,
            node=self.place.peer,
            task=self.trainables.task,
            method=method_of(peft),
            labels=self.trainables.labels,
            rounds=rounds,
            nodes=len(graph.nodes),
            neighbours=graph.neighbours(self.place.peer),
            schedule="" if graph.schedule is None else written(graph.schedule),
            mixing=mixing_said(config),
            parameters={"shared": self.trainables.schema.d},
            examples=self.examples,
            classes=0,
            metrics={} if self.accuracy is None else {"accuracy": self.accuracy},
        )


@dataclass
class _Losses:
    """Forward hook: the losses that the model gave while training, since the last round."""

    seen: list[Tensor] = field(default_factory=list)
    handle: Any = None

    def __call__(self, module: Any, inputs: Any, output: Any) -> None:
        loss = getattr(output, "loss", None)
        if module.training and isinstance(loss, Tensor):
            self.seen.append(loss.detach())

    def mean(self) -> float:
        seen, self.seen = self.seen, []
        return float(torch.stack([loss.float().mean() for loss in seen]).mean()) if seen else math.nan

    def remove(self) -> None:
        self.handle.remove()


def meet(place: Place, args: Any, state: Any, said: Mapping[str, Any]) -> Meeting:
    """A node for this training, not started yet.

    Args:
        args, state: the Trainer's.
        said: what it tells its callbacks: model, optimizer, processing_class.

    Raises:
        ConfigError: the training cannot be one node, or another one than its checkpoint's.
    """
    _require_one_process(args)
    folder = place.folder
    if (process := running(folder)) is not None and process.pid != os.getpid():
        raise ConfigError(f"{folder.path}: {place.peer} runs already (process {process.pid}); end it first")
    trainables = Trainables(said["model"], place.config.gossip.share)
    adam = TorchAdam(said["optimizer"], trainables) if place.config.gossip.moments else None
    config = _settings(place, trainables, args, state)
    if place.fresh and state.global_step == 0:
        folder.forget()
    store = CheckpointStore(folder.checkpoint)
    saved = store.load()
    start = _start(place, trainables, saved, state)
    digests = _digests(place, trainables, start, said.get("processing_class"))
    agreed = agreed_digests(config, place.graph, digests)
    if saved is not None:
        require_same_run(saved, agreed, folder)
    round, goes_on = _round(place, config, saved, state)
    write_files(place.run, config, place.graph)
    peer = peer_config(config, place.graph, place.peer, digests, store.claim_epoch(), round)
    rule = place.code.mixing if place.code is not None else rule_of(config, place.graph, trainables.schema)
    if goes_on and saved is not None:
        protocol = GossipPeer(peer, saved.shared, rule, saved.protocol)
    else:
        protocol = GossipPeer(peer, {"theta": trainables.read(), **(adam.read() if adam else {})}, rule)
    handed = HandedIn({"step": state.global_step, "initial": start})
    part = Part(
        folder=folder, protocol=protocol, trainer=handed, start=start, schema=trainables.schema, store=store,
        fresh=place.fresh, linger=place.linger,
    )  # fmt: skip
    losses = _Losses()
    losses.handle = said["model"].register_forward_hook(losses)
    examples = _length(said.get("train_dataloader"))
    facts = {"seed": config.seed, "examples": examples, "parameters": {"shared": trainables.schema.d}}
    beside = Beside(Warm(config, place.graph, None, None, None, place.code), part, handed, facts)
    keeps = state.global_step % place.every != 0
    return Meeting(place, beside, trainables, adam, losses, start, keeps, examples)


def _length(loader: Any) -> int | None:
    """Examples that a training reads; None of a stream."""
    dataset: Any = getattr(loader, "dataset", None)
    return len(dataset) if hasattr(dataset, "__len__") else None


def _require_one_process(args: Any) -> None:
    """Raises ConfigError where the parameters of one training lie in several processes."""
    sharded = [word for word in ("deepspeed", "fsdp") if getattr(args, word, None)]
    if args.world_size > 1 or sharded:
        raise ConfigError(
            f"GossipCallback: a node is one process with the whole model; this training has {args.world_size} "
            f"processes{''.join(f' and {word}' for word in sharded)}; wanted one script a node, without them"
        )


def _start(place: Place, trainables: Trainables, saved: Checkpoint | None, state: Any) -> Vector:
    """(d,) x_0. At the very beginning fresh LoRA factors get the values that all nodes draw."""
    if saved is not None:
        initial: Vector = saved.private["initial"]
        return initial
    if state.global_step > 0:
        raise ConfigError(
            f"{place.folder.checkpoint}: no checkpoint, but the Trainer resumes at step {state.global_step}; wanted "
            f"the output_dir that its node had, or a training from step 0"
        )
    drawn = trainables.draw_lora(place.config.seed) if place.draws and trainables.has_fresh_lora else ()
    others = [e.name for e in trainables.schema.entries if e.name not in drawn]
    shown = ", ".join(others[:SHOWN]) + (f" and {len(others) - SHOWN} more" if len(others) > SHOWN else "")
    LOG.log(
        logging.WARNING if drawn or others else logging.INFO,
        "%s: start values: %d LoRA factors drawn from seed %d, as all nodes do%s",
        place.peer, len(drawn), place.config.seed,
        f"; as this script made them, and to be equal on all nodes: {shown}" if others else "",
    )  # fmt: skip
    return trainables.read()


def _digests(place: Place, trainables: Trainables, start: Vector, tokenizer: Any) -> Digests:
    code = {} if place.code is None else {"code": place.code.source}
    initial = hashlib.sha256(start.numpy().astype("<f4", copy=False).tobytes()).hexdigest()
    return {**trainables.digests(tokenizer), "initial": initial, **code}


def _round(place: Place, config: NodeConfig, saved: Checkpoint | None, state: Any) -> tuple[int, bool]:
    """Rounds done, and whether the node's checkpoint is of that round."""
    if saved is None:
        return 0, False
    if state.global_step == 0:
        if saved.round >= config.gossip.rounds:
            raise ConfigError(
                f"{place.folder.checkpoint}: this run is over ({saved.round} rounds); wanted fresh=True, or another "
                f"output_dir"
            )
        LOG.warning(
            "%s: goes on after round %d of its checkpoint; the Trainer's own schedule begins anew "
            "(resume_from_checkpoint continues it)", place.peer, saved.round,
        )  # fmt: skip
        return saved.round, True
    round = int(state.global_step // place.every)
    if round != saved.round:
        LOG.warning(
            "%s: the Trainer resumes at step %d, in round %d; the node's checkpoint is of round %d and is left aside",
            place.peer, state.global_step, round, saved.round,
        )  # fmt: skip
    return round, round == saved.round


def _settings(place: Place, trainables: Trainables, args: Any, state: Any) -> NodeConfig:
    """The node file that stands for this training: what monitors, `gossip try` and `gossip export` read."""
    config, every = place.config, place.every
    gossip = config.gossip.model_copy(update={"rounds": math.ceil(state.max_steps / every)})
    told: dict[str, Any] = {"gossip": gossip, **_model_words(config, trainables)}
    train = {"local_steps": every, "micro_batch_size": args.per_device_train_batch_size}
    told["train"] = config.train.model_copy(update=train)
    if args.save_strategy == "steps" and args.save_steps >= every and args.save_steps % every == 0:
        told["checkpoint_every"] = int(args.save_steps) // every  # where the Trainer saves, so that both go on together
    return config.model_copy(update=told)


def _model_words(config: NodeConfig, trainables: Trainables) -> dict[str, Any]:
    peft, labels = trainables.peft_config, trainables.labels
    told: dict[str, Any] = {"task": trainables.task, "labels": labels if len(labels) > 1 else None}
    if name := getattr(getattr(trainables.model, "config", None), "_name_or_path", ""):
        told["base_model"] = name
    if peft is not None and method_of(peft) in ("lora", "rslora"):
        told["lora"] = config.lora.model_copy(
            update={
                "method": method_of(peft),
                "r": peft.r,
                "alpha": float(peft.lora_alpha),
                "dropout": float(peft.lora_dropout),
                "target_modules": _names(peft.target_modules),
                "layers": _numbers(peft.layers_to_transform),
            }
        )
    return told


def method_of(peft: Any) -> str:
    """peft's kind of adapter in the words of a node file."""
    kind = str(getattr(peft.peft_type, "value", peft.peft_type)).lower()
    return "rslora" if kind == "lora" and peft.use_rslora else "prompt" if kind == "prompt_tuning" else kind


def _names(said: Any) -> Any:
    return said if said is None or isinstance(said, str) else tuple(sorted(said))


def _numbers(said: Any) -> tuple[int, ...] | None:
    if said is None:
        return None
    return (said,) if isinstance(said, int) else tuple(said)
