"""Where examples come from, as the user says it: one source, its format and the names of its columns. Reads nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

FORMATS = ("jsonl", "csv", "parquet", "conll", "folder", "text", "datasets")
ENDINGS = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet", ".txt": "text", ".md": "text",
    ".conll": "conll", ".bio": "conll", ".iob": "conll", ".iob2": "conll",
}  # fmt: skip
Kind: TypeAlias = Literal["text", "pairs", "alpaca", "messages"]


@dataclass(frozen=True, slots=True)
class DatasetSettings:
    """One source of examples. `{id}` in the path stands for the node's id."""

    path: str
    split: str | None = None  # of a `datasets` name; None: "train"
    text_column: str = "text"
    label_column: str = "label"
    tokens_column: str = "tokens"
    tags_column: str = "tags"
    prompt_column: str = "prompt"
    response_column: str = "response"
    messages_column: str = "messages"
    kind: Kind | None = None  # of a causal language model's records, see `columns`; None: told from the first
    format: str | None = None  # one of FORMATS; None: told by the ending
    streaming: bool = False  # of a `datasets` name: read it by blocks, and no more of it than `take`
    take: int | None = None  # records, the first ones; None: all


class Record(NamedTuple):
    """What a reader gives: the values of one record by column, and where they stand (file:line)."""

    values: Any
    where: str
