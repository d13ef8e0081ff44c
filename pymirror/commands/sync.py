"""``pymirror sync``: makes the tree hold what the spec says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from pymirror.commands.ask import Asking, open_asking
from pymirror.commands.closed import NoDependencies
from pymirror.commands.decide import (
    Batch,
    Decision,
    conclude,
    load_previous,
    make_dependencies,
    read_batches,
    save_pages,
)
from pymirror.commands.obtain import PoolObtain, make_downloader
from pymirror.commands.ports import DISK_THREADS, Ports
from pymirror.commands.report import SyncReport, list_left_out
from pymirror.commands.sizes import Page
from pymirror.commands.tally import Tally
from pymirror.download import Download, Downloader, partial_name
from pymirror.errors import ClockError, ForeignFolderError
from pymirror.flat import publish_flat
from pymirror.history import History
from pymirror.layout import CURRENT, PARTIAL, TEMPORARY
from pymirror.limits import check_planned_size, check_published_size, find_batch_size
from pymirror.lock import hold_lock
from pymirror.plan import WantedFile, make_snapshot
from pymirror.pool import Pool
from pymirror.provenance import Provenances
from pymirror.publish import publish
from pymirror.publish_documents import publish_documents
from pymirror.quarantine import Quarantine
from pymirror.selection.model import Reason
from pymirror.selection.wants import Demands
from pymirror.settled import Settled, Settling, Verdict, judge
from pymirror.snapshot import Snapshot, SnapshotProject
from pymirror.spec.model import Spec
from pymirror.stored_snapshot import SnapshotDraft

if TYPE_CHECKING:
    from pymirror.commands.dependencies import Dependencies

_CLOCK_SLACK = timedelta(days=1)


def sync(spec: Spec, ports: Ports, *, allow_shrink: bool) -> SyncReport:
    """Spec → pages → selections → plan → downloads → snapshot → publication → report.

    Raises :class:`ConfigurationError` and :class:`ForeignFolderError` before anything is touched, then
    :class:`LockedError`, :class:`ShrinkError`, :class:`StorageError`; every other failure is in the report.
    """
    with open_asking(spec, ports, stop=ports.stop.within(spec.stop_after_seconds)) as asking:
        if (foreign := History(ports.storage).find_foreign(spec.site)) is not None:
            raise ForeignFolderError(ports.storage.location, foreign)
        with hold_lock(ports.storage, command="sync"):
            return _sync(spec, ports, asking, allow_shrink=allow_shrink)


def _sync(spec: Spec, ports: Ports, asking: Asking, *, allow_shrink: bool) -> SyncReport:
    ports.storage.remove_folder(TEMPORARY)
    pool = Pool(ports.storage)
    previous = load_previous(ports, pool, write=True)
    run = _Run(spec, ports, asking, pool, make_downloader(spec, ports, asking, pool, ports.storage))
    tally = Tally(previous, spec, allow_shrink=allow_shrink)
    size = find_batch_size(spec)
    settled = Settled(ports.storage, previous, "" if size is None else ports.fingerprint, ports.now)
    aside = frozenset(held.project for held in Quarantine(ports.storage).load())
    settling = Settling(settled=settled, pool=pool, aside=aside)
    with SnapshotDraft(ports.storage, previous) as draft:
        for batch in read_batches(spec, ports, asking, previous, size=size, settling=settling):
            tally.add_settled(batch.settled)
            decided = [*settling.stamp(run.carry_out(batch, tally)), *batch.settled]
            for project, verdict in sorted(decided, key=lambda item: item[0].name):
                draft.add(project)
                settled.add(verdict)
        snapshot = draft.finish(spec.site)
    run.provenances.tell_rest()
    written = _publish(spec, ports, snapshot, previous, tally)
    save_pages(run.went_back)
    settled.save(snapshot, is_due=asking.has_saved or snapshot is not previous)
    asking.remember_lists()
    ports.storage.remove_folder(TEMPORARY)
    return tally.report(pages_written=written)


class _Run:
    """Carries out what is decided on some projects: all but their pages."""

    def __init__(self, spec: Spec, ports: Ports, asking: Asking, pool: Pool, downloader: Downloader) -> None:
        self._spec = spec
        self._ports = ports
        self._asking = asking
        self._pool = pool
        self._downloader = downloader
        self._demands = Demands(spec, now=ports.now)
        self.went_back: list[Page] = []
        self.provenances = Provenances(
            transport=asking.transport,
            storage=ports.storage,
            network=spec.network,
            progress=ports.progress,
            stop=ports.stop,
        )

    def carry_out(self, batch: Batch, tally: Tally) -> list[tuple[SnapshotProject, Verdict]]:
        """Decides, downloads, and says what can be published of the projects of ``batch``, and whether that is all."""
        obtain = PoolObtain(self._downloader, self._ports.storage)
        dependencies = make_dependencies(
            self._spec, self._ports, self._asking, batch, self._pool, obtain=obtain, write=True
        )
        first = decision = self._conclude(batch, dependencies)
        downloads: dict[tuple[str, str], Download] = {}
        while True:
            tally.foresee(decision)
            if not tally.allows_shrink:
                _check_clock(self._ports, decision)
            new = self._fetch(decision, downloads)
            too_large = {(d.file.project, d.file.filename): d.told_size for d in new if d.told_size is not None}
            is_learned = decision.dependencies.learn(new)
            if not too_large and not is_learned:
                break
            # Nobody told this before, their sizes or what they need: it is decided again, as if it had been told.
            batch.found.learn(too_large)
            decision = self._conclude(batch, dependencies)
        early = obtain.list_wanted(decision.plan.projects)
        downloads |= early
        snapshot = self._settle(decision, downloads)
        self._ports.storage.sync()  # and no list of what is to be synced grows with the mirror
        tally.add(decision, snapshot, downloads, reused=first.plan.reused - len(early))
        batch.found.remember()
        self.went_back += batch.found.list_went_back()
        return list(self._judge(decision, snapshot, downloads))

    def _judge(
        self, decision: Decision, snapshot: Snapshot, downloads: Mapping[tuple[str, str], Download]
    ) -> Iterator[tuple[SnapshotProject, Verdict]]:
        """Each project of ``snapshot``, and whether it would come out the same again."""
        pages = {
            page.wants.project: page.fetched.to_remember for page in decision.found.pages if page.index is not None
        }
        open_ends = {failure.project for failure in decision.plan.failures}
        open_ends |= {project for (project, _), download in downloads.items() if download.stored is None}
        selections = {selection.project: selection for selection in decision.selections}
        before = {project.name: project for project in decision.previous.projects}
        for project in snapshot.projects:
            selection = selections.get(NormalizedName(project.name))
            verdict = Verdict()
            if selection is not None and project.name not in open_ends:
                verdict = judge(
                    selection,
                    self._demands.of(selection.project),
                    pages.get(selection.project),
                    project,
                    before.get(project.name),
                    wants_provenance=self._spec.provenance,
                )
                if selection.excluded and verdict.is_settled:
                    told = list_left_out([selection], self._spec.on_upstream_removal)
                    verdict = replace(verdict, told=msgspec.msgpack.encode(told))
            yield project, verdict

    def _conclude(self, batch: Batch, dependencies: Dependencies | NoDependencies) -> Decision:
        return conclude(
            self._spec,
            self._ports,
            self._asking,
            batch.previous,
            batch.found,
            pool=self._pool,
            write=True,
            dependencies=dependencies,
        )

    def _fetch(self, decision: Decision, downloads: dict[tuple[str, str], Download]) -> list[Download]:
        """Fetches what was not tried yet into ``downloads``, and stops where the mirror would grow beyond its limit."""
        spec, progress = self._spec, self._ports.progress
        room = check_planned_size(decision.plan.projects, spec.max_total_size, decision.held)
        transfers = tuple(f for f in decision.plan.transfers if (f.project, f.filename) not in downloads)
        progress.phase("downloading", items=len(transfers), size=sum(file.expected_size or 0 for file in transfers))
        fetched: dict[tuple[str, str], int] = {}
        with contextlib.closing(self._downloader.download(transfers)) as arriving:
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

    def _settle(self, decision: Decision, downloads: Mapping[tuple[str, str], Download]) -> Snapshot:
        """What of ``decision`` can be published now that all was tried."""
        superseded = set(_list_superseded(decision, self._demands))
        before = {project.name: project for project in decision.previous.projects}

        def explain(project: SnapshotProject) -> SnapshotProject:
            old = before.get(project.name)
            if old is None or project.name not in decision.found.unreached:
                from pymirror.roots import explain_project  # late, since most runs decide on nothing

                return explain_project(project, self._demands, decision.closed.needs)
            versions = {file.version for file in project.files}
            needed = tuple(each for each in old.needed if each.version in versions)
            return msgspec.structs.replace(project, wanted_by=old.wanted_by, needed=needed)

        snapshot = make_snapshot(
            decision.plan,
            decision.held,
            {key: d.stored for key, d in downloads.items() if d.stored is not None},
            decision.previous,
            site=self._spec.site,
            explain=explain,
            may_stay=lambda project, file: (project, file.filename) in superseded,
        )
        return self._add_provenance(decision, snapshot)

    def _add_provenance(self, decision: Decision, snapshot: Snapshot) -> Snapshot:
        files = (file for project in decision.plan.projects for file in project.files)
        urls = {(file.project, file.filename): file.provenance for file in files if file.provenance is not None}
        return self.provenances.add(snapshot, decision.previous, urls if self._spec.provenance else {})


def _publish(spec: Spec, ports: Ports, snapshot: Snapshot, previous: Snapshot, tally: Tally) -> int:
    """Records and publishes ``snapshot``; how many pages were written or removed."""
    check_published_size(snapshot, spec.max_total_size)
    quarantine = Quarantine(ports.storage)
    quarantine.add(tally.set_aside, quarantined=tally.quarantined, now=ports.now)
    ports.storage.sync()  # the files and their folders, before any page names them
    history = History(ports.storage)
    number = history.record(snapshot)
    written = _write_pages(ports, snapshot, previous)
    history.publish(number)
    quarantine.release(snapshot.files())
    if not tally.unfinished:  # else there may be some that this run did not come to
        _sweep_partials(ports, tally.failed)
    return written


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


def _write_pages(ports: Ports, snapshot: Snapshot, previous: Snapshot) -> int:
    """Publishes ``snapshot``, what installers read first; how many files were written or removed."""
    ports.progress.phase("publishing", items=len(snapshot.projects))
    pages = publish(snapshot, ports.storage, previous)
    links = publish_flat(snapshot, previous, ports.storage)
    documents = publish_documents(
        snapshot, ports.storage, progress=ports.progress, stop=ports.stop, threads=DISK_THREADS
    )
    return links + sum(each.written + each.removed for each in (pages, documents))


def _sweep_partials(ports: Ports, failed: list[WantedFile]) -> None:
    """Removes what was left of downloads, but for those that the next run goes on with."""
    useful = {partial_name(file) for file in failed}
    if not useful:
        ports.storage.remove_folder(PARTIAL)
    for name in ports.storage.walk(PARTIAL):
        if name.rpartition("/")[2].removesuffix(".json") not in useful:
            ports.storage.remove(name)
