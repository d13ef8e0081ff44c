"""What an attempt came by: who asked for what, where it found nothing to choose, and how it may end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from packaging.utils import NormalizedName

from pymirror.closure.catalog import Candidate
from pymirror.closure.model import Question
from pymirror.closure.requirements import Need


class UnansweredError(Exception):
    """Facts are missing: the attempt ends here. ``needs`` and ``candidates`` are what the explorer may go on from."""

    def __init__(
        self, questions: Iterable[Question], *, needs: Sequence[Need] = (), candidates: Sequence[Candidate] = ()
    ) -> None:
        self.questions, self.needs, self.candidates = frozenset(questions), tuple(needs), tuple(candidates)
        super().__init__()


class TooManyError(Exception):
    """More projects than any root needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """``need`` as it was asked for by ``parent``; ``None`` is the root."""

    need: Need
    parent: Candidate | None


class Trail:
    """Kept by one attempt, in the order of events."""

    def __init__(self, needs: tuple[Need, ...]) -> None:
        self.conflicts: dict[NormalizedName, tuple[Asked, ...]] = {}
        self.has_errors = False
        self._parents: dict[Need, Candidate | None] = dict.fromkeys(needs)
        self._asked: dict[str, dict[Candidate | None, Need]] = {}
        self._followed: set[Candidate] = set()
        self._given_up: dict[str, set[str]] = {}
        for need in needs:
            self._asked.setdefault(need.key, {})[None] = need

    def follow(self, candidate: Candidate, needs: tuple[Need, ...]) -> None:
        """``candidate`` is tried, and asks for ``needs``."""
        for need in needs:
            self._parents[need] = candidate
        if candidate in self._followed:
            return
        self._followed.add(candidate)
        for need in needs:
            self._asked.setdefault(need.key, {})[candidate] = need

    def conflict(self, project: NormalizedName, needs: list[Need]) -> None:
        """Nothing meets ``needs`` all together; the first time is kept, when the newest of everything was tried."""
        if project not in self.conflicts:
            unique = dict.fromkeys(needs)
            self.conflicts[project] = tuple(Asked(need=need, parent=self._parents.get(need)) for need in unique)

    def relevant(self, keys: Iterable[str]) -> set[str]:
        """The keys whose choice can have to do with ``keys``: they themselves, and all that ever led there."""
        found: set[str] = set()
        queue = list(keys)
        for key in queue:  # grows on the way
            if key not in found:
                found.add(key)
                queue += [parent.key for parent in self._asked.get(key, {}) if parent is not None]
                queue += self._given_up.get(key, ())
        return found

    def give_up(self, candidate: Candidate, relevant: set[str]) -> None:
        """``candidate`` is no longer tried, for the sake of what is ``relevant``."""
        self._given_up.setdefault(candidate.key, set()).update(relevant)

    def chain(self, candidate: Candidate) -> list[Candidate]:
        """The shortest way from the root to ``candidate``, with it at the end."""
        ways: dict[Candidate, Candidate | None] = {candidate: None}
        queue = [candidate]
        for current in queue:  # grows on the way
            for parent, need in self._asked.get(current.key, {}).items():
                if need.only not in (None, current.option) or not need.specifier.contains(
                    current.option.version, prereleases=True
                ):
                    continue
                if parent is None:
                    way: list[Candidate] = []
                    step: Candidate | None = current
                    while step is not None:
                        way.append(step)
                        step = ways[step]
                    return way
                if parent not in ways:
                    ways[parent] = current
                    queue.append(parent)
        return [candidate]
