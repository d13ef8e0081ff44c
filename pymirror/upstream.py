"""One remote index: project pages, asked for conditionally, parsed and checked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec
from packaging.utils import NormalizedName, canonicalize_name

from pymirror.distribution import parse_filename
from pymirror.errors import EmptyPageError, PageError, RequestError, TransientRequestError, UnsafeNameError
from pymirror.layout import check_project
from pymirror.progress import Progress
from pymirror.simple.legacy import complete, find_legacy_url, lacks_something, parse_legacy
from pymirror.simple.model import File, Hashes, ProjectDetail, parse_serial
from pymirror.simple.parse import ACCEPT, find_cut, parse_project_detail, parse_project_list
from pymirror.spec.model import Network, Upstream
from pymirror.state import CachedList, CachedPage, PageCache
from pymirror.transport import Answer, Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedPage:
    """A project's page, and the URL that it was read from in the end.

    ``to_remember`` is ``None`` where nothing may be kept of it; ``is_new`` where it is not what was kept already.
    """

    detail: ProjectDetail
    url: str
    to_remember: CachedPage | None
    is_new: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedList:
    """The projects of an upstream, and what is to be remembered where it is not already."""

    projects: tuple[str, ...]
    to_remember: CachedList | None


class Index:
    """Reads the pages of one upstream."""

    def __init__(
        self, upstream: Upstream, *, transport: Transport, cache: PageCache, network: Network, progress: Progress
    ) -> None:
        self.upstream = upstream
        self.cache = cache
        self._transport = transport
        self._network = network
        self._progress = progress
        self._has_legacy = True

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
            page = self._transport.retry(attempt, progress=self._progress)
        except RequestError as error:
            if error.status in (404, 410):
                raise RequestError(url, "upstream has no such project", status=error.status) from None
            raise
        return self._complete(page, project)

    def _complete(self, page: FetchedPage, project: NormalizedName) -> FetchedPage:
        """``page`` with what the upstream's legacy API tells of files and the page does not; asked once for a page."""
        kept = page.to_remember
        legacy_url = find_legacy_url(self.upstream.url, project)
        is_asked = kept is not None and kept.is_completed
        if is_asked or legacy_url is None or not lacks_something(page.detail):
            return page
        told: dict[str, File] = {}
        try:
            if self._has_legacy:
                told = self._transport.retry(lambda: self._ask_legacy(legacy_url), progress=self._progress)
        except RequestError as error:
            if error.status not in (404, 410):
                self._progress.note(f"what the page of {project} lacks cannot be had: {error}")
                return page
            self._has_legacy = False  # it has the project and not this: so it has none of them
        except PageError as error:
            self._progress.note(f"what the page of {project} lacks cannot be had: {error}")
        detail = complete(page.detail, told)
        if kept is not None:
            kept = msgspec.structs.replace(kept, detail=detail, is_completed=True)
        return replace(page, detail=detail, to_remember=kept, is_new=True)

    def _ask_legacy(self, url: str) -> dict[str, File]:
        timeout = self._network.page_timeout_seconds
        with self._transport.get(url, headers={"Accept": "application/json"}, timeout_seconds=timeout) as answer:
            if answer.status != 200:
                raise PageError(url, f"HTTP {answer.status} is no answer to this question")
            return parse_legacy(answer.read(max_bytes=self._network.max_page_bytes), url=url)

    def fetch_list(self) -> FetchedList:
        """Every project of the upstream, in order. Raises :class:`RequestError` or :class:`PageError`."""
        url = self.upstream.url
        remembered = self.cache.load_list(url)

        def attempt() -> FetchedList:
            with self._transport.get(
                url, headers=_make_headers(remembered), timeout_seconds=self._network.page_timeout_seconds
            ) as answer:
                if answer.status == 304 and remembered is not None:
                    return FetchedList(projects=remembered.projects, to_remember=None)
                if answer.status != 200:
                    raise PageError(url, f"HTTP {answer.status} is no answer to this question")
                return self._read_list(answer, url, remembered)

        return self._transport.retry(attempt, progress=self._progress)

    def _read_list(self, answer: Answer, url: str, remembered: CachedList | None) -> FetchedList:
        body = answer.read(max_bytes=self._network.max_page_bytes)
        digest = hashlib.sha256(body).hexdigest()
        if remembered is not None and remembered.body_sha256 == digest:
            return FetchedList(projects=remembered.projects, to_remember=None)
        _check_whole(answer, body, url)
        page = parse_project_list(body, content_type=answer.headers.get("content-type", ""), url=answer.url)
        projects = tuple(sorted({name for text in page.projects if (name := _normalize(text)) is not None}))
        to_remember = CachedList(
            url=url,
            etag=_read_validator(answer, "etag"),
            last_modified=_read_validator(answer, "last-modified"),
            body_sha256=digest,
            projects=projects,
            serial=_read_serial(answer, page.serial),
        )
        return FetchedList(projects=projects, to_remember=to_remember)

    def fetch_size(self, url: str) -> int | None:
        """The bytes of the file at ``url``, as its server says without sending it; ``None`` where it does not.

        Asked once: it is a hint that can be done without. What looks like an error page tells nothing.
        """
        headers = {"Accept-Encoding": "identity"}
        timeout = self._network.page_timeout_seconds
        with self._transport.get(url, headers=headers, timeout_seconds=timeout, method="HEAD") as answer:
            is_page = answer.headers.get("content-type", "").lower().startswith("text/html")
            is_packed = answer.headers.get("content-encoding", "identity") != "identity"
            return answer.content_length if answer.status == 200 and not is_page and not is_packed else None

    def _read(self, answer: Answer, url: str, project: NormalizedName, cached: CachedPage | None) -> FetchedPage | None:
        """``None`` where the answer is that of another page than the remembered one, and must be asked for whole."""
        is_there = cached is not None and cached.page_url == answer.url
        if answer.status == 304:
            if cached is None or not is_there:
                return None
            return FetchedPage(detail=cached.detail, url=answer.url, to_remember=cached, is_new=False)
        if answer.status != 200:
            raise PageError(url, f"HTTP {answer.status} is no answer to this question")
        body = answer.read(max_bytes=self._network.max_page_bytes)
        digest = hashlib.sha256(body).hexdigest()
        if cached is not None and is_there and cached.body_sha256 == digest:
            # Other validators for the same bytes are not kept: some servers have new ones every time.
            return FetchedPage(detail=cached.detail, url=answer.url, to_remember=cached, is_new=False)
        _check_whole(answer, body, url)
        # Links are relative to where the page was in the end, not to where it was asked for.
        detail = parse_project_detail(body, content_type=answer.headers.get("content-type", ""), url=answer.url)
        _check_detail(detail, url, project)
        detail = msgspec.structs.replace(detail, serial=_read_serial(answer, detail.serial))
        if cached is not None:
            detail = fill_sizes(
                detail, {(file.filename, file.hashes): file.probable_size for file in cached.detail.files}
            )
        page = CachedPage(
            url=url,
            page_url=answer.url,
            etag=_read_validator(answer, "etag"),
            last_modified=_read_validator(answer, "last-modified"),
            body_sha256=digest,
            detail=detail,
        )
        return FetchedPage(
            detail=detail, url=answer.url, to_remember=None if _holds_credentials(detail, answer.url) else page
        )


def _check_whole(answer: Answer, body: bytes, url: str) -> None:
    """A page that was cut off may be whole when it is asked for again."""
    is_packed = answer.headers.get("content-encoding", "identity").strip().lower() != "identity"  # it has its own end
    content_type = answer.headers.get("content-type", "")
    cut = find_cut(body, content_type=content_type, is_delimited=answer.is_delimited or is_packed)
    if cut is not None:
        raise TransientRequestError(url, cut)


def _read_serial(answer: Answer, told: int | None) -> int | None:
    """That of the page, else that of the header, which is all that an HTML page can have."""
    return told if told is not None else parse_serial(answer.headers.get("x-pypi-last-serial", ""))


def _read_validator(answer: Answer, name: str) -> str | None:
    """A validator that can be sent back; what is not plain ASCII is as good as none."""
    text = answer.headers.get(name, "")
    return text if text and text.isascii() and text.isprintable() else None


def _holds_credentials(detail: ProjectDetail, page_url: str) -> bool:
    """Whether a URL has a user or a query in it, which may be a signature: then the page is not remembered, since no
    credential goes into the state.
    """
    links = (link for file in detail.files for link in (file.url, file.provenance or ""))
    return any("?" in url or "@" in url.partition("://")[2].partition("/")[0] for url in (page_url, *links))


def fill_sizes(detail: ProjectDetail, sizes: Mapping[tuple[str, Hashes], int | None]) -> ProjectDetail:
    """``detail`` with the sizes that it does not give, by (file name, hashes), where they are known from elsewhere."""

    def fill(file: File) -> File:
        size = sizes.get((file.filename, file.hashes))
        if file.size is not None or size in (None, file.probable_size):
            return file
        return msgspec.structs.replace(file, probable_size=size)

    files = tuple(fill(file) for file in detail.files)
    is_same = all(one is other for one, other in zip(files, detail.files, strict=True))
    return detail if is_same else msgspec.structs.replace(detail, files=files)


def _normalize(text: str) -> str | None:
    """A listed project; what is no project name names nothing that could be asked for."""
    try:
        return check_project(canonicalize_name(text))
    except UnsafeNameError:
        return None


def _make_headers(cached: CachedPage | CachedList | None) -> dict[str, str]:
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
        raise EmptyPageError(url, "the page lists no file; an empty answer is not taken for an empty project")
    names = (parse_filename(file.filename, project) for file in detail.files)
    if not any(name is not None and name.project == project for name in names):
        raise PageError(url, f"no file on the page is one of {project}")
