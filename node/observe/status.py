"""What a node tells anyone who asks, as plain values: no protobuf, no sockets, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from node.core.messages import Join
from node.observe.records import RoundRecord
from node.types import PeerId

STATES = ("starting", "training", "exchanging", "finished", "leaving")  # what a node says of itself
# What a node says of a neighbour; the middle ones are SWIM's words.
MEMBER_STATES = ("unknown", "alive", "suspect", "dead", "left", "finished", "refused")
RECORDS = 64  # at most in one answer: sketches of 5 KiB make 320 KiB


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A neighbour, as a node sees it."""

    id: PeerId
    address: str  # host:port; empty: it can only dial out
    state: str  # one of MEMBER_STATES
    incarnation: int = -1  # the neighbour's epoch; -1: never heard
    round: int = -1  # the newest that was heard of
    age_s: float | None = None  # since it was last heard; None: never


@dataclass(frozen=True, slots=True, kw_only=True)
class TopologyStatus:
    """The graph as a node knows it: the topology file's, and the nodes that joined since."""

    digest: str  # of ids, edges and weights of the topology file; addresses and joins excluded
    addresses: Mapping[PeerId, str]  # host:port, in file order, then those that joined; empty: it can only dial out
    edges: tuple[tuple[PeerId, PeerId], ...]
    weights: str = "metropolis"  # how W is made
    joins: tuple[Join, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """One node, now."""

    node: PeerId
    epoch: int  # grows with each start of the process
    address: str  # host:port, as the topology file says; of the loopback where that gives none
    pid: int
    state: str  # one of STATES
    round: int
    rounds: int  # that this run will have
    uptime_s: float
    bytes_sent: int  # since the process started
    bytes_received: int
    mixing: str  # name of the rule
    topology: TopologyStatus
    loss: float | None = None  # of the newest round
    accuracy: float | None = None  # the newest one measured
    predicted_contraction: float | None = None  # a round, nobody missing
    members: tuple[Member, ...] = ()  # the node's neighbours
    counters: Mapping[str, int] = field(default_factory=dict)  # "fault.BadMessage", "snapshots", "deadlines" ...
    loop_lag_s: float = 0.0
    metrics: Mapping[str, float] = field(default_factory=dict)  # the newest measured, "common/f1" -> value
    records: tuple[RoundRecord, ...] = ()  # the newest rounds, oldest first; the node keeps RECORDS of them or more
