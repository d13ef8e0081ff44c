"""One remote index: project pages, asked for conditionally, parsed and checked."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

import msgspec
from packaging.utils import NormalizedName, canonicalize_name

from pymirror.errors import EmptyPageError, PageError, RequestError, TransientRequestError, UnsafeNameError
from pymirror.layout import check_project
from pymirror.progress import Progress
from pymirror.serials import PageSerials
from pymirror.simple.legacy import complete, find_legacy_url, lacks_something, parse_legacy
from pymirror.simple.model import File, Hashes, ProjectDetail
from pymirror.simple.parse import find_cut, parse_project_detail, parse_project_list
from pymirror.spec.model import Network, Upstream
from pymirror.state import CachedList, CachedPage, PageCache
from pymirror.transport import Answer, Transport
from pymirror.validators import make_headers, read_serial, read_validator

R = TypeVar("R")

_FIRST_BYTE = re.compile(r"bytes 0-0/([0-9]{1,18})")


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedPage:
    """A project's page, and the URL that it was read from in the end.

    ``to_remember`` is ``None`` where there is nothing to keep of it; ``is_new`` where it is not what was kept already.
    """

    detail: ProjectDetail
    url: str
    to_remember: CachedPage | None
    is_new: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedList:
    """The projects of an upstream, and what is to be remembered where it is not already.

    ``is_other`` is whether they are other projects than those that are remembered.
    """

    projects: tuple[str, ...]
    to_remember: CachedList | None
    is_other: bool = False


class Index:
    """Reads the pages of one upstream. ``now`` is when the run began."""

    def __init__(
        self,
        upstream: Upstream,
        *,
        transport: Transport,
        cache: PageCache,
        network: Network,
        progress: Progress,
        now: datetime,
    ) -> None:
        self.upstream = upstream
        self.cache = cache
        self._transport = transport
        self._network = network
        self._progress = progress
        self._has_legacy = True
        self.serials = PageSerials(
            upstream, transport=transport, cache=cache, network=network, progress=progress, now=now
        )

    def fetch(self, project: NormalizedName) -> FetchedPage:
        """The page of ``project``; as it is remembered where the list says that it has not changed since.

        Raises :class:`RequestError` or :class:`PageError`.
        """
        url = f"{self.upstream.url}{project}/"
        remembered = self.cache.load(project, url)
        if remembered is not None and self._is_current(project, remembered):
            page_url = remembered.page_url
            return FetchedPage(detail=remembered.detail, url=page_url, to_remember=remembered, is_new=False)
        doubted: set[str] = set()

        def ask(cached: CachedPage | None) -> FetchedPage | None:
            with self._transport.get(
                url, headers=make_headers(cached), timeout_seconds=self._network.page_timeout_seconds
            ) as answer:
                return self._read(answer, url, project, cached, doubted)

        def attempt() -> FetchedPage:
            page = _ask_again_in_doubt(lambda: ask(remembered))
            if page is None and remembered is not None:
                page = _ask_again_in_doubt(lambda: ask(None))
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
        doubted: set[str] = set()

        def attempt() -> FetchedList:
            with self._transport.get(
                url, headers=make_headers(remembered), timeout_seconds=self._network.page_timeout_seconds
            ) as answer:
                if answer.status == 304 and remembered is not None:
                    self.serials.recall_list(remembered.body_sha256)
                    return FetchedList(projects=remembered.projects, to_remember=None)
                if answer.status != 200:
                    raise PageError(url, f"HTTP {answer.status} is no answer to this question")
                return self._read_list(answer, url, remembered, doubted)

        return self._transport.retry(lambda: _ask_again_in_doubt(attempt), progress=self._progress)

    def _read_list(self, answer: Answer, url: str, remembered: CachedList | None, doubted: set[str]) -> FetchedList:
        body = answer.read(max_bytes=self._network.max_page_bytes)
        digest = hashlib.sha256(body).hexdigest()
        if remembered is not None and remembered.body_sha256 == digest:
            self.serials.read_list(answer, body, remembered.projects)
            return FetchedList(projects=remembered.projects, to_remember=None)
        _check_whole(answer, body, url, digest, doubted)
        page = parse_project_list(body, content_type=answer.headers.get("content-type", ""), url=answer.url)
        projects = tuple(sorted({name for text in page.projects if (name := _normalize(text)) is not None}))
        to_remember = CachedList(
            url=url,
            etag=read_validator(answer, "etag"),
            last_modified=read_validator(answer, "last-modified"),
            body_sha256=digest,
            projects=projects,
            serial=read_serial(answer, page.serial),
        )
        if remembered is None or (to_remember.serial or 0) >= (remembered.serial or 0):  # else it went back in time
            self.serials.read_list(answer, body, projects)
        is_other = remembered is None or remembered.projects != projects
        return FetchedList(projects=projects, to_remember=to_remember, is_other=is_other)

    def fetch_size(self, url: str, *, by_get: bool = False) -> int | None:
        """The bytes of the file at ``url``, as its server says without sending it; ``None`` where it does not.

        Asked once: it is a hint that can be done without. What looks like an error page tells nothing. With ``by_get``
        the server is asked as for a download, of the first byte: some tell HEAD something else.
        """
        headers = {"Accept-Encoding": "identity"} | ({"Range": "bytes=0-0"} if by_get else {})
        timeout = self._network.page_timeout_seconds
        method = "GET" if by_get else "HEAD"
        with self._transport.get(url, headers=headers, timeout_seconds=timeout, method=method) as answer:
            is_page = answer.headers.get("content-type", "").lower().startswith("text/html")
            is_packed = answer.headers.get("content-encoding", "identity") != "identity"
            if is_page or is_packed:
                return None
            if answer.status == 206:
                match = _FIRST_BYTE.fullmatch(answer.headers.get("content-range", ""))
                return int(match[1]) if match else None
            return answer.content_length if answer.status == 200 else None

    def _read(
        self, answer: Answer, url: str, project: NormalizedName, cached: CachedPage | None, doubted: set[str]
    ) -> FetchedPage | None:
        """``None`` where the answer is that of another page than the remembered one, and must be asked for whole."""
        is_there = cached is not None and cached.page_url == answer.url
        if answer.status == 304:
            if cached is None or not is_there:
                return None
            return self._confirm(cached, answer, project)
        if answer.status != 200:
            raise PageError(url, f"HTTP {answer.status} is no answer to this question")
        body = answer.read(max_bytes=self._network.max_page_bytes)
        digest = hashlib.sha256(body).hexdigest()
        if cached is not None and is_there and cached.body_sha256 == digest:
            # Other validators for the same bytes are not kept: some servers have new ones every time.
            return self._confirm(cached, answer, project)
        _check_whole(answer, body, url, digest, doubted)
        # Links are relative to where the page was in the end, not to where it was asked for.
        detail = parse_project_detail(body, content_type=answer.headers.get("content-type", ""), url=answer.url)
        _check_detail(detail, url, project)
        detail = msgspec.structs.replace(detail, serial=read_serial(answer, detail.serial))
        if cached is not None:
            detail = fill_sizes(
                detail, {(file.filename, file.hashes): file.probable_size for file in cached.detail.files}
            )
        page = CachedPage(
            url=url,
            page_url=answer.url,
            etag=read_validator(answer, "etag"),
            last_modified=read_validator(answer, "last-modified"),
            body_sha256=digest,
            detail=detail,
        )
        return FetchedPage(detail=detail, url=answer.url, to_remember=page)

    def _is_current(self, project: NormalizedName, page: CachedPage) -> bool:
        """Whether the remembered ``page`` need not be asked for, nor the legacy API for what it lacks."""
        is_complete = page.is_completed or find_legacy_url(self.upstream.url, project) is None
        return self.serials.is_current(project, page) and (is_complete or not lacks_something(page.detail))

    def _confirm(self, cached: CachedPage, answer: Answer, project: NormalizedName) -> FetchedPage:
        """The remembered page, which has not changed. It is kept anew with another serial, and after a week for its
        time: that is when it was last asked for.
        """
        serial = read_serial(answer)
        is_other = serial != cached.detail.serial and self.serials.confirms(project, serial)
        detail = msgspec.structs.replace(cached.detail, serial=serial) if is_other else cached.detail
        to_remember = msgspec.structs.replace(cached, detail=detail) if is_other else cached
        is_new = is_other or self.serials.is_old(project)
        return FetchedPage(detail=detail, url=answer.url, to_remember=to_remember, is_new=is_new)


class _DoubtedPageError(TransientRequestError):
    """A page that may be whole or not."""


def _ask_again_in_doubt(ask: Callable[[], R]) -> R:
    """``ask()``; at once again where the page is in doubt, which is no failure that retries are counted for."""
    with contextlib.suppress(_DoubtedPageError):
        return ask()
    return ask()


def _check_whole(answer: Answer, body: bytes, url: str, digest: str, doubted: set[str]) -> None:
    """A page that was cut off may be whole when it is asked for again.

    ``doubted`` are the digests of pages that were in doubt: one that came a second time was cut by nobody.
    """
    is_packed = answer.headers.get("content-encoding", "identity").strip().lower() != "identity"  # it has its own end
    content_type = answer.headers.get("content-type", "")
    cut = find_cut(body, content_type=content_type, is_delimited=answer.is_delimited or is_packed)
    if cut is None or (not cut.is_certain and digest in doubted):
        return
    if cut.is_certain:
        raise TransientRequestError(url, cut.problem)
    doubted.add(digest)
    raise _DoubtedPageError(url, cut.problem)


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
        name = check_project(canonicalize_name(text))
    except UnsafeNameError:
        return None
    return text if text == name else name  # most are written so: then there is one text of it in memory, not two


def _check_detail(detail: ProjectDetail, url: str, project: NormalizedName) -> None:
    """A page of another project, or of no file at all, is an error and not a state (promise 6)."""
    if detail.name is not None and canonicalize_name(detail.name) != project:
        raise PageError(url, f'the page is that of "{detail.name}"')
    if detail.status == "quarantined":
        return
    if not detail.files:
        raise EmptyPageError(url, "the page lists no file; an empty answer is not taken for an empty project")
    from pymirror.distribution import parse_filename  # late, since most pages are as they were

    names = (parse_filename(file.filename, project) for file in detail.files)
    if not any(name is not None and name.project == project for name in names):
        raise PageError(url, f"no file on the page is one of {project}")
