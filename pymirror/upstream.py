"""One remote index: project pages, asked for conditionally, parsed and checked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from packaging.utils import NormalizedName, canonicalize_name

from pymirror.distribution import parse_filename
from pymirror.errors import PageError, RequestError
from pymirror.progress import Progress
from pymirror.simple.model import ProjectDetail
from pymirror.simple.parse import ACCEPT, parse_project_detail
from pymirror.spec.model import Network, Upstream
from pymirror.state import CachedPage, PageCache
from pymirror.transport import Answer, Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedPage:
    """A project's page, and the URL that it was read from in the end.

    ``to_remember`` is set where it is not what was remembered already.
    """

    detail: ProjectDetail
    url: str
    to_remember: CachedPage | None


class Index:
    """Reads the project pages of one upstream."""

    def __init__(
        self, upstream: Upstream, *, transport: Transport, cache: PageCache, network: Network, progress: Progress
    ) -> None:
        self.upstream = upstream
        self.cache = cache
        self._transport = transport
        self._network = network
        self._progress = progress

    def fetch(self, project: NormalizedName) -> FetchedPage:
        """The page of ``project``. Raises :class:`RequestError` or :class:`PageError`."""
        url = f"{self.upstream.url}{project}/"
        remembered = self.cache.load(project, url)

        def ask(cached: CachedPage | None) -> FetchedPage | None:
            with self._transport.get(
                url, headers=_make_headers(cached), timeout_seconds=self._network.page_timeout_seconds
            ) as answer:
                return self._read(answer, url, project, cached)

        def attempt() -> FetchedPage:
            page = ask(remembered)
            if page is None and remembered is not None:
                page = ask(None)
            if page is None:
                raise PageError(url, "HTTP 304 is no answer to an unconditional request")
            return page

        try:
            return self._transport.retry(attempt, note=self._progress.note)
        except RequestError as error:
            if error.status in (404, 410):
                raise RequestError(url, "upstream has no such project", status=error.status) from None
            raise

    def _read(self, answer: Answer, url: str, project: NormalizedName, cached: CachedPage | None) -> FetchedPage | None:
        """``None`` where the answer is that of another page than the remembered one, and must be asked for whole."""
        is_there = cached is not None and cached.page_url == answer.url
        if answer.status == 304:
            return FetchedPage(detail=cached.detail, url=answer.url, to_remember=None) if cached and is_there else None
        if answer.status != 200:
            raise PageError(url, f"HTTP {answer.status} is no answer to this question")
        body = answer.read(max_bytes=self._network.max_page_bytes)
        digest = hashlib.sha256(body).hexdigest()
        if cached is not None and is_there and cached.body_sha256 == digest:
            # Other validators for the same bytes are not kept: some servers have new ones every time.
            return FetchedPage(detail=cached.detail, url=answer.url, to_remember=None)
        # Links are relative to where the page was in the end, not to where it was asked for.
        detail = parse_project_detail(body, content_type=answer.headers.get("content-type", ""), url=answer.url)
        _check_detail(detail, url, project)
        page = CachedPage(
            url=url,
            page_url=answer.url,
            etag=_read_validator(answer, "etag"),
            last_modified=_read_validator(answer, "last-modified"),
            body_sha256=digest,
            detail=detail,
        )
        return FetchedPage(detail=detail, url=answer.url, to_remember=None if _holds_credentials(detail) else page)


def _read_validator(answer: Answer, name: str) -> str | None:
    """A validator that can be sent back; what is not plain ASCII is as good as none."""
    text = answer.headers.get(name, "")
    return text if text and text.isascii() and text.isprintable() else None


def _holds_credentials(detail: ProjectDetail) -> bool:
    """Whether a link has a user in it: then the page is not remembered, since no credential goes into the state."""
    return any("@" in file.url.partition("://")[2].partition("/")[0] for file in detail.files)


def _make_headers(cached: CachedPage | None) -> dict[str, str]:
    headers = {"Accept": ACCEPT}
    if cached is not None and cached.etag:
        headers["If-None-Match"] = cached.etag
    elif cached is not None and cached.last_modified:
        headers["If-Modified-Since"] = cached.last_modified
    return headers


def _check_detail(detail: ProjectDetail, url: str, project: NormalizedName) -> None:
    """A page of another project, or of no file at all, is an error and not a state (promise 6)."""
    if detail.name is not None and canonicalize_name(detail.name) != project:
        raise PageError(url, f'the page is that of "{detail.name}"')
    if detail.status == "quarantined":
        return
    if not detail.files:
        raise PageError(url, "the page lists no file; an empty answer is not taken for an empty project")
    names = (parse_filename(file.filename, project) for file in detail.files)
    if not any(name is not None and name.project == project for name in names):
        raise PageError(url, f"no file on the page is one of {project}")
