"""Text of others inside HTML: what every page that is written escapes with.

Pages are pure ASCII, since servers send no character set; what the encoder cannot write becomes a numeric reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from html import escape

_PIECE_CHARACTERS = 64 * 1024

GENERATOR = '<meta name="generator" content="pymirror">'
"""Stands in the pages for people, so that they can be told from a page of the user's own."""

# Control characters (of which browsers take 80 to 9f for letters of windows-1252), surrogates and noncharacters.
_NOT_IN_HTML = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


def replace_unwritable(text: str) -> str:
    """``text`` with U+FFFD for what has no numeric form in HTML, as parsers have it."""
    return _NOT_IN_HTML.sub("\ufffd", text)


def escape_text(text: str) -> str:
    """``text`` between tags."""
    return escape(replace_unwritable(text), quote=False)


def in_pieces(texts: Iterable[str]) -> Iterator[bytes]:
    """``texts`` as ASCII bytes, what is not ASCII as HTML's numeric references, in pieces of some 64 kB."""
    held: list[str] = []
    size = 0
    for text in texts:
        held.append(text)
        size += len(text)
        if size >= _PIECE_CHARACTERS:
            yield "".join(held).encode("ascii", "xmlcharrefreplace")
            held, size = [], 0
    yield "".join(held).encode("ascii", "xmlcharrefreplace")


@lru_cache(maxsize=1024)  # the files of a project repeat each other
def escape_attribute(text: str) -> str:
    """``text`` inside double quotes. Line breaks and tabs keep their meaning."""
    return escape(replace_unwritable(text)).replace("\n", "&#10;").replace("\t", "&#9;")
