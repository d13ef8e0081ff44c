"""What others need of a project: the releases that a resolution may choose, and the files of those that it chose.

A dependency is judged by the filters of the spec's own rules for that release where there are some, else by the
top-level ones. What counts releases, or leaves out old ones, is a choice of those who name a project, and does not hold
for it; its environments are those of what needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, overload

from packaging.specifiers import SpecifierSet
from packaging.tags import Tag
from packaging.version import Version

from pymirror.distribution import Distribution
from pymirror.environment import Environment, rank_tags
from pymirror.selection.candidates import Candidate
from pymirror.selection.checks import check_environment, check_policy, check_removed, check_type
from pymirror.selection.fit import Fit
from pymirror.selection.model import Excluded, Need, Reason, Wants
from pymirror.selection.releases import drop_sdists
from pymirror.selection.rules import Opinion
from pymirror.selection.vetoes import find_fault, find_veto
from pymirror.spec.model import Filters, Origin, PackageType, YankedPolicy

_KINDS = (PackageType.BDIST_WHEEL, PackageType.SDIST)

if TYPE_CHECKING:
    from pymirror.closure.model import LeftOut, Option, Options


def ask_need(need: Need, candidates: Sequence[Candidate], wants: Wants) -> Opinion:
    """The opinion of what needs a release."""
    filters = _filters_of(wants, need.version)
    fit = Fit(need.environments or None)

    def judge(candidate: Candidate) -> Excluded | None:
        if candidate.version != need.version:
            return candidate.leave_out(Reason.VERSION, f"=={need.version}", need.origin)
        if need.filenames is not None:
            if candidate.file.filename not in need.filenames:
                return candidate.leave_out(Reason.FILE_NAME, "not published yet", need.origin)
            return check_removed(candidate, wants, need.origin)
        return _check(candidate, filters, fit, wants, need.origin)

    refusals = {c.file.filename: refusal for c in candidates if (refusal := judge(c)) is not None}
    left = [candidate for candidate in candidates if candidate.file.filename not in refusals]
    if need.filenames is None:
        refusals |= _drop_yanked(left, filters, need.origin)
        left = [candidate for candidate in left if candidate.file.filename not in refusals]
    if need.filenames is None and len(filters) == 1:
        refusals |= drop_sdists(left, filters[0], fit, need.origin)
    return Opinion(
        origin=need.origin,
        specifier=SpecifierSet(f"==={need.version}"),
        wanted=frozenset(candidate.file.filename for candidate in left) - refusals.keys(),
        refusals=refusals,
        max_file_size=_widest(each.max_file_size for each in filters),
        is_moot=need.filenames is not None,  # what is kept as it was is no demand
        is_need=True,
    )


def _drop_yanked(candidates: Sequence[Candidate], filters: Sequence[Filters], origin: Origin) -> dict[str, Excluded]:
    """The yanked files of a release, unless all of it is: then something pins it."""
    is_whole = all(candidate.file.yanked for candidate in candidates)
    if is_whole and any(each.yanked is not YankedPolicy.EXCLUDE for each in filters):
        return {}
    return {
        each.file.filename: each.leave_out(Reason.YANKED, filters[0].yanked.value, origin)
        for each in candidates
        if each.file.yanked
    }


class Choices:
    """What a resolution may choose of a page: what the environment does not decide is judged once for all of them."""

    def __init__(self, candidates: Sequence[Candidate], wants: Wants) -> None:
        self._wants = wants
        self._admitted: list[Candidate] = []
        self._refusals: list[Excluded] = []
        filters: dict[Version, tuple[Filters, ...]] = {}
        for candidate in candidates:
            if candidate.version not in filters:
                filters[candidate.version] = _filters_of(wants, candidate.version)
            refusal = _find_refusal(candidate, wants, filters[candidate.version])
            if refusal is None:
                self._admitted.append(candidate)
            else:
                self._refusals.append(refusal)

    def list_options(self, environment: Environment) -> Options:
        """Those of ``environment``, one for each version."""
        from pymirror.closure.model import Options  # late: only resolutions come here

        fit = Fit((environment,))
        ranks = rank_tags(environment)
        best: dict[Version, tuple[_Order, Candidate]] = {}
        for candidate in self._admitted:
            if not fit.of(candidate):
                continue
            order = _order(candidate, ranks)
            if candidate.version not in best or order < best[candidate.version][0]:
                best[candidate.version] = (order, candidate)
        return Options(
            options=tuple(_option(best[version][1]) for version in sorted(best, reverse=True)),
            left_out=_Later(partial(self._list_left_out, fit)),
        )

    def _list_left_out(self, fit: Fit) -> list[LeftOut]:
        refusals = (check_environment(each, self._wants.filters, fit, _NOWHERE) for each in self._admitted)
        left_out = [_describe(refusal) for refusal in (*self._refusals, *refusals) if refusal is not None]
        return sorted(left_out, key=lambda item: (item.version or _LEAST, item.filename))


def find_max_size(candidate: Candidate, wants: Wants) -> int | None:
    """The bytes that a file may have as a dependency."""
    return _widest(each.max_file_size for each in _filters_of(wants, candidate.version))


class _Later(Sequence["LeftOut"]):
    """What was left out, put into words when somebody asks: only where there is no solution."""

    def __init__(self, make: Callable[[], list[LeftOut]]) -> None:
        self._make = make

    @cached_property
    def _items(self) -> list[LeftOut]:
        return self._make()

    @overload
    def __getitem__(self, index: int) -> LeftOut: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[LeftOut]: ...

    def __getitem__(self, index: int | slice) -> LeftOut | Sequence[LeftOut]:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)


_Order = tuple[bool, bool, int, int, str]


def _order(candidate: Candidate, ranks: Mapping[Tag, int]) -> _Order:
    """What an installer takes first: of wheels that rank the same, that of the highest build; no yanked file."""
    distribution = candidate.distribution
    rank = min((ranks[tag] for tag in distribution.tags if tag in ranks), default=len(ranks))
    build = distribution.build[0] if distribution.build is not None else -1
    is_sdist = distribution.package_type is PackageType.SDIST
    return bool(candidate.file.yanked), is_sdist, rank, -build, candidate.file.filename


def _option(candidate: Candidate) -> Option:
    from pymirror.closure.model import Option  # late: only resolutions come here

    return Option(
        project=candidate.distribution.project,
        version=candidate.version,
        filename=candidate.file.filename,
        is_sdist=candidate.distribution.package_type is PackageType.SDIST,
        is_yanked=bool(candidate.file.yanked),
    )


def is_installable(distribution: Distribution) -> bool:
    """Whether today's installers take a file of this kind at all."""
    return distribution.package_type in _KINDS


def _find_refusal(candidate: Candidate, wants: Wants, filters: Sequence[Filters]) -> Excluded | None:
    """Why the candidate may be chosen in no environment."""
    if not is_installable(candidate.distribution):
        return candidate.leave_out(Reason.PACKAGE_TYPE, candidate.distribution.package_type.value)
    veto = find_veto(candidate, wants)
    if veto is not None:
        return veto
    fault = find_fault(candidate, wants)
    if fault is not None:
        return candidate.leave_out(*fault)
    if candidate.file.yanked and all(each.yanked is YankedPolicy.EXCLUDE for each in filters):
        return candidate.leave_out(Reason.YANKED, "yanked: exclude", filters[0].origin_of("yanked"))
    return _check(candidate, filters, _ANYWHERE, wants, None)


def _check(
    candidate: Candidate, filters: Sequence[Filters], fit: Fit, wants: Wants, rule: Origin | None
) -> Excluded | None:
    """Why none of ``filters`` lets the candidate in."""
    refusal: Excluded | None = None
    origin = rule or _NOWHERE
    for each in filters:
        refusal = (
            check_type(candidate, each, origin)
            or check_environment(candidate, each, fit, origin)
            or check_policy(candidate, each, wants, origin)
            or check_removed(candidate, wants, origin)
        )
        if refusal is None:
            return None
    return refusal


_ANYWHERE = Fit(None)
_LEAST = Version("0.dev0")
_NOWHERE = Origin(file="", line=None, text="")


def _filters_of(wants: Wants, version: Version) -> tuple[Filters, ...]:
    own = (rule.filters for rule in wants.rules if rule.specifier.contains(version, prereleases=True))
    return tuple(dict.fromkeys(own)) or (wants.filters,)


def _widest(limits: Iterable[int | None]) -> int | None:
    known = list(limits)
    return None if None in known else max((limit for limit in known if limit is not None), default=None)


def _describe(excluded: Excluded) -> LeftOut:
    from pymirror.closure.model import LeftOut  # late: only resolutions come here

    reason = excluded.reason.label
    if excluded.detail:
        reason += f": {excluded.detail}"
    if excluded.until is not None:
        reason += f", until {excluded.until:%Y-%m-%d %H:%M} UTC"
    if excluded.origin is not None and excluded.origin.file:
        reason += f" ({excluded.origin})"
    return LeftOut(filename=excluded.filename, version=excluded.version, reason=reason)
