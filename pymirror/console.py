"""The terminal: bars, tables, messages. The only user of rich.

Data goes to stdout, all else to stderr; bars only where stderr is a terminal, a line per event of note under cron.
Everything that is shown goes through :func:`printable`, since most of it comes from upstream.
"""

from __future__ import annotations

import enum
import json
import sys
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

from pymirror.commands.report import PlanReport, PruneReport, SyncReport, VerifyReport
from pymirror.errors import PymirrorError, SpecError, printable
from pymirror.plan import Failure
from pymirror.spec.units import format_size

MAX_LISTED = 20


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
        self._verbosity = verbosity
        # A table is fitted to the terminal that it is read on, and to nothing where it is read by a program.
        width = None if sys.stdout is not None and sys.stdout.isatty() else 10_000
        self._out = _Console(file=sys.stdout, highlight=False, soft_wrap=True, emoji=False, width=width)
        self._err = _Console(file=sys.stderr, highlight=False, soft_wrap=True, emoji=False)
        self._bars: Progress | None = None
        self._items: TaskID | None = None
        self._bytes: TaskID | None = None

    def __enter__(self) -> Self:
        if sys.stderr is not None and sys.stderr.isatty() and self._verbosity >= Verbosity.NORMAL:
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
        self._stop_bars()

    def _stop_bars(self) -> None:
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
        if self._verbosity >= Verbosity.VERBOSE:
            self._say(message, style="dim")

    def warn(self, message: str) -> None:
        if self._verbosity >= Verbosity.NORMAL:
            self._say(f"warning: {message}", style="yellow")

    # ── errors and reports ──────────────────────────────────────────────────────────────────────

    def error(self, error: PymirrorError) -> None:
        """Says what went wrong and what to do; several problems of a document a line each."""
        self._stop_bars()
        if isinstance(error, SpecError):
            for problem in error.problems:
                self._say(str(problem), style="red")
            self._say(f"{_count(len(error.problems), 'problem')}; nothing was touched")
            return
        self._say(f"error: {error}", style="red")
        if error.hint:
            self._say(f"hint: {error.hint}")

    def json(self, report: dict[str, Any]) -> None:
        """The report as one JSON document on stdout."""
        self._stop_bars()
        sys.stdout.write(json.dumps(report, indent=2, sort_keys=False, default=str) + "\n")
        sys.stdout.flush()

    def sync_report(self, report: SyncReport) -> None:
        self._stop_bars()
        self._failures(report.failures)
        if self._verbosity < Verbosity.NORMAL:
            return
        if report.is_unchanged:
            news = "nothing new, nothing written"
        else:
            news = (
                f"{report.added} added, {report.removed} removed, {report.changed} changed; "
                f"{report.downloaded} downloaded ({format_size(report.downloaded_size)}), {report.reused} reused"
            )
        self._say(
            f"{report.output}: {_count(report.projects, 'project')}, {_count(report.releases, 'release')}, "
            f"{_count(report.files, 'file')}, {format_size(report.size)}; {news}"
        )
        self._left_out(report.excluded)
        if report.failures:
            self._say(f"{len(report.failures)} wanted but not had; everything else is published", style="red")

    def plan_report(self, report: PlanReport) -> None:
        self._stop_bars()
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("project")
        for name in ("add", "remove", "change", "keep", "download"):
            table.add_column(name, justify="right")
        for change in report.projects:
            counts = (len(change.added), len(change.removed), len(change.changed), change.kept)
            size = format_size(change.download_size) if change.download_size else ""
            table.add_row(Text(printable(change.project)), *(str(c) if c else "" for c in counts), size)
        self._out.print(table)
        self._tell(
            f"{_count(report.downloads, 'file')} to download, {_say_size(report)}; {report.reused} in the pool already"
        )
        if report.is_refused:
            self._tell("sync would refuse this: too many files would leave the index (see --allow-shrink)")
        self._left_out(report.excluded)
        self._failures(report.failures)

    def verify_report(self, report: VerifyReport) -> None:
        self._stop_bars()
        for damage in report.damages:
            self._tell(f"{damage.path}: {damage.problem}")
        if self._verbosity < Verbosity.NORMAL and not report.damages:
            return
        self._tell(
            f"{report.output}: {_count(report.projects, 'project')}, {_count(report.files, 'file')}, "
            f"{format_size(report.size)}, {_count(report.pages, 'page')}; "
            + (
                f"{_count(len(report.damages), 'problem')}; the next sync mends what it can"
                if report.damages
                else "all is well"
            )
        )
        if report.unreferenced and self._verbosity >= Verbosity.NORMAL:
            self._say(
                f"in the pool but on no page: {_count(report.unreferenced, 'file')}; `pymirror prune` deletes them"
            )

    def prune_report(self, report: PruneReport) -> None:
        self._stop_bars()
        if self._verbosity >= Verbosity.VERBOSE or report.is_dry_run:
            for path in report.deleted:
                self._tell(path)
        verb = "would be deleted" if report.is_dry_run else "deleted"
        grace = f"; {report.kept_for_grace} kept for their time of grace" if report.kept_for_grace else ""
        if self._verbosity >= Verbosity.NORMAL:
            self._say(
                f"{report.output}: {_count(len(report.deleted), 'file')} {verb}, {format_size(report.size)}{grace}"
            )

    def _left_out(self, excluded: dict[str, int]) -> None:
        if excluded and self._verbosity >= Verbosity.NORMAL:
            self._say("left out: " + ", ".join(f"{count} {reason}" for reason, count in excluded.items()))

    def _failures(self, failures: tuple[Failure, ...]) -> None:
        shown = failures if self._verbosity >= Verbosity.VERBOSE else failures[:MAX_LISTED]
        for failure in shown:
            self._say(f"failed: {failure.what}: {failure.problem}", style="red")
        if len(shown) < len(failures):
            self._say(f"failed: … and {len(failures) - len(shown)} more (-v lists them, --json too)", style="red")

    def _say(self, message: str, *, style: str = "") -> None:
        """A line for the user, on stderr."""
        self._err.print(Text(printable(message, limit=2000), style=style))

    def _tell(self, message: str) -> None:
        """A line of data, on stdout."""
        self._out.print(Text(printable(message, limit=2000)))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _say_size(report: PlanReport) -> str:
    """The bytes to download, as far as upstream says."""
    if report.unknown_sizes == 0:
        return format_size(report.download_size)
    if report.unknown_sizes == report.downloads:
        return "size unknown"
    return f"{format_size(report.download_size)} and {report.unknown_sizes} of unknown size"
