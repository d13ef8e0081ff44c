"""``pymirror plan``: what ``sync`` would add, remove and keep. Writes nothing, and needs no lock."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping

from pymirror.commands.ask import open_asking
from pymirror.commands.decide import (
    Decision,
    conclude,
    load_previous,
    make_dependencies,
    read_batches,
    report_dependencies,
)
from pymirror.commands.obtain import open_temporary
from pymirror.commands.plan_files import list_actions, list_files
from pymirror.commands.ports import Ports
from pymirror.commands.report import (
    DependencyReport,
    FileChange,
    LeftOutSum,
    PlanReport,
    ProjectChange,
    Rollback,
    list_left_out,
)
from pymirror.errors import ShrinkError, TotalSizeError
from pymirror.limits import check_planned_size, check_published_size, check_shrink, find_batch_size, list_withdrawn
from pymirror.plan import Failure, PoolFile, WantedFile, make_snapshot
from pymirror.pool import Pool
from pymirror.snapshot import Difference, Snapshot, SnapshotFile, diff_snapshots
from pymirror.spec.model import Spec


def plan(spec: Spec, ports: Ports, *, with_files: bool = False) -> PlanReport:
    """What a ``sync`` would do now, if every download succeeded; ``with_files`` lists every file that was judged."""
    with open_asking(spec, ports) as asking, open_temporary(spec, ports, asking) as obtain:
        pool = Pool(ports.storage)
        previous = load_previous(ports, pool, write=False)
        foreseen = _Foreseen(spec, previous, with_files=with_files)
        for batch in read_batches(spec, ports, asking, previous, size=find_batch_size(spec)):
            dependencies = make_dependencies(spec, ports, asking, batch, pool, obtain=obtain, write=False)
            foreseen.add(
                conclude(
                    spec,
                    ports,
                    asking,
                    batch.previous,
                    batch.found,
                    pool=pool,
                    write=False,
                    dependencies=dependencies,
                )
            )
    return foreseen.report()


class _Foreseen:
    """What the next run would come to, added up from the projects that are decided on at a time."""

    def __init__(self, spec: Spec, previous: Snapshot, *, with_files: bool) -> None:
        self._spec = spec
        self._previous = previous
        self._projects: list[ProjectChange] = []
        self._files: list[FileChange] | None = [] if with_files else None
        self._downloads = self._download_size = self._unknown_sizes = self._reused = 0
        self._withdrawn_before: list[tuple[str, str]] = []
        self._withdrawn: list[tuple[str, str]] = []
        self._too_large: list[str] = []
        self._left_out = LeftOutSum()
        self._failures: list[Failure] = []
        self._rollbacks: list[Rollback] = []
        self._dependencies: DependencyReport | None = None

    def add(self, decision: Decision) -> None:
        """Takes in what was decided."""
        snapshot = _foresee(decision)
        difference = diff_snapshots(decision.previous, snapshot)
        self._projects += _list_changes(decision, snapshot, difference)
        if self._files is not None:
            self._files += list_files(decision, snapshot, difference)
        self._downloads += len(decision.plan.transfers)
        self._download_size += decision.plan.transfer_size
        self._unknown_sizes += decision.plan.unknown_sizes
        self._reused += decision.plan.reused
        if decision.plan.removed or difference.removed:
            there = [(project, file.version) for project, file in snapshot.files()]
            superseded = decision.list_superseded()
            self._withdrawn_before += list_withdrawn(decision.previous, decision.plan.removed, there, superseded)
            self._withdrawn += list_withdrawn(decision.previous, difference.removed, there, superseded)
        self._too_large += _find_too_large(self._spec, decision, snapshot)
        self._left_out.add(list_left_out(decision.selections, self._spec.on_upstream_removal))
        self._failures += decision.plan.failures
        self._rollbacks += decision.found.rollbacks
        self._dependencies = report_dependencies(decision)

    def report(self) -> PlanReport:
        """What there is to tell of all."""
        return PlanReport(
            output=str(self._spec.output),
            projects=tuple(self._projects),
            downloads=self._downloads,
            download_size=self._download_size,
            unknown_sizes=self._unknown_sizes,
            reused=self._reused,
            refusals=tuple(dict.fromkeys([*self._find_shrink(), *self._too_large])),
            left_out=self._left_out.total(),
            failures=tuple(sorted(self._failures)),
            files=tuple(self._files) if self._files is not None else None,
            dependencies=self._dependencies,
            rollbacks=tuple(sorted(self._rollbacks)),
        )

    def _find_shrink(self) -> Iterator[str]:
        """What would stop ``sync`` before it fetches, or before it publishes."""
        for withdrawn in (self._withdrawn_before, self._withdrawn):
            published = sum(len(project.files) for project in self._previous.projects) if withdrawn else 0
            try:
                check_shrink(published, withdrawn, self._spec.max_removal)
            except ShrinkError as error:
                yield f"{error}; where it is meant, run it with --allow-shrink, or set max-removal"
                break


def _find_too_large(spec: Spec, decision: Decision, snapshot: Snapshot) -> Iterator[str]:
    """The same for the size of the whole: where that is limited, all projects are decided on at a time."""
    try:
        check_planned_size(decision.plan.projects, spec.max_total_size, decision.held)
        check_published_size(snapshot, spec.max_total_size)
    except TotalSizeError as error:
        yield f"{error}; narrow the spec, or raise max-total-size"


def _foresee(decision: Decision) -> Snapshot:
    """The next snapshot. What will be fetched is taken to be as upstream says; a size that it does not say is 0.

    A file that is published and must be fetched again comes back as it was.
    """
    before = {(project, file.filename): file for project, file in decision.previous.files()}
    fetched = {(f.project, f.filename): _foresee_file(f, before) for f in decision.plan.transfers}
    return make_snapshot(decision.plan, decision.held, fetched, decision.previous)


def _foresee_file(file: WantedFile, before: Mapping[tuple[str, str], SnapshotFile]) -> PoolFile:
    was = before.get((file.project, file.filename))
    if was is not None and was.sha256 == file.sha256:
        return PoolFile(
            filename=was.filename,
            sha256=was.sha256,
            blake2b=was.blake2b,
            size=was.size,
            metadata_sha256=was.metadata_sha256,
        )
    # The digest is found while the file streams in; until then another for each file stands for it.
    name = f"{file.sha256 or file.project}/{file.filename}"
    return PoolFile(
        filename=file.filename,
        sha256=file.sha256 or "",
        blake2b=hashlib.blake2b(name.encode(), digest_size=32).hexdigest(),
        size=file.expected_size or 0,
        metadata_sha256=None,
    )


def _list_changes(decision: Decision, snapshot: Snapshot, difference: Difference) -> tuple[ProjectChange, ...]:
    names: dict[str, dict[str, list[str]]] = {}
    sizes: dict[str, dict[str, int]] = {}
    for action, project, filename, size in list_actions(decision.previous, snapshot, difference):
        names.setdefault(project, defaultdict(list))[action].append(filename)
        sizes.setdefault(project, defaultdict(int))[action] += size
    downloads: dict[str, int] = defaultdict(int)
    for file in decision.plan.transfers:
        downloads[file.project] += file.expected_size or 0
    for planned in decision.plan.projects:
        names.setdefault(planned.name, defaultdict(list))
        sizes.setdefault(planned.name, defaultdict(int))
    return tuple(
        ProjectChange(
            project=project,
            added=tuple(files["add"]),
            removed=tuple(files["remove"]),
            changed=tuple(files["change"]),
            kept=len(files["keep"]),
            added_size=sizes[project]["add"],
            removed_size=sizes[project]["remove"],
            kept_size=sizes[project]["keep"] + sizes[project]["change"],
            download_size=downloads[project],
        )
        for project, files in sorted(names.items())
    )
