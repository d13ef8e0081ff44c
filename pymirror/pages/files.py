"""The files of a project, by release: the newest open, the older ones folded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pymirror.layout import METADATA_SUFFIX, PROVENANCE_SUFFIX, relative_url
from pymirror.pages.kinds import describe_file
from pymirror.pages.releases import Release
from pymirror.pages.words import count, quote, shorten, show, show_date, show_size
from pymirror.snapshot import SnapshotFile

_DEPTH = 2
_SEEN_RELEASES = 8
_MAX_REASON = 500


def render_releases(releases: Sequence[Release], newest: Release) -> Iterator[str]:
    """All of ``releases``, which are newest first; ``newest`` is open. Those far down are folded once more."""
    seen = max(_SEEN_RELEASES, releases.index(newest) + 1)
    if len(releases) == seen + 1:
        seen += 1  # to fold a single one hides more than it spares
    for release in releases[:seen]:
        yield from _render_release(release, is_open=release is newest)
    older = releases[seen:]
    if older:
        yield f'<details class="older"><summary>{count(len(older), "older release")}</summary>'
        for release in older:
            yield from _render_release(release, is_open=False)
        yield "</details>"


def _render_release(release: Release, *, is_open: bool) -> Iterator[str]:
    tags = ' <span class="tag">prerelease</span>' if release.is_prerelease else ""
    if release.is_yanked:
        tags += ' <span class="tag bad">yanked</span>'
    time = f"{show_date(release.upload_time)}, " if release.upload_time else ""
    yield f'<details class="release" id="{quote(f"release-{release.version}").replace(" ", "-")}"{" open" * is_open}>'
    yield (
        f"<summary><h3><span>{show(release.version)}</span>{tags}"
        f'<span class="soft">{time}{count(len(release.files), "file")}, {show_size(release.size)}</span></h3></summary>'
    )
    yield '<table class="files"><thead><tr><th scope="col">File</th><th scope="col">Size</th>'
    yield '<th scope="col">Uploaded</th><th scope="col">SHA-256</th></tr></thead><tbody>'
    for file in release.files:
        yield _render_file(file)
    yield "</tbody></table></details>"


def _render_file(file: SnapshotFile) -> str:
    name = show(file.filename)
    url = relative_url(file.path, depth=_DEPTH)
    notes = [show(describe_file(file.filename))]
    if file.requires_python:
        notes.append(f"Requires Python {show(shorten(file.requires_python, 200))}")
    if file.metadata_sha256:
        notes.append(f'<a href="{url}{METADATA_SUFFIX}">metadata<span class="unseen"> of {name}</span></a>')
    if file.provenance_sha256:
        notes.append(f'<a href="{url}{PROVENANCE_SUFFIX}">provenance<span class="unseen"> of {name}</span></a>')
    time = show_date(file.upload_time) if file.upload_time else '<span class="soft">not known</span>'
    return (
        f'<tr><td><div><a href="{url}">{name}</a><small>{" &#183; ".join(notes)}</small>{_yanked(file)}</div></td>'
        f'<td data-is="Size">{show_size(file.size)}</td><td data-is="Uploaded">{time}</td>'
        f'<td data-is="SHA-256"><span class="digest"><code>{file.sha256}</code>'
        f'<button type="button" class="copy" aria-label="Copy the SHA-256 of {name}">Copy</button></span></td></tr>'
    )


def _yanked(file: SnapshotFile) -> str:
    if file.yanked is False:
        return ""
    reason = f" <bdi>{show(shorten(file.yanked, _MAX_REASON))}</bdi>" if isinstance(file.yanked, str) else ""
    return f'<small class="yanked"><span class="tag bad">yanked</span>{reason}</small>'
