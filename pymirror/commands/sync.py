"""``pymirror sync``: makes the tree hold what the spec says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pymirror.commands.ask import Asking, open_asking
from pymirror.commands.decide import Decision, decide
from pymirror.commands.ports import Ports
from pymirror.commands.report import SyncReport, list_left_out, make_sync_report
from pymirror.download import Download, Downloader, partial_name
from pymirror.errors import ForeignFolderError
from pymirror.history import History
from pymirror.layout import PARTIAL, TEMPORARY
from pymirror.limits import check_planned_size, check_published_size
from pymirror.lock import hold_lock
from pymirror.plan import Failure, WantedFile, check_shrink, leave_out, make_snapshot
from pymirror.pool import Pool
from pymirror.publish import publish
from pymirror.quarantine import Quarantine
from pymirror.selection import Reason
from pymirror.snapshot import Snapshot, SnapshotFile, diff_snapshots
from pymirror.spec.model import RemovalPolicy, Spec


def sync(spec: Spec, ports: Ports, *, allow_shrink: bool) -> SyncReport:
    """Spec → pages → selections → plan → downloads → snapshot → publication → report.

    Raises :class:`ConfigurationError` and :class:`ForeignFolderError` before anything is touched, then
    :class:`LockedError`, :class:`ShrinkError`, :class:`StorageError`; every other failure is in the report.
    """
    with open_asking(spec, ports) as asking:
        if (foreign := History(ports.storage).find_foreign()) is not None:
            raise ForeignFolderError(ports.storage.location, foreign)
        with hold_lock(ports.storage, command="sync"):
            return _sync(spec, ports, asking, allow_shrink=allow_shrink)


def _sync(spec: Spec, ports: Ports, asking: Asking, *, allow_shrink: bool) -> SyncReport:
    ports.storage.remove_folder(TEMPORARY)
    pool = Pool(ports.storage)
    decision = decide(spec, ports, asking, pool=pool, write=True)
    if not allow_shrink:
        check_shrink(decision.previous, decision.plan.removed)
    check_planned_size(decision.plan.projects, spec.max_total_size)
    downloader = Downloader(
        transport=asking.transport,
        pool=pool,
        storage=ports.storage,
        network=spec.network,
        progress=ports.progress,
        stop=ports.stop,
    )
    ports.progress.phase("downloading", items=len(decision.plan.transfers), size=decision.plan.transfer_size)
    downloads = list(downloader.download(decision.plan.transfers))
    report = _publish(spec, ports, decision, downloads, allow_shrink=allow_shrink)
    _remember(decision, downloads)
    for cache, names in asking.lists:
        cache.save_list(names)
    return report


def _publish(
    spec: Spec, ports: Ports, decision: Decision, downloads: list[Download], *, allow_shrink: bool
) -> SyncReport:
    fetched = {(d.file.project, d.file.filename): d.stored for d in downloads if d.stored is not None}
    failures = [
        Failure(project=d.file.project, what=d.file.filename, problem=d.problem or "")
        for d in downloads
        if d.stored is None and not d.is_too_large
    ]
    too_large = {(d.file.project, d.file.filename) for d in downloads if d.is_too_large}
    plan = leave_out(decision.plan, too_large)
    snapshot = make_snapshot(plan, decision.held, fetched, decision.previous)
    difference = diff_snapshots(decision.previous, snapshot)
    if not allow_shrink:
        check_shrink(decision.previous, difference.removed)
    check_published_size(snapshot, spec.max_total_size)
    left_out = list_left_out(decision.selections, spec.on_upstream_removal, too_large=len(too_large))
    quarantine = Quarantine(ports.storage)
    quarantine.add(_list_set_aside(spec, decision, snapshot), now=ports.now)
    history = History(ports.storage)
    ports.progress.phase("publishing", items=0)
    ports.storage.sync()  # the files and their folders, before any page names them
    number = history.record(snapshot)
    published = publish(snapshot, ports.storage)
    history.publish(number)
    quarantine.release(snapshot.files())
    _sweep_partials(ports, [d.file for d in downloads if d.stored is None and not d.is_too_large])
    return make_sync_report(
        output=str(spec.output),
        snapshot=snapshot,
        difference=difference,
        plan=plan,
        downloaded=[stored.size for stored in fetched.values()],
        pages_written=published.written + published.removed,
        left_out=left_out,
        failures=[*decision.plan.failures, *failures],
    )


def _remember(decision: Decision, downloads: Sequence[Download]) -> None:
    """Keeps the pages, and the sizes of files that turned out too large, so that they are not tried again."""
    told: dict[str, dict[str, int]] = {}
    for download in downloads:
        if download.told_size is not None:
            told.setdefault(download.file.project, {})[download.file.filename] = download.told_size
    for remembered in decision.pages:
        kept = remembered.with_sizes(told[remembered.project]) if remembered.project in told else remembered
        if kept.is_new:
            kept.cache.save(kept.project, kept.page)


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
