"""A bounded pool of threads: results in order, ends at once on Ctrl-C. The only place that knows of threads.

The threads are daemons, so a run that is told to stop does not wait for a socket that says nothing; whatever they
were writing is temporary until it has been verified.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import Generic, Self, TypeVar

from pymirror.errors import InterruptedRunError

T = TypeVar("T")
R = TypeVar("R")

_PATIENCE_SECONDS = 0.5


class Stop:
    """Set once, when the run must end; long work looks at it between two steps."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def check(self) -> None:
        """Raises :class:`InterruptedRunError` when the run must end."""
        if self._event.is_set():
            raise InterruptedRunError

    def sleep(self, seconds: float) -> None:
        """Waits, but not longer than the run lasts."""
        if self._event.wait(seconds):
            raise InterruptedRunError


class Alarm:
    """Sees to it that a signal is heard at once.

    Python handles it in the main thread, between two steps. Where it comes just before that thread falls asleep, over a
    lock or a socket, it would be heard only when something else ends the sleep: so it is sent again until it is.
    """

    _PERIOD_SECONDS = 0.05

    def __init__(self) -> None:
        self._heard = threading.Event()
        self._writer: socket.socket | None = None

    def __enter__(self) -> Self:
        if hasattr(signal, "pthread_kill"):
            reader, self._writer = socket.socketpair()
            self._writer.setblocking(False)
            signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
            threading.Thread(target=self._insist, args=(reader,), name="pymirror-alarm", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._heard.set()
        if self._writer is not None:
            signal.set_wakeup_fd(-1)
            self._writer.close()  # which ends the thread

    def hear(self) -> None:
        """The signal has been heard."""
        self._heard.set()

    def _insist(self, reader: socket.socket) -> None:
        main = threading.main_thread().ident
        with reader:
            number = reader.recv(1)
            while number and main is not None and not self._heard.wait(self._PERIOD_SECONDS):
                signal.pthread_kill(main, number[0])
            # Until the writer is closed: a second signal would complain, with a traceback, of an end that is gone.
            while reader.recv(64):
                pass


class Watchdog:
    """Ends connections that have outlived their time, whatever trickles in: a socket's own timeout starts anew with
    every byte.
    """

    _PERIOD_SECONDS = 0.2

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: dict[int, tuple[float, Sequence[socket.socket]]] = {}
        self._serial = count()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def watch(self, sockets: Sequence[socket.socket], deadline: float) -> Iterator[None]:
        """Shuts ``sockets``, which may grow meanwhile, when the monotonic clock passes ``deadline``.

        To the reader that may look like the regular end of an answer, so it must look at the clock itself.
        """
        key = next(self._serial)
        with self._lock:
            self._watched[key] = (deadline, sockets)
            if self._thread is None:
                self._thread = threading.Thread(target=self._patrol, name="pymirror-watchdog", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._watched.pop(key, None)

    def close(self) -> None:
        self._closed.set()

    def _patrol(self) -> None:
        while not self._closed.wait(self._PERIOD_SECONDS):
            now = time.monotonic()
            with self._lock:
                late = [sockets for deadline, sockets in self._watched.values() if deadline <= now]
                for sockets in late:
                    for opened in list(sockets):
                        # Under the lock, so that the connection cannot meanwhile serve another request; by the base
                        # class, since TLS would take its own state away from under the thread that reads.
                        with contextlib.suppress(OSError):
                            socket.socket.shutdown(opened, socket.SHUT_RDWR)


@dataclass(slots=True)
class _Shared(Generic[R]):
    condition: threading.Condition = field(default_factory=threading.Condition)
    results: dict[int, R | BaseException] = field(default_factory=dict)
    next_index: int = 0


def run_ordered(items: Sequence[T], work: Callable[[T], R], *, threads: int, stop: Stop) -> Iterator[tuple[T, R]]:
    """``(item, work(item))`` for each of ``items``, in their order, on at most ``threads`` threads.

    A slow item holds no other back: results wait for it. ``work`` returns the failures that it expects; what it raises
    is raised here, at the item's turn, and ends the run.
    """
    shared: _Shared[R] = _Shared()

    def loop() -> None:
        while True:
            with shared.condition:
                index = shared.next_index
                if index >= len(items):
                    return
                shared.next_index += 1
            try:
                stop.check()
                result: R | BaseException = work(items[index])
            except BaseException as error:  # noqa: BLE001 - handed to the caller's thread, which raises it
                result = error
            with shared.condition:
                shared.results[index] = result
                shared.condition.notify_all()

    workers = [
        threading.Thread(target=loop, name=f"pymirror-{number}", daemon=True)
        for number in range(min(threads, len(items)))
    ]
    for worker in workers:
        worker.start()
    try:
        yield from zip(items, _in_order(shared, len(items)), strict=True)
    except BaseException:
        stop.set()
        _wait_for(workers)
        raise


def _wait_for(workers: Sequence[threading.Thread]) -> None:
    """Lets each come to the end of its step, so that nothing is written any more when the lock is given back.

    Not for long: one that waits for a server writes nothing when an answer comes, since it looks for the end first.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    for worker in workers:
        worker.join(max(0.0, deadline - time.monotonic()))


def _in_order(shared: _Shared[R], total: int) -> Iterable[R]:
    for index in range(total):
        with shared.condition:
            while index not in shared.results:
                shared.condition.wait()
            result = shared.results.pop(index)
        if isinstance(result, BaseException):
            raise result
        yield result
