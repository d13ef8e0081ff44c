"""The terminal: bars, tables, messages. The only user of rich.

Data goes to stdout, all else to stderr; bars only where stderr is a terminal, a line per event of note under cron.
Everything that is shown goes through :func:`printable`, since most of it comes from upstream.
"""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from pymirror.errors import PymirrorError, SpecError, printable


class Verbosity(enum.IntEnum):
    """How much is said; errors always are."""

    QUIET = -1
    NORMAL = 0
    VERBOSE = 1


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leaves it to the command line how to end when nobody reads any more; rich would end the process."""
        raise BrokenPipeError


class Terminal:
    """Says what happens, and is the :class:`pymirror.progress.Progress` of the commands."""

    def __init__(self, verbosity: Verbosity) -> None:
        self.verbosity = verbosity
        # A table is fitted to the terminal that it is read on, and to nothing where it is read by a program.
        width = None if sys.stdout is not None and sys.stdout.isatty() else 10_000
        self._out = _Console(file=sys.stdout, highlight=False, soft_wrap=True, emoji=False, width=width)
        self._err = _Console(file=sys.stderr, highlight=False, soft_wrap=True, emoji=False)
        self._bars: Progress | None = None
        self._items: TaskID | None = None
        self._bytes: TaskID | None = None

    def __enter__(self) -> Self:
        if sys.stderr is not None and sys.stderr.isatty() and self.verbosity >= Verbosity.NORMAL:
            self._bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=None),
                *(MofNCompleteColumn(), TimeRemainingColumn()),
                console=self._err,
                transient=True,
                expand=True,
            )
            self._bars.start()
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
        if self._bars is None:
            return
        for task in self._bars.task_ids:
            self._bars.remove_task(task)
        self._items = self._bytes = None
        if size is not None and items:
            self._bars.columns = (
                TextColumn("{task.description}"),
                BarColumn(bar_width=None),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
            )
            self._bytes = self._bars.add_task(f"{name} {items} files", total=size)
        else:
            self._bars.columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), MofNCompleteColumn())
            self._items = self._bars.add_task(name, total=items or None)

    def item(self) -> None:
        if self._bars is not None and self._items is not None:
            self._bars.advance(self._items)

    def expect(self, size: int) -> None:
        if self._bars is not None and self._bytes is not None:
            total = self._bars.tasks[0].total or 0
            self._bars.update(self._bytes, total=total + size)

    def received(self, size: int) -> None:
        if self._bars is not None and self._bytes is not None:
            self._bars.advance(self._bytes, size)

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
        sys.stdout.write(json.dumps(report, indent=2, sort_keys=False) + "\n")
        sys.stdout.flush()

    def say(self, message: str, *, style: str = "") -> None:
        """A line for the user, on stderr."""
        self._err.print(Text(printable(message, limit=2000), style=style))

    def tell(self, message: str) -> None:
        """A line of data, on stdout."""
        self._out.print(Text(printable(message, limit=2000)))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> None:
        """A table of data, on stdout; the first ``left`` columns hold text, the others numbers."""
        self.stop_bars()
        table = Table(box=None, pad_edge=False, header_style="bold")
        for index, name in enumerate(columns):
            table.add_column(name, justify="left" if index < left else "right", overflow="fold", no_wrap=index >= left)
        for row in rows:
            table.add_row(*(Text(printable(cell)) for cell in row))
        self._out.print(table)


def count(number: int, noun: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
