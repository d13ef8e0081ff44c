"""Pages for a snapshot: HTML and JSON of API version 1.4, and the flat page for ``--find-links``.

https://packaging.python.org/specifications/simple-repository-api/. What clients were seen to stumble over decides the
rest: pure ASCII (servers send no character set), ``data-yanked`` always with a value, ``core-metadata`` under its new
name only and only where the file is there, percent-encoded relative links, no ``<base>``. A link to a provenance
object must be an absolute https URL (PEP 740), so there is one only where the tree's public URL is known.

Pages come in pieces, so that the list of a whole index need not be in memory at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from html import escape
from itertools import chain
from typing import Any

from pymirror.layout import PROVENANCE_SUFFIX, relative_url
from pymirror.simple.markup import escape_attribute, in_pieces
from pymirror.simple.model import API_VERSION, render_upload_time
from pymirror.snapshot import Snapshot, SnapshotFile, SnapshotProject
from pymirror.spec.model import Site

END = b"</body>\n</html>\n"
"""The end of each page in HTML."""

_DETAIL_DEPTH = 2


def render_detail_html(project: SnapshotProject, site: Site) -> Iterator[bytes]:
    """``simple/<project>/index.html``."""
    head = []
    if project.status != "active":
        head.append(_meta("pypi:project-status", project.status))
        if project.status_reason:
            head.append(_meta("pypi:project-status-reason", project.status_reason))
    anchors = (_render_anchor(file, site, depth=_DETAIL_DEPTH) for file in project.files)
    return _page(f"Links for {project.name}", head, anchors)


def render_detail_json(project: SnapshotProject, site: Site) -> Iterator[bytes]:
    """``simple/<project>/index.v1_json``."""
    page: dict[str, Any] = {
        "meta": {"api-version": API_VERSION},
        "name": project.name,
        "versions": list(dict.fromkeys(file.version for file in project.files)),
    }
    if project.status != "active":
        page["project-status"] = {"status": project.status}
        if project.status_reason:
            page["project-status"]["reason"] = project.status_reason
    return _json(page, "files", (_render_file(file, site) for file in project.files))


def render_list_html(snapshot: Snapshot) -> Iterator[bytes]:
    """``simple/index.html``."""
    names = (escape(project.name) for project in snapshot.projects)
    return _page("Simple index", [], (f'<a href="{name}/">{name}</a><br>' for name in names))


def render_list_json(snapshot: Snapshot) -> Iterator[bytes]:
    """``simple/index.v1_json``."""
    names = ({"name": project.name} for project in snapshot.projects)
    return _json({"meta": {"api-version": API_VERSION}}, "projects", names)


def render_links(snapshot: Snapshot) -> Iterator[bytes]:
    """``links.html``: every file that is not yanked, since clients take yanked files from such a page."""
    yield render_links_start()
    yield from render_links_part(snapshot.projects, snapshot.site)
    yield END


def render_links_start() -> bytes:
    """What stands above the links in ``links.html``; below them stands ``END``."""
    return "".join(f"{line}\n" for line in _render_above("Links", [])).encode("ascii")


def render_links_part(projects: Iterable[SnapshotProject], site: Site) -> Iterator[bytes]:
    """The links of some neighbouring ``projects``."""
    files = (file for project in projects for file in project.files if not file.yanked)
    return in_pieces(f"{_render_anchor(file, site, depth=0)}\n" for file in files)


def _page(title: str, head: Iterable[str], anchors: Iterable[str]) -> Iterator[bytes]:
    lines = (f"{line}\n" for line in chain(_render_above(title, head), anchors))
    return in_pieces(chain(lines, [END.decode("ascii")]))


def _render_above(title: str, head: Iterable[str]) -> list[str]:
    return [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        _meta("pypi:repository-version", API_VERSION),
        *head,
        f"<title>{escape(title)}</title>",
        "</head>",
        "<body>",
        f"<h1>{escape(title)}</h1>",
    ]


def _meta(name: str, content: str) -> str:
    return f'<meta name="{name}" content="{escape_attribute(content)}">'


def _render_anchor(file: SnapshotFile, site: Site, *, depth: int) -> str:
    url = f"{relative_url(file.path, depth=depth)}#sha256={file.sha256}"
    attributes = [f'href="{url}"']
    if file.requires_python:
        attributes.append(f'data-requires-python="{escape_attribute(file.requires_python)}"')
    if file.yanked:
        reason = file.yanked if isinstance(file.yanked, str) else ""
        attributes.append(f'data-yanked="{escape_attribute(reason)}"')
    if file.metadata_sha256:
        attributes.append(f'data-core-metadata="sha256={file.metadata_sha256}"')
    if (provenance := _provenance_url(file, site)) is not None:
        attributes.append(f'data-provenance="{escape(provenance)}"')
    attributes.append(f'data-size="{file.size}"')
    if file.upload_time:
        attributes.append(f'data-upload-time="{render_upload_time(file.upload_time)}"')
    return f"<a {' '.join(attributes)}>{escape(file.filename)}</a><br>"


def _render_file(file: SnapshotFile, site: Site) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "filename": file.filename,
        "url": relative_url(file.path, depth=_DETAIL_DEPTH),
        "hashes": {"sha256": file.sha256},
        "size": file.size,
    }
    if file.upload_time:
        entry["upload-time"] = render_upload_time(file.upload_time)
    if file.requires_python:
        entry["requires-python"] = file.requires_python
    if file.yanked:
        entry["yanked"] = file.yanked
    if file.metadata_sha256:
        entry["core-metadata"] = {"sha256": file.metadata_sha256}
    if (provenance := _provenance_url(file, site)) is not None:
        entry["provenance"] = provenance
    return entry


def _provenance_url(file: SnapshotFile, site: Site) -> str | None:
    if file.provenance_sha256 is None or site.public_url is None or not site.public_url.startswith("https://"):
        return None
    return f"{site.public_url}{relative_url(file.path + PROVENANCE_SUFFIX, depth=0)}"


def _json(page: dict[str, Any], key: str, items: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """``page`` with ``items``, one after the other, as its last key."""

    def texts() -> Iterator[str]:
        yield f'{_dump(page)[:-1]},"{key}":['
        for number, item in enumerate(items):
            yield f",{_dump(item)}" if number else _dump(item)
        yield "]}\n"

    return in_pieces(texts())


def _dump(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))
