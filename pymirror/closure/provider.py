"""What ``resolvelib`` asks while it resolves one root, answered as pip answers it.

A project with an extra is a thing of its own, which needs the project itself in the same version.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from resolvelib import AbstractProvider

from pymirror.closure.catalog import Candidate, Catalog
from pymirror.closure.explore import MAX_KEYS, ask_ahead
from pymirror.closure.model import AskProject
from pymirror.closure.requirements import Need
from pymirror.closure.trail import TooManyError, Trail, UnansweredError

if TYPE_CHECKING:
    from resolvelib.structs import RequirementInformation

    Information = RequirementInformation[Need, Candidate]

_PROMOTING_CONFLICTS = 5


class Provider(AbstractProvider[Need, Candidate, str]):
    """For one attempt. ``misses`` counts what was missing of each project in the attempts before."""

    def __init__(self, catalog: Catalog, trail: Trail, misses: Counter[str], order: Mapping[str, int]) -> None:
        self._catalog = catalog
        self._trail = trail
        self._misses = misses
        self._order = order
        self._conflicts: Counter[str] = Counter()
        self._promoted: set[str] = set()
        self._relevant: set[str] | None = None
        self._cause: Need | None = None

    def step_back(self, causes: Sequence[Information]) -> None:
        """Until :meth:`go_on`, have resolvelib take back whatever ``causes`` can have to do with, and nothing else.

        By itself it takes back what stands in the way most likely, and may leap over the one choice that would help. It
        stops where a release needs a part of the conflict, so all that are relevant are said to.
        """
        needs = [need for need, _ in causes]
        parents = [parent.key for _, parent in causes if parent is not None]
        self._relevant = self._trail.relevant([*(need.key for need in needs), *parents])
        self._cause = needs[0]

    def go_on(self) -> None:
        self._relevant = None

    def identify(self, requirement_or_candidate: Need | Candidate) -> str:
        return requirement_or_candidate.key

    def find_matches(
        self,
        identifier: str,
        requirements: Mapping[str, Iterator[Need]],
        incompatibilities: Mapping[str, Iterator[Candidate]],
    ) -> Sequence[Candidate] | Callable[[], Iterator[Candidate]]:
        needs = list(requirements[identifier])
        if len(needs) == 1 and len(requirements) > MAX_KEYS:
            raise TooManyError
        if not needs:  # what asked for it was given up
            return (self._catalog.nobody(identifier),)
        first = needs[0]
        if first.extra is not None and first.project in requirements:
            needs += requirements[first.project]
        listing = self._catalog.listing(first.project)
        if listing is None:
            raise UnansweredError({AskProject(first.project)}, needs=needs)
        if listing.is_error:
            self._trail.has_errors = True
        candidates = self._catalog.matches(first.project, needs, first.extra)
        excluded = set(incompatibilities[identifier])

        def iterate() -> Iterator[Candidate]:
            rest = iter(candidates)
            for candidate in rest:
                if candidate not in excluded and self._is_taken(candidate, rest):
                    yield candidate

        if next(iterate(), None) is None:
            self._trail.conflict(first.project, needs)
        return iterate

    def _is_taken(self, candidate: Candidate, rest: Iterator[Candidate]) -> bool:
        """Whether an installer would take ``candidate``, as far as its own metadata tell."""
        if not self._catalog.is_known(candidate):
            key = candidate.option.project
            ahead = 2 ** self._misses[key]
            self._misses[key] += 1
            raise UnansweredError(ask_ahead(self._catalog, candidate, rest, ahead), candidates=[candidate])
        if self._catalog.refusal(candidate) is None:
            return True
        reading = self._catalog.reading(candidate)
        if reading is not None and reading.is_error:
            self._trail.has_errors = True
        return False

    def is_satisfied_by(self, requirement: Need, candidate: Candidate) -> bool:
        return self._catalog.accepts(requirement, candidate)

    def get_dependencies(self, candidate: Candidate) -> Sequence[Need]:
        if self._relevant is not None and self._cause is not None:
            if candidate.key not in self._relevant:
                return ()
            self._trail.give_up(candidate, self._relevant)
            return (self._cause,)
        needs = self._catalog.needs_of(candidate)
        self._trail.follow(candidate, needs)
        return needs

    def narrow_requirement_selection(
        self,
        identifiers: Iterable[str],
        resolutions: Mapping[str, Candidate],
        candidates: Mapping[str, Iterator[Candidate]],  # noqa: ARG002 - resolvelib passes it by name
        information: Mapping[str, Iterator[Information]],  # noqa: ARG002
        backtrack_causes: Sequence[Information],
    ) -> Iterable[str]:
        """Of what is to be chosen: what the last conflict was about, else what was in conflict often."""
        causes: set[str] = set()
        for requirement, parent in backtrack_causes:
            for name in (requirement.key, *([parent.key] if parent else [])):
                causes.add(name)
                if name not in resolutions:
                    self._conflicts[name] += 1
                    if self._conflicts[name] >= _PROMOTING_CONFLICTS:
                        self._promoted.add(name)
        if not causes and not self._promoted:
            return identifiers
        all_names = list(identifiers)
        return (
            [name for name in all_names if name in causes]
            or [name for name in all_names if name in self._promoted]
            or all_names
        )

    def get_preference(
        self,
        identifier: str,
        resolutions: Mapping[str, Candidate],  # noqa: ARG002
        candidates: Mapping[str, Iterator[Candidate]],  # noqa: ARG002
        information: Mapping[str, Iterator[Information]],
        backtrack_causes: Sequence[Information],  # noqa: ARG002
    ) -> tuple[bool, bool, bool, int, bool, str]:
        """What goes first: what is pinned, what is bounded above, what the root names, what is limited at all."""
        is_pinned = is_bounded = is_limited = False
        for need, _ in information[identifier]:
            is_pinned = is_pinned or need.is_pinned
            is_bounded = is_bounded or need.is_bounded
            is_limited = is_limited or not need.is_free
        order = self._order.get(identifier, len(self._order))
        is_promoted = identifier in self._promoted
        return (not is_promoted, not is_pinned, not is_bounded, order, not is_limited, identifier)
