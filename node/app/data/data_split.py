"""One file of texts into one a node: dealt out, with a common test set, a label list and files to start a run from.

    folder/
      n0.jsonl n1.jsonl ...  each node's texts, all columns as they were
      test.jsonl             what every node is tested on: held out by a hash of the text, or as given
      labels.txt             the ordered label list, one a line (where texts have labels)
      node.yaml              a node file that reads them; topology.yaml: a ring of these nodes
      sizes.yaml             what a topology file wants for a W weighted by data
      manifest.json          seed, digest, counts and skew

Decides the files and their names. The deal is `node.learn.dealing.partition`'s: a run that deals the same file itself
(the same partition and test_share) trains on the same texts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from node.app.data.holdings import Holdings, counted
from node.app.run.run_folder import make_folder, read_json, write_json
from node.config import NodeConfig, check_config
from node.errors import ConfigError
from node.learn.dealing.partition import BY_COLUMN, BY_LABEL, PartitionSettings, partition
from node.learn.reading.columns import Row
from node.learn.reading.data import rows_of, value_in
from node.learn.reading.docstrings import NAME
from node.learn.reading.examples import Task, digest_of, share_of
from node.learn.reading.source import DatasetSettings
from node.types import PeerId
from node.yaml_files import to_yaml, write_text

MANIFEST, TEST, LABELS, NODE, TOPOLOGY, SIZES = (
    "manifest.json", "test.jsonl", "labels.txt", "node.yaml", "topology.yaml", "sizes.yaml",
)  # fmt: skip
RESERVED = (TEST.removesuffix(".jsonl"),)


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """What is dealt out, how, to whom."""

    source: DatasetSettings
    deal: PartitionSettings
    nodes: tuple[PeerId, ...]
    task: Task | None = None  # None: classification where texts have labels, else causal_lm
    test: DatasetSettings | None = None  # None: test_share of the source is held out
    test_share: float = 0.2
    topology: Path | None = None  # the file that the nodes' ids are from; None: a ring is written


@dataclass(frozen=True, eq=False)
class Split:
    """The rows of each node, in the order of the source, and those of the common test set."""

    rows: tuple[tuple[Row, ...], ...]
    test: tuple[Row, ...]
    holdings: Holdings
    digest: str  # sha256 hex over all records read, in order: equal digests and plans, equal splits


def dealt(plan: SplitPlan) -> Split:
    """Read and deal out; nothing is written.

    Raises:
        ConfigError: nothing to read, no labels where the deal goes by labels, too few texts, classes or values.
    """
    texts = rows_of([plan.source], "", plan.task or "classification")
    train, test = _held_out(texts, plan)
    labelled = plan.task in (None, "classification")
    labels = sorted({row.label for row in (*train, *test) if row.label is not None}) if labelled else []
    if not labelled and plan.deal.by in BY_LABEL:
        raise ConfigError(f"--by {plan.deal.by} wants a label a text, which --task {plan.task} has not")
    missing = [row.where for row in train if row.label is None]
    if missing and (labels or (labelled and plan.deal.by in BY_LABEL) or plan.task == "classification"):
        raise ConfigError(f"{missing[0]}: no label in column {plan.source.label_column!r}; change --label-column")
    numbers = {label: number for number, label in enumerate(labels)}
    column = plan.deal.column if plan.deal.by in BY_COLUMN else None
    deals = partition(
        [numbers.get(row.label or "", 0) for row in train],
        len(plan.nodes),
        plan.deal,
        [value_in(row, column) for row in train] if column else None,
    )
    rows = tuple(tuple(train[int(i)] for i in deal) for deal in deals)
    held = counted(plan.nodes, [[row.label if labelled else None for row in part] for part in rows])
    return Split(rows, tuple(test), held, digest_of(_line(row) for row in (*train, *test)))


def written(plan: SplitPlan, split: Split, folder: Path, force: bool) -> dict[str, Any]:
    """Write the folder; the manifest.

    Raises:
        ConfigError: the folder holds something already and `force` is not said, or it cannot be made.
    """
    _make_room(folder, force)
    labels, task = _labels(plan, split)
    digests = {name: _write_rows(folder / name, rows) for name, rows in _files(plan, split).items()}
    if labels:
        write_text(folder / LABELS, "".join(f"{label}\n" for label in labels))
    write_text(folder / NODE, to_yaml(_node_file(plan, folder, task)))
    if plan.topology is None:
        edges = [[a, b] for a, b in zip(plan.nodes, (*plan.nodes[1:], plan.nodes[0]), strict=True)]
        addresses = {peer: f"127.0.0.1:{7001 + i}" for i, peer in enumerate(plan.nodes)}
        ring = edges if len(plan.nodes) > 2 else edges[:-1]
        write_text(folder / TOPOLOGY, to_yaml({"nodes": addresses, "edges": ring}))
    write_text(folder / SIZES, sizes_text(split.holdings))
    facts = split.holdings.facts()
    manifest = {
        "source": plan.source.path,
        "partition": {"by": plan.deal.by, **_settings(plan.deal)},
        "test": {"file": TEST, "examples": len(split.test), "share": None if plan.test else plan.test_share},
        "digest": split.digest,
        **facts,
        "labels": list(labels),
        "files": digests,
    }
    write_json(folder / MANIFEST, manifest)
    return manifest


def sizes_text(holdings: Holdings) -> str:
    """Two keys of a topology file: W then agrees on the mean over examples, not over nodes."""
    sizes = dict(zip(holdings.nodes, holdings.sizes, strict=True))
    return "# For the topology file: nodes count as much as they have texts.\n" + to_yaml(
        {"weights": "data_size", "sizes": sizes}
    )


def manifest_in(folder: Path) -> dict[str, Any]:
    """Raises ConfigError: no split is kept there."""
    found = read_json(folder / MANIFEST)
    if found is None or not isinstance(found.get("nodes"), list):
        raise ConfigError(f"{folder}: no {MANIFEST} there; wanted a folder that gossip data split wrote")
    return found


def _held_out(texts: Sequence[Row], plan: SplitPlan) -> tuple[list[Row], list[Row]]:
    """Those to train on and those to test on; by the same hash as a run holds out."""
    if plan.test is not None:
        return list(texts), rows_of([plan.test], "", plan.task or "classification")
    if plan.source.path == NAME:  # it has a test set of its own
        return list(texts), rows_of([DatasetSettings(NAME, split="test")], "")
    out = [share_of("split " + row.text) < plan.test_share for row in texts]
    train = [row for row, held in zip(texts, out, strict=True) if not held]
    return train, [row for row, held in zip(texts, out, strict=True) if held]


def _labels(plan: SplitPlan, split: Split) -> tuple[list[str], Task]:
    """The ordered list, of texts or of their words, and what the run is to be."""
    rows = [row for part in (*split.rows, split.test) for row in part]
    if plan.task == "token_classification":
        return sorted({tag for row in rows for tag in row.tags}), plan.task
    found = sorted({row.label for row in rows if row.label is not None}) if plan.task != "causal_lm" else []
    return found, "classification" if found else "causal_lm"


def _make_room(folder: Path, force: bool) -> None:
    if folder.is_dir() and any(folder.iterdir()):
        if not force:
            raise ConfigError(f"{folder}: holds files already and is left as it is; name another, or say --force")
        for name in (read_json(folder / MANIFEST) or {}).get("files", {}):
            (folder / Path(name).name).unlink(missing_ok=True)  # of an older split: a node fewer leaves no file
    make_folder(folder, "name another")


def _files(plan: SplitPlan, split: Split) -> dict[str, Sequence[Row]]:
    if taken := [peer for peer in plan.nodes if peer in RESERVED or "/" in peer]:
        raise ConfigError(f"node {taken[0]!r}: its file {taken[0]}.jsonl is not its own; wanted another id")
    return {**{f"{peer}.jsonl": rows for peer, rows in zip(plan.nodes, split.rows, strict=True)}, TEST: split.test}


def _write_rows(path: Path, rows: Iterable[Row]) -> str:
    """sha256 hex of the file."""
    text = "".join(_line(row) + "\n" for row in rows)
    write_text(path, text)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _line(row: Row) -> str:
    return json.dumps(row.record, ensure_ascii=False, default=str)


def _settings(deal: PartitionSettings) -> dict[str, Any]:
    """Those that this deal goes by."""
    quantity = {"alpha": deal.alpha} if deal.power is None else {"power": deal.power}
    own: Mapping[str, dict[str, Any]] = {
        "dirichlet": {"alpha": deal.alpha}, "quantity": quantity, "shards": {"shards": deal.shards},
        "key": {"column": deal.column}, "temporal": {"column": deal.column},
    }  # fmt: skip
    return {**own.get(deal.by, {}), "seed": deal.seed}


def _node_file(plan: SplitPlan, folder: Path, task: Task) -> dict[str, Any]:
    """As little as a run needs; checked before it is written."""
    said_of = DatasetSettings("")
    columns = {
        field.name: getattr(plan.source, field.name)
        for field in fields(DatasetSettings)
        if field.name.endswith("_column") and getattr(plan.source, field.name) != getattr(said_of, field.name)
    }
    topology = TOPOLOGY if plan.topology is None else str(plan.topology.resolve())
    said: dict[str, Any] = {
        "task": task,
        "datasets": [{"path": "{id}.jsonl", **columns}],
        "test_datasets": [{"path": TEST, **columns}],
        **({} if task == "causal_lm" else {"labels": LABELS}),
        "output_dir": f"runs/{folder.resolve().name}",
        "gossip": {"topology": topology},
    }
    checked: NodeConfig = check_config(said, str(folder / NODE))
    return said if checked else {}
