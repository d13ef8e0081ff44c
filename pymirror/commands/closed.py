"""What came of the dependencies of a spec; and that of a spec that asks for none, which needs no resolver."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from packaging.utils import NormalizedName

from pymirror.plan import Failure

if TYPE_CHECKING:
    from pymirror.closure.model import Outcome
    from pymirror.commands.sizes import Page
    from pymirror.download import Download
    from pymirror.selection.model import Need


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """What came of it: the outcome of every root, what each project must have, and what could not be had."""

    outcomes: tuple[Outcome, ...] = ()
    needs: Mapping[NormalizedName, tuple[Need, ...]] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()


class NoDependencies:
    """Where the spec wants no dependency."""

    is_asked = False

    def __init__(self) -> None:
        self.pages: dict[NormalizedName, Page] = {}

    def close(self, *_: object) -> Closed:
        return Closed()

    def learn(self, downloads: Iterable[Download]) -> bool:
        """Nothing is to be resolved again."""
        del downloads
        return False

    def list_missed(self) -> list[Failure]:
        return []
