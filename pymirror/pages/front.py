"""The front page: every project of the mirror, and a search that needs no server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from pymirror.layout import project_page, relative_url
from pymirror.pages.document import make_frame, render_document
from pymirror.pages.install import render_ways
from pymirror.pages.script import FRONT_SCRIPT
from pymirror.pages.style import FRONT_STYLE
from pymirror.pages.words import count, shorten, show, show_date, show_size
from pymirror.spec.model import Site

MAX_SUMMARY_CHARACTERS = 250

_LIST_LENGTH = 100  # a browser lays out a list when it comes into view: one for each row would be too many

_TITLE = "Python package mirror"
_FRAME = make_frame(depth=0, style=FRONT_STYLE, script=FRONT_SCRIPT)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontRow:
    """A project in the list: its newest version, how many files it has, and their bytes."""

    name: str
    version: str
    summary: str
    files: int
    size: int
    status: str = "active"
    is_yanked: bool = False
    newest_upload: datetime | None = None


def render_front(
    rows: Iterable[FrontRow], *, site: Site, projects: int, files: int, size: int, newest_upload: datetime | None
) -> Iterator[bytes]:
    """``index.html`` at the root, in parts.

    ``rows`` are in order of name, ``projects`` of them; ``size`` is the bytes of all files, each counted once.
    """
    summary = f"{count(projects, 'project')}, {count(files, 'file')}"
    body = _render_body(rows, site=site, projects=projects, files=files, size=size, newest_upload=newest_upload)
    return render_document(_FRAME, body, title=_TITLE, summary=summary)


def _render_body(
    rows: Iterable[FrontRow], *, site: Site, projects: int, files: int, size: int, newest_upload: datetime | None
) -> Iterator[str]:
    yield f'<header class="top"><div class="wrap"><h1>{_TITLE}</h1>'
    yield '<p class="stats">'
    yield f"<span><b>{projects:,}</b> {'project' if projects == 1 else 'projects'}</span>"
    yield f"<span><b>{files:,}</b> {'file' if files == 1 else 'files'}</span>"
    yield f"<span><b>{show_size(size)}</b></span>"
    if newest_upload:
        yield f"<span>newest upload {show_date(newest_upload, has_age=True)}</span>"
    yield "</p>"
    if projects:
        yield '<details class="use"><summary>Install from this mirror</summary>'
        yield from render_ways(site, "PROJECT")
        yield "</details>"
    yield '</div></header><main id="main" class="wrap" tabindex="-1">'
    if projects:
        yield from _render_search()
        yield f'<p class="count" id="count">{count(projects, "project")}</p>'
        yield '<ul class="rows" id="found" hidden></ul>'
        yield '<button type="button" class="more" id="more" hidden>Show the others</button>'
        yield '<p class="empty" id="none" hidden>No project has all of these words in its name or summary.</p>'
        yield '<div id="all">'
        rest = iter(rows)
        for _ in range(0, projects, _LIST_LENGTH):
            yield '<ul class="rows">'
            yield from map(_render_row, islice(rest, _LIST_LENGTH))
            yield "</ul>"
        yield "</div>"
    else:
        yield '<p class="empty">There is no project in this mirror yet.</p>'
    yield "</main>"


def _render_search() -> Iterator[str]:
    yield '<div class="search" role="search"><label for="query">Search names and summaries</label>'
    yield '<div class="field">'
    yield '<input type="search" id="query" autocomplete="off" autocapitalize="none" spellcheck="false">'
    yield '<kbd aria-hidden="true">/</kbd></div></div>'


def _render_row(row: FrontRow) -> str:
    url = relative_url(project_page(row.name), depth=0)
    tags = ""
    if row.status != "active":
        tags += f' <span class="tag">{show(shorten(row.status, 40))}</span>'
    if row.is_yanked:
        tags += ' <span class="tag bad">yanked</span>'
    summary = f"<p>{show(shorten(row.summary, MAX_SUMMARY_CHARACTERS))}</p>" if row.summary.strip() else ""
    return (
        f'<li><div><a href="{url}">{show(row.name)}</a> <b>{show(row.version)}</b>{tags}</div>{summary}'
        f"<small>{count(row.files, 'file')}, {show_size(row.size)}</small></li>"
    )
