"""The spec as frozen values; every rule knows the file and line it came from.

Most are structs, since a dataclass takes forty times as long to be made when the module is read.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from pymirror.environment import Environment
from pymirror.spec.units import DEFAULT_MAX_REMOVAL, MaxRemoval


class PackageType(enum.StrEnum):
    """What a file is, in the words of PyPI's ``packagetype``.

    An index takes only wheels and sdists today (PEP 527, PEP 715); files of the other types remain from before.
    """

    BDIST_WHEEL = "bdist_wheel"
    SDIST = "sdist"
    BDIST_EGG = "bdist_egg"
    BDIST_WININST = "bdist_wininst"
    BDIST_MSI = "bdist_msi"
    BDIST_RPM = "bdist_rpm"
    BDIST_DUMB = "bdist_dumb"
    BDIST_DMG = "bdist_dmg"


class YankedPolicy(enum.StrEnum):
    """Which yanked files (PEP 592) are kept."""

    PINNED = "pinned"  # those that an exact pin names, as an installer would
    INCLUDE = "include"
    EXCLUDE = "exclude"


class SdistPolicy(enum.StrEnum):
    """Which sdists are kept, where the package types have them at all."""

    ALL = "all"
    FALLBACK = "fallback"  # those of releases that have no wheel for one of the environments


class DependencyPolicy(enum.StrEnum):
    """Of which releases everything that they need is wanted too."""

    NONE = "none"
    NEWEST = "newest"  # of the newest of each environment
    EVERY = "every"  # of every release that is kept


class RemovalPolicy(enum.StrEnum):
    """What becomes of a published file that upstream lists no more."""

    QUARANTINE = "quarantine"  # off the pages at once, deleted by ``prune`` after QUARANTINE_DAYS
    KEEP = "keep"
    DROP = "drop"


class ReleaseLine(enum.StrEnum):
    """What releases have in common that make up a line."""

    MAJOR = "major"
    MINOR = "minor"


QUARANTINE_DAYS = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a rule stands: ``mirror.yaml:12`` and, for messages, its key or text.

    ``parent`` is what named the file that it stands in: the line of ``lockfiles`` or ``include``, or of a ``-r``.
    """

    file: str
    line: int | None
    text: str
    parent: Origin | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"

    def __lt__(self, other: Origin) -> bool:
        return (self.file, self.line or 0, self.text) < (other.file, other.line or 0, other.text)


class KeepLatest(msgspec.Struct, frozen=True, kw_only=True):
    """How many releases are kept: the newest ``count`` of all, or of each release line (``1.2`` of ``1.2.3``)."""

    count: int
    per: ReleaseLine | None = None


class Cutoff(msgspec.Struct, frozen=True, kw_only=True):
    """A moment, or an age that becomes one when a run begins: a cooldown."""

    text: str
    moment: datetime | None = None
    age_seconds: float = 0.0

    def at(self, now: datetime) -> datetime:
        """The moment, for a run that begins ``now`` (aware UTC)."""
        if self.moment is not None:
            return self.moment
        try:
            return now - timedelta(seconds=self.age_seconds)
        except OverflowError:
            return datetime.min.replace(tzinfo=UTC)


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """Which files of the wanted releases are kept: the top-level keys of the spec, or a project's own.

    ``environments`` is ``None`` where every wheel is kept. ``dependencies`` is the one key that adds: everything that
    the kept releases need, and with ``build_dependencies`` what it takes to build the sdists among that. ``origins``
    are (key, where it was given) of those keys that were.
    """

    package_types: frozenset[PackageType] = frozenset({PackageType.BDIST_WHEEL, PackageType.SDIST})
    prereleases: bool = False
    yanked: YankedPolicy = YankedPolicy.PINNED
    sdists: SdistPolicy = SdistPolicy.ALL
    environments: tuple[Environment, ...] | None = None
    keep_latest: KeepLatest | None = None
    exclude_newer: Cutoff | None = None
    exclude_older: Cutoff | None = None
    max_file_size: int | None = None
    dependencies: DependencyPolicy = DependencyPolicy.NONE
    build_dependencies: bool = True
    origins: tuple[tuple[str, Origin], ...] = ()

    def origin_of(self, key: str) -> Origin | None:
        """Where ``key`` was given; ``None`` where it has its default."""
        return next((origin for name, origin in self.origins if name == key), None)

    def without_times(self) -> Filters:
        """The same for a file of which nothing is known but its name."""
        return msgspec.structs.replace(self, exclude_newer=None, exclude_older=None)


class ProjectRule(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of ``projects``: keep the files of one project that meet all of this.

    ``pattern`` is a normalized name, or a glob over those that upstream lists. ``files`` are globs over file names,
    one of which a file must match; none means every file.
    """

    pattern: str
    specifier: SpecifierSet
    filters: Filters
    origin: Origin
    extras: frozenset[str] = frozenset()
    marker: str | None = None
    files: tuple[str, ...] = ()

    @property
    def is_glob(self) -> bool:
        return is_glob(self.pattern)

    @property
    def is_exact(self) -> bool:
        """Whether the specifier pins one version, which lets installers take a yanked file (PEP 592)."""
        return any(
            clause.operator == "===" or (clause.operator == "==" and not clause.version.endswith(".*"))
            for clause in self.specifier
        )


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of ``groups``: requirements that must be installable together, with everything that they need.

    ``name`` is normalized. Of ``rules``, none is a glob, each has the top-level filters, and one whose marker does not
    hold in an environment asks for nothing there.
    """

    name: str
    rules: tuple[ProjectRule, ...]
    origin: Origin


class FileRule(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of ``files``: one file of a project, or those that a glob names, whatever their version."""

    project: NormalizedName
    pattern: str
    origin: Origin


class LockedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a lock names, and its hashes: (algorithm, lower-case hex digest)."""

    filename: str
    hashes: frozenset[tuple[str, str]]


class Pin(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of a lock file: one version of one project, and the files of it that are allowed.

    ``hashes`` are (algorithm, lower-case hex digest), where the lock names no files; none means every file of the
    version. ``files`` are those that the lock names: then these and no others are meant, whatever their version.
    ``marker`` holds with all of ``marker_extras`` and ``marker_groups``, those of the lock (PEP 751), switched on.
    ``required_by`` are the projects of the same lock that need this one, where the lock says so.
    """

    project: NormalizedName
    specifier: SpecifierSet
    origin: Origin
    hashes: frozenset[tuple[str, str]] = frozenset()
    files: tuple[LockedFile, ...] = ()
    extras: frozenset[str] = frozenset()
    marker: str | None = None
    marker_extras: frozenset[str] = frozenset()
    marker_groups: frozenset[str] = frozenset()
    required_by: tuple[NormalizedName, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unservable:
    """An entry of a lock file that no index can serve: editable, version control, a URL or a local path.

    ``project`` and ``line`` (its text, which may hold a credential) are what ``ignore`` is compared with.
    """

    origin: Origin
    problem: str
    project: NormalizedName | None = None
    line: str = field(default="", repr=False)


class ReleaseRule(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of ``exclude``, ``exclude-from`` or ``allow-newer``: releases, or files of theirs.

    ``pattern`` is a normalized name, or a glob over such names; ``files`` are globs over file names, none means all.
    """

    pattern: str
    specifier: SpecifierSet
    origin: Origin
    files: tuple[str, ...] = ()
    reason: str | None = None

    def matches_project(self, project: NormalizedName) -> bool:
        return fnmatchcase(project, self.pattern)

    def matches(self, filename: str, version: Version) -> bool:
        """Whether a file of a project that matches is meant."""
        return self.specifier.contains(version, prereleases=True) and matches_any(filename, self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """An index to mirror from. ``projects`` are globs over normalized names; none means every project.

    ``credentials`` are a user and a password; a user without one has it in the keyring, or needs none. ``ca_file``,
    ``client_cert`` and ``client_key`` are PEM files for TLS with its host; ``allow_http`` is whether it may do without.
    ``serials`` is whether its list may tell which pages have not changed.
    """

    name: str
    url: str
    projects: tuple[str, ...] = ()
    credentials: tuple[str, str | None] | None = field(default=None, repr=False)
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    allow_http: bool = False
    serials: bool = True

    def claims(self, project: NormalizedName) -> bool:
        return any(fnmatchcase(project, pattern) for pattern in self.projects)

    def claims_all(self, glob: str) -> bool:
        """Whether every project that ``glob`` can match is claimed; a ``*`` of a claim covers those of the glob."""
        return any(fnmatchcase(glob, claim) for claim in self.projects if "?" not in claim or claim == glob)


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of the network; each has a default that suits an ordinary line. ``ca_file`` holds for every host.
    ``max_rate`` is bytes per second, of all connections together.
    """

    connections: int = 32
    connections_per_host: int = 32
    timeout_seconds: float = 30.0
    page_timeout_seconds: float = 300.0
    file_timeout_seconds: float = 1800.0
    retries: int = 5
    max_redirects: int = 10
    max_page_bytes: int = 128 * 1024 * 1024
    max_file_bytes: int = 16 * 1024**3
    max_rate: int | None = None
    ca_file: Path | None = None


class Site(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What of a tree the spec decides beside its files.

    ``public_url`` is where the tree is served from, with its final slash: what links need that must be absolute.
    ``flat`` is whether there is a folder of all files; ``legacy_json`` and ``pages`` whether there are the documents of
    the legacy JSON API and the pages for people. ``file_mode`` and ``folder_mode`` are the permissions of what is
    served; ``None`` is where the spec leaves them to us.
    """

    public_url: str | None = None
    flat: bool = False
    legacy_json: bool = True
    pages: bool = True
    file_mode: int | None = None
    folder_mode: int | None = None


DEFAULT_SITE = Site()


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was asked, with every file that the spec names already read.

    ``filters`` are the top-level ones, which hold for the entries of lock files and of ``files`` too. ``provenance`` is
    whether provenance objects are fetched (PEP 740).
    """

    path: Path
    output: Path
    upstreams: tuple[Upstream, ...]
    rules: tuple[ProjectRule, ...]
    pins: tuple[Pin, ...]
    files: tuple[FileRule, ...]
    unservable: tuple[Unservable, ...]
    excludes: tuple[ReleaseRule, ...]
    allow_newer: tuple[ReleaseRule, ...]
    filters: Filters
    network: Network
    require_hashes: bool
    on_upstream_removal: RemovalPolicy
    max_total_size: int | None = None
    site: Site = DEFAULT_SITE
    provenance: bool = True
    groups: tuple[Group, ...] = ()
    max_removal: MaxRemoval = DEFAULT_MAX_REMOVAL
    allow_http: bool = False
    stop_after_seconds: float | None = None

    @property
    def wants_dependencies(self) -> bool:
        """Whether anything is to be resolved."""
        return bool(self.groups) or any(rule.filters.dependencies is not DependencyPolicy.NONE for rule in self.rules)

    def projects(self) -> tuple[NormalizedName, ...]:
        """Every project that a rule, a pin or a file names, in order of name.

        Those of groups are found as everything is that they need.
        """
        named = {NormalizedName(rule.pattern) for rule in self.rules if not rule.is_glob}
        return tuple(sorted(named | {pin.project for pin in self.pins} | {rule.project for rule in self.files}))

    def globs(self) -> tuple[str, ...]:
        """The patterns of ``projects`` that are to be compared with upstream's list."""
        return tuple(sorted({rule.pattern for rule in self.rules if rule.is_glob}))

    def upstream_of(self, project: NormalizedName) -> Upstream | None:
        """The one upstream that ``project`` comes from; ``None`` is the default index.

        An upstream that lists ``projects`` has those and no others, and they come from nowhere else: a name
        that is taken on another index can never slip in (dependency confusion).
        """
        for upstream in self.upstreams:
            if upstream.claims(project):
                return upstream
        return next((upstream for upstream in self.upstreams if not upstream.projects), None)


def is_glob(pattern: str) -> bool:
    """Whether ``pattern`` stands for more than one name."""
    return any(sign in pattern for sign in "*?[")


def matches_any(filename: str, globs: Sequence[str]) -> bool:
    """Whether one of ``globs`` is that of ``filename``; where there are none, every file is meant."""
    return not globs or any(fnmatchcase(filename, pattern) for pattern in globs)
