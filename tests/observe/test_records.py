"""One JSON line a round, and back; torn files."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import BadMessage
from node.observe.records import RecordWriter, RoundRecord, Seconds, from_line, read_records, to_line

RECORD = RoundRecord(
    round=3,
    time=1234.5,
    loss=0.5,
    accuracy=0.25,
    seconds=Seconds(train=1.5, exchange=0.25),
    bytes_sent=100,
    bytes_received=90,
    contributions=2,
    missing=("n3",),
    staleness={"n1": 0, "n2": -1},
    local_distance=0.125,
    intact=False,
    settled=0.5,
    before=b"\x00\x00\x80\x3f",
    after=b"",
    product=b"\x00\x00\x00\x40",
    predicted_contraction=1 / 3,
)


def test_a_line_is_strict_json_with_the_words_of_the_design():
    fields = json.loads(to_line(RECORD))
    assert fields["seconds"] == {"train": 1.5, "exchange": 0.25}
    assert fields["missing"] == ["n3"]
    assert fields["staleness"] == {"n1": 0, "n2": -1}
    assert fields["before"] == "AACAPw=="
    assert "\n" not in to_line(RECORD)


numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
records = st.builds(
    RoundRecord,
    round=st.integers(0, 10**9),
    time=st.integers(0, 10**10).map(lambda ms: ms / 1000),
    loss=numbers,
    accuracy=st.none() | numbers,
    metrics=st.dictionaries(st.text(), numbers),
    seconds=st.builds(Seconds, train=numbers, exchange=numbers),
    bytes_sent=st.integers(0, 2**63),
    bytes_received=st.integers(0, 2**63),
    contributions=st.integers(0, 1000),
    missing=st.lists(st.text()).map(tuple),
    staleness=st.dictionaries(st.text(), st.integers(-100, 100)),
    local_distance=st.none() | numbers,
    intact=st.booleans(),
    settled=st.floats(0, 1e6),
    before=st.binary(),
    after=st.binary(),
    product=st.binary(),
    predicted_contraction=st.none() | numbers,
)


@given(records)
def test_every_record_comes_back_from_its_line(record):
    assert from_line(to_line(record)) == record


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_blew_up_is_null_in_the_file_and_nan_in_the_record(loss):
    line = to_line(dataclasses.replace(RECORD, loss=loss))
    assert json.loads(line)["loss"] is None
    assert math.isnan(from_line(line).loss)


def test_unknown_keys_of_a_newer_version_are_skipped():
    fields = json.loads(to_line(RECORD)) | {"temperature": 36.6}
    assert from_line(json.dumps(fields)) == RECORD


@pytest.mark.parametrize(
    "line", ["", "{", "[]", "{}", "null", '{"round": 1}', to_line(RECORD).replace("AACAPw==", "?")]
)
def test_what_is_not_a_record_is_refused(line):
    with pytest.raises(BadMessage, match="not a round record"):
        from_line(line)


def written(path, *rounds):
    with RecordWriter(path) as writer:
        for number in rounds:
            writer.write(dataclasses.replace(RECORD, round=number))


def test_records_are_in_the_file_before_the_writer_is_closed(tmp_path):
    writer = RecordWriter(tmp_path / "n0" / "records.jsonl")
    writer.write(RECORD)
    assert read_records(tmp_path / "n0" / "records.jsonl") == (RECORD,)
    writer.close()


def test_a_torn_last_line_is_left_out_and_cut_off_by_the_next_writer(tmp_path):
    path = tmp_path / "records.jsonl"
    written(path, 0, 1)
    path.write_bytes(path.read_bytes()[:-40])
    assert [record.round for record in read_records(path)] == [0]

    written(path, 1, 2)
    assert [record.round for record in read_records(path)] == [0, 1, 2]


def test_every_torn_file_is_readable(tmp_path):
    path = tmp_path / "records.jsonl"
    written(path, 0, 1)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert len(read_records(path)) == whole[:length].count(b"\n")


def test_a_round_done_again_after_a_restart_counts_once(tmp_path):
    path = tmp_path / "records.jsonl"
    written(path, 0, 1, 2)
    with RecordWriter(path) as writer:
        writer.write(dataclasses.replace(RECORD, round=1, loss=9.0))
    assert [(record.round, record.loss) for record in read_records(path)] == [(0, 0.5), (1, 9.0), (2, 0.5)]


def test_a_broken_line_in_the_middle_is_named(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text(f"{to_line(RECORD)}\nnonsense\n{to_line(RECORD)}\n")
    with pytest.raises(BadMessage, match=r"records\.jsonl:2"):
        read_records(path)


def test_a_metric_that_is_not_finite_is_left_out_of_what_is_read():
    record = dataclasses.replace(RECORD, metrics={"common/perplexity": math.inf, "common/f1": 0.5})
    assert from_line(to_line(record)).metrics == {"common/f1": 0.5}


def test_a_record_without_metrics_is_written_as_before():
    assert "metrics" not in json.loads(to_line(RECORD))
