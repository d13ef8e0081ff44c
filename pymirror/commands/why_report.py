"""What ``why`` answers: frozen values, and the dictionaries that ``--json`` prints."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from packaging.utils import NormalizedName

from pymirror.errors import ExitCode
from pymirror.simple.model import render_upload_time


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What was asked about: a project, some releases of it, or one file."""

    text: str
    project: NormalizedName
    specifier: str | None = None
    filename: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A rule with its line, then what led to it; ``required_by`` is the way to it through a lock file.

    ``kind`` is wants, or excludes with its ``reason``.
    """

    steps: tuple[str, ...]
    required_by: tuple[str, ...] = ()
    kind: str = "wants"
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedAnswer:
    """A way by which a project is needed: from the release that a rule wants, each step needing the next."""

    rule: str
    steps: tuple[str, ...]
    environments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleAnswer:
    """Why one rule did not take a file."""

    rule: str
    text: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileAnswer:
    """One file: in or out, and why. ``is_published`` is about the mirror as it is now.

    ``is_held_back`` where it is wanted, and another file of its release cannot be had.
    """

    filename: str
    version: str | None
    size: int | None
    is_in: bool
    is_published: bool
    is_removed: bool
    is_held_back: bool = False
    reason: str | None = None
    detail: str = ""
    rule: str | None = None
    until: datetime | None = None
    wanted_by: tuple[Chain, ...] = ()
    refusals: tuple[RuleAnswer, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseAnswer:
    """The files of one release: how many are in, their bytes, and why the others are not."""

    version: str | None
    files_in: int
    files: int
    size: int
    reasons: dict[str, int]
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """A file that left the pages since upstream lists it no more, and until when its bytes are kept (aware UTC)."""

    filename: str
    since: datetime
    until: datetime
    is_quarantined_upstream: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyReport:
    """The answer; there is none where the page cannot be had.

    ``published`` are the file names in question that the mirror has now.
    """

    subject: Subject
    is_wanted: bool
    is_answered: bool = True
    status: str = "active"
    rules: tuple[Chain, ...] = ()
    needed: tuple[NeedAnswer, ...] = ()
    releases: tuple[ReleaseAnswer, ...] = ()
    files: tuple[FileAnswer, ...] = ()
    published: tuple[str, ...] = ()
    set_aside: tuple[SetAside, ...] = ()
    failures: tuple[str, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        return ExitCode.OK if self.is_answered else ExitCode.INCOMPLETE

    def as_json(self) -> dict[str, Any]:
        return {"command": "why", "exit-code": int(self.exit_code), **kebab(asdict(self))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """What something takes on the disk. ``only`` are the bytes that would be free without it."""

    name: str
    files: int
    size: int
    only: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeReport:
    """What the disk is spent on, heaviest first."""

    output: str
    size: int
    projects: tuple[Weight, ...]
    release_lines: tuple[Weight, ...]
    environments: tuple[Weight, ...]

    exit_code = ExitCode.OK

    def as_json(self) -> dict[str, Any]:
        return {"command": "why", "exit-code": int(self.exit_code), **kebab(asdict(self))}


def kebab(value: Any) -> Any:
    """The names of fields as the keys of the JSON report."""
    if isinstance(value, dict):
        return {str(key).replace("_", "-"): kebab(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [kebab(item) for item in value]
    if isinstance(value, datetime):
        return render_upload_time(value)
    return value
