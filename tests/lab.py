"""A folder with all that a run of four small processes needs, and the command `gossip` run in it.

Nothing here sleeps for a fixed time: `eventually` looks until something holds, and fails with what it saw last.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from node.app.launching.launcher import newest_record
from node.app.run.processes import ENDED, end, state_of
from node.app.run.run_folder import RunFolder, read_json
from node.cli.main import main
from node.monitor.client import NobodyAnswers
from node.monitor.verbs import members

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 120.0  # seconds until `eventually` gives up: seconds on a quiet machine, a minute on one that is lent out
LOOK = 0.02  # seconds between two looks
IDS = ("n0", "n1", "n2", "n3")
RING = (("n0", "n1"), ("n1", "n2"), ("n2", "n3"), ("n0", "n3"))

# Python takes Ctrl-C only where its parent did; under a shell's `&` it would not.
GOSSIP = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\nfrom node.cli.main import main; main()"
)

NICE = ("nice", "-n", "5")  # a third of the weight: four nodes leave a core to a command beside them

NODE_FILE = """\
base_model: ./model
datasets: [{path: "data/{id}.jsonl"}]
labels: [files, net, maths]
output_dir: run
lora: {r: 2, alpha: 4, target_modules: [query, value], layers: [2]}
train: {learning_rate: 1e-2, micro_batch_size: 4, sequence_len: 16}
gossip: {topology: topology.yaml, rounds: 40, mixing: dpsgd}
"""


def eventually(look: Callable[[], T], what: str, during: Running | None = None, patience: float = PATIENCE) -> T:
    """The first true value that `look` gives; `during` must not end before."""
    until = time.monotonic() + patience
    while not (seen := look()):
        if during is not None and during.process.poll() is not None:
            raise AssertionError(f"{what}: the command ended before, {during.end()}")
        if time.monotonic() > until:
            raise AssertionError(f"{what}: not within {patience:.0f} s; seen last: {seen!r}")
        time.sleep(LOOK)
    return seen


def settled(look: Callable[[], T], wanted: T, patience: float = 20.0) -> T:
    """What `look` gives when it is what is wanted, or at the end of our patience."""
    until = time.monotonic() + patience
    while (seen := look()) != wanted and time.monotonic() < until:
        time.sleep(LOOK)
    return seen


def call(arguments: Sequence[str]) -> int:
    """The exit code of `gossip ARGUMENTS`."""
    before, sys.argv = sys.argv, ["gossip", *arguments]
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.argv = before


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What `--json` printed: exactly one document."""
        return json.loads(self.out)


class Running:
    """A command under way; what it prints goes to files, so that nobody has to read for it to go on."""

    def __init__(self, command: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> None:
        self._out, self._err = (tempfile.TemporaryFile("w+") for _ in range(2))  # noqa: SIM115  # `close` closes them
        self.process = subprocess.Popen(
            command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=self._out, stderr=self._err
        )

    def ctrl_c(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        self.process.kill()

    def end(self, patience: float = PATIENCE) -> Done:
        code = self.process.wait(timeout=patience)
        with self._out, self._err:
            for file in (self._out, self._err):
                file.seek(0)
            return Done(code, self._out.read(), self._err.read())

    def close(self) -> None:
        if self.process.poll() is None:
            self.kill()
            self.process.wait()
        self._out.close()
        self._err.close()


class Lab:
    """A folder with node.yaml, topology.yaml and data, and the commands that were started in it.

    Args:
        path: the folder.
        edges: of the nodes n0, n1, ...
        ids: the nodes.
    """

    def __init__(self, path: Path, edges: Sequence[tuple[str, str]] = RING, ids: Sequence[str] = IDS) -> None:
        self.path, self.ids, self.edges = path, tuple(ids), tuple(edges)
        self.ports = dict(zip(self.ids, free_ports(len(self.ids)), strict=True))
        self.run = RunFolder(path / "run")
        self._started: list[Running] = []
        (path / "data").mkdir(parents=True)
        (path / "node.yaml").write_text(NODE_FILE)
        self.write_topology(edges)

    def write_topology(self, pairs: Sequence[tuple[str, str]] = (), **said: Any) -> None:
        """The topology file; `said` instead of the pairs, if anything is."""
        nodes = {peer: f"127.0.0.1:{port}" for peer, port in self.ports.items()}
        said = said or {"edges": [list(pair) for pair in pairs]}
        text = json.dumps({"nodes": nodes, **said})  # JSON is YAML 1.2
        (self.path / "topology.yaml").write_text(text)

    def write_data(self, peer: str, rows: Sequence[tuple[str, str]]) -> None:
        lines = [json.dumps({"text": text, "label": label}) + "\n" for text, label in rows]
        (self.path / "data" / f"{peer}.jsonl").write_text("".join(lines))

    def address(self, peer: str) -> str:
        return f"127.0.0.1:{self.ports[peer]}"

    # ---- commands
    def start(self, *arguments: str, nice: bool = False, **environment: str) -> Running:
        """`gossip ARGUMENTS` in this folder; with `nice` it leaves the processor to whatever looks at it."""
        return self.launch([*(NICE if nice else ()), sys.executable, "-c", GOSSIP, *arguments], **environment)

    def launch(self, command: Sequence[str], **environment: str) -> Running:
        search = os.pathsep.join([*filter(None, [environment.pop("PYTHONPATH", "")]), str(ROOT)])
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": search} | environment
        self._started.append(Running(command, self.path, environment))
        return self._started[-1]

    def gossip(self, *arguments: str, **environment: str) -> Done:
        """`gossip ARGUMENTS` to its end."""
        return self.start(*arguments, **environment).end()

    def verb(self, *arguments: str) -> Done:
        """`gossip ARGUMENTS` within this process: a verb that starts nothing, without the second that a start takes."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.chdir(self.path), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = call(arguments)
        return Done(code, out.getvalue(), err.getvalue())

    def close(self) -> None:
        """End everything that was started here, by its process id."""
        for command in self._started:
            command.close()
        for run in {self.run.path, *(p.parent for p in self.path.glob("*/node.yaml"))}:
            folder = RunFolder(run)
            end([folder.server, *(folder.node(name) for name in folder.started())], grace=0.0)

    # ---- what the nodes say in their files
    def round(self, peer: str) -> int:
        """The newest round in the records of `peer`; -1 before the first."""
        record = newest_record(self.run.node(peer).records)
        return -1 if record is None else record.round

    def wait_for_round(self, round: int, during: Running | None = None, peers: Sequence[str] = ()) -> None:
        peers = peers or self.ids
        eventually(lambda: all(self.round(p) >= round for p in peers), f"round {round} of {', '.join(peers)}", during)

    def phases(self) -> dict[str, str]:
        states = {p: state_of(self.run.node(p)) for p in self.ids}
        return {p: s.phase if s else "" for p, s in states.items()}

    def states(self) -> set[str]:
        """What the nodes say to a monitor, as far as they answer."""
        try:
            nodes: Any = members(self.address(self.ids[0]))["nodes"]
        except NobodyAnswers:
            return set()
        return {node["state"] for node in nodes}

    def wait_for_end(self) -> dict[str, str]:
        eventually(lambda: all(phase in ENDED for phase in self.phases().values()), "the end of all nodes")
        return self.phases()

    def pid(self, peer: str) -> int:
        state = state_of(self.run.node(peer))
        assert state is not None
        assert state.phase == "running", state
        return state.pid

    def epoch(self, peer: str) -> int:
        state = state_of(self.run.node(peer))
        return 0 if state is None else state.epoch

    def log(self, peer: str) -> str:
        return self.run.node(peer).log.read_text()

    def result(self, peer: str) -> dict[str, Any]:
        return read_json(self.run.node(peer).result) or {}


def tree(path: Path) -> dict[str, bytes]:
    """Every file below `path` with what it holds: to show that nothing was written."""
    return {str(p.relative_to(path)): p.read_bytes() if p.is_file() else b"" for p in sorted(path.rglob("*"))}
