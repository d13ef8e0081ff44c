"""An upstream that went back in time: a broken replica, a restored backup, or one that hides what it had.

What it offers is taken all the same, within ``max-removal``: every file is verified, and it may be right. It is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from pymirror.commands.report import Rollback
from pymirror.simple.model import File, ProjectDetail, render_upload_time
from pymirror.snapshot import SnapshotFile
from pymirror.state import CachedList


def find_rollback(
    project: str, upstream: str, new: ProjectDetail, old: ProjectDetail | None, published: Iterable[SnapshotFile]
) -> Rollback | None:
    """What of the page is older than of the ``old`` one; where that is forgotten, than of what is ``published``."""
    problems = list(_compare(new, old) if old is not None else _compare_newest(new.files, published))
    return Rollback(upstream=upstream, project=project, problem=", ".join(problems)) if problems else None


def find_list_rollback(upstream: str, new: CachedList, old: CachedList | None) -> Rollback | None:
    """The same for the list of all projects."""
    if old is None:
        return None
    problems = list(_compare_serials(new.serial, old.serial))
    if len(new.projects) < len(old.projects):
        problems.append(f"projects: {len(new.projects)} after {len(old.projects)}")
    return Rollback(upstream=upstream, project="", problem=", ".join(problems)) if problems else None


def _compare(new: ProjectDetail, old: ProjectDetail) -> Iterator[str]:
    yield from _compare_serials(new.serial, old.serial)
    if len(new.files) < len(old.files):
        yield f"files: {len(new.files)} after {len(old.files)}"
    yield from _compare_newest(new.files, old.files)


def _compare_serials(new: int | None, old: int | None) -> Iterator[str]:
    """The serial of an index grows with each change of the project, or of the index (X-PyPI-Last-Serial)."""
    if new is not None and old is not None and new < old:
        yield f"serial {new} after {old}"


def _compare_newest(new: Iterable[File], old: Iterable[File | SnapshotFile]) -> Iterator[str]:
    newest, before = _find_newest(new), _find_newest(old)
    if newest is not None and before is not None and newest < before:
        yield f"the newest file is of {render_upload_time(newest)} after {render_upload_time(before)}"


def _find_newest(files: Iterable[File | SnapshotFile]) -> datetime | None:
    return max((file.upload_time for file in files if file.upload_time is not None), default=None)
