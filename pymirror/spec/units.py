"""``30 s``, ``7 days``, ``2 GB``: amounts as people write them."""

from __future__ import annotations

import re

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
