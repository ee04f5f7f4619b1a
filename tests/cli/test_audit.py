"""`gossip audit`: exit codes, the document, and the lines of a person."""

from __future__ import annotations

import pytest

from node.config import load_node_config, write_yaml
from node.yaml_files import write_text
from tests.app.journals import doctor, find, keep_run
from tests.lab import Lab


@pytest.fixture
def kept(lab: Lab) -> Lab:
    """A run of four nodes, as `gossip up` leaves it."""
    lab.run.path.mkdir()
    write_yaml(lab.run.config, load_node_config(lab.path / "node.yaml"))
    write_text(lab.run.topology, (lab.path / "topology.yaml").read_text())
    keep_run(lab.run.path)
    return lab


def lie(lab: Lab) -> None:
    doctor(lab.run.path, "n1", lambda facts: find(facts, "apply", round=4).update(seq=99))


def test_a_clean_run_is_done(kept: Lab) -> None:
    done = kept.verb("audit", "run", "--json")
    assert done.code == 0
    assert done.document["ok"] is True
    assert (done.document["nodes"], done.document["unverifiable"]) == (["n0", "n1", "n2", "n3"], [])
    assert {check["state"] for check in done.document["checks"]} == {"passed"}


def test_a_violation_is_a_failure_with_its_file_and_line(kept: Lab) -> None:
    lie(kept)
    done = kept.verb("audit", "run", "--json")
    assert done.code == 1
    (check,) = (check for check in done.document["checks"] if check["check"] == "applied-was-sent")
    assert (check["state"], check["failed"]) == ("failed", 1)
    assert "n1/journal.jsonl:" in check["examples"][0]


def test_a_person_sees_a_line_a_check_and_the_counterexamples(kept: Lab) -> None:
    lie(kept)
    (kept.run.node("n3").journal).unlink()
    done = kept.verb("audit", "run")
    lines = done.out.splitlines()
    assert [line.split()[0] for line in lines] == [
        "check", "journal-whole", "committed-not-lost", "committed-not-altered", "applied-was-sent", "applied-once",
        "applied-by-neighbour", "used-was-applied", "rounds-monotone", "non-finite-never-applied", "mass-conserved",
    ]  # fmt: skip
    assert "1 violations" in done.out
    assert "applied-was-sent: run/n1/journal.jsonl:" in done.err
    assert "no journal of n3 here: not verified" in done.err


def test_no_such_run_is_a_wrong_input(lab: Lab) -> None:
    done = lab.verb("audit", "nowhere")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)


def test_a_run_without_journals_is_not_clean(kept: Lab) -> None:
    for peer in kept.ids:
        kept.run.node(peer).journal.unlink()
    done = kept.verb("audit", "run")
    assert (done.code, done.out) == (1, "")
    assert "no node has written a journal here" in done.err
