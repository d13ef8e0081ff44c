"""What could not be had: the rules and pins that no file meets, and what came nearest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from fnmatch import fnmatchcase

from pymirror.distribution import parse_filename
from pymirror.selection.candidates import Candidate
from pymirror.selection.checks import Locked
from pymirror.selection.judge import ask_all
from pymirror.selection.model import Excluded, Reason, Unmet, Verdict, Wants, nearest
from pymirror.selection.rules import Offer, Opinion
from pymirror.selection.vetoes import find_veto
from pymirror.simple.model import File, ProjectDetail
from pymirror.spec.model import LockedFile, Pin, RemovalPolicy


def find_unmet(
    wants: Wants,
    detail: ProjectDetail,
    judged: Sequence[tuple[Candidate, Verdict]],
    opinions: Sequence[Opinion],
    unread: Sequence[Excluded],
) -> Iterator[Unmet]:
    """The rules and pins that are not met; of a pattern, what it would match is not demanded.

    ``unread`` are the entries of the page that are no candidates.
    """
    met = {number for _, verdict in judged for number in verdict.taken_for}
    refusals: dict[int, list[Excluded]] = {}
    for _, verdict in judged:
        for refusal in verdict.refusals:
            refusals.setdefault(refusal.asked, []).append(refusal.excluded)
    excluded = {
        verdict.outcome.filename
        for _, verdict in judged
        if isinstance(verdict.outcome, Excluded) and verdict.outcome.reason is Reason.EXCLUDED
    }
    candidates = [candidate for candidate, _ in judged]
    for number, opinion in enumerate(opinions):
        emptied = list(_find_emptied(wants, opinion, excluded))
        yield from emptied
        if not emptied and not opinion.is_glob and not opinion.is_moot and number not in met:
            problem = _explain(opinion, detail, refusals.get(number, ()), candidates, unread)
            yield Unmet(project=wants.project, origin=opinion.origin, problem=problem)
    yield from _find_missing(wants, detail, candidates, met)


def _find_emptied(wants: Wants, opinion: Opinion, excluded: AbstractSet[str]) -> Iterator[Unmet]:
    """The environments whose newest releases are all excluded: older ones are not taken in their place."""
    emptied = [count for count in opinion.counts if count.passed_over and count.kept and count.kept <= excluded]
    if not emptied:
        return
    names = [count.environment.name for count in emptied if count.environment is not None]
    problem = (
        f"all that keep-latest counts{' for ' + ', '.join(names) if names else ''} is left out by exclude, and older "
        "releases are not taken in its place; give a version to stay below what is excluded, or raise keep-latest"
    )
    yield Unmet(project=wants.project, origin=opinion.origin, problem=problem)


def _explain(
    opinion: Opinion,
    detail: ProjectDetail,
    refusals: Sequence[Excluded],
    candidates: Sequence[Candidate],
    unread: Sequence[Excluded],
) -> str:
    """Why nothing was chosen, from what came nearest."""
    if detail.status == "quarantined":
        return f"upstream has quarantined the project{': ' + detail.status_reason if detail.status_reason else ''}"
    versions = {candidate.file.filename: candidate.version for candidate in candidates}
    near = [
        item
        for item in refusals
        if opinion.specifier.contains(versions[item.filename], prereleases=True)
        and not (opinion.file_pattern is not None and item.reason is Reason.FILE_NAME)
    ]
    if opinion.file_pattern is not None:
        near += [item for item in unread if fnmatchcase(item.filename, opinion.file_pattern)]
    if near:
        best = nearest(near)
        by = f" ({best.origin})" if best.origin and best.origin != opinion.origin else ""
        what = f"{len(near)} matching files were left out" if len(near) > 1 else "the one matching file was left out"
        until = f", until {best.until:%Y-%m-%d %H:%M} UTC" if best.until else ""
        return f"{what}: {best.reason.label}{': ' + best.detail if best.detail else ''}{until}{by}"
    if opinion.file_pattern is not None and detail.files:
        return f"none of the {len(detail.files)} files that upstream lists is called so"
    listed = [candidate.version for candidate in candidates if not candidate.is_removed]
    if listed:
        return f"no release matches; the newest upstream is {max(listed)}"
    return "upstream lists no distribution that can be used"


def _find_missing(
    wants: Wants, detail: ProjectDetail, candidates: Sequence[Candidate], met: AbstractSet[int]
) -> Iterator[Unmet]:
    """The files that a lock names, that would be kept, and that upstream does not list."""
    if detail.status == "quarantined" or not wants.pins:
        return
    if wants.on_upstream_removal is not RemovalPolicy.KEEP:
        candidates = [candidate for candidate in candidates if not candidate.is_removed]
    offer = Offer(candidates)
    for number, pin in enumerate(wants.pins, start=len(wants.rules)):
        if number not in met or not pin.files:
            continue  # said already, or nothing is named
        locked = Locked(pin)
        near = offer.near(pin)
        listed = {locked.find(candidate.file) for candidate in near}
        absent = [each for file in pin.files if file not in listed if (each := _make_absent(pin, file))]
        if not absent:
            continue
        (opinion,) = ask_all(_only(wants, pin), [*near, *absent])
        for candidate in absent:
            filename = candidate.file.filename
            if filename in opinion.wanted and find_veto(candidate, wants) is None:
                yield Unmet(
                    project=wants.project,
                    origin=pin.origin,
                    problem=f"upstream does not list {filename}, which it locks",
                )


def _make_absent(pin: Pin, file: LockedFile) -> Candidate | None:
    distribution = parse_filename(file.filename, pin.project)
    if distribution is None or distribution.version is None:
        return None
    return Candidate(File(filename=file.filename, url=""), distribution, distribution.version)


def _only(wants: Wants, pin: Pin) -> Wants:
    """``pin`` alone, without the rules of time, of which an absent file says nothing."""
    return Wants(project=wants.project, now=wants.now, pins=(pin,), filters=wants.filters.without_times())
