"""The node file: defaults, words, and what each mistake is told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from node.complaints import ELSEWHERE, dotted_keys
from node.config import (
    MIXINGS,
    NodeConfig,
    check_config,
    config_text,
    labels_of,
    load_node_config,
    resolve,
    set_values,
    write_yaml,
)
from node.errors import ConfigError
from node.yaml_files import parse_yaml

MINIMAL = """\
base_model: minilm
datasets:
  - path: data/{id}.jsonl
gossip:
  topology: ring.yaml
"""


def check(text: str) -> NodeConfig:
    return check_config(parse_yaml(text, "node.yaml"), "node.yaml")


def test_three_lines_make_a_node_file():
    config = check(MINIMAL)

    assert config.datasets[0].path == "data/{id}.jsonl"
    assert (config.lora.r, config.gossip.mixing.name, config.gossip.moments) == (8, "auto", True)


def test_all_words_of_the_issue_are_read():
    config = check(
        """
        base_model: bert
        task: classification
        datasets: [{path: a.csv, split: train, text_column: t, label_column: l, format: csv}]
        labels: [no, 1, other]
        output_dir: out
        partition: {by: dirichlet, alpha: 0.3, seed: 7}
        lora: {r: 4, alpha: 8, dropout: 0.1, target_modules: [query, value], layers: [4, 5]}
        train: {learning_rate: 1e-4, micro_batch_size: 8, local_steps: 4, sequence_len: 64, bf16: true,
                prefix_cache: on}
        gossip: {topology: t.yaml, rounds: 3, mixing: exact, moments: false, share: [all], max_staleness: 2}
        """.replace("\n        ", "\n")
    )

    assert config.labels == ("no", "1", "other")
    assert config.lora.layers == (4, 5)
    assert config.train.learning_rate == 1e-4
    assert config.train.prefix_cache == "on"


def test_settings_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        NodeConfig().seed = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("3", "node.yaml: 3; wanted a mapping of settings"),
        ("lora: {r: 0}", "node.yaml: lora.r: 0; wanted 1 or more"),
        ("lora: {r: true}", "node.yaml: lora.r: True; wanted a whole number"),
        ("lora: {r: '8'}", "node.yaml: lora.r: '8'; wanted a whole number"),
        ("lora: {dropout: 1}", "node.yaml: lora.dropout: 1; wanted a number less than 1"),
        ("lora: 3", "node.yaml: lora: 3; wanted a mapping of settings"),
        ("lora: {target_modules: query}", "node.yaml: lora.target_modules: 'query'; wanted a list of module names"),
        ("lora: {layers: [-1]}", "node.yaml: lora.layers[0]: -1; wanted 0 or more"),
        ("lora: {layers: [4, 4]}", "node.yaml: lora.layers: [4, 4]; wanted each item once"),
        ("lora: {alpah: 3}", "node.yaml: lora.alpah: unknown key: did you mean 'alpha'?"),
        ("lora_r: 8", "node.yaml: lora_r: unknown key: write lora.r"),
        ("model_name_or_path: x", "node.yaml: model_name_or_path: unknown key: write base_model"),
        ("learning_rate: 3", "node.yaml: learning_rate: unknown key: did you mean train.learning_rate?"),
        ("bogus: 3", "node.yaml: bogus: unknown key"),
        ("datasets: [{path: x, txt_column: y}]", "datasets[0].txt_column: unknown key: did you mean 'text_column'?"),
        ("datasets: [{}]", "node.yaml: datasets[0].path: missing"),
        ("datasets: []", "node.yaml: datasets: []; wanted one or more items"),
        ("datasets: imdb", "node.yaml: datasets: 'imdb'; wanted a list"),
        ("labels: 3", "node.yaml: labels: 3; wanted a list of names, or the path"),
        ("labels: [a]", "node.yaml: labels: ['a']; 1 labels; wanted 2 or more"),
        ("labels: [a, b, a]", "'a' is listed twice"),
        ("labels: [true, b]", "item 0 is True; wanted a name"),
        ("train: {learning_rate: .nan}", "node.yaml: train.learning_rate: nan; wanted a finite number"),
        ("train: {learning_rate: -.inf}", "node.yaml: train.learning_rate: -inf; wanted a finite number"),
        ("train: {learning_rate: '1e-4'}", "node.yaml: train.learning_rate: '1e-4'; wanted a number"),
        ("train: {prefix_cache: atuo}", "wanted 'auto', 'on' or 'off': did you mean 'auto'?"),
        ("train: {bf16: yes}", "node.yaml: train.bf16: 'yes'; wanted true or false"),
        (
            "gossip: {mixing: exakt}",
            "gossip.mixing: 'exakt'; wanted one of dpsgd, exact, push-sum, choco,",
        ),
        ("gossip: {share: [lora_A, lora_A]}", "node.yaml: gossip.share: ['lora_A', 'lora_A']; wanted each item once"),
        ("gossip: {share: []}", "node.yaml: gossip.share: []; wanted one or more items"),
        ("gossip: {deadline: {floor: 5, ceiling: 1}}", "gossip.deadline: floor 5.0 is above ceiling 1.0"),
        ("gossip: {topology: 3}", "node.yaml: gossip.topology: 3; wanted a string"),
        ("partition: {by: dirichlet}", "node.yaml: partition: alpha is missing"),
        ("partition: {by: iid, alpha: 3}", "alpha: 3.0 has no use with by: iid"),
        ("partition: {by: key}", "column is missing; by: key wants one, such as column: speaker"),
        ("partition: {by: quantity, alpha: 1, power: 1}", "alpha and power are one too many; by: quantity wants one"),
        ("partition: {by: class, shards: 2}", "shards: 2 has no use with by: class; remove it, or write by: shards"),
        ("lora: {method: lorra}", "lora.method: 'lorra'; wanted 'lora', 'rslora', 'ia3', 'prompt', 'bias' or 'head'"),
        ("lora: {method: ia3, dropout: 0.1}", "node.yaml: lora: dropout: 0.1 has no use with method: ia3; remove it"),
        ("lora: {method: prompt, layers: [5]}", "layers: (5,) has no use with method: prompt"),
        (
            "lora: {method: head, target_modules: all-linear}",
            "target_modules: 'all-linear' has no use with method: head",
        ),
        ("train: {early_stopping_patience: 3}", "counts evaluations, of which eval_every: 0 makes none; wanted"),
        ("train: {max_grad_norm: 0}", "node.yaml: train.max_grad_norm: 0; wanted a number greater than 0"),
        ("train: {proximal: 0.1}", "train: proximal: 0.1 has no use with local_steps: 1"),
        ("task: causal_lm\ntrain: {missing_classes: mask}", "missing_classes: mask goes by a text's class"),
        ("task: causal_lm\npartition: {by: key, column: who}", "wanted a file a node (gossip data split)"),
        ("task: causal_lm\nlabels: [a, b]", "node.yaml: labels have no use with task: causal_lm"),
        ("task: causal_lm\npartition: {by: class}", "partition.by: class wants labels"),
        ("seed: 0x" + "9" * 5000, "node.yaml: seed: a number of 20000 bits; wanted a number less than"),
        ("? [a, b]\n: 3", "wanted keys that are names"),
        ('"a\\nb": 3', "node.yaml: 'a\\nb': unknown key"),
        (f"{'x' * 1000}: 3", "unknown key"),
        (f"labels: {'[' * 10}{']' * 10}", "wanted a name"),
    ],
    ids=range(53),
)
def test_each_mistake_is_told_in_one_line(text: str, told: str):
    with pytest.raises(ConfigError) as caught:
        check(text)

    assert told in str(caught.value)
    assert str(caught.value).startswith("node.yaml: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_several_mistakes_are_a_summary_and_a_line_each():
    with pytest.raises(ConfigError) as caught:
        check("nonsense: 1\nlora: {r: x}")

    assert str(caught.value).split("\n") == [
        "node.yaml: 2 settings cannot work",
        "  node.yaml: lora.r: 'x'; wanted a whole number",
        "  node.yaml: nonsense: unknown key",
    ]


def test_a_thousand_mistakes_are_ten_lines():
    with pytest.raises(ConfigError) as caught:
        check("\n".join(f"bogus{i}: 1" for i in range(1000)))

    assert len(str(caught.value).split("\n")) == 10


def test_words_of_other_tools_lead_to_keys_that_exist():
    assert set(ELSEWHERE.values()) <= set(dotted_keys(NodeConfig))
    assert not set(ELSEWHERE) & set(NodeConfig.model_fields)


def test_each_key_says_what_it_is_for():
    assert all(field.description for field in dotted_keys(NodeConfig).values())


def test_paths_are_seen_from_the_folder_of_the_file(tmp_path: Path):
    (tmp_path / "data").mkdir()
    (tmp_path / "model").mkdir()
    (tmp_path / "minilm").mkdir()
    path = tmp_path / "node.yaml"
    path.write_text(MINIMAL.replace("minilm", "model") + "labels: labels.txt\n")

    config = load_node_config(path)

    assert config.base_model == str(tmp_path / "model")
    assert config.datasets[0].path == str(tmp_path / "data" / "{id}.jsonl")
    assert config.gossip.topology == str(tmp_path / "ring.yaml")
    assert config.labels == str(tmp_path / "labels.txt")
    assert config.output_dir == "runs/default"


def test_names_are_not_paths(tmp_path: Path):
    (tmp_path / "minilm").mkdir()
    (tmp_path / "node.yaml").write_text("base_model: minilm\ndatasets: [{path: stdlib-docstrings}, {path: org/imdb}]\n")

    config = load_node_config(tmp_path / "node.yaml")

    assert config.base_model == "minilm"
    assert [data.path for data in config.datasets] == ["stdlib-docstrings", "org/imdb"]


@pytest.mark.parametrize("comments", [False, True])
def test_the_settings_as_run_read_back_to_the_same(tmp_path: Path, comments: bool):
    config = check("labels: ['1', 'no', 'ä: b', '?0']\nlora: {layers: [4, 5], target_modules: all-linear}\nseed: 3")

    write_yaml(tmp_path / "a.yaml", config, comments)

    assert check((tmp_path / "a.yaml").read_text()) == config


@settings(max_examples=50, deadline=None)
@given(
    st.builds(
        lambda rate, alpha, labels, name: NodeConfig().model_copy(
            update={
                "train": NodeConfig().train.model_copy(update={"learning_rate": rate}),
                "lora": NodeConfig().lora.model_copy(update={"alpha": alpha}),
                "labels": tuple(labels),
                "output_dir": name,
            }
        ),
        st.floats(1e-12, 10, exclude_min=True),
        st.floats(1e-6, 1e6),
        st.lists(st.text(st.characters(codec="utf-8")).filter(str.strip), min_size=2, max_size=5, unique=True),
        st.text(st.characters(codec="utf-8"), min_size=1),
    )
)
def test_any_settings_survive_the_file(config: NodeConfig):
    assert check(config_text(config, comments=True)) == config


def test_dotted_values_replace_settings():
    config = set_values(NodeConfig(), {"train.learning_rate": "3e-3", "lora.target_modules": "[query]", "seed": "4"})

    assert (config.train.learning_rate, config.lora.target_modules, config.seed) == (3e-3, ("query",), 4)
    assert config.lora.r == NodeConfig().lora.r


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("train.learning_rat", "3", "--set: train.learning_rat: unknown key: did you mean 'learning_rate'?"),
        ("trian.learning_rate", "3", "no such setting: did you mean 'train.learning_rate'?"),
        ("train.learning_rate", "fast", "--set: train.learning_rate: 'fast'; wanted a number"),
        ("train.learning_rate", "[", "--set train.learning_rate:1: "),
        ("train.learning_rate.x", "3", "no such setting"),
        ("", "3", "--set: ''"),
        ("train", "", "--set: train: None; wanted a mapping"),
    ],
)
def test_a_wrong_override_is_told(key: str, value: str, told: str):
    with pytest.raises(ConfigError) as caught:
        set_values(NodeConfig(), {key: value})

    assert told in str(caught.value)


def test_labels_come_from_the_list_or_from_a_file(tmp_path: Path):
    (tmp_path / "labels.txt").write_text("sport\n\n  politics \r\nno\n")

    assert labels_of(NodeConfig()) is None
    assert labels_of(check("labels: [b, a]")) == ("b", "a")
    assert labels_of(check(f"labels: {tmp_path}/labels.txt")) == ("sport", "politics", "no")


def test_each_node_may_have_a_file_of_labels(tmp_path: Path):
    (tmp_path / "n1.txt").write_text("sport\npolitics\n")
    config = check(f"labels: '{tmp_path}/{{id}}.txt'")

    assert labels_of(config, "n1") == ("sport", "politics")
    with pytest.raises(ConfigError, match=r"n2\.txt"):
        labels_of(config, "n2")
    with pytest.raises(ConfigError, match="another file on each node"):
        labels_of(config)


@pytest.mark.parametrize(
    ("text", "told"), [("", "0 labels; wanted 2"), ("a\na\n", "'a' is listed twice"), (None, "cannot be read")]
)
def test_a_bad_file_of_labels_is_told(tmp_path: Path, text: str | None, told: str):
    if text is not None:
        (tmp_path / "labels.txt").write_text(text)

    with pytest.raises(ConfigError, match=f"labels.txt: {told}"):
        labels_of(check(f"labels: {tmp_path}/labels.txt"))


@pytest.mark.parametrize("name", sorted(MIXINGS.keys() - {"auto"}))
def test_every_name_of_a_rule_has_code_behind_it(name: str):
    assert callable(resolve(name))


def test_an_unknown_rule_is_told():
    with pytest.raises(ConfigError, match=r"wanted one of dpsgd, exact, .*: did you mean 'dpsgd'"):
        resolve("dpsdg")


def test_reading_settings_does_not_import_torch(tmp_path: Path):
    (tmp_path / "node.yaml").write_text(MINIMAL)
    code = "import sys; from node.config import *; load_node_config(sys.argv[1]); sys.exit('torch' in sys.modules)"

    done: Any = subprocess.run([sys.executable, "-c", code, str(tmp_path / "node.yaml")], cwd=Path(__file__).parents[2])

    assert done.returncode == 0


def test_a_test_set_of_ones_own_is_seen_from_the_folder_of_the_file(tmp_path: Path):
    (tmp_path / "node.yaml").write_text(MINIMAL + "test_datasets: [{path: test.csv}]\n")

    config = load_node_config(tmp_path / "node.yaml")

    assert config.test_datasets[0].path == str(tmp_path / "test.csv")
