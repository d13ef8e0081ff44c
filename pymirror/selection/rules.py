"""What each rule, each pin and each single file says of every candidate: filters first, then what counts releases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from packaging.specifiers import SpecifierSet

from pymirror.selection.candidates import Candidate
from pymirror.selection.checks import (
    Locked,
    check_environment,
    check_lock,
    check_old,
    check_policy,
    check_removed,
    check_type,
    keeps_yanked,
)
from pymirror.selection.fit import Fit
from pymirror.selection.model import Excluded, Reason, Wants
from pymirror.selection.releases import Count, count_latest, drop_sdists, tell_counts
from pymirror.spec.model import FileRule, Origin, Pin, ProjectRule, YankedPolicy, matches_any


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What one rule says: ``refusals`` are the candidates that it does not want, by file name.

    ``is_moot`` where its marker holds in none of the environments: then nothing is missing.
    """

    origin: Origin
    specifier: SpecifierSet
    refusals: dict[str, Excluded]
    is_glob: bool = False
    names_files: bool = False
    is_moot: bool = False
    counts: tuple[Count, ...] = ()
    max_file_size: int | None = None


def ask_rule(rule: ProjectRule, candidates: Sequence[Candidate], wants: Wants) -> Opinion:
    """The opinion of an entry of ``projects``."""
    filters = rule.filters
    fit = Fit(filters.environments, rule.marker)
    versions = {c.version for c in candidates if c.distribution.package_type in filters.package_types}
    # PEP 440: pre-releases count where the specifier names one, or where nothing else matches. Judged over all
    # that upstream has, before any exclusion: to exclude a release must not let a pre-release in.
    matching = frozenset(rule.specifier.filter(versions, prereleases=True))
    admitted = matching if filters.prereleases else frozenset(rule.specifier.filter(versions))

    def judge(candidate: Candidate) -> Excluded | None:
        if not fit.every:
            return candidate.leave_out(Reason.MARKER, rule.marker or "", rule.origin)
        if (refusal := check_type(candidate, filters, rule.origin)) is not None:
            return refusal
        if candidate.version not in admitted:
            if candidate.version in matching:
                return candidate.leave_out(
                    Reason.PRERELEASE, str(rule.specifier), filters.origin_of("prereleases") or rule.origin
                )
            return candidate.leave_out(Reason.VERSION, str(rule.specifier), rule.origin)
        if not matches_any(candidate.file.filename, rule.files):
            return candidate.leave_out(Reason.FILE_NAME, ", ".join(rule.files), rule.origin)
        if (refusal := check_environment(candidate, filters, fit, rule.origin)) is not None:
            return refusal
        if candidate.file.yanked and not keeps_yanked(rule):
            return candidate.leave_out(Reason.YANKED, filters.yanked.value, filters.origin_of("yanked") or rule.origin)
        return (
            check_old(candidate, filters, wants, rule.origin)
            or check_policy(candidate, filters, wants, rule.origin)
            or check_removed(candidate, wants, rule.origin)
        )

    refusals = _collect(candidates, judge)
    left = [candidate for candidate in candidates if candidate.file.filename not in refusals]
    refusals |= drop_sdists(left, filters, fit, rule.origin)
    left = [candidate for candidate in left if candidate.file.filename not in refusals]
    passed_over = count_latest(left, filters.keep_latest, fit, filters.origin_of("keep-latest") or rule.origin)
    kept = [candidate for candidate in left if candidate.file.filename not in passed_over]
    return Opinion(
        origin=rule.origin,
        specifier=rule.specifier,
        refusals=refusals | passed_over,
        counts=tell_counts(kept, [c for c in left if c.file.filename in passed_over], fit),
        max_file_size=filters.max_file_size,
        is_glob=rule.is_glob,
        is_moot=not fit.every,
    )


def ask_pin(pin: Pin, candidates: Sequence[Candidate], wants: Wants) -> Opinion:
    """The opinion of an entry of a lock file; it is exact, so a pre-release is as good as any."""
    filters = wants.filters
    fit = Fit(filters.environments, pin.marker, pin.marker_extras, pin.marker_groups)
    locked = Locked(pin)

    def judge(candidate: Candidate) -> Excluded | None:
        if not fit.every:
            return candidate.leave_out(Reason.MARKER, pin.marker or "", pin.origin)
        if (refusal := check_lock(candidate, pin, locked)) is not None:
            return refusal
        if candidate.file.yanked and filters.yanked is YankedPolicy.EXCLUDE:
            return candidate.leave_out(Reason.YANKED, filters.yanked.value, filters.origin_of("yanked") or pin.origin)
        return (
            check_type(candidate, filters, pin.origin)
            or check_environment(candidate, filters, fit, pin.origin)
            or check_policy(candidate, filters, wants, pin.origin)
            or check_removed(candidate, wants, pin.origin)
        )

    refusals = _collect(candidates, judge)
    left = [candidate for candidate in candidates if candidate.file.filename not in refusals]
    refusals |= drop_sdists(left, filters, fit, pin.origin)
    return Opinion(
        origin=pin.origin,
        specifier=pin.specifier,
        refusals=refusals,
        max_file_size=filters.max_file_size,
        is_moot=not fit.every,
    )


def ask_file(rule: FileRule, candidates: Sequence[Candidate], wants: Wants) -> Opinion:
    """The opinion of an entry of ``files``: what is named is wanted whatever its kind, unless it is forbidden."""
    filters = wants.filters

    def judge(candidate: Candidate) -> Excluded | None:
        if not fnmatchcase(candidate.file.filename, rule.pattern):
            return candidate.leave_out(Reason.FILE_NAME, rule.pattern, rule.origin)
        if candidate.file.yanked and filters.yanked is YankedPolicy.EXCLUDE:
            return candidate.leave_out(Reason.YANKED, filters.yanked.value, filters.origin_of("yanked") or rule.origin)
        policy = check_policy(candidate, filters, wants, rule.origin)
        return policy or check_removed(candidate, wants, rule.origin)

    refusals = _collect(candidates, judge)
    return Opinion(
        origin=rule.origin,
        specifier=SpecifierSet(),
        refusals=refusals,
        max_file_size=filters.max_file_size,
        names_files=True,
    )


def _collect(candidates: Sequence[Candidate], judge: Callable[[Candidate], Excluded | None]) -> dict[str, Excluded]:
    verdicts = ((candidate.file.filename, judge(candidate)) for candidate in candidates)
    return {filename: refusal for filename, refusal in verdicts if refusal is not None}
