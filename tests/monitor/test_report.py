"""The picture and the table that a run leaves."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
from rich.console import Console

from node.errors import GossipError
from node.monitor.report import draw_report, load_run, summary_table
from node.observe.records import RecordWriter
from tests.monitor.ring import IDS, PREDICTED, histories, record


def written(folder, histories, names=IDS):
    for name, records in zip(names, histories, strict=True):
        with RecordWriter(folder / name / "records.jsonl") as writer:
            for each in records:
                writer.write(each)
    return folder


def test_contraction_of_a_run_by_hand(tmp_path):
    """Two nodes on a line: 0 and 8 become 2 and 6, then 3 and 5: half the spread each time."""
    one = np.eye(1, 10)[0]
    left = [record(0, 0 * one, 2 * one), record(1, 2 * one, 3 * one)]
    right = [record(0, 8 * one, 6 * one), record(1, 6 * one, 5 * one)]
    run = load_run(written(tmp_path, [left, right], ["n0", "n1"]))
    assert run.measured == pytest.approx(0.5)
    assert run.predicted == pytest.approx(PREDICTED)


def test_rounds_that_a_laggard_skipped_are_not_compared(tmp_path):
    made = histories(rounds=6)
    made[2] = [each for each in made[2] if each.round != 3]
    assert load_run(written(tmp_path, made)).common == [0, 1, 2, 4, 5]


def test_learners_without_sketches_are_left_out_and_nodes_stand_in_the_order_of_their_numbers(tmp_path):
    made = histories(rounds=3)
    written(tmp_path, made, ["n10", "n2", "n1", "m3"])
    written(tmp_path, [[dataclasses.replace(each, before=b"", after=b"") for each in made[0]]], ["alone"])
    assert list(load_run(tmp_path).nodes) == ["m3", "n1", "n2", "n10"]


@pytest.mark.parametrize("rounds", [1, 20])
def test_the_picture_is_a_png_of_a_readable_size(tmp_path, rounds):
    written(tmp_path, histories(rounds=rounds))
    draw_report(tmp_path, tmp_path / "report.png", marks={"best node alone": 0.25})
    data = (tmp_path / "report.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = (int.from_bytes(data[i : i + 4], "big") for i in (16, 20))
    assert (width, height) == (1620, 528)


def test_nodes_that_never_finished_a_common_round_still_make_a_picture_and_a_table(tmp_path):
    made = histories(rounds=4)
    written(tmp_path, [made[0][:2], made[1][2:]], ["n0", "n1"])
    draw_report(tmp_path, tmp_path / "report.png")
    console = Console(width=120, record=True, quiet=True)
    with console.capture():
        console.print(summary_table(load_run(tmp_path)))
    assert (tmp_path / "report.png").exists()
    assert load_run(tmp_path).measured is None


def test_a_folder_without_records_is_named(tmp_path):
    with pytest.raises(GossipError, match="no node has finished a round here"):
        draw_report(tmp_path, tmp_path / "report.png")


def test_the_table_adds_up_bytes_and_counts_rounds_without_a_neighbour(tmp_path):
    made = histories(rounds=4)
    made[1][2] = dataclasses.replace(made[1][2], missing=("n0",), staleness={"n2": 3})
    console = Console(width=120)
    with console.capture() as captured:
        console.print(summary_table(load_run(written(tmp_path, made))))
    n1 = next(line for line in captured.get().splitlines() if line.startswith("n1"))
    assert n1.split()[-2:] == ["1", "3"]
    assert "4.0 kB" in n1
    caption = " ".join(captured.get().split())
    assert "after the last (products " in caption
    assert "a mixing shrank it to 0.333 (graph: 0.333)" in caption


def test_the_table_tells_the_worst_node_of_each_metric_and_the_spread(tmp_path):
    made = histories(rounds=3)
    values = (0.5, 0.9, 0.7, 0.7)
    for records, value in zip(made, values, strict=True):
        records[1] = dataclasses.replace(records[1], metrics={"common/f1": value})
    run = load_run(written(tmp_path, made))
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(summary_table(run))
    line = next(line for line in console.export_text().splitlines() if line.startswith("common/f1"))
    assert line.split() == ["common/f1", "0.700", "0.500", "n0", "0.400", "0.141"]
