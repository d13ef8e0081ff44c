"""The limit of the whole mirror in bytes, and what weighs most."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from pymirror.errors import TotalSizeError
from pymirror.plan import PoolFile, PoolKey, ProjectPlan, WantedFile
from pymirror.snapshot import Snapshot
from pymirror.spec.units import format_size

HEAVIEST = 10


def check_planned_size(
    projects: Iterable[ProjectPlan],
    limit: int | None,
    held: Mapping[PoolKey, PoolFile],
    fetched: Mapping[tuple[str, str], int] | None = None,
) -> int:
    """The bytes that may still come in beyond what ``projects`` are known to weigh.

    ``held`` are the files of the pool, ``fetched`` the bytes of those that this run has had. A file of which nobody
    tells the size counts as nothing until then. Raises :class:`TotalSizeError` where the limit is exceeded already.
    """
    if limit is None:
        return 2**63
    told = fetched or {}
    sizes = []
    for file in (file for project in projects for file in project.files if not file.is_refused):
        known = held.get((file.sha256 or "", file.filename))
        size = known.size if known is not None else told.get((file.project, file.filename), file.expected_size or 0)
        sizes.append((file.project, _identify(file), size))
    return limit - _check(sizes, limit)


def check_published_size(snapshot: Snapshot, limit: int | None) -> None:
    """The same for what is about to be published."""
    if limit is not None:
        _check([(project, file.path, file.size) for project, file in snapshot.files()], limit)


def _identify(file: WantedFile) -> str:
    """Two projects' files of the same bytes and name are one in the pool."""
    return f"{file.sha256 or file.project}/{file.filename}"


def _check(files: list[tuple[str, str, int]], limit: int) -> int:
    """The sum, each file once."""
    total = sum({key: size for _, key, size in files}.values())
    if total <= limit:
        return total
    weights: dict[str, int] = defaultdict(int)
    for project, _, size in files:
        weights[project] += size
    heaviest = sorted(weights.items(), key=lambda item: (-item[1], item[0]))[:HEAVIEST]
    raise TotalSizeError(size=total, limit=limit, heaviest=heaviest, shown=format_size)
