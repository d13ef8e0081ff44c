"""The questions and the answers of a resolution, as frozen values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from packaging.requirements import Requirement
from packaging.utils import NormalizedName
from packaging.version import Version

from pymirror.environment import Environment
from pymirror.needs import Needs
from pymirror.spec.model import Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A release that may be chosen in one environment, by the file that an installer would take there: the wheel whose
    tags rank highest, else the sdist.
    """

    project: NormalizedName
    version: Version
    filename: str
    is_sdist: bool = False
    is_yanked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A file that may not be chosen, and why: ``excluded: malware (mirror.yaml:12)``."""

    filename: str
    version: Version | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What there is of a project in one environment, one option for each version, the newest first.

    ``problem`` is why there is nothing to choose from, where the project itself could not be had; with ``is_error``
    this says nothing of what upstream has (a page that could not be read), else it is upstream's answer.
    """

    options: tuple[Option, ...]
    left_out: Sequence[LeftOut] = ()
    problem: str | None = None
    is_error: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NoNeeds:
    """Why the metadata of a file could not be had: the release is passed over. ``is_error`` as for :class:`Options`."""

    problem: str
    is_error: bool = True


@dataclass(frozen=True, slots=True, order=True)
class AskProject:
    """Which releases are there of ``project``?"""

    project: NormalizedName


@dataclass(frozen=True, slots=True, order=True)
class AskNeeds:
    """What does the file ``filename`` of ``project`` need?"""

    project: NormalizedName
    filename: str


Question = AskProject | AskNeeds


class Facts(Protocol):
    """What is known so far; ``None`` where nobody has asked yet. The answers never change once they are given."""

    def options(self, project: NormalizedName, environment: Environment) -> Options | None: ...

    def needs(self, option: Option) -> Needs | NoNeeds | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """Requirements that must be installable together in one environment.

    ``name`` is what messages and ``why`` call it: ``requests``, ``group web``. ``requirements`` have no URL, and their
    markers were judged already. With ``build_dependencies``, what it takes to build the sdists among its solution is
    solved too. ``built`` is the release that the root builds, as ``foo 1.0``, and ``parent`` the root that needs it.
    """

    name: str
    requirements: tuple[Requirement, ...]
    environment: Environment
    origin: Origin | None = None
    build_dependencies: bool = True
    built: str | None = None
    parent: Root | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """Why a project is in a solution: ``parent`` (``None`` is the root itself) asks for it by ``requirement``."""

    parent: NormalizedName | None
    requirement: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """A release of a solution, with the extras that are asked of it, and everything that asks for it."""

    option: Option
    extras: tuple[NormalizedName, ...]
    edges: tuple[Edge, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """What installs a root: ``picks`` in order of project.

    ``unproven`` names the picks whose needs only a build would tell (``foo 1.0``): of those, what is declared was
    taken. ``warnings`` are releases that were passed over for what their metadata say, and extras that no metadata
    name.
    """

    root: Root
    picks: tuple[Pick, ...]
    unproven: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def chain(self, project: NormalizedName) -> tuple[str, ...]:
        """The shortest way from the root to ``project``: ``("requests 2.32.3", "idna 3.10 (idna<4,>=2.5)")``.

        Raises KeyError where ``project`` is not in the solution.
        """
        picks = {pick.option.project: pick for pick in self.picks}
        ways: dict[NormalizedName, tuple[str, ...]] = {project: ()}
        queue = [project]
        for current in queue:  # grows on the way
            pick = picks[current]
            name = f"{current} {pick.option.version}"
            for edge in pick.edges:
                if edge.parent is None:
                    return (name, *ways[current])
            for edge in pick.edges:
                if edge.parent is not None and edge.parent not in ways:
                    ways[edge.parent] = (f"{name} ({edge.requirement})", *ways[current])
                    queue.append(edge.parent)
        raise KeyError(project)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsolved:
    """A root that nothing solves. ``problem`` names the chain, and the rule or the answer that stands in the way.

    ``is_error`` where an answer that could not be had may be the cause: then it says nothing of the root, and what was
    published for it stays.
    """

    root: Root
    problem: str
    is_error: bool = False


Outcome = Solution | Unsolved


def sort_outcomes(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """In order of root and environment."""
    return sorted(outcomes, key=_place_of)


def _place_of(outcome: Outcome) -> tuple[str, str, str, tuple[str, ...], str]:
    root = outcome.root
    requirements = tuple(str(requirement) for requirement in root.requirements)
    return root.name, root.built or "", root.environment.name, requirements, str(root.origin or "")
