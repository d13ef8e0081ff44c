"""How to install from here: commands that name this index.

A page does not know where it lies. What it says without a script is the address that the spec gives; the script puts
the one in its place that the page was read from.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote as percent_encode
from urllib.parse import urlsplit

from pymirror.layout import SIMPLE
from pymirror.pages.words import show
from pymirror.simple.markup import escape_text
from pymirror.spec.model import Site

_UNKNOWN = f"<URL of this mirror>/{SIMPLE}/"
_PLAIN = "/:%-._~@"  # what no shell takes for its own


def render_ways(site: Site, requirement: str, *, line: str | None = None) -> Iterator[str]:
    """Commands that install ``requirement``, each with its button; and ``line`` for a requirements file."""
    index, trust = _address(site)
    place = f'<span class="index">{show(index)}</span>'
    # The "!" of an epoch is bash's own sign, also between double quotes.
    wanted = show(f"'{requirement}'" if "!" in requirement else requirement)
    yield '<dl class="ways">'
    yield from _way("pip", f"pip install --index-url {place}{_trust(trust, ' ')} {wanted}")
    yield from _way("uv", f"uv pip install --default-index {place} {wanted}")
    if line:
        # Two lines: on one, uv takes the rest of it for the URL.
        trust_line = _trust(trust, "\n")
        yield from _way("requirements.txt", f"--index-url {place}{trust_line}\n{show(line)}")
    yield "</dl>"


def _way(name: str, command: str) -> Iterator[str]:
    yield f'<dt>{name}</dt><dd class="command"><pre><code>{command}</code></pre>'
    yield f'<button type="button" class="copy" aria-label="Copy what {name} needs">Copy</button></dd>'


def _trust(option: str, before: str) -> str:
    """The option after ``before``; the script puts its own there, which may be none."""
    is_line = " line" if before == "\n" else ""
    return f'<span class="trust{is_line}">{before if option else ""}{escape_text(option)}</span>'


def _address(site: Site) -> tuple[str, str]:
    """The index, and the option that pip needs where it is plain http from another host; else nothing."""
    if not site.public_url:
        return f'"{_UNKNOWN}"', ""
    parts = urlsplit(site.public_url)
    url = percent_encode(f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}/{SIMPLE}/", safe=_PLAIN + "[]")
    host = parts.hostname or ""
    is_trusted = parts.scheme != "http" or host in ("localhost", "::1") or host.startswith("127.")
    return _quoted(url), "" if is_trusted else f"--trusted-host {_quoted(parts.netloc)}"


def _quoted(text: str) -> str:
    return f'"{text}"' if set(text) & set("[]~") else text
