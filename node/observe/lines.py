"""Files of one JSON document a line that a kill leaves readable: round records and the journal are two of them.

A line is whole or it is not there. A process that is killed leaves a torn last line at worst: the reader leaves it out
and the next writer cuts it off. Knows nothing of what the lines say.
"""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path


class LineWriter:
    """Appends lines to a file, each in the operating system's hands when `write` returns.

    A SIGKILL afterwards loses nothing; a power cut may lose the last ones.

    Attributes:
        size: bytes of the file.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        cut_torn_line(path)
        self._file = path.open("ab", buffering=0)
        self.size = os.fstat(self._file.fileno()).st_size

    def write(self, line: str) -> None:
        """Append `line`, which holds no newline.

        Raises:
            OSError: no room, mostly. The file is as it was.
        """
        data = line.encode() + b"\n"
        try:
            rest = memoryview(data)
            while rest:  # a disk that fills up takes a part of it first
                rest = rest[self._file.write(rest) :]
        except OSError:
            self._file.truncate(self.size)
            raise
        self.size += len(data)

    def close(self) -> None:
        self._file.close()


def cut_torn_line(path: Path) -> None:
    """Drops what follows the last newline: the writer before us was killed in the middle of a line."""
    if not path.exists():
        return
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(path, whole)


def whole_lines(path: Path) -> list[str]:
    """The lines of a file, plain or .gz, without what follows the last newline. Bytes that are no UTF-8 become U+FFFD.

    Raises:
        FileNotFoundError: no such file.
        OSError: cannot be read, or a .gz that is damaged.
    """
    data = path.read_bytes()
    if path.suffix == ".gz":
        try:
            data = gzip.decompress(data)
        except (EOFError, zlib.error) as error:
            raise OSError(f"{path}: not a whole gzip file ({error})") from error
    return data.decode("utf-8", errors="replace").split("\n")[:-1]
