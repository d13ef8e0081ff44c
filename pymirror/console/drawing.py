"""What is drawn on a terminal: colours, bars, and tables wherever they go. The only user of rich."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TextIO

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

from pymirror.errors import printable


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leaves it to the command line how to end when nobody reads any more; rich would end the process."""
        raise BrokenPipeError


class Canvas:
    """Draws on ``stream``, as wide as that is or as ``width`` says."""

    def __init__(self, stream: TextIO | None, *, width: int | None = None) -> None:
        self._console = _Console(file=stream, highlight=False, soft_wrap=True, emoji=False, width=width)

    def line(self, text: str, *, style: str = "") -> None:
        self._console.print(Text(text, style=style))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]], *, left: int) -> None:
        """The first ``left`` columns hold text, the others numbers."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for index, name in enumerate(columns):
            table.add_column(name, justify="left" if index < left else "right", overflow="fold", no_wrap=index >= left)
        for row in rows:
            table.add_row(*(Text(printable(cell)) for cell in row))
        self._console.print(table)

    def start_bars(self) -> Bars:
        return Bars(self._console)


class Bars:
    """How far a phase has come: by its items, or by bytes."""

    def __init__(self, console: Console) -> None:
        self._items: TaskID | None = None
        self._bytes: TaskID | None = None
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            *(MofNCompleteColumn(), TimeRemainingColumn()),
            console=console,
            transient=True,
            expand=True,
        )
        self._progress.start()

    def stop(self) -> None:
        self._progress.stop()

    def phase(self, name: str, *, items: int, size: int | None) -> None:
        for task in self._progress.task_ids:
            self._progress.remove_task(task)
        self._items = self._bytes = None
        if size is not None and items:
            self._progress.columns = (
                TextColumn("{task.description}"),
                BarColumn(bar_width=None),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
            )
            self._bytes = self._progress.add_task(f"{name} {items} files", total=size)
        else:
            self._progress.columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), MofNCompleteColumn())
            self._items = self._progress.add_task(name, total=items or None)

    def item(self) -> None:
        if self._items is not None:
            self._progress.advance(self._items)

    def expect(self, size: int) -> None:
        if self._bytes is not None:
            total = self._progress.tasks[0].total or 0
            self._progress.update(self._bytes, total=total + size)

    def received(self, size: int) -> None:
        if self._bytes is not None:
            self._progress.advance(self._bytes, size)
