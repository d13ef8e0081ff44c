"""The page of a project: how to install it from here, its files, what it says of itself, and why it is here."""

from __future__ import annotations

from collections.abc import Iterator

from pymirror.layout import FRONT_PAGE, legacy_page, project_folder, relative_url
from pymirror.metadata import CoreMetadata
from pymirror.pages.details import render_details
from pymirror.pages.document import link, make_frame, render_document
from pymirror.pages.files import render_releases
from pymirror.pages.install import render_ways
from pymirror.pages.releases import Release, find_newest, group_releases
from pymirror.pages.script import PROJECT_SCRIPT
from pymirror.pages.style import PROJECT_STYLE
from pymirror.pages.words import count, shorten, show, show_date, turn_nothing
from pymirror.simple.markup import replace_unwritable
from pymirror.snapshot import SnapshotProject
from pymirror.spec.model import Site

_DEPTH = 2
_MAX_SUMMARY = 1000
_MAX_REASON = 2000
_FRAME = make_frame(depth=_DEPTH, style=PROJECT_STYLE, script=PROJECT_SCRIPT)

# PEP 792, in a sentence each.
_STATUSES = {
    "archived": ("Archived", "The project expects no more releases."),
    "deprecated": ("Deprecated", "The project is obsolete; another may have taken its place."),
    "quarantined": ("Quarantined", "The project is held to be unsafe: do not install it."),
}


def render_project_page(
    project: SnapshotProject, metadata: CoreMetadata | None, description: str, *, site: Site
) -> Iterator[bytes]:
    """``project/<name>/index.html``, in parts.

    ``metadata`` is of the newest release. ``description`` is HTML from ``Descriptions``, which made it safe; it is
    empty where there is none.
    """
    metadata = metadata or CoreMetadata()
    releases = group_releases(project)
    newest = find_newest(project, releases)
    summary = shorten(metadata.summary.strip(), _MAX_SUMMARY)
    body = _render_body(project, metadata, summary, description, releases, newest, site)
    return render_document(_FRAME, body, title=f"{project.name}: Python package mirror", summary=shorten(summary, 300))


def _render_body(
    project: SnapshotProject,
    metadata: CoreMetadata,
    summary: str,
    description: str,
    releases: tuple[Release, ...],
    newest: Release | None,
    site: Site,
) -> Iterator[str]:
    yield from _render_header(project, summary, newest)
    yield from _render_notices(project, newest)
    yield from _render_jumps(releases, description)
    yield "</div></header>"
    yield '<main id="main" class="wrap" tabindex="-1"><div class="columns">'
    yield '<section id="install" aria-labelledby="install-title"><h2 id="install-title">Install</h2>'
    if newest:
        is_plain = not newest.is_yanked and not newest.is_prerelease
        pinned = f"{project.name}=={newest.version}"
        yield from render_ways(site, project.name if is_plain else pinned, line=pinned)
    else:
        yield '<p class="soft">The mirror has no file of this project.</p>'
    yield from _render_reasons(project)
    yield "</section>"
    if newest:
        total = len(project.files)
        yield '<section id="files" aria-labelledby="files-title"><h2 id="files-title">Files</h2>'
        if len(releases) > 1:
            yield f'<p class="unseen">{count(total, "file")} in {count(len(releases), "release")}, newest first</p>'
        yield from render_releases(releases, newest)
        yield "</section>"
    yield '<aside id="details" aria-label="About the project">'
    yield from render_details(metadata)
    yield from _render_machine_links(project, site)
    yield "</aside>"
    if description:
        yield '<section id="description" aria-labelledby="description-title">'
        yield '<h2 id="description-title">Description</h2><div class="prose">'
        yield replace_unwritable(turn_nothing(description))
        yield "</div></section>"
    yield "</div></main>"


def _render_header(project: SnapshotProject, summary: str, newest: Release | None) -> Iterator[str]:
    back = relative_url(FRONT_PAGE, depth=_DEPTH)
    yield '<header class="top"><div class="wrap">'
    arrow = '<span aria-hidden="true">&#8592; </span>'
    yield f'<nav class="back" aria-label="Mirror"><a href="{back}">{arrow}All projects</a></nav>'
    yield f'<div class="name"><h1>{show(project.name)}</h1>'
    if newest:
        yield f"<span>{show(newest.version)}</span>"
    yield "</div>"
    if summary:
        yield f'<p class="lead">{show(summary)}</p>'
    if newest and newest.upload_time:
        yield f'<p class="soft when">Released {show_date(newest.upload_time, has_age=True)}</p>'


def _render_notices(project: SnapshotProject, newest: Release | None) -> Iterator[str]:
    if project.status != "active":
        title, meaning = _STATUSES.get(project.status, (shorten(project.status, 40), "So says the index it is from."))
        reasons = [project.status_reason] if project.status_reason else []
        yield from _notice(title, meaning, reasons, is_bad=project.status == "quarantined")
    if newest and newest.is_yanked:
        told = dict.fromkeys(file.yanked for file in newest.files if isinstance(file.yanked, str) and file.yanked)
        meaning = "Every release that is here was withdrawn: an installer takes one only where its version is named."
        yield from _notice("Yanked", meaning, list(told)[:3], is_bad=True)


def _notice(title: str, meaning: str, reasons: list[str], *, is_bad: bool) -> Iterator[str]:
    yield f'<div class="notice{" bad" if is_bad else ""}"><p><strong>{show(title)}.</strong> {meaning}</p>'
    for reason in reasons:
        yield f"<p>The reason given: <bdi>{show(shorten(reason, _MAX_REASON))}</bdi></p>"
    yield "</div>"


def _render_jumps(releases: tuple[Release, ...], description: str) -> Iterator[str]:
    yield '<nav class="jump" aria-label="On this page"><ul><li><a href="#install">Install</a></li>'
    if releases:
        yield '<li><a href="#files">Files</a></li>'
    yield '<li><a href="#details">Details</a></li>'
    if description:
        yield '<li><a href="#description">Description</a></li>'
    yield "</ul></nav>"


def _render_reasons(project: SnapshotProject) -> Iterator[str]:
    yield '<div class="reason"><h3>Why it is in the mirror</h3>'
    if project.wanted_by:
        yield "<ul>"
        for line in project.wanted_by:
            yield f"<li><code>{show(shorten(line, 500))}</code></li>"
        yield "</ul>"
    else:
        yield "<p>The mirror did not record what asked for it.</p>"
    yield "</div>"


def _render_machine_links(project: SnapshotProject, site: Site) -> Iterator[str]:
    yield "<section><h2>For installers</h2><ul>"
    yield f"<li>{link(f'{project_folder(project.name)}/{FRONT_PAGE}', 'Simple index', depth=_DEPTH)}</li>"
    if site.legacy_json:
        yield f"<li>{link(legacy_page(project.name), 'Legacy JSON', depth=_DEPTH)}</li>"
    yield "</ul></section>"
