"""The state machine by hand: events in, effects out."""

from __future__ import annotations

import pytest
import torch

from node.codec.float32 import float32
from node.core.deadlines import DeadlineLimits
from node.core.edge import Edge
from node.core.events import (
    Close,
    Finished,
    Leave,
    Mixed,
    Noted,
    PeerDown,
    PeerUp,
    Persist,
    Persisted,
    Received,
    Send,
    Started,
    Tick,
    Train,
    Trained,
)
from node.core.members import RECONNECT, Liveness
from node.core.messages import PROTOCOL_VERSION, Bye, Hello, Members, Snapshot, SnapshotRequest, Update
from node.core.peer import GossipPeer
from node.core.peer_config import PeerConfig
from node.errors import BadMessage, ConfigError, LocalFault
from node.gossip.dpsgd import dpsgd
from node.gossip.exact import exact
from node.types import PeerId

A, B = PeerId("a"), PeerId("b")


def vector(value: float) -> dict[str, torch.Tensor]:
    return {"theta": torch.full((2,), value)}


def peer(mixing=None, **settings) -> GossipPeer:
    defaults = {
        "peer": A,
        "row": {A: 0.5, B: 0.5},
        "rounds": 2,
        "deadlines": DeadlineLimits(1.0, 3.0),
        "probing": False,
    }
    return GossipPeer(PeerConfig(**(defaults | settings)), vector(0.0), mixing or dpsgd())


class Other:
    """B's end of the edge, driven by hand."""

    def __init__(self, epoch: int = 0) -> None:
        channels = {"theta": 2}
        self.edge = Edge(A, epoch, channels, float32(), {"float32": float32()}, torch.Generator())
        self.epoch = epoch

    def hello(self, **change) -> Received:
        fields = {
            "version": PROTOCOL_VERSION,
            "node": B,
            "epoch": self.epoch,
            "round": 0,
            "digests": {},
            "codecs": ("float32",),
        }
        return Received(B, Hello(**(fields | change), held=self.edge.held))

    def says(self, round: int, value: float, hop: int = 0) -> Received:
        return Received(B, self.edge.tell(vector(value), round, hop))

    def takes(self, effect: Send) -> torch.Tensor:
        return self.edge.hear(effect.message)["theta"]


def meet(p: GossipPeer, other: Other, now: float = 0.0) -> None:
    """Open the stream and say hello at both ends."""
    (send,) = does(p, PeerUp(B), now)
    assert isinstance(send.message, Hello)
    other.edge.greet(send.message)
    does(p, other.hello(), now)


def does(p: GossipPeer, event, now: float) -> list:
    """The effects of an event, without facts for the journal and news of members."""
    effects = p.handle(event, now)
    return [
        e for e in effects if not (isinstance(e, Noted) or (isinstance(e, Send) and isinstance(e.message, Members)))
    ]


def kinds(effects) -> list[type]:
    return [type(e) for e in effects]


def test_a_round_is_train_send_mix():
    p, b = peer(), Other()
    assert does(p, Started(), 0.0) == [Train(0, p._shared)]
    meet(p, b)
    (send,) = does(p, Trained(0, vector(2.0), {"loss": 0.1}), 1.0)
    assert isinstance(send.message, Snapshot)
    assert b.takes(send).tolist() == [2.0, 2.0]
    mixed, train = does(p, b.says(0, 4.0), 2.0)
    assert isinstance(mixed, Mixed)
    assert mixed.before["theta"].tolist() == [2.0, 2.0]
    assert mixed.after["theta"].tolist() == [3.0, 3.0]
    assert (mixed.staleness, mixed.missing, mixed.contributions, mixed.intact) == ({B: 0}, (), 1, True)
    assert isinstance(train, Train)
    assert train.round == 1
    assert p.deadline is None


def test_the_last_round_ends_with_bye_checkpoint_and_finished():
    p, b = peer(rounds=1), Other()
    does(p, Started(), 0.0)
    meet(p, b)
    does(p, Trained(0, vector(2.0), {}), 1.0)
    effects = does(p, b.says(0, 4.0), 2.0)
    assert kinds(effects) == [Mixed, Send, Persist, Finished]
    assert effects[1].message == Bye(1, "finished")
    assert effects[3].rounds == 1
    assert not p.drained
    does(p, Received(B, Bye(1, "finished")), 3.0)
    assert p.drained


def test_silent_neighbours_weight_goes_to_ourselves_at_the_deadline():
    p, b = peer(), Other()
    does(p, Started(), 0.0)
    meet(p, b)
    does(p, Trained(0, vector(1.0), {}), 1.0)
    assert p.deadline == 4.0  # nothing learnt yet: the ceiling of 3 s
    assert does(p, Tick(), 3.9) == []
    mixed, _ = does(p, Tick(), 4.0)
    assert mixed.missing == (B,)
    assert not mixed.intact
    assert mixed.after["theta"].tolist() == [1.0, 1.0]
    assert p.faults["deadline"] == 1


def test_a_lost_stream_is_waited_for_once_and_for_a_moment_only():
    p, b = peer(), Other()
    does(p, Started(), 0.0)
    meet(p, b)
    does(p, Trained(0, vector(1.0), {}), 1.0)
    assert does(p, PeerDown(B, "gone"), 1.5) == []
    assert p.deadline == 1.5 + RECONNECT
    mixed, _ = does(p, Tick(), 1.5 + RECONNECT)
    assert mixed.missing == (B,)
    mixed, _ = does(p, Trained(1, vector(1.0), {}), 4.0)[:2]
    assert mixed.missing == (B,)
    assert p.faults["deadline"] == 1


def test_a_neighbour_that_said_it_leaves_is_not_waited_for():
    p, b = peer(), Other()
    does(p, Started(), 0.0)
    meet(p, b)
    does(p, Trained(0, vector(1.0), {}), 1.0)
    mixed, _ = does(p, Received(B, Bye(0, "leaving")), 1.5)
    assert mixed.missing == (B,)


def test_a_stream_that_comes_back_in_time_costs_no_round_a_neighbour():
    p, b = peer(), Other()
    does(p, Started(), 0.0)
    meet(p, b)
    b.takes(does(p, Trained(0, vector(2.0), {}), 1.0)[0])
    does(p, PeerDown(B, "reset"), 1.1)
    meet(p, b, now=1.2)
    mixed, _ = does(p, b.says(0, 4.0), 1.3)
    assert mixed.missing == ()
    assert mixed.after["theta"].tolist() == [3.0, 3.0]


def test_a_neighbour_never_seen_is_waited_for_during_the_first_contact():
    p = peer(first_contact=60.0)
    does(p, Started(), 0.0)
    assert does(p, Trained(0, vector(1.0), {}), 5.0) == []
    assert p.deadline == 60.0
    assert isinstance(does(p, Tick(), 60.0)[0], Mixed)


def test_what_was_emitted_before_the_neighbour_came_reaches_it_with_its_hello():
    p, b = peer(), Other()
    does(p, Started(), 0.0)
    does(p, Trained(0, vector(1.0), {}), 1.0)
    (hello,) = does(p, PeerUp(B), 2.0)
    b.edge.greet(hello.message)
    (send,) = does(p, b.hello(), 2.0)
    assert isinstance(send.message, Snapshot)
    assert (send.message.round, send.message.hop) == (0, 0)


def test_a_reconnect_without_loss_resends_nothing():
    p, b = peer(), Other()
    does(p, Started(), 0.0)
    meet(p, b)
    b.takes(does(p, Trained(0, vector(1.0), {}), 1.0)[0])
    b.edge.told = None
    does(p, PeerDown(B, "reset"), 1.1)
    (hello,) = does(p, PeerUp(B), 1.2)
    b.edge.greet(hello.message)
    assert does(p, b.hello(), 1.3) == []


def test_an_early_message_of_the_next_round_is_kept():
    p, b = peer(), Other()
    does(p, Started(), 0.0)
    meet(p, b)
    assert does(p, b.says(0, 1.0), 0.1) == []
    assert does(p, b.says(1, 1.0), 0.2) == []
    assert kinds(does(p, Trained(0, vector(0.0), {}), 1.0)) == [Send, Mixed, Train]
    assert kinds(does(p, Trained(1, vector(0.0), {}), 2.0)) == [Send, Mixed, Send, Persist, Finished]


def test_a_laggard_jumps_to_the_newest_round_heard():
    p, b = peer(rounds=20), Other()
    does(p, Started(), 0.0)
    meet(p, b)
    does(p, b.says(9, 4.0), 0.5)
    effects = does(p, Trained(0, vector(0.0), {}), 1.0)
    assert kinds(effects) == [Send, Mixed, Train]
    assert effects[1].staleness == {B: -9}
    assert effects[2].round == 9


def test_exact_mixing_takes_its_hops_inside_one_round():
    p, b = peer(exact([2.0])), Other()  # the Laplacian of one edge has the eigenvalues 0 and 2
    b.edge._channels["intact"] = 1
    does(p, Started(), 0.0)
    meet(p, b)
    does(p, Trained(0, vector(2.0), {}), 1.0)
    message = b.edge.tell({**vector(4.0), "intact": torch.ones(1)}, 0, 0)
    mixed, _ = does(p, Received(B, message), 2.0)
    assert mixed.after["theta"].tolist() == [3.0, 3.0]
    assert mixed.intact


def test_a_gap_asks_for_a_snapshot_and_the_round_goes_on():
    p, b = peer(), Other()
    does(p, Started(), 0.0)
    meet(p, b)
    does(p, b.says(0, 1.0), 0.1)
    b.says(1, 2.0)  # lost
    (send,) = does(p, b.says(2, 3.0), 0.3)
    assert isinstance(send.message, SnapshotRequest)
    assert send.message.seq == 2
    assert p.faults["OutOfSequence"] == 1
    assert does(p, Received(B, b.edge.answer(send.message)), 0.4) == []


def test_a_request_is_answered_with_a_snapshot():
    p, b = peer(), Other()
    does(p, Started(), 0.0)
    meet(p, b)
    (first,) = does(p, Trained(0, vector(2.0), {}), 1.0)
    (answer,) = does(p, Received(B, SnapshotRequest(0, first.message.seq, "damaged")), 1.1)
    assert isinstance(answer.message, Snapshot)
    assert b.takes(answer).tolist() == [2.0, 2.0]


def test_a_differing_neighbour_is_refused_with_a_reason_and_not_waited_for():
    p, b = peer(digests={"labels": "1"}), Other()
    does(p, Started(), 0.0)
    does(p, PeerUp(B), 0.0)
    does(p, Trained(0, vector(1.0), {}), 1.0)
    bye, close, mixed, train = does(p, b.hello(digests={"labels": "2"}), 1.1)
    assert bye.message.refused
    assert "labels differs" in bye.message.reason
    assert isinstance(close, Close)
    assert mixed.missing == (B,)
    assert isinstance(train, Train)
    assert p.members.by_id[B].state is Liveness.REFUSED
    assert p.faults["Incompatible"] == 1


def test_a_refusal_by_the_neighbour_is_kept_with_its_reason():
    p = peer()
    does(p, Started(), 0.0)
    does(p, PeerUp(B), 0.0)
    (close,) = does(p, Received(B, Bye(0, "labels differs", refused=True)), 0.1)
    assert "labels differs" in close.reason
    assert p.members.by_id[B].reason == "labels differs"


def test_nothing_is_heard_before_the_hello():
    p, b = peer(), Other()
    does(p, Started(), 0.0)
    does(p, PeerUp(B), 0.0)
    b.edge.greet(p.hello(B))
    with pytest.raises(BadMessage, match="before its hello"):
        does(p, b.says(0, 1.0), 0.1)
    assert p.faults["BadMessage"] == 1


def test_leaving_drops_what_was_trained_but_not_mixed():
    p, b = peer(rounds=5), Other()
    does(p, Started(), 0.0)
    meet(p, b)
    does(p, Trained(0, vector(2.0), {}), 1.0)
    does(p, b.says(0, 4.0), 2.0)
    does(p, Trained(1, vector(100.0), {}), 3.0)
    bye, persist, finished = does(p, Leave(), 3.5)
    assert bye.message == Bye(1, "leaving")
    assert (persist.round, finished.rounds) == (1, 1)
    assert finished.shared["theta"].tolist() == [3.0, 3.0]
    assert does(p, Leave(), 4.0) == []


def test_checkpoints_come_every_n_rounds_and_count_as_committed_when_on_disk():
    p = peer(row={A: 1.0}, rounds=5, persist_every=2)
    effects = does(p, Started(), 0.0)
    persisted = []
    for r in range(5):
        effects = does(p, Trained(r, vector(1.0), {}), float(r))
        persisted += [e.round for e in effects if isinstance(e, Persist)]
    assert persisted == [2, 4, 5]
    assert p.committed == 0
    does(p, Persisted(5), 9.0)
    assert p.committed == 5


def test_a_peer_that_has_nothing_left_to_do_says_so_at_once():
    p = peer(start_round=2, rounds=2)
    assert kinds(does(p, Started(), 0.0)) == [Persist, Finished]


@pytest.mark.parametrize("event", [Started(), Trained(1, vector(0.0), {})])
def test_an_event_out_of_place_is_our_own_fault(event):
    p = peer()
    does(p, Started(), 0.0)
    with pytest.raises(LocalFault):
        does(p, event, 0.1)
    assert (p.round, p.phase.name) == (0, "TRAINING")


def test_a_row_of_w_must_sum_to_one():
    with pytest.raises(ConfigError, match=r"sums to 0\.9"):
        peer(row={A: 0.4, B: 0.5})
    with pytest.raises(ConfigError, match="no weight for the peer itself"):
        peer(row={B: 1.0})


def test_updates_after_the_snapshot_are_deltas():
    p, b = peer(rounds=3), Other()
    does(p, Started(), 0.0)
    meet(p, b)
    sent = []
    for r in range(3):
        sent.append(does(p, Trained(r, vector(float(r)), {}), r)[0].message)
        does(p, b.says(r, 1.0), r + 0.5)
    assert kinds(sent) == [Snapshot, Update, Update]
