"""A rule on a graph, in this process, in one call: what a researcher tries before anything runs on machines.

Decides what may stand for a topology, a rule and a start, and what is measured. Without faults peers go in lockstep, in
float64 (`node.drivers.lockstep`); with faults the protocol of real nodes runs in virtual time, in float32
(`node.drivers.simulation`). It knows no models and no data: a local step is whatever the caller says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from os import PathLike
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from node.app.rules.fit import fitted
from node.app.rules.mixing import mixing_of, place_of, predicted_contraction, turns_of
from node.app.simulating.simulated import Simulated
from node.config import check_config, code_of, load_topology
from node.core.events import Mixed
from node.core.messages import Message, Snapshot, Update
from node.core.peer import GossipPeer
from node.core.peer_config import PeerConfig
from node.drivers.faults import Faults
from node.drivers.lockstep import Lockstep, Traffic, losing
from node.drivers.simulation import Saved, Simulation
from node.errors import ConfigError, RuleError, one_line
from node.gossip.function import THETA, Function, checked, from_function, name_of
from node.gossip.mixing import Mixing
from node.graph.advice.prediction import rate_of
from node.graph.checks import seen
from node.graph.reading import KEYS
from node.graph.topology import Topology
from node.observe.distance import consensus_distance, spread
from node.types import PeerId, Shared, Vector

DTYPES = ("float64", "float32")

SomeTopology: TypeAlias = Topology | str | PathLike[str] | Mapping[str, Any] | tuple[Any, ...]
SomeMixing: TypeAlias = str | Mapping[str, Any] | Mixing | Function
Step: TypeAlias = Callable[[PeerId, int, Vector], Any]  # peer, round, x (d,) -> x after local training


class Rule(NamedTuple):
    """A rule for one graph."""

    name: str
    mixing: Mixing
    predicted: float | None  # what a round leaves of a spread, nobody missing; None: nothing is promised


def simulate(
    topology: SomeTopology,
    mixing: SomeMixing = "dpsgd",
    rounds: int = 100,
    *,
    start: ArrayLike | None = None,
    step: Step | None = None,
    size: int = 64,
    seed: int = 0,
    dtype: str | None = None,
    loss: float = 0.0,
    faults: Faults | None = None,
) -> Simulated:
    """Run a mixing rule on a graph, in this process: `simulate(("ring", 16), my_rule)`.

    The distance is `sqrt(mean_i |x_i - xbar|^2)`, divided by what it was at the start, so that it begins at 1. Where
    all peers start in one point x_0 it is divided by `|xbar - x_0|`, as everywhere else in this package.

    Args:
        topology: a `Topology`, the path of a topology file, a mapping as in one, or in short `("ring", 16)` or
            `("random_regular", 16, {"degree": 3})`: generator, nodes, and settings of the generator or keys of a file.
        mixing: a name or a mapping as under `gossip.mixing` in a node file, a `Mixing`, or a function
            `(own, neighbours, weights, round) -> x` (see `node.gossip.function`).
        start: (n, d), rows in the order of `topology.nodes`; None: standard normal from our own Philox stream.
        step: local training before each exchange: peer, round, x (d,) -> x (d,).
        size: d, where there is no `start`.
        seed: of the start, of what is lost, and of rules that draw.
        dtype: "float64" or "float32"; None: float64, and float32 with `faults`.
        loss: chance a message; what is lost is absent. For a quick look: `faults` can do more.
        faults: run the protocol of real nodes under this plan, in virtual time (a local step takes a second).

    Raises:
        ConfigError: an argument that cannot be meant, in one line.
        RuleError: the function or the step failed, or gave no finite vector.
    """
    graph, rule = rule_on(mixing, topology_of(topology))
    dtype = dtype or ("float64" if faults is None else "float32")
    _check(rounds, dtype, loss, faults)
    x = _start(start, graph, size, seed).astype(dtype)
    train = None if step is None else partial(_trained, step)
    if faults is None:
        turns, arrives = turns_of(graph, rule.name), losing(loss, seed)
        peers = Lockstep(graph, rule.mixing, _shared(graph, x), train, turns=turns, arrives=arrives, seed=seed)
        end, distances, traffic = _in_lockstep(peers, x, rounds)
    else:
        end, distances, traffic = _with_faults(graph, rule, x, train, rounds, faults, seed)
    return Simulated(
        topology=graph,
        mixing=rule.name,
        dtype=str(end.dtype),
        x=end,
        start=x,
        distance=np.array(distances),
        predicted=rule.predicted,
        traffic=traffic,
        trained=step is not None,
    )


def topology_of(said: SomeTopology) -> Topology:
    """What a caller means by a topology; see `simulate`. Raises ConfigError."""
    match said:
        case Topology():
            return said
        case str() | PathLike():
            return load_topology(str(said))
        case Mapping():
            return Topology.from_mapping(said, "topology")
        case (str(name), int(nodes)):
            return topology_of((name, nodes, {}))
        case (str(name), int(nodes), Mapping() as more):
            settings = {key: value for key, value in more.items() if key not in KEYS}
            rest = {key: value for key, value in more.items() if key in KEYS}
            return Topology.from_mapping({"nodes": nodes, "generator": {"name": name, **settings}, **rest}, "topology")
    wanted = 'a Topology, the path of a file, a mapping as in one, or generator and nodes such as ("ring", 16)'
    raise ConfigError(f"topology: {seen(said)}; wanted {wanted}")


def rule_on(said: SomeMixing, topology: Topology) -> tuple[Topology, Rule]:
    """The graph as it is to be run, and what a caller means by a rule. Raises ConfigError."""
    if isinstance(said, Mixing):
        return topology, Rule("a Mixing", said, rate_of(topology))
    if callable(said):
        return topology, Rule(name_of(said), from_function(said), rate_of(topology))
    config = check_config({"gossip": {"mixing": said}}, "simulate")
    if (own := code_of(config)) is not None:
        raise ConfigError(f"mixing: {seen(own.name)}; import it, and pass the function itself")
    config, topology, _ = fitted(config, topology)
    name = config.gossip.mixing.name
    return topology, Rule(name, mixing_of(config, topology), predicted_contraction(config, topology, training=False))


def _check(rounds: int, dtype: str, loss: float, faults: Faults | None) -> None:
    if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 0:
        raise ConfigError(f"rounds: {seen(rounds)}; wanted a whole number, 0 or more")
    if dtype not in DTYPES:
        raise ConfigError(f"dtype: {seen(dtype)}; wanted float32 or float64")
    if faults is not None and dtype != "float32":
        raise ConfigError("dtype: float64 with faults; the protocol is in float32: wanted float32, or no faults")
    if faults is not None and loss:
        raise ConfigError(f"loss: {loss} beside faults; wanted it in there: Faults(loss={loss})")


def _start(given: ArrayLike | None, graph: Topology, size: int, seed: int) -> NDArray[np.float64]:
    """(n, d) in float64."""
    n = len(graph.nodes)
    if given is None:
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ConfigError(f"size: {seen(size)}; wanted a whole number, 1 or more")
        return _normal(n * size, seed).reshape(n, size)
    x = np.array(given, dtype=np.float64)
    if x.ndim != 2 or len(x) != n or x.shape[1] < 1:
        raise ConfigError(f"start: an array of shape {x.shape}; wanted ({n}, d): a row for each node")
    if not np.isfinite(x).all():
        raise ConfigError("start: holds values that are not finite; wanted finite numbers")
    return x


def _normal(count: int, seed: int) -> NDArray[np.float64]:
    """Standard normal numbers, by Box and Muller, from raw Philox words: numpy's own normals may change."""
    words = np.random.Philox(key=seed).random_raw(2 * count).reshape(2, count)
    radius, angle = ((words >> np.uint64(11)).astype(np.float64) + 1.0) * 2.0**-53  # in (0, 1]
    return np.asarray(np.sqrt(-2.0 * np.log(radius)) * np.cos(2.0 * np.pi * angle))


def _shared(graph: Topology, x: NDArray[Any]) -> dict[PeerId, Shared]:
    return {peer: {THETA: torch.from_numpy(row.copy())} for peer, row in zip(graph.nodes, x, strict=True)}


def _trained(step: Step, peer: PeerId, round: int, shared: Shared) -> Shared:
    x, place = shared[THETA], f"step {name_of(step)}, round {round} of {peer}"
    try:
        answer = step(peer, round, x.clone())
    except Exception as error:
        raise RuleError(f"{place}: {one_line(error)}") from error
    return {THETA: checked(answer, x, place)}


def _distance_from(start: NDArray[Any]) -> Callable[[NDArray[Any]], float]:
    width = spread(start)
    if width > 0.0:
        return lambda x: spread(x) / width
    return lambda x: consensus_distance(x - start[0])


def _in_lockstep(peers: Lockstep, start: NDArray[Any], rounds: int) -> tuple[NDArray[Any], list[float], Traffic]:
    distance, x = _distance_from(start), start
    distances = [distance(x)]
    for _ in range(rounds):
        peers.advance()
        x = np.stack([peers.shared[peer][THETA].numpy() for peer in peers.graph.nodes])
        distances.append(distance(x))
    return x, distances, peers.traffic


def _with_faults(
    graph: Topology, rule: Rule, start: NDArray[Any], train: Any, rounds: int, faults: Faults, seed: int
) -> tuple[NDArray[Any], list[float], Traffic]:
    first = _shared(graph, start)

    def peer(name: PeerId, epoch: int, saved: Saved | None) -> GossipPeer:
        config = PeerConfig(
            **place_of(graph, name, rule.name),
            rounds=rounds,
            epoch=epoch,
            start_round=saved.round if saved else 0,
            seed=seed,
        )
        return GossipPeer(config, saved.shared if saved else first[name], rule.mixing, saved.state if saved else None)

    passed: Counter[str] = Counter()
    simulation = Simulation(
        {name: peer(name, 0, None) for name in graph.nodes},
        lambda name, round, shared: (train(name, round, shared) if train else shared, {}),
        _counting(faults, passed),
        seed=seed,
        rebuild=peer,
    )
    simulation.run()
    x, distances = _course(graph, start, [(who, mixed) for _, who, mixed in simulation.log], rounds)
    sent = simulation.counts["Update"] + simulation.counts["Snapshot"]
    return x, distances, Traffic(sent, round(sent * passed["bytes"] / max(1, passed["messages"])))


def _counting(faults: Faults, passed: Counter[str]) -> Faults:
    """The same plan; it counts vectors that are not lost, and their bytes."""

    def tamper(sender: PeerId, message: Message) -> Message:
        message = faults.tamper(sender, message)
        if isinstance(message, Snapshot | Update):
            passed["messages"] += 1
            passed["bytes"] += sum(len(channel.data) for channel in message.channels)
        return message

    return replace(faults, tamper=tamper)


def _course(
    graph: Topology, start: NDArray[Any], log: list[tuple[PeerId, Mixed]], rounds: int
) -> tuple[NDArray[Any], list[float]]:
    """Every peer after each round: what the newest round that it has done until then left."""
    place = {peer: i for i, peer in enumerate(graph.nodes)}
    x, distance = start.copy(), _distance_from(start)
    distances = [distance(x)]
    by_round: dict[int, list[tuple[PeerId, Mixed]]] = {}
    for who, mixed in log:
        by_round.setdefault(mixed.round, []).append((who, mixed))
    for round in range(rounds):
        for who, mixed in by_round.get(round, ()):
            x[place[who]] = mixed.after[THETA].numpy()
        distances.append(distance(x))
    return x, distances
