"""The parts of a fault plan on real processes by hand: the proxy over loopback, what a plan may ask, jobs again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from node.app.launching import launcher
from node.app.launching.chaos import require_possible
from node.app.run.processes import announce, state_of
from node.app.run.run_folder import RunFolder, write_json
from node.drivers.faults import Break, Faults, Kill, Partition, Pause
from node.drivers.proxy import Proxy
from node.drivers.slow import Interrupted, Slow, slowed
from node.errors import ConfigError
from node.graph.topology import Topology
from node.types import PeerId

GRAPH = Topology.from_mapping({"nodes": {"a": "127.0.0.1:1", "b": "127.0.0.1:2"}, "edges": [["a", "b"]]}, "two")
A, B = PeerId("a"), PeerId("b")
SOON = 0.2  # seconds in which loopback would have carried anything
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def line(**how: Any) -> AsyncIterator[tuple[Proxy, Ends, Callable[[], Coroutine[Any, Any, Ends]]]]:
    """A proxy before a server that sends back what it gets; a connection through it, and what makes another one."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    proxy = Proxy(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", **how)
    port = await proxy.listen()

    async def dial() -> Ends:
        return await asyncio.open_connection("127.0.0.1", port)

    ends = await dial()
    try:
        yield proxy, ends, dial
    finally:
        ends[1].close()
        await proxy.close()
        server.close()


async def seconds_for(ends: Ends, size: int, times: int = 1) -> float:
    """Until `size` bytes have come back, `times` times one after the other."""
    reader, writer = ends
    start = time.monotonic()
    for i in range(times):
        data = bytes([i]) * size
        writer.write(data)
        assert await asyncio.wait_for(reader.readexactly(size), 20) == data
    return time.monotonic() - start


# ---- the proxy
def test_a_proxy_passes_all_bytes_in_order_both_ways() -> None:
    async def story() -> None:
        async with line() as (proxy, ends, _):
            await seconds_for(ends, 300_000, times=3)
            assert proxy.passed == 2 * 3 * 300_000

    asyncio.run(story())


def test_a_delay_holds_for_each_way() -> None:
    async def story() -> float:
        async with line(delay=(0.05, 0.07)) as (_, ends, _):
            return await seconds_for(ends, 10, times=5)

    taken = asyncio.run(story())
    assert taken >= 5 * 2 * 0.05


def test_bytes_under_way_do_not_wait_for_each_other() -> None:
    """Twenty at once take one delay, not twenty: it is a long line, not a slow one."""

    async def story() -> float:
        async with line(delay=(0.1, 0.1)) as (_, (reader, writer), _):
            start = time.monotonic()
            for _ in range(20):
                writer.write(b"x")
                await asyncio.sleep(0)
            await asyncio.wait_for(reader.readexactly(20), 20)
            return time.monotonic() - start

    assert 0.2 <= asyncio.run(story()) < 1.5


def test_a_rate_bounds_what_passes_in_a_second() -> None:
    async def story() -> float:
        async with line(rate=1e6) as (_, ends, _):
            return await seconds_for(ends, 500_000)

    assert asyncio.run(story()) >= 0.4  # the last chunk is through before its time is over


def test_what_is_cut_off_comes_when_it_heals_and_nothing_is_lost() -> None:
    async def story() -> None:
        async with line() as (proxy, (reader, writer), dial):
            await seconds_for((reader, writer), 10)
            proxy.cut()
            writer.write(b"held back")
            early = asyncio.ensure_future(reader.readexactly(9))
            other_reader, other_writer = await dial()  # accepted by the kernel, answered by nobody
            other_writer.write(b"hello")
            late = asyncio.ensure_future(other_reader.readexactly(5))
            done, _ = await asyncio.wait({early, late}, timeout=SOON)
            assert not done
            proxy.heal()
            assert await asyncio.wait_for(early, 20) == b"held back"
            assert await asyncio.wait_for(late, 20) == b"hello"
            other_writer.close()

    asyncio.run(story())


def test_a_cut_hides_the_end_of_a_connection_too() -> None:
    async def story() -> None:
        async with line() as (proxy, (reader, writer), _):
            await seconds_for((reader, writer), 10)
            proxy.cut()
            writer.write_eof()  # the server will close when it hears of it
            ended = asyncio.ensure_future(reader.read())
            done, _ = await asyncio.wait({ended}, timeout=SOON)
            assert not done
            proxy.heal()
            assert await asyncio.wait_for(ended, 20) == b""

    asyncio.run(story())


def test_a_drop_breaks_what_stands_and_lets_the_next_one_in() -> None:
    async def story() -> None:
        async with line() as (proxy, (reader, writer), dial):
            await seconds_for((reader, writer), 10)
            proxy.drop()
            with contextlib.suppress(ConnectionError):  # a reset, where the system says so
                assert await asyncio.wait_for(reader.read(), 20) == b""
            again = await dial()
            await seconds_for(again, 10)
            again[1].close()

    asyncio.run(story())


def test_where_nobody_listens_the_dialler_finds_its_connection_ended() -> None:
    async def story() -> bytes:
        proxy = Proxy("127.0.0.1:1")
        reader, writer = await asyncio.open_connection("127.0.0.1", await proxy.listen())
        said = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        await proxy.close()
        return said

    assert asyncio.run(story()) == b""


# ---- what a plan may ask
@pytest.mark.parametrize(
    ("faults", "word"),
    [
        (Faults(loss=0.1), "loss is 0.1"),
        (Faults(duplicate=0.1), "duplicate is 0.1"),
        (Faults(reorder=0.1), "reorder is 0.1"),
        (Faults(cut=lambda a, b, now: True), "cut is a function"),
        (Faults(tamper=lambda sender, message: message), "tamper is a function"),
        (Faults(kill=[Kill(PeerId("c"), 1.0)]), "no node 'c' in two: a, b"),
        (Faults(partition=[Partition(frozenset({PeerId("c")}), 1.0, 2.0)]), "no node 'c'"),
        (Faults(straggle={PeerId("c"): 2.0}), "no node 'c'"),
    ],
)
def test_what_real_processes_cannot_do_is_refused_in_one_line(faults: Faults, word: str) -> None:
    with pytest.raises(ConfigError) as refused:
        require_possible(faults, GRAPH)
    assert word in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_real_processes_can_do_is_taken() -> None:
    everything = Faults(
        delay=(0.03, 0.07),
        straggle={A: 6.0},
        start={B: 3.0},
        kill=[Kill(A, 1.0)],
        pause=[Pause(A, 1.0, 2.0)],
        partition=[Partition(frozenset({A}), 1.0, 2.0)],
        breaks=[Break(A, B, 1.0)],
    )
    require_possible(everything, GRAPH)
    require_possible(Faults(), GRAPH)


# ---- a trainer that takes longer
class Instant:
    """Trains in no time."""

    def train(self, round: int, shared: Any) -> tuple[Any, dict[str, float]]:
        return shared, {"loss": float(round)}

    def stop(self) -> None: ...

    def state(self) -> dict[str, Any]:
        return {}


def test_training_takes_the_factor_of_what_it_takes_at_least() -> None:
    slow = slowed(Instant(), Slow(factor=3.0, at_least=0.02))
    start = time.monotonic()
    assert slow.train(7, {})[1] == {"loss": 7.0}
    assert time.monotonic() - start >= 0.06


def test_a_stop_ends_the_wait() -> None:
    slow = slowed(Instant(), Slow(at_least=3600.0))
    slow.stop()
    with pytest.raises(Interrupted):
        slow.train(0, {})


def test_without_a_plan_the_trainer_is_untouched() -> None:
    trainer = Instant()
    assert slowed(trainer, Slow()) is trainer


# ---- jobs again
SERVER = """
import os, sys, time
from pathlib import Path
from node.app.launching.forkserver import Server
from node.app.run.processes import announce
from node.app.run.run_folder import RunFolder
from node.settings import LogsConfig
run = RunFolder(Path(sys.argv[1]))
def work(job):
    announce(run.node(job["name"]), "running", job.get("life", 0))
    if "code" in job:
        return job["code"]
    while True:
        time.sleep(3600)
sys.exit(Server(run, work, LogsConfig()).serve())
"""


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def serve(run: RunFolder, **plan: Any) -> subprocess.Popen[bytes]:
    write_json(run.jobs, plan)
    run.path.mkdir(exist_ok=True)
    with run.server.log.open("wb") as log:
        server = subprocess.Popen([sys.executable, "-c", SERVER, str(run.path)], start_new_session=True, stdout=log)
    announce(run.server, "running", pid=server.pid)
    return server


def until(holds: Callable[[], Any]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def runs(run: RunFolder, name: str) -> bool:
    state = state_of(run.node(name))
    return state is not None and state.phase == "running"


@pytest.mark.process
def test_a_killed_job_is_started_again_when_asked_for(run: RunFolder) -> None:
    server = serve(run, jobs=[{"name": "a"}, {"name": "b"}], stay=True)
    until(lambda: runs(run, "a") and runs(run, "b"))
    first, other = state_of(run.node("a")), state_of(run.node("b"))
    assert first is not None
    os.kill(first.pid, signal.SIGKILL)
    until(lambda: not runs(run, "a"))
    assert launcher.again(run, {"name": "a"})
    until(lambda: runs(run, "a"))
    second = state_of(run.node("a"))
    assert second is not None
    assert (second.epoch, second.pid != first.pid) == (1, True)  # its life
    assert state_of(run.node("b")) == other
    server.terminate()
    server.wait(60)
    until(lambda: not runs(run, "a") and not runs(run, "b"))


@pytest.mark.process
def test_nobody_starts_a_job_where_no_server_is(run: RunFolder) -> None:
    write_json(run.jobs, {"jobs": []})
    assert not launcher.again(run, {"name": "a"})


@pytest.mark.process
def test_a_crashed_job_is_started_again_as_often_as_allowed(run: RunFolder) -> None:
    server = serve(run, jobs=[{"name": "a", "code": 1}, {"name": "b", "code": 2}, {"name": "c", "code": 0}], restart=1)
    assert server.wait(60) == 2  # b's: wrong settings are not tried again, and a crash that was made up for counts less
    assert run.server.log.read_text() == "a ended; started again in 1 s (1 of 1)\n"


@pytest.mark.process
def test_a_server_that_is_ended_starts_nobody_again(run: RunFolder) -> None:
    server = serve(run, jobs=[{"name": "a"}], restart=5)
    until(lambda: runs(run, "a"))
    server.terminate()  # handed on
    server.wait(60)
    assert not runs(run, "a")
