"""What every reader of a lock file is given and returns."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

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
    """A line of a requirements file that need not pin: ``text`` is ``requests[socks]<3,>=2 ; os_name == "posix"``."""

    text: str
    is_exact: bool
    origin: Origin
