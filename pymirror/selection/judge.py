"""The opinions of all rules together: a file is kept where one wants it and no exclusion names it."""

from __future__ import annotations

from collections.abc import Sequence

from pymirror.selection.candidates import Candidate
from pymirror.selection.checks import Locked
from pymirror.selection.model import Chosen, Excluded, Reason, Refused, Verdict, Wants, nearest
from pymirror.selection.rules import Opinion, ask_file, ask_pin, ask_rule
from pymirror.spec.model import Origin, Pin


def ask_all(wants: Wants, candidates: Sequence[Candidate]) -> list[Opinion]:
    """What every rule, pin and single file says of ``candidates``."""
    return [
        *(ask_rule(rule, candidates, wants) for rule in wants.rules),
        *(ask_pin(pin, candidates, wants) for pin in wants.pins),
        *(ask_file(rule, candidates, wants) for rule in wants.files),
    ]


def judge(candidate: Candidate, opinions: Sequence[Opinion], wants: Wants) -> Verdict:
    """What the candidate comes to."""
    filename = candidate.file.filename
    refusals = [(each.origin, each.refusals[filename]) for each in opinions if filename in each.refusals]
    wanted_by = tuple(sorted({each.origin for each in opinions if filename not in each.refusals}))
    if not wanted_by:
        return Verdict(outcome=_find_mismatch(candidate, refusals) or _reject(refusals), refusals=tuple(refusals))
    veto = find_veto(candidate, wants)
    if veto is not None:
        return Verdict(outcome=veto, refusals=(*refusals, *((origin, veto) for origin in wanted_by)))
    fault = candidate.fault
    if fault is None and wants.require_hashes and candidate.file.sha256 is None:
        fault = (Reason.NO_SHA256, "upstream gives none (see require-hashes)")
    if fault is not None:
        return Verdict(outcome=_refuse(candidate, *fault, wanted_by), refusals=tuple(refusals))
    chosen = Chosen(
        file=candidate.file,
        distribution=candidate.distribution,
        version=candidate.version,
        origins=wanted_by,
        lock_hashes=_find_lock_hashes(candidate, wants, wanted_by),
        is_removed=candidate.is_removed,
        max_size=_find_max_size(candidate, opinions),
    )
    return Verdict(outcome=chosen, refusals=tuple(refusals))


def _find_max_size(candidate: Candidate, opinions: Sequence[Opinion]) -> int | None:
    """What the download may have, where nobody tells its size before: the greatest limit of those who want it."""
    if candidate.file.size is not None:
        return None
    limits = [each.max_file_size for each in opinions if candidate.file.filename not in each.refusals]
    return None if None in limits else max((limit for limit in limits if limit is not None), default=None)


def find_veto(candidate: Candidate, wants: Wants) -> Excluded | None:
    """What keeps a file out whoever wants it."""
    vetoes = [
        candidate.leave_out(Reason.EXCLUDED, exclude.reason or exclude.origin.text, exclude.origin)
        for exclude in wants.excludes
        if exclude.matches(candidate.file.filename, candidate.version)
    ]
    return nearest(vetoes) if vetoes else None


def _reject(refusals: Sequence[tuple[Origin, Excluded]]) -> Excluded:
    return nearest(refusal for _, refusal in refusals)


def _refuse(candidate: Candidate, reason: Reason, detail: str, origins: tuple[Origin, ...]) -> Refused:
    return Refused(
        filename=candidate.file.filename, version=candidate.version, reason=reason, detail=detail, origins=origins
    )


def _find_mismatch(candidate: Candidate, refusals: Sequence[tuple[Origin, Excluded]]) -> Refused | None:
    """A file that a lock names and whose hash is another: that is no choice of the user's, so it is a failure."""
    locks = [(origin, refusal) for origin, refusal in refusals if refusal.reason is Reason.LOCK_MISMATCH]
    if not locks:
        return None
    origins = tuple(sorted({origin for origin, _ in locks}))
    return _refuse(candidate, Reason.LOCK_MISMATCH, locks[0][1].detail, origins)


def _find_lock_hashes(candidate: Candidate, wants: Wants, wanted_by: Sequence[Origin]) -> frozenset[tuple[str, str]]:
    """The hashes to compare the file with once it is there: where only pins want it, and none could be compared yet."""
    file = candidate.file
    known = {name for name, _ in file.hashes}
    pins = [pin for pin in wants.pins if pin.origin in wanted_by]
    allowed = [_hashes_of(pin, candidate) if pin.files else pin.hashes for pin in pins]
    if len({pin.origin for pin in pins}) < len(wanted_by) or not all(allowed):
        return frozenset()
    return frozenset(pair for hashes in allowed if known.isdisjoint(n for n, _ in hashes) for pair in hashes)


def _hashes_of(pin: Pin, candidate: Candidate) -> frozenset[tuple[str, str]]:
    named = Locked(pin).find(candidate.file)
    return named.hashes if named is not None else frozenset()
