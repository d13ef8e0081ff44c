"""Descriptions as safe HTML: rendered by processes that may fail, and shown as they are written where they do.

https://packaging.python.org/specifications/core-metadata/#description-content-type
"""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from email.message import Message
from html import escape
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from pymirror.errors import InterruptedRunError
from pymirror.simple.markup import escape_text, replace_unwritable

MAX_RENDERED_CHARACTERS = 256 * 1024
"""A text that is longer is not formatted: it is no description any more, and formatting takes more than its length."""

MAX_PLAIN_CHARACTERS = 100_000
MAX_MESSAGE_BYTES = 8 * 1024 * 1024
TIMEOUT_SECONDS = 20.0

MARKDOWN, COMMONMARK, RST = b"g", b"c", b"r"
"""The first byte of a message: Markdown as GitHub has it, plain CommonMark, reStructuredText."""

READY = b"ready"
"""The first answer of a process, which has read all its modules then."""

_LENGTH = struct.Struct(">I")

_MAX_FAILED_STARTS = 3
_ATTEMPTS = 2
_CRASHES = ("SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGSYS", "SIGXCPU")
"""What ends a process by its own doing, as far as the system has them."""
_PACKAGE = Path(__file__).with_name("__init__.py")
# Not `-m`, which would look for modules in the current folder first. This very package is taken, wherever it lies,
# without a folder more to look in.
_PROGRAM = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("pymirror", sys.argv[1])
sys.modules["pymirror"] = importlib.util.module_from_spec(spec)
from pymirror.description_worker import main
main()
"""


class Descriptions:
    """Renders on any number of threads; each rendering has a process of its own while it goes on.

    A process is started when there is work for it, at most one for each processor, and lives on for the next text.
    What becomes of a text depends on the text alone; where it did not, for want of a process, ``is_makeshift`` says so.
    """

    def __init__(self, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._timeout_seconds = timeout_seconds
        self._places = threading.Semaphore(max(1, (os.cpu_count() or 1) // 2))
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._failed_starts = 0
        self._is_closed = False
        self.is_makeshift = False
        """Whether a text is shown as it is written for want of a process: another run may format it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends every process, at work or not. Whoever waits for one gets :class:`InterruptedRunError`."""
        with self._lock:
            self._is_closed = True
            workers = list(self._all)
            self._idle.clear()
            self._all.clear()
        for worker in workers:
            worker.end()

    def render(self, text: str, content_type: str) -> str:
        """Safe HTML of ``text``; empty where it says nothing. ``content_type`` may be empty, which means rst.

        Raises :class:`InterruptedRunError` for what is to be formatted after the end.
        """
        text = _clean(text)
        if not text.strip() or text.strip() == "UNKNOWN":
            return ""
        kind = _read_kind(content_type)
        if kind is None:
            return _show_plain(text)
        if len(text) > MAX_RENDERED_CHARACTERS:
            return _show_plain(text, note="This text is too long to be formatted.")
        rendered = self._render(kind + text.encode())
        if rendered:
            return rendered
        return _show_plain(text, note="This text is shown as it is written: it could not be formatted.")

    def _render(self, message: bytes) -> str | None:
        """The answer of a process; ``None`` where there is none. One that was killed may have died of what came before,
        or of the system's want of memory: so another gets the text once more.
        """
        is_at_fault = False
        with self._places:
            for _ in range(_ATTEMPTS):
                worker = self._take()
                if worker is None:
                    is_at_fault = False
                    continue
                answer = worker.ask(message)
                if answer is not None and not worker.is_late:
                    self._give_back(worker)
                    return answer.decode()
                self._drop(worker)
                is_at_fault = worker.is_text_at_fault
                if worker.is_late:
                    break
            with self._lock:
                if self._is_closed:
                    raise InterruptedRunError
                self.is_makeshift = self.is_makeshift or not is_at_fault
        return None

    def _take(self) -> _Worker | None:
        """A process that waits; ``None`` where none can be had."""
        with self._lock:
            if self._is_closed:
                raise InterruptedRunError
            if self._failed_starts >= _MAX_FAILED_STARTS:
                return None
            if self._idle:
                return self._idle.pop()
            try:
                worker = _Worker(self._timeout_seconds)
            except OSError:
                self._failed_starts += 1
                return None
            self._all.add(worker)
        is_ready = worker.is_ready()
        with self._lock:
            self._failed_starts = 0 if is_ready else self._failed_starts + 1
        if not is_ready:
            self._drop(worker)
        return worker if is_ready else None

    def _drop(self, worker: _Worker) -> None:
        with self._lock:
            self._all.discard(worker)
        worker.end()

    def _give_back(self, worker: _Worker) -> None:
        with self._lock:
            if not self._is_closed:
                self._idle.append(worker)


class _Worker:
    """A process of ``description_worker``. It is killed where an answer takes too long; then there is no answer."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self.is_late = False
        self._is_garbled = False
        self._process = subprocess.Popen(  # noqa: S603 - the interpreter that runs this
            [sys.executable, "-P", "-c", _PROGRAM, str(_PACKAGE), str(timeout_seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise OSError("a process without pipes")
        self._requests: IO[bytes] = self._process.stdin
        self._answers: IO[bytes] = self._process.stdout

    def is_ready(self) -> bool:
        """Waits until it has read all its modules."""
        with self._limit():
            return self._read() == READY

    def ask(self, message: bytes) -> bytes | None:
        """The answer; ``None`` where the process is of no more use."""
        with self._limit():
            try:
                write_message(self._requests, message)
            except OSError:
                return None
            return self._read()

    @property
    def is_text_at_fault(self) -> bool:
        """Whether the process, which has ended, failed by itself, and no one else wanted to be rid of it."""
        code = self._process.returncode
        is_crash = code >= 0 or -code in {getattr(signal, name, 0) for name in _CRASHES}
        return self.is_late or self._is_garbled or is_crash

    def end(self) -> None:
        """Kills the process, and waits until it is gone."""
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(OSError):
            self._requests.close()
        self._answers.close()

    def _read(self) -> bytes | None:
        try:
            return read_message(self._answers)
        except OSError:
            return None
        except ValueError:
            self._is_garbled = True
            return None

    @contextlib.contextmanager
    def _limit(self) -> Iterator[None]:
        """Kills the process where the block takes longer. A pipe cannot be waited for with a limit on every system."""
        timer = threading.Timer(self._timeout_seconds, self._kill)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _kill(self) -> None:
        self.is_late = True
        self._process.kill()


def read_message(stream: IO[bytes]) -> bytes | None:
    """The next message; ``None`` at the end. Raises :class:`ValueError` for one that is too long."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > MAX_MESSAGE_BYTES:
        raise ValueError(f"a message of {length} bytes")
    body = stream.read(length)
    return body if len(body) == length else None


def write_message(stream: IO[bytes], message: bytes) -> None:
    """``message`` after its length."""
    stream.write(_LENGTH.pack(len(message)) + message)
    stream.flush()


def _clean(text: str) -> str:
    """Line breaks of one kind, no other control character, and nothing that cannot be encoded."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x0b", " ").replace("\x0c", " ")
    return replace_unwritable(text)


def _read_kind(content_type: str) -> bytes | None:
    """How the text is to be read; ``None`` for plain text, and for what nobody knows."""
    message = Message()
    message["content-type"] = " ".join(content_type.split()) or "text/x-rst"
    kind = message.get_content_type()
    if kind == "text/markdown":
        variant = message.get_param("variant", "GFM")
        return COMMONMARK if str(variant).lower() == "commonmark" else MARKDOWN
    return RST if kind == "text/x-rst" else None


def _show_plain(text: str, *, note: str = "") -> str:
    if len(text) > MAX_PLAIN_CHARACTERS:
        note = f"{note} Its first {MAX_PLAIN_CHARACTERS:,} characters of {len(text):,} are shown.".strip()
        text = text[:MAX_PLAIN_CHARACTERS]
    before = f'<p class="note">{escape(note)}</p>\n' if note else ""
    return f'{before}<pre class="plain">{escape_text(text.strip(chr(10)))}</pre>'
