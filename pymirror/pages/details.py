"""What core metadata tells of a project, beside its description. Each field is text; none is believed to be short.

https://packaging.python.org/specifications/core-metadata/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from email.utils import getaddresses
from urllib.parse import urlsplit

from pymirror.metadata import CoreMetadata
from pymirror.pages.words import count, quote, shorten, show, show_lines
from pymirror.simple.markup import escape_attribute

_MAX_FIELD = 400
_MAX_LICENCE = 40_000
_MAX_ITEMS = 500
_SHORT_LIST = 12

# What every mail program takes for an address, and nothing that is legal but odd.
_ADDRESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}")
_URL = re.compile(r"https?://[!#-;=?-\[\]_a-z~]+", re.IGNORECASE)  # no blank, quote, angle, brace, backslash or control


def render_details(metadata: CoreMetadata) -> Iterator[str]:
    """Sections for the column beside the files; those that have nothing to tell are not there."""
    yield from _section("Details", _pairs(_facts(metadata)))
    yield from _section("Links", _render_links(metadata))
    yield from _section("Dependencies", _render_dependencies(metadata))
    yield from _section("Extras", _items(f"<code>{show(_short(extra))}</code>" for extra in metadata.provides_extra))
    yield from _section("Classifiers", _render_classifiers(metadata.classifiers))
    yield from _section("Keywords", _render_keywords(metadata.keywords))


def _section(title: str, content: Iterable[str]) -> Iterator[str]:
    lines = list(content)
    if lines:
        yield f"<section><h2>{title}</h2>"
        yield from lines
        yield "</section>"


def _pairs(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    lines = [f"<dt>{name}</dt><dd>{content}</dd>" for name, content in pairs if content]
    if lines:
        yield "<dl>"
        yield from lines
        yield "</dl>"


def _facts(metadata: CoreMetadata) -> Iterator[tuple[str, str]]:
    yield "Requires Python", show(_short(metadata.requires_python))
    yield "Licence", _render_licence(metadata)
    yield "Author", _render_people(metadata.author, metadata.author_email)
    yield "Maintainer", _render_people(metadata.maintainer, metadata.maintainer_email)
    yield "Needs beside Python", ", ".join(show(_short(need)) for need in metadata.requires_external[:_MAX_ITEMS])


def _short(text: str) -> str:
    return shorten(text.strip(), _MAX_FIELD)


def _known(text: str) -> str:
    """``text``; nothing for what setuptools wrote where there was none."""
    stripped = text.strip()
    return "" if stripped.upper() == "UNKNOWN" else stripped


def _render_licence(metadata: CoreMetadata) -> str:
    """The expression, or the field that it took the place of: a name, or the whole text."""
    if metadata.license_expression:
        return show(_short(metadata.license_expression))
    text = _known(metadata.license)
    if len(text) <= 120 and "\n" not in text:
        return f"<bdi>{show(text)}</bdi>" if text else ""
    lines = show_lines(shorten(text, _MAX_LICENCE))
    first = show(shorten(text.partition("\n")[0].strip(), 60))
    return f'<details><summary><bdi>{first}</bdi></summary><pre class="licence" tabindex="0">{lines}</pre></details>'


def _render_people(name: str, email: str) -> str:
    people = [f"<bdi>{show(_short(name))}</bdi>"] if _known(name) else []
    for person, address in getaddresses([shorten(_known(email), 4000)])[:20]:
        words = show(_short(person or address))
        if _ADDRESS.fullmatch(address):
            people.append(f'<a href="mailto:{escape_attribute(address)}"><bdi>{words}</bdi></a>')
        elif words:
            people.append(f"<bdi>{words}</bdi>")
    return "<br>".join(dict.fromkeys(people))


def _render_links(metadata: CoreMetadata) -> Iterator[str]:
    urls = list(metadata.project_urls[:_MAX_ITEMS])
    known = {url.rstrip("/") for _, url in urls}
    for label, url in (("Homepage", metadata.home_page), ("Download", metadata.download_url)):
        if _known(url) and url.rstrip("/") not in known:
            urls.append((label, url))
    return _items(_render_link(label, url.strip()) for label, url in urls)


def _render_link(label: str, url: str) -> str:
    """A link with the host that it leads to; text where it is no plain web address."""
    words = f"<bdi>{show(_short(label) or 'Link')}</bdi>"
    host = find_host(url)
    if host is None:
        return f"{words}<small>{show(_short(url))}</small>"
    return f'<a href="{quote(url)}" rel="nofollow noopener noreferrer">{words}</a><small>{show(host)}</small>'


def find_host(url: str) -> str | None:
    """The host of a plain http or https address; ``None`` for all else, and where a user or password stands in it."""
    if len(url) > 2000 or not _URL.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        return None
    return host if host and "@" not in parts.netloc else None


def _render_dependencies(metadata: CoreMetadata) -> Iterator[str]:
    lines = (f"<code>{show(_short(line))}</code>" for line in metadata.requires_dist)
    return _fold(_items(lines), len(metadata.requires_dist), "dependency", "dependencies")


def _render_classifiers(classifiers: Iterable[str]) -> Iterator[str]:
    """By their first part; ``License :: OSI Approved :: MIT License`` stands under License."""
    groups: dict[str, list[str]] = {}
    for classifier in list(classifiers)[:_MAX_ITEMS]:
        group, _, rest = classifier.partition(" :: ")
        groups.setdefault(_short(group), []).append(_short(rest or group))
    total = sum(map(len, groups.values()))
    pairs = ((show(group), "<br>".join(map(_show_path, lines))) for group, lines in groups.items())
    return _fold(_pairs(pairs), total, "classifier", "classifiers")


def _show_path(classifier: str) -> str:
    return show(classifier.replace(" :: ", " \u203a "))


def _render_keywords(keywords: tuple[str, ...]) -> Iterator[str]:
    words = ", ".join(f"<bdi>{show(_short(word))}</bdi>" for word in keywords[:_MAX_ITEMS] if word.strip())
    if words:
        yield f"<p>{words}</p>"


def _fold(lines: Iterator[str], total: int, one: str, many: str) -> Iterator[str]:
    """``lines`` as they are where they are few, else behind a click."""
    if total > _SHORT_LIST:
        yield f"<details><summary>{count(total, one, many)}</summary>"
        yield from lines
        yield "</details>"
    else:
        yield from lines


def _items(items: Iterable[str]) -> Iterator[str]:
    lines = [f"<li>{item}</li>" for item in items]
    rest = len(lines) - _MAX_ITEMS
    if rest > 0:
        lines[_MAX_ITEMS:] = [f"<li>and {rest:,} more</li>"]
    if lines:
        yield "<ul>"
        yield from lines
        yield "</ul>"
