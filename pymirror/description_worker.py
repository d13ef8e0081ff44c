"""The process that renders descriptions: a text comes in, safe HTML goes out, until the input ends.

docutils, Pygments and their regular expressions can be made to take all time and all memory, so this is done in a
process that may be killed at any moment (``descriptions``). It gets text by a pipe, and limits itself where the system
lets it.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import time
from typing import ClassVar

import nh3
from docutils import nodes
from docutils.parsers.rst import Directive, directives
from readme_renderer import markdown, rst

from pymirror.descriptions import COMMONMARK, MAX_MESSAGE_BYTES, READY, RST, read_message, write_message
from pymirror.pages.elements import BLOCKS, INLINE, OTHERS, SCROLLS, TABLE_BOX
from pymirror.pages.prose import CLASSES, ID_PREFIX, tidy

MAX_MEMORY_BYTES = 1024 * 1024 * 1024

_TAGS = (BLOCKS | INLINE | OTHERS) - {"h1", "h2"}
_REL = "nofollow noopener noreferrer"
_ATTRIBUTES = {
    "*": {"id", "class"},
    "a": {"href"},
    "div": {*TABLE_BOX},
    "pre": {*SCROLLS},
    "ol": {"start"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan"},
}
_HREF = re.compile(rf"(?:https?://|mailto:|#{ID_PREFIX})[^\x00-\x20]*", re.IGNORECASE)
_TOKEN = re.compile(r"[a-z]{1,3}[0-9]?")


class _NoDate(Directive):
    """``.. |today| date::`` would make another page every day."""

    has_content: ClassVar[bool] = True

    def run(self) -> list[nodes.Node]:
        return [nodes.Text("(date)")]


def render(kind: bytes, text: str) -> str | None:
    """Safe HTML; ``None`` where the text is not what ``kind`` says."""
    rendered = rst.render(text) if kind == RST else markdown.render(text, "CommonMark" if kind == COMMONMARK else "GFM")
    if not rendered:
        return None
    return nh3.clean(
        tidy(rendered),
        tags=set(_TAGS),
        attributes={tag: set(names) for tag, names in _ATTRIBUTES.items()},
        attribute_filter=_filter_attribute,
        url_schemes={"http", "https", "mailto"},
        link_rel=_REL,
    )


def _filter_attribute(tag: str, name: str, value: str) -> str | None:
    """The barrier's own view of what may stand in an attribute, whatever came before it."""
    allowed = {
        "id": value.startswith(ID_PREFIX),
        "class": value in CLASSES or (tag == "span" and _TOKEN.fullmatch(value) is not None),
        "href": _HREF.fullmatch(value) is not None,
        "rel": value == _REL,
        **{name: value == TABLE_BOX[name] for name in ("tabindex", "role", "aria-label")},
    }
    return value if allowed.get(name, value.isdigit()) else None


def main() -> None:
    """Answers each message with HTML, or with nothing where there is none; the argument is the seconds for each."""
    seconds = float(sys.argv[-1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the run; it ends this process when it ends
    os.environ["DOCUTILSCONFIG"] = ""  # no file of this machine decides how a page looks
    directives.register_directive("date", _NoDate)
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # what a library prints is no answer
    _limit("RLIMIT_AS", MAX_MEMORY_BYTES)
    write_message(answers, READY)
    while (message := read_message(requests)) is not None:
        # The system ends this process then, also when nobody waits for it any more: whoever waits kills it before.
        _limit("RLIMIT_CPU", int(time.process_time() + seconds) + 5)
        answer = b""
        with contextlib.suppress(Exception):
            answer = (render(message[:1], message[1:].decode()) or "").encode()
        write_message(answers, answer if len(answer) <= MAX_MESSAGE_BYTES else b"")


def _limit(name: str, amount: int) -> None:
    """Lowers a limit of this process, ``RLIMIT_AS`` or ``RLIMIT_CPU``, where the system has such."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        which = getattr(resource, name)
        _, hard = resource.getrlimit(which)
        resource.setrlimit(which, (amount if hard == resource.RLIM_INFINITY else min(amount, hard), hard))
