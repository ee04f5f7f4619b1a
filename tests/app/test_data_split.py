"""A file of texts becomes a folder that nodes run from, and nothing is lost on the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from node.app.data.data_split import SplitPlan, dealt, manifest_in, written
from node.app.data.holdings import counted, holdings_of
from node.config import NodeConfig, check_config, load_node_config, load_topology, parse_yaml
from node.errors import ConfigError
from node.graph.topology import Topology
from node.learn.dealing.partition import PartitionSettings
from node.learn.reading.source import DatasetSettings
from node.types import PeerId

N0, N1, N2 = NODES = tuple(PeerId(f"n{i}") for i in range(3))
DEALS = [
    PartitionSettings("iid"),
    PartitionSettings("class"),
    PartitionSettings("dirichlet", 0.3),
    PartitionSettings("shards", shards=2),
    PartitionSettings("quantity", power=1.0),
    PartitionSettings("key", column="who"),
    PartitionSettings("temporal", column="when"),
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "said.jsonl"
    rows = [
        {
            "when": f"2024-01-{1 + (7 * i) % 28:02}",
            "text": f"text é {i}",
            "label": "abcd"[i % 4],
            "who": i % 7,
            "n": None,
        }
        for i in range(80)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _plan(source: Path, deal: PartitionSettings = DEALS[0], **more: Any) -> SplitPlan:
    return SplitPlan(DatasetSettings(str(source)), deal, **{"nodes": NODES, **more})


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_three_texts_of_two_nodes_are_counted_by_hand() -> None:
    facts = counted((N0, N1), [["a", "a"], ["b"]]).facts()

    assert facts["nodes"][0] == {
        "id": "n0", "examples": 2, "share": 0.666667, "classes": {"a": 2}, "total_variation": 0.3333,
        "effective_classes": 1.0,
    }  # fmt: skip
    assert facts["sizes"] == {"n0": 2, "n1": 1}
    assert facts["effective_nodes"] == 1.8  # 9 / (4 + 1)
    assert facts["mean_total_variation"] == 0.5  # (1/3 + 2/3) / 2


@pytest.mark.parametrize("deal", DEALS, ids=[d.by for d in DEALS])
def test_every_record_is_in_one_file_with_all_its_columns(
    source: Path, tmp_path: Path, deal: PartitionSettings
) -> None:
    plan, folder = _plan(source, deal), tmp_path / "split"

    manifest = written(plan, dealt(plan), folder, force=False)

    files = [folder / f"{peer}.jsonl" for peer in NODES]
    assert sorted(json.dumps(r) for f in (*files, folder / "test.jsonl") for r in _lines(f)) == sorted(
        json.dumps(r) for r in _lines(source)
    )
    assert [len(_lines(f)) for f in files] == [node["examples"] for node in manifest["nodes"]]
    assert manifest == manifest_in(folder)


@pytest.mark.parametrize("deal", DEALS, ids=[d.by for d in DEALS])
def test_a_run_that_deals_the_file_itself_holds_the_same(source: Path, tmp_path: Path, deal: PartitionSettings) -> None:
    plan, folder = _plan(source, deal), tmp_path / "split"
    manifest = written(plan, dealt(plan), folder, force=False)

    from_files = holdings_of(load_node_config(folder / "node.yaml"), NODES).facts()
    from_deal = holdings_of(
        check_config({"datasets": [{"path": str(source)}], "partition": manifest["partition"]}, "x"), NODES
    ).facts()

    assert from_files == from_deal
    assert {key: manifest[key] for key in from_files} == from_files


def test_the_files_that_start_a_run_are_read_by_it(source: Path, tmp_path: Path) -> None:
    plan, folder = _plan(source), tmp_path / "split"
    manifest = written(plan, dealt(plan), folder, force=False)

    config: NodeConfig = load_node_config(folder / "node.yaml")
    ring = load_topology(folder / "topology.yaml")
    sizes = parse_yaml((folder / "sizes.yaml").read_text(), "sizes.yaml")
    weighted = Topology.from_mapping({**ring.mapping(), **sizes}, "weighted")

    assert (config.labels, config.gossip.topology) == (str(folder / "labels.txt"), str(folder / "topology.yaml"))
    assert ring.nodes == NODES
    assert {peer: int(size) for peer, size in weighted.sizes.items()} == manifest["sizes"]


def test_same_seed_same_bytes_and_another_seed_another_deal(source: Path, tmp_path: Path) -> None:
    def files(name: str, seed: int) -> dict[str, str]:
        plan = _plan(source, PartitionSettings("dirichlet", 0.3, seed))
        manifest = written(plan, dealt(plan), tmp_path / name, force=False)
        return {**manifest["files"], "digest": manifest["digest"]}

    first, again, other = files("a", 1), files("b", 1), files("c", 2)

    assert first == again
    assert first["digest"] == other["digest"]  # of what was dealt, not of the deal
    assert first["test.jsonl"] == other["test.jsonl"]
    assert first["n0.jsonl"] != other["n0.jsonl"]


def test_texts_without_labels_are_for_a_language_model(tmp_path: Path) -> None:
    path = tmp_path / "plays.jsonl"
    path.write_text("".join(json.dumps({"text": f"line {i}", "speaker": f"s{i % 5}"}) + "\n" for i in range(40)))
    plan, folder = _plan(path, PartitionSettings("key", column="speaker"), test_share=0.25), tmp_path / "split"

    manifest = written(plan, dealt(plan), folder, force=False)

    config = load_node_config(folder / "node.yaml")
    assert config.task == "causal_lm"
    assert not (folder / "labels.txt").exists()
    assert [node["classes"] for node in manifest["nodes"]] == [{}, {}, {}]
    assert holdings_of(config, NODES).sizes == tuple(manifest["sizes"].values())
    with pytest.raises(ConfigError, match=r"plays.jsonl:\d+: no label in column 'label'"):
        dealt(_plan(path, PartitionSettings("class")))


def test_a_test_set_that_is_given_holds_nothing_out(source: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text('{"text": "never seen", "label": "e"}\n')

    split = dealt(_plan(source, test=DatasetSettings(str(other))))

    assert sum(split.holdings.sizes) == 80
    assert [row.text for row in split.test] == ["never seen"]


def test_a_folder_that_holds_files_is_left_as_it_is(source: Path, tmp_path: Path) -> None:
    plan, folder = _plan(source), tmp_path / "split"
    folder.mkdir()
    (folder / "mine.txt").write_text("x")

    with pytest.raises(ConfigError, match="holds files already and is left as it is; name another, or say --force"):
        written(plan, dealt(plan), folder, force=False)
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]

    written(plan, dealt(plan), folder, force=True)
    fewer = _plan(source, nodes=NODES[:2])
    written(fewer, dealt(fewer), folder, force=True)
    assert sorted(path.name for path in folder.glob("*.jsonl")) == ["n0.jsonl", "n1.jsonl", "test.jsonl"]
    assert (folder / "mine.txt").read_text() == "x"


def test_a_node_called_test_is_refused(source: Path, tmp_path: Path) -> None:
    plan = _plan(source, nodes=(N0, PeerId("test")))

    with pytest.raises(ConfigError, match=r"node 'test': its file test.jsonl is not its own"):
        written(plan, dealt(plan), tmp_path / "split", force=False)


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no manifest.json there; wanted a folder that gossip data split wrote"):
        manifest_in(tmp_path)


def test_blocks_of_tokens_are_not_counted_here(source: Path) -> None:
    config = check_config({"datasets": [{"path": str(source)}], "task": "causal_lm", "partition": {"by": "iid"}}, "x")

    with pytest.raises(ConfigError, match="only a trainer can count"):
        holdings_of(config, NODES)


def test_conversations_and_tagged_words_keep_their_task(tmp_path: Path) -> None:
    asked = tmp_path / "asked.jsonl"
    asked.write_text("".join(json.dumps({"prompt": f"q{i}", "response": f"a{i}"}) + "\n" for i in range(30)))
    tagged = tmp_path / "tagged.jsonl"
    tagged.write_text("".join(json.dumps({"tokens": ["a", f"b{i}"], "tags": ["O", "X"]}) + "\n" for i in range(30)))

    for path, task, labels in ((asked, "causal_lm", None), (tagged, "token_classification", "O\nX\n")):
        plan, folder = _plan(path, task=task), tmp_path / task
        manifest = written(plan, dealt(plan), folder, force=False)

        config = load_node_config(folder / "node.yaml")
        assert config.task == task
        assert (folder / "labels.txt").read_text() == labels if labels else not (folder / "labels.txt").exists()
        assert holdings_of(config, NODES).sizes == tuple(manifest["sizes"].values())

    with pytest.raises(ConfigError, match="--by class wants a label a text, which --task token_classification has not"):
        dealt(_plan(tagged, PartitionSettings("class"), task="token_classification"))
