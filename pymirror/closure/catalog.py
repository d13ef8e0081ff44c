"""What may be chosen in one environment, as far as the facts go.

Which releases a requirement lets in is decided as pip does: PEP 440 for versions and pre-releases, PEP 592 for yanked
ones. Where pip and uv would pass a release over, it is passed over here, and the reason is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from pymirror.closure.model import Facts, NoNeeds, Option, Options
from pymirror.closure.requirements import Line, Need, need_only, quote_requirement, read_requirement
from pymirror.environment import Environment, meets_marker, suits_python
from pymirror.errors import printable
from pymirror.needs import Needs

_MAX_REQUIRES = 10_000  # of one distribution; the largest have some hundreds
_MAX_REPEATS = 1_000  # on one project


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """An option, or one extra of it: what a resolution chooses. Two are the same only where they are one object."""

    key: str
    option: Option
    extra: NormalizedName | None

    @property
    def name(self) -> str:
        """``foo 1.0``."""
        return f"{self.option.project} {self.option.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a file needs, its requirements parsed; with ``problem``, why no installer takes it."""

    needs: Needs
    lines: tuple[Line, ...] = ()
    problem: str | None = None
    is_error: bool = False


class Readings:
    """The needs of files, parsed once for all environments."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._known: dict[tuple[NormalizedName, str], Reading] = {}

    def read(self, option: Option) -> Reading | None:
        """``None`` where nobody has answered yet."""
        key = (option.project, option.filename)
        reading = self._known.get(key)
        if reading is None:
            needs = self._facts.needs(option)
            if needs is None:
                return None
            reading = self._known[key] = _read(needs)
        return reading


def _read(needs: Needs | NoNeeds) -> Reading:
    if isinstance(needs, NoNeeds):
        return Reading(needs=Needs(is_known=False), problem=printable(needs.problem), is_error=needs.is_error)
    if len(needs.requires) > _MAX_REQUIRES:
        return Reading(needs=needs, problem=f"its {needs.source} has {len(needs.requires)} requirements")
    lines = []
    for text in needs.requires:
        try:
            lines.append(read_requirement(text))
        except ValueError as error:
            return Reading(needs=needs, problem=f"its {needs.source} says {quote_requirement(text)}, which {error}")
    counts = Counter(line.needs[0].project for line in lines)
    if counts and (most := max(counts.values())) > _MAX_REPEATS:
        return Reading(needs=needs, problem=f"its {needs.source} has {most} requirements on one project")
    return Reading(needs=needs, lines=tuple(lines))


class Catalog:
    """The options of an environment and what each needs there; every question is answered once."""

    def __init__(self, environment: Environment, facts: Facts, readings: Readings) -> None:
        self.environment = environment
        self._facts = facts
        self._readings = readings
        self._listings: dict[NormalizedName, Options] = {}
        self._matches: dict[tuple[NormalizedName, NormalizedName | None, frozenset[str]], tuple[Candidate, ...]] = {}
        self._meeting: dict[tuple[NormalizedName, str], frozenset[Candidate]] = {}
        self._candidates: dict[Option, Candidate] = {}
        self._extras: dict[tuple[Candidate, NormalizedName], Candidate] = {}
        self._refusals: dict[Candidate, str | None] = {}
        self._needs: dict[Candidate, tuple[Need, ...]] = {}
        self._nobodies: dict[str, Candidate] = {}
        self._accepted: dict[tuple[Need, Candidate], bool] = {}

    def listing(self, project: NormalizedName) -> Options | None:
        """What there is of ``project``; ``None`` where nobody has answered yet."""
        listing = self._listings.get(project)
        if listing is None:
            listing = self._facts.options(project, self.environment)
            if listing is not None:
                self._listings[project] = listing
        return listing

    def matches(
        self, project: NormalizedName, needs: Sequence[Need], extra: NormalizedName | None = None
    ) -> tuple[Candidate, ...]:
        """What meets all of ``needs`` on ``project``, the newest first; its listing must be known."""
        key = (project, extra, frozenset([need.condition for need in needs]))
        found = self._matches.get(key)
        if found is None:
            if extra is None:
                found = self._find(project, {need.condition: need for need in needs}.values())
            else:
                found = tuple(self.with_extra(base, extra) for base in self.matches(project, needs))
            self._matches[key] = found
        return found

    def _find(self, project: NormalizedName, needs: Collection[Need]) -> tuple[Candidate, ...]:
        meeting = [self._find_meeting(need) for need in needs]
        if any(need.only for need in needs):  # the pre-release or yanked option was chosen before: its project follows
            return tuple(frozenset.intersection(*meeting))
        everything = [self.candidate(option) for option in self._listings[project].options]
        found = [candidate for candidate in everything if all(candidate in each for each in meeting)]
        if not any(need.takes_prereleases for need in needs):
            found = [each for each in found if not each.option.version.is_prerelease] or found
        usable = [each for each in found if not each.option.is_yanked]
        return tuple(usable or (found if any(need.is_pinned for need in needs) else ()))

    def _find_meeting(self, need: Need) -> frozenset[Candidate]:
        """What meets ``need`` by its version alone."""
        key = (need.project, need.condition)
        found = self._meeting.get(key)
        if found is None:
            options: Iterable[Option] = () if need.has_url else self._listings[need.project].options
            if need.only is not None:
                options = (need.only,)
            options = need.specifier.filter(options, prereleases=True, key=lambda option: option.version)
            found = self._meeting[key] = frozenset(self.candidate(option) for option in options)
        return found

    def candidate(self, option: Option) -> Candidate:
        found = self._candidates.get(option)
        if found is None:
            found = self._candidates[option] = Candidate(key=option.project, option=option, extra=None)
        return found

    def with_extra(self, candidate: Candidate, extra: NormalizedName | None) -> Candidate:
        """``extra`` of the release that ``candidate`` is; itself where there is none."""
        if extra is None:
            return candidate
        found = self._extras.get((candidate, extra))
        if found is None:
            key = f"{candidate.option.project}[{extra}]"
            found = self._extras[candidate, extra] = Candidate(key=key, option=candidate.option, extra=extra)
        return found

    def nobody(self, key: str) -> Candidate:
        """What is chosen for ``key`` where nothing asks for it any more: nothing, which needs nothing."""
        found = self._nobodies.get(key)
        if found is None:
            option = Option(project=canonicalize_name(""), version=Version("0"), filename="")
            found = self._nobodies[key] = Candidate(key=key, option=option, extra=None)
            self._needs[found] = ()
        return found

    def accepts(self, need: Need, candidate: Candidate) -> bool:
        """Whether ``candidate``, which was found for ``need`` among others, meets it."""
        found = self._accepted.get((need, candidate))
        if found is None:
            found = need.only in (None, candidate.option) and need.project == candidate.option.project
            found = found and not need.has_url and need.specifier.contains(candidate.option.version, prereleases=True)
            self._accepted[need, candidate] = found
        return found

    def reading(self, candidate: Candidate) -> Reading | None:
        """What its file says; ``None`` where nobody has answered yet."""
        return self._readings.read(candidate.option)

    def is_known(self, candidate: Candidate) -> bool:
        return candidate in self._refusals or self._readings.read(candidate.option) is not None

    def refusal(self, candidate: Candidate) -> str | None:
        """Why no installer takes ``candidate`` here, by its own metadata; its reading must be known."""
        try:
            return self._refusals[candidate]
        except KeyError:
            refusal = self._refusals[candidate] = self._judge(candidate.option)
            return refusal

    def _judge(self, option: Option) -> str | None:
        reading = self._reading_of(option)
        if reading.problem is not None:
            return reading.problem
        requires_python = reading.needs.requires_python
        if requires_python and not suits_python(self.environment, requires_python):
            return f"it needs Python {printable(requires_python, limit=80)}"
        return None

    def needs_of(self, candidate: Candidate) -> tuple[Need, ...]:
        """What ``candidate`` needs here; its reading must be known. An extra needs its own project first."""
        found = self._needs.get(candidate)
        if found is None:
            found = self._needs[candidate] = tuple(self._find_needs(candidate))
        return found

    def _find_needs(self, candidate: Candidate) -> Iterable[Need]:
        lines = self._reading_of(candidate.option).lines
        if candidate.extra is None:
            return dict.fromkeys(need for line in lines if self._holds(line) for need in line.needs)
        extras = frozenset({candidate.extra})
        added = (
            need
            for line in lines
            if line.marker is not None and not self._holds(line) and self._holds(line, extras)
            for need in line.needs
            if need.key != candidate.key
        )
        return dict.fromkeys((need_only(candidate.option), *added))

    def _holds(self, line: Line, extras: frozenset[str] = frozenset()) -> bool:
        if line.marker is None or (extras and "extra" not in line.marker):
            return line.marker is None
        return meets_marker(self.environment, line.marker, extras=extras)

    def _reading_of(self, option: Option) -> Reading:
        reading = self._readings.read(option)
        if reading is None:
            raise LookupError(f"nobody has asked what {option.filename} needs")
        return reading
