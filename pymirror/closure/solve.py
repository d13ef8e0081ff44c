"""One root solved with what is known, or what must be known for it."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from packaging.utils import NormalizedName
from resolvelib import BaseReporter
from resolvelib.resolvers import Resolution, ResolutionImpossible, ResolutionTooDeep

from pymirror.closure.catalog import Candidate, Catalog
from pymirror.closure.explain import explain
from pymirror.closure.explore import MAX_KEYS
from pymirror.closure.model import Edge, Outcome, Pick, Root, Solution, Unsolved
from pymirror.closure.provider import Provider
from pymirror.closure.requirements import Need
from pymirror.closure.settle import settle
from pymirror.closure.trail import TooManyError, Trail

if TYPE_CHECKING:
    from resolvelib.structs import RequirementInformation, State

MAX_ROUNDS = 50_000
_MAX_CAREFUL_ROUNDS = 1_000


class Stage(enum.Enum):
    """How far a root is. None is gone back to: each ends only where all its facts were there."""

    SETTLING = enum.auto()
    SEARCHING = enum.auto()
    SEARCHING_CAREFULLY = enum.auto()
    DONE = enum.auto()


@dataclass(slots=True, eq=False, kw_only=True)
class Task:
    """A root on its way to its outcome.

    The explorer goes ahead of it on its ``account``. A search ends after ``max_rounds``, and after five times as many
    where each ended with a question.
    """

    root: Root
    catalog: Catalog
    needs: tuple[Need, ...]
    account: int
    max_rounds: int
    stage: Stage = Stage.SETTLING
    outcome: Outcome | None = None
    failure: Unsolved | None = None
    rounds: int = 0
    misses: Counter[str] = field(default_factory=Counter)


def solve(task: Task) -> None:
    """Give ``task`` its outcome. Raises UnansweredError where facts are missing."""
    try:
        if task.stage is Stage.SETTLING:
            _settle(task)
        if task.stage is Stage.SEARCHING:
            _search(task)
        if task.stage is Stage.SEARCHING_CAREFULLY:
            _search_carefully(task)
    except TooManyError:
        _end(task, Unsolved(root=task.root, problem=f"{task.root.name} needs more than {MAX_KEYS} projects and extras"))


def _end(task: Task, outcome: Outcome | None) -> None:
    task.outcome, task.stage = outcome, Stage.DONE


def _settle(task: Task) -> None:
    pins = settle(task.catalog, task.needs, task.misses)
    if pins is None:
        task.stage = Stage.SEARCHING
    else:
        _end(task, _make_solution(task, pins))


def _search(task: Task) -> None:
    trail = Trail(task.needs)
    projects: list[NormalizedName] = []
    try:
        pins = _resolve(task, trail, max_rounds=task.max_rounds)
    except ResolutionImpossible as error:
        projects = [cause.requirement.project for cause in error.causes]
    except ResolutionTooDeep:
        problem = f"too many ways were tried; one of them: {explain(task.root, task.catalog, trail, [])}"
        _end(task, Unsolved(root=task.root, problem=problem, is_error=trail.has_errors))
        return
    else:
        if _is_sound(task, pins):
            _end(task, _make_solution(task, pins))
            return
    problem = explain(task.root, task.catalog, trail, projects)
    task.failure = Unsolved(root=task.root, problem=problem, is_error=trail.has_errors)
    task.stage = Stage.SEARCHING_CAREFULLY


def _search_carefully(task: Task) -> None:
    """Again, where resolvelib found nothing, or something that does not hold: it leaps back, now and then too far, and
    may forget what a release needs that it takes back and takes again.
    """
    try:
        pins = _resolve(task, Trail(task.needs), max_rounds=min(task.max_rounds, _MAX_CAREFUL_ROUNDS), is_careful=True)
    except (ResolutionImpossible, ResolutionTooDeep):
        _end(task, task.failure)
    else:
        _end(task, _make_solution(task, pins) if _is_sound(task, pins) else task.failure)


def _resolve(
    task: Task, trail: Trail, *, max_rounds: int, is_careful: bool = False
) -> Mapping[NormalizedName, Candidate]:
    """A release of each project, and of some that are not needed. Raises what resolvelib does where there is none."""
    order = {need.key: index for index, need in reversed([*enumerate(task.needs)])}
    provider = Provider(task.catalog, trail, task.misses, order)
    resolution = Resolution(provider, _Reporter(task, provider if is_careful else None))
    state = resolution.resolve(task.needs, max_rounds=max_rounds)
    return {
        candidate.option.project: candidate
        for key, candidate in state.mapping.items()
        if key == candidate.option.project
    }


class _Reporter(BaseReporter[Need, Candidate, str]):
    """Ends a search where all searches for its root took too long together; tells ``provider`` of each step back."""

    def __init__(self, task: Task, provider: Provider | None) -> None:
        self._task = task
        self._provider = provider

    def starting_round(self, index: int) -> None:
        self._task.rounds += 1
        if self._task.rounds > 5 * self._task.max_rounds:
            raise ResolutionTooDeep(index)
        if self._provider is not None:
            self._provider.go_on()

    def ending_round(self, index: int, state: State[Need, Candidate, str]) -> None:  # noqa: ARG002
        if self._provider is None:
            return
        for key, candidate in [*state.mapping.items()][:-1]:
            needs = state.criteria[key].iter_requirement() if key in state.criteria else ()
            if not all(self._task.catalog.accepts(need, candidate) for need in needs):
                del state.mapping[key]  # resolvelib forgot what it needs, and might find it fitting again later

    def resolving_conflicts(self, causes: Collection[RequirementInformation[Need, Candidate]]) -> None:
        if self._provider is not None:
            self._provider.step_back([*causes])


# ── the solution ────────────────────────────────────────────────────────────────────────────────────


def _is_sound(task: Task, pins: Mapping[NormalizedName, Candidate]) -> bool:
    """Whether everything that the root leads to meets all that is asked of it."""
    queue = list(task.needs)
    seen: set[Need] = set()
    for need in queue:  # grows on the way
        if need in seen:
            continue
        seen.add(need)
        candidate = pins.get(need.project)
        if candidate is None or not task.catalog.accepts(need, candidate):
            return False
        queue += task.catalog.needs_of(task.catalog.with_extra(candidate, need.extra))
    return True


def _make_solution(task: Task, pins: Mapping[NormalizedName, Candidate]) -> Solution:
    """What the root leads to; a release that was chosen for one that was given up again is left behind."""
    edges: dict[NormalizedName, set[Edge]] = {}
    asked: dict[NormalizedName, list[Need]] = {}
    queue: list[tuple[NormalizedName | None, Need]] = [(None, need) for need in task.needs]
    seen: set[str] = set()
    for parent, need in queue:  # grows on the way
        asked.setdefault(need.project, []).append(need)
        edges.setdefault(need.project, set()).add(Edge(parent=parent, requirement=need.text))
        if need.key not in seen:
            seen.add(need.key)
            candidate = task.catalog.with_extra(pins[need.project], need.extra)
            queue += [(need.project, inner) for inner in task.catalog.needs_of(candidate) if inner.only is None]
    picks = tuple(
        Pick(
            option=pins[project].option,
            extras=tuple(sorted({need.extra for need in needs if need.extra is not None})),
            edges=tuple(sorted(edges[project], key=lambda edge: (edge.parent or "", edge.requirement))),
        )
        for project, needs in sorted(asked.items())
    )
    unproven: list[str] = []
    warnings: list[str] = []
    for pick in picks:
        candidate = pins[pick.option.project]
        reading = task.catalog.reading(candidate)
        if reading is not None and not reading.needs.is_known:
            unproven.append(candidate.name)
        elif reading is not None:
            missing = [extra for extra in pick.extras if extra not in reading.needs.extras]
            warnings += [f'{candidate.name} has no extra "{extra}"' for extra in missing]
        warnings += _passed_over(task.catalog, candidate, asked[pick.option.project])
    return Solution(root=task.root, picks=picks, unproven=tuple(unproven), warnings=tuple(warnings))


def _passed_over(catalog: Catalog, chosen: Candidate, needs: list[Need]) -> list[str]:
    """The newer releases that no installer takes for what they say of themselves.

    That one is for another Python is nothing to warn of.
    """
    warnings = []
    for candidate in catalog.matches(chosen.option.project, needs):
        if candidate is chosen:
            break
        reading = catalog.reading(candidate)
        if reading is not None and reading.problem is not None:
            warnings.append(f"{candidate.name} is passed over: {reading.problem}")
    return warnings
