"""What every reader of a lock file is given and returns."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field

from packaging.specifiers import SpecifierSet

from pymirror.errors import Problem
from pymirror.spec.model import Origin, Pin, Unservable

NOT_PINNED = "is not pinned with =="
"""What is said of a requirement that is no lock; the end of the problem's message."""

ReadNested = Callable[[str], bytes]
"""Reads a file that a lock names, by its ``/``-separated path from the folder of the spec. Raises :class:`OSError`."""


class LockFormat(enum.StrEnum):
    """The formats that are read."""

    REQUIREMENTS = "requirements.txt"
    PYLOCK = "pylock.toml"
    UV = "uv.lock"
    POETRY = "poetry.lock"
    PDM = "pdm.lock"
    PIPENV = "Pipfile.lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """The content of a lock file; ``problems`` make the spec unusable, ``unservable`` lines are reported."""

    pins: tuple[Pin, ...] = ()
    unservable: tuple[Unservable, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LooseRequirement:
    """What a requirements file wants of a project under one marker, pinned or not.

    ``has_hashes`` tells whether hashes say which of its files are allowed. ``origin`` is the first line.
    """

    name: str
    origin: Origin
    specifier: SpecifierSet = field(default_factory=SpecifierSet)
    extras: frozenset[str] = frozenset()
    marker: str | None = None
    has_hashes: bool = False

    @property
    def text(self) -> str:
        """``requests[socks]<3,>=2 ; os_name == "posix"``."""
        extras = f"[{','.join(sorted(self.extras))}]" if self.extras else ""
        marker = f" ; {self.marker}" if self.marker else ""
        return f"{self.name}{extras}{self.specifier}{marker}"
