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
    trusted = f'<span class="trust">{escape_text(trust)}</span>'
    wanted = show(requirement)
    yield '<dl class="ways">'
    yield from _way("pip", f"pip install --index-url {place}{trusted} {wanted}")
    yield from _way("uv", f"uv pip install --default-index {place} {wanted}")
    if line:
        yield from _way("requirements.txt", f"--index-url {place}\n{show(line)}")
    yield "</dl>"


def _way(name: str, command: str) -> Iterator[str]:
    yield f'<dt>{name}</dt><dd class="command"><pre><code>{command}</code></pre>'
    yield f'<button type="button" class="copy" aria-label="Copy what {name} needs">Copy</button></dd>'


def _address(site: Site) -> tuple[str, str]:
    """The index, and the option that pip needs where it is plain http from another host; else nothing."""
    if not site.public_url:
        return f'"{_UNKNOWN}"', ""
    parts = urlsplit(site.public_url)
    url = percent_encode(f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}/{SIMPLE}/", safe=_PLAIN + "[]")
    host = parts.hostname or ""
    is_trusted = parts.scheme != "http" or host in ("localhost", "::1") or host.startswith("127.")
    return _quoted(url), "" if is_trusted else f" --trusted-host {_quoted(parts.netloc)}"


def _quoted(text: str) -> str:
    return f'"{text}"' if set(text) & set("[]~") else text
