"""Pages for a snapshot: HTML and JSON of API version 1.4, and the flat page for ``--find-links``.

https://packaging.python.org/specifications/simple-repository-api/. What clients were seen to stumble over decides the
rest: pure ASCII (servers send no character set), ``data-yanked`` always with a value, ``core-metadata`` under its new
name only and only where the file is there, percent-encoded relative links, no ``<base>``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from html import escape
from typing import Any

from pymirror.layout import relative_url
from pymirror.simple.model import API_VERSION, render_upload_time
from pymirror.snapshot import Snapshot, SnapshotFile, SnapshotProject

_DETAIL_DEPTH = 2

# Control characters (of which browsers take 80 to 9f for letters of windows-1252), surrogates and noncharacters.
_NOT_IN_HTML = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


def render_detail_html(project: SnapshotProject) -> bytes:
    """``simple/<project>/index.html``."""
    head = []
    if project.status != "active":
        head.append(_meta("pypi:project-status", project.status))
        if project.status_reason:
            head.append(_meta("pypi:project-status-reason", project.status_reason))
    anchors = [_render_anchor(file, depth=_DETAIL_DEPTH) for file in project.files]
    return _page(f"Links for {project.name}", head, anchors)


def render_detail_json(project: SnapshotProject) -> bytes:
    """``simple/<project>/index.v1_json``."""
    page: dict[str, Any] = {
        "meta": {"api-version": API_VERSION},
        "name": project.name,
        "versions": list(dict.fromkeys(file.version for file in project.files)),
        "files": [_render_file(file) for file in project.files],
    }
    if project.status != "active":
        page["project-status"] = {"status": project.status}
        if project.status_reason:
            page["project-status"]["reason"] = project.status_reason
    return _json(page)


def render_list_html(snapshot: Snapshot) -> bytes:
    """``simple/index.html``."""
    anchors = [f'<a href="{escape(project.name)}/">{escape(project.name)}</a><br>' for project in snapshot.projects]
    return _page("Simple index", [], anchors)


def render_list_json(snapshot: Snapshot) -> bytes:
    """``simple/index.v1_json``."""
    return _json(
        {
            "meta": {"api-version": API_VERSION},
            "projects": [{"name": project.name} for project in snapshot.projects],
        }
    )


def render_links(snapshot: Snapshot) -> bytes:
    """``links.html``: every file that is not yanked, since clients take yanked files from such a page."""
    anchors = (_render_anchor(file, depth=0) for _, file in snapshot.files() if not file.yanked)
    return _page("Links", [], anchors)


def _page(title: str, head: Iterable[str], anchors: Iterable[str]) -> bytes:
    lines = [
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
        *anchors,
        "</body>",
        "</html>",
        "",
    ]
    return "\n".join(lines).encode("ascii", "xmlcharrefreplace")


def _meta(name: str, content: str) -> str:
    return f'<meta name="{name}" content="{_attribute(content)}">'


def _attribute(text: str) -> str:
    """``text`` inside double quotes. What has no numeric form in HTML becomes U+FFFD, as in parsers."""
    return escape(_NOT_IN_HTML.sub("\ufffd", text)).replace("\n", "&#10;").replace("\t", "&#9;")


def _render_anchor(file: SnapshotFile, *, depth: int) -> str:
    url = f"{relative_url(file.path, depth=depth)}#sha256={file.sha256}"
    attributes = [f'href="{url}"']
    if file.requires_python:
        attributes.append(f'data-requires-python="{_attribute(file.requires_python)}"')
    if file.yanked:
        reason = file.yanked if isinstance(file.yanked, str) else ""
        attributes.append(f'data-yanked="{_attribute(reason)}"')
    if file.metadata_sha256:
        attributes.append(f'data-core-metadata="sha256={file.metadata_sha256}"')
    attributes.append(f'data-size="{file.size}"')
    if file.upload_time:
        attributes.append(f'data-upload-time="{render_upload_time(file.upload_time)}"')
    return f"<a {' '.join(attributes)}>{escape(file.filename)}</a><br>"


def _render_file(file: SnapshotFile) -> dict[str, Any]:
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
    return entry


def _json(page: dict[str, Any]) -> bytes:
    return json.dumps(page, ensure_ascii=True, separators=(",", ":")).encode("ascii") + b"\n"
