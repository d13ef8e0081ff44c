"""How large the mirror may be, how much of it may go in one run, and how much of it is decided on at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence

from packaging.version import Version

from pymirror.errors import ShrinkError, TotalSizeError
from pymirror.plan import PoolFile, PoolKey, ProjectPlan, WantedFile
from pymirror.snapshot import Snapshot
from pymirror.spec.model import Spec
from pymirror.spec.units import DEFAULT_MAX_REMOVAL, MaxRemoval, format_size

HEAVIEST = 10

BATCH_PROJECTS = 100
"""So many projects are dealt with at a time: memory does not grow with the mirror."""


def find_batch_size(spec: Spec) -> int | None:
    """How many projects are dealt with at a time; ``None`` is all.

    What is solved together, or limited as a whole, is decided on as a whole.
    """
    return None if spec.wants_dependencies or spec.max_total_size is not None else BATCH_PROJECTS


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


def list_withdrawn(
    previous: Snapshot,
    removed: Iterable[tuple[str, str]],
    versions: Iterable[tuple[str, str]],
    superseded: Container[tuple[str, str]],
) -> tuple[tuple[str, str], ...]:
    """Those of ``removed``, (project, file name), that no newer release takes the place of.

    ``versions`` are (project, version) of all that there will be, and ``superseded`` (project, file name) of what
    upstream still has and only newer releases push out. Where such a one was not there before, that is no loss; what
    upstream drops, or another rule leaves out, is one whatever else comes in.
    """
    before = {(project, file.filename): Version(file.version) for project, file in previous.files()}
    known = {(project, version) for (project, _), version in before.items()}
    newest: dict[str, Version] = {}
    for project, text in versions:
        version = Version(text)
        if (project, version) not in known:
            newest[project] = max(version, newest.get(project, version))
    return tuple(
        (project, filename)
        for project, filename in removed
        if project not in newest or newest[project] < before[project, filename] or (project, filename) not in superseded
    )


def check_shrink(published: int, removed: Sequence[tuple[str, str]], limit: MaxRemoval = DEFAULT_MAX_REMOVAL) -> None:
    """Promise 6: refuse to unpublish more of the ``published`` files than ``limit`` allows.

    Raises :class:`ShrinkError`.
    """
    if not limit.allows(len(removed), published):
        examples = [filename for _, filename in removed[:3]]
        raise ShrinkError(removed=len(removed), published=published, examples=examples)
