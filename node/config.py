"""Files to checked settings and back: node file, topology file, labels. Below this module nobody reads files.

Decides where relative paths are seen from, and holds the way from a name in a file to the code behind it (lazily: this
module never imports torch). The settings themselves are in `node.settings`, YAML in `node.yaml_files`, the wording of
errors in `node.complaints`: layer 5, too, and `config` imports the three.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from node.complaints import complaint, dotted_keys
from node.errors import ConfigError
from node.fields import distinct
from node.graph.checks import seen
from node.graph.formats.foreign import MAX_BYTES
from node.graph.formats.formats import YAML, suffix_of, topology_of
from node.graph.formats.node_link import json_values
from node.graph.formats.writing import Written, text_of
from node.graph.reading import did_you_mean
from node.graph.topology import Topology
from node.mixings import MIXINGS, OwnCode
from node.settings import EMBEDDED, NodeConfig
from node.yaml_files import MAX_BYTES as YAML_BYTES
from node.yaml_files import MAX_VALUES, parse_yaml, read_text, read_yaml, to_yaml, write_text, yaml_values

__all__ = [
    "EMBEDDED",
    "MIXINGS",
    "NodeConfig",
    "anchored",
    "check_config",
    "code_of",
    "config_text",
    "fits_yaml",
    "labels_of",
    "load_node_config",
    "load_topology",
    "own_labels",
    "read_yaml",
    "resolve",
    "set_values",
    "topology_text",
    "topology_yaml",
    "write_yaml",
]

OTHER_VALUES = 50  # of a topology file besides nodes, sizes and edges: keys, weights, a schedule's settings
DATA_SUFFIXES = (".jsonl", ".json", ".csv", ".parquet", ".txt")


def load_topology(path: str | Path) -> Topology:
    """A checked topology file: YAML, or a graph in one of the formats of `node.graph.formats.formats`, by its suffix.

    Raises:
        ConfigError: one line with file, and line or key.
    """
    suffix = suffix_of(str(path))
    return _topology_in(read_text(path, MAX_BYTES), suffix, str(path))


def topology_text(topology: Topology, path: str | Path) -> tuple[Written, Topology]:
    """A topology as a file of this name: the text with what it leaves out, and what `load_topology` will give.

    Raises:
        ConfigError: the format cannot hold so much, or not this graph.
    """
    suffix, source = suffix_of(str(path)), str(path)
    try:
        written = Written(topology_yaml(topology)) if suffix in YAML else text_of(topology, suffix)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
    if (size := len(written.text.encode())) > MAX_BYTES:
        raise ConfigError(f"{source}: would have {size // 1024} KiB; wanted {MAX_BYTES // 1024} or fewer")
    return written, _topology_in(written.text, suffix, source)


def topology_yaml(topology: Topology) -> str:
    """YAML of a topology that `load_topology` reads at any size: as JSON (which is YAML) where it is large."""
    if fits_yaml(topology) and len(text := to_yaml(topology.mapping())) <= YAML_BYTES:
        return text
    return json.dumps(topology.mapping()) + "\n"


def fits_yaml(topology: Topology) -> bool:
    """Whether its nodes and edges are so few that the YAML reader takes them."""
    entries = 2 * (len(topology.nodes) + len(topology.sizes)) + (3 + bool(topology.edge_weights)) * len(topology.edges)
    return entries + OTHER_VALUES <= MAX_VALUES


def _topology_in(text: str, suffix: str, source: str) -> Topology:
    if suffix not in YAML:
        return topology_of(text, suffix, source)
    found = json_values(text) if text.startswith('{"') else None
    return Topology.from_mapping(yaml_values(text, source) if found is None else found, source)


def load_node_config(path: str | Path) -> NodeConfig:
    """A checked node file; relative paths in it are seen from its own folder (output_dir: from the working directory).

    Raises:
        ConfigError: one line; with several problems a summary line, then one line each.
    """
    config = check_config(read_yaml(path), str(path))
    return anchored(config, Path(path).resolve().parent)


def check_config(data: Any, source: str) -> NodeConfig:
    """Plain values -> settings. `source` opens every line of a ConfigError."""
    try:
        return NodeConfig.model_validate(data)
    except ValidationError as error:
        raise ConfigError(complaint(error, NodeConfig, source)) from None


def set_values(config: NodeConfig, values: Mapping[str, str], source: str = "--set") -> NodeConfig:
    """Settings with some replaced: `{"train.learning_rate": "3e-3"}`; each value is YAML 1.2, as in the file."""
    data = config.model_dump()
    for key, text in values.items():
        *parents, last = key.split(".")
        block = data
        for parent in parents:
            inner = block.get(parent)
            if not isinstance(inner, dict):
                raise ConfigError(f"{source} {seen(key)}: no such setting{did_you_mean(key, dotted_keys(NodeConfig))}")
            block = inner
        block[last] = parse_yaml(text, f"{source} {key}")
    return check_config(data, source)


def labels_of(config: NodeConfig, peer: str | None = None) -> tuple[str, ...] | None:
    """The ordered labels that the settings give or name a file of; None: the data set has a list of its own.

    Args:
        peer: the node's id, for `{id}` in the path; None: where all nodes have the same labels.
    """
    if not isinstance(config.labels, str):
        return config.labels
    if peer is None and own_labels(config):
        raise ConfigError(f"labels: {config.labels} is another file on each node; wanted one list of labels here")
    path = config.labels if peer is None else config.labels.replace("{id}", peer)
    lines = [line.strip() for line in read_text(path).splitlines()]
    try:
        return distinct([line for line in lines if line])
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None


def own_labels(config: NodeConfig) -> bool:
    """Whether each node has a label list of its own."""
    return isinstance(config.labels, str) and "{id}" in config.labels


def config_text(config: NodeConfig, comments: bool = False) -> str:
    """YAML that reads back to the same settings; `comments` adds what each key means."""
    said = {key: field.description or "" for key, field in dotted_keys(NodeConfig).items()} if comments else {}
    return to_yaml(config.model_dump(mode="json"), said)


def write_yaml(path: str | Path, config: NodeConfig, comments: bool = False) -> None:
    """Write `config_text`, at once or not at all."""
    write_text(path, config_text(config, comments))


def resolve(name: str) -> Callable[..., Any]:
    """The factory behind a name of `MIXINGS`; imports it (and torch) now."""
    if name not in MIXINGS:
        raise ConfigError(
            f"gossip.mixing: {seen(name)}; wanted one of {', '.join(MIXINGS)}{did_you_mean(name, MIXINGS)}"
        )
    module, _, factory = MIXINGS[name].factory.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), factory)
    return found


def code_of(config: NodeConfig) -> OwnCode | None:
    """The rule where it is the user's own code, `module:name`; None where it is one of ours."""
    rule = config.gossip.mixing
    return rule if isinstance(rule, OwnCode) else None


def anchored(config: NodeConfig, folder: Path) -> NodeConfig:
    """Relative paths, taken from `folder`, become absolute: the file as run must mean the same from anywhere."""
    gossip, labels = config.gossip, config.labels
    if gossip.topology is not None:
        gossip = gossip.model_copy(update={"topology": _under(folder, gossip.topology)})
    if isinstance(labels, str):
        labels = _under(folder, labels)
    datasets, tests = (
        tuple(d.model_copy(update={"path": _path_or_name(d.path, folder)}) for d in given)
        for given in (config.datasets, config.test_datasets)
    )
    base_model = _path_or_name(config.base_model, folder)
    return config.model_copy(
        update={
            "gossip": gossip,
            "labels": labels,
            "datasets": datasets,
            "test_datasets": tests,
            "base_model": base_model,
        }
    )


def _path_or_name(said: str, folder: Path) -> str:
    """A hub name stays as it is; what looks like a path, or is there, becomes one."""
    if said in EMBEDDED:
        return said
    stands = os.path.exists(_under(folder, said.split("{")[0] or "."))
    is_path = said.startswith((".", "~", "{")) or said.endswith(DATA_SUFFIXES) or stands
    return _under(folder, said) if is_path else said


def _under(folder: Path, said: str) -> str:
    return os.path.normpath(folder / (os.path.expanduser(said)))
