"""A decision as frozen values: what is chosen, and everything else with the reason why it was left out."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from packaging.utils import NormalizedName
from packaging.version import Version

from pymirror.distribution import Distribution
from pymirror.simple.model import File
from pymirror.spec.model import ExcludeRule, Origin, PackageType, Pin, ProjectRule, YankedPolicy


class Reason(enum.IntEnum):
    """Why a file was left out; a greater value came nearer to being kept."""

    UNSAFE_FILENAME = 1
    UNSAFE_URL = 2
    NOT_A_DISTRIBUTION = 3
    OTHER_PROJECT = 4
    INVALID_VERSION = 5
    DUPLICATE = 6
    QUARANTINED = 7
    PACKAGE_TYPE = 8
    VERSION = 9
    PRERELEASE = 10
    NOT_IN_LOCK = 11
    YANKED = 12
    NO_SHA256 = 13
    EXCLUDED = 14

    @property
    def label(self) -> str:
        """For people and for the keys of the JSON report."""
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Excluded:
    """A file that was left out, why, and by which rule where one decided it."""

    filename: str
    reason: Reason
    detail: str = ""
    origin: Origin | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A file that is wanted, and what wants it.

    ``lock_hashes`` are those that a lock file allows, where upstream gives none that they could be compared with.
    """

    file: File
    distribution: Distribution
    version: Version
    origins: tuple[Origin, ...]
    lock_hashes: frozenset[tuple[str, str]] = frozenset()


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
class Wants:
    """Everything that the spec says of one project."""

    project: NormalizedName
    rules: tuple[ProjectRule, ...]
    pins: tuple[Pin, ...]
    excludes: tuple[ExcludeRule, ...]
    package_types: frozenset[PackageType]
    yanked: YankedPolicy
    require_hashes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The decision on one project, in order of version and file name."""

    project: NormalizedName
    chosen: tuple[Chosen, ...]
    excluded: tuple[Excluded, ...]
    unmet: tuple[Unmet, ...]
    refused: tuple[Refused, ...] = ()
    status: str = "active"
    status_reason: str | None = None


def nearest(refusals: Iterable[Excluded]) -> Excluded:
    """The refusal to quote: that of the rule which the file came nearest to meeting, the same in any order of rules."""
    return max(refusals, key=lambda refusal: (refusal.reason, str(refusal.origin), refusal.detail, refusal.filename))
