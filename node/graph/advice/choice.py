"""`gossip.mixing: auto`: which rule, and which schedule where the file leaves it open, with the reason in words.

Pure: every node comes to the same choice from the same files, and the hello compares it. Decides by what the topology
file promises and what the node file allows, never by what goes on in the network. The first line that holds:

  W weighs the nodes by their data                                      dpsgd: a plain mean would undo that
  LoRA's products are mixed, or ranks are unequal                       dpsgd: they are means over neighbours
  nodes may join, or nobody waits for a neighbour                       push-sum
  an edge works one way only, or W does not keep the mean               push-sum
  there is a schedule                                                   dpsgd on it
  a file that says edges: any, so that anyone may talk to anyone        dpsgd on schedule {name: base, k: 1}
  few enough hops, and exact in float32                                 exact
  whatever else                                                         dpsgd
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from node.errors import ConfigError
from node.graph.advice.forecast import exactly
from node.graph.reach import dialler
from node.graph.reading import Chosen
from node.graph.scheduling.schedules import SCHEDULES
from node.graph.topology import Topology
from node.graph.weighting.weights import PUSH_SUM

HOPS = 32  # in a round: a ring of 64. At 50 ms a link its exchange takes 1.6 s; plain rounds would be 2,149
LOSSY = 1e-4  # of the spread that float32 may leave: rings and tori of 16 leave 1e-7, trees and hubs 1e-1
WEIGHED = ("data_size",)  # schemes whose fixed point is not the plain mean, on purpose
# Pairs exchange both ways, so a lost message can be settled; as many rounds as one-peer exponential at powers of two,
# and exact at every other number of nodes, too.
IN_STEP = Chosen("base", (("k", 1),))
OUT_OF_STEP = Chosen("one_peer_exponential")  # one way, as push-sum likes it, and any round may be missed


class Choice(NamedTuple):
    """What `auto` stands for."""

    mixing: str  # as under `gossip.mixing`
    schedule: Chosen | None  # to run the topology with; None: as the file has it
    reason: str  # a clause that goes on after "because"

    @property
    def line(self) -> str:
        """For the log and the terminal."""
        on = "" if self.schedule is None else f" on schedule {written(self.schedule)}"
        return f"gossip.mixing: auto is {self.mixing}{on}, because {self.reason}"

    def on(self, topology: Topology) -> Topology:
        """`topology` as it is to be run."""
        return topology if self.schedule is None else replace(topology, schedule=self.schedule)


def choose(topology: Topology, *, joins: bool, asynchronous: bool, moments: bool, products: str = "") -> Choice:
    """See the list above.

    Args:
        topology: may be open.
        joins: whether nodes may join (`gossip.joins`).
        asynchronous: whether nobody waits (`gossip.mode`).
        moments: whether AdamW's moments are mixed (`gossip.moments`); says something, decides nothing.
        products: the setting that wants a mean over neighbours (`gossip.products: svd`, ...); empty: none.

    Raises:
        ConfigError: an open topology that nodes may join, or in which two nodes cannot meet.
    """
    if topology.is_open:
        return _of_open(topology, joins, asynchronous, moments)
    if topology.schedule is None and topology.weights in WEIGHED:
        return Choice("dpsgd", None, f"weights: {topology.weights} is there to count, and other rules take no notice")
    if products:
        return Choice("dpsgd", None, f"{products} is a mean over neighbours")
    if joins or asynchronous:
        why = "nodes may join" if joins else "nobody waits for a neighbour"
        return Choice("push-sum", None, f"{why}, and push-sum keeps the mean whatever arrives when")
    return _of_schedule(topology, moments) if topology.schedule is not None else _of_graph(topology)


def written(schedule: Chosen) -> str:
    """As in a topology file."""
    if not schedule.settings:
        return schedule.name
    return f"{{name: {schedule.name}, {', '.join(f'{key}: {value}' for key, value in schedule.settings)}}}"


def _of_open(topology: Topology, joins: bool, asynchronous: bool, moments: bool) -> Choice:
    if joins:
        raise ConfigError(f"{topology.source}: no edges, and gossip.joins is on; wanted edges or a generator to grow")
    schedule = OUT_OF_STEP if asynchronous else IN_STEP
    for a, b in SCHEDULES[schedule.name](topology.nodes, (), **dict(schedule.settings)).links:
        if dialler(a, b, topology.addresses) is None:
            raise ConfigError(
                f"{topology.source}: no edges, and neither '{a}' nor '{b}' has an address; "
                f"wanted an address for one of them, or edges"
            )
    if asynchronous:
        return Choice("push-sum", schedule, "nobody waits for a neighbour, and anyone may talk to anyone")
    return Choice("dpsgd", schedule, f"anyone may talk to anyone: one message a node and round{_moments(moments)}")


def _of_schedule(topology: Topology, moments: bool) -> Choice:
    plan, schedule = topology.plan, topology.schedule
    assert plan is not None
    assert schedule is not None
    if not plan.balanced:
        return Choice("push-sum", None, f"schedule {schedule.name} does not keep the mean, and push-sum does")
    exact = "" if plan.exact is None else f", and {plan.exact} rounds of it are exact"
    return Choice("dpsgd", None, f"the topology has the schedule {written(schedule)}{exact}{_moments(moments)}")


def _of_graph(topology: Topology) -> Choice:
    if topology.weights == PUSH_SUM:
        return Choice("push-sum", None, "the topology says weights: push_sum")
    if topology.directed:
        return Choice("push-sum", None, "edges work one way, and push-sum keeps the mean all the same")
    hops, left = exactly(topology)
    if hops > HOPS:
        return Choice("dpsgd", None, f"exact mixing would take {hops} hops a round here, and {HOPS} is our limit")
    if left is None or left > LOSSY:
        return Choice("dpsgd", None, f"exact mixing would leave {left or 1:.0e} of the spread in float32 here")
    return Choice(
        "exact", None, f"the graph stands still and {hops} {'hop makes' if hops == 1 else 'hops make'} it exact"
    )


def _moments(moments: bool) -> str:
    return "" if moments else " (gossip.moments: true helps most where mixing is sparse)"
