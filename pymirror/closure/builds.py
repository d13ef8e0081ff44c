"""What it takes to build the sdists of the solutions: roots of their own, each once however many lead there.

https://peps.python.org/pep-0518/: ``build-system.requires`` is installed by itself, apart from what the sdist needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from packaging.requirements import Requirement

from pymirror.closure.catalog import Catalog
from pymirror.closure.model import Option, Outcome, Pick, Root, Solution, Unsolved, sort_outcomes
from pymirror.closure.requirements import parse_requirement, quote_requirement
from pymirror.closure.solve import Task
from pymirror.environment import Environment, meets_marker

_MAX_REQUIRES = 1000

_Key = tuple[Environment, str]


@dataclass(slots=True, eq=False, kw_only=True)
class Build:
    """The building of an sdist in one environment. ``problem`` is why its requirements cannot be solved at all."""

    root: Root
    problem: str | None = None
    task: Task | None = None

    @property
    def outcome(self) -> Outcome | None:
        if self.problem is not None:
            return Unsolved(root=self.root, problem=self.problem)
        return self.task.outcome if self.task else None


class Builds:
    """All of them, by environment and sdist."""

    def __init__(self) -> None:
        self._known: dict[_Key, Build] = {}

    def find_new(self, solution: Solution, catalog: Catalog) -> list[Build]:
        """The builds that ``solution`` is the first to ask for."""
        found = []
        for key, pick in built_picks(solution):
            if key not in self._known:
                self._known[key] = build = _make_build(pick.option, catalog)
                found.append(build)
        return found

    def outcome(self, key: _Key) -> Outcome | None:
        build = self._known.get(key)
        return build.outcome if build else None


def built_picks(solution: Solution) -> Iterator[tuple[_Key, Pick]]:
    """What must be built before ``solution`` can be installed."""
    if solution.root.build_dependencies:
        for pick in solution.picks:
            if pick.option.is_sdist:
                yield (solution.root.environment, pick.option.filename), pick


def _make_build(option: Option, catalog: Catalog) -> Build:
    reading = catalog.reading(catalog.candidate(option))
    texts = reading.needs.build_requires if reading else ()
    requirements: list[Requirement] = []
    problem = None
    name = f"{option.project} {option.version}"
    for text in texts[:_MAX_REQUIRES]:
        try:
            requirement = _read(text, catalog.environment)
        except ValueError as error:
            problem = f"{name} is built with {quote_requirement(text)}, which {error}"
            break
        if requirement is not None:
            requirements.append(requirement)
    if len(texts) > _MAX_REQUIRES:
        problem = f"{name} is built with {len(texts)} requirements, more than the limit of {_MAX_REQUIRES}"
    root = Root(name=name, requirements=tuple(requirements), environment=catalog.environment, built=name)
    return Build(root=root, problem=problem)


def _read(text: str, environment: Environment) -> Requirement | None:
    """``None`` where the marker does not hold. Raises ValueError with what is wrong with ``text``."""
    requirement = parse_requirement(text)
    if requirement.marker is not None and not meets_marker(environment, str(requirement.marker)):
        return None
    if requirement.url:
        raise ValueError("an index cannot serve")
    return requirement


# ── the outcomes ────────────────────────────────────────────────────────────────────────────────────


def place_builds(solved: Sequence[Outcome], builds: Builds) -> Iterator[Outcome]:
    """The outcomes of all builds that ``solved`` leads to, each below the first root that needs it.

    The first is the one that the fewest builds lie between, then the first by name: whatever came first in time.
    """
    ways: dict[Root, str] = {}
    placed: set[_Key] = set()
    level = list(solved)
    while level:
        following: list[Outcome] = []
        for parent in sort_outcomes(level):
            if not isinstance(parent, Solution):
                continue
            for key, pick in built_picks(parent):
                outcome = None if key in placed else builds.outcome(key)
                if outcome is None:
                    continue
                placed.add(key)
                before = ways.get(parent.root)
                chain = " → ".join(parent.chain(pick.option.project))
                way = f"{before}, built with {chain}" if before else chain
                child = _place(outcome, parent.root, way, _find_circle(key, builds))
                ways[child.root] = way
                following.append(child)
        yield from following
        level = following


def _place(outcome: Outcome, parent: Root, way: str, circle: Sequence[str]) -> Outcome:
    root = replace(outcome.root, name=parent.name, origin=parent.origin, parent=parent)
    if isinstance(outcome, Unsolved):
        return replace(outcome, root=root, problem=f"{way}: {outcome.problem}")
    if circle:
        return Unsolved(root=root, problem=f"{way}: {' is built with '.join(circle)}: only a wheel breaks the circle")
    return replace(outcome, root=root)


def _find_circle(key: _Key, builds: Builds) -> list[str]:
    """How the building of an sdist takes that sdist built, as names; empty where it does not."""
    seen: set[_Key] = set()
    outcome = builds.outcome(key)
    queue = [(key, [str(outcome.root.built)])] if outcome else []
    for current, way in queue:  # grows on the way
        outcome = builds.outcome(current)
        for inner, pick in built_picks(outcome) if isinstance(outcome, Solution) else ():
            longer = [*way, f"{pick.option.project} {pick.option.version}"]
            if inner == key:
                return longer
            if inner not in seen:
                seen.add(inner)
                queue.append((inner, longer))
    return []
