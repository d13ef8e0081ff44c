"""Releases against each other: sdists that wheels make needless, and the newest of each environment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from packaging.version import Version

from pymirror.environment import Environment
from pymirror.selection.candidates import Candidate
from pymirror.selection.fit import Fit, Mask
from pymirror.selection.model import Excluded, Reason
from pymirror.spec.model import Filters, KeepLatest, Origin, PackageType, ReleaseLine, SdistPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What ``keep-latest`` kept for one environment, and how many older files that suit it it did not."""

    environment: Environment | None
    kept: frozenset[str]
    passed_over: int


def drop_sdists(candidates: Sequence[Candidate], filters: Filters, fit: Fit, rule: Origin) -> dict[str, Excluded]:
    """The sdists of releases whose wheels serve every environment that the sdist would."""
    if filters.sdists is not SdistPolicy.FALLBACK:
        return {}
    served: dict[Version, Mask] = defaultdict(int)
    for candidate in candidates:
        if candidate.distribution.package_type is PackageType.BDIST_WHEEL:
            served[candidate.version] |= fit.of(candidate)
    origin = filters.origin_of("sdists") or rule
    return {
        candidate.file.filename: candidate.leave_out(Reason.HAS_WHEELS, "sdists: fallback", origin)
        for candidate in candidates
        if candidate.distribution.package_type is PackageType.SDIST
        and not fit.of(candidate) & ~served[candidate.version]
    }


def count_latest(
    candidates: Sequence[Candidate], keep: KeepLatest | None, fit: Fit, origin: Origin
) -> dict[str, Excluded]:
    """The files that are among the newest releases of none of the environments that they suit.

    Exclusions do not change the count: to exclude a release must not let an older one in.
    """
    if keep is None:
        return {}
    masks = {candidate.file.filename: fit.of(candidate) for candidate in candidates}
    newest: dict[Version, Mask] = defaultdict(int)
    for bit in fit.bits():
        lines: dict[object, set[Version]] = defaultdict(set)
        for candidate in candidates:
            if masks[candidate.file.filename] & bit:
                lines[_line_of(candidate.version, keep.per)].add(candidate.version)
        for versions in lines.values():
            for version in sorted(versions, reverse=True)[: keep.count]:
                newest[version] |= bit
    return {
        candidate.file.filename: candidate.leave_out(Reason.NOT_LATEST, _describe(keep), origin)
        for candidate in candidates
        if not masks[candidate.file.filename] & newest[candidate.version]
    }


def tell_counts(kept: Sequence[Candidate], passed_over: Sequence[Candidate], fit: Fit) -> tuple[Count, ...]:
    """For each environment what was kept and what was not; of use only where an exclusion then takes what was kept."""
    if not passed_over:
        return ()
    return tuple(
        Count(
            environment=None if fit.is_any else fit.environments[index],
            kept=frozenset(candidate.file.filename for candidate in kept if fit.of(candidate) & bit),
            passed_over=sum(1 for candidate in passed_over if fit.of(candidate) & bit),
        )
        for index, bit in enumerate(fit.bits())
    )


def _line_of(version: Version, per: ReleaseLine | None) -> object:
    if per is None:
        return None
    return (version.epoch, version.major) if per is ReleaseLine.MAJOR else (version.epoch, version.major, version.minor)


def _describe(keep: KeepLatest) -> str:
    return f"{keep.count}" if keep.per is None else f"{keep.count} per {keep.per.value}"
