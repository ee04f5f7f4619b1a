"""A rule of the user's own, `gossip.mixing: module:name`: allowed, found, imported, and told apart by its source.

Whoever can change that module can run anything as this user, so nothing is imported unless the command line says
--allow-code: no file can say it, and no peer. Decides where modules are looked for: where Python looks, and last in the
working directory, so that no file there can stand for an installed module.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from node.errors import ConfigError, one_line
from node.graph.checks import seen
from node.graph.reading import did_you_mean

if TYPE_CHECKING:
    from node.gossip.mixing import Mixing  # torch: `up` and `check` only ask whether a rule is allowed

KEY = "gossip.mixing"


class Code(NamedTuple):
    """A rule of the user's own."""

    mixing: Mixing
    source: str  # SHA-256 of the file that defines it, hex: nodes with different ones refuse each other


def require_allowed(name: str, allowed: bool) -> None:
    """Raises ConfigError: the node file names code, and the command line does not allow it."""
    if not allowed:
        raise ConfigError(f"{KEY}: {seen(name)} is code of your own; wanted --allow-code on the command line to run it")


def find(name: str) -> None:
    """Raises ConfigError: there is no such module. Imports its parents at most."""
    module = name.partition(":")[0]
    _look_here()
    try:
        spec = importlib.util.find_spec(module)
    except Exception as error:
        raise ConfigError(f"{KEY}: {module}: {one_line(error)}") from error
    if spec is None:
        wanted = f"wanted one that can be imported, or {module.replace('.', '/')}.py in {os.getcwd()}"
        raise ConfigError(f"{KEY}: {seen(name)}: no module {module}; {wanted}")


def load(name: str, settings: Mapping[str, Any]) -> Code:
    """Import `module:name`: a function (own, neighbours, weights, round, **settings) -> x, or a `Mixing`.

    Raises:
        ConfigError: no such module or name, an error in it, or something else than a rule.
    """
    find(name)
    module_name, _, rule_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise ConfigError(f"{KEY}: {module_name}: {one_line(error)}") from error
    if not hasattr(module, rule_name):
        hint = did_you_mean(rule_name, vars(module))
        raise ConfigError(f"{KEY}: {seen(name)}: {module.__file__} has no {rule_name}{hint}")
    found = getattr(module, rule_name)
    return Code(_rule(found, name, settings), _source(found, module))


def _rule(found: object, name: str, settings: Mapping[str, Any]) -> Mixing:
    from node.gossip.function import from_function
    from node.gossip.mixing import Mixing

    if isinstance(found, Mixing):
        if settings:
            raise ConfigError(f"{KEY}: {', '.join(settings)}: {name} is a Mixing, which takes no settings; remove them")
        return found
    if not callable(found):
        raise ConfigError(f"{KEY}: {name} is a {type(found).__name__}; wanted a function or a node.Mixing")
    return from_function(partial(found, **settings) if settings else found)


def _source(found: object, module: ModuleType) -> str:
    """Of the file that defines it: of what that imports in turn, nothing is compared."""
    inner: Callable[..., Any] | ModuleType = inspect.unwrap(found) if inspect.isfunction(found) else module
    try:
        path = inspect.getsourcefile(inner)
    except TypeError:
        path = None
    if path is None:
        raise ConfigError(f"{KEY}: {module.__name__} has no source file; wanted one, which the nodes compare")
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _look_here() -> None:
    here = os.getcwd()  # `python -m` has put it first
    sys.path[:] = [*(path for path in sys.path if path not in ("", here)), here]
