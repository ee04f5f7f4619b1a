"""A protocol and whatever trains become a node that others can reach: driver, records, journal, status, the door.

Used by a node of its own process (`node.app.node`) and by one that stands beside somebody else's training
(`node.app.own_loop.beside`). Knows no learner: it is handed in. gRPC is imported here, in the process that uses it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from node.app.joins.doorkeeper import Doorkeeper
from node.app.joins.growing import GrowingGraph
from node.app.recorder import Recorder
from node.app.rules.products import pairs_of
from node.app.run.processes import announce
from node.app.run.run_folder import NodeFolder
from node.app.status import StatusBoard
from node.app.warm import Warm
from node.core.events import Finished
from node.core.peer import GossipPeer
from node.drivers.checkpoint import Checkpoint, CheckpointStore
from node.drivers.edges import Network
from node.drivers.grpc import GrpcNode
from node.drivers.trainer import Trainer
from node.errors import ConfigError
from node.graph.reach import NOWHERE
from node.observe.journal import Journal
from node.types import Shared, Vector
from node.wire.join import add_join_service
from node.wire.status import add_status_service

if TYPE_CHECKING:
    from node.learn.model.schema import Schema

LOG = logging.getLogger(__name__)
LOCAL = "127.0.0.1:0"  # where a node listens that nobody can dial: for status and health, on a free port
LINGER = 60.0  # seconds that a finished node stays for neighbours that have not said bye
GRAPH = ("topology", "joins")  # digests that may change between two processes of a node


@dataclass(frozen=True, kw_only=True)
class Part:
    """What of a node is its own.

    Args:
        folder: where its files go.
        protocol: at the round where it stands.
        trainer: the private side.
        start: (d,) theta_0, which sketches are taken from.
        schema: what its entries are.
        store: of its checkpoints.
        listen: host:port; None: its address in the topology.
        fresh: earlier checkpoints were to be forgotten.
        linger: seconds that it stays for slower neighbours after its last round.
        ready: told the driver before it runs.
        on_finish: told what it ends with, on the loop's thread, before it lingers.
    """

    folder: NodeFolder
    protocol: GossipPeer
    trainer: Trainer
    start: Vector
    schema: Schema
    store: CheckpointStore
    listen: str | None = None
    fresh: bool = False
    linger: float = LINGER
    ready: Callable[[GrpcNode], None] = lambda driver: None
    on_finish: Callable[[Finished], None] = lambda finished: None


async def take_part(warm: Warm, part: Part) -> tuple[Shared, GrpcNode]:
    """All rounds that are left, and what they end with; the driver tells what it took.

    Raises:
        ConfigError: the address cannot be had.
        Exception: whatever made training or the protocol fail.
    """
    protocol, folder = part.protocol, part.folder
    graph = GrowingGraph(warm.config, warm.topology, lambda: protocol.joins)
    addresses = graph.now().addresses
    address = addresses[protocol.config.peer]
    listen = (part.listen if part.listen is not None else address) or LOCAL
    network = Network(listen=listen, addresses=addresses, seed=warm.config.seed, linger=part.linger)
    epoch, logs = protocol.config.epoch, warm.config.logs
    with (
        Recorder(folder.records, part.start, warm, graph.predicted, pairs_of(part.schema)) as recorder,
        Journal(folder.journal, epoch, limit_bytes=logs.rotate_bytes, keep=logs.keep_journals) as journal,
    ):
        board = StatusBoard(warm, protocol, recorder, graph)
        door = Doorkeeper(protocol, graph, lambda event: driver.feed(event))
        driver = GrpcNode(
            protocol,
            part.trainer,
            network,
            store=part.store,
            on_round=recorder.note,
            on_finish=part.on_finish,
            journal=journal.note,
            fresh=part.fresh,
            services=[
                lambda server: add_status_service(server, board.read),
                lambda server: add_join_service(server, door.propose, door.commit),
            ],
        )
        board.watch(driver)
        if address == NOWHERE:
            board.address = f"127.0.0.1:{await driver.listen()}"
            announce(folder, "running", epoch, address=board.address)
            LOG.info("%s: no address in the topology file; it answers at %s", protocol.config.peer, board.address)
        part.ready(driver)
        return await driver.run(), driver


def require_same_run(saved: Checkpoint, digests: Mapping[str, str], folder: NodeFolder) -> None:
    """A checkpoint of another model, adapter or label list must not be continued. Another graph may.

    Raises:
        ConfigError: what differs.
    """
    differing = [name for name, value in digests.items() if name not in GRAPH and saved.digests.get(name) != value]
    if differing:
        raise ConfigError(
            f"{folder.checkpoint}: made with another {', '.join(differing)}; "
            f"wanted the settings that it was made with, another output_dir, or --fresh"
        )
