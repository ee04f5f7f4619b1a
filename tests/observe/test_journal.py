"""One JSON line a fact: torn, full, set aside, dropped, and read back in order."""

from __future__ import annotations

import errno
import gzip
import json
import logging
import math
import os
import threading
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import LocalFault
from node.observe.journal import Entry, Journal, read_journal
from node.observe.lines import LineWriter


def journal(folder: Path, epoch: int = 1, **limits: int) -> Journal:
    return Journal(folder / "journal.jsonl", epoch, monotonic=count(5.0, 0.5).__next__, clock=lambda: 100.0, **limits)


def facts(folder: Path) -> list[tuple[str, int, int | None]]:
    return [(entry.event, entry.epoch, entry.n) for entry in read_journal(folder)]


def test_a_fact_is_one_line_with_event_number_times_and_epoch(tmp_path):
    with journal(tmp_path / "n0", epoch=3) as notes:
        notes.note("apply", {"from": "n1", "seq": 4}, hop=0)

    (line,) = (tmp_path / "n0" / "journal.jsonl").read_text().splitlines()
    assert json.loads(line) == {
        "event": "apply", "n": 0, "t": 5.0, "time": 100.0, "epoch": 3, "from": "n1", "seq": 4, "hop": 0,
    }  # fmt: skip


def test_a_fact_comes_back_with_its_place(tmp_path):
    with journal(tmp_path) as notes:
        notes.note("leave", round=3)
        notes.note("finish", round=4)

    assert list(read_journal(tmp_path)) == [
        Entry("leave", f"{tmp_path}/journal.jsonl:1", 0, 5.0, 100.0, 1, {"round": 3}),
        Entry("finish", f"{tmp_path}/journal.jsonl:2", 1, 5.5, 100.0, 1, {"round": 4}),
    ]


def test_a_field_may_repeat_the_head_of_a_line_but_not_contradict_it(tmp_path):
    with journal(tmp_path) as notes:
        notes.note("send", {"epoch": 1, "to": "n1"})
        with pytest.raises(LocalFault, match="apply with epoch 9, ours is 1"):
            notes.note("apply", {"epoch": 9, "from": "n1"})
        notes.note("apply", {"from_epoch": 9, "from": "n1"})
    assert [(e.event, e.epoch, e.n) for e in read_journal(tmp_path)] == [("send", 1, 0), ("apply", 1, 1)]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_null_wherever_it_stands(tmp_path, value):
    with journal(tmp_path) as notes:
        notes.note("mix", mass={"w": value, "sent": {"n1": value}, "list": [1.0, value]})
    (entry,) = read_journal(tmp_path)
    assert entry["mass"] == {"w": None, "sent": {"n1": None}, "list": [1.0, None]}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
names = st.text(min_size=1).filter(lambda name: name not in ("event", "n", "t", "time", "epoch"))


@given(fields=st.dictionaries(names, json_values, max_size=4))
def test_every_fact_comes_back_from_its_line(tmp_path_factory, fields):
    folder = tmp_path_factory.mktemp("journal")
    with journal(folder) as notes:
        notes.note("any", fields)
    (entry,) = read_journal(folder)
    assert dict(entry.fields) == fields


def test_a_fact_is_in_the_file_before_the_journal_is_closed(tmp_path):
    notes = journal(tmp_path)
    notes.note("start")
    assert facts(tmp_path) == [("start", 1, 0)]
    notes.close()


def test_a_torn_last_line_is_left_out_and_cut_off_by_the_next_process(tmp_path):
    with journal(tmp_path) as notes:
        notes.note("start")
        notes.note("mix")
    path = tmp_path / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    assert facts(tmp_path) == [("start", 1, 0)]

    with journal(tmp_path, epoch=2) as notes:
        notes.note("start")
    assert facts(tmp_path) == [("start", 1, 0), ("start", 2, 0)]


@pytest.mark.parametrize("line", [b"{", b"[]", b'{"event": "mix"}', b"\xff\xfe", b"null", b""])
def test_a_whole_line_that_is_no_fact_is_shown_and_the_rest_is_read(tmp_path, line):
    with journal(tmp_path) as notes:
        notes.note("start")
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write(line + b"\n")
    with journal(tmp_path, epoch=2) as notes:
        notes.note("start")

    seen = list(read_journal(tmp_path))
    assert [entry.event for entry in seen] == ["start", "damaged", "start"]
    assert seen[1].place == f"{tmp_path}/journal.jsonl:2"
    assert "not a fact" in seen[1]["reason"]


# ---- set aside
def test_full_files_are_set_aside_packed_and_read_in_order(tmp_path):
    with journal(tmp_path, limit_bytes=300) as notes:
        for round in range(60):
            notes.note("mix", round=round)

    names = sorted(path.name for path in tmp_path.iterdir())
    assert "journal.1.jsonl.gz" in names
    assert "journal.10.jsonl.gz" in names  # ten sorts after two
    assert not [name for name in names if name.endswith((".tmp", ".1.jsonl"))]
    assert [entry["round"] for entry in read_journal(tmp_path)] == list(range(60))
    assert all(path.stat().st_size < 400 for path in tmp_path.iterdir())


def test_a_place_in_a_packed_file_is_the_line_that_zcat_shows(tmp_path):
    with journal(tmp_path, limit_bytes=300) as notes:
        for round in range(20):
            notes.note("mix", round=round)
    for entry in read_journal(tmp_path):
        path, _, number = entry.place.rpartition(":")
        data = Path(path).read_bytes()
        text = (gzip.decompress(data) if path.endswith(".gz") else data).decode()
        assert json.loads(text.splitlines()[int(number) - 1])["round"] == entry["round"]


def test_a_file_that_a_killed_process_set_aside_unpacked_counts_once_and_is_packed_by_the_next(tmp_path):
    with journal(tmp_path, limit_bytes=300) as notes:
        for round in range(10):
            notes.note("mix", round=round)
    packed = tmp_path / "journal.2.jsonl.gz"
    plain = packed.with_suffix("")
    plain.write_bytes(gzip.decompress(packed.read_bytes()))  # killed between the packing and the removal
    assert [entry["round"] for entry in read_journal(tmp_path)] == list(range(10))

    packed.unlink()  # killed before the packing
    assert [entry["round"] for entry in read_journal(tmp_path)] == list(range(10))

    journal(tmp_path, epoch=2).close()
    assert packed.exists()
    assert not plain.exists()
    assert [entry["round"] for entry in read_journal(tmp_path)] == list(range(10))


def test_nothing_is_dropped_unless_a_limit_says_so(tmp_path):
    with journal(tmp_path, limit_bytes=1) as notes:
        for round in range(100):
            notes.note("mix", round=round)
    assert len(list(tmp_path.glob("journal.*.jsonl.gz"))) == 100


def test_what_a_limit_drops_is_told_in_the_next_file(tmp_path):
    with journal(tmp_path, limit_bytes=300, keep=2) as notes:
        for round in range(30):
            notes.note("mix", round=round)

    seen = list(read_journal(tmp_path))
    assert len(list(tmp_path.glob("journal.*.jsonl.gz"))) == 2
    told = [entry["files"] for entry in seen if entry.event == "dropped"]
    first = int(seen[0].place.split("journal.")[1].split(".")[0])
    assert told[-1] == [f"journal.{first - 1}.jsonl.gz"]
    assert [entry.n for entry in seen] == list(range(seen[0].n, seen[-1].n + 1))


def test_a_damaged_packed_file_is_shown_and_the_rest_is_read(tmp_path):
    with journal(tmp_path, limit_bytes=300) as notes:
        for round in range(10):
            notes.note("mix", round=round)
    packed = tmp_path / "journal.1.jsonl.gz"
    packed.write_bytes(packed.read_bytes()[:-9])

    seen = list(read_journal(tmp_path))
    assert (seen[0].event, seen[0].place) == ("damaged", f"{packed}:1")
    assert seen[-1]["round"] == 9


# ---- no room
class Full:
    """A file on a disk that has room for so many bytes more, and takes what fits."""

    def __init__(self, file, room: int) -> None:
        self.file, self.room = file, room

    def write(self, data) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        part = data[: self.room]
        self.room -= len(part)
        return self.file.write(part)

    def truncate(self, size: int) -> None:
        self.file.truncate(size)

    def close(self) -> None:
        self.file.close()


def test_a_full_disk_costs_facts_but_not_the_node_and_is_told_when_there_is_room(tmp_path, caplog):
    notes = journal(tmp_path)
    notes.note("start")
    full = Full(notes._file._file, room=20)
    notes._file._file = full

    with caplog.at_level(logging.WARNING):
        notes.note("mix", round=0)
        notes.note("mix", round=1)
    assert facts(tmp_path) == [("start", 1, 0)]
    assert notes.lost == 2
    assert [record.message for record in caplog.records] == [
        f"{tmp_path}/journal.jsonl: facts are lost until there is room (No space left on device)"
    ]

    full.room = 10_000
    notes.note("mix", round=2)
    notes.close()
    assert facts(tmp_path) == [("start", 1, 0), ("lost", 1, 1), ("mix", 1, 2)]
    assert list(read_journal(tmp_path))[1]["count"] == 2


def test_a_line_for_which_there_is_no_room_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "lines"
    writer = LineWriter(path)
    writer.write("whole")
    writer._file = Full(writer._file, room=3)
    with pytest.raises(OSError, match="No space left"):
        writer.write("too long")
    writer.close()
    assert path.read_bytes() == b"whole\n"
    assert writer.size == 6


def test_facts_of_several_threads_are_whole_and_numbered(tmp_path):
    notes = Journal(tmp_path / "journal.jsonl", 1, limit_bytes=2_000)

    def work(name: str) -> None:
        for i in range(100):
            notes.note("mix", who=name, i=i)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    notes.close()

    seen = list(read_journal(tmp_path))
    assert [entry.n for entry in seen] == list(range(400))
    assert sorted((e["who"], e["i"]) for e in seen) == sorted((w, i) for w in "abcd" for i in range(100))
