"""What every reader of a lock file returns."""

from __future__ import annotations

from dataclasses import dataclass

from pymirror.errors import Problem
from pymirror.spec.model import Pin, Unservable


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """The content of a lock file; ``problems`` make the spec unusable, ``unservable`` lines are reported."""

    pins: tuple[Pin, ...] = ()
    unservable: tuple[Unservable, ...] = ()
    problems: tuple[Problem, ...] = ()
