"""A slow line: ``python -m benchmarks.delay ONE_WAY_MS LISTEN:TARGET…`` passes bytes on, later.

Each direction is as late as the other, in order, and of any bandwidth. The system accepts connections without asking
this program, so the time that a handshake would take is added to the first bytes of the client.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import deque
from functools import partial

_MAX_QUEUED_BYTES = 64 * 1024 * 1024
"""So much may be under way in one direction: no line of 50 ms is full with it below 20 Gbit/s."""


class _Side(asyncio.Protocol):
    """One end of a connection; what it hears is written to ``other``, ``seconds`` later."""

    def __init__(self, seconds: float, *, first_seconds: float = 0.0) -> None:
        self.other: _Side | None = None
        self.transport: asyncio.Transport | None = None
        self._seconds = seconds
        self._first_seconds = first_seconds  # of the first bytes, which those after them cannot overtake
        self._queue: deque[tuple[float, bytes | None]] = deque()
        self._queued_bytes = 0
        self._is_armed = False
        self._is_full = False
        self._is_paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream has no other
        self.transport = transport
        transport.set_write_buffer_limits(high=_MAX_QUEUED_BYTES)

    def data_received(self, data: bytes) -> None:
        self._put(data)

    def eof_received(self) -> bool:
        self._put(None)
        return True  # the other direction may go on

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's interface
        self._put(None)
        if self.other is not None and self.other.transport is not None:
            asyncio.get_running_loop().call_later(self._seconds, self.other.transport.close)

    def pause_writing(self) -> None:
        self._is_full = True
        if self.other is not None:
            self.other.regulate()

    def resume_writing(self) -> None:
        self._is_full = False
        if self.other is not None:
            self.other.regulate()

    def regulate(self) -> None:
        """Reads on, or waits, as there is room ahead."""
        is_full = self._queued_bytes > _MAX_QUEUED_BYTES or (self.other is not None and self.other._is_full)
        if self.transport is None or self.transport.is_closing() or is_full == self._is_paused:
            return
        self._is_paused = is_full
        if is_full:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def _put(self, data: bytes | None) -> None:
        due = asyncio.get_running_loop().time() + self._seconds + self._first_seconds
        self._first_seconds = 0.0
        if self._queue:
            due = max(due, self._queue[-1][0])
        self._queue.append((due, data))
        self._queued_bytes += len(data or b"")
        self.regulate()
        self._arm()

    def _arm(self) -> None:
        if self._queue and not self._is_armed and self.other is not None:
            self._is_armed = True
            asyncio.get_running_loop().call_at(self._queue[0][0], self._flush)

    def _flush(self) -> None:
        self._is_armed = False
        now = asyncio.get_running_loop().time()
        target = self.other.transport if self.other is not None else None
        while self._queue and self._queue[0][0] <= now:
            _, data = self._queue.popleft()
            self._queued_bytes -= len(data or b"")
            if target is None or target.is_closing():
                continue
            if data is not None:
                target.write(data)
            elif target.can_write_eof():
                with contextlib.suppress(OSError):
                    target.write_eof()
        self.regulate()
        self._arm()

    def join(self, other: _Side) -> None:
        """Both ends are there now: what waited goes on its way."""
        self.other, other.other = other, self
        self._arm()
        other._arm()


class _Client(_Side):
    def __init__(self, port: int, seconds: float) -> None:
        super().__init__(seconds, first_seconds=2 * seconds)
        self._port = port
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._task = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, server = await loop.create_connection(partial(_Side, self._seconds), "127.0.0.1", self._port)
        except OSError:
            if self.transport is not None:
                self.transport.abort()
            return
        self.join(server)


async def run(one_way_seconds: float, ports: list[tuple[int, int]]) -> None:
    """Serves until it is cancelled; ``ports`` are (where it listens, where it leads to) on loopback."""
    loop = asyncio.get_running_loop()
    for listen, target in ports:
        await loop.create_server(partial(_Client, target, one_way_seconds), "127.0.0.1", listen, backlog=1024)
    await loop.create_future()


def main() -> None:
    pairs = [(int(listen), int(target)) for listen, _, target in (text.partition(":") for text in sys.argv[2:])]
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(float(sys.argv[1]) / 1000, pairs))


if __name__ == "__main__":
    main()
