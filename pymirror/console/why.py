"""What the answers of ``why`` look like."""

from __future__ import annotations

from collections.abc import Sequence

from pymirror.commands.why_report import (
    Chain,
    FileAnswer,
    NeedAnswer,
    ReleaseAnswer,
    SizeReport,
    Weight,
    WhyReport,
)
from pymirror.console.terminal import Terminal, Verbosity, count
from pymirror.spec.units import format_size

MAX_RELEASES = 20
MAX_WEIGHTS = 15
MAX_NEEDS = 5


def show_why(terminal: Terminal, report: WhyReport) -> None:
    terminal.stop_bars()
    if not report.is_wanted:
        terminal.tell(f"{report.subject.project}: out: no line of the spec wants it")
    if report.status != "active":
        terminal.tell(f"{report.subject.project}: {report.status} upstream")
    _show_chains(terminal, report.rules)
    _show_needs(terminal, report.needed)
    if report.subject.filename is not None or report.subject.specifier is not None:
        for file in report.files:
            _show_file(terminal, file)
        if report.is_wanted and not (report.files or report.failures or report.set_aside):
            terminal.tell(f"{report.subject.text}: out: upstream has no such file")
    else:
        # Of what only others need, nobody asked for another release.
        asked = [each for each in report.releases if report.rules or each.files_in or set(each.reasons) != {"version"}]
        _show_releases(terminal, asked)
    for held in report.set_aside:
        reason = "upstream has quarantined the project" if held.is_quarantined_upstream else "upstream lists it no more"
        terminal.tell(
            f"{held.filename}: out: {reason}; set aside on {held.since:%Y-%m-%d}, "
            f"kept until {held.until:%Y-%m-%d %H:%M} UTC"
        )
    for failure in report.failures:
        terminal.tell(f"not had: {failure}")
    if not report.files:
        for filename in report.published:
            terminal.tell(f"{filename}: published now")


def _show_chains(terminal: Terminal, chains: Sequence[Chain], *, indent: str = "", prefix: str = "") -> None:
    for chain in chains:
        first, *above = chain.steps
        excludes = f" excludes it{': ' + chain.reason if chain.reason else ''}" if chain.kind == "excludes" else ""
        terminal.tell(f"{indent}{prefix}{first}{excludes}" + "".join(f" ← {step}" for step in above))
        if chain.required_by:
            terminal.tell(f"{indent}  needed through {' → '.join(chain.required_by)}")


def _show_needs(terminal: Terminal, answers: Sequence[NeedAnswer]) -> None:
    shown = answers if terminal.verbosity >= Verbosity.VERBOSE else answers[:MAX_NEEDS]
    for answer in shown:
        terminal.tell(f"needed by {answer.rule}")
        terminal.tell(f"  {' → '.join(answer.steps)}")
        if answer.environments:
            terminal.tell(f"  on {', '.join(answer.environments)}")
    if len(shown) < len(answers):
        terminal.tell(f"… and {len(answers) - len(shown)} more ways (-v lists them, --json too)")


def _show_releases(terminal: Terminal, releases: Sequence[ReleaseAnswer]) -> None:
    shown = releases if terminal.verbosity >= Verbosity.VERBOSE else releases[:MAX_RELEASES]
    rows = []
    for release in shown:
        why = ", ".join(f"{number} {reason}" for reason, number in release.reasons.items())
        rules = f" ({'; '.join(release.rules)})" if release.rules and release.files_in < release.files else ""
        rows.append(
            [
                release.version or "no version",
                "in" if release.files_in else "out",
                f"{release.files_in} of {count(release.files, 'file')}",
                format_size(release.size) if release.size else "",
                f"{why}{rules}",
            ]
        )
    if rows:
        terminal.table(["release", "", "", "size", "left out"], rows, left=5)
    if len(shown) < len(releases):
        terminal.tell(f"… and {len(releases) - len(shown)} older releases (-v lists them, --json too)")


def _show_file(terminal: Terminal, file: FileAnswer) -> None:
    size = f", {format_size(file.size)}" if file.size is not None else ""
    state = "in" if file.is_in else "out"
    if file.is_published != file.is_in and not file.is_held_back:
        state += ", but published now" if file.is_published else ", from the next sync on"
    if file.is_held_back:
        state += ", as it was: a file of its release cannot be had" if file.is_in else ", held back with its release"
    if file.is_removed:
        state += ", listed upstream no more"
    terminal.tell(f"{file.filename}: {state}{size}")
    if file.reason is not None:
        detail = f": {file.detail}" if file.detail else ""
        until = f", until {file.until:%Y-%m-%d %H:%M} UTC" if file.until is not None else ""
        rule = f" ({file.rule})" if file.rule is not None else ""
        terminal.tell(f"  left out: {file.reason}{detail}{until}{rule}")
    _show_chains(terminal, file.wanted_by, indent="  ", prefix="wanted by ")
    for refusal in file.refusals:
        if (refusal.reason, refusal.detail) != (file.reason, file.detail):
            detail = f": {refusal.detail}" if refusal.detail else ""
            terminal.tell(f"  not by {refusal.rule}: {refusal.text}: {refusal.reason}{detail}")


def show_sizes(terminal: Terminal, report: SizeReport) -> None:
    terminal.stop_bars()
    terminal.tell(f"{report.output}: {format_size(report.size)}")
    _show_weights(terminal, "project", report.projects, report.size)
    _show_weights(terminal, "release line", report.release_lines, report.size)
    _show_weights(terminal, "environment", report.environments, report.size)


def _show_weights(terminal: Terminal, name: str, weights: Sequence[Weight], total: int) -> None:
    shown = weights if terminal.verbosity >= Verbosity.VERBOSE else weights[:MAX_WEIGHTS]
    rows = [
        [
            weight.name,
            format_size(weight.size),
            f"{100 * weight.size / total:.1f} %" if total else "",
            format_size(weight.only),
            str(weight.files),
        ]
        for weight in shown
    ]
    terminal.tell("")
    terminal.table([name, "size", "share", "its own", "files"], rows)
    if len(shown) < len(weights):
        terminal.tell(f"… and {len(weights) - len(shown)} more (-v lists them, --json too)")
