"""gossip topology show and advise, as a user types them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from node.yaml_files import parse_yaml
from tests.lab import Lab, tree
from tests.monitor.known_links import WAY, run, taking_turns
from tests.monitor.ring import IDS, Loop, Ring

CSV = "a,b,latency_ms,mbit_per_s\nn0,n1,10,8\nn1, n2, 20, 8\n"


def test_show_tells_what_each_rule_takes(lab: Lab) -> None:
    done = lab.verb("topology", "show", "topology.yaml", "--params", "1000", "--target", "1e-2")

    assert done.code == 0
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert "4 nodes, 4 edges, metropolis weights, spectral gap 0.6667" in lines
    assert "dpsgd 5 1 40 0.48 1e-02" in lines  # 3^-5 < 1e-2; 40 messages of 12,000 bytes
    assert any(line.startswith("mixing: auto is exact: ") for line in lines)


@pytest.mark.parametrize(
    ("codec", "entry"),
    [("float32", 12.0), ("bf16", 6.0), ("int8", 3 * 66 / 64), ("{theta: int4, m: int8, s: bf16}", 3.5625)],
)
def test_traffic_is_predicted_by_codec(lab: Lab, codec: str, entry: float) -> None:
    done = lab.verb("topology", "show", "topology.yaml", "--params", "6400", "--codec", codec, "--json")

    assert (done.code, done.err) == (0, "")
    assert done.document["bytes_per_round"] == 8 * 6400 * entry  # a message each way on four edges


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--params", "9", "--codec", "int9"), "wanted float32 | bf16 | int8 | int4: did you mean 'int8'?"),
        (("--codec", "int8"), "--codec int8: it goes with --params alone"),
        (("--message-bytes", "9", "--params", "9", "--codec", "int8"), "it goes with --params alone"),
    ],
)
def test_a_codec_that_is_none_or_sizes_nothing_is_one_line(lab: Lab, words: tuple[str, ...], told: str) -> None:
    done = lab.verb("topology", "show", "topology.yaml", *words)

    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize("target", ["0", "1", "nan", "-1"])
def test_a_target_out_of_bounds_is_one_line(lab: Lab, target: str) -> None:
    done = lab.verb("topology", "show", "topology.yaml", "--target", target)

    assert (done.code, done.out) == (2, "")
    assert "--target" in done.err


def test_advised_edges_are_lines_for_the_file(lab: Lab) -> None:
    (lab.path / "path.yaml").write_text("nodes: 6\ngenerator: path\n")

    lines = lab.verb("topology", "advise", "path.yaml", "--edges", "1").out.splitlines()
    pasted = (lab.path / "path.yaml").read_text() + "edges:\n" + "\n".join(lines[1:]) + "\n"
    (lab.path / "more.yaml").write_text(pasted)
    gap = [lab.verb("topology", "show", name, "--json").document["spectral_gap"] for name in ("path.yaml", "more.yaml")]

    assert parse_yaml(pasted, "more.yaml")["edges"] == [["n0", "n5"]]
    assert gap[1] > 3 * gap[0]


def test_advice_comes_as_one_document(lab: Lab) -> None:
    (lab.path / "l.csv").write_text(CSV)

    done = lab.verb(
        "topology", "advise", "topology.yaml", "--edges", "1", "--links", "l.csv", "--message-bytes", "1000", "--json"
    )

    assert done.code == 0
    said = done.document
    assert said["edges"][0].keys() == {"edge", "spectral_gap", "rounds_to_1e-3"}
    assert said["links_measured"] == 2
    best = said["offers"][0]
    assert best.keys() == {"topology", "mixing", "rounds", "hops", "messages", "bytes", "seconds"}
    assert best["seconds"] == min(offer["seconds"] for offer in said["offers"])
    assert any(offer["topology"] == "as it is" for offer in said["offers"])


def test_links_may_be_yaml(lab: Lab) -> None:
    (lab.path / "l.csv").write_text(CSV)
    (lab.path / "l.yaml").write_text(
        "- {a: n0, b: n1, latency_ms: 10, mbit_per_s: 8}\n- {a: n1, b: n2, latency_ms: 20, mbit_per_s: 8}\n"
    )
    words = ("topology", "advise", "topology.yaml", "--params", "1000", "--json", "--links")

    assert lab.verb(*words, "l.yaml").document == lab.verb(*words, "l.csv").document


@pytest.fixture
def ring() -> Iterator[Ring]:
    loop = Loop()
    records = run(taking_turns())
    made = Ring([list(records[peer].values()) for peer in IDS], loop)
    made.rounds = [8] * 4
    yield made
    made.close()
    loop.close()


BAD = {
    "no size": (("--links", "l.csv"), "wanted --message-bytes, or --params"),
    "both": (("--links", "l.csv", "--via", "h:1"), "wanted one of the two"),
    "no such file": (("--links", "m.csv", "--params", "9"), "m.csv: cannot be read"),
    "not a list": (("--links", "topology.yaml", "--params", "9"), "topology.yaml: not a list"),
    "an id that is not there": (("--links", "bad.csv", "--params", "9"), "bad.csv: row 1: b: 'n9' is not a node"),
    "too many columns": (("--links", "wide.csv", "--params", "9"), "wide.csv: row 1: "),
    "no edges": (("--edges", "0"), "--edges 0; wanted 1 to 32"),
    "no address": (("--via", "localhost"), "'localhost'"),
    "no bytes": (("--message-bytes", "0", "--links", "l.csv"), "--message-bytes"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_requests_are_one_line_and_nothing_is_written(lab: Lab, case: str) -> None:
    arguments, wanted = BAD[case]
    (lab.path / "l.csv").write_text(CSV)
    (lab.path / "bad.csv").write_text("a,b,latency_ms\nn0,n9,1\n")
    (lab.path / "wide.csv").write_text("a,b,latency_ms\nn0,n1,1,2,3\n")
    before = tree(lab.path)

    done = lab.verb("topology", "advise", "topology.yaml", *arguments)

    assert (done.code, done.out) == (2, "")
    assert wanted in done.err
    assert tree(lab.path) == before


def test_a_running_network_is_asked(lab: Lab, ring: Ring) -> None:
    done = lab.verb("topology", "advise", "topology.yaml", "--via", f"127.0.0.1:{ring.ports[1]}", "--json")

    said = done.document
    assert {(link["a"], link["b"]): link["message_ms"] for link in said["links"]} == {
        edge: pytest.approx(1e3 * seconds, abs=1e-3) for edge, seconds in WAY.items()
    }
    assert said["message_bytes"] == 5000
    assert all(offer["seconds_at_best"] <= offer["seconds"] * (1 + 1e-9) for offer in said["offers"])
    assert "do not tell latency from bandwidth" in done.err


def test_asking_nobody_is_code_1(lab: Lab) -> None:
    done = lab.verb("topology", "advise", "topology.yaml", "--via", lab.address("n0"))

    assert (done.code, done.out) == (1, "")
    assert "no gossip node answers" in done.err
