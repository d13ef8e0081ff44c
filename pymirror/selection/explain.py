"""What could not be had: the rules and pins that no file meets, and what came nearest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from pymirror.distribution import parse_filename
from pymirror.selection.candidates import Candidate
from pymirror.selection.checks import Locked
from pymirror.selection.judge import ask_all, find_veto
from pymirror.selection.model import Chosen, Excluded, Reason, Refused, Unmet, Verdict, Wants, nearest
from pymirror.selection.rules import Opinion
from pymirror.simple.model import File, ProjectDetail
from pymirror.spec.model import LockedFile, Origin, Pin, RemovalPolicy


def find_unmet(
    wants: Wants,
    detail: ProjectDetail,
    candidates: Sequence[Candidate],
    opinions: Sequence[Opinion],
    verdicts: Sequence[Verdict],
) -> Iterator[Unmet]:
    """The rules and pins that are not met; of a pattern, what it would match is not demanded."""
    met = {
        origin
        for verdict in verdicts
        if isinstance(verdict.outcome, Chosen | Refused)
        for origin in verdict.outcome.origins
    }
    refusals: dict[Origin, list[Excluded]] = {}
    for verdict in verdicts:
        for origin, refusal in verdict.refusals:
            refusals.setdefault(origin, []).append(refusal)
    excluded = {
        verdict.outcome.filename
        for verdict in verdicts
        if isinstance(verdict.outcome, Excluded) and verdict.outcome.reason is Reason.EXCLUDED
    }
    for opinion in opinions:
        emptied = list(_find_emptied(wants, opinion, excluded))
        yield from emptied
        if not emptied and not opinion.is_glob and not opinion.is_moot and opinion.origin not in met:
            problem = _explain(opinion, detail, refusals, candidates)
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
    refusals: Mapping[Origin, Sequence[Excluded]],
    candidates: Sequence[Candidate],
) -> str:
    """Why nothing was chosen, from what came nearest."""
    if detail.status == "quarantined":
        return f"upstream has quarantined the project{': ' + detail.status_reason if detail.status_reason else ''}"
    versions = {candidate.file.filename: candidate.version for candidate in candidates}
    near = [
        item
        for item in refusals.get(opinion.origin, ())
        if opinion.specifier.contains(versions[item.filename], prereleases=True)
        and not (opinion.names_files and item.reason is Reason.FILE_NAME)
    ]
    if near:
        best = nearest(near)
        by = f" ({best.origin})" if best.origin and best.origin != opinion.origin else ""
        what = f"{len(near)} matching files were left out" if len(near) > 1 else "the one matching file was left out"
        until = f", until {best.until:%Y-%m-%d %H:%M} UTC" if best.until else ""
        return f"{what}: {best.reason.label}{': ' + best.detail if best.detail else ''}{until}{by}"
    if opinion.names_files and detail.files:
        return f"none of the {len(detail.files)} files that upstream lists is called so"
    if versions:
        return f"no release matches; the newest upstream is {max(versions.values())}"
    return "upstream lists no distribution that can be used"


def _find_missing(
    wants: Wants, detail: ProjectDetail, candidates: Sequence[Candidate], met: set[Origin]
) -> Iterator[Unmet]:
    """The files that a lock names, that would be kept, and that upstream does not list."""
    if wants.on_upstream_removal is not RemovalPolicy.KEEP:
        candidates = [candidate for candidate in candidates if not candidate.is_removed]
    for pin in wants.pins:
        if pin.origin not in met or detail.status == "quarantined":
            continue  # said already
        locked = Locked(pin)
        listed = {locked.find(candidate.file) for candidate in candidates}
        absent = [each for file in pin.files if file not in listed if (each := _make_absent(pin, file))]
        if not absent:
            continue
        (opinion,) = ask_all(_only(wants, pin), [*candidates, *absent])
        for candidate in absent:
            filename = candidate.file.filename
            if filename not in opinion.refusals and find_veto(candidate, wants) is None:
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
