"""``pymirror plan --files``: every file that was judged, what becomes of it, why, and by which line."""

from __future__ import annotations

from collections.abc import Iterator

from pymirror.commands.decide import Decision
from pymirror.commands.report import FileChange
from pymirror.selection.model import Selection
from pymirror.snapshot import Difference, Snapshot


def list_files(decision: Decision, snapshot: Snapshot, difference: Difference) -> tuple[FileChange, ...]:
    """The files of the pages and of the mirror, in order of project and name."""
    found: dict[tuple[str, str], FileChange] = {}
    for action, project, filename, size in list_actions(decision.previous, snapshot, difference):
        found[(project, filename)] = FileChange(project=project, filename=filename, action=action, size=size)
    for selection in decision.selections:
        for judged in _list_judged(selection):
            key = (judged.project, judged.filename)
            found[key] = _merge(found[key], judged) if key in found else judged
    return tuple(found[key] for key in sorted(found))


def _merge(change: FileChange, judged: FileChange) -> FileChange:
    """What becomes of a file of the mirror, with the reason and the lines that the judgement names."""
    return FileChange(
        project=change.project,
        filename=change.filename,
        action=change.action,
        size=change.size,
        reason=judged.reason,
        detail=judged.detail if judged.reason is not None else "",
        rules=judged.rules,
    )


def _list_judged(selection: Selection) -> Iterator[FileChange]:
    for item in selection.excluded:
        yield FileChange(
            project=selection.project,
            filename=item.filename,
            action="leave-out",
            size=item.size,
            reason=item.reason.label,
            detail=item.detail,
            rules=(str(item.origin),) if item.origin is not None else (),
        )
    for refused in selection.refused:
        yield FileChange(
            project=selection.project,
            filename=refused.filename,
            action="refuse",
            size=None,
            reason=refused.reason.label,
            detail=refused.detail,
            rules=tuple(str(origin) for origin in refused.origins),
        )
    for chosen in selection.chosen:
        yield FileChange(
            project=selection.project,
            filename=chosen.file.filename,
            action="hold-back",
            size=chosen.file.expected_size,
            detail="another file of its release cannot be had",
            rules=tuple(str(origin) for origin in chosen.origins),
        )


def list_actions(previous: Snapshot, snapshot: Snapshot, difference: Difference) -> Iterator[tuple[str, str, str, int]]:
    """(action, project, file name, bytes) of every file that is or will be published, in order of project and name."""
    added, changed = frozenset(difference.added), frozenset(difference.changed)
    removed = frozenset(difference.removed)
    for project, file in snapshot.files():
        key = (project, file.filename)
        action = "add" if key in added else "change" if key in changed else "keep"
        yield action, project, file.filename, file.size
    for project, file in previous.files():
        if (project, file.filename) in removed:
            yield "remove", project, file.filename, file.size
