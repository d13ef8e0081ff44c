"""The selection of every page; where the spec limits sizes, those that no page tells are asked for on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import msgspec

from pymirror.commands.ask import Asking
from pymirror.selection.model import Selection, Wants
from pymirror.simple.model import File, Hashes
from pymirror.snapshot import Snapshot, SnapshotFile
from pymirror.spec.model import Spec
from pymirror.upstream import FetchedPage, Index, fill_sizes

if TYPE_CHECKING:
    from pymirror.selection.candidates import Offered
    from pymirror.selection.select import Judgement


@dataclass(slots=True, kw_only=True)
class Page:
    """A project while it is decided on. ``published`` are its files in the mirror; without ``index`` it has no page."""

    wants: Wants
    published: tuple[File, ...]
    fetched: FetchedPage
    index: Index | None = None
    _offered: tuple[FetchedPage, Offered] | None = field(default=None, init=False, repr=False)

    def read(self) -> Offered:
        """What the page offers, and the files of the mirror that it lists no more."""
        if self._offered is None or self._offered[0] is not self.fetched:
            from pymirror.selection.candidates import read_offered  # late, since most pages are as they were

            offered = read_offered(
                self.wants.project, self.fetched.detail, page_url=self.fetched.url, published=self.published
            )
            self._offered = (self.fetched, offered)
        return self._offered[1]

    def select(self) -> Selection:
        return self.examine().selection

    def examine(self) -> Judgement:
        from pymirror.selection.select import examine  # late, since most pages are as they were

        return examine(
            self.wants,
            self.fetched.detail,
            page_url=self.fetched.url,
            published=self.published,
            offered=self.read(),
        )

    def learn(self, sizes: dict[tuple[str, Hashes], int | None], *, remember: bool) -> None:
        """Puts ``sizes`` into the page; with ``remember``, into what is kept of it too, so that they are asked once."""
        detail = fill_sizes(self.fetched.detail, sizes)
        if detail is self.fetched.detail:
            return
        if not remember:
            self.fetched = replace(self.fetched, detail=detail)
            return
        remembered = self.fetched.to_remember
        if remembered is not None:
            remembered = msgspec.structs.replace(remembered, detail=detail)
        self.fetched = replace(self.fetched, detail=detail, to_remember=remembered, is_new=True)


def as_file(file: SnapshotFile) -> File:
    """A published file as a page would list it, without a place to fetch it from."""
    hashes = tuple(sorted({("sha256", file.sha256), *file.other_hashes}))
    return File(
        filename=file.filename,
        url="",
        hashes=hashes,
        size=file.size,
        upload_time=file.upload_time,
        requires_python=file.requires_python,
        yanked=file.yanked,
    )


def examine_page(spec: Spec, asking: Asking, page: Page, previous: Snapshot) -> Judgement:
    """The decision on one page, with what every rule said of every file."""
    select_pages(spec, asking, [page], previous)
    return page.examine()


def select_pages(spec: Spec, asking: Asking, pages: Sequence[Page], previous: Snapshot) -> tuple[Selection, ...]:
    """The decision on each page."""
    selections = [page.select() for page in pages]
    limited = [
        number for number, page in enumerate(pages) if page.index is not None and _limits_sizes(spec, page.wants)
    ]
    if not limited:
        return tuple(selections)
    known = {(project, file.filename): file for project, file in previous.files()}
    asked: set[tuple[int, str]] = set()
    while True:  # what turns out too large may let an older one in, whose size is not known either; each is asked once
        unknown: list[tuple[int, Index, File]] = []
        for number in limited:
            files = _find_unknown(pages[number], selections[number], known)
            index = pages[number].index
            if index is not None:
                unknown += [(number, index, file) for file in files if (number, file.url) not in asked]
        if unknown:
            asked |= {(number, file.url) for number, _, file in unknown}
            sizes = _ask_sizes(spec, asking, pages, unknown)
            for number in {number for number, _, _ in unknown}:
                files = [file for each, _, file in unknown if each == number]
                pages[number].learn({(f.filename, f.hashes): sizes.get(f.url) for f in files}, remember=True)
        for number in limited:
            selections[number] = pages[number].select()
        if not unknown:
            break
    return tuple(selections)


def _ask_sizes(
    spec: Spec, asking: Asking, pages: Sequence[Page], unknown: Sequence[tuple[int, Index, File]]
) -> dict[str, int]:
    """The sizes of files, by their URLs. One that would leave a file out is asked for again as for a download: it is
    remembered, and what a server tells HEAD may be the size of something else.
    """
    sizes = asking.fetch_sizes([(index, file) for _, index, file in unknown])
    doubtful = [
        (index, file)
        for number, index, file in unknown
        if sizes.get(file.url, 0) > min(_list_limits(spec, pages[number].wants))
    ]
    return sizes | asking.fetch_sizes(doubtful, by_get=True)


def _find_unknown(page: Page, selection: Selection, known: dict[tuple[str, str], SnapshotFile]) -> list[File]:
    """The chosen files whose size neither the page nor the mirror tells; what the mirror tells is put into the page."""
    files = [chosen.file for chosen in selection.chosen if chosen.file.expected_size is None and chosen.file.url]
    published = {file.filename: known.get((page.wants.project, file.filename)) for file in files}
    told = {
        (file.filename, file.hashes): same.size
        for file in files
        if (same := published[file.filename]) is not None and _is_same(file, same)
    }
    if told:
        page.learn(dict(told), remember=False)
    return [file for file in files if (file.filename, file.hashes) not in told]


def _is_same(file: File, published: SnapshotFile) -> bool:
    return file.sha256 == published.sha256 if file.sha256 else file.hashes == published.other_hashes


def _limits_sizes(spec: Spec, wants: Wants) -> bool:
    return bool(_list_limits(spec, wants))


def _list_limits(spec: Spec, wants: Wants) -> list[int]:
    filters = [wants.filters, *(rule.filters for rule in wants.rules)]
    limits = [spec.max_total_size, *(each.max_file_size for each in filters)]
    return [limit for limit in limits if limit is not None]
