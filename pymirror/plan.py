"""What is wanted, less what the pool holds → what must be fetched; and, once that is done, the next snapshot.

Both steps are values in, values out: ``plan`` prints the first, ``sync`` carries it out and then takes the second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from packaging.utils import canonicalize_name, canonicalize_version
from packaging.version import Version

from pymirror.selection.model import Chosen, LockHashes, Refused, Selection
from pymirror.simple.model import File, Hashes
from pymirror.snapshot import Snapshot, SnapshotFile, SnapshotProject
from pymirror.spec.model import DEFAULT_SITE, ReleaseRule, Site

_LOST = "it was published, is gone or damaged in the pool, and cannot be fetched again now"


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedFile:
    """A file that the next snapshot must hold, as upstream describes it.

    ``lock_hashes`` are those that lock files allow, where upstream gives none that they could be compared with: the
    file must have one of each set. ``other_hashes`` are upstream's, where it gives no sha256. One that ``is_refused``
    is never had, and holds its release back. ``probable_size`` is to plan with where the page tells none; a file that
    then turns out larger than ``max_size`` is left out. ``provenance`` is the URL of its provenance object (PEP 740).
    """

    project: str
    filename: str
    version: str
    url: str
    hashes: Hashes
    sha256: str | None
    size: int | None
    upload_time: datetime | None
    requires_python: str | None
    yanked: bool | str
    upstream_metadata_sha256: str | None = None
    lock_hashes: frozenset[LockHashes] = frozenset()
    other_hashes: Hashes = ()
    is_refused: bool = False
    probable_size: int | None = None
    max_size: int | None = None
    provenance: str | None = None

    @property
    def expected_size(self) -> int | None:
        """Bytes, as far as they are known before the file is there."""
        return self.size if self.size is not None else self.probable_size


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolFile:
    """A verified file of the pool."""

    filename: str
    sha256: str
    blake2b: str
    size: int
    metadata_sha256: str | None


PoolKey = tuple[str, str]
"""(sha256, file name): what makes a wanted file the same as one in the pool."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Failure:
    """Something wanted that could not be had. ``what`` is a project, a file, or a line of the spec."""

    project: str
    what: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectPlan:
    """One project of the next snapshot: from upstream's page, or, where that failed, as it was."""

    name: str
    status: str
    status_reason: str | None
    files: tuple[WantedFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run will do. Bytes of files whose size upstream does not say are not in ``transfer_size``."""

    projects: tuple[ProjectPlan, ...]
    transfers: tuple[WantedFile, ...]
    removed: tuple[tuple[str, str], ...]
    failures: tuple[Failure, ...]
    reused: int
    transfer_size: int
    unknown_sizes: int


def plan_projects(
    selections: Iterable[Selection],
    failures: Sequence[Failure],
    previous: Snapshot,
    excludes: Sequence[ReleaseRule] = (),
    aside: Iterable[tuple[str, SnapshotFile]] = (),
    unreached: Iterable[str] = (),
) -> tuple[tuple[ProjectPlan, ...], tuple[Failure, ...]]:
    """The projects of the next snapshot, and ``failures`` with what was found on the way.

    A project named in ``failures`` or ``unreached`` stays as it is in ``previous``, but for what ``excludes`` name:
    they always win. ``aside`` are (project, file) that were published, and must not come back with other bytes.
    """
    withdrawn = {(project, file.filename): file for project, file in aside}
    before = {project.name: project for project in previous.projects}
    found = list(failures)
    stay = sorted({*unreached, *(failure.project for failure in failures)})
    projects = [_keep(before[name], excludes) for name in stay if name in before]
    for selection in selections:
        projects.append(_plan_project(selection, before.get(selection.project), withdrawn, found))
        found += [
            Failure(project=selection.project, what=f"{unmet.origin.text} ({unmet.origin})", problem=unmet.problem)
            for unmet in selection.unmet
        ]
    return tuple(sorted(projects, key=lambda project: project.name)), tuple(found)


def list_published(snapshot: Snapshot) -> list[WantedFile]:
    """The files of ``snapshot`` as wanted ones: what a release that fails falls back to."""
    return [_rewant(project, file) for project, file in snapshot.files()]


def make_plan(
    projects: tuple[ProjectPlan, ...],
    failures: Sequence[Failure],
    previous: Snapshot,
    held: Mapping[PoolKey, PoolFile],
) -> Plan:
    """What of ``projects`` must be fetched, and what leaves the index."""
    wanted = [file for project in projects for file in project.files]
    missing = [file for file in wanted if not file.is_refused and (file.sha256 or "", file.filename) not in held]
    # A release that is held back is not fetched either, but for what of it is published and was lost.
    held_back = {(file.project, canonicalize_version(file.version)) for file in wanted if file.is_refused}
    published = {(project, file.filename) for project, file in previous.files()}
    transfers = tuple(
        file
        for file in missing
        if file.url
        and (
            (file.project, canonicalize_version(file.version)) not in held_back
            or (file.project, file.filename) in published
        )
    )
    lost = [Failure(project=file.project, what=file.filename, problem=_LOST) for file in missing if not file.url]
    names = {(file.project, file.filename) for file in wanted}
    return Plan(
        projects=projects,
        transfers=transfers,
        removed=tuple(sorted((p, f.filename) for p, f in previous.files() if (p, f.filename) not in names)),
        failures=tuple(sorted([*failures, *lost])),
        reused=sum(1 for file in wanted if not file.is_refused) - len(missing),
        transfer_size=sum(file.expected_size or 0 for file in transfers),
        unknown_sizes=sum(1 for file in transfers if file.expected_size is None),
    )


def make_snapshot(
    plan: Plan,
    held: Mapping[PoolKey, PoolFile],
    fetched: Mapping[tuple[str, str], PoolFile],
    previous: Snapshot,
    *,
    site: Site = DEFAULT_SITE,
    explain: Callable[[SnapshotProject], SnapshotProject] = lambda project: project,
    may_stay: Callable[[str, SnapshotFile], bool] = lambda _project, _file: False,
) -> Snapshot:
    """The snapshot that can be published now: every file in it is in the pool.

    ``fetched`` maps (project, file name) to what was downloaded. A release of which a wanted file is missing stays as
    it was in ``previous`` (promise 3), and so do those files of its project that ``may_stay``: nothing good goes before
    what takes its place is there (promise 7). ``explain`` adds what a project is wanted by.
    """
    before = {project.name: project for project in previous.projects}
    projects = []
    for project in plan.projects:
        old = before.get(project.name)
        files: list[SnapshotFile] = []
        is_whole = True
        for version, wanted in _releases(project.files):
            release = [_settle(file, held, fetched) for file in wanted]
            if all(file is not None for file in release):
                files += [file for file in release if file is not None]
                continue
            is_whole = False
            if old is not None:
                stays = (f for f in old.files if canonicalize_version(f.version) == version)
                files += [f for f in stays if (f.sha256, f.filename) in held]
        if old is not None and not is_whole:
            names = {f.filename for f in files} | {wanted.filename for wanted in project.files}
            files += [f for f in old.files if f.filename not in names and may_stay(project.name, f)]
            files.sort(key=lambda file: (Version(file.version), file.filename))
        if files:
            published = SnapshotProject(
                name=project.name, files=tuple(files), status=project.status, status_reason=project.status_reason
            )
            projects.append(explain(published))
    return Snapshot(projects=tuple(projects), site=site)


def _plan_project(
    selection: Selection,
    old: SnapshotProject | None,
    withdrawn: Mapping[tuple[str, str], SnapshotFile],
    failures: list[Failure],
) -> ProjectPlan:
    published = {file.filename: file for file in old.files} if old else {}
    files = []
    for chosen in selection.chosen:
        file = want_file(selection.project, chosen)
        known = published.get(file.filename)
        was = known or withdrawn.get((selection.project, file.filename))
        change = _find_change(was, file) if was is not None else None
        if change is not None:
            # Promise 7: published files are immutable, whatever upstream says now, and though it hid one for a while.
            fate = "the old one is kept" if known is not None else "it was withdrawn, and comes back as another"
            problem = f"upstream changed the file: {change}; {fate}"
            failures.append(Failure(project=selection.project, what=file.filename, problem=problem))
            file = _rewant(selection.project, known) if known is not None else replace(file, url="", is_refused=True)
        elif was is not None and file.sha256 is None:
            # What was published is what is meant, and what it is fetched again by.
            file = replace(file, sha256=was.sha256, hashes=(("sha256", was.sha256),), size=was.size)
        files.append(file)
    for refused in selection.refused:
        problem = f"refused: {refused.reason.label}: {refused.detail}"
        failures.append(Failure(project=selection.project, what=refused.filename, problem=problem))
        known = published.get(refused.filename)
        files.append(_rewant(selection.project, known) if known is not None else _hold_back(selection.project, refused))
    files.sort(key=lambda file: (Version(file.version), file.filename))
    return ProjectPlan(
        name=selection.project,
        status=selection.status,
        status_reason=selection.status_reason,
        files=tuple(files),
    )


def _hold_back(project: str, refused: Refused) -> WantedFile:
    """The place of a refused file in its release."""
    return WantedFile(
        project=project,
        filename=refused.filename,
        version=str(refused.version),
        url="",
        hashes=(),
        sha256=None,
        size=None,
        upload_time=None,
        requires_python=None,
        yanked=False,
        is_refused=True,
    )


def _find_change(known: SnapshotFile, file: WantedFile) -> str | None:
    """How upstream contradicts what is published; ``None`` where it does not."""
    before = {**dict(known.other_hashes), "sha256": known.sha256}
    for name, digest in file.hashes:
        if before.get(name, digest) != digest:
            return f"{name} was {before[name]}, is {digest}"
    if file.sha256 is None and file.size not in (None, known.size):
        return f"it had {known.size} bytes, has {file.size}"
    return None


def _keep(project: SnapshotProject, excludes: Sequence[ReleaseRule]) -> ProjectPlan:
    rules = [rule for rule in excludes if rule.matches_project(canonicalize_name(project.name))]
    return ProjectPlan(
        name=project.name,
        status=project.status,
        status_reason=project.status_reason,
        files=tuple(
            _rewant(project.name, file)
            for file in project.files
            if not any(rule.matches(file.filename, Version(file.version)) for rule in rules)
        ),
    )


def want_file(project: str, chosen: Chosen) -> WantedFile:
    """``chosen`` as a file to fetch."""
    file = chosen.file
    metadata = dict(file.core_metadata) if isinstance(file.core_metadata, tuple) else {}
    return WantedFile(
        project=project,
        filename=file.filename,
        version=str(chosen.version),
        url=file.url,
        hashes=file.hashes,
        sha256=file.sha256,
        size=file.size,
        upload_time=file.upload_time,
        requires_python=file.requires_python,
        yanked=file.yanked,
        upstream_metadata_sha256=metadata.get("sha256"),
        lock_hashes=chosen.lock_hashes,
        other_hashes=() if file.sha256 else file.hashes,
        probable_size=file.probable_size,
        max_size=chosen.max_size,
        provenance=_find_provenance(file),
    )


def _find_provenance(file: File) -> str | None:
    """Where the file's provenance object is; a link from https to anything else is not followed."""
    url = file.provenance or ""
    scheme = url.partition("://")[0].lower()
    return url if scheme == "https" or (scheme == "http" and file.url.startswith("http://")) else None


def _rewant(project: str, file: SnapshotFile) -> WantedFile:
    """A published file that must stay as it is; it has no URL, so it cannot be fetched again."""
    return WantedFile(
        project=project,
        filename=file.filename,
        version=file.version,
        url="",
        hashes=(("sha256", file.sha256),),
        sha256=file.sha256,
        size=file.size,
        upload_time=file.upload_time,
        requires_python=file.requires_python,
        yanked=file.yanked,
        other_hashes=file.other_hashes,
    )


def _settle(
    file: WantedFile, held: Mapping[PoolKey, PoolFile], fetched: Mapping[tuple[str, str], PoolFile]
) -> SnapshotFile | None:
    stored = fetched.get((file.project, file.filename)) or held.get((file.sha256 or "", file.filename))
    if stored is None:
        return None
    return SnapshotFile(
        filename=file.filename,
        version=file.version,
        sha256=stored.sha256,
        blake2b=stored.blake2b,
        size=stored.size,
        upload_time=file.upload_time,
        requires_python=file.requires_python,
        yanked=file.yanked,
        metadata_sha256=stored.metadata_sha256,
        other_hashes=file.other_hashes,
    )


def _releases(files: Sequence[WantedFile]) -> list[tuple[str, list[WantedFile]]]:
    """The files of each release, which is one however its version is spelt: 1.0 is 1.0.0 (PEP 440)."""
    releases: dict[str, list[WantedFile]] = {}
    for file in files:
        releases.setdefault(canonicalize_version(file.version), []).append(file)
    return list(releases.items())
