"""What a process says, in a file that does not grow without end: log.txt, then log.1.txt, log.2.txt ... (the oldest).

The process turns its own file over: it renames it and points its descriptors 1 and 2 to a new one. So nothing is lost,
tracebacks and what native code prints included. (logging's RotatingFileHandler never sees those; copy and truncate
loses what is written between the two.)
"""

from __future__ import annotations

import os
import threading
from itertools import pairwise
from pathlib import Path
from typing import TextIO

LOOK = 5.0  # seconds between two looks at the size


def redirect(log: Path) -> None:
    """Standard output and error of this process go to the end of `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


def turn_over(log: Path, limit_bytes: int, keep: int) -> bool:
    """Starts a new file where `log`, to which this process was redirected, has grown to the limit; whether it has.

    Args:
        keep: older files that stay, 1 or more.
    """
    if log.stat().st_size < limit_bytes:
        return False
    older = [log, *(_older(log, number) for number in range(1, keep + 1))]
    for newer, path in reversed(list(pairwise(older))):
        if newer.exists():
            newer.replace(path)
    redirect(log)
    return True


def turn_over_when_full(log: Path, limit_bytes: int, keep: int) -> None:
    """Looks every five seconds from now on, from a thread of its own: call it after the last fork."""
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(LOOK):
            try:
                turn_over(log, limit_bytes, keep)
            except OSError as error:  # the folder was removed under us, mostly
                print(f"{log}: is not turned over any more ({error.strerror})", flush=True)
                return

    threading.Thread(target=look, name="log", daemon=True).start()


def files_of(log: Path) -> list[Path]:
    """`log` and the older files beside it, the oldest first."""
    older: list[Path] = []
    while (path := _older(log, len(older) + 1)).exists():
        older.append(path)
    return [*reversed(older), *([log] if log.exists() else [])]


def _older(log: Path, number: int) -> Path:
    return log.with_name(f"{log.stem}.{number}{log.suffix}")


class Tail:
    """Reads what comes to the end of a log, over turns.

    Args:
        log: the file; what it holds now is read first.
    """

    def __init__(self, log: Path) -> None:
        self._log, self._file, self._turned = log, _open(log), False

    def read(self) -> str:
        """What was written since the last call.

        A file that has lost its name is left one call later: its process may write to it until it has opened the next.
        """
        text = self._file.read()
        if self._turned:
            self._file.close()
            self._file = _open(self._log)
            text += self._file.read()
        self._turned = self._has_turned()
        return text

    def _has_turned(self) -> bool:
        try:
            return not os.path.samestat(os.fstat(self._file.fileno()), self._log.stat())
        except FileNotFoundError:  # between two names
            return False

    def close(self) -> None:
        self._file.close()


def _open(log: Path) -> TextIO:
    return log.open(encoding="utf-8", errors="replace")
