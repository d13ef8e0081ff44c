"""What each report looks like: data to stdout, the summary and the failures to stderr."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from pymirror.commands.report import (
    DependencyReport,
    FileChange,
    LeftOut,
    PlanReport,
    PruneReport,
    Rollback,
    SyncReport,
    VerifyReport,
)
from pymirror.console.terminal import Terminal, Verbosity, count
from pymirror.plan import Failure
from pymirror.spec.model import QUARANTINE_DAYS
from pymirror.spec.units import format_size

MAX_LISTED = 20

_SIGNS = {"add": "+", "remove": "-", "change": "~", "keep": "=", "leave-out": " ", "refuse": "!", "hold-back": "!"}
_FATES = {
    "quarantine": f"off the pages; `prune` deletes it after {QUARANTINE_DAYS} days",
    "keep": "kept",
    "drop": "off the pages",
}


def show_sync(terminal: Terminal, report: SyncReport) -> None:
    terminal.stop_bars()
    _show_failures(terminal, report.failures)
    if report.unfinished:
        projects, files = count(report.unfinished.projects, "project"), count(report.unfinished.files, "file")
        terminal.say(f"the time of stop-after was over: {projects} and {files} are left for the next run", style="red")
    if terminal.verbosity < Verbosity.NORMAL:
        return
    _show_rollbacks(terminal, report.rollbacks)
    if report.is_unchanged:
        news = "nothing new, nothing written"
    else:
        news = (
            f"{report.added} added, {report.removed} removed, {report.changed} changed; "
            f"{report.downloaded} downloaded ({format_size(report.downloaded_size)}), {report.reused} reused"
        )
    terminal.say(
        f"{report.output}: {count(report.projects, 'project')}, {count(report.releases, 'release')}, "
        f"{count(report.files, 'file')}, {format_size(report.size)}; {news}"
    )
    _show_dependencies(terminal, report.dependencies)
    _show_left_out(terminal, report.left_out)
    if report.failures:
        terminal.say(f"{len(report.failures)} wanted but not had; everything else is published", style="red")


def show_plan(terminal: Terminal, report: PlanReport) -> None:
    terminal.stop_bars()
    if report.files is not None:
        for file in report.files:
            terminal.tell(_spell_file(file))
    else:
        _show_changes(terminal, report)
    terminal.tell(
        f"{count(report.downloads, 'file')} to download, {_say_size(report)}; {report.reused} in the pool already"
    )
    _show_dependencies(terminal, report.dependencies)
    for refusal in report.refusals:
        terminal.tell(f"sync would stop: {refusal}")
    for item in report.left_out.waiting:
        until = f"until {_spell_time(item.until)}" if item.until is not None else item.detail
        terminal.tell(f"waiting: {item.project} {item.version} ({count(item.files, 'file')}), {until} ({item.rule})")
    _show_left_out(terminal, report.left_out, with_waiting=False)
    _show_rollbacks(terminal, report.rollbacks)
    _show_failures(terminal, report.failures)


def _show_changes(terminal: Terminal, report: PlanReport) -> None:
    rows = []
    for change in report.projects:
        cells = [
            *_spell_amount(len(change.added), change.added_size),
            *_spell_amount(len(change.removed), change.removed_size),
            *_spell_amount(change.kept + len(change.changed), change.kept_size),
            str(len(change.changed) or ""),
            format_size(change.download_size) if change.download_size else "",
        ]
        rows.append([change.project, *cells])
    if len(rows) > 1:
        totals = [
            *_spell_amount(sum(len(c.added) for c in report.projects), sum(c.added_size for c in report.projects)),
            *_spell_amount(sum(len(c.removed) for c in report.projects), sum(c.removed_size for c in report.projects)),
            *_spell_amount(
                sum(c.kept + len(c.changed) for c in report.projects), sum(c.kept_size for c in report.projects)
            ),
            str(sum(len(c.changed) for c in report.projects) or ""),
            format_size(report.download_size) if report.download_size else "",
        ]
        rows.append(["total", *totals])
    terminal.table(["project", "add", "", "remove", "", "keep", "", "changed", "download"], rows)


def _spell_amount(files: int, size: int) -> tuple[str, str]:
    return (str(files), format_size(size) if size else "") if files else ("", "")


def _spell_file(file: FileChange) -> str:
    size = f" {format_size(file.size)}" if file.size is not None else ""
    why = ": ".join(word for word in (file.reason or "", file.detail) if word)
    rules = f" ({', '.join(file.rules)})" if file.rules else ""
    return f"{_SIGNS[file.action]} {file.filename}{size}{' ' + why if why else ''}{rules}"


def _spell_time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def show_verify(terminal: Terminal, report: VerifyReport, *, is_repair: bool = False) -> None:
    terminal.stop_bars()
    for damage in report.mended:
        terminal.tell(f"mended: {damage.path}: {damage.problem}")
    for damage in report.damages:
        terminal.tell(f"{damage.path}: {damage.problem}")
    if terminal.verbosity < Verbosity.NORMAL and not report.damages:
        return
    found = f"{count(len(report.damages), 'problem')}; "
    if is_repair:
        found += "what is left cannot be mended from upstream"
    else:
        found += "`pymirror verify --repair` mends what upstream still has"
    terminal.tell(
        f"{report.output}: {count(report.projects, 'project')}, {count(report.files, 'file')}, "
        f"{format_size(report.size)}, {count(report.pages, 'page')}; {found if report.damages else 'all is well'}"
    )
    if terminal.verbosity < Verbosity.NORMAL:
        return
    if report.mended:
        terminal.say(f"{count(len(report.mended), 'problem')} mended")
    if report.resumed:
        terminal.say(
            f"{count(report.resumed, 'file')} had been read by a run that was interrupted, and not again "
            "(--anew reads them)"
        )
    if report.unreferenced:
        terminal.say(f"in the pool but on no page: {count(report.unreferenced, 'file')}; `pymirror prune` deletes them")
    if report.quarantined:
        terminal.say(f"set aside, since upstream lists them no more: {count(report.quarantined, 'file')}")


def show_prune(terminal: Terminal, report: PruneReport) -> None:
    terminal.stop_bars()
    if terminal.verbosity >= Verbosity.VERBOSE or report.is_dry_run:
        for path in report.deleted:
            terminal.tell(path)
    verb = "would be deleted" if report.is_dry_run else "deleted"
    grace = f"; {report.kept_for_grace} kept for their time of grace" if report.kept_for_grace else ""
    aside = f"; {report.kept_in_quarantine} kept in quarantine" if report.kept_in_quarantine else ""
    if terminal.verbosity >= Verbosity.NORMAL:
        terminal.say(
            f"{report.output}: {count(len(report.deleted), 'file')} {verb}, {format_size(report.size)}{grace}{aside}"
        )


def _show_dependencies(terminal: Terminal, found: DependencyReport | None) -> None:
    if found is None or terminal.verbosity < Verbosity.NORMAL:
        return
    terminal.say(
        f"dependencies: {count(found.releases, 'release')} of {count(found.projects, 'project')}, "
        f"{count(found.files, 'file')}, {format_size(found.size)}, for {count(found.roots - found.unsolved, 'root')}"
        + (f"; {found.unsolved} without a solution" if found.unsolved else "")
    )
    _show_some(terminal, [f"warning: {text}" for text in found.warnings])
    _show_some(
        terminal,
        [f"{name}: only a build would tell what it needs; what it declares is taken" for name in found.unproven],
    )


# ── what several reports tell ───────────────────────────────────────────────────────────────────────


def _show_left_out(terminal: Terminal, left_out: LeftOut, *, with_waiting: bool = True) -> None:
    if terminal.verbosity < Verbosity.NORMAL:
        return
    if left_out.excluded:
        reasons = (
            f"{number} {reason}" + (f" ({format_size(size)})" if (size := left_out.excluded_size[reason]) else "")
            for reason, number in left_out.excluded.items()
        )
        terminal.say("left out: " + ", ".join(reasons))
    if with_waiting and left_out.waiting:
        known = sorted(item.until for item in left_out.waiting if item.until is not None)
        first = f", the first until {_spell_time(known[0])}" if known else ""
        terminal.say(f"waiting: {count(len(left_out.waiting), 'release')}{first} (`pymirror plan` lists them)")
    _show_some(
        terminal,
        [f"upstream lists no more: {each.filename}: {_FATES[each.policy]}" for each in left_out.removals],
    )
    _show_some(terminal, [f"{project} is {status} upstream" for project, status in left_out.statuses.items()])


def _show_some(terminal: Terminal, lines: Sequence[str]) -> None:
    shown = lines if terminal.verbosity >= Verbosity.VERBOSE else lines[:MAX_LISTED]
    for line in shown:
        terminal.say(line)
    if len(shown) < len(lines):
        terminal.say(f"… and {len(lines) - len(shown)} more (-v lists them, --json too)")


def _show_rollbacks(terminal: Terminal, rollbacks: Sequence[Rollback]) -> None:
    if terminal.verbosity < Verbosity.NORMAL:
        return
    _show_some(terminal, [f"warning: {rollback}" for rollback in rollbacks])
    upstreams = Counter(rollback.upstream for rollback in rollbacks if rollback.project)
    for upstream, number in sorted(upstreams.items()):
        if number > 1:
            terminal.say(
                f"warning: {upstream}: {number} projects are older than when they were last read", style="yellow"
            )


def _show_failures(terminal: Terminal, failures: Sequence[Failure]) -> None:
    shown = failures if terminal.verbosity >= Verbosity.VERBOSE else failures[:MAX_LISTED]
    for failure in shown:
        terminal.say(f"failed: {failure.what}: {failure.problem}", style="red")
    if len(shown) < len(failures):
        terminal.say(f"failed: … and {len(failures) - len(shown)} more (-v lists them, --json too)", style="red")


def _say_size(report: PlanReport) -> str:
    """The bytes to download, as far as upstream says."""
    if report.unknown_sizes == 0:
        return format_size(report.download_size)
    if report.unknown_sizes == report.downloads:
        return "size unknown"
    return f"{format_size(report.download_size)} and {report.unknown_sizes} of unknown size"
