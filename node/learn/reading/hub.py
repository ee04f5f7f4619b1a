"""Records of a data set that the package `datasets` opens: a name on the hub, or a local folder of files.

Read in blocks. Streamed, a set is never downloaded or held as a whole: whoever stops asking stops the reading, too.
Class numbers become their names. The package is optional, and imported only here.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Sequence
from typing import Any

from node.errors import ConfigError
from node.learn.reading.source import Record

BLOCK = 256  # records read at a time


def records(path: str, split: str, streaming: bool = False) -> Iterator[Record]:
    """The records of one split, in order.

    Args:
        streaming: read block by block as they are asked for, instead of preparing the whole set first.

    Raises:
        ConfigError: the package is missing, or the set cannot be read.
    """
    if importlib.util.find_spec("datasets") is None:
        raise ConfigError(
            f"datasets: {path!r} is no file or folder here, and as a datasets name it needs "
            f"the package datasets; give an existing path, or run: pip install datasets"
        )
    datasets: Any = importlib.import_module("datasets")
    number = 0
    try:
        table = datasets.load_dataset(path, split=split, streaming=streaming)
        names = {column: _names_in(feature) for column, feature in (table.features or {}).items()}
        for block in table.iter(batch_size=BLOCK):
            for values in zip(*block.values(), strict=True):
                said = {c: _spelt(value, names.get(c, ())) for c, value in zip(block, values, strict=True)}
                yield Record(said, f"{path}[{split}]:{number}")
                number += 1
    except Exception as error:  # its errors share no root: network, cache, format, permission
        reason = str(error).strip().split("\n")[0][:160]
        raise ConfigError(
            f"datasets: {path!r} split {split!r} cannot be read, from record {number} on ({reason})"
        ) from error


def _names_in(feature: Any) -> Sequence[str]:
    """The class names of a column (or of the items of a list) that holds numbers for them; () of all others."""
    return getattr(feature, "names", None) or getattr(getattr(feature, "feature", None), "names", None) or ()


def _spelt(value: Any, names: Sequence[str]) -> Any:
    """A number as the name of its class; what has no names stays."""
    if isinstance(value, list) and names:
        return [_spelt(item, names) for item in value]
    return names[value] if names and isinstance(value, int) and 0 <= value < len(names) else value
