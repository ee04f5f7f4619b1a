"""gossip data split and show: one document, files that a run reads, one line where something is wrong."""

from __future__ import annotations

import json

import pytest

from tests.cli.test_bad_input import refused
from tests.lab import Lab


@pytest.fixture
def texts(lab: Lab) -> str:
    rows = [{"text": f"text {i}", "label": "abc"[i % 3], "who": f"w{i % 6}"} for i in range(60)]
    (lab.path / "all.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return "all.jsonl"


def test_what_is_split_is_shown_alike(lab: Lab, texts: str) -> None:
    split = lab.verb("data", "split", texts, "--by", "key", "--column", "who", "-n", "3", "-o", "dealt", "--json")
    show = lab.verb("data", "show", "dealt", "--json")

    assert (split.code, show.code) == (0, 0)
    assert [node["examples"] for node in split.document["nodes"]] == [
        node["examples"] for node in show.document["nodes"]
    ]
    assert (lab.path / "dealt" / "classes.png").stat().st_size > 1000
    assert (lab.path / "dealt" / "test.jsonl").is_file()


def test_people_get_a_line_a_node(lab: Lab, texts: str) -> None:
    done = lab.verb("data", "split", texts, "--by", "class", "-n", "3", "--no-picture", "-o", "dealt")

    assert done.code == 0
    assert [line.split()[0] for line in done.out.splitlines()[1:4]] == ["n0", "n1", "n2"]
    assert "off the whole by 0.6" in done.out  # 1 - 1/3
    assert "gossip up --config dealt/node.yaml" in done.err
    assert not (lab.path / "dealt" / "classes.png").exists()


def test_a_node_file_shows_what_its_partition_deals(lab: Lab, texts: str) -> None:
    (lab.path / "mine.yaml").write_text(
        f"datasets: [{{path: {texts}}}]\npartition: {{by: quantity, power: 1}}\ngossip: {{topology: topology.yaml}}\n"
    )

    done = lab.verb("data", "show", "mine.yaml", "-o", "who.png", "--json")
    other = lab.verb("data", "show", "mine.yaml", "--set", "partition.seed=5", "--json")

    assert done.document["examples"] == other.document["examples"] > 40
    assert sorted(done.document["sizes"].values()) == sorted(other.document["sizes"].values())
    assert done.document["sizes"] != other.document["sizes"]
    assert (lab.path / "who.png").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--by", "none"), ("--by none", "everybody would hold all")),
        (("--by", "dirichlet"), ("alpha is missing", "alpha: 0.3")),
        (("--by", "sorted"), ("'sorted'", "'iid'")),
        (("--by", "key", "--column", "speaker"), ("all.jsonl:", "nothing in column 'speaker'")),
        (("--by", "class", "-n", "9"), ("deals 3 classes to 9 nodes",)),
        (("--by", "iid", "-n", "1"), ("--nodes 1", "2 to")),
        (("--by", "iid", "-n", "3", "-t", "topology.yaml"), ("--nodes 3", "one of the two")),
        (("--by", "iid", "-t", "nowhere.yaml"), ("nowhere.yaml",)),
        (("--by", "class", "--label-column", "tag"), ("all.jsonl:", "'tag'")),
    ],
)
def test_what_does_not_fit_is_one_line(lab: Lab, texts: str, words: tuple[str, ...], said: tuple[str, ...]) -> None:
    done = refused(lab, "data", "split", texts, *words, "-o", "dealt").err

    assert all(word in done for word in said), done
    assert not (lab.path / "dealt").exists()


def test_a_folder_that_is_no_split_is_one_line(lab: Lab) -> None:
    assert "no manifest.json" in refused(lab, "data", "show", ".").err
