"""Walks ahead of the resolution: the newest release that meets each requirement, and what that needs in turn.

What a resolution asks for one after the other is asked here for all roots in a few waves. Nothing is decided here.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass

from pymirror.closure.catalog import Candidate, Catalog
from pymirror.closure.model import AskNeeds, AskProject, Question
from pymirror.closure.requirements import Need

MAX_KEYS = 2000  # projects and extras of one root; the largest known have some hundreds
_MAX_AHEAD = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Step:
    """A requirement to follow, on account of the root ``account``."""

    catalog: Catalog
    need: Need
    account: int


class Explorer:
    """Follows each requirement once in each environment, however many roots lead there.

    What a root leads to first is counted on its account, so that an index without an end cannot lead on forever.
    """

    def __init__(self) -> None:
        self._steps: deque[_Step] = deque()
        self._waiting: list[_Step] = []
        self._awaited: list[tuple[Catalog, Candidate, int]] = []
        self._seen: set[tuple[Catalog, Need | Candidate | str]] = set()
        self._counts: Counter[int] = Counter()
        self._misses: Counter[_Step] = Counter()

    def follow(self, catalog: Catalog, need: Need, account: int) -> None:
        """Have ``need`` followed by the next :meth:`advance`."""
        if (catalog, need) in self._seen:
            return
        self._seen.add((catalog, need))
        if (catalog, need.key) not in self._seen:
            self._seen.add((catalog, need.key))
            self._counts[account] += 1
        if self._counts[account] <= MAX_KEYS:
            self._steps.append(_Step(catalog=catalog, need=need, account=account))

    def visit(self, catalog: Catalog, candidate: Candidate, account: int) -> None:
        """Have everything followed that ``candidate`` needs; its reading must be known."""
        if (catalog, candidate) in self._seen:
            return
        self._seen.add((catalog, candidate))
        for need in catalog.needs_of(candidate):
            if need.only is None:
                self.follow(catalog, need, account)
            else:
                self.visit(catalog, catalog.candidate(need.only), account)

    def await_candidate(self, catalog: Catalog, candidate: Candidate, account: int) -> None:
        """Visit ``candidate`` in the next :meth:`advance` that knows its reading."""
        self._awaited.append((catalog, candidate, account))

    def advance(self) -> frozenset[Question]:
        """Go as far as the facts go; what must be asked to go further."""
        awaited, self._awaited = self._awaited, []
        for catalog, candidate, account in awaited:
            if not catalog.is_known(candidate):
                self.await_candidate(catalog, candidate, account)
            elif catalog.refusal(candidate) is None:
                self.visit(catalog, candidate, account)
        self._steps.extend(self._waiting)
        self._waiting = []
        asked: set[Question] = set()
        while self._steps:
            asked |= self._take(self._steps.popleft())
        return frozenset(asked)

    def _take(self, step: _Step) -> set[Question]:
        catalog, need = step.catalog, step.need
        if need.has_url:
            return set()
        if catalog.listing(need.project) is None:
            self._waiting.append(step)
            return {AskProject(need.project)}
        candidates = iter(catalog.matches(need.project, [need]))
        for candidate in candidates:
            if not catalog.is_known(candidate):
                ahead = 2 ** self._misses[step] - 1
                self._misses[step] += 1
                self._waiting.append(step)
                return ask_ahead(catalog, candidate, candidates, ahead)
            if catalog.refusal(candidate) is None:
                self.visit(catalog, candidate, step.account)
                break
        return set()


def ask_ahead(catalog: Catalog, candidate: Candidate, others: Iterator[Candidate], ahead: int) -> set[Question]:
    """What is asked of ``candidate`` and, in the same breath, of the next ``ahead`` of ``others``.

    Not of sdists: what one of them needs is known only once it is here whole.
    """
    asked: set[Question] = {AskNeeds(candidate.option.project, candidate.option.filename)}
    for other in others:
        if len(asked) > min(ahead, _MAX_AHEAD):
            break
        if not other.option.is_sdist and not catalog.is_known(other):
            asked.add(AskNeeds(other.option.project, other.option.filename))
    return asked
