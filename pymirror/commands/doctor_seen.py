"""What ``doctor`` saw of a hosted tree, as values, and what it looks at next: pure, so that all of it is testable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

from packaging.utils import canonicalize_name

from pymirror.errors import PageError
from pymirror.simple.model import File, ProjectDetail
from pymirror.simple.parse import parse_project_detail, parse_project_list

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
PIP_ACCEPT = f"{JSON_TYPE}, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"
HTML_TYPES = ("text/html", "application/vnd.pypi.simple.v1+html")

MAX_REQUESTS = 40
UNASKED = f"not asked: {MAX_REQUESTS} requests are enough"

MAX_PROJECTS = 4
MAX_FILES = 4
MAX_FILE_BYTES = 20 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer to one question. ``status`` is 0 where there was none, and ``problem`` says why.

    ``redirects`` are the URLs that it was sent on to; where they were followed, ``url`` is the last of them. The body
    of a page is unpacked; that of a file is as it was sent. Names of headers are in lower case. ``is_broken`` is an
    answer that broke off, or a connection that did.
    """

    asked: str
    url: str
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    redirects: tuple[str, ...] = ()
    problem: str = ""
    is_broken: bool = False

    def header(self, name: str) -> str:
        return self.headers.get(name, "").strip()

    @property
    def kind(self) -> str:
        """The content type without its parameters."""
        return self.header("content-type").partition(";")[0].strip().lower()

    @property
    def outcome(self) -> str:
        """What came, in a few words."""
        if self.problem:
            return self.problem
        return f"HTTP {self.status}" + (f", {self.kind}" if self.status == 200 and self.kind else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """One page, as poetry 1 asks for it (``*/*``) and as pip does; of a project, or with ``None`` the list."""

    project: str | None
    html: Reply
    json: Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenFile:
    """A file, what its page says of it, and what came."""

    file: File
    reply: Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """``expires`` is aware UTC, and ``None`` where it could not be seen; ``problem`` is why it is not trusted."""

    expires: datetime | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """All that was seen. ``None`` and empty is what was not asked, since there was nothing to ask for."""

    simple_url: str
    now: datetime
    listing: Pages
    projects: tuple[Pages, ...] = ()
    text_html: Reply | None = None
    conditional: tuple[Reply, ...] = ()
    copies: tuple[Reply, Reply] | None = None  # a large page for who does not accept gzip, and for who does
    heads: tuple[tuple[Reply, Reply], ...] = ()  # GET and HEAD of the same
    files: tuple[SeenFile, ...] = ()
    part: tuple[SeenFile, Reply] | None = None  # the file, and its first ten bytes
    metadata: tuple[SeenFile, ...] = ()
    provenance: SeenFile | None = None
    front: Reply | None = None
    peoples_page: Reply | None = None
    legacy: Reply | None = None
    without_slash: Reply | None = None
    odd_name: Reply | None = None
    unknown: Reply | None = None
    private: tuple[Reply, ...] = ()
    folders: tuple[Reply, ...] = ()
    certificate: Certificate | None = None


def read_names(pages: Pages) -> tuple[str, ...]:
    """The projects of the list, from whichever of its formats can be read."""
    for reply in (pages.json, pages.html):
        if reply.status == 200:
            try:
                page = parse_project_list(reply.body, content_type=reply.header("content-type"), url=reply.url)
            except PageError:
                continue
            return tuple(dict.fromkeys(canonicalize_name(name) for name in page.projects))
    return ()


def read_detail(reply: Reply) -> ProjectDetail | str:
    """The page of a project, or why it is none."""
    if reply.status != 200:
        return reply.outcome
    try:
        return parse_project_detail(reply.body, content_type=reply.header("content-type"), url=reply.url)
    except PageError as error:
        return error.problem


def read_files(projects: Sequence[Pages]) -> tuple[File, ...]:
    """Every file of the pages, from whichever of their formats can be read."""
    files: list[File] = []
    for pages in projects:
        details = [detail for reply in (pages.json, pages.html) if not isinstance(detail := read_detail(reply), str)]
        files.extend(details[0].files if details else ())
    return tuple(files)


def choose_large(pages: Sequence[Pages]) -> Reply | None:
    """The page that is most likely packed: the largest, or one that could not be unpacked."""
    replies = [each.html for each in pages]
    broken = [reply for reply in replies if reply.problem and not reply.redirects]
    came = sorted((reply for reply in replies if reply.status == 200), key=lambda reply: -len(reply.body))
    return next(iter((*broken, *came)), None)


def choose_projects(names: Sequence[str]) -> tuple[str, ...]:
    """A few, from all over the list."""
    if len(names) <= MAX_PROJECTS:
        return tuple(names)
    return tuple(names[index * (len(names) - 1) // (MAX_PROJECTS - 1)] for index in range(MAX_PROJECTS))


def choose_files(files: Sequence[File]) -> tuple[File, ...]:
    """Of those that are not too large, the smallest of each kind that servers treat in their own way."""
    small = sorted(
        (file for file in files if (file.size or 0) <= MAX_FILE_BYTES), key=lambda file: (file.size or 0, file.filename)
    )
    kinds = (
        [file for file in small if file.filename.endswith((".tar.gz", ".tgz"))],
        [file for file in small if "+" in file.filename or "!" in file.filename],
        [file for file in small if file.filename.endswith(".whl") and file.core_metadata],
        [file for file in small if file.filename.endswith(".whl")],
        small,
    )
    chosen = dict.fromkeys(kind[0] for kind in kinds if kind)
    return tuple(chosen)[:MAX_FILES]


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port; what is no URL is at home nowhere but with itself."""
    try:
        parts = urlsplit(url)
        default = {"http": 80, "https": 443}.get(parts.scheme)
        return parts.scheme, (parts.hostname or "").lower(), parts.port or default
    except ValueError:
        return "", url, None
