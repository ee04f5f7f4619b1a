from __future__ import annotations

from pathlib import Path

import pytest

from node.app.run.resources import ROLLUP, memory

SAID = """\
00400000-7ffd0000 ---p 00000000 00:00 0                                  [rollup]
Rss:               58000 kB
Pss:               20000 kB
Private_Clean:       300 kB
Private_Dirty:     12000 kB
"""


def test_what_the_kernel_counts_is_told_in_bytes(tmp_path: Path) -> None:
    rollup = tmp_path / "rollup"
    rollup.write_text(SAID)

    told = memory(rollup)

    assert told["pss"] == 20_000 * 1024
    assert told["uss"] == 12_300 * 1024
    assert told["peak_rss"] > 1_000_000


def test_where_the_kernel_does_not_tell_only_the_peak_is_known(tmp_path: Path) -> None:
    assert set(memory(tmp_path / "nowhere")) == {"peak_rss"}


@pytest.mark.skipif(not ROLLUP.exists(), reason="this kernel does not tell")
def test_private_pages_are_among_the_proportional_ones_and_those_in_the_peak() -> None:
    told = memory()

    assert 0 < told["uss"] <= told["pss"] <= told["peak_rss"]
