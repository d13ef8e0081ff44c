"""The terminal: what is said, and where it goes.

Data goes to stdout, all else to stderr; bars only where stderr is a terminal, a line per event of note under cron.
Everything that is shown goes through :func:`printable`, since most of it comes from upstream.
"""

from __future__ import annotations

import enum
import json
import os
import sys
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

from pymirror.errors import PymirrorError, SpecError, printable

if TYPE_CHECKING:
    from pymirror.console.drawing import Bars, Canvas

_FORCING = ("FORCE_COLOR", "TTY_COMPATIBLE")
"""What makes rich take something else for a terminal too."""


class Verbosity(enum.IntEnum):
    """How much is said; errors always are."""

    QUIET = -1
    NORMAL = 0
    VERBOSE = 1


class _Stream:
    """stdout or stderr: drawn upon where it is a terminal, else written to line by line.

    What draws takes longer to read than most runs under cron have to do.
    """

    def __init__(self, stream: TextIO | None, *, width: int | None = None) -> None:
        self._stream = stream  # None where the caller closed it
        self._width = width
        self._canvas: Canvas | None = None

    @property
    def is_terminal(self) -> bool:
        return self._stream is not None and self._stream.isatty()

    def line(self, text: str, *, style: str = "") -> None:
        if self._stream is None:
            return
        if self.is_terminal or any(map(os.environ.get, _FORCING)):
            self.canvas().line(text, style=style)
            return
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def canvas(self) -> Canvas:
        from pymirror.console.drawing import Canvas

        if self._canvas is None:
            self._canvas = Canvas(self._stream, width=self._width)
        return self._canvas


class Terminal:
    """Says what happens, and is the :class:`pymirror.progress.Progress` of the commands."""

    def __init__(self, verbosity: Verbosity) -> None:
        self.verbosity = verbosity
        # A table is fitted to the terminal that it is read on, and to nothing where it is read by a program.
        width = None if sys.stdout is not None and sys.stdout.isatty() else 10_000
        self._out = _Stream(sys.stdout, width=width)
        self._err = _Stream(sys.stderr)
        self._bars: Bars | None = None

    def __enter__(self) -> Self:
        if self._err.is_terminal and self.verbosity >= Verbosity.NORMAL:
            self._bars = self._err.canvas().start_bars()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_bars()

    def stop_bars(self) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    # ── Progress ────────────────────────────────────────────────────────────────────────────────

    def phase(self, name: str, *, items: int, size: int | None = None) -> None:
        if self._bars is not None:
            self._bars.phase(name, items=items, size=size)

    def item(self) -> None:
        if self._bars is not None:
            self._bars.item()

    def expect(self, size: int) -> None:
        if self._bars is not None:
            self._bars.expect(size)

    def received(self, size: int) -> None:
        if self._bars is not None:
            self._bars.received(size)

    def note(self, message: str) -> None:
        if self.verbosity >= Verbosity.VERBOSE:
            self.say(message, style="dim")

    def warn(self, message: str) -> None:
        if self.verbosity >= Verbosity.NORMAL:
            self.say(f"warning: {message}", style="yellow")

    # ── errors and reports ──────────────────────────────────────────────────────────────────────

    def error(self, error: PymirrorError) -> None:
        """Says what went wrong and what to do; several problems of a document a line each."""
        self.stop_bars()
        if isinstance(error, SpecError):
            for problem in error.problems:
                self.say(str(problem), style="red")
            self.say(f"{count(len(error.problems), 'problem')}; nothing was touched")
            return
        self.say(f"error: {error}", style="red")
        if error.hint:
            self.say(f"hint: {error.hint}")

    def json(self, report: dict[str, Any]) -> None:
        """The report as one JSON document on stdout."""
        self.stop_bars()
        if sys.stdout is None:  # the caller closed it
            return
        sys.stdout.write(json.dumps(report, indent=2, sort_keys=False) + "\n")
        sys.stdout.flush()

    def say(self, message: str, *, style: str = "") -> None:
        """A line for the user, on stderr."""
        self._err.line(printable(message, limit=2000), style=style)

    def tell(self, message: str) -> None:
        """A line of data, on stdout."""
        self._out.line(printable(message, limit=2000))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> None:
        """A table of data, on stdout; the first ``left`` columns hold text, the others numbers."""
        self.stop_bars()
        self._out.canvas().table(columns, rows, left=left)


def count(number: int, noun: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
