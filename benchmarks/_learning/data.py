"""Real text as files that a node file can name. The sets are found, never copied into the project.

They lie in the folder that the environment variable GOSSIP_DATA names, or in shared/data beside the checkout; what a
benchmark needs of them is written as jsonl into a folder of this user below the system's temporary one.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from _figures import ROOT

from node.errors import ConfigError

VARIABLE = "GOSSIP_DATA"
PLACES = (ROOT.parent / "shared" / "data", ROOT / "shared" / "data", ROOT.parent.parent / "shared" / "data")
Row: TypeAlias = dict[str, str]  # text, label, and whatever else a column may be made of


class Data(NamedTuple):
    """A set, in the words of a node file."""

    datasets: tuple[Mapping[str, Any], ...]
    tests: tuple[Mapping[str, Any], ...]  # (): a share of the texts
    labels: tuple[str, ...] | None  # None: the set has a list of its own

    def settings(self) -> dict[str, Any]:
        """Keys of a node file."""
        return {"datasets": list(self.datasets), "test_datasets": list(self.tests), "labels": self.labels}


def data(name: str) -> Data:
    """A set by name: one of SETS. Raises ConfigError where its folder is not on this machine."""
    if name == "docstrings":
        return Data(({"path": "stdlib-docstrings"},), (), None)
    train, test = _files(name)
    labels = tuple(dict.fromkeys(row["label"] for row in _read(train)))
    return Data(({"path": str(train)},), ({"path": str(test)},), tuple(sorted(labels)))


def folder() -> Path:
    """Where the sets lie. Raises ConfigError."""
    given = os.environ.get(VARIABLE)
    for there in [Path(given)] if given else PLACES:
        if (there / "clinc150").is_dir():
            return there
    seen = given or ", ".join(map(str, PLACES))
    raise ConfigError(f"{VARIABLE}: no folder clinc150 in {seen}; name the folder that holds clinc150 and snips by it")


def place() -> Path:
    """A folder of this user that stays between two runs."""
    made = Path(tempfile.gettempdir()) / f"gossip-learning-{os.getuid()}"
    made.mkdir(mode=0o700, exist_ok=True)
    return made


def written(name: str, rows: Iterable[Row]) -> Path:
    """A jsonl file of these rows, at once or not at all; the same name holds the same rows."""
    path = place() / f"{name}.jsonl"
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    temporary.replace(path)
    return path


@lru_cache
def clinc(split: str) -> tuple[Row, ...]:
    """Requests in scope, with columns text, intent and domain; split: train (15,000), val (3,000) or test (4,500)."""
    there = folder() / "clinc150"
    domains = json.loads((there / "domains.json").read_text())
    of = {intent: domain for domain, intents in domains.items() for intent in intents}
    rows = json.loads((there / "data_full.json").read_text())[split]
    return tuple({"text": text, "intent": intent, "domain": of[intent]} for text, intent in rows)


@lru_cache
def snips(split: str) -> tuple[Row, ...]:
    """Requests to a voice assistant, with columns text and intent; split: train (about 1,900 an intent) or test."""
    rows = []
    ending = "_full.json" if split == "train" else ".json"
    prefix = "train_" if split == "train" else "validate_"
    for path in sorted((folder() / "snips").glob(f"{prefix}*{ending}")):
        intent = path.name.removeprefix(prefix).removesuffix(ending)
        for request in json.loads(path.read_text(encoding="latin-1"))[intent]:
            rows.append({"text": "".join(part["text"] for part in request["data"]).strip(), "intent": intent})
    return tuple(rows)


def chosen(count: int) -> tuple[str, ...]:
    """The first `count` intents of CLINC's domain file: whole domains, so that neighbours are easily mistaken."""
    domains = json.loads((folder() / "clinc150" / "domains.json").read_text())
    return tuple([intent for intents in domains.values() for intent in intents][:count])


def _intents(count: int, every: int = 1) -> Callable[[str], Iterable[Row]]:
    """Requests of the first `count` intents, one of `every`."""

    def rows(split: str) -> Iterable[Row]:
        wanted = set(chosen(count))
        splits = ("train",) if split == "train" else ("val", "test")
        found = [{**r, "label": r["intent"]} for s in splits for r in clinc(s) if r["intent"] in wanted]
        return found[::every]

    return rows


def _domains(split: str) -> Iterable[Row]:
    return ({**row, "label": row["domain"]} for row in clinc(split))


def _snips(split: str) -> Iterable[Row]:
    return ({**row, "label": row["intent"]} for row in snips(split))


SETS: Mapping[str, Callable[[str], Iterable[Row]]] = {
    "intents16": _intents(16),  # 1,600 texts, tested on 800
    "few16": _intents(16, every=5),  # for --quick: a fifth of them
    "intents64": _intents(64),
    "intents150": _intents(150),
    "domains": _domains,  # 15,000 texts of 10 domains, tested on 4,500
    "snips": _snips,  # 13,784 texts of 7 intents, tested on 700
}


@lru_cache
def _files(name: str) -> tuple[Path, Path]:
    if name not in SETS:
        raise ConfigError(f"data: {name!r}; wanted one of docstrings, {', '.join(SETS)}")
    train, test = (written(f"{name}-{split}", SETS[name](split)) for split in ("train", "test"))
    return train, test


def _read(path: Path) -> Iterable[Row]:
    return map(json.loads, path.read_text(encoding="utf-8").splitlines())
