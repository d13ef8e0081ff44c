"""What a published tree can install, read from its pages and the files beside them; nobody is asked.

The page is ``index.html``, as clients read it from a disk, and ``index.v1_json`` where there is no other.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from pymirror.archive import read_sdist_parts, read_wheel_metadata
from pymirror.closure.model import LeftOut, NoNeeds, Option, Options, Pick, Solution
from pymirror.distribution import Distribution, parse_filename
from pymirror.environment import Environment, find_tags, rank_tags, suits_python
from pymirror.errors import IntegrityError, NoMirrorError, PageError, StorageError, UnsafeNameError, printable
from pymirror.layout import HTML_PAGE, JSON_PAGE, METADATA_SUFFIX, SIMPLE, check_filename, is_project, project_folder
from pymirror.metadata import MAX_METADATA_BYTES
from pymirror.needs import Needs, read_sdist_needs, read_wheel_needs
from pymirror.simple.model import File, Hashes, ProjectDetail
from pymirror.simple.parse import parse_project_detail, parse_project_list
from pymirror.spec.model import PackageType
from pymirror.storage.interface import Files, Storage

_BASE = "https://tree.invalid/"  # what the relative links of a page are made absolute with
_INDEX = HTML_PAGE.partition(".")[0]  # the name of the pages, whatever their format and packing
_HTML = "text/html"
_JSON = "application/vnd.pypi.simple.v1+json"
_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+!-]*(?:/[A-Za-z0-9_][A-Za-z0-9._+!-]*)*")
_INSTALLED = (PackageType.BDIST_WHEEL, PackageType.SDIST)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldFile:
    """An entry of a project's page; ``path`` is where it is in the tree, ``None`` where its link leads out of it."""

    file: File
    distribution: Distribution
    version: Version
    path: str | None

    @property
    def filename(self) -> str:
        return self.file.filename

    @property
    def is_sdist(self) -> bool:
        return self.distribution.package_type is PackageType.SDIST


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldProject:
    """A project's page; ``problem`` is why there is none to read."""

    files: tuple[HeldFile, ...] = ()
    problem: str | None = None


class Tree:
    """The pages and files of a tree, each looked at once."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._projects: dict[NormalizedName, HeldProject] = {}
        self._damages: dict[str, str | None] = {}
        self._faults: dict[str, str] = {}
        self._needs: dict[str, Needs | NoNeeds] = {}

    # ── pages ───────────────────────────────────────────────────────────────────────────────────

    def list_projects(self) -> tuple[NormalizedName, ...]:
        """The projects of the list, in order. Raises :class:`NoMirrorError` where there is none that can be read."""
        found = _read_first(self._storage, SIMPLE)
        if found is None:
            raise NoMirrorError(self._storage.location)
        body, content_type = found
        try:
            names = parse_project_list(body, content_type=content_type, url=f"{_BASE}{SIMPLE}/").projects
        except PageError:
            names = ()  # a list without projects, which the parser takes for a server's mistake
        return tuple(sorted({canonicalize_name(name) for name in names}))

    def list_pages(self) -> tuple[NormalizedName, ...]:
        """Every project whose page a client could ask for, listed or not, in order."""
        folders = (name for name in self._storage.list_folder(SIMPLE) if not name.startswith(f"{_INDEX}."))
        return tuple(sorted({name for name in map(canonicalize_name, folders) if is_project(name)}))

    def project(self, name: NormalizedName) -> HeldProject:
        if name not in self._projects:
            self._projects[name] = self._read_project(name)
        return self._projects[name]

    def _read_project(self, name: NormalizedName) -> HeldProject:
        try:
            folder = project_folder(name)
            found = _read_first(self._storage, folder)
        except UnsafeNameError as error:
            return HeldProject(problem=str(error))
        except StorageError as error:
            return HeldProject(problem=f"the page in the tree cannot be read: {error.problem}")
        if found is None:
            return HeldProject(problem="the tree has no page of it")
        body, content_type = found
        try:
            detail = parse_project_detail(body, content_type=content_type, url=f"{_BASE}{folder}/")
        except PageError as error:
            return HeldProject(problem=f"the page in the tree cannot be read: {error.problem}")
        return HeldProject(files=tuple(_understand(name, detail)))

    # ── files ───────────────────────────────────────────────────────────────────────────────────

    def find_damage(self, held: HeldFile) -> str | None:
        """What keeps a client from having the file that its page lists; contents are not read."""
        if held.path is None:
            return "its link leads out of the tree"
        if held.path not in self._damages:
            self._damages[held.path] = self._look_at(held, held.path)
        return self._damages[held.path]

    def _look_at(self, held: HeldFile, path: str) -> str | None:
        try:
            found = self._storage.local_path(path).stat()
        except FileNotFoundError:
            return "it is on its page, but not on the disk"
        except OSError as error:
            return f"it cannot be read: {error.strerror or error}"
        if not stat.S_ISREG(found.st_mode):
            return "it is on its page, but not a file on the disk"
        if held.file.size is not None and found.st_size != held.file.size:
            return f"it has {found.st_size} bytes on the disk, and {held.file.size} by its page"
        return None

    def find_fault(self, held: HeldFile) -> str | None:
        """What makes a client fail that has chosen the file: damage, or metadata that are not what its page promises.

        A client that fails so does not try another file or an older release.
        """
        self.needs(held)
        return self.find_damage(held) or self._faults.get(held.path or "")

    def needs(self, held: HeldFile) -> Needs | NoNeeds:
        """What the file needs by its own metadata: as far as they can be read, where it has a fault."""
        path = held.path or ""
        if held.path is None:
            return Needs(is_known=False)
        if path not in self._needs:
            self._needs[path] = self._read_sdist(held, path) if held.is_sdist else self._read_wheel(held, path)
        return self._needs[path]

    def _read_sdist(self, held: HeldFile, path: str) -> Needs | NoNeeds:
        if self.find_damage(held) is not None:
            return Needs(is_known=False)
        try:
            local = self._storage.local_path(path)
            parts = read_sdist_parts(local, filename=held.filename, project=held.distribution.project)
        except (IntegrityError, StorageError) as error:
            return NoNeeds(problem=f"its metadata cannot be read: {error}", is_error=False)
        return read_sdist_needs(parts.pkg_info, parts.requires_txt, parts.pyproject, parts.setup_cfg)

    def _read_wheel(self, held: HeldFile, path: str) -> Needs:
        promised = held.file.core_metadata
        try:
            data = self._read_promised(path, promised) if promised else None
        except (IntegrityError, StorageError) as error:
            self._faults[path] = str(error)
            data = None
        try:
            if data is None:
                data = read_wheel_metadata(self._storage.local_path(path), filename=held.filename)
        except (IntegrityError, StorageError) as error:
            self._faults.setdefault(path, f"its metadata cannot be read: {error}")
            return Needs(is_known=False)
        return read_wheel_needs(data)

    def _read_promised(self, path: str, promised: bool | Hashes) -> bytes:
        """The metadata beside a wheel. Raises :class:`IntegrityError` where they are not what its page promises."""
        what, found = "the metadata beside it, which its page promises", self._storage.stat(path + METADATA_SUFFIX)
        if found is None or found.size > MAX_METADATA_BYTES:
            limit = f"at most {MAX_METADATA_BYTES} bytes"
            raise IntegrityError(what, expected=limit, actual="none" if found is None else str(found.size))
        data = self._storage.read(path + METADATA_SUFFIX) or b""
        expected = dict(promised).get("sha256") if isinstance(promised, tuple) else None
        actual = hashlib.sha256(data).hexdigest()
        if expected not in (None, actual):
            raise IntegrityError(what, expected=f"sha256 {expected}", actual=actual)
        return data


class TreeFacts:
    """A tree as the :class:`pymirror.closure.model.Facts` of a resolution; every question has its answer at once.

    ``sdists`` are the projects of which the needs of an sdist were asked for.
    """

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.sdists: set[NormalizedName] = set()
        self._options: dict[tuple[NormalizedName, Environment], Options] = {}
        self._files: dict[tuple[NormalizedName, str], HeldFile] = {}

    @property
    def asked(self) -> frozenset[NormalizedName]:
        """Every project that was asked for."""
        return frozenset(project for project, _ in self._options)

    def options(self, project: NormalizedName, environment: Environment) -> Options:
        key = (project, environment)
        if key not in self._options:
            self._options[key] = self._find_options(project, environment)
        return self._options[key]

    def needs(self, option: Option) -> Needs | NoNeeds:
        if option.is_sdist:
            self.sdists.add(option.project)
        return self.tree.needs(self.file_of(option))

    def file_of(self, option: Option) -> HeldFile:
        """The file of an option that :meth:`options` gave."""
        return self._files[option.project, option.filename]

    def list_faults(self, solution: Solution) -> list[tuple[Pick, str]]:
        """The files of a solution that a client would fail on, and why."""
        faults = ((pick, self.tree.find_fault(self.file_of(pick.option))) for pick in solution.picks)
        return [(pick, fault) for pick, fault in faults if fault is not None]

    def _find_options(self, project: NormalizedName, environment: Environment) -> Options:
        page = self.tree.project(project)
        left_out: list[LeftOut] = []
        releases: dict[Version, list[HeldFile]] = {}
        for held in page.files:
            reason = why_unfit(held, environment)
            if reason is None:
                releases.setdefault(held.version, []).append(held)
            else:
                left_out.append(LeftOut(filename=held.filename, version=held.version, reason=reason))
        chosen = [choose_file(releases[version], environment) for version in sorted(releases, reverse=True)]
        self._files |= {(project, held.filename): held for held in chosen}
        return Options(
            options=tuple(_make_option(project, held) for held in chosen),
            left_out=tuple(left_out),
            problem=page.problem,
        )


def choose_file(files: Iterable[HeldFile], environment: Environment) -> HeldFile:
    """The file of one release that an installer takes, by their names and their page: yanked ones last, wheels first,
    the best tag, and the highest build number.
    """
    ranks = rank_tags(environment)

    def order(held: HeldFile) -> tuple[bool, bool, int, tuple[int, str], str]:
        rank = min((ranks[tag] for tag in held.distribution.tags if tag in ranks), default=0)
        return not held.file.yanked, not held.is_sdist, -rank, held.distribution.build or (-1, ""), held.filename

    return max(files, key=order)


def _make_option(project: NormalizedName, held: HeldFile) -> Option:
    return Option(
        project=project,
        version=held.version,
        filename=held.filename,
        is_sdist=held.is_sdist,
        is_yanked=bool(held.file.yanked),
    )


def why_unfit(held: HeldFile, environment: Environment) -> str | None:
    """Why ``environment`` cannot install the file, by its name and by what its page says."""
    if held.distribution.package_type not in _INSTALLED:
        return f"{held.distribution.package_type.value}, which no installer takes"
    is_wheel = not held.is_sdist
    if is_wheel and held.distribution.tags.isdisjoint(find_tags(environment)):
        return "it is for another Python or platform"
    if not suits_python(environment, held.file.requires_python):
        return f"it requires Python {printable(held.file.requires_python or '', limit=100)}"
    return None


# ── pages ───────────────────────────────────────────────────────────────────────────────────────────


def _read_first(storage: Files, folder: str) -> tuple[bytes, str] | None:
    """The page of ``folder`` with its content type."""
    for name, content_type in ((HTML_PAGE, _HTML), (JSON_PAGE, _JSON)):
        body = storage.read(f"{folder}/{name}")
        if body is not None:
            return body, content_type
    return None


def _understand(project: NormalizedName, detail: ProjectDetail) -> Iterator[HeldFile]:
    """The entries that are distributions of ``project``, each file name once."""
    seen: set[str] = set()
    for file in detail.files:
        if file.filename in seen:
            continue
        seen.add(file.filename)
        try:
            distribution = parse_filename(check_filename(file.filename), project)
        except UnsafeNameError:
            continue
        if distribution is not None and distribution.project == project and distribution.version is not None:
            path = _path_of(file.url)
            yield HeldFile(file=file, distribution=distribution, version=distribution.version, path=path)


def _path_of(url: str) -> str | None:
    """Where the file behind a link is in the tree."""
    if not url.startswith(_BASE):
        return None
    path = unquote(url.removeprefix(_BASE).partition("?")[0])
    return path if _PATH.fullmatch(path) else None
