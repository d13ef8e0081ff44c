"""The frame of a page: its head with the Content-Security-Policy, its footer, and its bytes.

The policy lets nothing in but the one style and the one script that stand in the page, by their digests. It is a
``<meta>`` because the tree is read from a disk as well as from any server, and only the page itself is always there.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pymirror.layout import FRONT_PAGE, LINKS_PAGE, SIMPLE, relative_url
from pymirror.pages.words import quote, show
from pymirror.simple.markup import GENERATOR, in_pieces


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What the pages of a kind share: how many folders below the root they lie, their style and their script.

    ``policy`` is the Content-Security-Policy that allows these two.
    """

    depth: int
    style: str
    script: str
    policy: str


def make_frame(*, depth: int, style: str, script: str) -> Frame:
    """A frame; line breaks are put so that the text between the tags is what the digest is of."""
    style, script = f"\n{style.strip()}\n", f"\n{script.strip()}\n"
    policy = (
        "default-src 'none'",
        f"style-src 'sha256-{_digest(style)}'",
        f"script-src 'sha256-{_digest(script)}'",
        "img-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
    )
    return Frame(depth=depth, style=style, script=script, policy="; ".join(policy))


def render_document(frame: Frame, body: Iterable[str], *, title: str, summary: str = "") -> Iterator[bytes]:
    """The page, in pieces. ``body`` is HTML; ``title`` and ``summary`` are text."""
    return in_pieces(f"{line}\n" for line in _lines(frame, body, title, summary))


def link(path: str, text: str, *, depth: int) -> str:
    """A link to ``path`` of the tree; ``text`` is text."""
    return f'<a href="{relative_url(path, depth=depth)}">{show(text)}</a>'


def _lines(frame: Frame, body: Iterable[str], title: str, summary: str) -> Iterator[str]:
    yield "<!DOCTYPE html>"
    yield '<html lang="en">'
    yield "<head>"
    yield '<meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{frame.policy}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield '<meta name="color-scheme" content="light dark">'
    yield '<meta name="referrer" content="no-referrer">'
    yield GENERATOR
    if summary:
        yield f'<meta name="description" content="{quote(summary)}">'
    yield f"<title>{show(title)}</title>"
    yield f"<style>{frame.style}</style>"
    yield f"<script>{frame.script}</script>"
    yield "</head>"
    yield f'<body data-root="{"../" * frame.depth}">'
    yield '<a class="skip" href="#main">Skip to the content</a>'
    yield from body
    yield from _footer(frame.depth)
    yield "</body>"
    yield "</html>"


def _footer(depth: int) -> Iterator[str]:
    yield '<footer class="foot"><div class="wrap">'
    yield '<nav aria-label="For installers"><ul>'
    if depth:
        yield f"<li>{link(FRONT_PAGE, 'All projects', depth=depth)}</li>"
    yield f"<li>{link(f'{SIMPLE}/{FRONT_PAGE}', 'Simple index', depth=depth)}</li>"
    yield f"<li>{link(LINKS_PAGE, 'All files on one page', depth=depth)}</li>"
    yield "</ul></nav>"
    yield '<p><span id="written"></span> <span>Made by pymirror</span></p>'
    yield "</div></footer>"
    yield '<p class="unseen" role="status" id="said"></p>'


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("ascii")).digest()).decode("ascii")
