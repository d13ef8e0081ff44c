"""``pymirror plan``: what ``sync`` would add, remove and keep. Writes nothing, and needs no lock."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping

from pymirror.commands.ask import open_asking
from pymirror.commands.decide import Decision, decide, report_dependencies
from pymirror.commands.obtain import open_temporary
from pymirror.commands.plan_files import list_actions, list_files
from pymirror.commands.ports import Ports
from pymirror.commands.report import PlanReport, ProjectChange, list_left_out
from pymirror.errors import ShrinkError, TotalSizeError
from pymirror.limits import check_planned_size, check_published_size, check_shrink, list_withdrawn
from pymirror.plan import PoolFile, WantedFile, make_snapshot
from pymirror.pool import Pool
from pymirror.snapshot import Difference, Snapshot, SnapshotFile, diff_snapshots
from pymirror.spec.model import Spec


def plan(spec: Spec, ports: Ports, *, with_files: bool = False) -> PlanReport:
    """What a ``sync`` would do now, if every download succeeded; ``with_files`` lists every file that was judged."""
    with open_asking(spec, ports) as asking, open_temporary(spec, ports, asking) as obtain:
        decision = decide(spec, ports, asking, pool=Pool(ports.storage), obtain=obtain, write=False)
    snapshot = _foresee(decision)
    difference = diff_snapshots(decision.previous, snapshot)
    return PlanReport(
        output=str(spec.output),
        projects=_list_changes(decision, snapshot, difference),
        downloads=len(decision.plan.transfers),
        download_size=decision.plan.transfer_size,
        unknown_sizes=decision.plan.unknown_sizes,
        reused=decision.plan.reused,
        refusals=tuple(dict.fromkeys(_find_refusals(spec, decision, snapshot, difference))),
        left_out=list_left_out(decision.selections, spec.on_upstream_removal),
        failures=decision.plan.failures,
        files=list_files(decision, snapshot, difference) if with_files else None,
        dependencies=report_dependencies(decision),
        rollbacks=tuple(sorted(decision.found.rollbacks)),
    )


def _find_refusals(spec: Spec, decision: Decision, snapshot: Snapshot, difference: Difference) -> Iterator[str]:
    """What would stop ``sync``: before it fetches, and before it publishes."""
    there = [(project, file.version) for project, file in snapshot.files()]
    published = sum(len(project.files) for project in decision.previous.projects)
    for removed in (decision.plan.removed, difference.removed):
        try:
            withdrawn = list_withdrawn(decision.previous, removed, there, decision.list_superseded())
            check_shrink(published, withdrawn, spec.max_removal)
        except ShrinkError as error:
            yield f"{error}; where it is meant, run it with --allow-shrink, or set max-removal"
            break
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
