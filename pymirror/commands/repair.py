"""``pymirror verify --repair``: what is damaged is put right, as it was published and as nothing else.

Upstream is asked for the very bytes that the snapshot names. Nothing new comes in, and nothing leaves the pages.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

import msgspec
from packaging.utils import NormalizedName

from pymirror.archive import read_wheel_metadata
from pymirror.commands.ask import Asking, open_asking
from pymirror.commands.obtain import make_downloader
from pymirror.commands.ports import DISK_THREADS, Ports
from pymirror.commands.report import Damage, VerifyReport
from pymirror.commands.verify_files import Progressed, list_files
from pymirror.commands.verify_modes import LINK, mend_mode
from pymirror.commands.verify_tree import Examined, examine, find_snapshot, forget, report_on
from pymirror.distribution import parse_filename
from pymirror.errors import DamagedIndexError, IntegrityError, StorageError
from pymirror.flat import list_flat
from pymirror.history import History
from pymirror.layout import METADATA_SUFFIX, POOL, PROVENANCE_SUFFIX, SIMPLE, TEMPORARY
from pymirror.lock import hold_lock
from pymirror.plan import WantedFile, want_file
from pymirror.pool import Pool, hash_file
from pymirror.provenance import Provenances
from pymirror.publish import publish
from pymirror.publish_documents import publish_documents
from pymirror.selection.model import Chosen
from pymirror.snapshot import Snapshot, SnapshotFile
from pymirror.spec.model import Spec
from pymirror.storage.interface import Storage
from pymirror.upstream import FetchedPage

_NOT_OURS = "pymirror did not put it there, and leaves it; remove it"


def repair(spec: Spec, ports: Ports, *, anew: bool = False) -> VerifyReport:
    """``verify``, and then mends what can be mended; the report tells of what is left, and why.

    Raises what :func:`verify` does, :class:`DamagedIndexError` where it is not known what is published, and
    :class:`ConfigurationError` where upstream cannot be asked.
    """
    storage = ports.storage
    with open_asking(spec, ports) as asking:
        find_snapshot(storage)
        with hold_lock(storage, command="verify"):
            storage.remove_folder(TEMPORARY)
            snapshot = _permit(find_snapshot(storage), spec)
            progressed = Progressed(storage, now=ports.now, write=True, anew=anew)
            found = examine(ports, snapshot, list_files(snapshot), progressed, is_writable=True)
            progressed.finish()
            if not found.damages:
                return report_on(storage, snapshot, found, resumed=progressed.resumed)
            _check_record(storage, found)
            forget(ports, snapshot, found.damages)
            repairing = Repairing(spec, ports, asking)
            snapshot = repairing.mend(snapshot, found.damages)
            left = _examine_again(ports, snapshot, found, repairing.reasons)
            forget(ports, snapshot, left.damages)
    still = {damage.path for damage in left.damages}
    mended = tuple(damage for damage in found.damages if damage.path not in still)
    return report_on(storage, snapshot, left, resumed=progressed.resumed, mended=mended)


def _permit(snapshot: Snapshot, spec: Spec) -> Snapshot:
    """``snapshot`` with the modes that the spec says now, which is what is mended."""
    site = msgspec.structs.replace(snapshot.site, file_mode=spec.site.file_mode, folder_mode=spec.site.folder_mode)
    return msgspec.structs.replace(snapshot, site=site)


def _check_record(storage: Storage, found: Examined) -> None:
    """Where the record is lost, the pages alone tell what they must say: then they must be whole."""
    if History(storage).recent():
        return
    for damage in found.damages:
        if damage.path.startswith(f"{SIMPLE}/") and not damage.problem.startswith(("a foreign", "the mode is")):
            raise DamagedIndexError(damage.path)


def _examine_again(ports: Ports, snapshot: Snapshot, found: Examined, reasons: Mapping[str, str]) -> Examined:
    """What is still wrong, each with the reason; of the pool, only what was damaged is read again."""
    damaged = {damage.path for damage in found.damages}
    files = [file for file in list_files(snapshot) if not damaged.isdisjoint(file.paths)]
    progressed = Progressed(ports.storage, now=ports.now, write=False, anew=True)
    left = examine(ports, snapshot, files, progressed, is_writable=True)
    told = (
        replace(damage, problem=f"{damage.problem}; not mended: {reasons[damage.path]}")
        if damage.path in reasons
        else damage
        for damage in left.damages
    )
    return replace(left, damages=tuple(told))


class Repairing:
    """One repair; ``reasons`` say why a file could not be had, by its path."""

    def __init__(self, spec: Spec, ports: Ports, asking: Asking) -> None:
        self._spec = spec
        self._ports = ports
        self._asking = asking
        self._urls: dict[tuple[str, str], str] = {}
        self.reasons: dict[str, str] = {}

    def mend(self, snapshot: Snapshot, damages: Iterable[Damage]) -> Snapshot:
        """Files first, then what is made from them. The snapshot may come to say that a provenance is another."""
        storage = self._ports.storage
        damaged = {damage.path for damage in damages}
        for path in damaged:
            mend_mode(storage, path, snapshot.site)
        self._mend_files(snapshot, damages)
        for path in damaged:
            if path.endswith(PROVENANCE_SUFFIX):
                self.reasons.setdefault(path, "its object cannot be had")
        snapshot = self._mend_provenance(snapshot)
        for damage in damages:
            if damage.problem.startswith("a foreign"):
                self._remove_foreign(damage.path)
            elif damage.problem == LINK:
                storage.write(damage.path, storage.read_pieces(damage.path))  # by the bytes that it leads to
        storage.sync()
        history = History(storage)
        number = history.record(snapshot)
        self._ports.progress.phase("publishing", items=len(snapshot.projects))
        publish(snapshot, storage)
        self._mend_flat(snapshot)
        publish_documents(snapshot, storage, progress=self._ports.progress, stop=self._ports.stop, threads=DISK_THREADS)
        history.publish(number)
        return snapshot

    # ── files ───────────────────────────────────────────────────────────────────────────────────

    def _mend_files(self, snapshot: Snapshot, damages: Iterable[Damage]) -> None:
        damaged = {damage.path for damage in damages if not damage.problem.startswith("the mode is")}
        to_ask: dict[NormalizedName, list[SnapshotFile]] = defaultdict(list)
        broken = set()
        flat = {file.path: name for name, file in list_flat(snapshot)}
        for project, file in snapshot.files():
            is_broken = file.path in damaged and not self._take_from_flat(file, flat.get(file.path))
            if not is_broken and file.path + METADATA_SUFFIX in damaged:
                is_broken = not self._mend_metadata(file)
            if is_broken:
                broken.add(file.path)
            if is_broken or file.path + PROVENANCE_SUFFIX in damaged:
                to_ask[NormalizedName(project)].append(file)
        self._fetch({file.path: (file, wanted) for file, wanted in self._ask(to_ask) if file.path in broken})

    def _take_from_flat(self, file: SnapshotFile, name: str | None) -> bool:
        """Puts ``file`` back from ``name``, where that is still what it was."""
        storage = self._ports.storage
        if name is None or storage.stat(name) is None:
            return False
        try:
            if hash_file(storage.local_path(name)) != (file.sha256, file.blake2b):
                return False
        except StorageError:
            return False
        storage.link(name, file.path)
        return True

    def _mend_flat(self, snapshot: Snapshot) -> None:
        """Makes the folder of all files name those of the pool; what is lost there may still be good here."""
        storage = self._ports.storage
        for name, file in list_flat(snapshot):
            stat = storage.stat(file.path)
            if stat is not None and stat != storage.stat(name):
                storage.link(file.path, name)

    def _mend_metadata(self, file: SnapshotFile) -> bool:
        """Takes the metadata out of the wheel again; ``False`` where they are not those that were published."""
        storage = self._ports.storage
        try:
            data = read_wheel_metadata(storage.local_path(file.path), filename=file.filename)
        except IntegrityError:
            return False
        if data is None or hashlib.sha256(data).hexdigest() != file.metadata_sha256:
            return False
        storage.write(file.path + METADATA_SUFFIX, data)
        return True

    def _ask(self, files: Mapping[NormalizedName, list[SnapshotFile]]) -> list[tuple[SnapshotFile, WantedFile]]:
        """Each of ``files`` as upstream has it now, where it is the same."""
        routes = {}
        for project, missing in files.items():
            upstream = self._asking.find_upstream(project)
            if upstream is not None:
                routes[project] = upstream
            else:
                self._give_up(missing, "no upstream of the spec has its project")
        found = []
        self._ports.progress.phase("reading pages", items=len(routes))
        for project, _, page in self._asking.fetch_pages(routes):
            self._ports.progress.item()
            if not isinstance(page, FetchedPage):
                self._give_up(files[project], page.problem)
                continue
            for file in files[project]:
                wanted = self._find(project, file, page)
                if isinstance(wanted, WantedFile):
                    found.append((file, wanted))
                else:
                    self._give_up([file], wanted)
        return found

    def _find(self, project: NormalizedName, file: SnapshotFile, page: FetchedPage) -> WantedFile | str:
        """The file of the page that is the published one; or why there is none."""
        same = [each for each in page.detail.files if each.filename == file.filename]
        before = dict(file.other_hashes) | {"sha256": file.sha256}
        fitting = [each for each in same if all(before.get(name, digest) == digest for name, digest in each.hashes)]
        safe = [each for each in fitting if _is_safe(each.url, page.url)]
        if not safe:
            return (
                "upstream lists it no more"
                if not same
                else "upstream has other bytes under its name now"
                if not fitting
                else "upstream's link to it is not one that may be followed"
            )
        distribution = parse_filename(file.filename, project)
        if distribution is None or distribution.version is None:
            return "its name cannot be read"
        chosen = Chosen(file=safe[0], distribution=distribution, version=distribution.version, origins=())
        wanted = want_file(project, chosen)
        if wanted.provenance is not None and file.provenance_sha256 is not None:
            self._urls[project, file.filename] = wanted.provenance
        return replace(wanted, sha256=file.sha256, hashes=(("sha256", file.sha256),), size=file.size)

    def _fetch(self, files: Mapping[str, tuple[SnapshotFile, WantedFile]]) -> None:
        wanted = list(files.values())
        storage = self._ports.storage
        pool = Pool(storage)
        pool.load(progress=self._ports.progress, stop=self._ports.stop, threads=DISK_THREADS, write=True)
        downloader = make_downloader(self._spec, self._ports, self._asking, pool, storage)
        size = sum(file.size for file, _ in wanted)
        self._ports.progress.phase("downloading", items=len(wanted), size=size)
        downloads = downloader.download(tuple(want for _, want in wanted))
        for (file, _), download in zip(wanted, downloads, strict=True):
            if download.stored is None:
                self._give_up([file], download.problem or "it cannot be had")

    def _give_up(self, files: Iterable[SnapshotFile], why: str) -> None:
        for file in files:
            for path in file.paths:
                self.reasons.setdefault(path, why)

    def _mend_provenance(self, snapshot: Snapshot) -> Snapshot:
        """Those that ``forget`` removed, fetched again."""
        provenances = Provenances(
            transport=self._asking.transport,
            storage=self._ports.storage,
            network=self._spec.network,
            progress=self._ports.progress,
            stop=self._ports.stop,
        )
        return provenances.add(snapshot, snapshot, self._urls)

    # ── the rest ────────────────────────────────────────────────────────────────────────────────

    def _remove_foreign(self, path: str) -> None:
        """What stands among the pages gives way; in the pool, only what has the form of a file is ours to delete."""
        if path.startswith(f"{POOL}/"):
            self.reasons[path] = _NOT_OURS
        else:
            self._ports.storage.remove(path)


def _is_safe(url: str, page_url: str) -> bool:
    """Promise 8: only http(s) is asked, and what was read over https is not had over http."""
    scheme = url.partition("://")[0].lower()
    return scheme == "https" or (scheme == "http" and page_url.startswith("http://"))
