"""Exact mixing where messages are lost: which of its two choices harms less. The numbers behind the default.

A peer that some hop left without a neighbour, or that heard from such a one, knows it (the flag `intact`). It may fall
back on its mix of hop 0 ("mix", the default) or carry on with the unfinished product ("carry_on"). Neither keeps the
mean. The protocol of real nodes in virtual time; medians over seeds, and the worst.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import median

from _figures import Figure

from _consensus import lossy
from _consensus.networks import network
from node.gossip.dpsgd import dpsgd
from node.gossip.exact import exact, exact_by_schedule
from node.gossip.mixing import Mixing
from node.graph.topology import Topology
from node.graph.weighting.spectrum import exact_steps

CHOICES = {"mix": True, "carry_on": False}
Runs = dict[str, list[lossy.Outcome]]  # by choice, and D-PSGD beside them


def rows(quick: bool) -> list[Figure]:
    graphs = {
        "ring of 8": network("ring", 8),
        "path of 10": network("path", 10),
        "torus of 16": network("torus", 16),
        "one-peer exponential of 16": network(None, 16, schedule="one_peer_exponential"),
        "base k = 1 of 10": network(None, 10, schedule={"name": "base", "k": 1}),
    }
    if quick:
        graphs = {name: graphs[name] for name in ("ring of 8", "base k = 1 of 10")}
    seeds, losses = (range(3), (0.05,)) if quick else (range(10), (0.02, 0.05))
    figures = []
    for loss in losses:
        for rounds in (1, 5):
            what = f"exact mixing, {100 * loss:.0f} % loss, {rounds} round{'s' if rounds > 1 else ''}"
            runs = {name: _runs(graph, rounds, loss, seeds) for name, graph in graphs.items()}
            figures += [f for name, by in runs.items() for f in _figures(f"{what}, {name}", by)]
            figures += _worst(what, list(runs.values()))
    return figures


def _runs(graph: Topology, rounds: int, loss: float, seeds: range) -> Runs:
    found = {
        choice: [lossy.run(graph, _rule(graph, fall_back), "exact", rounds, loss, seed) for seed in seeds]
        for choice, fall_back in CHOICES.items()
    }
    plain = [lossy.run(graph, dpsgd, "dpsgd", rounds, loss, seed) for seed in seeds]
    return {**found, "D-PSGD instead": plain}


def _rule(graph: Topology, fall_back: bool) -> Callable[[], Mixing]:
    if graph.plan is not None:
        return partial(exact_by_schedule, graph.plan.exact or 0, fall_back)
    return partial(exact, exact_steps(graph), fall_back)


def _figures(what: str, by: Runs) -> list[Figure]:
    mixes = [mixed for run in by["mix"] for mixed in run.mixes]
    damaged = 100.0 * sum(not mixed.intact for mixed in mixes) / len(mixes)
    figures = [Figure(f"{what}: rounds of a node that were damaged", damaged, "%")]
    for choice, runs in by.items():
        said = f"{what}, {choice}, median of {len(runs)} seeds"
        figures.append(Figure(f"{said}: mean moved", median(run.moved for run in runs), "sigma"))
        figures.append(Figure(f"{said}: spread left", median(run.left for run in runs), "sigma"))
    return figures


def _worst(what: str, all_runs: list[Runs]) -> list[Figure]:
    figures = []
    for choice in CHOICES:
        runs = [run for by in all_runs for run in by[choice]]
        said = f"{what}, {choice}, worst of {len(runs)} runs"
        figures.append(Figure(f"{said}: mean moved", max(run.moved for run in runs), "sigma"))
        figures.append(Figure(f"{said}: spread left", max(run.left for run in runs), "sigma"))
    return figures
