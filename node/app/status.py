"""What a node answers when a monitor asks: read from the protocol, the driver and the newest records at that moment."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from node.app.joins.growing import GrowingGraph
from node.app.recorder import Recorder
from node.app.settings import mixing_said
from node.app.warm import Warm
from node.core.peer import GossipPeer, Phase
from node.drivers.grpc import GrpcNode
from node.errors import LocalFault
from node.observe.records import newest_metrics
from node.observe.status import Member, NodeStatus, TopologyStatus

STATES = {Phase.IDLE: "starting", Phase.TRAINING: "training", Phase.EXCHANGING: "exchanging", Phase.DONE: "finished"}


class StatusBoard:
    """Reads the state of one node; `watch` names the driver, which is made after it.

    `address` is where this node answers: the topology file's, or where it listens if that gives it none.
    """

    def __init__(self, warm: Warm, peer: GossipPeer, recorder: Recorder, graph: GrowingGraph) -> None:
        self._peer, self._recorder, self._graph = peer, recorder, graph
        self.address = graph.now().addresses[peer.config.peer]
        self._digest = warm.topology.digest
        self._mixing = mixing_said(warm.config)
        self._started = time.monotonic()
        self._driver: GrpcNode | None = None

    def watch(self, driver: GrpcNode) -> None:
        self._driver = driver

    def read(self) -> NodeStatus:
        """The status now; called on the event loop."""
        if self._driver is None:
            raise LocalFault("a status was asked for before the driver was there")
        peer, driver, records = self._peer, self._driver, tuple(self._recorder.newest)
        graph = self._graph.now()
        return NodeStatus(
            node=peer.config.peer,
            epoch=peer.config.epoch,
            address=self.address,
            pid=os.getpid(),
            state="leaving" if driver.is_leaving else STATES[peer.phase],
            round=peer.round,
            rounds=peer.config.rounds,
            uptime_s=time.monotonic() - self._started,
            bytes_sent=driver.bytes_sent,
            bytes_received=driver.bytes_received,
            mixing=self._mixing,
            topology=TopologyStatus(
                digest=self._digest,
                addresses=graph.addresses,
                edges=graph.links,
                weights=graph.weights,
                joins=peer.joins,
            ),
            loss=records[-1].loss if records else None,
            accuracy=next((r.accuracy for r in reversed(records) if r.accuracy is not None), None),
            metrics=newest_metrics(records),
            predicted_contraction=self._graph.predicted(peer.round),
            members=tuple(self._members()),
            counters={
                **{f"fault.{kind}": n for kind, n in peer.faults.items()},
                **driver.counters,
                **self._recorder.counters,
            },
            loop_lag_s=driver.loop_lag,
            records=records,
        )

    def _members(self) -> Iterator[Member]:
        now, addresses = time.monotonic(), self._graph.now().addresses
        for peer, member in self._peer.members.by_id.items():
            yield Member(
                id=peer,
                address=addresses[peer],
                state=str(member.state),
                incarnation=member.epoch,
                round=member.round,
                age_s=now - member.heard if member.heard else None,
            )
