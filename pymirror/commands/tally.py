"""What a run of ``sync`` comes to, added up from the projects that it deals with at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

import msgspec
from packaging.utils import NormalizedName

from pymirror.commands.decide import Decision, report_dependencies
from pymirror.commands.report import (
    DependencyReport,
    LeftOut,
    LeftOutSum,
    Rollback,
    SyncReport,
    Unfinished,
    list_left_out,
)
from pymirror.download import Download
from pymirror.limits import check_shrink, list_withdrawn
from pymirror.plan import Failure, WantedFile
from pymirror.selection.model import Reason
from pymirror.settled import Verdict
from pymirror.snapshot import Snapshot, SnapshotFile, SnapshotProject, diff_snapshots
from pymirror.spec.model import RemovalPolicy, Spec


class Tally:
    """Counts, and holds the run to the limits that are of the whole mirror.

    ``previous`` is what there was before. ``set_aside`` are (project, file) that leave because upstream withdrew them,
    or ``quarantined`` their project; ``failed`` is what could not be fetched.
    """

    def __init__(self, previous: Snapshot, spec: Spec, *, allow_shrink: bool) -> None:
        self._previous = previous
        self._spec = spec
        self.allows_shrink = allow_shrink
        self._withdrawn: list[tuple[str, str]] = []
        self._failures: list[Failure] = []
        self._left_out = LeftOutSum()
        self._rollbacks: list[Rollback] = []
        self._dependencies: DependencyReport | None = None
        self._projects = self._releases = self._files = self._size = 0
        self._added = self._removed = self._changed = 0
        self._downloaded = self._downloaded_size = self._reused = 0
        self._unreached_projects = self._unreached_files = 0
        self.set_aside: list[tuple[str, SnapshotFile]] = []
        self.quarantined: set[NormalizedName] = set()
        self.failed: list[WantedFile] = []

    def foresee(self, decision: Decision) -> None:
        """Raises :class:`ShrinkError` where too much would go, before anything is fetched."""
        planned = (
            (project.name, file.version)
            for project in decision.plan.projects
            for file in project.files
            if not file.is_refused
        )
        self._check(_list_withdrawn(decision, decision.plan.removed, planned))

    def add(
        self,
        decision: Decision,
        snapshot: Snapshot,
        downloads: Mapping[tuple[str, str], Download],
        *,
        reused: int,
    ) -> None:
        """Takes in what came of ``decision``. Raises :class:`ShrinkError` where too much goes."""
        difference = diff_snapshots(decision.previous, snapshot)
        there = ((project, file.version) for project, file in snapshot.files())
        self._withdrawn += _list_withdrawn(decision, difference.removed, there)
        self._check(())
        self._projects += len(snapshot.projects)
        self._releases += len({(project, file.version) for project, file in snapshot.files()})
        self._files += sum(len(project.files) for project in snapshot.projects)
        self._size += snapshot.size
        self._added += len(difference.added)
        self._removed += len(difference.removed)
        self._changed += len(difference.changed)
        self._reused += reused
        self._add_downloads(decision, downloads)
        self._unreached_projects += len(decision.found.unreached)
        self._failures += decision.plan.failures
        self._left_out.add(list_left_out(decision.selections, self._spec.on_upstream_removal))
        self._rollbacks += decision.found.rollbacks
        is_known = bool(decision.closed.outcomes) or not decision.found.unreached  # else there was no time for them
        self._dependencies = report_dependencies(decision) if is_known else None
        quarantined = {selection.project for selection in decision.selections if selection.status == "quarantined"}
        self.quarantined |= quarantined
        if self._spec.on_upstream_removal is not RemovalPolicy.DROP:
            self.set_aside += _list_set_aside(decision, snapshot, quarantined)

    def add_settled(self, projects: Iterable[tuple[SnapshotProject, Verdict]]) -> None:
        """Takes in what stays as it is."""
        for project, verdict in projects:
            self._projects += 1
            self._releases += len({file.version for file in project.files})
            self._files += len(project.files)
            self._size += project.size
            self._reused += len(project.files)
            if verdict.told:
                self._left_out.add(msgspec.msgpack.decode(verdict.told, type=LeftOut))

    def report(self, *, pages_written: int) -> SyncReport:
        """What the run did."""
        return SyncReport(
            output=str(self._spec.output),
            projects=self._projects,
            releases=self._releases,
            files=self._files,
            size=self._size,
            downloaded=self._downloaded,
            downloaded_size=self._downloaded_size,
            reused=self._reused,
            added=self._added,
            removed=self._removed,
            changed=self._changed,
            pages_written=pages_written,
            left_out=self._left_out.total(),
            failures=tuple(sorted(self._failures)),
            dependencies=self._dependencies,
            rollbacks=tuple(sorted(self._rollbacks)),
            unfinished=self.unfinished,
        )

    @property
    def unfinished(self) -> Unfinished:
        """What there was no time for."""
        return Unfinished(projects=self._unreached_projects, files=self._unreached_files)

    def _add_downloads(self, decision: Decision, downloads: Mapping[tuple[str, str], Download]) -> None:
        wanted = {(file.project, file.filename) for file in decision.plan.transfers}
        stored = [download.stored for download in downloads.values() if download.stored is not None]
        self._downloaded += len(stored)
        self._downloaded_size += sum(file.size for file in stored)
        failed = [download for key, download in downloads.items() if download.stored is None and key in wanted]
        self._unreached_files += sum(1 for download in failed if download.is_unreached)
        failed = [download for download in failed if not download.is_unreached]
        self.failed += [download.file for download in failed]
        self._failures += [
            Failure(project=d.file.project, what=d.file.filename, problem=d.problem or "") for d in failed
        ]

    def _check(self, more: Iterable[tuple[str, str]]) -> None:
        withdrawn = [*self._withdrawn, *more]
        if withdrawn and not self.allows_shrink:
            check_shrink(self._published, withdrawn, self._spec.max_removal)

    @cached_property
    def _published(self) -> int:
        return sum(len(project.files) for project in self._previous.projects)


def _list_withdrawn(
    decision: Decision, removed: Iterable[tuple[str, str]], versions: Iterable[tuple[str, str]]
) -> tuple[tuple[str, str], ...]:
    gone = tuple(removed)
    return list_withdrawn(decision.previous, gone, versions, decision.list_superseded()) if gone else ()


def _list_set_aside(
    decision: Decision, snapshot: Snapshot, quarantined: set[NormalizedName]
) -> Iterator[tuple[str, SnapshotFile]]:
    """The published files that upstream withdraws, or whose project it has quarantined."""
    withdrawn = {
        (selection.project, item.filename)
        for selection in decision.selections
        for item in selection.excluded
        if item.reason in (Reason.REMOVED_UPSTREAM, Reason.QUARANTINED)
    }
    # A quarantined project's page may list nothing at all.
    stays = {(project, file.filename) for project, file in snapshot.files()}
    for project, file in decision.previous.files():
        key = (project, file.filename)
        if key not in stays and (key in withdrawn or project in quarantined):
            yield project, file
