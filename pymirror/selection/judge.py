"""The opinions of all rules together: a file is kept where one wants it and no exclusion names it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pymirror.selection.candidates import Candidate
from pymirror.selection.model import Chosen, LockHashes, Reason, Refusal, Refused, Verdict, Wants, nearest
from pymirror.selection.needs import ask_need
from pymirror.selection.rules import Offer, Opinion, ask_file, ask_pin, ask_rule
from pymirror.selection.vetoes import find_fault, find_veto
from pymirror.spec.model import Origin

Asked = tuple[int, Opinion]
"""An opinion, and the number of what was asked."""


def ask_all(wants: Wants, candidates: Sequence[Candidate]) -> list[Opinion]:
    """What every rule, pin, single file and need says of ``candidates``, in this order."""
    offer = Offer(candidates if wants.pins else ())
    return [
        *(ask_rule(rule, candidates, wants) for rule in wants.rules),
        *(ask_pin(pin, offer, wants) for pin in wants.pins),
        *(ask_file(rule, candidates, wants) for rule in wants.files),
        *(ask_need(need, candidates, wants) for need in wants.needs),
    ]


class Bench:
    """The opinions by file, so that of hundreds of locks only those are heard that know a file."""

    def __init__(self, opinions: Sequence[Opinion], wants: Wants) -> None:
        self._wants = wants
        self._pins = dict(enumerate(wants.pins, start=len(wants.rules)))
        self._wanting: dict[str, list[Asked]] = {}
        self._refusing: dict[str, list[Asked]] = {}
        for number, opinion in enumerate(opinions):
            for filename in opinion.wanted:
                self._wanting.setdefault(filename, []).append((number, opinion))
            for filename in opinion.refusals:
                self._refusing.setdefault(filename, []).append((number, opinion))
        self._distant = sorted(enumerate(opinions), key=lambda item: _place(item[1].origin))

    def judge(self, candidate: Candidate) -> Verdict:
        """What the candidate comes to."""
        filename = candidate.file.filename
        wanting, refusing = self._wanting.get(filename, []), self._refusing.get(filename, [])
        refusals = [
            Refusal(asked=number, origin=opinion.origin, excluded=opinion.refuse(candidate))
            for number, opinion in refusing or (self._distant[:1] if not wanting else ())
        ]
        mismatches = [each for each in refusals if each.excluded.reason is Reason.LOCK_MISMATCH]
        veto = find_veto(candidate, self._wants) if wanting or mismatches or candidate.is_removed else None
        if veto is not None:
            refusals += [Refusal(asked=number, origin=each.origin, excluded=veto) for number, each in wanting]
            return Verdict(outcome=veto, refusals=tuple(refusals))
        if mismatches:
            # No choice of the user's: a lock names the file, and it is another. Whoever else wants it, it is refused.
            asked = [*((each.asked, each.origin) for each in mismatches), *((n, o.origin) for n, o in wanting)]
            return self._refuse(candidate, Reason.LOCK_MISMATCH, mismatches[0].excluded.detail, asked, refusals)
        if not wanting:
            return Verdict(outcome=nearest(each.excluded for each in refusals), refusals=tuple(refusals))
        return self._take(candidate, wanting, refusals)

    def _take(self, candidate: Candidate, wanting: Sequence[Asked], refusals: Sequence[Refusal]) -> Verdict:
        fault = find_fault(candidate, self._wants)
        if fault is not None:
            return self._refuse(candidate, *fault, [(number, each.origin) for number, each in wanting], refusals)
        chosen = Chosen(
            file=candidate.file,
            distribution=candidate.distribution,
            version=candidate.version,
            origins=tuple(sorted({each.origin for _, each in wanting})),
            lock_hashes=frozenset(self._find_lock_hashes(candidate, wanting)),
            is_removed=candidate.is_removed,
            max_size=_find_max_size(candidate, wanting),
            is_dependency=all(each.is_need for _, each in wanting),
        )
        return Verdict(outcome=chosen, taken_for=tuple(number for number, _ in wanting), refusals=tuple(refusals))

    @staticmethod
    def _refuse(
        candidate: Candidate,
        reason: Reason,
        detail: str,
        asked: Sequence[tuple[int, Origin]],
        refusals: Sequence[Refusal],
    ) -> Verdict:
        refused = Refused(
            filename=candidate.file.filename,
            version=candidate.version,
            reason=reason,
            detail=detail,
            origins=tuple(sorted({origin for _, origin in asked})),
        )
        return Verdict(outcome=refused, taken_for=tuple(number for number, _ in asked), refusals=tuple(refusals))

    def _find_lock_hashes(self, candidate: Candidate, wanting: Sequence[Asked]) -> Iterator[LockHashes]:
        """What to compare the file with once it is there, where upstream gives no hash of the kind that a lock has.

        A lock that names the file means these very bytes, whoever else wants it. Hashes without a name may be those of
        other files: they count where nothing but such locks wants the file, and one of them is enough.
        """
        known = {name for name, _ in candidate.file.hashes}
        for _, opinion in wanting:
            named = opinion.locked.find(candidate.file) if opinion.locked is not None else None
            if named is not None and named.hashes and known.isdisjoint(name for name, _ in named.hashes):
                yield named.hashes
        nameless = [self._pins[number].hashes if number in self._pins else None for number, _ in wanting]
        if all(hashes and known.isdisjoint(name for name, _ in hashes) for hashes in nameless):
            yield frozenset(pair for hashes in nameless if hashes for pair in hashes)


def _find_max_size(candidate: Candidate, wanting: Sequence[Asked]) -> int | None:
    """What the download may have, where the page does not tell: the greatest limit of those who want the file."""
    limits = [opinion.max_file_size for _, opinion in wanting]
    if candidate.file.size is not None or None in limits:
        return None
    return max((limit for limit in limits if limit is not None), default=None)


def _place(origin: Origin) -> tuple[str, int, str]:
    return origin.file, origin.line or 0, origin.text
