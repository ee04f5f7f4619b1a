"""`node.simulate`: what a caller may say, what is measured, and that both drivers mean the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from node.app.simulating.simulate import simulate, topology_of
from node.drivers.faults import Faults, Kill
from node.drivers.lockstep import Traffic
from node.errors import ConfigError, RuleError
from node.gossip.dpsgd import dpsgd
from node.graph.topology import Topology
from node.graph.weighting.spectrum import rounds_to
from node.graph.weighting.weights import matrix
from node.types import PeerId

ROOT = Path(__file__).resolve().parent.parent.parent
PATH = {"nodes": 3, "edges": [["n0", "n1"], ["n1", "n2"]]}


def mean(own: Any, neighbours: Mapping[str, Any], weights: Mapping[str, float], round: int) -> Any:
    return own + sum(weights[j] * (x - own) for j, x in neighbours.items())


def deaf(own: Any, neighbours: Any, weights: Any, round: int) -> Any:
    return own


def toward_number(peer: str, round: int, x: Any) -> Any:
    """A gradient step on |x - number of the peer|^2 / 2."""
    return x - 0.1 * (x - float(peer[1:]))


# ---- by hand
def test_a_path_of_three_by_hand() -> None:
    done = simulate(PATH, rounds=1, start=[[3.0], [0.0], [6.0]])

    assert done.x.tolist() == [[2.0], [3.0], [4.0]]
    assert done.mean.tolist() == [3.0]
    assert done.distance == pytest.approx([1.0, (2 / 3) ** 0.5 / 6**0.5])  # spreads: sqrt((0 + 9 + 9) / 3), sqrt(2 / 3)
    assert done.drift == 0.0
    assert (done.messages, done.bytes) == (4, 16)


def test_from_a_common_start_the_distance_is_relative_to_the_way_of_the_mean() -> None:
    """Steps take x to (1, 2), the mean to 1.5, and W (1/2 everywhere) all to 1.5; without mixing 0.5 / 1.5 is left."""
    pair = {"nodes": 2, "generator": "path"}
    step = lambda peer, round, x: x + (1.0 if peer == "n0" else 2.0)  # noqa: E731

    assert simulate(pair, rounds=1, start=np.zeros((2, 1)), step=step).distance.tolist() == [0.0, 0.0]
    assert simulate(pair, deaf, 1, start=np.zeros((2, 1)), step=step).distance == pytest.approx([0.0, 1 / 3])


def test_a_ring_of_sixteen_contracts_as_its_spectrum_says() -> None:
    done = simulate(("ring", 16), mean, 200)

    assert done.predicted == pytest.approx(0.949253, abs=1e-6)  # (1 + 2 cos(pi / 8)) / 3
    assert done.contraction == pytest.approx(done.predicted, rel=1e-4)
    assert done.rounds_to(1e-3) in range(90, 1 + rounds_to(matrix(done.topology)))
    assert done.drift < 1e-14


def test_exact_mixing_is_there_after_a_round_and_says_so() -> None:
    done = simulate(("ring", 8), "exact", 3)

    assert done.predicted == 0.0
    assert done.contraction < 1e-13
    assert done.rounds_to() == 1
    assert done.messages == 4 * 16


def test_it_says_what_it_is_in_a_line() -> None:
    said = repr(simulate(("torus", 16), mean, 30))

    assert "\n" not in said
    assert "mean on 16 nodes, 30 rounds, float64: distance 1 to " in said
    assert "contraction 0.6000 (graph: 0.6000), 1e-3 after 13 rounds, 16.4 kB a round" in said


# ---- laws
def test_a_function_a_rule_and_its_name_are_one() -> None:
    ends = [simulate(("ring", 5), rule, 20).x for rule in (mean, dpsgd(), "dpsgd")]

    np.testing.assert_array_equal(ends[1], ends[2])
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-14)


def test_the_same_seed_gives_the_same_start_and_another_one_another() -> None:
    a, b, c = (simulate(("ring", 4), rounds=0, size=1000, seed=seed).x for seed in (3, 3, 4))

    np.testing.assert_array_equal(a, b)
    assert abs(np.corrcoef(a.ravel(), c.ravel())[0, 1]) < 0.1
    assert abs(a.mean()) < 0.05
    assert a.std() == pytest.approx(1.0, abs=0.05)


def test_the_start_is_left_as_it_was() -> None:
    start = np.arange(3.0).reshape(3, 1)

    def careless(peer: str, round: int, x: Any) -> Any:
        x += 1.0
        return x

    done = simulate(PATH, rounds=2, start=start, step=careless)

    assert start.tolist() == done.start.tolist() == [[0.0], [1.0], [2.0]]
    assert done.mean.tolist() == pytest.approx([3.0])


def test_training_in_rounds_finds_the_optimum_of_the_whole() -> None:
    done = simulate(("ring", 8), mean, 200, start=np.zeros((8, 2)), step=toward_number)

    assert done.mean == pytest.approx([3.5, 3.5], abs=1e-6)
    assert done.contraction is None
    assert 0.05 < done.distance[-1] < 1.0


def test_without_faults_the_protocol_ends_with_the_same_bits() -> None:
    alone, real = (
        simulate(("ring", 6), mean, 12, dtype="float32", step=toward_number, faults=f) for f in (None, Faults())
    )

    np.testing.assert_array_equal(alone.x, real.x)
    np.testing.assert_array_equal(alone.distance, real.distance)
    assert alone.traffic == real.traffic == Traffic(144, 144 * 256)


@pytest.mark.parametrize(
    ("schedule", "rule"),
    [
        ("one_peer_exponential", "dpsgd"),
        ("random_matching", mean),
        ({"name": "epidemic", "s": 2}, mean),  # directed, and drawn anew in each round
        ({"name": "base", "k": 2}, "exact"),
        ("one_peer_exponential", "push-sum"),
    ],
)
def test_on_a_schedule_too(schedule: Any, rule: Any) -> None:
    graph = {"nodes": 9, "schedule": schedule}

    alone, real = (simulate(graph, rule, 7, dtype="float32", step=toward_number, faults=f) for f in (None, Faults()))

    np.testing.assert_array_equal(alone.x, real.x)
    assert alone.traffic == real.traffic


def test_a_finite_schedule_is_measured_and_promised_as_one() -> None:
    done = simulate({"nodes": 16, "schedule": "one_peer_exponential"}, mean, 12)

    assert done.rounds_to(1e-12) == 4
    assert done.predicted == 0.0
    assert done.contraction < 1e-3
    assert done.messages == 16


def test_under_faults_it_goes_on_and_comes_to_the_mean() -> None:
    faults = Faults(loss=0.1, kill=[Kill(PeerId("n3"), at=5.0, back_after=10.0)])

    done = simulate(("ring", 8), mean, 60, faults=faults)

    assert done.dtype == "float32"
    assert done.distance[-1] < 0.05
    assert 0.0 < done.drift < 0.5


def test_push_sum_keeps_the_mean_where_plain_averaging_drifts() -> None:
    plain, pushed = (simulate(("ring", 8), rule, 150, loss=0.2, seed=1) for rule in ("dpsgd", "push-sum"))

    assert pushed.drift < 1e-4 < 1e-2 < plain.drift


# ---- what may stand for a topology
@pytest.mark.parametrize(
    ("said", "edges"),
    [
        (("ring", 5), 5),
        (("random_regular", 8, {"degree": 3, "seed": 1}), 12),
        (("path", 4, {"edges": [["n0", "n3"]], "weights": "metropolis"}), 4),
        (PATH, 2),
        (str(ROOT / "topology" / "ring-4.yaml"), 4),
        (ROOT / "topology" / "ring-4.yaml", 4),
        (Topology.from_mapping(PATH, "path"), 2),
    ],
    ids=["short", "settings", "keys", "mapping", "path", "Path", "Topology"],
)
def test_a_topology_may_be_said_in_many_ways(said: Any, edges: int) -> None:
    assert len(topology_of(said).edges) == edges


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"topology": 5}, "topology: 5; wanted a Topology, the path"),
        ({"topology": ("ring",)}, "topology: \\('ring',\\); wanted"),
        ({"topology": ("rnig", 5)}, "did you mean 'ring'"),
        ({"topology": ("ring", 5, {"wieghts": 1})}, "'wieghts'"),
        ({"topology": "nowhere.yaml"}, "nowhere.yaml"),
        ({"mixing": "dpsdg"}, "did you mean 'dpsgd'"),
        ({"mixing": 7}, "gossip.mixing"),
        ({"mixing": "rules:mean"}, "'rules:mean'; import it, and pass the function itself"),
        ({"mixing": {"name": "exact", "after_damage": "cry"}}, "after_damage"),
        ({"mixing": lambda own: own}, "wanted \\(own, neighbours, weights, round\\) -> x"),
        ({"rounds": -1}, "rounds: -1; wanted a whole number"),
        ({"rounds": 1.5}, "rounds: 1.5; wanted a whole number"),
        ({"size": 0}, "size: 0; wanted"),
        ({"start": [[1.0]]}, "start: an array of shape \\(1, 1\\); wanted \\(3, d\\)"),
        ({"start": np.zeros(3)}, "start: an array of shape \\(3,\\)"),
        ({"start": [[1.0], [np.nan], [0.0]]}, "not finite"),
        ({"dtype": "float16"}, "dtype: 'float16'; wanted float32 or float64"),
        ({"dtype": "float64", "faults": Faults()}, "wanted float32, or no faults"),
        ({"loss": 2.0}, "loss: 2.0; wanted a chance"),
        ({"loss": 0.1, "faults": Faults()}, "Faults\\(loss=0.1\\)"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_line(arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint) as error:
        simulate(**({"topology": PATH, "rounds": 1} | arguments))

    assert "\n" not in str(error.value)


@pytest.mark.parametrize("faults", [None, Faults()], ids=["lockstep", "protocol"])
def test_a_step_that_fails_is_named(faults: Faults | None) -> None:
    def burst(peer: str, round: int, x: Any) -> Any:
        return x / 0.0 if (peer, round) == ("n1", 2) else x

    with pytest.raises(RuleError, match=r"^step .*burst, round 2 of n1: gave .* infinite entries of 64"):
        simulate(PATH, rounds=5, step=burst, faults=faults)


@pytest.mark.parametrize("faults", [None, Faults()], ids=["lockstep", "protocol"])
def test_a_function_that_fails_is_named(faults: Faults | None) -> None:
    def picky(own: Any, neighbours: Any, weights: Any, round: int) -> Any:
        if round == 3:
            raise KeyError("n9")
        return own

    with pytest.raises(RuleError, match=r"^mixing function .*picky, round 3 of n[012]: KeyError: 'n9'"):
        simulate(PATH, picky, 5, faults=faults)


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_a_picture_is_one_call(tmp_path: Path, suffix: str) -> None:
    simulate(PATH, rounds=5).plot(tmp_path / f"path.{suffix}")

    assert (tmp_path / f"path.{suffix}").stat().st_size > 1000
