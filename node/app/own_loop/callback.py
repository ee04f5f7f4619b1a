"""`GossipCallback`: a training script of the user's own, around transformers.Trainer, becomes a node by one line.

    Trainer:  K steps --hand in--> wait --mixed values, in place--> K steps ... last step --> consensus, goodbye
    beside it, in a thread:  the node of `node.app.own_loop.beside`, with sockets, records, journal, checkpoints and
    status

Decides when vectors are handed in and what an error of the network does to the training: nothing, unless `on_error`
says so. How a node begins is `node.app.own_loop.own_training`'s. No state outside the instance.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal

from node.app.own_loop.handed_in import Asked, Over
from node.app.own_loop.own_training import Meeting, Place, meet
from node.app.rules.fit import fitted
from node.app.run.run_folder import RunFolder
from node.app.taking_part import LINGER
from node.app.warm import load_code
from node.config import check_config, load_topology
from node.errors import ConfigError
from node.graph.reading import did_you_mean
from node.graph.topology import Topology
from node.learn.model.libraries import transformers
from node.types import PeerId

LOG = logging.getLogger(__name__)


class GossipCallback(transformers.TrainerCallback):
    """Makes the training that it is a callback of a node of a gossip network.

    After every `every` optimizer steps, and after the last one, the trainable parameters are averaged with the
    neighbours' by the mixing rule, and the mixed values are written into the model in place. Every node of the topology
    runs a script of its own (or a callback of its own, in threads of one process) with a model of the same shape.

    Args:
        topology: the topology file (or a `Topology`); all nodes have the same.
        node: which of its nodes this script is.
        every: K, optimizer steps a round.
        output_dir: a folder `node` is made in it: records, journal, checkpoints, adapter.
        seed: of the start values of LoRA factors; the same on all nodes.
        initial: "lora": LoRA factors that are still fresh get start values that all nodes draw alike; "given": they
            stay. Whatever else is trained (a new head) must begin alike: `transformers.set_seed` before it is made.
        on_error: when the network part fails in the middle: "alone": say so and train on without it; "raise".
        fresh: forget the checkpoint of an earlier run.
        linger: seconds to stay, after the last step, for slower neighbours.
        allow_code: a rule of your own (mixing="module:name") may be run.
        gossip: words of the `gossip` block of a node file: mixing="exact", moments=False, overlap=True, ...

    Attributes:
        failure: what ended the network part, where it did not end well.

    Raises:
        ConfigError: the settings do not fit; here, or when training begins.
    """

    def __init__(
        self,
        topology: str | Path | Topology,
        node: str,
        *,
        every: int = 1,
        output_dir: str | Path = "runs/own",
        seed: int = 0,
        initial: Literal["lora", "given"] = "lora",
        on_error: Literal["alone", "raise"] = "alone",
        fresh: bool = False,
        linger: float = LINGER,
        allow_code: bool = False,
        **gossip: Any,
    ) -> None:
        _require("every", every, every >= 1, "1 or more optimizer steps a round")
        _require("initial", initial, initial in ("lora", "given"), "'lora' or 'given'")
        _require("on_error", on_error, on_error in ("alone", "raise"), "'alone' or 'raise'")
        for word in {"rounds", "topology"} & gossip.keys():
            raise ConfigError(f"GossipCallback: {word} is no word of it; rounds follow from the Trainer's steps")
        graph = topology if isinstance(topology, Topology) else load_topology(topology)
        if node not in graph.nodes:
            known = f"({', '.join(graph.nodes)}){did_you_mean(node, graph.nodes)}"
            raise ConfigError(f"GossipCallback: node={node!r} is not in {graph.source} {known}")
        if gossip.get("products") == "alternate":
            raise ConfigError("GossipCallback: products='alternate' wants our own trainer; wanted another of products")
        said = {"output_dir": str(output_dir), "seed": seed, "gossip": gossip}
        config, graph, _ = fitted(check_config(said, "GossipCallback"), graph)
        self._place = Place(
            config, graph, PeerId(node), RunFolder(Path(output_dir)), every, initial == "lora", fresh, linger,
            load_code(config, allow_code),
        )  # fmt: skip
        self._on_error = on_error
        self._meeting: Meeting | None = None
        self.failure: BaseException | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **said: Any) -> None:
        """Joins the network; returns when the first round may be trained."""
        self.close()
        self.failure = None
        self._meeting = meet(self._place, args, state, said)
        self._take(self._meeting.begin(), state, control, starting=True)

    def on_step_end(self, args: Any, state: Any, control: Any, **said: Any) -> None:
        """Where a round is over: hands in, waits, and puts what was mixed into the model."""
        meeting, step = self._meeting, state.global_step
        if meeting is None or meeting.over is not None:
            return
        if step % self._place.every == 0 or step >= state.max_steps:
            self._take(meeting.exchange(step), state, control)

    def on_evaluate(self, args: Any, state: Any, control: Any, **said: Any) -> None:
        """The accuracy goes with the next round's record."""
        if self._meeting is not None:
            self._meeting.accuracy = said.get("metrics", {}).get("eval_accuracy")

    def on_train_end(self, args: Any, state: Any, control: Any, **said: Any) -> None:
        """Says goodbye; after the last round only when slower neighbours need us no more, or `linger` is over."""
        meeting = self._meeting
        if meeting is not None and meeting.over is None:
            LOG.warning(
                "%s: training ended at step %d of %d and leaves the network; what was trained since the last round "
                "stays in the model, unshared",
                self._place.peer, state.global_step, state.max_steps,
            )  # fmt: skip
        self.close()

    def close(self) -> None:
        """Leave the network, if we are in it. The end of the training does it; after an exception you may."""
        meeting, self._meeting = self._meeting, None
        if meeting is not None:
            meeting.end()
            self.failure = self.failure or meeting.beside.failure

    def _take(self, answer: Asked | Over, state: Any, control: Any, starting: bool = False) -> None:
        """What the network said is in the model now; where it said its last word, the training must know."""
        if isinstance(answer, Asked):
            return
        if answer.error is not None:
            self._give_up(answer.error, starting)
        elif state.global_step < state.max_steps:
            LOG.warning(
                "%s: the network has done its %d rounds at step %d of %d of this training, which ends here: steps "
                "after the last round would lead away from the consensus",
                self._place.peer, answer.rounds, state.global_step, state.max_steps,
            )  # fmt: skip
            control.should_training_stop = True

    def _give_up(self, error: BaseException, starting: bool) -> None:
        """The node has failed: nothing of the training is lost, and nobody is left in doubt."""
        self.close()
        if starting or self._on_error == "raise":
            raise error
        LOG.error("%s: the network part failed; training goes on ALONE: %s", self._place.peer, error, exc_info=error)


def _require(name: str, seen: object, holds: bool, wanted: str) -> None:
    if not holds:
        raise ConfigError(f"GossipCallback: {name}={seen!r}; wanted {wanted}")
