"""Named places in the commit path where a test lets this process die, stop or fail, to see what survives.

Decides what happens at the N-th passage of a place; the place calls `hit` and knows nothing else. Unarmed, a hit is one
look into an empty table. Nothing here reads the environment: `node.app` does, and arms what `GOSSIP_FAILPOINTS` says:

    checkpoint.before-rename:kill@3,n1/edge.before-send:pause      the second one in node n1 only

Counts begin at the start of the process. The idea is FreeBSD's fail(9), as in TiKV's fail-rs; no random firing: a test
that wants chance draws N itself, and can name what it drew.
"""

from __future__ import annotations

import errno
import os
import re
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from node.errors import ConfigError

VARIABLE = "GOSSIP_FAILPOINTS"
POINTS = (
    "checkpoint.before-write",  # the temporary file is open and empty
    "checkpoint.mid-write",  # half of it is written
    "checkpoint.before-fsync",
    "checkpoint.before-rename",
    "checkpoint.after-rename",
    "checkpoint.after-fsync-folder",  # the checkpoint is committed, the oldest one not yet deleted
    "edge.before-send",
    "edge.after-send",
    "edge.before-apply",
    "edge.after-apply",
)


def _kill(name: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _pause(name: str) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _fail(name: str) -> None:
    raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)} (failpoint {name})")


ACTIONS: Mapping[str, Callable[[str], None]] = {"kill": _kill, "error": _fail, "pause": _pause}
ENTRY = re.compile(r"(?:(?P<node>[^/:@]+)/)?(?P<point>[^/:@]+):(?P<action>[^/:@]+)(?:@(?P<nth>[1-9][0-9]*))?")


@dataclass(slots=True)
class _Armed:
    actions: dict[int, str]  # at which hit -> what
    hits: int = 0


_armed: dict[str, _Armed] = {}


def hit(name: str) -> None:
    """Nothing, unless `name` is armed and this is the hit it waits for.

    Raises:
        OSError: ENOSPC, where the action is `error`.
    """
    if (armed := _armed.get(name)) is not None:
        armed.hits += 1
        if (action := armed.actions.get(armed.hits)) is not None:
            ACTIONS[action](name)


def arm(spec: str, node: str = "") -> tuple[str, ...]:
    """From here on `spec` holds, and nothing that was armed before; "" disarms.

    Args:
        spec: `[NODE/]POINT:ACTION[@N]`, with commas between; N: at which hit, 1 where it is not said.
        node: who we are; entries for others are checked and left out.

    Returns:
        the entries that are ours.

    Raises:
        ConfigError: an entry that is not of this form, a point or an action that does not exist.
    """
    entries = [(text, _parse(text)) for part in spec.split(",") if (text := part.strip())]
    ours = [(text, entry) for text, entry in entries if entry["node"] in (None, node)]
    _armed.clear()
    for _, entry in ours:
        point = _armed.setdefault(entry["point"] or "", _Armed({}))
        point.actions[int(entry["nth"] or 1)] = entry["action"] or ""
    return tuple(text for text, _ in ours)


def _parse(text: str) -> dict[str, str | None]:
    found = ENTRY.fullmatch(text)
    if found is None:
        raise ConfigError(f"{VARIABLE}: {text!r}, wanted [NODE/]POINT:ACTION[@N] such as {POINTS[3]}:kill@3")
    if found["point"] not in POINTS:
        raise ConfigError(f"{VARIABLE}: {text!r}: no point {found['point']!r}, wanted one of {', '.join(POINTS)}")
    if found["action"] not in ACTIONS:
        raise ConfigError(f"{VARIABLE}: {text!r}: no action {found['action']!r}, wanted one of {', '.join(ACTIONS)}")
    return found.groupdict()
