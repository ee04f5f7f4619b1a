"""YAML 1.2 files to plain values, and settings back to YAML. The only module that knows ruamel.yaml.

Decides how much a file may ask of us: size, depth, no anchors (a few lines of aliases can stand for gigabytes), no tags
that make objects. Knows nothing of what the values mean. Layer 5, below `node.config`; imports errors only.
"""

from __future__ import annotations

import io
import os
import stat
import threading
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.composer import Composer
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from node.errors import ConfigError

MAX_BYTES = 128 * 1024  # 1024 nodes with 2048 edges take 70 kB; the pure Python reader does 60 to 120 kB a second
MAX_VALUES = 10_000  # 1024 nodes with 2600 edges, keys counted; these take 0.4 to 0.8 s, 128 KiB of `[],` took 3.5
MAX_DEPTH = 16  # our files nest three deep


class _Plain(Composer):
    """Composes nodes of bounded depth and number, and no anchors."""

    values = 0
    levels = 0  # ruamel 0.19 counts `depth` itself; older ones do not

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.parser.peek_event()
        if getattr(event, "anchor", None) is not None:
            raise MarkedYAMLError(
                problem="anchors and aliases (& and *) are not read here", problem_mark=event.start_mark
            )
        if self.levels >= MAX_DEPTH:
            raise MarkedYAMLError(problem=f"nested deeper than {MAX_DEPTH} levels", problem_mark=event.start_mark)
        self.values += 1
        if self.values > MAX_VALUES:
            problem = f"more than {MAX_VALUES} values; wanted a smaller file; a large graph fits into a .json"
            raise MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        self.levels += 1
        node = super().compose_node(parent, index)
        self.levels -= 1
        return node


class _Representer(RoundTripRepresenter):
    """Writes null where ruamel leaves a gap."""

    def represent_none(self, data: None) -> Any:
        return self.represent_scalar("tag:yaml.org,2002:null", "null")


_Representer.add_representer(type(None), _Representer.represent_none)


def read_yaml(path: str | Path) -> Any:
    """Plain values (dict, list, str, int, float, bool, None) of a small YAML 1.2 file.

    Raises:
        ConfigError: one line with file and line: not there, not a file, too large, not UTF-8, empty, not YAML, a key
            given twice, an anchor.
    """
    return yaml_values(read_text(path), str(path))


def yaml_values(text: str, source: str) -> Any:
    """The same of a text. Raises ConfigError."""
    if len(text) > MAX_BYTES:
        raise ConfigError(_too_large(source, MAX_BYTES))
    value = parse_yaml(text, source)
    if value is None:
        raise ConfigError(f"{source}: empty; wanted a mapping of settings")
    return value


def read_text(path: str | Path, limit: int = MAX_BYTES) -> str:
    """Text of a UTF-8 file of at most `limit` bytes. Raises ConfigError."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would wait, a device would not end
            raise ConfigError(f"{path}: wanted a file, not a folder, pipe or device")
        with open(path, "rb") as file:
            data = file.read(limit + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(f"{path}: cannot be read: {reason}") from None
    if len(data) > limit:
        raise ConfigError(_too_large(str(path), limit))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8; wanted a text file") from None


def _too_large(source: str, limit: int) -> str:
    return f"{source}: larger than {limit // 1024} KiB; wanted a file of settings or a graph"


def parse_yaml(text: str, source: str) -> Any:
    """Values of one YAML 1.2 document; also for a value given on the command line."""
    yaml = YAML(typ="safe", pure=True)  # not the C reader: that one speaks YAML 1.1, where `no` is False
    yaml.Composer = _Plain
    try:
        return yaml.load(text)
    except YAMLError as error:
        raise ConfigError(f"{source}{_place(error)}: {_reason(error)}") from None
    except (ValueError, RecursionError, OverflowError) as error:
        raise ConfigError(f"{source}: {_one_line(str(error).split(';')[0])}; wanted plain YAML 1.2") from None


def write_text(path: str | Path, text: str) -> None:
    """Replace a file at once: a reader sees the old one or the new one."""
    target = Path(path)
    beside = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def to_yaml(values: dict[str, Any], comments: dict[str, str] | None = None) -> str:
    """YAML 1.2 text that `parse_yaml` reads back to equal values.

    Args:
        comments: dotted key -> one line, written above the key.
    """
    yaml = YAML()
    yaml.Representer = _Representer
    yaml.width = 4096  # a long list of labels stays on its line
    out = io.StringIO()
    yaml.dump(_commented(values, comments or {}, ""), out)
    return out.getvalue()


def _commented(value: Any, comments: dict[str, str], prefix: str) -> Any:
    if isinstance(value, dict):
        block = CommentedMap()
        for key, inner in value.items():
            block[key] = _commented(inner, comments, f"{prefix}{key}.")
            if f"{prefix}{key}" in comments:
                indent = 2 * prefix.count(".")
                block.yaml_set_comment_before_after_key(key, before=comments[f"{prefix}{key}"], indent=indent)
        return block
    if isinstance(value, list | tuple):
        items = CommentedSeq(_commented(item, {}, "") for item in value)
        if not any(isinstance(item, dict | list | tuple) for item in value):  # a list of pairs: a line each
            items.fa.set_flow_style()
        return items
    if isinstance(value, str) and (not value.isprintable() or value.startswith("?")):
        # left to itself ruamel writes U+0085 so that it reads a space, and ?0 in a list so that it reads a mapping
        return DoubleQuotedScalarString(value)
    return value


def _place(error: YAMLError) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    return f":{mark.line + 1}" if mark is not None else ""


def _reason(error: YAMLError) -> str:
    """First line of what ruamel says, without its advice."""
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    return _one_line(str(problem))


def _one_line(text: str) -> str:
    line = " ".join(text.split("\n")[0].split())
    return line if len(line) <= 160 else f"{line[:157]}..."
