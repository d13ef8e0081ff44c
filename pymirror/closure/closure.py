"""All roots together: what must be asked next, until each is solved or known to be unsolvable."""

from __future__ import annotations

from collections.abc import Iterable

from pymirror.closure.builds import Build, Builds, place_builds
from pymirror.closure.catalog import Catalog, Readings
from pymirror.closure.explore import Explorer
from pymirror.closure.model import Facts, Outcome, Question, Root, Solution, sort_outcomes
from pymirror.closure.requirements import needs_of
from pymirror.closure.solve import MAX_ROUNDS, Task, solve
from pymirror.closure.trail import UnansweredError
from pymirror.environment import Environment


class Closure:
    """Fed by ``facts``: call :meth:`advance`, have the facts know what it asks for, and call it again.

    The outcomes are the same whatever the order of the roots and of the answers. A root is given up after
    ``max_rounds``, each of which chooses one release or takes some back.
    """

    def __init__(self, roots: Iterable[Root], facts: Facts, *, max_rounds: int = MAX_ROUNDS) -> None:
        self._facts = facts
        self._max_rounds = max_rounds
        self._readings = Readings(facts)
        self._catalogs: dict[Environment, Catalog] = {}
        self._explorer = Explorer()
        self._count = 0
        self._tasks = [self._make_task(root) for root in dict.fromkeys(roots)]
        self._open = list(self._tasks)
        self._builds = Builds()
        self._asked: frozenset[Question] = frozenset()

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """Those of the roots and of the builds that they led to, as far as there are any."""
        solved = [task.outcome for task in self._tasks if task.outcome is not None]
        return tuple(sort_outcomes([*solved, *place_builds(solved, self._builds)]))

    def advance(self) -> frozenset[Question]:
        """Go as far as the facts go; what must be answered to go further. Nothing where all is done.

        Raises LookupError where nothing was answered of what the call before asked for: it would be asked forever.
        """
        asked = self._find_questions()
        if asked and asked == self._asked:
            raise LookupError(f"nobody answers {min(asked, key=str)}")
        self._asked = asked
        return asked

    def _find_questions(self) -> frozenset[Question]:
        while True:
            asked = self._explorer.advance()
            if asked or not self._open:
                return asked
            asked = self._solve_open()
            if asked:
                return asked | self._explorer.advance()

    def _solve_open(self) -> frozenset[Question]:
        asked: set[Question] = set()
        unfinished: list[Task] = []
        solved: list[Task] = []
        for task in self._open:
            try:
                solve(task)
            except UnansweredError as missing:
                asked |= missing.questions
                unfinished.append(task)
                self._explore_from(task, missing)
                continue
            solved.append(task)
        self._open = unfinished
        for task in solved:
            if isinstance(task.outcome, Solution):
                for build in self._builds.find_new(task.outcome, task.catalog):
                    self._start(build)
        return frozenset(asked)

    def _explore_from(self, task: Task, missing: UnansweredError) -> None:
        for need in missing.needs:
            self._explorer.follow(task.catalog, need, task.account)
        for candidate in missing.candidates:
            self._explorer.await_candidate(task.catalog, candidate, task.account)

    def _start(self, build: Build) -> None:
        if build.problem is None:
            build.task = self._make_task(build.root)
            self._open.append(build.task)

    def _make_task(self, root: Root) -> Task:
        catalog = self._catalogs.get(root.environment)
        if catalog is None:
            catalog = self._catalogs[root.environment] = Catalog(root.environment, self._facts, self._readings)
        needs = tuple(dict.fromkeys(need for requirement in root.requirements for need in needs_of(requirement)))
        self._count += 1
        for need in needs:
            self._explorer.follow(catalog, need, self._count)
        return Task(root=root, catalog=catalog, needs=needs, account=self._count, max_rounds=self._max_rounds)
