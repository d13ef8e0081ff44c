"""What the report of ``check`` looks like: a table of roots and environments, then what is wrong with each."""

from __future__ import annotations

from collections.abc import Sequence

from pymirror.commands.check_report import Answer, CheckReport, Finding, FindingKind
from pymirror.console.terminal import Terminal, Verbosity, count
from pymirror.judge_uv import Verdict

MAX_ROWS = 40
MAX_NOTES = 20

_USUAL = "cpython "
_WORDS = {
    FindingKind.MISSING: "MISSING",
    FindingKind.LOCK: "LOCK",
    FindingKind.NOT_INSTALLED: "NOT INSTALLED",
    FindingKind.NOT_IMPORTED: "NOT IMPORTED",
    FindingKind.DIFFERENCE: "JUDGES DIFFER",
}


def show_check(terminal: Terminal, report: CheckReport) -> None:
    terminal.stop_bars()
    is_told = terminal.verbosity >= Verbosity.NORMAL or bool(report.findings)
    if is_told:
        _show_table(terminal, report)
        _show_findings(terminal, report)
        _show_total(terminal, report)
    if terminal.verbosity >= Verbosity.NORMAL:
        _show_notes(terminal, report)
        _show_hints(terminal, report)


def _show_table(terminal: Terminal, report: CheckReport) -> None:
    """A row for each root; where there are many, only for those that have a finding."""
    rows: dict[str, dict[str, Answer]] = {}
    for answer in report.answers:
        rows.setdefault(answer.root, {})[answer.environment] = answer
    shown = rows
    if len(rows) > MAX_ROWS and terminal.verbosity < Verbosity.VERBOSE:
        shown = {root: cells for root, cells in rows.items() if not all(each.is_fine for each in cells.values())}
    is_cpython = all(name.startswith(_USUAL) for name in report.environments)
    columns = ["", *(name.removeprefix(_USUAL) if is_cpython else name for name in report.environments)]
    if shown:
        terminal.table(
            columns,
            [[root, *(_spell_cell(cells.get(name)) for name in report.environments)] for root, cells in shown.items()],
            left=len(columns),
        )
    if len(shown) < len(rows):
        terminal.tell(f"{count(len(rows) - len(shown), 'more root')} with nothing wrong (-v lists them, --json too)")


def _spell_cell(answer: Answer | None) -> str:
    """``-`` where nothing is asked for; the first word is of what is worst."""
    if answer is None:
        return "-"
    if not answer.is_fine:
        kinds = {finding.kind for finding in answer.findings}
        return next(word for kind, word in _WORDS.items() if kind in kinds)
    version = f" {answer.version}" if answer.version is not None else ""
    builds = f", {count(len(answer.builds), 'build')}" if answer.builds else ""
    return f"{'installed' if answer.installed is not None else 'installs'}{version}{builds}"


def _show_findings(terminal: Terminal, report: CheckReport) -> None:
    """What is wrong, once for all environments that it is wrong in."""
    found: dict[tuple[str, str, Finding], list[str]] = {}
    for answer in report.answers:
        for finding in answer.findings:
            found.setdefault((answer.root, answer.rule, finding), []).append(answer.environment)
    for (root, rule, finding), environments in found.items():
        terminal.tell(f"{_WORDS[finding.kind]}: {root} ({rule}): {finding.problem}")
        for drop in finding.dropped:
            terminal.tell(f"  {drop.project}: {drop.reason} ({drop.rule})")
        terminal.tell(f"  in {_spell_places(environments, report)}")


def _spell_places(environments: Sequence[str], report: CheckReport) -> str:
    is_everywhere = len(environments) == len(report.environments) > 1
    return f"all {len(environments)} environments" if is_everywhere else ", ".join(environments)


def _show_notes(terminal: Terminal, report: CheckReport) -> None:
    """What is to be known and is nobody's fault, once for all roots and environments that it holds for."""
    for warning in report.warnings:
        terminal.warn(warning)
    notes: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for answer in report.answers:
        for note in _list_notes(answer):
            roots, environments = notes.setdefault(note, ({}, {}))
            roots[answer.root] = environments[answer.environment] = None
    shown = list(notes.items())
    if terminal.verbosity < Verbosity.VERBOSE:
        shown = shown[:MAX_NOTES]
    for note, (roots, environments) in shown:
        who = next(iter(roots)) if len(roots) == 1 else count(len(roots), "root")
        terminal.say(f"{who}: {note} ({_spell_places(list(environments), report)})")
    if len(shown) < len(notes):
        terminal.say(f"… and {len(notes) - len(shown)} more (-v lists them, --json too)")


def _list_notes(answer: Answer) -> Sequence[str]:
    notes = list(answer.notes)
    if answer.unproven:
        notes.append(f"only a build tells all that it needs: {', '.join(answer.unproven)}; what is declared was taken")
    second = answer.second
    if second is not None and second.verdict is Verdict.NOT_JUDGED:
        notes.append(f"not judged by uv: {second.detail}")
    elif second is not None and second.note:
        notes.append(f"uv agrees {second.note}")
    return notes


def _show_total(terminal: Terminal, report: CheckReport) -> None:
    judges = f"judged by pymirror and by uv {report.uv}" if report.uv is not None else "judged by pymirror alone"
    installs = sum(1 for answer in report.answers if answer.installs)
    roots = len({answer.root for answer in report.answers})
    found = count(report.findings, "finding") if report.findings else "all is well"
    terminal.tell(
        f"{report.output}: {count(roots, 'root')} in {count(len(report.environments), 'environment')}: "
        f"{installs} of {len(report.answers)} install, {judges}; {found}"
    )


def _show_hints(terminal: Terminal, report: CheckReport) -> None:
    if report.is_own_environment:
        terminal.say("where the spec names no environments, this machine's is what was checked")
    if report.uv_problem is not None:
        terminal.say(report.uv_problem)
    if any(finding.kind is FindingKind.MISSING for answer in report.answers for finding in answer.findings):
        terminal.say("what upstream has of a project that is not in the tree, `pymirror why NAME` says")
        terminal.say("a file that is not on the disk is fetched again by `pymirror verify` and then `pymirror sync`")
