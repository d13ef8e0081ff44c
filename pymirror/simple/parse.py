"""An answer's bytes → a page, by its content type (PEP 691), after a check of its API version (PEP 629)."""

from __future__ import annotations

from email.message import Message

import msgspec

from pymirror.errors import PageError, printable
from pymirror.simple.model import ProjectDetail, ProjectList

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"

_MAX_CONTENT_TYPE = 1000
_END_BYTES = 4096  # in which the end of a page is looked for: a comment may follow it

_JSON_TYPES = frozenset({"application/vnd.pypi.simple.v1+json", "application/json"})
_HTML_TYPES = frozenset({"application/vnd.pypi.simple.v1+html", "text/html", "application/xhtml+xml"})


def parse_project_detail(body: bytes, *, content_type: str, url: str) -> ProjectDetail:
    """The project page that ``url`` answered. Links are made absolute. Raises :class:`PageError`."""
    kind, charset = _read_content_type(content_type)
    if kind in _JSON_TYPES:
        from pymirror.simple.parse_json import parse_json_detail  # late, as all below: most pages are as they were

        detail = parse_json_detail(body, url=url)
    elif kind in _HTML_TYPES:
        from pymirror.simple.parse_html import parse_html_detail

        detail = parse_html_detail(body, charset=charset, url=url)
    else:
        raise _unsupported(content_type, url)
    _check_api_version(detail.api_version, url)
    return detail


def parse_project_list(body: bytes, *, content_type: str, url: str) -> ProjectList:
    """The page of all projects that ``url`` answered. Raises :class:`PageError`."""
    kind, charset = _read_content_type(content_type)
    if kind in _JSON_TYPES:
        from pymirror.simple.parse_json import parse_json_list

        page = parse_json_list(body, url=url)
    elif kind in _HTML_TYPES:
        from pymirror.simple.parse_html import parse_html_list

        page = parse_html_list(body, charset=charset, url=url)
    else:
        raise _unsupported(content_type, url)
    _check_api_version(page.api_version, url)
    return page


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """How it shows that a body is the beginning of a page only.

    Where ``is_certain`` is not, it may be whole all the same, as a further answer of the same bytes tells.
    """

    problem: str
    is_certain: bool = True


def find_cut(body: bytes, *, content_type: str, is_delimited: bool) -> Cut | None:
    """How it shows that ``body`` is the beginning of a page only; ``None`` where it does not.

    Half a page of HTML is a page too, of which files seem to be gone. ``is_delimited`` is whether the server said where
    the answer ends, by its length or by chunks: where the end of the connection was the only sign, the page must say.
    """
    kind, _ = _read_content_type(content_type)
    end = body[-_END_BYTES:].rstrip(b" \t\r\n\f\0")
    if not end:
        return None  # an empty answer is another mistake
    if kind in _JSON_TYPES:
        is_begun = body[:_END_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
        return Cut(problem="the page ends within its JSON") if is_begun and not end.endswith(b"}") else None
    if kind not in _HTML_TYPES:
        return None
    lowered = end.lower()
    if b"</html" in lowered or b"</body" in lowered:
        return None
    return _find_cut_html(body, is_delimited=is_delimited)


def _find_cut_html(body: bytes, *, is_delimited: bool) -> Cut | None:
    """The same for HTML whose last bytes do not say that it is at its end.

    Each search is one pass over the bytes, however they are made up.
    """
    text = body.lower()
    if b"\0" in text[:_END_BYTES]:
        text = text.replace(b"\0", b"")  # UTF-16, in which every sign of markup has a zero beside it
    last_link = max(text.rfind(b"<a" + space) for space in (b" ", b"\n", b"\t", b"\r", b"\f", b"/"))
    if max(text.rfind(b"</html"), text.rfind(b"</body")) > last_link:
        return None  # a long comment or a script may follow it
    if text.rfind(b"<") > text.rfind(b">"):
        return Cut(problem="the page ends within a tag")
    if last_link > text.rfind(b"</a"):
        return Cut(problem="the page ends within a link")
    problem = "the page ends before its </html>"
    if not is_delimited:
        return Cut(problem=problem)
    # HTML lets both end tags be left out: <https://html.spec.whatwg.org/multipage/syntax.html#optional-tags>.
    return Cut(problem=problem, is_certain=False) if b"<html" in text or b"<body" in text else None


def _read_content_type(content_type: str) -> tuple[str, str | None]:
    if len(content_type) > _MAX_CONTENT_TYPE:  # the library's time for one grows with the square of its length
        return "", None
    message = Message()
    message["content-type"] = content_type
    charset = message.get_content_charset()
    # `get_content_type` answers text/plain for what it cannot read; PEP 691 names `latest` an alias of v1.
    kind = message.get_content_type() if content_type else ""
    return kind.replace("simple.latest+", "simple.v1+"), charset


def _unsupported(content_type: str, url: str) -> PageError:
    shown = printable(content_type, limit=100) or "none"
    return PageError(url, f'the content type is "{shown}", not that of a Simple index')


def _check_api_version(version: str, url: str) -> None:
    """PEP 629: a greater major version must fail; a greater minor one may hold things that we do not know."""
    major, _, minor = version.partition(".")
    if not (major.isascii() and major.isdigit() and minor.isascii() and minor.isdigit()):
        raise PageError(url, f'"{printable(version, limit=40)}" is not an API version')
    if major != "1":
        raise PageError(url, f"the page has API version {printable(version, limit=40)}; versions 1.x are understood")
