"""A fault plan (`node.drivers.faults`) on real processes: the nodes of a run on this machine, as after `gossip up`.

    kill    SIGKILL; started again by the run's fork server, which is warm      pause  SIGSTOP, SIGCONT
    leave   SIGTERM, and perhaps a new start                                    start  a later start
    straggle  training that takes longer (`node.drivers.slow`)
    delay, partition, breaks, and a rate limit: a TCP proxy on each edge (`node.drivers.proxy`)
Time 0 is when all nodes that start at once say that they run. What a plan does to single messages (loss, duplicate,
reorder, tamper, cut by function) only the simulator can do: TCP does not. A signal goes to a process whose number and
time of birth are those that it wrote, never to a number alone. What was done, and when, is in `deeds`.
"""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psutil

from node.app.launching import launcher
from node.app.run.processes import ENDED, ProcessState, end, running, state_of
from node.app.run.run_folder import RunFolder
from node.drivers.faults import Break, Faults, Kill, Leaving, Partition, Pause
from node.drivers.proxy import Proxy
from node.errors import ConfigError, GossipError
from node.graph.topology import Topology
from node.types import PeerId

LOOK = 0.05  # seconds between two looks at what processes say
START_WITHIN = 600.0  # seconds; on a machine that is lent out, imports take a minute
NEEDS_SIMULATOR = ("loss", "duplicate", "reorder", "calm_after", "cut", "tamper")


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that was done to a node, or to an edge."""

    time: float  # unix seconds, as in journals and records
    what: str  # "kill", "start", "pause", "continue", "leave", "cut", "heal", "break"
    who: tuple[PeerId, ...]


class Chaos:
    """Runs the nodes of a run folder to their end, and a plan against them.

    Args:
        run: holds node.yaml and topology.yaml, as `gossip up` leaves them.
        topology: of the run.
        faults: the plan. Its `delay` counts where it is not that of the simulator's default.
        threads: of torch, a process.
        pace: seconds that training takes at least, before `straggle`: rounds of a realistic length.
        rate: bytes a second on an edge, each way; None: no limit.
        patience: seconds, from the start of the plan, in which all nodes must end.
        fresh: every start, the ones after kills too, forgets the checkpoint: the bad design that loses rounds.
        told: is told each deed.

    Raises:
        ConfigError: the plan names an unknown node, or asks for what real processes cannot do.
    """

    def __init__(
        self,
        run: RunFolder,
        topology: Topology,
        faults: Faults,
        *,
        threads: int = 1,
        pace: float = 0.0,
        rate: float | None = None,
        patience: float = 86_400.0,
        fresh: bool = False,
        told: Callable[[Deed], None] = lambda deed: None,
    ) -> None:
        require_possible(faults, topology)
        self.deeds: list[Deed] = []
        self.zero = 0.0  # unix seconds of time 0
        self._run, self._topology, self._faults, self._told = run, topology, faults, told
        self._threads, self._pace, self._rate, self._fresh = threads, pace, rate, fresh
        self._patience = patience
        self._proxies: dict[tuple[PeerId, PeerId], Proxy] = {}  # by (who dials, whom)
        self._seen_at: dict[PeerId, dict[PeerId, str]] = {}  # who dials -> whom -> the proxy's address
        self._stopped: dict[PeerId, psutil.Process] = {}
        self._away = set(faults.start)  # who does not run, and will

    async def run(self) -> dict[PeerId, ProcessState]:
        """Start the nodes, carry out the plan, wait until all have ended; their last states.

        Raises:
            GossipError: nothing came up, or not all ended in time.
        """
        async with self._lines(), self._network() as server:
            try:
                async with asyncio.timeout(START_WITHIN):
                    await self._until(lambda: self._all_run(server))
                async with asyncio.timeout(self._patience):
                    await self._carry_out()
            except TimeoutError:
                running = [peer for peer in self._topology.nodes if not self._has_ended(peer)]
                raise GossipError(f"{self._run.path}: not ended in time: {', '.join(running)}; see log.txt") from None
            return {peer: state for peer in self._topology.nodes if (state := self._state(peer)) is not None}

    async def _carry_out(self) -> None:
        self.zero, begin = time.time(), asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as deeds:
            for at, deed in self._timeline():
                deeds.create_task(self._later(begin + at, deed))
        await self._until(lambda: all(self._has_ended(peer) for peer in self._topology.nodes))

    # ---- the network
    @asynccontextmanager
    async def _lines(self) -> AsyncIterator[None]:
        """A proxy on each edge, where the plan wants something of the network."""
        f, graph = self._faults, self._topology
        is_slow = f.delay != Faults().delay
        if is_slow or f.partition or f.breaks or self._rate is not None:
            delay = f.delay if is_slow else (0.0, 0.0)
            for dialling in graph.nodes:
                for other in graph.dials(dialling):
                    proxy = Proxy(graph.addresses[other], delay=delay, rate=self._rate, seed=f"{dialling}/{other}")
                    self._proxies[dialling, other] = proxy
                    self._seen_at.setdefault(dialling, {})[other] = f"127.0.0.1:{await proxy.listen()}"
        try:
            yield
        finally:
            for proxy in self._proxies.values():
                await proxy.close()

    @asynccontextmanager
    async def _network(self) -> AsyncIterator[subprocess.Popen[bytes]]:
        """The fork server with the nodes that start at once; nobody is left when this is over."""
        first = [self._job(peer) for peer in self._topology.nodes if peer not in self._faults.start]
        server = launcher.start(self._run, first, self._threads, stay=True)
        try:
            yield server
        finally:
            for process in self._stopped.values():
                _send(process.resume)
            await asyncio.to_thread(end, [self._run.server, *map(self._run.node, self._topology.nodes)], 5.0)
            await asyncio.to_thread(server.wait)

    def _job(self, peer: PeerId) -> dict[str, Any]:
        slow = {"factor": self._faults.straggle.get(peer, 1.0), "at_least": self._pace}
        addresses = self._seen_at.get(peer, {})
        return {"kind": "node", "name": peer, "fresh": self._fresh, "addresses": addresses, "slow": slow}

    def _all_run(self, server: subprocess.Popen[bytes]) -> bool:
        if server.poll() is not None:
            raise GossipError(f"{self._run.path}: nothing came up: {launcher.last_line(self._run.server.log)}")
        return all(self._is_up(peer) for peer in self._topology.nodes if peer not in self._faults.start)

    # ---- the plan
    def _timeline(self) -> list[tuple[float, Callable[[], Awaitable[None]]]]:
        f = self._faults
        plan: list[tuple[float, Callable[[], Awaitable[None]]]] = []
        plan += [(at, lambda p=peer: self._start(p)) for peer, at in f.start.items()]  # type: ignore[misc]
        plan += [(k.at, lambda k=k: self._kill(k)) for k in f.kill]  # type: ignore[misc]
        plan += [(p.at, lambda p=p: self._pause(p)) for p in f.pause]  # type: ignore[misc]
        plan += [(w.at, lambda w=w: self._leave(w)) for w in f.leave]  # type: ignore[misc]
        plan += [(p.start, lambda p=p: self._cut(p)) for p in f.partition]  # type: ignore[misc]
        plan += [(b.at, lambda b=b: self._break(b)) for b in f.breaks]  # type: ignore[misc]
        return sorted(plan, key=lambda item: item[0])

    async def _later(self, at: float, deed: Callable[[], Awaitable[None]]) -> None:
        await asyncio.sleep(at - asyncio.get_running_loop().time())
        await deed()

    async def _kill(self, kill: Kill) -> None:
        if (process := await self._process(kill.peer)) is None:
            return
        self._note("kill", kill.peer)
        self._leaves(kill.peer, kill.back_after)
        _send(process.kill)
        await self._back(kill.peer, kill.back_after)

    async def _pause(self, pause: Pause) -> None:
        if (process := await self._process(pause.peer)) is None:
            return
        self._note("pause", pause.peer)
        self._stopped[pause.peer] = process
        _send(process.suspend)
        await asyncio.sleep(pause.seconds)
        self._note("continue", pause.peer)
        _send(self._stopped.pop(pause.peer, process).resume)

    async def _leave(self, leave: Leaving) -> None:
        if (process := await self._process(leave.peer)) is None:
            return
        self._note("leave", leave.peer)
        self._leaves(leave.peer, leave.back_after)
        _send(process.terminate)
        await self._back(leave.peer, leave.back_after)

    def _leaves(self, peer: PeerId, back_after: float | None) -> None:
        if back_after is not None:
            self._away.add(peer)

    async def _back(self, peer: PeerId, seconds: float | None) -> None:
        if seconds is not None:
            await self._until(lambda: running(self._run.node(peer)) is None)
            await asyncio.sleep(seconds)
            await self._start(peer)

    async def _start(self, peer: PeerId) -> None:
        self._note("start", peer)
        if not launcher.again(self._run, self._job(peer)):
            raise GossipError(f"{self._run.path}: {peer} was not started: the fork server is gone")
        await self._until(lambda: self._state(peer) is not None)
        self._away.discard(peer)

    async def _cut(self, partition: Partition) -> None:
        cut = [pair for pair in self._proxies if partition.cuts(*pair, partition.start)]
        self._note("cut", *sorted(partition.one))
        for pair in cut:
            self._proxies[pair].cut()
        await asyncio.sleep(partition.end - partition.start)
        self._note("heal", *sorted(partition.one))
        for pair in cut:
            self._proxies[pair].heal()

    async def _break(self, broken: Break) -> None:
        self._note("break", broken.a, broken.b)
        for pair in ((broken.a, broken.b), (broken.b, broken.a)):
            if pair in self._proxies:
                self._proxies[pair].drop()

    # ---- looking
    async def _process(self, peer: PeerId) -> psutil.Process | None:
        """The process of `peer`, as soon as there is one; None: it has ended, and will not be back."""
        await self._until(lambda: self._is_up(peer) or (self._has_ended(peer) and peer not in self._away))
        return running(self._run.node(peer))

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            await asyncio.sleep(LOOK)

    def _state(self, peer: PeerId) -> ProcessState | None:
        return state_of(self._run.node(peer))

    def _is_up(self, peer: PeerId) -> bool:
        return running(self._run.node(peer)) is not None

    def _has_ended(self, peer: PeerId) -> bool:
        return (state := self._state(peer)) is not None and state.phase in ENDED

    def _note(self, what: str, *who: PeerId) -> None:
        self.deeds.append(Deed(time.time(), what, who))
        self._told(self.deeds[-1])


def require_possible(faults: Faults, topology: Topology) -> None:
    """Raises ConfigError where real processes cannot do what the plan says."""
    for name in NEEDS_SIMULATOR:
        if getattr(faults, name) != getattr(Faults, name):
            raise ConfigError(
                f"fault plan: {name} is {_shown(getattr(faults, name))}; only the simulator does that to single "
                f"messages, TCP does not; wanted none of {', '.join(NEEDS_SIMULATOR)} on real processes"
            )
    plans: Sequence[Sequence[Kill | Pause | Leaving]] = (faults.kill, faults.pause, faults.leave)
    named = {f.peer for plan in plans for f in plan} | faults.start.keys() | faults.straggle.keys()
    named |= {p for cut in faults.partition for p in cut.one} | {p for b in faults.breaks for p in (b.a, b.b)}
    if unknown := sorted(named - set(topology.nodes)):
        raise ConfigError(f"fault plan: no node {unknown[0]!r} in {topology.source}: {', '.join(topology.nodes)}")


def _shown(value: object) -> str:
    return "a function" if callable(value) else repr(value)


def _send(signal: Callable[[], None]) -> None:
    """A signal to a process that may have gone since we looked."""
    try:
        signal()
    except psutil.NoSuchProcess:
        return
