"""What a run tells: frozen values, and the dictionaries that ``--json`` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pymirror.errors import ExitCode
from pymirror.plan import Failure, Plan
from pymirror.selection import Selection
from pymirror.snapshot import Difference, Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncReport:
    """What ``sync`` did. ``size`` and ``downloaded_size`` are bytes."""

    output: str
    projects: int
    releases: int
    files: int
    size: int
    downloaded: int
    downloaded_size: int
    reused: int
    added: int
    removed: int
    changed: int
    pages_written: int
    excluded: dict[str, int]
    failures: tuple[Failure, ...]

    @property
    def exit_code(self) -> ExitCode:
        return ExitCode.INCOMPLETE if self.failures else ExitCode.OK

    @property
    def is_unchanged(self) -> bool:
        return not (self.downloaded or self.pages_written)

    def as_json(self) -> dict[str, Any]:
        return {"command": "sync", "exit-code": int(self.exit_code), **_kebab(asdict(self))}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectChange:
    """What a plan means for one project, in file names."""

    project: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    kept: int
    download_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReport:
    """What ``sync`` would do."""

    output: str
    projects: tuple[ProjectChange, ...]
    downloads: int
    download_size: int
    unknown_sizes: int
    reused: int
    is_refused: bool
    excluded: dict[str, int]
    failures: tuple[Failure, ...]

    @property
    def exit_code(self) -> ExitCode:
        if self.is_refused:
            return ExitCode.REFUSED
        return ExitCode.INCOMPLETE if self.failures else ExitCode.OK

    def as_json(self) -> dict[str, Any]:
        return {"command": "plan", "exit-code": int(self.exit_code), **_kebab(asdict(self))}


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Damage:
    """Something that ``verify`` found: ``path`` is relative to the output folder."""

    path: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What ``verify`` read and found. ``unreferenced`` files are no damage: ``prune`` deletes them."""

    output: str
    projects: int
    files: int
    size: int
    pages: int
    unreferenced: int
    damages: tuple[Damage, ...]

    @property
    def exit_code(self) -> ExitCode:
        return ExitCode.DAMAGED if self.damages else ExitCode.OK

    def as_json(self) -> dict[str, Any]:
        return {"command": "verify", "exit-code": int(self.exit_code), **_kebab(asdict(self))}


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneReport:
    """What ``prune`` deleted, or with ``is_dry_run`` would delete."""

    output: str
    deleted: tuple[str, ...]
    size: int
    kept_for_grace: int
    is_dry_run: bool

    exit_code = ExitCode.OK

    def as_json(self) -> dict[str, Any]:
        return {"command": "prune", "exit-code": int(self.exit_code), **_kebab(asdict(self))}


def count_excluded(selections: Iterable[Selection]) -> dict[str, int]:
    """How many files each reason left out."""
    counts = Counter(item.reason for selection in selections for item in selection.excluded)
    return {reason.label: counts[reason] for reason in sorted(counts)}


def make_sync_report(
    *,
    output: str,
    snapshot: Snapshot,
    difference: Difference,
    plan: Plan,
    downloaded: Sequence[int],
    pages_written: int,
    excluded: dict[str, int],
    failures: Iterable[Failure],
) -> SyncReport:
    """``downloaded`` are the sizes of the files that were fetched."""
    files = [file for _, file in snapshot.files()]
    return SyncReport(
        output=output,
        projects=len(snapshot.projects),
        releases=len({(project, file.version) for project, file in snapshot.files()}),
        files=len(files),
        size=snapshot.size,
        downloaded=len(downloaded),
        downloaded_size=sum(downloaded),
        reused=plan.reused,
        added=len(difference.added),
        removed=len(difference.removed),
        changed=len(difference.changed),
        pages_written=pages_written,
        excluded=excluded,
        failures=tuple(sorted(failures)),
    )


def _kebab(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key).replace("_", "-"): _kebab(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_kebab(item) for item in value]
    return value
