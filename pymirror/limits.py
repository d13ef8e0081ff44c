"""The limit of the whole mirror in bytes, and what weighs most."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from pymirror.errors import TotalSizeError
from pymirror.plan import ProjectPlan, WantedFile
from pymirror.snapshot import Snapshot
from pymirror.spec.units import format_size

HEAVIEST = 10


def check_planned_size(projects: Iterable[ProjectPlan], limit: int | None) -> None:
    """Raises :class:`TotalSizeError` where ``projects`` weigh more than ``limit`` bytes.

    A file whose size nobody says counts as nothing; :func:`check_published_size` counts it once it is there.
    """
    if limit is not None:
        files = (file for project in projects for file in project.files)
        _check([(file.project, _identify(file), file.expected_size or 0) for file in files], limit)


def check_published_size(snapshot: Snapshot, limit: int | None) -> None:
    """The same for what is about to be published."""
    if limit is not None:
        _check([(project, file.path, file.size) for project, file in snapshot.files()], limit)


def _identify(file: WantedFile) -> str:
    """Two projects' files of the same bytes and name are one in the pool."""
    return f"{file.sha256 or file.project}/{file.filename}"


def _check(files: list[tuple[str, str, int]], limit: int) -> None:
    total = sum({key: size for _, key, size in files}.values())
    if total <= limit:
        return
    weights: dict[str, int] = defaultdict(int)
    for project, _, size in files:
        weights[project] += size
    heaviest = sorted(weights.items(), key=lambda item: (-item[1], item[0]))[:HEAVIEST]
    raise TotalSizeError(size=total, limit=limit, heaviest=heaviest, shown=format_size)
