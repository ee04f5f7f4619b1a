"""The options by which a verb about graphs knows how large a message is."""

from __future__ import annotations

from typing import Annotated

import typer

from node.codec.sizes import message_bytes
from node.errors import ConfigError
from node.settings import codec_of
from node.yaml_files import parse_yaml

CodecOption = Annotated[
    str | None,
    typer.Option("--codec", help="With --params: gossip.codec, e.g. int8; default: float32."),
]


def size_of(given: int | None, params: int | None, codec: str | None) -> int | None:
    """Bytes of a message; None where nobody said. Raises ConfigError: a codec that is none, or that sizes nothing."""
    if codec is not None and (given is not None or params is None):
        raise ConfigError(f"--codec {codec}: it goes with --params alone")
    if given is not None or params is None:
        return given
    try:
        return message_bytes(params, codec_of(parse_yaml(codec or "float32", "--codec")).by_channel)
    except ValueError as error:
        raise ConfigError(f"--codec {codec}: {error}") from None
