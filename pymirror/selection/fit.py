"""Which environments a file suits: by the tags of a wheel, and by ``requires-python``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from packaging.tags import Tag

from pymirror.environment import Environment, find_tags, meets_marker, suits_python
from pymirror.spec.model import PackageType

if TYPE_CHECKING:
    from pymirror.selection.candidates import Candidate

Mask = int
"""A set of environments, a bit each."""


class Fit:
    """The environments of one rule. A page has thousands of files, but few sets of tags: each is judged once.

    Without environments there is one that everything suits.
    """

    def __init__(
        self,
        environments: tuple[Environment, ...] | None,
        marker: str | None = None,
        extras: frozenset[str] = frozenset(),
        groups: frozenset[str] = frozenset(),
    ) -> None:
        self._all = environments
        self.environments: tuple[Environment, ...] = tuple(
            each
            for each in environments or ()
            if marker is None or meets_marker(each, marker, extras=extras, groups=groups)
        )
        self.is_any = environments is None
        self.every: Mask = 1 if self.is_any else (1 << len(self.environments)) - 1
        self._by_tags: dict[frozenset[Tag], Mask] = {}
        self._by_python: dict[str | None, Mask] = {}

    def by_tags(self, candidate: Candidate) -> Mask:
        """The environments that can install the wheel; all of them, where the file has no tags."""
        tags = candidate.distribution.tags
        if self.is_any or candidate.distribution.package_type is not PackageType.BDIST_WHEEL:
            return self.every
        if tags not in self._by_tags:
            self._by_tags[tags] = _mask(not tags.isdisjoint(find_tags(each)) for each in self.environments)
        return self._by_tags[tags]

    def by_python(self, candidate: Candidate) -> Mask:
        """The environments whose Python is one that the file requires."""
        text = candidate.file.requires_python
        if self.is_any or not text:
            return self.every
        if text not in self._by_python:
            self._by_python[text] = _mask(suits_python(each, text) for each in self.environments)
        return self._by_python[text]

    def of(self, candidate: Candidate) -> Mask:
        """The environments that the file can be installed in."""
        return self.by_tags(candidate) & self.by_python(candidate)

    def bits(self) -> Iterable[Mask]:
        """Each environment on its own."""
        return (1 << index for index in range(1 if self.is_any else len(self.environments)))


def _mask(answers: Iterable[bool]) -> Mask:
    return sum(1 << index for index, answer in enumerate(answers) if answer)
