"""The audit: a clean run passes; for every check there is a doctored run that it alone refuses."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from node.app.auditing.audit import CHECKS, Report, audit, judge
from node.app.auditing.evidence import Evidence, read_evidence
from node.app.auditing.mass import mass_conserved
from node.app.run.run_folder import RunFolder
from node.core.deadlines import DeadlineLimits
from node.drivers.simulation import Faults, Simulation
from node.gossip.chebyshev import chebyshev
from node.gossip.choco import choco
from node.gossip.periods import des_loc
from node.observe.journal import Entry
from node.observe.records import RoundRecord, Seconds
from node.observe.sketch import from_bytes, sketch, to_bytes
from node.types import PeerId
from tests.app.journals import IDS, Doc, digest, doctor, doctor_records, find, keep_run, lines
from tests.cluster import descend, peers_on, topology

Change = Callable[[list[Doc]], Any]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return keep_run(tmp_path_factory.mktemp("runs") / "plain")


@pytest.fixture(scope="module")
def weighed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return keep_run(tmp_path_factory.mktemp("runs") / "push", push=True)


@pytest.fixture
def run(kept: Path, tmp_path: Path) -> Path:
    """A copy of a clean run, to be doctored."""
    return Path(shutil.copytree(kept, tmp_path / "run"))


@pytest.fixture
def pushed(weighed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(weighed, tmp_path / "run"))


def failed(report: Report) -> list[str]:
    return [finding.check for finding in report.findings if finding.state == "failed"]


def finding(report: Report, check: str) -> Any:
    return next(finding for finding in report.findings if finding.check == check)


# ---- clean
@pytest.mark.parametrize("push", [False, True])
def test_a_clean_run_passes_every_check(kept, weighed, push):
    report = audit(weighed if push else kept)

    states = {finding.check: finding.state for finding in report.findings}
    if push:
        assert states.pop("committed-not-lost") == "nothing to check"  # nobody started twice
    assert set(states.values()) == {"passed"}
    assert report.ok
    assert report.nodes == IDS


def test_what_is_checked_is_counted(kept):
    counts = {finding.check: finding.facts for finding in audit(kept).findings}

    applied = 6 * 8 + 2  # six level rounds of eight messages, and what n1 told its two neighbours on its return
    assert counts["applied-was-sent"] == counts["applied-once"] == counts["applied-by-neighbour"] == applied
    assert counts["journal-whole"] == sum(len(lines(kept, node)) for node in IDS)
    assert counts["committed-not-lost"] == 1  # one return
    assert counts["committed-not-altered"] == 2 * 4 + 1  # two commits each, and what n1 took from its disk
    assert counts["mass-conserved"] == 5  # n1 did round 2 again, late: not level


def test_rotated_and_packed_journals_are_audited_alike(tmp_path, kept):
    run = keep_run(tmp_path / "run", limit_bytes=1_000)
    assert list((run / "n0").glob("journal.*.jsonl.gz"))
    assert [f.facts for f in audit(run).findings] == [f.facts for f in audit(kept).findings]
    assert audit(run).ok


def test_every_check_has_a_name_of_its_own_and_has_nothing_to_check_without_facts():
    findings = [check(Evidence({})) for check in CHECKS]
    assert len({finding.check for finding in findings}) == len(CHECKS)
    assert {finding.state for finding in findings} == {"nothing to check"}
    assert not judge(Evidence({})).ok  # silence is no proof


def test_a_killed_nodes_torn_last_line_is_no_violation(run):
    path = run / "n2" / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    assert audit(run).ok


# ---- one doctored run a check
def lose(facts: list[Doc]) -> None:
    facts[0]["round"] = 0
    again = find(facts, "start", epoch=2)
    again["round"] = 0
    facts.remove(find(facts, "resume", epoch=2))


def resume_another(facts: list[Doc]) -> None:
    find(facts, "resume")["digest"] = digest(np.zeros(1))


def commit_another(facts: list[Doc]) -> None:
    find(facts, "commit", round=6)["digest"] = digest(np.zeros(1))


def commit_early(facts: list[Doc]) -> None:
    facts.remove(find(facts, "finish"))
    find(facts, "commit", round=6)["round"] = 5  # the state is of six rounds


def commit_again(facts: list[Doc]) -> None:
    facts.insert(-1, find(facts, "commit", round=6) | {"digest": find(facts, "mix", round=4)["digest"]})


def apply_what_was_not_sent(facts: list[Doc]) -> None:
    facts.insert(-1, find(facts, "apply", round=5) | {"seq": 99})


def apply_with(field: str, value: object) -> Change:
    return lambda facts: find(facts, "apply", round=4).update({field: value})


def apply_twice(facts: list[Doc]) -> None:
    facts.insert(-1, dict(find(facts, "apply", round=5)))


def forget_a_neighbour(facts: list[Doc]) -> None:
    for fact in facts:
        if fact["event"] == "start":
            fact["neighbours"] = ["n0"]


def forget_an_application(facts: list[Doc]) -> None:
    facts.remove(find(facts, "apply", round=5, **{"from": "n2"}))


def mix_again(facts: list[Doc]) -> None:
    facts.insert(-2, dict(find(facts, "mix", round=4)))


def commit_of_the_past(facts: list[Doc]) -> None:
    facts.insert(-1, dict(find(facts, "commit", round=2, epoch=1)) | {"epoch": facts[-1]["epoch"]})


@pytest.mark.parametrize(
    ("node", "change", "check"),
    [
        ("n1", lose, "committed-not-lost"),
        ("n1", resume_another, "committed-not-altered"),
        ("n1", commit_another, "committed-not-altered"),
        ("n0", commit_another, "committed-not-altered"),
        ("n0", commit_early, "committed-not-altered"),
        ("n0", commit_again, "committed-not-altered"),
        ("n1", apply_what_was_not_sent, "applied-was-sent"),
        ("n1", apply_with("check", "0" * 32), "applied-was-sent"),
        ("n1", apply_with("kind", "snapshot"), "applied-was-sent"),
        ("n1", apply_with("round", 3), "applied-was-sent"),
        ("n1", apply_with("hop", 1), "applied-was-sent"),
        ("n1", apply_twice, "applied-once"),
        ("n1", forget_a_neighbour, "applied-by-neighbour"),
        ("n1", forget_an_application, "used-was-applied"),
        ("n0", mix_again, "rounds-monotone"),
        ("n0", commit_of_the_past, "rounds-monotone"),
    ],
)
def test_a_doctored_journal_fails_that_check_alone(run, node, change, check):
    doctor(run, node, change)

    report = audit(run)

    assert failed(report) == [check]
    assert not report.ok
    assert f"{run}/{node}/journal.jsonl:" in finding(report, check).examples[0]


def drop_a_line(facts: list[Doc]) -> None:
    facts.remove(find(facts, "finish"))
    del facts[0]["pid"]
    facts.append(facts[-1] | {"event": "member", "n": facts[-1]["n"] + 2})


@pytest.mark.parametrize(
    "change",
    [
        drop_a_line,
        lambda facts: facts.append(dict(facts[-1])),  # a line twice
        lambda facts: facts[-1].update(t=0.0),
        lambda facts: facts.append(facts[-1] | {"epoch": 0, "n": facts[-1]["n"] + 1}),
        lambda facts: facts[-1].pop("t"),  # no fact
        lambda facts: facts.append(facts[-1] | {"n": facts[-1]["n"] + 1, "event": "start"}),  # without neighbours
        lambda facts: facts[-3].update(used={"n1": 3}),
        lambda facts: facts[-3].update(mass={"w": 1.0}),
    ],
)
def test_lines_that_are_missing_doubled_late_or_no_facts_fail_the_journal_alone(run, change):
    doctor(run, "n2", change, renumber=False)
    assert failed(audit(run)) == ["journal-whole"]


def test_a_run_whose_lines_follow_no_grammar_is_refused_not_crashed_into(run):
    for node in IDS:
        doctor(run, node, lambda facts: [fact.update(seq="x", used=[], round=None, mass=3) for fact in facts])
    report = audit(run)
    assert failed(report) == ["journal-whole"]


def test_a_mass_that_is_not_finite_fails_that_check_alone(pushed):
    doctor(pushed, "n1", lambda facts: find(facts, "mix", round=3)["mass"].update(w=None))
    assert failed(audit(pushed)) == ["non-finite-never-applied"]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_state_that_mixing_blew_up_fails_that_check_alone(run, value):
    def blow_up(record: RoundRecord) -> RoundRecord:
        broken = from_bytes(record.after).copy()
        broken[3] = value
        return replace(record, after=to_bytes(broken))

    doctor_records(run, "n2", 4, blow_up)
    report = audit(run)
    assert failed(report) == ["non-finite-never-applied"]
    assert finding(report, "non-finite-never-applied").examples == (
        "n2 records.jsonl round 4: finite before mixing, not finite after it",
    )


def test_a_node_that_trained_to_nan_is_told_and_who_applied_it_is_refused(run):
    nan = to_bytes(np.full(32, np.nan, dtype=np.float32))
    doctor_records(run, "n2", 4, lambda record: replace(record, before=nan, after=nan))

    found = finding(audit(run), "non-finite-never-applied")

    assert found.notes == ("n2 trained to values that are not finite",)
    assert found.failed == 2  # n1 and n3
    assert "applied round 4 of n2, which was not finite" in found.examples[0]


def test_a_loss_that_is_not_finite_is_no_violation(run):
    doctor_records(run, "n2", 4, lambda record: replace(record, loss=math.nan))
    assert audit(run).ok


def test_a_mean_that_moved_in_a_level_round_fails_that_check_alone(run):
    doctor_records(run, "n2", 4, lambda record: replace(record, after=to_bytes(from_bytes(record.after) * 1.1)))
    report = audit(run)
    assert failed(report) == ["mass-conserved"]
    assert "records.jsonl round 4: the mean moved by" in finding(report, "mass-conserved").examples[0]


@pytest.mark.parametrize("excuse", [{"missing": ("n1",)}, {"staleness": {PeerId("n1"): 2}}, {"intact": False}])
def test_a_mean_that_moved_where_somebody_was_missing_is_told_not_judged(run, excuse):
    doctor_records(
        run, "n2", 4, lambda record: replace(record, after=to_bytes(from_bytes(record.after) * 1.1), **excuse)
    )
    report = audit(run)
    assert report.ok
    assert "2 rounds went without somebody: the mean drifted" in finding(report, "mass-conserved").notes[0]


def test_mass_that_appears_from_nowhere_fails_that_check_alone(pushed):
    doctor(pushed, "n1", lambda facts: [f["mass"].update(w=f["mass"]["w"] + 1e-6) for f in facts if "mass" in f])
    report = audit(pushed)
    assert failed(report) == ["mass-conserved"]
    assert "n1: held + sent - got is 1.000001 after round 0, was 1" in finding(report, "mass-conserved").examples[0]


def test_mass_that_was_got_but_never_sent_fails_that_check_alone(pushed):
    def take(facts: list[Doc]) -> None:
        mass = find(facts, "mix", round=5)["mass"]
        mass["w"] += 0.5
        mass["got"]["n0"] += 0.5

    doctor(pushed, "n1", take)
    report = audit(pushed)
    assert failed(report) == ["mass-conserved"]
    assert "of n0, which sent" in finding(report, "mass-conserved").examples[0]


def test_mass_in_flight_is_accounted_for(pushed):
    def loses(facts: list[Doc]) -> None:  # the last message to n1 never arrived
        mix = find(facts, "mix", round=5)
        share = mix["mass"]["got"]["n0"] - find(facts, "mix", round=4)["mass"]["got"]["n0"]
        mix["mass"]["w"] -= share
        mix["mass"]["got"]["n0"] -= share

    doctor(pushed, "n1", loses)
    report = audit(pushed)
    assert report.ok
    assert finding(report, "mass-conserved").notes[0].startswith("mass 4 of 4 nodes: they hold 3.")


# ---- what explains what
def test_a_damaged_checkpoint_explains_a_lost_round_loudly(run):
    def damage(facts: list[Doc]) -> None:
        lose(facts)
        facts.insert(facts.index(find(facts, "start", epoch=2)) + 1, find(facts, "start", epoch=2) | {
            "event": "checkpoint-damaged", "reason": "wrong sha256",
        })  # fmt: skip

    doctor(run, "n1", damage)
    found = finding(audit(run), "committed-not-lost")
    assert found.state == "nothing to check"
    assert "n1 starts epoch 2 at round 0, but committed round 2: its checkpoint was damaged, wrong" in found.notes[0]


def test_an_operator_who_wants_a_fresh_start_loses_nothing_unawares(run):
    def afresh(facts: list[Doc]) -> None:
        lose(facts)
        find(facts, "start", epoch=2)["fresh"] = True

    doctor(run, "n1", afresh)
    report = audit(run)
    assert report.ok
    assert "--fresh" in finding(report, "committed-not-lost").notes[0]


def test_a_node_without_a_journal_is_named_and_nothing_of_it_passes(run):
    shutil.rmtree(run / "n3")
    report = audit(run)

    found = finding(report, "applied-was-sent")
    assert report.ok
    assert "n3 has no journal here: what n0 applied of it cannot be verified (6 facts)" in found.notes
    assert report.silent == ("n3",)
    assert found.facts == 50 - 6 - 6 - 12  # of n3 by its two neighbours, and what it applied itself


def test_a_node_of_the_topology_without_a_journal_is_told(run):
    report = judge(replace(Evidence({PeerId("n0"): ()}), silent=(PeerId("n9"),)))
    assert report.document()["unverifiable"] == ("n9",)
    assert not report.ok


def test_a_send_that_a_full_disk_swallowed_is_not_held_against_who_applied_it(run):
    def swallow(facts: list[Doc]) -> None:
        place = facts.index(find(facts, "send", round=5, to="n1"))
        facts[place] = {k: facts[place][k] for k in ("n", "t", "time", "epoch")} | {"event": "lost", "count": 1}

    doctor(run, "n0", swallow)
    report = audit(run)
    assert report.ok
    assert "n0 has gaps in its journal: what n1 applied of it cannot be verified" in str(report.findings)
    assert "n0: 1 facts found no room on the disk" in str(report.findings)


def test_what_was_dropped_by_a_limit_is_not_verified_and_not_refused(tmp_path):
    run = keep_run(tmp_path / "run", limit_bytes=1_000, keep=1)
    report = audit(run)
    assert failed(report) == []
    assert "cannot be verified" in str(report.findings)
    assert finding(report, "journal-whole").state == "passed"


@pytest.mark.parametrize("event", [{"event": "join", "peer": "n2"}, {"event": "rewire", "neighbours": ["n0", "n2"]}])
def test_who_joined_later_is_a_neighbour(run, event):
    def join(facts: list[Doc]) -> None:
        forget_a_neighbour(facts)
        for epoch in (1, 2):
            start = find(facts, "start", epoch=epoch)
            facts.insert(facts.index(start) + 1, {k: start[k] for k in ("n", "t", "time", "epoch")} | event)

    doctor(run, "n1", join)
    assert audit(run).ok


def test_the_mean_cannot_be_judged_without_the_records_of_who_joined(run):
    def join(facts: list[Doc]) -> None:
        start = find(facts, "start", epoch=1)
        fact = {k: start[k] for k in ("n", "t", "time", "epoch")} | {"event": "join", "peer": "n9"}
        facts.insert(facts.index(start) + 1, fact)

    doctor(run, "n1", join)
    found = finding(audit(run), "mass-conserved")
    assert found.state == "nothing to check"
    assert "no records of n9 here" in str(found.notes)


# ---- any single change
def everywhere(run: Path, *events: str) -> list[tuple[str, int]]:
    return [(node, i) for node in IDS for i, fact in enumerate(lines(run, node)) if fact["event"] in events]


def swap(fact: Doc, field: str) -> None:
    """Another value of the same kind."""
    old = fact[field]
    if isinstance(old, int):
        fact[field] = old + 1
    else:
        fact[field] = {"snapshot": "update", "update": "snapshot", "n0": "n2", "n2": "n0", "n1": "n3", "n3": "n1"}.get(
            old, old[::-1]
        )


APPLY = ("from", "from_epoch", "kind", "seq", "round", "hop", "check")


def test_every_alteration_of_an_application_is_noticed(kept):
    """600 altered lines, each numbered and dated well: through the pure half, so that it takes a second."""
    evidence = read(kept)
    for node, place in everywhere(kept, "apply"):
        for field in APPLY:
            assert failed(judge(altered(evidence, node, place, field))), (node, place, field)


def test_every_alteration_of_a_commit_is_noticed(kept):
    evidence = read(kept)
    for node, place in everywhere(kept, "commit"):
        assert failed(judge(altered(evidence, node, place, "digest"))), (node, place)
    for node, place in everywhere(kept, "commit")[::2]:  # a last commit's round is seen by who resumes from it only
        assert failed(judge(altered(evidence, node, place, "round"))), (node, place)


@pytest.mark.parametrize("what", ["deleted", "duplicated"])
def test_every_line_that_is_deleted_or_doubled_is_noticed(kept, what):
    evidence = read(kept)
    for node, journal in evidence.journals.items():
        for place, entry in enumerate(journal):
            if what == "deleted" and (entry is journal[-1] or journal[place + 1].epoch > entry.epoch):
                continue  # the last line of a process: as if it was killed before
            copy = list(journal)
            copy[place : place + 1] = [] if what == "deleted" else [journal[place]] * 2
            report = judge(replace(evidence, journals={**evidence.journals, node: copy}))
            assert "journal-whole" in failed(report), (node, place)


def test_a_liar_who_renumbers_is_seen_by_what_he_doubled_or_what_was_used(kept):
    evidence = read(kept)
    used = {
        (node, peer, *version)
        for node, journal in evidence.journals.items()
        for entry in journal
        if entry.event == "mix"
        for peer, version in entry["used"].items()
    }
    seen = {"deleted": 0, "doubled": 0}
    for node, place in everywhere(kept, "apply"):
        journal = evidence.journals[PeerId(node)]
        fact = journal[place]
        doubled = renumbered([*journal[: place + 1], *journal[place:]])
        assert failed(judge(replace(evidence, journals={**evidence.journals, node: doubled}))) == ["applied-once"]
        seen["doubled"] += 1
        if (node, fact["from"], fact["from_epoch"], fact["seq"]) in used:
            deleted = renumbered([*journal[:place], *journal[place + 1 :]])
            assert failed(judge(replace(evidence, journals={**evidence.journals, node: deleted}))) == [
                "used-was-applied"
            ]
            seen["deleted"] += 1
    assert seen == {"doubled": 50, "deleted": 48}


def read(run: Path) -> Evidence:
    return read_evidence(RunFolder(run))


def altered(evidence: Evidence, node: str, place: int, field: str) -> Evidence:
    journal = list(evidence.journals[PeerId(node)])
    fields = dict(journal[place].fields)
    swap(fields, field)
    journal[place] = replace(journal[place], fields=fields)
    return replace(evidence, journals={**evidence.journals, PeerId(node): journal})


def renumbered(journal: list[Entry]) -> list[Entry]:
    numbers: dict[int, int] = {}
    out = []
    for entry in journal:
        numbers[entry.epoch] = numbers.get(entry.epoch, -1) + 1
        out.append(replace(entry, n=numbers[entry.epoch]))
    return out


def test_the_document_is_strict_json(kept):
    document = json.loads(json.dumps(audit(kept).document(), allow_nan=False))
    assert document["ok"] is True
    assert set(document["checks"][0]) == {"check", "state", "facts", "failed", "examples", "notes"}


# ---- the real rules
RULES: dict[str, Any] = {
    "dpsgd": "dpsgd",
    "exact": "exact",
    "choco": lambda: choco(0.7),
    "chebyshev": lambda: chebyshev(-0.4, 0.9, hops=3),
    "des-loc": lambda: des_loc(theta=2),
}


def simulated(rule: str, n: int, seed: int, faults: Faults) -> Evidence:
    """Records as nodes would write them, of the protocol in virtual time."""
    graph = topology("ring", n)
    deadlines = DeadlineLimits(floor=0.5, ceiling=2.0)
    simulation = Simulation(peers_on(graph, RULES[rule], rounds=15, deadlines=deadlines), descend, faults, seed=seed)
    simulation.run()
    records: dict[PeerId, list[RoundRecord]] = {peer: [] for peer in graph.nodes}
    for _, peer, mixed in simulation.log:
        before, after = (to_bytes(sketch(x["theta"].numpy(), k=32)) for x in (mixed.before, mixed.after))
        records[peer].append(
            RoundRecord(
                round=mixed.round, time=0.0, loss=0.0, seconds=Seconds(train=1.0, exchange=0.0), bytes_sent=0,
                bytes_received=0, contributions=mixed.contributions, missing=mixed.missing,
                staleness=mixed.staleness, intact=mixed.intact, settled=mixed.settled, before=before, after=after,
            )
        )  # fmt: skip
    return Evidence(dict.fromkeys(graph.nodes, ()), records, mixing=rule)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("n", [4, 8])
def test_real_rules_keep_the_mean_as_far_as_it_is_judged(rule, n):
    found = mass_conserved(simulated(rule, n, 0, Faults()))
    assert (found.state, found.facts, found.notes) == ("passed", 15, ())


def test_a_topology_that_moves_the_mean_is_not_held_to_keep_it():
    found = mass_conserved(replace(simulated("dpsgd", 4, 0, Faults()), balanced=False))
    assert (found.state, found.facts) == ("nothing to check", 0)
    assert "moves the mean, as it says" in found.notes[0]


def test_evidence_says_whether_the_topology_keeps_the_mean(run):
    ids = {node: f"127.0.0.1:{7001 + i}" for i, node in enumerate(IDS)}
    sizes = dict(zip(IDS, (1, 2, 3, 4), strict=True))
    weighed = {"nodes": ids, "generator": "ring", "weights": "data_size", "sizes": sizes}
    local = {"nodes": ids, "schedule": {"name": "epidemic", "s": 2, "oracle": False}}
    for said, balanced in ((weighed, False), (local, False), (weighed | {"weights": "metropolis", "sizes": {}}, True)):
        said = {key: value for key, value in said.items() if value}
        (run / "topology.yaml").write_text(json.dumps(said))
        assert read_evidence(RunFolder(run)).balanced is balanced


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(8))
def test_a_lossy_network_is_no_violation_and_its_drift_is_told(rule, seed):
    faults = Faults(loss=0.1, duplicate=0.1, reorder=0.1, straggle={PeerId("p01"): 2.0})
    found = mass_conserved(simulated(rule, 6, seed, faults))
    assert found.failed == 0
    assert "rounds went without somebody: the mean drifted by up to" in found.notes[0]
