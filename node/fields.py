"""What the blocks of a node file are made of: kinds of values with their limits, and what all blocks have in common.

Layer 5, below `node.settings`; no torch.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from node.graph.checks import seen


def _labels(value: Any) -> tuple[str, ...] | str | None:
    """A list of names (numbers become names here), or the path of a file."""
    if value is None or (isinstance(value, str) and value.strip()):
        return value
    if not isinstance(value, list | tuple):
        raise ValueError("wanted a list of names, or the path of a file with one a line")
    return distinct([str(v) if isinstance(v, int) and not isinstance(v, bool) else v for v in value])


def distinct(names: list[Any]) -> tuple[str, ...]:
    """Two names or more, each once. Raises ValueError with what was wanted."""
    for place, name in enumerate(names):
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"item {place} is {seen(name)}; wanted a name (in quotes where YAML reads something else)")
        if name in names[:place]:
            raise ValueError(f"{seen(name)} is listed twice; wanted each label once")
    if len(names) < 2:
        raise ValueError(f"{len(names)} labels; wanted 2 or more")
    return tuple(names)


def _targets(value: Any) -> tuple[str, ...] | Literal["all-linear"] | None:
    if value is None or value == "all-linear":
        return value  # type: ignore[no-any-return]
    if not isinstance(value, list | tuple) or not value or not all(isinstance(name, str) and name for name in value):
        raise ValueError("wanted a list of module names such as [query, value], all-linear, or null")
    return tuple(value)


def some(items: tuple[Any, ...]) -> tuple[Any, ...]:
    """Not empty, no item twice. After the items were checked, so that a wrong item is told once."""
    if not items:
        raise ValueError("wanted one or more items")
    if any(item in items[:place] for place, item in enumerate(items)):
        raise ValueError("wanted each item once")
    return items


Labels: TypeAlias = Annotated[tuple[str, ...] | str | None, BeforeValidator(_labels)]
Targets: TypeAlias = Annotated[tuple[str, ...] | Literal["all-linear"] | None, BeforeValidator(_targets)]
Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=4096)]
Patterns: TypeAlias = Annotated[tuple[Name, ...], Field(strict=False), AfterValidator(some)]
Layers: TypeAlias = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(strict=False), AfterValidator(some)]
Seconds: TypeAlias = Annotated[float, Field(gt=0, le=86_400)]
Rank: TypeAlias = Annotated[int, Field(ge=1, le=1024)]
Seed: TypeAlias = Annotated[int, Field(ge=0, lt=2**32)]


class Settings(BaseModel):
    """What all parts of the file share: frozen, no unknown keys, no silent conversions, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
