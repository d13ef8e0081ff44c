"""The spec as frozen values; every rule knows the file and line it came from."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName


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


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Origin:
    """Where a rule stands: ``mirror.yaml:12`` and, for messages, its key or text."""

    file: str
    line: int | None
    text: str

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectRule:
    """An entry of ``projects``: keep the files of one project that meet all of this."""

    project: NormalizedName
    specifier: SpecifierSet
    package_types: frozenset[PackageType]
    prereleases: bool
    yanked: YankedPolicy
    origin: Origin
    extras: frozenset[str] = frozenset()
    marker: str | None = None

    @property
    def is_exact(self) -> bool:
        """Whether the specifier pins one version, which lets installers take a yanked file (PEP 592)."""
        return any(
            clause.operator == "===" or (clause.operator == "==" and not clause.version.endswith(".*"))
            for clause in self.specifier
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A line of a lock file: one version of one project, and the files of it that are allowed.

    ``hashes`` are (algorithm, lower-case hex digest); none means every file of the version.
    """

    project: NormalizedName
    specifier: SpecifierSet
    origin: Origin
    hashes: frozenset[tuple[str, str]] = frozenset()
    extras: frozenset[str] = frozenset()
    marker: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unservable:
    """A line of a lock file that no index can serve: editable, version control, a URL or a local path."""

    origin: Origin
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExcludeRule:
    """An entry of ``exclude``: always wins. ``pattern`` is a normalized name, or a glob over such names."""

    pattern: str
    specifier: SpecifierSet
    origin: Origin

    def matches_project(self, project: NormalizedName) -> bool:
        return fnmatchcase(project, self.pattern)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """An index to mirror from. ``projects`` are globs over normalized names; none means every project.

    ``credentials`` are a user and a password; a user without one has it in the keyring, or needs none.
    """

    name: str
    url: str
    projects: tuple[str, ...] = ()
    credentials: tuple[str, str | None] | None = field(default=None, repr=False)

    def claims(self, project: NormalizedName) -> bool:
        return any(fnmatchcase(project, pattern) for pattern in self.projects)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Limits of the network; each has a default that suits an ordinary line."""

    connections: int = 32
    connections_per_host: int = 32
    timeout_seconds: float = 30.0
    page_timeout_seconds: float = 300.0
    file_timeout_seconds: float = 1800.0
    retries: int = 5
    max_redirects: int = 10
    max_page_bytes: int = 128 * 1024 * 1024
    max_file_bytes: int = 16 * 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """Everything that was asked, with every file that the spec names already read."""

    path: Path
    output: Path
    upstreams: tuple[Upstream, ...]
    rules: tuple[ProjectRule, ...]
    pins: tuple[Pin, ...]
    unservable: tuple[Unservable, ...]
    excludes: tuple[ExcludeRule, ...]
    package_types: frozenset[PackageType]
    yanked: YankedPolicy
    network: Network
    require_hashes: bool

    def projects(self) -> tuple[NormalizedName, ...]:
        """Every project that a rule or a pin names, in order of name."""
        return tuple(sorted({rule.project for rule in self.rules} | {pin.project for pin in self.pins}))

    def upstream_of(self, project: NormalizedName) -> Upstream | None:
        """The one upstream that ``project`` comes from; ``None`` is the default index.

        An upstream that lists ``projects`` has those and no others, and they come from nowhere else: a name
        that is taken on another index can never slip in (dependency confusion).
        """
        for upstream in self.upstreams:
            if upstream.claims(project):
                return upstream
        return next((upstream for upstream in self.upstreams if not upstream.projects), None)
