"""Conditional and partial requests (RFC 9110, 13 and 14): values in, a decision out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

_RANGE = re.compile(r"bytes\s*=\s*([0-9]{0,19})\s*-\s*([0-9]{0,19})\s*", re.IGNORECASE | re.ASCII)
_ETAG = re.compile(r'(?:W/)?("[^"]*")')


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What a file is now. ``size`` in bytes; ``mtime_ns`` in nanoseconds since the epoch.

    ``variant`` tells apart what one file is sent as: the same page may have two content types.
    """

    size: int
    mtime_ns: int
    inode: int
    variant: str = ""

    @property
    def etag(self) -> str:
        """Strong: a page that was written anew is another file, even in the same second and of the same size."""
        return f'"{self.size:x}-{self.mtime_ns:x}-{self.inode:x}{self.variant}"'

    @property
    def modified(self) -> datetime:
        return datetime.fromtimestamp(self.mtime_ns // 1_000_000_000, UTC)

    @property
    def last_modified(self) -> str:
        return format_datetime(self.modified, usegmt=True)


@dataclass(frozen=True, slots=True)
class Part:
    """The bytes from ``start`` up to and without ``stop``."""

    start: int
    stop: int


def is_not_modified(if_none_match: str | None, if_modified_since: str | None, state: State) -> bool:
    """Whether the client has it already. By RFC 9110, 13.2.2, a time is not looked at where there are tags."""
    if if_none_match is not None:
        known = _ETAG.findall(if_none_match)
        return if_none_match.strip() == "*" or state.etag in known
    if if_modified_since is None:
        return False
    since = _parse_date(if_modified_since)
    return since is not None and state.modified <= since


def choose_part(range_header: str | None, if_range: str | None, state: State) -> Part | None:
    """The part that is asked for; ``None`` for the whole. Raises :class:`ValueError` where there is no such part.

    Several parts, other units and what cannot be read are answered by the whole, as RFC 9110, 14.2, allows.
    """
    match = _RANGE.fullmatch((range_header or "").strip())
    if match is None or not (match[1] or match[2]) or not _is_same(if_range, state):
        return None
    if not match[1]:
        start, stop = max(state.size - int(match[2]), 0), state.size
    else:
        start = int(match[1])
        last = int(match[2]) if match[2] else state.size
        if last < start:
            return None
        stop = min(last + 1, state.size)
    if start >= stop:
        raise ValueError(f"bytes */{state.size}")
    return Part(start, stop)


def _is_same(if_range: str | None, state: State) -> bool:
    """``If-Range``: the strong tag, or the very time."""
    if if_range is None:
        return True
    text = if_range.strip()
    return text == state.etag if '"' in text else _parse_date(text) == state.modified


def _parse_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
