"""``30 s``, ``7 days``, ``2 GB``, ``10 MB/s``: amounts as people write them."""

from __future__ import annotations

import re

import msgspec

_AMOUNT = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*")

_SECONDS = {
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), 1),
    **dict.fromkeys(("min", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
    **dict.fromkeys(("w", "week", "weeks"), 604_800),
    **dict.fromkeys(("y", "year", "years"), 365 * 86_400),
}

_BYTES = {
    "": 1,
    "b": 1,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
    "tb": 1000**4,
    "kib": 1024,
    "mib": 1024**2,
    "gib": 1024**3,
    "tib": 1024**4,
}


def parse_duration(text: str) -> float | None:
    """Seconds in ``text``; a bare number counts seconds. ``None`` where it cannot be read."""
    return _amount(text, _SECONDS)


def parse_size(text: str) -> float | None:
    """Bytes in ``text``; a bare number counts bytes. ``None`` where it cannot be read."""
    return _amount(text, _BYTES)


def parse_rate(text: str) -> float | None:
    """Bytes per second in ``text``: a size with ``/s``. ``None`` where it cannot be read."""
    size, sign, unit = text.partition("/")
    return parse_size(size) if sign and unit.strip() == "s" else None


class MaxRemoval(msgspec.Struct, frozen=True, kw_only=True):
    """How many published files one run may take off the pages: so many in any case, and a share of all, in percent."""

    files: int = 5
    percent: float = 10.0

    def allows(self, removed: int, published: int) -> bool:
        return removed <= self.files or removed * 100 <= published * self.percent

    def __str__(self) -> str:
        return f"{self.percent:g} %" if self.percent else f"{self.files}"


DEFAULT_MAX_REMOVAL = MaxRemoval()


def parse_max_removal(text: str) -> MaxRemoval | None:
    """``25 %`` is a share, and never fewer than a handful of files; ``100`` is a number of files, and nothing else."""
    number, sign, rest = text.partition("%")
    amount = _AMOUNT.fullmatch(number)
    if amount is None or amount.group(2) or rest.strip():
        return None
    if sign:
        return MaxRemoval(percent=float(amount.group(1))) if float(amount.group(1)) <= 100 else None
    return MaxRemoval(files=int(amount.group(1)), percent=0.0) if amount.group(1).isdigit() else None


def format_size(size: int) -> str:
    """``size`` bytes in the unit that a person would use, decimal as disks and lines are sold."""
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def _amount(text: str, units: dict[str, int]) -> float | None:
    match = _AMOUNT.fullmatch(text)
    if match is None or match.group(2).lower() not in units:
        return None
    return float(match.group(1)) * units[match.group(2).lower()]
