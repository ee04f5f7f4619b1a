"""What a trained parameter is called: in our vectors, inside a peft model, and in peft's files."""

from __future__ import annotations

import re

from node.learn.model.lora_settings import Method

PREFIX = "base_model.model."  # how peft names parameters in its files
PROMPT = "prompt_embeddings"  # and this one, without a prefix
FACTORS = re.compile(r"(.+)\.(?:lora_\w+|ia3_l)(?:\.weight)?$")  # a parameter that peft adds to a module


def file_name(name: str, method: Method) -> str:
    """The name of a parameter in the file that is saved."""
    if name == PROMPT or method in ("bias", "head"):
        return name
    return f"base_model.{name}" if method == "prompt" else PREFIX + name


def own_name(name: str) -> str:
    """A parameter's name in peft's files or models, without prefix and adapter name."""
    bare = name.removeprefix(PREFIX).removeprefix("base_model.").removesuffix(".default")
    if bare == "prompt_encoder.default.embedding.weight":
        return PROMPT
    return bare.replace(".modules_to_save.default.", ".").replace(".default.", ".")


def module_of(name: str) -> str | None:
    """The module that a parameter was added to; None for one that is trained whole."""
    found = FACTORS.match(name)
    return found[1] if found else None
