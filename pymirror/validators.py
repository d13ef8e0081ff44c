"""What an answer is known again by (RFC 9110, 8.8 and 13): validators, and the serials of PyPI."""

from __future__ import annotations

from typing import Protocol

from pymirror.simple.model import parse_serial
from pymirror.simple.parse import ACCEPT
from pymirror.transport import Answer


class Validated(Protocol):
    """Something that is remembered with its validators."""

    @property
    def etag(self) -> str | None: ...

    @property
    def last_modified(self) -> str | None: ...


def make_headers(cached: Validated | None, *, accept: str = ACCEPT) -> dict[str, str]:
    """Those of a request for a page, conditional where one is remembered."""
    headers = {"Accept": accept}
    if cached is not None and cached.etag:
        headers["If-None-Match"] = cached.etag
    elif cached is not None and cached.last_modified:
        headers["If-Modified-Since"] = cached.last_modified
    return headers


def read_validator(answer: Answer, name: str) -> str | None:
    """A validator that can be sent back; what is not plain ASCII is as good as none."""
    text = answer.headers.get(name, "")
    return text if text and text.isascii() and text.isprintable() else None


def read_serial(answer: Answer, told: int | None = None) -> int | None:
    """That of the page, else that of the header, which is all that an HTML page can have."""
    return told if told is not None else parse_serial(answer.headers.get("x-pypi-last-serial", ""))
