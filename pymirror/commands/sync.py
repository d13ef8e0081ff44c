"""``pymirror sync``: makes the tree hold what the spec says."""

from __future__ import annotations

import contextlib

from pymirror.commands.decide import Decision, Ports, decide, open_transport
from pymirror.commands.report import SyncReport, count_excluded, make_sync_report
from pymirror.download import Download, Downloader, partial_name
from pymirror.errors import ForeignFolderError
from pymirror.history import History
from pymirror.layout import PARTIAL, TEMPORARY
from pymirror.lock import hold_lock
from pymirror.plan import Failure, WantedFile, check_shrink, make_snapshot
from pymirror.pool import Pool
from pymirror.publish import publish
from pymirror.snapshot import diff_snapshots
from pymirror.spec.model import Spec


def sync(spec: Spec, ports: Ports, *, allow_shrink: bool) -> SyncReport:
    """Spec → pages → selections → plan → downloads → snapshot → publication → report.

    Raises :class:`ConfigurationError` and :class:`ForeignFolderError` before anything is touched, then
    :class:`LockedError`, :class:`ShrinkError`, :class:`StorageError`; every other failure is in the report.
    """
    transport, routes = open_transport(spec, ports)
    if (foreign := History(ports.storage).find_foreign()) is not None:
        raise ForeignFolderError(ports.storage.location, foreign)
    with hold_lock(ports.storage, command="sync"), contextlib.closing(transport):
        ports.storage.remove_folder(TEMPORARY)
        pool = Pool(ports.storage)
        decision = decide(spec, ports, transport, routes, pool=pool, write=True)
        if not allow_shrink:
            check_shrink(decision.previous, decision.plan.removed)
        downloader = Downloader(
            transport=transport,
            pool=pool,
            storage=ports.storage,
            network=spec.network,
            progress=ports.progress,
            stop=ports.stop,
        )
        ports.progress.phase("downloading", items=len(decision.plan.transfers), size=decision.plan.transfer_size)
        downloads = list(downloader.download(decision.plan.transfers))
        return _publish(spec, ports, decision, downloads, allow_shrink=allow_shrink)


def _publish(
    spec: Spec, ports: Ports, decision: Decision, downloads: list[Download], *, allow_shrink: bool
) -> SyncReport:
    fetched = {(d.file.project, d.file.filename): d.stored for d in downloads if d.stored is not None}
    failures = [
        Failure(project=d.file.project, what=d.file.filename, problem=d.problem or "")
        for d in downloads
        if d.stored is None
    ]
    snapshot = make_snapshot(decision.plan, decision.held, fetched, decision.previous)
    difference = diff_snapshots(decision.previous, snapshot)
    if not allow_shrink:
        check_shrink(decision.previous, difference.removed)
    history = History(ports.storage)
    ports.progress.phase("publishing", items=0)
    ports.storage.sync()  # the files and their folders, before any page names them
    number = history.record(snapshot)
    published = publish(snapshot, ports.storage)
    history.publish(number)
    for cache, project, page in decision.pages:
        cache.save(project, page)
    _sweep_partials(ports, [download.file for download in downloads if download.stored is None])
    return make_sync_report(
        output=str(spec.output),
        snapshot=snapshot,
        difference=difference,
        plan=decision.plan,
        downloaded=[stored.size for stored in fetched.values()],
        pages_written=published.written + published.removed,
        excluded=count_excluded(decision.selections),
        failures=[*decision.plan.failures, *failures],
    )


def _sweep_partials(ports: Ports, failed: list[WantedFile]) -> None:
    """Removes what was left of downloads, but for those that the next run goes on with."""
    useful = {partial_name(file) for file in failed}
    if not useful:
        ports.storage.remove_folder(PARTIAL)
    for name in ports.storage.walk(PARTIAL):
        if name.rpartition("/")[2].removesuffix(".json") not in useful:
            ports.storage.remove(name)
