"""One node of the network in this process: learner, peer, driver, records, checkpoints, and what it leaves behind.

The life of a node: claim an epoch, resume from the newest checkpoint, gossip until the last round or a signal,
evaluate, save the adapter. gRPC is imported here, in the process that uses it: a fork server imports this module
after the fork.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from node import failpoints
from node.app.adapters.model_card import CardFacts, model_card, told
from node.app.adapters.predict import predict
from node.app.joins.joining import Place, enter, keep, reached
from node.app.rules.products import rule_of, start_of
from node.app.rules.traffic import bytes_to_send
from node.app.run.processes import announce, interruptible
from node.app.run.resources import memory
from node.app.run.run_folder import RunFolder, write_json
from node.app.settings import agreed_digests, mixing_said, peer_config
from node.app.taking_part import Part, require_same_run, take_part
from node.app.warm import Warm
from node.core.keep import unpack_joins
from node.core.messages import PROTOCOL_VERSION, Hello, Join
from node.core.peer import GossipPeer
from node.drivers.checkpoint import CheckpointStore
from node.drivers.grpc import GrpcNode
from node.drivers.slow import Slow, slowed
from node.graph.advice.choice import written
from node.graph.growth import grown
from node.learn.prepare import Prepared
from node.learn.prepare import prepare as prepare_learner
from node.learn.training.metrics import on_set
from node.types import Digests, PeerId, Shared

LOG = logging.getLogger(__name__)
LOG_LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class Traffic(NamedTuple):
    """Bytes of a node on all its edges."""

    sent: int
    received: int


class Node:
    """Everything of one node, from its settings to its files.

    Args:
        run: the folder of the run.
        warm: settings, topology and the opened base.
        peer: which node of the topology this is.
        fresh: forget the checkpoint.
        sentences: texts whose labels are told in the result.
        place: of a node that is not in the topology, and joins.
        slow: how much longer its training takes than it does; for fault plans.
    """

    def __init__(
        self,
        run: RunFolder,
        warm: Warm,
        peer: PeerId,
        fresh: bool = False,
        sentences: Sequence[str] = (),
        place: Place | None = None,
        slow: Slow = Slow(),  # noqa: B008  # frozen
    ) -> None:
        self.peer, self.warm, self.folder, self.sentences = peer, warm.of(peer), run.node(peer), tuple(sentences)
        self.store, self.fresh = CheckpointStore(self.folder.checkpoint), fresh
        self.place, self.slow = place, slow

    def run(self) -> int:
        """To the last round or a signal; the exit code of the process."""
        logging.basicConfig(level=logging.INFO, format=LOG_LINE, stream=sys.stderr)
        if armed := failpoints.arm(os.environ.get(failpoints.VARIABLE, ""), self.peer):
            LOG.warning("%s: failpoints armed: %s", self.peer, ", ".join(armed))
        epoch = self.store.claim_epoch()
        announce(self.folder, "running", epoch)
        learner = self._prepare()
        if self.fresh:
            self.folder.forget()
        protocol = self._peer(learner, epoch)
        LOG.info("%s: epoch %d, round %d of %d", self.peer, epoch, protocol.round, protocol.config.rounds)
        shared, driver = asyncio.run(self._gossip(learner, protocol))
        finished = protocol.round >= protocol.config.rounds
        if finished:
            interruptible()
            self.leave_result(learner, shared, protocol, Traffic(driver.bytes_sent, driver.bytes_received))
        message = (
            "" if finished else f"after round {protocol.round} of {protocol.config.rounds}; start it again to go on"
        )
        announce(self.folder, "finished" if finished else "stopped", epoch, 0, message)
        LOG.info("%s: %s %s", self.peer, "finished" if finished else "stopped", message)
        return 0

    def _prepare(self) -> Prepared:
        warm, ids = self.warm, self.warm.topology.nodes
        place, nodes = self.place.share if self.place is not None else (ids.index(self.peer), len(ids))
        learner = prepare_learner(
            warm.settings, warm.base, peer=self.peer, index=place, nodes=nodes, learner=warm.learner
        )
        LOG.info(
            "%s: %d private examples, %s parameters, prefix cache %s",
            self.peer,
            learner.examples,
            ", ".join(f"{count} {kind}" for kind, count in learner.parameters.items() if count),
            learner.prefix,
        )
        return learner

    def _peer(self, learner: Prepared, epoch: int) -> GossipPeer:
        """The protocol, at round 0 or where the newest checkpoint stands."""
        warm = self.warm
        saved = self.store.load()
        joins = unpack_joins(saved.protocol) if saved is not None else ()
        if saved is not None:
            require_same_run(saved, agreed_digests(warm.config, warm.topology, self._agreed(learner)), self.folder)
            learner.trainer.load_state(saved.private)
        if self.place is not None:
            joins = self._enter(self.place, learner, epoch, joins)
        start = saved.round if saved is not None else 0
        config = peer_config(warm.config, warm.topology, self.peer, self._agreed(learner), epoch, start, joins)
        schema = learner.adapter.schema
        rule = warm.code.mixing if warm.code is not None else rule_of(warm.config, warm.topology, schema)
        if saved is None:
            return GossipPeer(config, start_of(warm.config, self.peer, learner.shared, schema), rule)
        return GossipPeer(config, saved.shared, rule, saved.protocol)

    def _agreed(self, learner: Prepared) -> Digests:
        """What other nodes must have, too, beside the settings: what the learner is made of, and the user's code."""
        code = self.warm.code
        return learner.digests if code is None else {**learner.digests, "code": code.source}

    def _enter(self, place: Place, learner: Prepared, epoch: int, known: Sequence[Join]) -> tuple[Join, ...]:
        """Become part of the network, unless we are; all joins that we know then."""
        joins = {join.node: join for join in (*known, *place.joins)}
        if not place.joined:
            digests = agreed_digests(self.warm.config, place.base, self._agreed(learner))
            join = asyncio.run(enter(place, Hello(PROTOCOL_VERSION, self.peer, epoch, 0, digests, ())))
            keep(self.folder, place, join)
            LOG.info("%s: joins from round %d on, beside %s", self.peer, join.round, ", ".join(join.neighbours))
            asyncio.run(reached(place, join))
            joins[self.peer] = join
        return tuple(joins.values())

    async def _gossip(self, learner: Prepared, protocol: GossipPeer) -> tuple[Shared, GrpcNode]:
        part = Part(
            folder=self.folder,
            protocol=protocol,
            trainer=slowed(learner.trainer, self.slow),
            start=learner.adapter.initial,
            schema=learner.adapter.schema,
            store=self.store,
            listen=self.place.listen if self.place is not None else None,
            fresh=self.fresh,
            ready=lambda driver: _on_signal(asyncio.get_running_loop(), driver.stop),
        )
        return await take_part(self.warm, part)

    def leave_result(self, learner: Prepared, shared: Shared, protocol: GossipPeer, traffic: Traffic) -> None:
        """Evaluate, save the adapter with its card, and write result.json."""
        theta = learner.trainer.whole(shared)
        metrics = learner.trainer.metrics(theta)
        measured = on_set(learner.tested_on, metrics)
        learner.adapter.save(self.folder.adapter, theta)
        if (best := learner.trainer.best) is not None:
            learner.adapter.save(self.folder.best, best)
        card = model_card(self._facts(learner, protocol, measured), str(self.folder.adapter.name))
        (self.folder.adapter / "README.md").write_text(card, encoding="utf-8")
        sequence_len = self.warm.settings.train.sequence_len
        said = predict(learner.adapter, theta, self.sentences, sequence_len) if self.sentences else []
        config = self.warm.config
        document = {
            "node": self.peer,
            "rounds": protocol.round,
            "accuracy": measured.get("accuracy"),
            "loss": measured.get("loss"),
            "tested_on": learner.tested_on if measured else None,
            "metrics": {name: value if math.isfinite(value) else None for name, value in metrics.items()},
            "parameters": learner.parameters,
            "bytes_sent": traffic.sent,
            "bytes_received": traffic.received,
            "ideal_bytes": bytes_to_send(protocol, config.gossip.mixing),
            "memory": memory(),
            "faults": dict(protocol.faults),
            "examples": learner.examples,
            "held_out": learner.held_out,
            "classes": list(learner.classes),
            "seed": config.seed,
            "data_digest": learner.data_digest,
            "sentences": [next(iter(verdict.items())) for verdict in said],
        }
        write_json(self.folder.result, document)

    def _facts(self, learner: Prepared, protocol: GossipPeer, measured: Mapping[str, float]) -> CardFacts:
        config, base = self.warm.config, learner.adapter.base
        graph = grown(self.warm.topology, protocol.joins)
        return CardFacts(
            base=base.hub_name,
            node=self.peer,
            labels=base.labels,
            rounds=config.gossip.rounds,
            nodes=len(graph.nodes),
            neighbours=graph.neighbours(self.peer),
            schedule="" if graph.schedule is None else written(graph.schedule),
            mixing=mixing_said(config),
            parameters=learner.parameters,
            tested_on=learner.tested_on,
            method=config.lora.method,
            examples=learner.examples,
            classes=sum(count > 0 for count in learner.classes),
            metrics=told(measured),
            task=base.task,
            datasets=tuple(d.path for d in config.datasets),
        )


def _on_signal(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    """Ctrl-C and SIGTERM call `stop`. `add_signal_handler` would do, but its end brings back the signal that kills."""

    def on_signal(number: int, frame: object) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(stop)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
