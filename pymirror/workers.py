"""A bounded pool of threads: results in order, ends at once on Ctrl-C. The only place that knows of threads.

The threads are daemons, so a run that is told to stop does not wait for a socket that says nothing; whatever they
were writing is temporary until it has been verified.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from itertools import count
from types import TracebackType
from typing import Generic, NamedTuple, Self, TypeVar

from pymirror.errors import InterruptedRunError, OutOfTimeError

T = TypeVar("T")
R = TypeVar("R")

_PATIENCE_SECONDS = 0.5


class Stop:
    """Set once, when the run must end; long work looks at it between two steps. ``clock`` counts seconds, monotonic."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._event = threading.Event()
        self._is_set = False
        self.clock = clock
        self._began = clock()

    @property
    def is_out_of_time(self) -> bool:
        """Whether the time is over that the work has."""
        return False

    def within(self, seconds: float | None) -> Stop:
        """The same for work that has so many seconds, counted from when this one was made: the start of the command."""
        return self if seconds is None else _TimedStop(self, seconds)

    def set(self) -> None:
        self._is_set = True
        self._event.set()

    def set_by_signal(self) -> None:
        """The same, but for those that sleep: the handler of a signal may take no lock, its own thread may have it."""
        self._is_set = True

    def check(self) -> None:
        """Raises :class:`InterruptedRunError` when the run must end."""
        if self._is_set:
            raise InterruptedRunError

    def sleep(self, seconds: float) -> None:
        """Waits, but not longer than the run lasts."""
        if self._event.wait(seconds):
            raise InterruptedRunError


class _TimedStop(Stop):
    """Ends with another one, and when its own time is over: by :class:`OutOfTimeError`, after which the run goes on."""

    def __init__(self, stop: Stop, seconds: float) -> None:
        self._stop = stop
        self.clock = stop.clock
        self._seconds = seconds

    @property
    def is_out_of_time(self) -> bool:
        return self._remaining <= 0

    def set(self) -> None:
        self._stop.set()

    def set_by_signal(self) -> None:
        self._stop.set_by_signal()

    def check(self) -> None:
        self._stop.check()
        if self.is_out_of_time:
            raise OutOfTimeError("the time of stop-after was over; the next run goes on from here")

    def sleep(self, seconds: float) -> None:
        self._stop.sleep(max(0.0, min(seconds, self._remaining)))
        self.check()

    @property
    def _remaining(self) -> float:
        return self._stop._began + self._seconds - self.clock()


class Deadline:
    """When a request must have ended, by the clock of ``stop``: after so many seconds, or when its time is over."""

    def __init__(self, seconds: float, *, stop: Stop | None = None) -> None:
        self._stop = stop if stop is not None else Stop()
        self._moment = self._stop.clock() + seconds

    @property
    def is_over(self) -> bool:
        """Whether the seconds have passed."""
        return self._stop.clock() >= self._moment

    @property
    def must_end(self) -> bool:
        """Whether it has to end now, for one reason or the other."""
        return self.is_over or self._stop.is_out_of_time

    def extend(self, seconds: float) -> None:
        """So many seconds more: what is waited for meanwhile is not at fault."""
        self._moment += seconds


class LastWords(NamedTuple):
    """How a process ends that a signal was sent to, and cannot end by itself: its code, and what it says."""

    exit_code: int
    err: bytes
    out: bytes = b""


class Alarm:
    """Sees to it that a signal is heard at once, and ends the run.

    Python handles it in the main thread, between two steps. Where it comes just before that thread falls asleep, over a
    lock or a socket, it would be heard only when something else ends the sleep: so it is sent again until it is.

    What the handler raises may come between two steps of the standard library too, of which the first takes a lock and
    the second would see to it that it is given back; or the thread may be in a call that no signal ends. Then the
    process is ended from here, with ``last_words`` by the number of the signal: it may be killed at any moment.
    """

    _PERIOD_SECONDS = 0.05
    _PATIENCE_SECONDS = 1.5

    def __init__(self, last_words: Mapping[int, LastWords]) -> None:
        self._last_words = last_words
        self._is_heard = False
        self._is_told = False
        self._is_closed = False
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
        if self._writer is not None and not self._is_heard:
            self._is_closed = True
            signal.set_wakeup_fd(-1)
            self._writer.close()  # which ends the thread

    def hear(self) -> None:
        """The signal has been heard: the process has some time to end."""
        self._is_heard = True

    def tell(self) -> None:
        """The last words have been said, by whom they belong to."""
        self._is_told = True

    def _insist(self, reader: socket.socket) -> None:
        """Calls nothing that is written in Python, and takes no lock: those may be what the main thread left locked."""
        main = threading.main_thread().ident
        number = 0
        while number not in self._last_words:
            received = reader.recv(1)
            if not received:
                reader.close()
                return
            number = received[0]
        ends_at = time.monotonic() + self._PATIENCE_SECONDS
        while time.monotonic() < ends_at:
            time.sleep(self._PERIOD_SECONDS)
            if self._is_closed:
                reader.close()
                return
            if not self._is_heard and main is not None:
                signal.pthread_kill(main, number)
        words = self._last_words[number]
        if not self._is_told:
            for descriptor, text in ((1, words.out), (2, words.err)):
                try:
                    if select.select([], [descriptor], [], 0)[1]:  # not where a pipe is full, which nobody reads
                        os.write(descriptor, text)
                except (OSError, ValueError):  # its reader is gone, or it is closed
                    continue
        os._exit(words.exit_code)


class Watchdog:
    """Ends connections that have outlived their time, whatever trickles in: a socket's own timeout starts anew with
    every byte.
    """

    _PERIOD_SECONDS = 0.2

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: dict[int, tuple[Deadline, Sequence[socket.socket]]] = {}
        self._serial = count()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def watch(self, sockets: Sequence[socket.socket], deadline: Deadline) -> Iterator[None]:
        """Shuts ``sockets``, which may grow meanwhile, when ``deadline`` says so, which may be moved meanwhile.

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
            with self._lock:
                late = [sockets for deadline, sockets in self._watched.values() if deadline.must_end]
                for sockets in late:
                    for opened in list(sockets):
                        # Under the lock, so that the connection cannot meanwhile serve another request; by the base
                        # class, since TLS would take its own state away from under the thread that reads.
                        with contextlib.suppress(OSError):
                            socket.socket.shutdown(opened, socket.SHUT_RDWR)


class _Shared(Generic[R]):
    """What the threads share. Each is woken for what it waits for alone: to wake all costs more than most work.

    The thread that takes the results is the main one, which signals interrupt: it uses the lock itself and a queue,
    both written in C, and no condition, whose own steps an interrupt would come between.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.has_room = threading.Condition(self.lock)
        self.is_ready: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.results: dict[int, R | BaseException] = {}
        self.next_index = 0
        self.taken = 0
        self.is_over = False


def run_ordered(
    items: Sequence[T], work: Callable[[T], R], *, threads: int, stop: Stop, ahead: int | None = None
) -> Generator[tuple[T, R], None, None]:
    """``(item, work(item))`` for each of ``items``, in their order, on at most ``threads`` threads.

    A slow item holds no other back: results wait for it, at most ``ahead`` of them where that is given. ``work``
    returns the failures that it expects; what it raises is raised here, at the item's turn, and ends the run.
    """
    shared: _Shared[R] = _Shared()

    def loop() -> None:
        while True:
            with shared.has_room:
                while ahead is not None and shared.next_index >= shared.taken + ahead and not shared.is_over:
                    shared.has_room.wait()
                index = shared.next_index
                if index >= len(items) or shared.is_over:
                    return
                shared.next_index += 1
            try:
                stop.check()
                result: R | BaseException = work(items[index])
            except BaseException as error:  # noqa: BLE001 - handed to the caller's thread, which raises it
                result = error
            with shared.lock:
                shared.results[index] = result
                if index == shared.taken:
                    shared.is_ready.put(None)

    workers = [
        threading.Thread(target=loop, name=f"pymirror-{number}", daemon=True)
        for number in range(min(threads, len(items)))
    ]
    for worker in workers:
        worker.start()
    try:
        yield from zip(items, _in_order(shared, len(items)), strict=True)
    except BaseException:
        if shared.taken < len(items):
            stop.set()
        _end(shared)
        _wait_for(workers)
        raise
    _end(shared)


def _end(shared: _Shared[R]) -> None:
    with shared.lock:
        shared.is_over = True
        shared.has_room.notify_all()


def _wait_for(workers: Sequence[threading.Thread]) -> None:
    """Lets each come to the end of its step, so that nothing is written any more when the lock is given back.

    Not for long: one that waits for a server writes nothing when an answer comes, since it looks for the end first.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    for worker in workers:
        worker.join(max(0.0, deadline - time.monotonic()))


def _in_order(shared: _Shared[R], total: int) -> Iterable[R]:
    for index in range(total):
        while index not in shared.results:
            shared.is_ready.get()
        with shared.lock:
            result = shared.results.pop(index)
            shared.taken = index + 1
            shared.has_room.notify()
        if isinstance(result, BaseException):
            raise result
        yield result
