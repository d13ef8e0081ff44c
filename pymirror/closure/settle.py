"""The newest of everything, where nothing stands in the way: then there is nothing to search for.

Most roots are like that. Every project is taken in the newest release that meets all that is asked of it, again and
again, until nothing changes; what is reached so meets every requirement. Where two requirements have nothing in common,
or it never comes to rest, the search of ``resolvelib`` must find older releases that go together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from packaging.utils import NormalizedName

from pymirror.closure.catalog import Candidate, Catalog
from pymirror.closure.explore import MAX_KEYS, ask_ahead
from pymirror.closure.model import AskProject, Question
from pymirror.closure.requirements import Need
from pymirror.closure.trail import TooManyError, UnansweredError

_MAX_PASSES = 20

_Pins = dict[NormalizedName, Candidate | None]


def settle(catalog: Catalog, needs: Sequence[Need], misses: Counter[str]) -> dict[NormalizedName, Candidate] | None:
    """A release for each project that ``needs`` lead to, or ``None`` where these must be searched for.

    ``misses`` counts what was missing of each project before. Raises UnansweredError with all that was missed on the
    way, and TooManyError.
    """
    pins: _Pins = {}
    for _ in range(_MAX_PASSES):
        walk = _Walk(catalog, pins, misses)
        walk.go(needs)
        settled: _Pins = {project: walk.choose(project) for project in walk.asked}
        if walk.missing:
            raise UnansweredError(walk.missing, candidates=walk.awaited, needs=walk.unlisted)
        if settled == pins:
            found = {project: candidate for project, candidate in settled.items() if candidate is not None}
            return found if len(found) == len(settled) else None
        pins = settled
    return None


class _Walk:
    """From the root along the requirements, through the releases of the pass before."""

    def __init__(
        self, catalog: Catalog, before: Mapping[NormalizedName, Candidate | None], misses: Counter[str]
    ) -> None:
        self.asked: dict[NormalizedName, list[Need]] = {}
        self.missing: set[Question] = set()
        self.awaited: list[Candidate] = []
        self.unlisted: list[Need] = []
        self._catalog = catalog
        self._pins = dict(before)
        self._misses = misses

    def go(self, needs: Sequence[Need]) -> None:
        queue = list(needs)
        seen: set[str] = set()
        for need in queue:  # grows on the way
            self.asked.setdefault(need.project, []).append(need)
            if need.key in seen:
                continue
            seen.add(need.key)
            if len(seen) > MAX_KEYS:
                raise TooManyError
            if self._catalog.listing(need.project) is None:
                self.missing.add(AskProject(need.project))
                self.unlisted.append(need)
                continue
            candidate = self._pins.get(need.project) or self.choose(need.project)
            self._pins[need.project] = candidate
            if candidate is not None:
                inner = self._catalog.needs_of(self._catalog.with_extra(candidate, need.extra))
                queue += [need for need in inner if need.only is None]

    def choose(self, project: NormalizedName) -> Candidate | None:
        """The newest release that meets all that is asked so far."""
        if self._catalog.listing(project) is None:
            return None
        candidates = iter(self._catalog.matches(project, self.asked[project]))
        for candidate in candidates:
            if not self._catalog.is_known(candidate):
                self.missing |= ask_ahead(self._catalog, candidate, candidates, 2 ** self._misses[project])
                self._misses[project] += 1
                self.awaited.append(candidate)
                return None
            if self._catalog.refusal(candidate) is None:
                return candidate
        return None
