"""Rules and a project's page → the chosen files, and every other with the reason why it was left out.

The order of files and rules never changes the result. A file is kept when any rule or pin for its project wants it
and no exclusion names it; where several rules leave it out, the one that it came nearest to meeting is quoted.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from pymirror.distribution import Distribution, parse_filename
from pymirror.errors import UnsafeNameError
from pymirror.layout import check_filename
from pymirror.simple.model import File, ProjectDetail
from pymirror.spec.model import ExcludeRule, Origin, PackageType, Pin, ProjectRule, Spec, YankedPolicy


class Reason(enum.IntEnum):
    """Why a file was left out; a greater value came nearer to being kept."""

    UNSAFE_FILENAME = 1
    UNSAFE_URL = 2
    NOT_A_DISTRIBUTION = 3
    OTHER_PROJECT = 4
    INVALID_VERSION = 5
    DUPLICATE = 6
    QUARANTINED = 7
    PACKAGE_TYPE = 8
    VERSION = 9
    PRERELEASE = 10
    NOT_IN_LOCK = 11
    YANKED = 12
    NO_SHA256 = 13
    EXCLUDED = 14

    @property
    def label(self) -> str:
        """For people and for the keys of the JSON report."""
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Excluded:
    """A file that was left out, why, and by which rule where one decided it."""

    filename: str
    reason: Reason
    detail: str = ""
    origin: Origin | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A file that is wanted, and what wants it.

    ``lock_hashes`` are those that a lock file allows, where upstream gives none that they could be compared with.
    """

    file: File
    distribution: Distribution
    version: Version
    origins: tuple[Origin, ...]
    lock_hashes: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A file that is wanted, and that upstream offers in a way that must not be taken.

    No filter of the user's left it out, so it is a failure, and its release is not published without it.
    """

    filename: str
    version: Version
    reason: Reason
    detail: str
    origins: tuple[Origin, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmet:
    """A rule or pin that no file of the page meets."""

    project: NormalizedName
    origin: Origin
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wants:
    """Everything that the spec says of one project."""

    project: NormalizedName
    rules: tuple[ProjectRule, ...]
    pins: tuple[Pin, ...]
    excludes: tuple[ExcludeRule, ...]
    package_types: frozenset[PackageType]
    yanked: YankedPolicy
    require_hashes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The decision on one project, in order of version and file name."""

    project: NormalizedName
    chosen: tuple[Chosen, ...]
    excluded: tuple[Excluded, ...]
    unmet: tuple[Unmet, ...]
    refused: tuple[Refused, ...] = ()
    status: str = "active"
    status_reason: str | None = None


def wants_of(spec: Spec, project: NormalizedName) -> Wants:
    """What ``spec`` says of ``project``."""
    return Wants(
        project=project,
        rules=tuple(rule for rule in spec.rules if rule.project == project),
        pins=tuple(pin for pin in spec.pins if pin.project == project),
        excludes=tuple(rule for rule in spec.excludes if rule.matches_project(project)),
        package_types=spec.package_types,
        yanked=spec.yanked,
        require_hashes=spec.require_hashes,
    )


def select(wants: Wants, detail: ProjectDetail, *, page_url: str) -> Selection:
    """The files of ``detail``, which was read from ``page_url``, that ``wants`` asks for."""
    excluded: list[Excluded] = []
    candidates = list(_understand(wants.project, detail, page_url, excluded))
    rules = [_Rule(rule, candidates) for rule in wants.rules]
    chosen: list[Chosen] = []
    refused: list[Refused] = []
    refusals: dict[Origin, list[Excluded]] = defaultdict(list)
    for candidate in candidates:
        verdict, misses = _judge(candidate, wants, rules)
        if isinstance(verdict, Chosen):
            chosen.append(verdict)
        elif isinstance(verdict, Refused):
            refused.append(verdict)
        else:
            excluded.append(verdict)
        for origin, refusal in misses:
            refusals[origin].append(refusal)
    chosen.sort(key=_order)
    return Selection(
        project=wants.project,
        chosen=tuple(chosen),
        excluded=tuple(sorted(excluded, key=lambda item: (item.filename, item.reason))),
        unmet=tuple(_find_unmet(wants, [*chosen, *refused], refusals, candidates)),
        refused=tuple(sorted(refused, key=lambda item: item.filename)),
        status=detail.status,
        status_reason=detail.status_reason,
    )


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A file whose name says that it is a distribution of this project with a PEP 440 version."""

    file: File
    distribution: Distribution
    version: Version
    fault: tuple[Reason, str] | None


def _order(chosen: Chosen) -> tuple[Version, str]:
    return chosen.version, chosen.file.filename


# ── what the page offers ────────────────────────────────────────────────────────────────────────────


def _understand(
    project: NormalizedName, detail: ProjectDetail, page_url: str, excluded: list[Excluded]
) -> Iterable[_Candidate]:
    """The page's files that are distributions of ``project``; the others go to ``excluded``."""
    by_name: dict[str, list[File]] = defaultdict(list)
    for file in detail.files:
        by_name[file.filename].append(file)
    for filename, files in by_name.items():
        distribution = _read_name(project, filename, excluded)
        if distribution is None or distribution.version is None:
            continue
        file = _merge(files, page_url)
        if detail.status == "quarantined":
            # PEP 792: a quarantined project offers no files.
            excluded.append(Excluded(filename=filename, reason=Reason.QUARANTINED))
        else:
            yield _Candidate(file, distribution, distribution.version, _find_fault(file, files, page_url))


def _find_fault(file: File, files: Sequence[File], page_url: str) -> tuple[Reason, str] | None:
    """Why ``file``, one of the entries ``files`` of its name, must not be fetched."""
    if len({other.hashes for other in files}) > 1:
        return Reason.DUPLICATE, "listed twice with different hashes; which bytes are meant cannot be known"
    problem = _find_url_problem(file.url, page_url)
    return (Reason.UNSAFE_URL, problem) if problem is not None else None


def _merge(files: Sequence[File], page_url: str) -> File:
    """One of several entries of the same name, the same in any order; it is yanked if any of them is."""
    best = min(files, key=lambda file: (_find_url_problem(file.url, page_url) is not None, repr(file)))
    yanked = max((file.yanked for file in files), key=lambda reason: (bool(reason), str(reason)))
    return msgspec.structs.replace(best, yanked=yanked)


def _read_name(project: NormalizedName, filename: str, excluded: list[Excluded]) -> Distribution | None:
    try:
        check_filename(filename)
    except UnsafeNameError as error:
        excluded.append(Excluded(filename=filename, reason=Reason.UNSAFE_FILENAME, detail=error.problem))
        return None
    distribution = parse_filename(filename, project)
    if distribution is None:
        excluded.append(Excluded(filename=filename, reason=Reason.NOT_A_DISTRIBUTION))
    elif distribution.project != project:
        excluded.append(
            Excluded(filename=filename, reason=Reason.OTHER_PROJECT, detail=f"a file of {distribution.project}")
        )
    elif distribution.version is None:
        excluded.append(Excluded(filename=filename, reason=Reason.INVALID_VERSION, detail=distribution.version_text))
    else:
        return distribution
    return None


def _find_url_problem(url: str, page_url: str) -> str | None:
    """Promise 8: only http(s) is asked, and what was read over https is not had over http."""
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        return "not a URL"
    if scheme not in ("http", "https"):
        return "not an http(s) link"
    if scheme == "http" and urlsplit(page_url).scheme == "https":
        return "an http link on a page read over https"
    return None


# ── what the spec says ──────────────────────────────────────────────────────────────────────────────


class _Rule:
    """A project rule, with the versions that it admits worked out once for the page."""

    def __init__(self, rule: ProjectRule, candidates: Sequence[_Candidate]) -> None:
        self.rule = rule
        versions = {c.version for c in candidates if c.distribution.package_type in rule.package_types}
        # PEP 440: pre-releases count where the specifier names one, or where nothing else matches. Judged over all
        # that upstream has, before any exclusion: to exclude a release must not let a pre-release in.
        self.matching = frozenset(rule.specifier.filter(versions, prereleases=True))
        self.admitted = self.matching if rule.prereleases else frozenset(rule.specifier.filter(versions))

    def verdict(self, candidate: _Candidate) -> Excluded | None:
        """``None`` where the rule wants the file."""
        rule = self.rule
        name = candidate.file.filename
        if candidate.distribution.package_type not in rule.package_types:
            kind = candidate.distribution.package_type.value
            return Excluded(filename=name, reason=Reason.PACKAGE_TYPE, detail=kind, origin=rule.origin)
        if candidate.version not in self.admitted:
            reason = Reason.PRERELEASE if candidate.version in self.matching else Reason.VERSION
            return Excluded(filename=name, reason=reason, detail=str(rule.specifier), origin=rule.origin)
        if candidate.file.yanked and not _keeps_yanked(rule):
            return Excluded(filename=name, reason=Reason.YANKED, detail=rule.yanked.value, origin=rule.origin)
        return None


def _keeps_yanked(rule: ProjectRule) -> bool:
    return rule.yanked is YankedPolicy.INCLUDE or (rule.yanked is YankedPolicy.PINNED and rule.is_exact)


def _judge_pin(pin: Pin, candidate: _Candidate, wants: Wants) -> Excluded | None:
    """``None`` where the line of the lock file wants the file; it is exact, so a pre-release is as good as any."""
    name = candidate.file.filename
    if not pin.specifier.contains(candidate.version, prereleases=True):
        return Excluded(filename=name, reason=Reason.VERSION, detail=str(pin.specifier), origin=pin.origin)
    if candidate.distribution.package_type not in wants.package_types:
        kind = candidate.distribution.package_type.value
        return Excluded(filename=name, reason=Reason.PACKAGE_TYPE, detail=kind, origin=pin.origin)
    if not _is_allowed(candidate.file, pin):
        return Excluded(filename=name, reason=Reason.NOT_IN_LOCK, origin=pin.origin)
    if candidate.file.yanked and wants.yanked is YankedPolicy.EXCLUDE:
        return Excluded(filename=name, reason=Reason.YANKED, detail=wants.yanked.value, origin=pin.origin)
    return None


def _is_allowed(file: File, pin: Pin) -> bool:
    """Whether one of the pin's hashes is the file's; a file that shares no algorithm with the pin may be."""
    algorithms = {name for name, _ in pin.hashes}
    comparable = [pair for pair in file.hashes if pair[0] in algorithms]
    return not comparable or any(pair in pin.hashes for pair in comparable)


def _find_lock_hashes(file: File, wants: Wants, wanted_by: Sequence[Origin]) -> frozenset[tuple[str, str]]:
    """The hashes to compare the file with once it is there: where only pins want it, and none could be compared yet."""
    known = {name for name, _ in file.hashes}
    pins = [pin for pin in wants.pins if pin.origin in wanted_by]
    if len({pin.origin for pin in pins}) < len(wanted_by) or not all(pin.hashes for pin in pins):
        return frozenset()
    return frozenset(pair for pin in pins if known.isdisjoint(n for n, _ in pin.hashes) for pair in pin.hashes)


_Refusals = list[tuple[Origin, Excluded]]
"""Which rule or pin did not take a file, and why."""


def _judge(
    candidate: _Candidate, wants: Wants, rules: Sequence[_Rule]
) -> tuple[Chosen | Refused | Excluded, _Refusals]:
    verdicts = [(rule.rule.origin, rule.verdict(candidate)) for rule in rules]
    verdicts += [(pin.origin, _judge_pin(pin, candidate, wants)) for pin in wants.pins]
    wanted_by = tuple(sorted({origin for origin, refusal in verdicts if refusal is None}))
    refusals = [(origin, refusal) for origin, refusal in verdicts if refusal is not None]
    if not wanted_by:
        return _nearest(refusal for _, refusal in refusals), refusals
    veto = _find_veto(candidate, wants)
    if veto is not None:
        return veto, [*refusals, *((origin, veto) for origin in wanted_by)]
    fault = candidate.fault
    if fault is None and wants.require_hashes and candidate.file.sha256 is None:
        fault = (Reason.NO_SHA256, "upstream gives none (see require-hashes)")
    if fault is not None:
        filename = candidate.file.filename
        reason, detail = fault
        refused = Refused(filename=filename, version=candidate.version, reason=reason, detail=detail, origins=wanted_by)
        return refused, refusals
    chosen = Chosen(
        file=candidate.file,
        distribution=candidate.distribution,
        version=candidate.version,
        origins=wanted_by,
        lock_hashes=_find_lock_hashes(candidate.file, wants, wanted_by),
    )
    return chosen, refusals


def _find_veto(candidate: _Candidate, wants: Wants) -> Excluded | None:
    """What keeps a file out whoever wants it."""
    name = candidate.file.filename
    vetoes = [
        Excluded(filename=name, reason=Reason.EXCLUDED, detail=exclude.origin.text, origin=exclude.origin)
        for exclude in wants.excludes
        if exclude.specifier.contains(candidate.version, prereleases=True)
    ]
    return _nearest(vetoes) if vetoes else None


def _nearest(refusals: Iterable[Excluded]) -> Excluded:
    """The refusal to quote: that of the rule which the file came nearest to meeting, the same in any order of rules."""
    return max(refusals, key=lambda refusal: (refusal.reason, str(refusal.origin), refusal.detail, refusal.filename))


# ── what could not be had ───────────────────────────────────────────────────────────────────────────


def _find_unmet(
    wants: Wants,
    taken: Sequence[Chosen | Refused],
    refusals: Mapping[Origin, Sequence[Excluded]],
    candidates: Sequence[_Candidate],
) -> Iterable[Unmet]:
    met = {origin for item in taken for origin in item.origins}
    asked: list[tuple[Origin, SpecifierSet]] = [(rule.origin, rule.specifier) for rule in wants.rules]
    asked += [(pin.origin, pin.specifier) for pin in wants.pins]
    for origin, specifier in asked:
        if origin not in met:
            problem = _explain(origin, specifier, refusals.get(origin, ()), candidates)
            yield Unmet(project=wants.project, origin=origin, problem=problem)


def _explain(
    origin: Origin, specifier: SpecifierSet, refusals: Sequence[Excluded], candidates: Sequence[_Candidate]
) -> str:
    """Why nothing was chosen, from what came nearest."""
    versions = {candidate.file.filename: candidate.version for candidate in candidates}
    near = [item for item in refusals if specifier.contains(versions[item.filename], prereleases=True)]
    if near:
        best = _nearest(near)
        by = f" ({best.origin})" if best.origin and best.origin != origin else ""
        what = f"{len(near)} matching files were left out" if len(near) > 1 else "the one matching file was left out"
        return f"{what}: {best.reason.label}{': ' + best.detail if best.detail else ''}{by}"
    if versions:
        return f"no release matches; the newest upstream is {max(versions.values())}"
    return "upstream lists no distribution that can be used"
