"""``pymirror plan``: what ``sync`` would add, remove and keep. Writes nothing, and needs no lock."""

from __future__ import annotations

import contextlib
from collections import defaultdict

from pymirror.commands.decide import Decision, Ports, decide, open_transport
from pymirror.commands.report import PlanReport, ProjectChange, count_excluded
from pymirror.errors import ShrinkError
from pymirror.plan import PoolFile, check_shrink, make_snapshot
from pymirror.pool import Pool
from pymirror.snapshot import diff_snapshots
from pymirror.spec.model import Spec


def plan(spec: Spec, ports: Ports) -> PlanReport:
    """What a ``sync`` would do now, if every download succeeded."""
    transport, routes = open_transport(spec, ports)
    with contextlib.closing(transport):
        decision = decide(spec, ports, transport, routes, pool=Pool(ports.storage), write=False)
    return PlanReport(
        output=str(spec.output),
        projects=_list_changes(decision),
        downloads=len(decision.plan.transfers),
        download_size=decision.plan.transfer_size,
        unknown_sizes=decision.plan.unknown_sizes,
        reused=decision.plan.reused,
        is_refused=_is_refused(decision),
        excluded=count_excluded(decision.selections),
        failures=decision.plan.failures,
    )


def _is_refused(decision: Decision) -> bool:
    try:
        check_shrink(decision.previous, decision.plan.removed)
    except ShrinkError:
        return True
    return False


def _list_changes(decision: Decision) -> tuple[ProjectChange, ...]:
    # What will be fetched is taken to be as upstream says; what upstream does not say counts as nothing.
    fetched = {
        (file.project, file.filename): PoolFile(
            filename=file.filename,
            sha256=file.sha256 or "",
            blake2b="0" * 64,
            size=file.size or 0,
            metadata_sha256=None,
        )
        for file in decision.plan.transfers
    }
    difference = diff_snapshots(
        decision.previous, make_snapshot(decision.plan, decision.held, fetched, decision.previous)
    )
    added: dict[str, list[str]] = defaultdict(list)
    removed: dict[str, list[str]] = defaultdict(list)
    changed: dict[str, list[str]] = defaultdict(list)
    for into, pairs in ((added, difference.added), (removed, difference.removed), (changed, difference.changed)):
        for project, filename in pairs:
            into[project].append(filename)
    sizes: dict[str, int] = defaultdict(int)
    for file in decision.plan.transfers:
        sizes[file.project] += file.size or 0
    totals = {project.name: len(project.files) for project in decision.plan.projects}
    names = sorted({*totals, *removed})
    return tuple(
        ProjectChange(
            project=name,
            added=tuple(added[name]),
            removed=tuple(removed[name]),
            changed=tuple(changed[name]),
            kept=max(totals.get(name, 0) - len(added[name]) - len(changed[name]), 0),
            download_size=sizes[name],
        )
        for name in names
    )
