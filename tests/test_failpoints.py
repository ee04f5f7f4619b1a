"""A failpoint fires at the hit that it names, not before and not after; a bad spec is told in one line."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.errors import ConfigError
from node.failpoints import POINTS, arm, hit

ROOT = Path(__file__).resolve().parent.parent
WRITE, RENAME = "checkpoint.before-write", "checkpoint.before-rename"


@pytest.fixture(autouse=True)
def unarmed() -> Iterator[None]:
    yield
    arm("")


def failing(point: str, hits: int) -> list[int]:
    """Which of so many hits raise; 1 is the first."""
    failed = []
    for nth in range(1, hits + 1):
        try:
            hit(point)
        except OSError:
            failed.append(nth)
    return failed


def test_unarmed_points_do_nothing() -> None:
    assert [failing(point, 3) for point in POINTS] == [[]] * len(POINTS)


def test_the_nth_hit_fires_and_no_other() -> None:
    arm(f"{WRITE}:error@3")

    assert failing(RENAME, 5) == []
    assert failing(WRITE, 5) == [3]


def test_the_first_hit_fires_where_no_number_is_said() -> None:
    arm(f"{WRITE}:error")

    assert failing(WRITE, 3) == [1]


def test_one_point_may_fire_several_times() -> None:
    arm(f" {WRITE}:error@2, {WRITE}:error@4,{RENAME}:error ")

    assert failing(WRITE, 5) == [2, 4]
    assert failing(RENAME, 5) == [1]


def test_arming_again_forgets_what_was_armed_and_counted() -> None:
    arm(f"{WRITE}:error@2")
    hit(WRITE)

    arm(f"{WRITE}:error@2")
    assert failing(WRITE, 3) == [2]
    arm("")
    assert failing(WRITE, 3) == []


def test_an_entry_for_another_node_is_left_out() -> None:
    spec = f"n1/{WRITE}:error@1,{WRITE}:error@2,n2/{WRITE}:error@3"

    assert arm(spec, "n1") == (f"n1/{WRITE}:error@1", f"{WRITE}:error@2")
    assert failing(WRITE, 4) == [1, 2]
    assert arm(spec, "n2") == (f"{WRITE}:error@2", f"n2/{WRITE}:error@3")
    assert failing(WRITE, 4) == [2, 3]
    assert arm(spec) == (f"{WRITE}:error@2",)


def test_the_error_is_a_full_disk_and_says_who_made_it() -> None:
    arm(f"{WRITE}:error")

    with pytest.raises(OSError, match=rf"No space left on device \(failpoint {WRITE}\)"):
        hit(WRITE)


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("checkpoint.before-lunch:kill", "no point 'checkpoint.before-lunch', wanted one of checkpoint.before-write, "),
        (f"{WRITE}:explode", "no action 'explode', wanted one of kill, error, pause"),
        (WRITE, r"wanted \[NODE/\]POINT:ACTION\[@N\] such as checkpoint.before-rename:kill@3"),
        (f"{WRITE}:kill@0", r"wanted \[NODE/\]POINT"),
        (f"{WRITE}:kill@-1", r"wanted \[NODE/\]POINT"),
        (f"n1/n2/{WRITE}:kill", r"wanted \[NODE/\]POINT"),
        (f"n2/{WRITE}:explode", "no action 'explode'"),  # also where it is not for us
    ],
)
def test_a_bad_spec_is_refused_and_leaves_what_was_armed(spec: str, complaint: str) -> None:
    arm(f"{WRITE}:error@2")

    with pytest.raises(ConfigError, match=f"^GOSSIP_FAILPOINTS: .*{complaint}") as raised:
        arm(f"{RENAME}:error,{spec}", "n1")

    assert "\n" not in str(raised.value)
    assert failing(WRITE, 3) == [2]
    assert failing(RENAME, 1) == []


# The child imports nothing but the failpoints: 0.1 s.
CHILD = (
    "import sys; from node import failpoints; failpoints.arm(sys.argv[1])\n"
    f"for n in (1, 2, 3): print(n, flush=True); failpoints.hit({WRITE!r})"
)


def test_kill_is_a_real_kill_of_this_process() -> None:
    done = subprocess.run([sys.executable, "-c", CHILD, f"{WRITE}:kill@2"], capture_output=True, text=True, cwd=ROOT)

    assert (done.stdout, done.returncode) == ("1\n2\n", -signal.SIGKILL)


def test_pause_is_a_real_stop_and_it_goes_on_when_told() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, f"{WRITE}:pause@2"], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    _, status = os.waitpid(process.pid, os.WUNTRACED)

    assert os.WIFSTOPPED(status)
    assert os.WSTOPSIG(status) == signal.SIGSTOP
    process.send_signal(signal.SIGCONT)
    assert process.communicate()[0] == "1\n2\n3\n"
    assert process.returncode == 0


def points_hit(source: str) -> set[str]:
    """The constants that `hit(...)` is called with."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    names = (call.args[0] for call in calls if getattr(call.func, "id", getattr(call.func, "attr", "")) == "hit")
    return {ast.literal_eval(name) for name in names}


def test_every_point_that_the_code_passes_can_be_armed() -> None:
    passed = {point for path in (ROOT / "node").rglob("*.py") for point in points_hit(path.read_text())}

    assert passed <= set(POINTS)
    assert {point for point in POINTS if point.startswith("checkpoint.")} <= passed
