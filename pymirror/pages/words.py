"""Text of others, amounts and times, as the pages write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from pymirror.simple.markup import escape_attribute, escape_text
from pymirror.spec.units import format_size

# Embeddings, overrides and isolates: they turn the order of what follows, so that text shows what it does not say.
_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def show(text: str) -> str:
    """``text`` between tags, on one line. Characters that turn the direction are shown as U+FFFD."""
    return escape_text(turn_nothing(" ".join(text.split())))


def show_lines(text: str) -> str:
    """``text`` between tags, its lines as they are."""
    return escape_text(turn_nothing(text))


def quote(text: str) -> str:
    """``text`` inside double quotes, on one line."""
    return escape_attribute(turn_nothing(" ".join(text.split())))


def turn_nothing(text: str) -> str:
    return _TURNING.sub("\ufffd", text)


def shorten(text: str, limit: int) -> str:
    """The first ``limit`` characters of ``text``; an ellipsis tells that there was more."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "\u2026"


def count(number: int, one: str, many: str | None = None) -> str:
    """``1 file``, ``20,401 files``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def show_size(size: int) -> str:
    """``<data value="22111">22.1 kB</data>``; the exact number of bytes shows on hovering."""
    return f'<data value="{size}" title="{count(size, "byte")}">{format_size(size)}</data>'


def show_date(time: datetime, *, has_age: bool = False) -> str:
    """``<time>``: ``20 Nov 2026``, with the exact time on hovering. With ``has_age`` the script says how long ago."""
    time = time.astimezone(UTC)
    attributes = ' class="age"' if has_age else ""
    exact = f"{time.year:04}-{time:%m-%d %H:%M:%S}"
    return (
        f'<time datetime="{exact.replace(" ", "T")}Z" title="{exact} UTC"{attributes}>'
        f"{time.day} {_MONTHS[time.month - 1]} {time.year}</time>"
    )
