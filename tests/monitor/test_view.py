"""What is drawn."""

from __future__ import annotations

import dataclasses
import math

import pytest
from rich.console import Console

from node.monitor.view import amount, lines, picture, place, sparkline, summary_line
from tests.monitor.ring import IDS, status
from tests.monitor.test_network import at_rounds, told


def drawn(view, width=110):
    console = Console(record=True, width=width, file=open("/dev/null", "w"), force_terminal=True)  # noqa: SIM115
    console.print(picture(view, width))
    console.file.close()
    return console.export_text()


def test_bars_by_hand():
    assert sparkline([0, 1, 7], 10) == "▁▂█"
    assert sparkline([1, 10, 100], 10, log=True) == "▁▅█"
    assert sparkline([5, 5], 10) == "▁▁"
    assert sparkline([9, 0, 7], 2) == "▁█"
    assert sparkline([0, math.nan, 1], 10) == "▁ █"
    assert sparkline([0.0, 1.0, math.inf], 10, log=True) == " ▁ "
    assert sparkline([], 10) == ""


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2.5e6, "2.5 MB"), (3e9, "3.0 GB")]
)
def test_amounts_are_si(value, text):
    assert amount(value) == text


def test_a_node_that_nobody_can_dial_is_placed_by_who_hears_it():
    assert place("h:1", ("a",)) == "h:1"
    assert place("", ("a", "c")) == "no address: seen by a, c"
    assert place(None, ()) == "no address: seen by nobody"


def test_the_picture_shows_every_node_the_distance_and_the_verdict():
    text = drawn(at_rounds(9, 10, 9, 9).view(1.0))
    for word in (
        *IDS,
        "9 of 20 rounds",
        "consensus distance",
        "of the products B A",
        "predicted 0.333",
        "0.333",
        "healthy",
        "dpsgd",
        "█",
    ):
        assert word in text


def test_no_number_is_cut_off_on_eighty_columns():
    text = drawn(at_rounds(20, 20, 20, 20).view(1.0), width=80)
    assert "…" not in text
    assert "accuracy" in text
    assert "127.0.0.1:7000" not in text


def test_a_dead_node_and_its_reason_are_in_the_picture_and_in_the_lines():
    network = at_rounds(6, 6, 6, 6)
    network.lost(IDS[3], "127.0.0.1:7003: no connection")
    view = network.view(2.0)
    for text in (drawn(view), "\n".join(lines(view))):
        assert "n3 does not answer: 127.0.0.1:7003: no connection" in text
        assert "down" in text


def test_lines_are_ascii_and_the_summary_counts_states():
    view = at_rounds(6, 6, 6, 6).view(0.0)
    assert "\n".join(lines(view)).isascii()
    assert summary_line(view).endswith("healthy  [4 training]")


def test_names_of_nodes_are_not_markup():
    odd = dataclasses.replace(status(0, []), mixing="[red]x[/red]")
    assert "[red]x[/red]" in drawn(told(odd).view(0.0))
