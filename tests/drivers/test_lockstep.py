"""Rounds without a network: the same bits as with one, and what a plain loop over W gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest
import torch

from node.drivers.lockstep import Lockstep, Traffic, losing
from node.drivers.simulation import Simulation
from node.errors import ConfigError, LocalFault
from node.gossip.dpsgd import dpsgd
from node.gossip.exact import exact
from node.gossip.mixing import Context, Heard, Mixing, State
from node.gossip.push_sum import push_sum
from node.graph.topology import Topology
from node.graph.weighting.spectrum import contraction, exact_steps
from node.graph.weighting.weights import matrix
from node.types import PeerId, Shared, Turn
from tests.cluster import descend, digest, keep, peers_on, spread, stack, start_of, topology

MOMENTS = {"theta": 64, "m": 64, "s": 64, "scalars": 2}
A, B, C = PeerId("a"), PeerId("b"), PeerId("c")


def train(peer: PeerId, round: int, shared: Shared) -> Shared:
    return descend(peer, round, shared)[0]


def rule_for(name: str, graph: Topology) -> Mixing:
    return {"dpsgd": dpsgd, "exact": lambda: exact(exact_steps(graph)), "push-sum": push_sum}[name]()


@dataclass
class Written:
    """A graph whose rows a test writes down, one list of rows a round; the last one goes on."""

    rows: list[Mapping[PeerId, Mapping[PeerId, float]]]

    @property
    def nodes(self) -> list[PeerId]:
        return sorted(self.rows[0])

    def neighbours(self, peer: PeerId) -> tuple[PeerId, ...]:
        return tuple(p for p in self.nodes if p != peer)

    def turn(self, peer: PeerId, round: int) -> Turn:
        rows = self.rows[min(round, len(self.rows) - 1)]
        return Turn(rows[peer], tuple(p for p in self.nodes if p != peer and peer in rows[p]))


def values(**x: float) -> dict[PeerId, Shared]:
    return {PeerId(p): {"theta": torch.tensor([v], dtype=torch.float64)} for p, v in x.items()}


def numbers(shared: Mapping[PeerId, Shared]) -> list[float]:
    return [round(float(shared[p]["theta"]), 12) for p in sorted(shared)]


PATH = Written([{A: {A: 2 / 3, B: 1 / 3}, B: {A: 1 / 3, B: 1 / 3, C: 1 / 3}, C: {B: 1 / 3, C: 2 / 3}}])


# ---- by hand
def test_a_path_of_three_by_hand() -> None:
    run = Lockstep(PATH, dpsgd(), values(a=3.0, b=0.0, c=6.0))

    assert numbers(run.run(1)) == [2.0, 3.0, 4.0]  # 2/3 3 + 1/3 0; (3 + 0 + 6) / 3; 1/3 0 + 2/3 6
    assert run.round == 1
    assert run.traffic == Traffic(messages=4, bytes=16)


def test_local_steps_come_before_the_exchange_and_know_the_round() -> None:
    seen = []

    def step(peer: PeerId, round: int, shared: Shared) -> Shared:
        seen.append((peer, round))
        return {name: x + 3.0 for name, x in shared.items()}

    final = Lockstep(PATH, dpsgd(), values(a=0.0, b=-3.0, c=3.0), step).run(2)

    assert seen == [(p, r) for r in (0, 1) for p in (A, B, C)]
    assert sum(numbers(final)) == 18.0
    assert numbers(final) == [round(6.0 + x, 12) for x in (-2 / 3, 0.0, 2 / 3)]


def test_mine_is_what_that_neighbour_was_told() -> None:
    """b tells a 10 and c 20; each of its two edges knows its own word."""

    def emit(shared: Shared, state: State, ctx: Context) -> tuple[Mapping[PeerId, Shared], State]:
        words = {A: 10.0, B: 0.0, C: 20.0}
        return {p: {"theta": torch.tensor([words[p]], dtype=torch.float64)} for p in ctx.tells}, state

    seen: dict[tuple[PeerId, PeerId], float] = {}

    def look(shared: Shared, heard: Mapping[PeerId, Heard], state: State, ctx: Context) -> tuple[Shared, State]:
        seen.update({(ctx.peer, p): float(h.mine["theta"]) for p, h in heard.items()})
        return shared, state

    Lockstep(PATH, dpsgd()._replace(emit=emit, combine=look), values(a=1.0, b=1.0, c=1.0)).run(1)

    assert seen == {(A, B): 0.0, (B, A): 10.0, (B, C): 20.0, (C, B): 0.0}


def test_a_schedule_of_two_directed_turns_by_hand() -> None:
    """a hears b, b hears c, c hears a; then the other way around, with the whole weight on who is heard."""
    half = {A: {A: 0.5, B: 0.5}, B: {B: 0.5, C: 0.5}, C: {A: 0.5, C: 0.5}}
    swap = {A: {A: 0.0, C: 1.0}, B: {A: 1.0, B: 0.0}, C: {B: 1.0, C: 0.0}}

    run = Lockstep(Written([half, swap]), dpsgd(), values(a=0.0, b=2.0, c=8.0))

    assert numbers(run.run(1)) == [1.0, 5.0, 4.0]
    assert numbers(run.run(1)) == [4.0, 1.0, 5.0]
    assert run.traffic.messages == 6


def test_what_is_lost_counts_for_ourselves_and_every_message_is_drawn_anew() -> None:
    start = values(a=3.0, b=0.0, c=6.0)

    assert numbers(Lockstep(PATH, dpsgd(), start, arrives=losing(1.0, 0)).run(5)) == [3.0, 0.0, 6.0]
    runs = [numbers(Lockstep(PATH, dpsgd(), start, arrives=losing(0.5, seed)).run(4)) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize("loss", [-0.1, 1.1, float("nan")])
def test_a_loss_that_is_no_chance_is_refused(loss: float) -> None:
    with pytest.raises(ConfigError, match="wanted a chance from 0 to 1"):
        losing(loss, 0)


def test_a_rule_that_forgets_a_neighbour_is_named() -> None:
    forgetful = dpsgd()._replace(emit=lambda shared, state, ctx: ({}, state))

    with pytest.raises(LocalFault, match="emit of b in round 0 has nothing for a"):
        Lockstep(PATH, forgetful, values(a=0.0, b=0.0, c=0.0)).run(1)


# ---- laws
@pytest.mark.parametrize("rule", ["dpsgd", "exact", "push-sum"])
@pytest.mark.parametrize("step", [None, train], ids=["still", "training"])
def test_in_float32_it_ends_with_the_bits_of_the_simulator(
    rule: str, step: Callable[[PeerId, int, Shared], Shared] | None
) -> None:
    graph = topology("ring", 8)
    start = {p: start_of(p, MOMENTS) for p in graph.nodes}
    peers = peers_on(graph, lambda: rule_for(rule, graph), MOMENTS, rounds=12)

    simulated = Simulation(peers, descend if step else keep).run()

    assert digest(Lockstep(graph, rule_for(rule, graph), start, step).run(12)) == digest(simulated)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ["ring", "star", "complete"])
def test_in_float64_the_mean_stays_and_the_spread_shrinks_as_the_spectrum_says(kind: str, seed: int) -> None:
    graph = topology(kind, 9)
    generator = torch.Generator().manual_seed(seed)
    start = {p: {"theta": torch.randn(16, generator=generator, dtype=torch.float64)} for p in graph.nodes}

    final = stack(Lockstep(graph, dpsgd(), start).run(20))

    assert final.dtype == torch.float64
    torch.testing.assert_close(final.mean(0), stack(start).mean(0), atol=1e-14, rtol=0)
    assert spread(final) <= contraction(matrix(graph)) ** 20 * spread(stack(start)) * (1 + 1e-9) + 1e-14


def test_exact_hops_are_counted_and_end_at_the_mean() -> None:
    graph = topology("ring", 8)
    start = {p: {"theta": start_of(p)["theta"].double()} for p in graph.nodes}

    run = Lockstep(graph, exact(exact_steps(graph)), start)

    assert spread(stack(run.run(1))) < 1e-13
    assert run.traffic == Traffic(messages=4 * 16, bytes=4 * 16 * 4 * 65)  # 4 hops, 16 messages, 64 entries and a flag


def test_a_large_channel_that_is_told_again_costs_no_bytes() -> None:
    """As on an edge: moments that a rule leaves alone for a while are not sent again."""

    def step(peer: PeerId, round: int, shared: Shared) -> Shared:
        return {**shared, "theta": shared["theta"] + 1.0}

    alone = dpsgd(lambda shared, heard, row: shared)
    start = {p: {"theta": torch.zeros(100), "m": torch.zeros(100), "w": torch.zeros(1)} for p in (A, B, C)}

    run = Lockstep(PATH, alone, start, step)
    run.run(3)

    assert run.traffic == Traffic(messages=12, bytes=4 * 4 * (201 + 101 + 101))
