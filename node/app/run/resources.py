"""What a process takes of the machine, as the kernel counts it, in bytes."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

KIB = 1024
ROLLUP = Path("/proc/self/smaps_rollup")


def memory(rollup: Path = ROLLUP) -> dict[str, int]:
    """{"peak_rss", "pss", "uss"} of this process; the last two where the kernel tells them (Linux).

    peak_rss: the most that was resident at once, shared pages included: the sum over nodes counts a common base often.
    pss: resident now, each page divided by how many processes share it: the sum over nodes is what they take.
    uss: resident now and in no other process: what the end of this process would free.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {"peak_rss": peak if sys.platform == "darwin" else peak * KIB}
    try:
        lines = [line.split() for line in rollup.read_text().splitlines()[1:]]
    except OSError:
        return found
    kib = {words[0].rstrip(":"): int(words[1]) for words in lines}
    uss = kib.get("Private_Clean", 0) + kib.get("Private_Dirty", 0)
    return found | {"pss": kib.get("Pss", 0) * KIB, "uss": uss * KIB}
