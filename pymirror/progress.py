"""How work reports itself: the library never imports the terminal."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told of work as it goes. Called from several threads."""

    def phase(self, name: str, *, items: int, size: int | None = None) -> None:
        """A phase begins: ``items`` things to do, of ``size`` bytes where that is known."""

    def item(self) -> None:
        """One thing of the phase is done, well or badly."""

    def expect(self, size: int) -> None:
        """``size`` bytes more (or, negative, fewer) than was known when the phase began."""

    def received(self, size: int) -> None:
        """``size`` bytes have arrived."""

    def note(self, message: str) -> None:
        """An event worth a line when the user asked for detail."""

    def warn(self, message: str) -> None:
        """An event worth a line in any case: something is not as it should be."""


class NoProgress:
    """Says nothing."""

    def phase(self, name: str, *, items: int, size: int | None = None) -> None:
        pass

    def item(self) -> None:
        pass

    def expect(self, size: int) -> None:
        pass

    def received(self, size: int) -> None:
        pass

    def note(self, message: str) -> None:
        pass

    def warn(self, message: str) -> None:
        pass
