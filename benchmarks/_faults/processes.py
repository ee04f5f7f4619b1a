"""Plans of faults on real processes: kills, stops, a straggler, and what long runs leave behind.

A ring of eight (quick: four) nodes of a tiny model; a round takes a quarter of a second, most of it waiting, so that
two cores are not saturated. Who did what when is read from journals and records, as an audit does; what was done to
the nodes, from the plan's own log. Each bad design below is the same run with one thing changed:

    kills      every start forgets the checkpoint (`--fresh`)               -> committed rounds are lost
    SIGSTOP    silent neighbours are not asked (`PeerConfig.probing`)       -> only keepalive notices, twice as late
    straggler  only messages of the same round count (max_staleness: 0)     -> its messages are hardly ever used
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from _figures import Figure, at_least, at_most

from _faults import small
from node.app.auditing.audit import Report, audit
from node.app.launching import launcher
from node.app.launching.chaos import Chaos, Deed
from node.app.run.processes import ProcessState, running
from node.app.run.run_folder import RunFolder, read_json
from node.drivers.faults import Faults, Kill, Pause
from node.graph.topology import Topology
from node.observe.journal import Entry, read_journal
from node.observe.records import RoundRecord, read_records
from node.observe.sketch import from_bytes
from node.types import PeerId

SEED = 0
PACE = 0.25  # seconds of a round's training
WHO = small.peer(1)  # is stopped, or slow
BACK = 0.3  # seconds after a kill
LEAD = 5.0  # seconds before the stop
SHORT = {"floor": 0.3, "ceiling": 0.6}  # seconds; the straggler takes 1.5
WAITS, GOES_ON = "deadlines as they come", "deadline 0.6 s"  # by default a round waits ten seconds at the least
HERE = str(Path(__file__).resolve().parent.parent)
NOT_PROBING = (
    "-c",
    f"import sys; sys.path.insert(0, {HERE!r}); from _faults.bad_designs import not_probing; sys.exit(not_probing())",
)


@dataclass(frozen=True)
class Size:
    """How much of each is done."""

    nodes: int
    kills: int
    every: float  # seconds between two kills
    rounds: int  # of the runs with and without kills
    stop: float  # seconds
    slow_rounds: int  # where nobody waits for the slow node
    wait_rounds: int  # where all do: six times longer


FULL = Size(nodes=8, kills=100, every=3.2, rounds=1300, stop=30.0, slow_rounds=120, wait_rounds=60)
QUICK = Size(nodes=4, kills=5, every=3.2, rounds=90, stop=10.0, slow_rounds=24, wait_rounds=12)


@dataclass
class Ran:
    """A network that has ended."""

    run: RunFolder
    graph: Topology
    chaos: Chaos
    states: Mapping[PeerId, ProcessState]
    seen: dict[PeerId, list[tuple[int, int, int]]] = field(default_factory=dict)  # RSS bytes, descriptors, threads

    def journal(self, peer: PeerId) -> list[Entry]:
        return list(read_journal(self.run.node(peer).path))

    def records(self, peer: PeerId) -> tuple[RoundRecord, ...]:
        return read_records(self.run.node(peer).records)

    def deed(self, what: str) -> float:
        """When it was done first: unix seconds."""
        return next(d.time for d in self.chaos.deeds if d.what == what)

    @property
    def loss(self) -> float:
        """On the common test set, mean over the nodes that finished."""
        results = [read_json(self.run.node(p).result) for p in self.graph.nodes]
        return statistics.fmean(r["loss"] for r in results if r is not None)


async def network(
    folder: Path, nodes: int, faults: Faults, *, pace: float = PACE, fresh: bool = False, **gossip: Any
) -> Ran:
    """One run from its start to its end."""
    name = folder.name
    graph = small.ring(nodes)
    run = small.make_run(folder, graph, **gossip)
    patience = 300.0 + 12 * pace * gossip["rounds"]
    chaos = Chaos(run, graph, faults, pace=pace, patience=patience, fresh=fresh, told=lambda deed: _tell(name, deed))
    say(f"{name}: {nodes} nodes, {gossip['rounds']} rounds")
    watching = asyncio.create_task(_watch(run, graph, chaos))
    started = time.monotonic()
    states = await chaos.run()
    ran = Ran(run, graph, chaos, states, await watching)
    say(
        f"{name}: ended after {time.monotonic() - started:.0f} s: "
        + " ".join(f"{p}={s.phase}" for p, s in states.items())
    )
    for peer in [p for p, s in states.items() if s.phase != "finished"]:
        say(f"{name}: {peer}: {states[peer].message}\n" + "\n".join(run.node(peer).log.read_text().splitlines()[-8:]))
    return ran


async def _watch(run: RunFolder, graph: Topology, chaos: Chaos) -> dict[PeerId, list[tuple[int, int, int]]]:
    """What every process takes, once a second, until the first one has ended."""
    seen: dict[PeerId, list[tuple[int, int, int]]] = {p: [] for p in graph.nodes}
    while not chaos.zero:
        await asyncio.sleep(0.1)
    while processes := [p for peer in graph.nodes if (p := running(run.node(peer))) is not None]:
        if len(processes) == len(graph.nodes):
            for peer, process in zip(graph.nodes, processes, strict=True):
                try:
                    seen[peer].append((process.memory_info().rss, process.num_fds(), process.num_threads()))
                except psutil.NoSuchProcess:
                    return seen
        await asyncio.sleep(1.0)
    return seen


# ---- kills
def kill_plan(size: Size) -> Faults:
    draw = random.Random(SEED)
    times = [3.0 + i * size.every + draw.uniform(0.0, 0.9 * size.every) for i in range(size.kills)]
    return Faults(kill=[Kill(small.peer(draw.randrange(size.nodes)), at, BACK) for at in times])


def after_kills(ran: Ran, calm: Ran) -> list[Figure]:
    report = audit(ran.run.path)
    kills = sum(d.what == "kill" for d in ran.chaos.deeds)
    ended = sum(s.phase != "finished" for s in ran.states.values())
    what = f"{kills} SIGKILL + restart over {len(ran.graph.nodes)} processes"
    return [
        at_most(f"{what}: committed rounds lost or altered", lost(report), "rounds", 0),
        at_most(f"{what}: nodes that ended or did not come back", ended, "nodes", 0),
        at_most(f"{what}: audit violations", sum(f.failed for f in report.findings), "", 0),
        at_most(f"{what}: final loss / no-fault", ran.loss / calm.loss, "x", 1.02),
    ]


def lost(report: Report) -> int:
    return sum(f.failed for f in report.findings if f.check in ("committed-not-lost", "committed-not-altered"))


# ---- a stopped node
def stop_plan(size: Size) -> Faults:
    return Faults(pause=[Pause(WHO, LEAD, size.stop)])


def stop_rounds(size: Size) -> int:
    """Enough for the time before, the stop, and ten seconds after it."""
    return round((LEAD + size.stop + 10.0) / PACE)


def after_stop(ran: Ran, seconds: float) -> list[Figure]:
    stopped, back = ran.deed("pause"), ran.deed("continue")
    near = ran.graph.neighbours(WHO)
    suspected = [_suspected(ran.journal(p), stopped) for p in near]
    latest = max(suspected)
    what = f"SIGSTOP {seconds:.0f} s of 1 of {len(ran.graph.nodes)}"
    figures = [at_most(f"{what}: suspected by every neighbour after", min(latest - stopped, seconds), "s", 3.0)]
    others = [p for p in ran.graph.nodes if p != WHO]
    before = [s for p in others for s in _round_times(ran.records(p), ran.chaos.zero, stopped)]
    during = [s for p in others for s in _round_times(ran.records(p), latest, back)]
    ratio = statistics.median(during) / statistics.median(before) if during and before else float("inf")
    used = min(_used_again(ran.journal(p), back) for p in near)
    return [
        *figures,
        at_most(f"{what}: the others' rounds while it is suspected / before", ratio, "x", 1.2),
        at_least(f"{what}: rounds that used it within 10 s of SIGCONT", used, "rounds", 1),
    ]


def _suspected(journal: Sequence[Entry], since: float) -> float:
    """When the neighbour was first called suspect: unix seconds."""
    words = [e.time for e in journal if e.event == "member" and e["peer"] == WHO and e["state"] in ("suspect", "dead")]
    return min((t for t in words if t >= since), default=float("inf"))


def _round_times(records: Sequence[RoundRecord], start: float, end: float) -> list[float]:
    times = [r.time for r in records if start <= r.time <= end]
    return [b - a for a, b in pairwise(times)]


def _used_again(journal: Sequence[Entry], back: float) -> int:
    """Rounds within ten seconds that used something which was sent after SIGCONT."""
    mixes = [e for e in journal if e.event == "mix" and WHO in e["used"]]
    old = [tuple(e["used"][WHO]) for e in mixes if e.time < back]
    newest = max(old, default=(-1, -1))
    return sum(back <= e.time <= back + 10.0 and tuple(e["used"][WHO]) > newest for e in mixes)


# ---- a slow node
def share_used(ran: Ran) -> float:
    """Of the rounds of its neighbours, in how many something of the slow node was mixed."""
    mixes = [e for p in ran.graph.neighbours(WHO) for e in ran.journal(p) if e.event == "mix"]
    return sum(WHO in e["used"] for e in mixes) / len(mixes)


def spread(ran: Ran, rounds: int) -> float:
    """sqrt(mean_i |x_i - xbar|^2) of the sketches, mean over the second half of `rounds`; a node's newest counts."""
    by_node = {p: {r.round: r.after for r in ran.records(p)} for p in ran.graph.nodes}
    found = []
    for round in range(rounds // 2, rounds):
        newest = [max((r for r in by if r <= round), default=None) for by in by_node.values()]
        x = np.stack([from_bytes(by[r]) for by, r in zip(by_node.values(), newest, strict=True) if r is not None])
        found.append(float(np.sqrt(((x - x.mean(0)) ** 2).sum(1).mean())))
    return statistics.fmean(found)


def after_slow(ran: Ran, calm: Ran, rounds: int, deadlines: str) -> list[Figure]:
    what = f"one node 6x slower, ring of {len(ran.graph.nodes)}, {deadlines}"
    return [
        at_least(f"{what}: rounds in which its neighbours used it", share_used(ran), "", 0.85),
        at_most(f"{what}: spread / the even network's", spread(ran, rounds) / spread(calm, rounds), "x", 1.3),
    ]


# ---- a long life
def after_soak(ran: Ran) -> list[Figure]:
    """The last fifth of a run against the second: the first is warm-up. Of every node, the worst counts."""
    growth, more = [], []
    for seen in ran.seen.values():
        fifth = max(1, len(seen) // 5)
        early, late = seen[fifth : 2 * fifth], seen[-fifth:]
        growth.append(statistics.median(s[0] for s in late) / statistics.median(s[0] for s in early) - 1)
        more += [min(s[i] for s in late) - min(s[i] for s in early) for i in (1, 2)]
    what = f"soak, {len(ran.graph.nodes)} nodes, {max(map(len, ran.seen.values()))} s"
    return [
        at_most(f"{what}: RSS growth after warm-up", 100 * max(growth), "%", 5.0),
        at_most(f"{what}: file descriptors and threads more", max(more), "", 0),
    ]


# ---- the rows
def rows(quick: bool) -> list[Figure]:
    """Figures of all plans; with the bad designs where there is time for them."""
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        return asyncio.run(_quick(Path(folder)) if quick else _full(Path(folder)))


def hour(seconds: float = 3600.0) -> list[Figure]:
    """Four nodes for an hour."""
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        ran = asyncio.run(network(Path(folder) / "soak", 4, Faults(), rounds=round(seconds / PACE)))
        return after_soak(ran)


async def _quick(folder: Path) -> list[Figure]:
    """Two networks at a time."""
    s = QUICK
    calm, killed = await asyncio.gather(
        network(folder / "calm", s.nodes, Faults(), rounds=s.rounds),
        network(folder / "kills", s.nodes, kill_plan(s), rounds=s.rounds),
    )
    straggler = Faults(straggle={WHO: 6.0})
    stopped, waits, goes_on = await asyncio.gather(
        network(folder / "stop", s.nodes, stop_plan(s), rounds=stop_rounds(s)),
        network(folder / "slow-waits", s.nodes, straggler, rounds=s.wait_rounds),
        network(folder / "slow-goes-on", s.nodes, straggler, rounds=s.slow_rounds, deadline=SHORT),
    )
    return [
        *after_kills(killed, calm),
        *after_stop(stopped, s.stop),
        *after_slow(waits, calm, s.wait_rounds, WAITS),
        after_slow(goes_on, calm, s.slow_rounds, GOES_ON)[0],  # a ring of four is too tight for the other
        *after_soak(calm),
    ]


async def _full(folder: Path) -> list[Figure]:
    """One network after the other, and the bad designs."""
    s = FULL
    slow = Faults(straggle={WHO: 6.0})
    calm = await network(folder / "calm", s.nodes, Faults(), rounds=s.rounds)
    figures = after_kills(await network(folder / "kills", s.nodes, kill_plan(s), rounds=s.rounds), calm)
    figures.append(await bad_restart(folder))
    figures += after_stop(await network(folder / "stop", s.nodes, stop_plan(s), rounds=stop_rounds(s)), s.stop)
    figures.append(await bad_probing(folder))
    ran = await network(folder / "slow-waits", s.nodes, slow, rounds=s.wait_rounds)
    figures += after_slow(ran, calm, s.wait_rounds, WAITS)
    ran = await network(folder / "slow-goes-on", s.nodes, slow, rounds=s.slow_rounds, deadline=SHORT)
    figures += after_slow(ran, calm, s.slow_rounds, GOES_ON)
    figures.append(await bad_staleness(folder))
    return [*figures, *after_soak(calm)]


async def bad_restart(folder: Path) -> Figure:
    """Each start forgets."""
    ran = await network(folder / "bad-restart", QUICK.nodes, kill_plan(QUICK), fresh=True, rounds=QUICK.rounds)
    return Figure("  bad design, restart without checkpoint: nodes that lost rounds", restarted_at_0(ran), "starts")


def restarted_at_0(ran: Ran) -> int:
    """Starts after the first one at round 0, though rounds were committed. The journal goes with `--fresh`."""
    starts = [e for p in ran.graph.nodes for e in ran.journal(p) if e.event == "start" and e.epoch > 1]
    return sum(e["round"] == 0 for e in starts)


async def bad_probing(folder: Path) -> Figure:
    """Silence is no reason to ask."""
    with started_by(NOT_PROBING):
        ran = await network(folder / "bad-probing", QUICK.nodes, stop_plan(QUICK), rounds=stop_rounds(QUICK))
    suspected = after_stop(ran, QUICK.stop)[0]
    return Figure("  bad design, no probes: suspected by every neighbour after", suspected.value, "s")


async def bad_staleness(folder: Path) -> Figure:
    """Strict rounds."""
    faults, rounds = Faults(straggle={WHO: 6.0}), QUICK.slow_rounds
    ran = await network(folder / "bad-staleness", QUICK.nodes, faults, rounds=rounds, deadline=SHORT, max_staleness=0)
    return Figure("  bad design, strict rounds: rounds in which its neighbours used it", share_used(ran), "")


@contextmanager
def started_by(server: tuple[str, ...]) -> Iterator[None]:
    """Runs within are started by another fork server."""
    before, launcher.SERVER = launcher.SERVER, server
    try:
        yield
    finally:
        launcher.SERVER = before


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _tell(name: str, deed: Deed) -> None:
    say(f"{name}: {deed.what} {' '.join(deed.who)}")
