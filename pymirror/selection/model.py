"""A decision as frozen values: what is chosen, and everything else with the reason why it was left out."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from packaging.utils import NormalizedName
from packaging.version import Version

from pymirror.simple.model import File
from pymirror.spec.model import FileRule, Filters, Origin, Pin, ProjectRule, ReleaseRule, RemovalPolicy

if TYPE_CHECKING:
    from pymirror.distribution import Distribution
    from pymirror.environment import Environment


class Reason(enum.IntEnum):
    """Why a file was left out; a greater value came nearer to being kept."""

    UNSAFE_FILENAME = 1
    UNSAFE_URL = 2
    NOT_A_DISTRIBUTION = 3
    OTHER_PROJECT = 4
    INVALID_VERSION = 5
    DUPLICATE = 6
    QUARANTINED = 7  # the whole project, by upstream (PEP 792)
    MARKER = 8
    PACKAGE_TYPE = 9
    VERSION = 10
    FILE_NAME = 11
    PRERELEASE = 12
    ENVIRONMENT = 13
    REQUIRES_PYTHON = 14
    NOT_IN_LOCK = 15
    LOCK_MISMATCH = 16
    YANKED = 17
    TOO_OLD = 18
    TOO_NEW = 19
    TOO_LARGE = 20
    REMOVED_UPSTREAM = 21
    HAS_WHEELS = 22  # an sdist, where ``sdists: fallback`` needs none
    NOT_LATEST = 23
    NO_SHA256 = 24
    EXCLUDED = 25

    @property
    def label(self) -> str:
        """For people and for the keys of the JSON report."""
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Excluded:
    """A file that was left out, why, and by which rule where one decided it.

    ``until`` is when a file that is too new will be old enough, where that is known. ``size`` is bytes.
    """

    filename: str
    reason: Reason
    detail: str = ""
    origin: Origin | None = None
    version: Version | None = None
    size: int | None = None
    until: datetime | None = None


LockHashes = frozenset[tuple[str, str]]
"""(algorithm, digest) pairs that one lock file allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A file that is wanted, and what wants it.

    ``lock_hashes`` are those that lock files allow, where upstream gives none that they could be compared with: the
    file must have one of each set. ``is_removed`` where upstream does not list it any more, and it is kept.
    ``max_size`` is the limit that holds for a file whose size is not known before it is there. ``is_dependency`` where
    nothing of the spec asks for it but through what it needs.
    """

    file: File
    distribution: Distribution
    version: Version
    origins: tuple[Origin, ...]
    lock_hashes: frozenset[LockHashes] = frozenset()
    is_removed: bool = False
    max_size: int | None = None
    is_dependency: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A file that is wanted, and that upstream offers in a way that must not be taken.

    No filter of the user's left it out, so it is a failure, and its release is not published without it.
    """

    filename: str
    version: Version
    reason: Reason
    detail: str
    origins: tuple[Origin, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmet:
    """A rule or pin that no file of the page meets."""

    project: NormalizedName
    origin: Origin
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A release that something else needs, in ``environments``.

    ``roots`` are the names of what led to it, and ``origin`` is the line of the first of them. Where ``filenames`` are
    given, these published files are meant, whatever they suit: what led to them could not be resolved anew.
    """

    version: Version
    origin: Origin
    roots: tuple[str, ...]
    environments: tuple[Environment, ...] = ()
    filenames: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wants:
    """Everything that the spec says of one project, and that others need of it.

    ``filters`` hold for pins and files; a rule has its own.

    ``now`` is when the run began: what an age such as ``7 days`` is counted from.
    """

    project: NormalizedName
    now: datetime
    rules: tuple[ProjectRule, ...] = ()
    pins: tuple[Pin, ...] = ()
    files: tuple[FileRule, ...] = ()
    needs: tuple[Need, ...] = ()
    excludes: tuple[ReleaseRule, ...] = ()
    allow_newer: tuple[ReleaseRule, ...] = ()
    filters: Filters = field(default_factory=Filters)
    require_hashes: bool = True
    on_upstream_removal: RemovalPolicy = RemovalPolicy.QUARANTINE

    @property
    def is_asked(self) -> bool:
        """Whether anything wants the project."""
        return bool(self.rules or self.pins or self.files or self.needs)

    @property
    def is_named(self) -> bool:
        """Whether the spec names the project, or something needs it, and not only a pattern matches it."""
        return bool(self.pins or self.files or self.needs) or not all(rule.is_glob for rule in self.rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why one rule or pin did not take a file. ``asked`` is its number among all: two may stand on the same line."""

    asked: int
    origin: Origin
    excluded: Excluded


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one file came to: chosen or refused, and for which rules and pins; or left out, and why each refused it."""

    outcome: Chosen | Refused | Excluded
    taken_for: tuple[int, ...] = ()
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The decision on one project, in order of version and file name. ``is_dependency`` where only others need it."""

    project: NormalizedName
    chosen: tuple[Chosen, ...]
    excluded: tuple[Excluded, ...]
    unmet: tuple[Unmet, ...]
    refused: tuple[Refused, ...] = ()
    status: str = "active"
    status_reason: str | None = None
    is_dependency: bool = False


def nearest(refusals: Iterable[Excluded]) -> Excluded:
    """The refusal to quote: that of the rule which the file came nearest to meeting, the same in any order of rules.

    Of two that let it wait, that is the one which lets it in first.
    """
    return max(refusals, key=_rank)


def _rank(refusal: Excluded) -> tuple[int, float, tuple[str, int, str], str, str]:
    origin = refusal.origin
    place = (origin.file, origin.line or 0, origin.text) if origin is not None else ("", 0, "")
    wait = -refusal.until.timestamp() if refusal.until is not None else -1e18
    return refusal.reason, wait, place, refusal.detail, refusal.filename
