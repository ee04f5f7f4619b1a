"""From one record of a data file to one row: which columns hold the text, the answer, the tags.

Decides what a record must have for its task, and refuses it with file, line and what was wanted. Knows no files.
Records of a causal language model come in four kinds, told from the columns of the first one unless the user says:

    text        {"text": ...}                                            trained on as a whole
    pairs       {"prompt": ..., "response": ...}                         trained on the response
    alpaca      {"instruction": ..., "input": ..., "output": ...}        the same; input may be empty or absent
    messages    {"messages": [{"role": "user", "content": ...}, ...]}    trained on what the assistant says
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from node.errors import ConfigError
from node.learn.reading.examples import Task, Turn
from node.learn.reading.source import DatasetSettings, Kind, Record

ROLES = ("system", "user", "assistant")


class Row(NamedTuple):
    """One example as read, its labels still words; `where` is file:line."""

    text: str
    label: str | None
    where: str
    record: Mapping[str, Any]  # all columns
    words: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    turns: tuple[Turn, ...] = ()


def rows(records: Iterable[Record], source: DatasetSettings, task: Task) -> Iterator[Row]:
    """One row a record.

    Raises:
        ConfigError: a record without what its task wants.
    """
    kind = source.kind
    for record in records:
        if task == "classification":
            yield _labelled(record, source)
        elif task == "token_classification":
            yield _tagged(record, source)
        else:
            kind = kind or kind_of(record.values, source)
            yield _conversation(record, source, kind) if kind != "text" else _labelled(record, source)


def kind_of(values: Any, source: DatasetSettings) -> Kind:
    """What a record of these columns is."""
    names = set(values) if isinstance(values, Mapping) else set()
    if source.messages_column in names:
        return "messages"
    if {source.prompt_column, source.response_column} <= names:
        return "pairs"
    return "alpaca" if {"instruction", "output"} <= names else "text"


def _labelled(record: Record, source: DatasetSettings) -> Row:
    text = _string(record, source.text_column, "text", "text_column")
    label = record.values.get(source.label_column)
    return Row(text, None if label is None else str(label), record.where, record.values)


def _string(record: Record, column: str, what: str, setting: str) -> str:
    values = record.values
    if not isinstance(values, Mapping) or not isinstance(values.get(column), str):
        change = f"; change {setting}" if setting else ""
        raise ConfigError(f"{record.where}: no {what} in column {column!r} (there: {_there(values)}){change}")
    found: str = values[column]
    return found


def _there(values: Any) -> str:
    return ", ".join(map(str, values)) if isinstance(values, Mapping) else type(values).__name__


def _tagged(record: Record, source: DatasetSettings) -> Row:
    words = _list(record, source.tokens_column, "list of words", "tokens_column")
    tags = _list(record, source.tags_column, "list of tags", "tags_column")
    if len(words) != len(tags):
        raise ConfigError(f"{record.where}: {len(words)} words and {len(tags)} tags; wanted one tag a word")
    blank = next((place for place, word in enumerate(words) if not word.strip()), None)
    if blank is not None:
        raise ConfigError(f"{record.where}: word {blank} of column {source.tokens_column!r} is empty; wanted a word")
    return Row(" ".join(words), None, record.where, record.values, words=words, tags=tags)


def _list(record: Record, column: str, what: str, setting: str) -> tuple[str, ...]:
    values = record.values
    found = values.get(column) if isinstance(values, Mapping) else None
    if not isinstance(found, Sequence) or isinstance(found, str):
        raise ConfigError(f"{record.where}: no {what} in column {column!r} (there: {_there(values)}); change {setting}")
    odd = [item for item in found if not isinstance(item, str | int) or isinstance(item, bool)]
    if odd:
        raise ConfigError(f"{record.where}: {odd[0]!r} in column {column!r}; wanted a {what}")
    return tuple(map(str, found))


def _conversation(record: Record, source: DatasetSettings, kind: Kind) -> Row:
    if kind == "messages":
        turns = _messages(record, source.messages_column)
    elif kind == "pairs":
        prompt = _string(record, source.prompt_column, "prompt", "prompt_column")
        turns = (
            Turn("user", prompt),
            Turn("assistant", _string(record, source.response_column, "answer", "response_column")),
        )
    else:
        turns = (Turn("user", _instruction(record)), Turn("assistant", _string(record, "output", "answer", "")))
    empty = next((turn.role for turn in turns if not turn.content.strip() and turn.role != "system"), None)
    if empty is not None:
        what = "answer" if empty == "assistant" else "question"
        raise ConfigError(f"{record.where}: the {what} is empty; wanted text, or the record left out")
    return Row(
        "\n".join(f"{turn.role}: {turn.content}" for turn in turns), None, record.where, record.values, turns=turns
    )


def _instruction(record: Record) -> str:
    said, given = _string(record, "instruction", "instruction", ""), record.values.get("input")
    if given is not None and not isinstance(given, str):
        raise ConfigError(f"{record.where}: {given!r} in column 'input'; wanted text, or nothing")
    return f"{said}\n\n{given}" if given and given.strip() else said


def _messages(record: Record, column: str) -> tuple[Turn, ...]:
    found = record.values.get(column) if isinstance(record.values, Mapping) else None
    if not isinstance(found, Sequence) or isinstance(found, str):
        there = _there(record.values)
        raise ConfigError(f"{record.where}: no list in column {column!r} (there: {there}); change messages_column")
    turns = tuple(_turn(item, f"{record.where}: {column}[{place}]") for place, item in enumerate(found))
    if len(turns) < 2 or turns[-1].role != "assistant":
        last = turns[-1].role if turns else "nobody"
        raise ConfigError(
            f"{record.where}: {len(turns)} messages, the last from {last}; wanted a question and, at the end, an "
            f"answer (role assistant)"
        )
    return turns


def _turn(item: Any, where: str) -> Turn:
    role, content = (item.get("role"), item.get("content")) if isinstance(item, Mapping) else (None, None)
    if role not in ROLES or not isinstance(content, str):
        raise ConfigError(f"{where}: {str(item)[:60]}; wanted role ({', '.join(ROLES)}) and content (text)")
    return Turn(role, content)
