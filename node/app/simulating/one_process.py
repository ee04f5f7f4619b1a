"""A run in one process that leaves the folder of as many real ones: records, adapters, results, for report and try.

Decides nothing about the run, which is `node.app.simulating.together`'s. Records hold no seconds: time is virtual
there.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from node.app.node import Node, Traffic
from node.app.recorder import Recorder
from node.app.rules.products import pairs_of
from node.app.run.processes import announce
from node.app.run.run_folder import RunFolder
from node.app.simulating.together import OnRound, Outcome, Together, Watch
from node.app.warm import Warm
from node.core.events import Mixed
from node.drivers.grpc import RoundReport
from node.types import PeerId


@dataclass
class Records:
    """A recorder a node, told the bytes since its last round."""

    recorders: dict[PeerId, Recorder]
    _before: dict[PeerId, Traffic]

    def note(self, peer: PeerId, mixed: Mixed, sent: int, received: int) -> None:
        before = self._before.get(peer, Traffic(0, 0))
        self._before[peer] = Traffic(sent, received)
        self.recorders[peer].note(RoundReport(mixed, 0.0, 0.0, sent - before.sent, received - before.received))


def in_one_process(run: RunFolder, warm: Warm, on_round: OnRound) -> Outcome:
    """All rounds of all nodes, and what each leaves in its folder below `run`.

    Args:
        on_round: told each round that all have done.
    """
    together = Together(warm, watch=Watch(end=False), on_round=on_round)
    with ExitStack() as stack:
        recorders = {
            peer: stack.enter_context(
                Recorder(run.node(peer).records, one.adapter.initial, warm, pairs=pairs_of(one.adapter.schema))
            )
            for peer, one in together.learners.items()
        }
        together.on_mixed = Records(recorders, {}).note
        outcome = together.run()
    for peer, shared in sorted(outcome.final.items()):
        traffic = Traffic(outcome.sent[peer], outcome.received[peer])
        Node(run, warm, peer).leave_result(together.learners[peer], shared, together.peers[peer], traffic)
        announce(run.node(peer), "finished", exit_code=0, message="in one process")
    return outcome
