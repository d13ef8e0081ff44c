"""``pymirror sync``: makes the tree hold what the spec says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from packaging.utils import canonicalize_name
from packaging.version import Version

from pymirror.commands.ask import Asking, open_asking
from pymirror.commands.decide import Decision, conclude, decide, report_dependencies
from pymirror.commands.obtain import PoolObtain, make_downloader
from pymirror.commands.ports import DISK_THREADS, Ports
from pymirror.commands.report import SyncReport, list_left_out, make_sync_report
from pymirror.download import Download, Downloader, partial_name
from pymirror.errors import ClockError, ForeignFolderError
from pymirror.flat import publish_flat
from pymirror.history import History
from pymirror.layout import CURRENT, PARTIAL, TEMPORARY
from pymirror.limits import check_planned_size, check_published_size, check_shrink, list_withdrawn
from pymirror.lock import hold_lock
from pymirror.plan import Failure, WantedFile, make_snapshot
from pymirror.pool import Pool
from pymirror.provenance import Provenances
from pymirror.publish import publish
from pymirror.publish_documents import publish_documents
from pymirror.quarantine import Quarantine
from pymirror.roots import explain_project
from pymirror.selection import Demands, Reason
from pymirror.snapshot import Snapshot, SnapshotFile, diff_snapshots
from pymirror.spec.model import RemovalPolicy, Spec

_CLOCK_SLACK = timedelta(days=1)


def sync(spec: Spec, ports: Ports, *, allow_shrink: bool) -> SyncReport:
    """Spec → pages → selections → plan → downloads → snapshot → publication → report.

    Raises :class:`ConfigurationError` and :class:`ForeignFolderError` before anything is touched, then
    :class:`LockedError`, :class:`ShrinkError`, :class:`StorageError`; every other failure is in the report.
    """
    with open_asking(spec, ports) as asking:
        if (foreign := History(ports.storage).find_foreign(spec.site)) is not None:
            raise ForeignFolderError(ports.storage.location, foreign)
        with hold_lock(ports.storage, command="sync"):
            return _sync(spec, ports, asking, allow_shrink=allow_shrink)


def _sync(spec: Spec, ports: Ports, asking: Asking, *, allow_shrink: bool) -> SyncReport:
    ports.storage.remove_folder(TEMPORARY)
    pool = Pool(ports.storage)
    downloader = make_downloader(spec, ports, asking, pool, ports.storage)
    obtain = PoolObtain(downloader, ports.storage)
    first = decision = decide(spec, ports, asking, pool=pool, obtain=obtain, write=True)
    downloads: dict[tuple[str, str], Download] = {}
    while True:
        if not allow_shrink:
            planned = ((p.name, f.version) for p in decision.plan.projects for f in p.files if not f.is_refused)
            withdrawn = list_withdrawn(decision.previous, decision.plan.removed, planned, decision.list_superseded())
            check_shrink(decision.previous, withdrawn, spec.max_removal)
            _check_clock(ports, decision)
        new = _fetch(spec, ports, decision, downloader, downloads)
        too_large = {(d.file.project, d.file.filename): d.told_size for d in new if d.told_size is not None}
        is_learned = decision.dependencies.learn(new)
        if not too_large and not is_learned:
            break
        # Nobody told this before, their sizes or what they need: it is decided again, as if it had been told.
        decision.found.learn(too_large)
        decision = conclude(
            spec,
            ports,
            asking,
            decision.previous,
            decision.found,
            pool=pool,
            write=True,
            dependencies=decision.dependencies,
        )
    early = obtain.list_wanted(decision.plan.projects)
    downloads |= early
    reused = first.plan.reused - len(early)
    report = _publish(spec, ports, asking, decision, downloads, reused=reused, allow_shrink=allow_shrink)
    decision.found.remember()
    for cache, names in asking.lists:
        cache.save_list(names)
    return report


def _check_clock(ports: Ports, decision: Decision) -> None:
    """Raises :class:`ClockError` where files would leave as too new though they were not when they were published."""
    stat = ports.storage.stat(CURRENT)
    if stat is None or ports.environ.get("SOURCE_DATE_EPOCH"):  # which says what time it shall be
        return
    published = datetime.fromtimestamp(stat.mtime_ns / 1e9, UTC)
    if ports.now > published - _CLOCK_SLACK:
        return
    too_new = {
        (selection.project, item.filename)
        for selection in decision.selections
        for item in selection.excluded
        if item.reason is Reason.TOO_NEW and item.until is not None
    }
    names = [filename for project, filename in decision.plan.removed if (project, filename) in too_new]
    if names:
        raise ClockError(now=ports.now, published=published, examples=names[:3])


def _fetch(
    spec: Spec,
    ports: Ports,
    decision: Decision,
    downloader: Downloader,
    downloads: dict[tuple[str, str], Download],
) -> list[Download]:
    """Fetches what was not tried yet into ``downloads``, and stops where the mirror would grow beyond its limit."""
    room = check_planned_size(decision.plan.projects, spec.max_total_size, decision.held)
    transfers = tuple(f for f in decision.plan.transfers if (f.project, f.filename) not in downloads)
    size = sum(file.expected_size or 0 for file in transfers)
    ports.progress.phase("downloading", items=len(transfers), size=size)
    fetched: dict[tuple[str, str], int] = {}
    with contextlib.closing(downloader.download(transfers)) as arriving:
        for download in arriving:
            key = (download.file.project, download.file.filename)
            downloads[key] = download
            if download.stored is not None and download.file.expected_size is None:
                fetched[key] = download.stored.size
                room -= download.stored.size
            if room < 0:
                decision.found.learn(fetched)
                decision.found.remember()  # so that the next run knows before it fetches
                check_planned_size(decision.plan.projects, spec.max_total_size, decision.held, fetched)
    return [downloads[(file.project, file.filename)] for file in transfers]


def _publish(
    spec: Spec,
    ports: Ports,
    asking: Asking,
    decision: Decision,
    downloads: Mapping[tuple[str, str], Download],
    *,
    reused: int,
    allow_shrink: bool,
) -> SyncReport:
    wanted = {(file.project, file.filename) for file in decision.plan.transfers}
    fetched = {key: d.stored for key, d in downloads.items() if d.stored is not None}
    failed = [d for key, d in downloads.items() if d.stored is None and key in wanted]
    failures = [Failure(project=d.file.project, what=d.file.filename, problem=d.problem or "") for d in failed]
    demands = Demands(spec, now=ports.now)
    superseded = set(_list_superseded(decision, demands))
    snapshot = make_snapshot(
        decision.plan,
        decision.held,
        fetched,
        decision.previous,
        site=spec.site,
        explain=lambda project: explain_project(project, demands, decision.closed.needs),
        may_stay=lambda project, file: (project, file.filename) in superseded,
    )
    difference = diff_snapshots(decision.previous, snapshot)
    if not allow_shrink:
        there = ((project, file.version) for project, file in snapshot.files())
        withdrawn = list_withdrawn(decision.previous, difference.removed, there, decision.list_superseded())
        check_shrink(decision.previous, withdrawn, spec.max_removal)
    check_published_size(snapshot, spec.max_total_size)
    quarantine = Quarantine(ports.storage)
    quarantined = {selection.project for selection in decision.selections if selection.status == "quarantined"}
    quarantine.add(_list_set_aside(spec, decision, snapshot), quarantined=quarantined, now=ports.now)
    snapshot = _add_provenance(spec, ports, asking, decision, snapshot)
    difference = diff_snapshots(decision.previous, snapshot)  # now that both say what provenance there is
    ports.storage.sync()  # the files and their folders, before any page names them
    history = History(ports.storage)
    number = history.record(snapshot)
    written = _write_pages(ports, snapshot, decision.previous)
    history.publish(number)
    quarantine.release(snapshot.files())
    _sweep_partials(ports, [d.file for d in failed])
    return make_sync_report(
        output=str(spec.output),
        snapshot=snapshot,
        difference=difference,
        reused=reused,
        downloaded=[stored.size for stored in fetched.values()],
        pages_written=written,
        left_out=list_left_out(decision.selections, spec.on_upstream_removal),
        failures=[*decision.plan.failures, *failures],
        dependencies=report_dependencies(decision),
        rollbacks=decision.found.rollbacks,
    )


def _list_superseded(decision: Decision, demands: Demands) -> Iterator[tuple[str, str]]:
    """The published files, as (project, file name), that leave for no fault of theirs: others are newer, or suffice."""
    removed = set(decision.plan.removed) & decision.list_superseded()
    for project, file in decision.previous.files():
        key = (project, file.filename)
        if key not in removed or (file.sha256, file.filename) not in decision.held:
            continue
        excludes = demands.of(canonicalize_name(project)).excludes
        if not any(rule.matches(file.filename, Version(file.version)) for rule in excludes):
            yield key


def _add_provenance(spec: Spec, ports: Ports, asking: Asking, decision: Decision, snapshot: Snapshot) -> Snapshot:
    files = (file for project in decision.plan.projects for file in project.files)
    urls = {(file.project, file.filename): file.provenance for file in files if file.provenance is not None}
    provenances = Provenances(
        transport=asking.transport,
        storage=ports.storage,
        network=spec.network,
        progress=ports.progress,
        stop=ports.stop,
    )
    return provenances.add(snapshot, decision.previous, urls if spec.provenance else {})


def _write_pages(ports: Ports, snapshot: Snapshot, previous: Snapshot) -> int:
    """Publishes ``snapshot``, what installers read first; how many files were written or removed."""
    ports.progress.phase("publishing", items=len(snapshot.projects))
    pages = publish(snapshot, ports.storage)
    links = publish_flat(snapshot, previous, ports.storage)
    documents = publish_documents(
        snapshot, ports.storage, progress=ports.progress, stop=ports.stop, threads=DISK_THREADS
    )
    return links + sum(each.written + each.removed for each in (pages, documents))


def _list_set_aside(spec: Spec, decision: Decision, snapshot: Snapshot) -> Iterator[tuple[str, SnapshotFile]]:
    """The published files that upstream withdraws, or whose project it has quarantined, unless the spec drops them."""
    if spec.on_upstream_removal is RemovalPolicy.DROP:
        return
    withdrawn = {
        (selection.project, item.filename)
        for selection in decision.selections
        for item in selection.excluded
        if item.reason in (Reason.REMOVED_UPSTREAM, Reason.QUARANTINED)
    }
    # A quarantined project's page may list nothing at all.
    quarantined = {selection.project for selection in decision.selections if selection.status == "quarantined"}
    stays = {(project, file.filename) for project, file in snapshot.files()}
    for project, file in decision.previous.files():
        key = (project, file.filename)
        if key not in stays and (key in withdrawn or project in quarantined):
            yield key[0], file


def _sweep_partials(ports: Ports, failed: list[WantedFile]) -> None:
    """Removes what was left of downloads, but for those that the next run goes on with."""
    useful = {partial_name(file) for file in failed}
    if not useful:
        ports.storage.remove_folder(PARTIAL)
    for name in ports.storage.walk(PARTIAL):
        if name.rpartition("/")[2].removesuffix(".json") not in useful:
            ports.storage.remove(name)
