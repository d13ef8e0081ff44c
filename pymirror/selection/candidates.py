"""What a page offers: the entries whose name is that of a distribution of the project, each file name once."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

import msgspec
from packaging.utils import NormalizedName
from packaging.version import Version

from pymirror.distribution import Distribution, parse_filename
from pymirror.errors import UnsafeNameError
from pymirror.layout import check_filename
from pymirror.selection.model import Excluded, Reason
from pymirror.simple.model import File, ProjectDetail
from pymirror.spec.model import Origin


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file whose name says that it is a distribution of this project with a PEP 440 version.

    ``fault`` is why it must not be fetched. ``is_removed`` where it was published, and upstream lists it no more.
    """

    file: File
    distribution: Distribution
    version: Version
    fault: tuple[Reason, str] | None = None
    is_removed: bool = False

    def leave_out(
        self, reason: Reason, detail: str = "", origin: Origin | None = None, *, until: datetime | None = None
    ) -> Excluded:
        return Excluded(
            filename=self.file.filename,
            reason=reason,
            detail=detail,
            origin=origin,
            version=self.version,
            size=self.file.expected_size,
            until=until,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """A page that was understood: what it offers, and the entries that are no distribution of the project."""

    candidates: tuple[Candidate, ...]
    unread: tuple[Excluded, ...]


def read_offered(
    project: NormalizedName, detail: ProjectDetail, *, page_url: str, published: Sequence[File] = ()
) -> Offered:
    """What ``detail``, which was read from ``page_url``, offers, and what of ``published`` it lists no more."""
    unread: list[Excluded] = []
    candidates = tuple(understand(project, detail, page_url, published, unread))
    return Offered(candidates=candidates, unread=tuple(unread))


def understand(
    project: NormalizedName,
    detail: ProjectDetail,
    page_url: str,
    published: Sequence[File],
    excluded: list[Excluded],
) -> Iterator[Candidate]:
    """The page's files that are distributions of ``project``, and those of ``published`` that it lists no more.

    The others go to ``excluded``.
    """
    by_name: dict[str, list[File]] = defaultdict(list)
    for file in detail.files:
        by_name[file.filename].append(file)
    removed = {file.filename: [file] for file in published if file.filename not in by_name}
    for filename, files in itertools.chain(by_name.items(), removed.items()):
        distribution = _read_name(project, filename, excluded)
        if distribution is None or distribution.version is None:
            continue
        is_removed = filename in removed
        file = files[0] if is_removed else _merge(files, page_url)
        if detail.status == "quarantined":
            # PEP 792: a quarantined project offers no files.
            reason = detail.status_reason or ""
            excluded.append(Candidate(file, distribution, distribution.version).leave_out(Reason.QUARANTINED, reason))
        else:
            fault = None if is_removed else _find_fault(file, files, page_url)
            yield Candidate(file, distribution, distribution.version, fault, is_removed)


def _find_fault(file: File, files: Sequence[File], page_url: str) -> tuple[Reason, str] | None:
    """Why ``file``, one of the entries ``files`` of its name, must not be fetched."""
    if len({other.hashes for other in files}) > 1:
        return Reason.DUPLICATE, "listed twice with different hashes; which bytes are meant cannot be known"
    problem = _find_url_problem(file.url, page_url)
    return (Reason.UNSAFE_URL, problem) if problem is not None else None


def _merge(files: Sequence[File], page_url: str) -> File:
    """One of several entries of the same name, the same in any order; it is yanked if any of them is."""
    if len(files) == 1:
        return files[0]
    best = min(files, key=lambda file: (_find_url_problem(file.url, page_url) is not None, repr(file)))
    yanked = max((file.yanked for file in files), key=lambda reason: (bool(reason), str(reason)))
    return msgspec.structs.replace(best, yanked=yanked)


def _read_name(project: NormalizedName, filename: str, excluded: list[Excluded]) -> Distribution | None:
    try:
        check_filename(filename)
    except UnsafeNameError as error:
        excluded.append(Excluded(filename=filename, reason=Reason.UNSAFE_FILENAME, detail=error.problem))
        return None
    distribution = parse_filename(filename, project)
    if distribution is None:
        excluded.append(Excluded(filename=filename, reason=Reason.NOT_A_DISTRIBUTION))
    elif distribution.project != project:
        excluded.append(
            Excluded(filename=filename, reason=Reason.OTHER_PROJECT, detail=f"a file of {distribution.project}")
        )
    elif distribution.version is None:
        excluded.append(Excluded(filename=filename, reason=Reason.INVALID_VERSION, detail=distribution.version_text))
    else:
        return distribution
    return None


def _find_url_problem(url: str, page_url: str) -> str | None:
    """Promise 8: only http(s) is asked, and what was read over https is not had over http."""
    # As nearly all are; to take each apart would cost more than all else.
    if url.startswith("https://") and "[" not in url:
        return None
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        return "not a URL"
    if scheme not in ("http", "https"):
        return "not an http(s) link"
    if scheme == "http" and urlsplit(page_url).scheme == "https":
        return "an http link on a page read over https"
    return None
