"""What a run tells: frozen values, and the dictionaries that ``--json`` prints."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from pymirror.errors import ExitCode
from pymirror.plan import Failure
from pymirror.selection.model import Reason, Selection
from pymirror.spec.model import RemovalPolicy

if TYPE_CHECKING:
    from pymirror.closure import Outcome


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Waiting:
    """Files of a release that are too new. ``until`` is when they are not, where that is known (aware UTC)."""

    project: str
    version: str
    files: int
    until: datetime | None
    rule: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Removal:
    """A published file that upstream lists no more; ``policy`` is what becomes of it."""

    project: str
    filename: str
    policy: str


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Rollback:
    """An upstream's page that is older than the one before; ``project`` is empty for the list of all projects."""

    upstream: str
    project: str
    problem: str

    def __str__(self) -> str:
        return f"{self.project or 'the list of projects'} went back in time at {self.upstream}: {self.problem}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """What was left out, and what is to be known of it. Sizes are bytes, as far as they are known."""

    excluded: dict[str, int]
    excluded_size: dict[str, int]
    waiting: tuple[Waiting, ...]
    removals: tuple[Removal, ...]
    statuses: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencyReport:
    """What ``dependencies`` and ``groups`` bring: releases and files that nothing else asks for, and their bytes as far
    as these are known.

    ``roots`` were resolved, each in one environment, ``unsolved`` of them without a solution. ``unproven`` are releases
    whose needs only a build would tell; ``warnings`` tell of releases that were passed over for what their metadata
    say, and of extras that there are not.
    """

    roots: int
    unsolved: int
    projects: int
    releases: int
    files: int
    size: int
    unproven: tuple[str, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """What ``stop-after`` left for the next run: projects that stay as they were, and files that were not fetched."""

    projects: int = 0
    files: int = 0

    def __bool__(self) -> bool:
        return bool(self.projects or self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncReport:
    """What ``sync`` did. ``size`` and ``downloaded_size`` are bytes."""

    output: str
    projects: int
    releases: int
    files: int
    size: int
    downloaded: int
    downloaded_size: int
    reused: int
    added: int
    removed: int
    changed: int
    pages_written: int
    left_out: LeftOut
    failures: tuple[Failure, ...]
    dependencies: DependencyReport | None = None
    rollbacks: tuple[Rollback, ...] = ()
    unfinished: Unfinished = Unfinished()

    @property
    def exit_code(self) -> ExitCode:
        return ExitCode.INCOMPLETE if self.failures or self.unfinished else ExitCode.OK

    @property
    def is_unchanged(self) -> bool:
        return not (self.downloaded or self.pages_written)

    def as_json(self) -> dict[str, Any]:
        return {"command": "sync", "exit-code": int(self.exit_code), **_flatten(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectChange:
    """What a plan means for one project: file names, a count, and bytes as far as they are known."""

    project: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    kept: int
    added_size: int
    removed_size: int
    kept_size: int
    download_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """What a plan means for one file.

    ``action`` is add, remove, change or keep; leave-out or refuse, with its ``reason``; or hold-back.
    """

    project: str
    filename: str
    action: str
    size: int | None
    reason: str | None = None
    detail: str = ""
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReport:
    """What ``sync`` would do."""

    output: str
    projects: tuple[ProjectChange, ...]
    downloads: int
    download_size: int
    unknown_sizes: int
    reused: int
    refusals: tuple[str, ...]
    left_out: LeftOut
    failures: tuple[Failure, ...]
    files: tuple[FileChange, ...] | None = None
    dependencies: DependencyReport | None = None
    rollbacks: tuple[Rollback, ...] = ()

    @property
    def is_refused(self) -> bool:
        return bool(self.refusals)

    @property
    def exit_code(self) -> ExitCode:
        if self.is_refused:
            return ExitCode.REFUSED
        return ExitCode.INCOMPLETE if self.failures else ExitCode.OK

    def as_json(self) -> dict[str, Any]:
        return {"command": "plan", "exit-code": int(self.exit_code), "is-refused": self.is_refused, **_flatten(self)}


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Damage:
    """Something that ``verify`` found: ``path`` is relative to the output folder."""

    path: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What ``verify`` read and found. ``unreferenced`` files are no damage: ``prune`` deletes them.

    ``damages`` are what there is now, ``mended`` what there was before it was repaired. ``resumed`` files were read by
    a run that was interrupted, and not again.
    """

    output: str
    projects: int
    files: int
    size: int
    pages: int
    unreferenced: int
    quarantined: int
    damages: tuple[Damage, ...]
    mended: tuple[Damage, ...] = ()
    resumed: int = 0

    @property
    def exit_code(self) -> ExitCode:
        return ExitCode.DAMAGED if self.damages else ExitCode.OK

    def as_json(self) -> dict[str, Any]:
        from pymirror.commands.why_report import kebab  # late, since few reports are asked for in JSON

        return {"command": "verify", "exit-code": int(self.exit_code), **kebab(asdict(self))}


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneReport:
    """What ``prune`` deleted, or with ``is_dry_run`` would delete."""

    output: str
    deleted: tuple[str, ...]
    size: int
    kept_for_grace: int
    kept_in_quarantine: int
    is_dry_run: bool

    exit_code = ExitCode.OK

    def as_json(self) -> dict[str, Any]:
        from pymirror.commands.why_report import kebab

        return {"command": "prune", "exit-code": int(self.exit_code), **kebab(asdict(self))}


def list_left_out(selections: Sequence[Selection], policy: RemovalPolicy) -> LeftOut:
    """What the selections left out, by reason, and those reasons that a person should know of."""
    counts: Counter[Reason] = Counter()
    sizes: Counter[Reason] = Counter()
    waiting: dict[tuple[str, Version, str, str, datetime | None], int] = defaultdict(int)
    removals = []
    for selection in selections:
        for item in selection.excluded:
            counts[item.reason] += 1
            sizes[item.reason] += item.size or 0
            if item.reason is Reason.TOO_NEW and item.version is not None:
                waiting[(selection.project, item.version, str(item.origin or ""), item.detail, item.until)] += 1
            if item.reason is Reason.REMOVED_UPSTREAM:
                removals.append(Removal(project=selection.project, filename=item.filename, policy=policy.value))
        removals += [
            Removal(project=selection.project, filename=chosen.file.filename, policy=policy.value)
            for chosen in selection.chosen
            if chosen.is_removed
        ]
    return LeftOut(
        excluded={reason.label: counts[reason] for reason in sorted(counts)},
        excluded_size={reason.label: sizes[reason] for reason in sorted(counts)},
        waiting=_list_waiting(waiting),
        removals=tuple(sorted(removals)),
        statuses={s.project: s.status for s in selections if s.status != "active"},
    )


class LeftOutSum:
    """What was left out of many projects, added up; none has a project of another."""

    def __init__(self) -> None:
        self._excluded: Counter[str] = Counter()
        self._excluded_size: Counter[str] = Counter()
        self._waiting: list[Waiting] = []
        self._removals: list[Removal] = []
        self._statuses: dict[str, str] = {}

    def add(self, part: LeftOut) -> None:
        self._excluded.update(part.excluded)
        self._excluded_size.update(part.excluded_size)
        self._waiting += part.waiting
        self._removals += part.removals
        self._statuses |= part.statuses

    def total(self) -> LeftOut:
        order = [reason.label for reason in sorted(Reason) if reason.label in self._excluded]
        return LeftOut(
            excluded={label: self._excluded[label] for label in order},
            excluded_size={label: self._excluded_size[label] for label in order},
            waiting=tuple(self._waiting),
            removals=tuple(sorted(self._removals)),
            statuses=self._statuses,
        )


def _list_waiting(files: dict[tuple[str, Version, str, str, datetime | None], int]) -> tuple[Waiting, ...]:
    """A line for each release: its files are uploaded one after the other, so the last of their times counts."""
    releases: dict[tuple[str, Version, str], list[tuple[datetime | None, str, int]]] = defaultdict(list)
    for (project, version, rule, detail, until), count in files.items():
        releases[(project, version, rule)].append((until, detail, count))
    lines = []
    for (project, version, rule), items in sorted(releases.items()):
        times = [until for until, _, _ in items if until is not None]
        lines.append(
            Waiting(
                project=project,
                version=str(version),
                files=sum(count for _, _, count in items),
                until=max(times) if len(times) == len(items) else None,
                rule=rule,
                detail=max(detail for _, detail, _ in items),
            )
        )
    return tuple(lines)


def make_dependency_report(
    outcomes: Sequence[Outcome], selections: Sequence[Selection], *, is_asked: bool
) -> DependencyReport | None:
    """``None`` where the spec asks for no dependency."""
    if not is_asked:
        return None
    from pymirror.closure.model import Solution  # late, for the many specs without dependencies

    added = [
        (selection.project, chosen)
        for selection in selections
        for chosen in selection.chosen
        if chosen.is_dependency and not chosen.is_removed
    ]
    unproven = {name for outcome in outcomes if isinstance(outcome, Solution) for name in outcome.unproven}
    return DependencyReport(
        roots=sum(1 for outcome in outcomes if outcome.root.parent is None),
        unsolved=sum(1 for outcome in outcomes if outcome.root.parent is None and not isinstance(outcome, Solution)),
        projects=len({project for project, _ in added}),
        releases=len({(project, chosen.version) for project, chosen in added}),
        files=len(added),
        size=sum(chosen.file.expected_size or 0 for _, chosen in added),
        unproven=tuple(sorted(unproven)),
        warnings=tuple(sorted({text for each in outcomes if isinstance(each, Solution) for text in each.warnings})),
    )


def _flatten(report: SyncReport | PlanReport) -> dict[str, Any]:
    """The report with what was left out among its own keys; the list of files only where it was asked for."""
    from pymirror.commands.why_report import kebab

    values = asdict(report)
    values |= values.pop("left_out")
    for name in ("files", "dependencies"):
        if values.get(name, ()) is None:
            del values[name]
    return dict(kebab(values))
