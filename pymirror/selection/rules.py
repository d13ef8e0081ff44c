"""What each rule, each pin and each single file says of every candidate: filters first, then what counts releases."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_version
from packaging.version import Version

from pymirror.distribution import parse_version
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
from pymirror.spec.model import FileRule, Origin, Pin, ProjectRule, RemovalPolicy, YankedPolicy, matches_any


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What one rule says: ``wanted`` are file names, and ``refusals`` say why it does not want others.

    A pin tells only of files that come near: ``rest`` is what it says of all others. ``is_moot`` where the marker holds
    in none of the environments: then nothing is missing. ``is_need`` where it is that of what needs the project.
    """

    origin: Origin
    specifier: SpecifierSet
    wanted: frozenset[str]
    refusals: dict[str, Excluded]
    rest: Reason = Reason.VERSION
    counts: tuple[Count, ...] = ()
    max_file_size: int | None = None
    locked: Locked | None = None
    is_glob: bool = False
    file_pattern: str | None = None
    is_moot: bool = False
    is_need: bool = False

    def refuse(self, candidate: Candidate) -> Excluded:
        """Why it does not want the candidate, which it does not."""
        known = self.refusals.get(candidate.file.filename)
        return known or candidate.leave_out(self.rest, str(self.specifier), self.origin)


class Offer:
    """The candidates of a page, found by what a lock file knows them by: hundreds of locks may pin one project."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self.all = candidates
        self._by_public: dict[str, list[Candidate]] = defaultdict(list)
        self._by_name: dict[str, list[Candidate]] = defaultdict(list)
        self._by_hash: dict[tuple[str, str], list[Candidate]] = defaultdict(list)
        for candidate in candidates:
            self._by_public[canonicalize_version(candidate.version.public)].append(candidate)
            self._by_name[candidate.file.filename.lower()].append(candidate)
            for pair in candidate.file.hashes:
                self._by_hash[pair].append(candidate)

    def near(self, pin: Pin) -> list[Candidate]:
        """The candidates that ``pin`` may mean, each once: those of its version, and those that it names."""
        found: dict[str, Candidate] = {}
        exact = next((clause.version for clause in pin.specifier if clause.operator == "=="), None)
        version = parse_version(exact) if exact is not None else None
        if version is None:
            return list(self.all)
        near = list(self._by_public.get(canonicalize_version(version.public), ()))
        for file in pin.files:
            near += self._by_name.get(file.filename.lower(), ())
            for pair in file.hashes:
                near += self._by_hash.get(pair, ())
        for candidate in near:
            found.setdefault(candidate.file.filename, candidate)
        return list(found.values())


def ask_rule(rule: ProjectRule, candidates: Sequence[Candidate], wants: Wants) -> Opinion:
    """The opinion of an entry of ``projects``."""
    filters = rule.filters
    fit = Fit(filters.environments, rule.marker)
    matching, admitted = _admit(rule, candidates, wants)

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
        wanted=frozenset(candidate.file.filename for candidate in kept),
        refusals=refusals | passed_over,
        counts=tell_counts(kept, [c for c in left if c.file.filename in passed_over], fit),
        max_file_size=filters.max_file_size,
        is_glob=rule.is_glob,
        is_moot=not fit.every,
    )


def _admit(
    rule: ProjectRule, candidates: Sequence[Candidate], wants: Wants
) -> tuple[frozenset[Version], frozenset[Version]]:
    """The versions that the specifier matches, and those of them that are not kept out as pre-releases.

    PEP 440: pre-releases count where the specifier names one, or where nothing else matches. Judged over all that
    upstream has, before any exclusion: to exclude a release must not let a pre-release in. What upstream withdrew
    decides on nothing but itself, so that the answer is the same once it is gone.
    """
    relevant = [c for c in candidates if c.distribution.package_type in rule.filters.package_types]
    keeps = wants.on_upstream_removal is RemovalPolicy.KEEP
    listed = {candidate.version for candidate in relevant if keeps or not candidate.is_removed}
    versions = {candidate.version for candidate in relevant}
    matching = frozenset(rule.specifier.filter(versions, prereleases=True))
    if rule.filters.prereleases:
        return matching, matching
    final = {version for version in matching - listed if not version.is_prerelease}
    return matching, frozenset(rule.specifier.filter(listed)) | final


def ask_pin(pin: Pin, offer: Offer, wants: Wants) -> Opinion:
    """The opinion of an entry of a lock file; it is exact, so a pre-release is as good as any.

    Whether the lock means the file's very bytes is asked last: what a filter leaves out is no mismatch.
    """
    filters = wants.filters
    fit = Fit(filters.environments, pin.marker, pin.marker_extras, pin.marker_groups)
    locked = Locked(pin)

    def judge(candidate: Candidate) -> Excluded | None:
        if not fit.every:
            return candidate.leave_out(Reason.MARKER, pin.marker or "", pin.origin)
        by_lock = check_lock(candidate, pin, locked)
        if by_lock is not None and by_lock.reason is not Reason.LOCK_MISMATCH:
            return by_lock
        if candidate.file.yanked and filters.yanked is YankedPolicy.EXCLUDE:
            return candidate.leave_out(Reason.YANKED, filters.yanked.value, filters.origin_of("yanked") or pin.origin)
        return (
            check_type(candidate, filters, pin.origin)
            or check_environment(candidate, filters, fit, pin.origin)
            or check_policy(candidate, filters, wants, pin.origin)
            or check_removed(candidate, wants, pin.origin)
            or by_lock
        )

    near = offer.near(pin)
    refusals = _collect(near, judge)
    left = [candidate for candidate in near if candidate.file.filename not in refusals]
    refusals |= drop_sdists(left, filters, fit, pin.origin)
    return Opinion(
        origin=pin.origin,
        specifier=pin.specifier,
        wanted=frozenset(c.file.filename for c in left) - refusals.keys(),
        refusals=refusals,
        max_file_size=filters.max_file_size,
        locked=locked if pin.files else None,
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
        wanted=frozenset(candidate.file.filename for candidate in candidates) - refusals.keys(),
        refusals=refusals,
        max_file_size=filters.max_file_size,
        file_pattern=rule.pattern,
    )


def _collect(candidates: Sequence[Candidate], judge: Callable[[Candidate], Excluded | None]) -> dict[str, Excluded]:
    verdicts = ((candidate.file.filename, judge(candidate)) for candidate in candidates)
    return {filename: refusal for filename, refusal in verdicts if refusal is not None}
