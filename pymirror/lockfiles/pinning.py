"""Requirements and what constraints say of them → pins.

A constraint wants nothing by itself; it narrows the requirements of its project, and may be what makes them exact.
https://pip.pypa.io/en/stable/user_guide/#constraints-files
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName

from pymirror.lockfiles.entries import EDITABLE, MAX_VERSION
from pymirror.lockfiles.findings import Findings, may_hold_credential, shown
from pymirror.lockfiles.hashes import PIP_HASHES, digest_problem
from pymirror.lockfiles.interface import NOT_PINNED, LooseRequirement, ReadNested
from pymirror.lockfiles.nesting import Files, Found
from pymirror.lockfiles.requirements import NOT_A_LINE, Source
from pymirror.spec.model import Pin, Unservable

MAX_CONSTRAINTS = 32  # different ones of a project; a line that asks for it may become as many pins

_DIRECT = "not from an index: a URL, a version control address or a local path"

Hashes = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limit:
    """Constraints that hold together."""

    specifier: SpecifierSet
    hashes: Hashes
    constraints: tuple[Found, ...]


@dataclass(slots=True)
class _Limits:
    """What constraints say of one project, by marker; ``direct`` is a constraint that names a URL or a path."""

    by_marker: dict[str | None, list[Found]] = field(default_factory=dict)
    seen: set[tuple[str | None, str, tuple[str, ...]]] = field(default_factory=set)
    direct: Found | None = None
    _made: dict[frozenset[str | None], _Limit] = field(default_factory=dict)

    def always(self, marker: str | None) -> _Limit:
        """Those that hold wherever a line with ``marker`` does."""
        return self._limit({None, marker})

    def sometimes(self, marker: str | None) -> list[tuple[str, _Limit]]:
        """The same with those of another marker each."""
        return [(key, self._limit({None, marker, key})) for key in self.by_marker if key is not None and key != marker]

    def _limit(self, markers: set[str | None]) -> _Limit:
        """Made once: there may be many lines."""
        key = frozenset(markers & self.by_marker.keys())
        if key not in self._made:
            found = [each for marker, group in self.by_marker.items() if marker in key for each in group]
            self._made[key] = _Limit(
                specifier=_intersect(SpecifierSet(), found),
                hashes=frozenset(pair for each in found for pair in _read_hashes(each)),
                constraints=tuple(found),
            )
        return self._made[key]


def read_requirements(data: bytes, findings: Findings, read: ReadNested) -> None:
    """Notes the pins of a requirements file; a line that pins nothing is a problem."""
    files = Files(read)
    files.add(data, findings)
    limits = _read_constraints(files.constraints)
    for found in files.requirements:
        _read_line(found, limits)


def list_lines(data: bytes, findings: Findings, read: ReadNested) -> tuple[LooseRequirement, ...]:
    """The requirements that come from an index, as narrowed by the constraints that hold everywhere.

    Lines of one project and marker hold together, and become one; those that contradict each other stay apart.
    """
    files = Files(read)
    files.add(data, findings)
    limits = _read_constraints(files.constraints)
    merged: dict[tuple[NormalizedName, str | None], list[LooseRequirement]] = {}
    for found in files.requirements:
        requirement, project = found.requirement, found.requirement.project
        if requirement.source is not Source.INDEX or project is None or not _is_usable(requirement.specifier):
            continue
        narrowed = requirement.specifier
        limit = limits.get(project, _Limits()).always(requirement.marker)
        if not _is_contradictory(narrowed & limit.specifier):
            narrowed &= limit.specifier
        line = LooseRequirement(
            name=requirement.name or project,
            origin=found.origin(f"{requirement.name}{narrowed}"),
            specifier=narrowed,
            extras=requirement.extras,
            marker=requirement.marker,
            has_hashes=bool(requirement.hashes or limit.hashes),
        )
        _merge(merged.setdefault((project, requirement.marker), []), line)
    return tuple(line for group in merged.values() for line in group)


def _merge(group: list[LooseRequirement], line: LooseRequirement) -> None:
    """Adds ``line`` to the first of ``group``, of its project and marker, that it does not contradict."""
    for index, other in enumerate(group[:MAX_CONSTRAINTS]):
        specifier = other.specifier & line.specifier
        if not _is_contradictory(specifier):
            group[index] = replace(
                other,
                specifier=specifier,
                extras=other.extras | line.extras,
                has_hashes=other.has_hashes or line.has_hashes,
            )
            return
    group.append(line)


# ── constraints ─────────────────────────────────────────────────────────────────────────────────────


def _read_constraints(constraints: Iterable[Found]) -> dict[NormalizedName, _Limits]:
    limits: dict[NormalizedName, _Limits] = {}
    for found in constraints:
        requirement, project = found.requirement, found.requirement.project
        if project is None or requirement.source is Source.EDITABLE:
            found.problem("a constraint names a project and a version")  # pip refuses others too
            continue
        limit = limits.setdefault(project, _Limits())
        if requirement.source is Source.DIRECT:
            limit.direct = found
            continue
        if not _is_usable(requirement.specifier):
            found.problem(NOT_A_LINE)
            continue
        key = (requirement.marker, str(requirement.specifier), requirement.hashes)
        if key in limit.seen:
            continue
        limit.seen.add(key)
        if len(limit.seen) <= MAX_CONSTRAINTS:
            limit.by_marker.setdefault(requirement.marker, []).append(found)
        elif len(limit.seen) == MAX_CONSTRAINTS + 1:
            found.problem(f'"{shown(requirement.name or "")}" has more than {MAX_CONSTRAINTS} constraints')
    return limits


def _intersect(specifier: SpecifierSet, constraints: Iterable[Found]) -> SpecifierSet:
    for found in constraints:
        specifier &= found.requirement.specifier
    return specifier


def _exact_versions(specifier: SpecifierSet) -> list[str]:
    return [
        clause.version
        for clause in specifier
        if clause.operator == "===" or (clause.operator == "==" and not clause.version.endswith(".*"))
    ]


def _is_usable(specifier: SpecifierSet) -> bool:
    versions = (clause.version.strip() for clause in specifier)
    return all(0 < len(version) <= MAX_VERSION and not may_hold_credential(version) for version in versions)


def _is_contradictory(specifier: SpecifierSet) -> bool:
    """Whether the version that ``specifier`` pins is one that it excludes."""
    versions = _exact_versions(specifier)
    return bool(versions) and not any(specifier.contains(version, prereleases=True) for version in versions)


# ── lines ───────────────────────────────────────────────────────────────────────────────────────────


def _read_line(found: Found, limits: dict[NormalizedName, _Limits]) -> None:
    requirement, project = found.requirement, found.requirement.project
    limit = None if project is None else limits.get(project)
    if requirement.source is not Source.INDEX or project is None:
        name = requirement.name
        if requirement.source is Source.EDITABLE:
            _add_unservable(found, f"-e {shown(name or '…')}", EDITABLE)
        else:
            _add_unservable(found, f"{shown(name)} @ …" if name else "a path or a URL", _DIRECT)
    elif limit is not None and limit.direct is not None:
        where = limit.direct.origin("")
        _add_unservable(found, requirement.shown, f"{_DIRECT}, as the constraint of {where} says")
    elif not _is_usable(requirement.specifier):
        found.problem(f'"{shown(requirement.shown)}" has a version that is none')
    else:
        hashes = _read_hashes(found)
        _read_versions(found, project, hashes, limit or _Limits())


def _add_unservable(found: Found, text: str, problem: str) -> None:
    found.findings.unservable.append(
        Unservable(
            origin=found.origin(text),
            problem=problem,
            project=found.requirement.project,
            line=found.requirement.text,
        )
    )


def _read_versions(found: Found, project: NormalizedName, hashes: Hashes, limits: _Limits) -> None:
    """A pin where the line is exact; else one for each marker under which constraints make it so.

    A constraint under a marker of its own is not held against a line that is exact without it: they may never meet.
    Where such constraints leave an environment out, nothing is pinned for it: which those are cannot be told here.
    """
    requirement = found.requirement
    branches = [(requirement.marker, limits.always(requirement.marker))]
    if not _exact_versions(requirement.specifier & branches[0][1].specifier):
        branches = [(_both(requirement.marker, key), limit) for key, limit in limits.sometimes(requirement.marker)]
    is_pinned = False
    for marker, limit in branches:
        specifier = requirement.specifier & limit.specifier
        if not _exact_versions(specifier):
            continue
        is_pinned = True
        if limit.constraints and _is_contradictory(specifier) and not _is_contradictory(requirement.specifier):
            _contradict(found, limit.constraints)
            continue
        found.findings.pins.append(
            Pin(
                project=project,
                specifier=specifier,
                hashes=hashes or limit.hashes,
                extras=requirement.extras,
                marker=marker,
                required_by=requirement.via,
                origin=found.origin(f"{requirement.name}{specifier}"),
            )
        )
    if not is_pinned:
        _refuse(found)


def _refuse(found: Found) -> None:
    found.problem(f'"{shown(found.requirement.shown)}" {NOT_PINNED}', "a lock is exact; put ranges under projects:")


def _contradict(found: Found, constraints: Sequence[Found]) -> None:
    """Names the constraint after which no version is left."""
    specifier = found.requirement.specifier
    guilty = constraints[-1]
    for constraint in constraints:
        specifier &= constraint.requirement.specifier
        if _is_contradictory(specifier):
            guilty = constraint
            break
    where = guilty.origin("")
    constraint_text, text = shown(guilty.requirement.shown), shown(found.requirement.shown)
    found.problem(f'the constraint "{constraint_text}" of {where} contradicts "{text}"')


def _both(first: str | None, second: str) -> str:
    return second if first is None else f"({first}) and ({second})"


def _read_hashes(found: Found) -> Hashes:
    hashes = set()
    for option in found.requirement.hashes:
        algorithm, _, digest = option.partition(":")
        algorithm = algorithm.lower()
        if algorithm not in PIP_HASHES:
            found.problem(f'unknown hash "{shown(algorithm)}"', f"known: {', '.join(PIP_HASHES)}")
        elif problem := digest_problem(algorithm, digest):
            found.problem(problem)
        else:
            hashes.add((algorithm, digest.lower()))
    return frozenset(hashes)
