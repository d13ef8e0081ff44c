"""One request that tells which pages have not changed: an upstream's list, where it gives the serials of projects.

A page is not asked for where the list has the serial that it was remembered with. In any doubt it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

import msgspec

from pymirror.errors import PymirrorError, StorageError
from pymirror.progress import Progress
from pymirror.simple.serials import Serials, make_serials, parse_serials
from pymirror.spec.model import Network, Upstream
from pymirror.state import CachedPage, CachedSerials, PageCache
from pymirror.transport import Answer, Transport
from pymirror.validators import make_headers, read_serial, read_validator

MIN_PAGES = 100
"""So many pages must be remembered with their serials, or it costs less to ask for each."""

LIST_BYTES_PER_PAGE = 2000
"""No more of the list is read for each of them, as it comes over the line: some conditional requests cost as much."""

MAX_AGE = timedelta(days=7)
"""A page that was not asked for itself for longer is: something on it may change without a new serial."""

_JSON = "application/vnd.pypi.simple.v1+json"


class PageSerials:
    """What the list of one upstream says of the pages that are remembered. Once it is read, for any number of threads.

    ``now`` is the time by the clock that the times of files are of.
    """

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
        self._upstream = upstream
        self._transport = transport
        self._cache = cache
        self._network = network
        self._progress = progress
        self._now = now
        self._is_asked = not upstream.serials
        self._serials: Serials | None = None
        self._new: CachedSerials | None = None

    @property
    def to_remember(self) -> CachedSerials | None:
        """What there is to keep of the list; ``None`` where that is kept already."""
        if self._new is None or self._serials is None:
            return None
        return msgspec.structs.replace(self._new, projects=self._serials.told())

    def ask(self, projects: Collection[str]) -> None:
        """Asks for the list, where enough pages of ``projects`` are remembered with serials: once in a run, and what
        fails is only noted.
        """
        if self._is_asked or len(projects) < MIN_PAGES:
            return
        remembered = frozenset(self._cache.list_projects())
        known = [project for project in projects if project in remembered]
        if not self._has_serials(known):
            return
        self._is_asked = True
        url = self._upstream.url
        before = self._cache.load_serials(url)
        headers = make_headers(before, accept=_JSON)
        try:
            with self._transport.get(
                url, headers=headers, timeout_seconds=self._network.page_timeout_seconds
            ) as answer:
                if answer.status == 304 and before is not None:
                    self._serials = make_serials(before.serial, before.projects)
                elif answer.status == 200 and _is_json(answer):
                    most = LIST_BYTES_PER_PAGE * len(known)
                    body = answer.read(max_bytes=self._network.max_page_bytes, max_stored_bytes=most)
                    self._read(answer, body, known, _find_whole(before))
        except StorageError:
            raise
        except PymirrorError as error:
            self._progress.note(f"the list does not tell which pages are unchanged: {error}; each is asked for")

    def read_list(self, answer: Answer, body: bytes, projects: Iterable[str]) -> None:
        """Takes in a list that was read for its names, ``projects``; :meth:`keep` is to follow."""
        if not self._is_asked and _is_json(answer):
            self._is_asked = True
            self._read(answer, body, projects, _find_whole(self._cache.load_serials(self._upstream.url)))

    def recall_list(self, body_sha256: str) -> None:
        """The same for a list that has not changed."""
        if self._is_asked:
            return
        self._is_asked = True
        before = self._cache.load_serials(self._upstream.url)
        if before is not None and before.body_sha256 == body_sha256:
            self._serials = make_serials(before.serial, before.projects)

    def keep(self, projects: Iterable[str]) -> None:
        """Forgets all others, but for those of which a page is remembered."""
        if self._serials is not None and self._new is not None:
            self._serials = self._serials.pick((*projects, *self._cache.list_projects()))

    def is_current(self, project: str, page: CachedPage) -> bool:
        """Whether ``page``, which is remembered, need not be asked for."""
        serial = page.detail.serial
        return (
            self._serials is not None
            and serial is not None
            and serial == self._serials.find(project)
            and serial <= self._serials.whole
            and bool(page.page_url)
            and (age := self._cache.read_age(project, self._now)) is not None
            and age <= MAX_AGE
        )

    def is_old(self, project: str) -> bool:
        """Whether its page was asked for for its age, and what is remembered is to have the time of now."""
        age = self._cache.read_age(project, self._now) if self._serials is not None else None
        return age is not None and age > MAX_AGE

    def confirms(self, project: str, serial: int | None) -> bool:
        """Whether the list says the same of ``project``."""
        return serial is not None and self._serials is not None and self._serials.find(project) == serial

    def _has_serials(self, projects: Iterable[str]) -> bool:
        """Whether enough of the pages have one; where many of the first have none, the others will not have it."""
        found = missed = 0
        for project in projects:
            if self._cache.load_serial(project, f"{self._upstream.url}{project}/") is None:
                missed += 1
            else:
                found += 1
            if found >= MIN_PAGES or missed > found + MIN_PAGES:
                break
        return found >= MIN_PAGES

    def _read(self, answer: Answer, body: bytes, projects: Iterable[str], before: int | None) -> None:
        """``before`` is the serial of the list that is remembered."""
        serials = parse_serials(body, projects, told=read_serial(answer))
        if serials is None:
            return
        if before is not None and serials.whole < before:
            self._progress.note(f"the list of {self._upstream.name} went back in time; each page is asked for")
            return
        self._serials = serials
        self._new = CachedSerials(
            url=self._upstream.url,
            etag=read_validator(answer, "etag"),
            last_modified=read_validator(answer, "last-modified"),
            body_sha256=hashlib.sha256(body).hexdigest(),
            serial=serials.whole,
            projects={},
        )


def _find_whole(before: CachedSerials | None) -> int | None:
    return before.serial if before is not None else None


def _is_json(answer: Answer) -> bool:
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind in (_JSON, "application/vnd.pypi.simple.latest+json", "application/json")
