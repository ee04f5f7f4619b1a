"""A bad line between two real processes: a TCP proxy that delays, throttles, swallows or breaks what passes.

    dialling node --> Proxy: listens on loopback --> the neighbour's own address
Bytes are never lost, doubled or reordered: TCP would hide that from both ends. A partition holds back everything, the
end of a connection included, as a cable that is out does; when it is over, what was held back arrives, if the ends are
still there. Decides nothing of when: `node.app.launching.chaos` does.
"""

from __future__ import annotations

import asyncio
import random

CHUNK = 65_536  # bytes read at a time
AHEAD = 256  # chunks that wait for their time at most: 16 MB; then the sender feels it


class Proxy:
    """One directed dial of an edge, and both directions of what goes over it.

    Args:
        target: host:port of who is dialled; asked for at each connection.
        delay: seconds, uniform between; drawn for each chunk, order is kept.
        rate: bytes a second in each direction of a connection; None: no limit.
        seed: of the delays.
    """

    def __init__(
        self, target: str, *, delay: tuple[float, float] = (0.0, 0.0), rate: float | None = None, seed: str = ""
    ) -> None:
        self.passed = 0  # bytes
        self._target, self._delay, self._rate = target, delay, rate
        self._random = random.Random(seed)
        self._open = asyncio.Event()
        self._open.set()
        self._ends: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def listen(self, port: int = 0) -> int:
        """The port of 127.0.0.1 that it listens on."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port)
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    def cut(self) -> None:
        """From now on nothing passes, and nobody is told."""
        self._open.clear()

    def heal(self) -> None:
        """What was held back passes, and what comes."""
        self._open.set()

    def drop(self) -> None:
        """Break every connection at both ends; new ones may come at once."""
        for end in tuple(self._ends):
            end.transport.abort()

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self.drop()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ---- one connection
    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        ends = [writer]
        self._ends.add(writer)
        try:
            await self._open.wait()
            host, _, port = self._target.rpartition(":")
            far_reader, far_writer = await asyncio.open_connection(host.strip("[]"), int(port))
            ends.append(far_writer)
            self._ends.add(far_writer)
            pairs = (reader, far_writer), (far_reader, writer)
            ways = [asyncio.create_task(self._way(*pair)) for pair in pairs]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_EXCEPTION)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass  # nobody there, or we close: the near end finds its connection gone
        finally:
            for end in ends:
                self._ends.discard(end)
                end.close()
            self._tasks.discard(task)

    async def _way(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction, until its end has come and was passed on."""
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(AHEAD)
        reading = asyncio.create_task(self._read(reader, waiting))
        try:
            while True:
                release, data = await waiting.get()
                await asyncio.sleep(release - asyncio.get_running_loop().time())
                await self._open.wait()
                if not data:
                    writer.write_eof()
                    return
                writer.write(data)
                await writer.drain()
                self.passed += len(data)
                if self._rate is not None:
                    await asyncio.sleep(len(data) / self._rate)
        finally:
            reading.cancel()

    async def _read(self, reader: asyncio.StreamReader, waiting: asyncio.Queue[tuple[float, bytes]]) -> None:
        release, data = 0.0, b"-"
        while data:
            try:
                data = await reader.read(CHUNK)
            except OSError:
                data = b""  # broken: the other end finds its connection ended
            release = max(release, asyncio.get_running_loop().time() + self._random.uniform(*self._delay))
            await waiting.put((release, data))
