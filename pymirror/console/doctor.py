"""What the findings of ``doctor`` look like."""

from __future__ import annotations

from pymirror.commands.doctor_report import SETTINGS, DoctorReport, Finding, Severity
from pymirror.console.terminal import Terminal, Verbosity, count


def show_doctor(terminal: Terminal, report: DoctorReport) -> None:
    terminal.stop_bars()
    wrong = [finding for severity in (Severity.ERROR, Severity.WARNING) for finding in report.of(severity)]
    for finding in wrong:
        _show(terminal, finding)
    if terminal.verbosity >= Verbosity.VERBOSE:
        for severity in (Severity.OK, Severity.SKIPPED):
            for finding in report.of(severity):
                terminal.tell(f"{severity.value}: {finding.check.id}: {finding.seen}")
    if wrong:
        terminal.tell(SETTINGS)
    terminal.tell(
        f"{report.url}: {count(len(report.of(Severity.ERROR)), 'error')}, "
        f"{count(len(report.of(Severity.WARNING)), 'warning')}, {len(report.of(Severity.OK))} of "
        f"{count(len(report.findings), 'check')} fine; {count(report.requests, 'request')}, "
        f"{len(report.sampled_projects)} of {count(report.projects, 'project')} looked at"
    )


def _show(terminal: Terminal, finding: Finding) -> None:
    terminal.tell(f"{finding.severity.value}: {finding.check.id}: {finding.seen}")
    terminal.tell(f"  at {finding.url}")
    terminal.tell(f"  {finding.check.why}")
    terminal.tell(f"  to mend it: {finding.check.mend}")
