"""What keeps a file out whoever wants it: the exclusions of the spec, and what makes it impossible to trust."""

from __future__ import annotations

from pymirror.selection.candidates import Candidate
from pymirror.selection.model import Excluded, Reason, Wants, nearest


def find_veto(candidate: Candidate, wants: Wants) -> Excluded | None:
    """What keeps a file out whoever wants it."""
    vetoes = [
        candidate.leave_out(Reason.EXCLUDED, exclude.reason or exclude.origin.text, exclude.origin)
        for exclude in wants.excludes
        if exclude.matches(candidate.file.filename, candidate.version)
    ]
    return nearest(vetoes) if vetoes else None


def find_fault(candidate: Candidate, wants: Wants) -> tuple[Reason, str] | None:
    """Why the file must not be fetched, as upstream offers it."""
    if candidate.fault is None and wants.require_hashes and candidate.file.sha256 is None:
        return Reason.NO_SHA256, "upstream gives none (see require-hashes)"
    return candidate.fault
