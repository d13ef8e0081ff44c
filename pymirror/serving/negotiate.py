"""Which format of a page a client likes best, and whether it may be packed.

RFC 9110, 12.5.1 and 12.5.3, and https://packaging.python.org/specifications/simple-repository-api/#content-types
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pymirror.layout import HTML_PAGE, JSON_PAGE
from pymirror.serving.target import HTML_TYPE, JSON_TYPE

_MAX_RANGES = 64
_QUALITY = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


@dataclass(frozen=True, slots=True)
class Format:
    """A format of a page: what it is sent as, the file that holds it, and the names that ask for it."""

    content_type: str
    filename: str
    names: tuple[str, ...]


# In order of preference. poetry 1 and browsers accept everything and read no JSON, so HTML is first.
HTML = Format(HTML_TYPE, HTML_PAGE, ("text/html",))
HTML_V1 = Format(
    "application/vnd.pypi.simple.v1+html",
    HTML_PAGE,
    ("application/vnd.pypi.simple.v1+html", "application/vnd.pypi.simple.latest+html"),
)
JSON = Format(JSON_TYPE, JSON_PAGE, (JSON_TYPE, "application/vnd.pypi.simple.latest+json"))
FORMATS = (HTML, HTML_V1, JSON)


@dataclass(frozen=True, slots=True)
class _Wish:
    """A media range or a content coding, and its weight."""

    kind: str
    quality: float


def choose_format(accept: str | None, asked: str | None = None) -> Format:
    """The format for this ``Accept``, or for the ``?format=`` that was asked, which wins; HTML where nothing fits."""
    for known in FORMATS:
        if asked is not None and asked.lower() in known.names:
            return known
    wishes = _parse_accept(accept) if accept is not None and accept.strip() else [_Wish("*/*", 1.0)]
    ranked = []
    for known in FORMATS:
        quality, precision = max(_judge(name, wishes) for name in known.names)
        # Who names both JSON and HTML, and likes them the same, reads JSON; who says `*/*` may not.
        ranked.append((quality, precision, known is JSON and precision == 2, known))
    best = max(ranked, key=lambda rank: rank[:3])  # the first of equals
    return best[3] if best[0] > 0 else HTML


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Whether gzip may be sent. Who says nothing gets the page as it is."""
    wishes = _parse_accept(accept_encoding or "")
    for names in (("gzip", "x-gzip"), ("*",)):
        found = [wish.quality for wish in wishes if wish.kind in names]
        if found:
            return max(found) > 0
    return False


def _judge(name: str, wishes: list[_Wish]) -> tuple[float, int]:
    """The weight of a type: that of the range which fits it closest. And how close: 2 by name, 1 by family, 0 any."""
    for precision, kind in ((2, name), (1, f"{name.partition('/')[0]}/*"), (0, "*/*")):
        found = [wish.quality for wish in wishes if wish.kind == kind]
        if found:
            return max(found), precision
    return 0.0, 0


def _parse_accept(accept: str) -> list[_Wish]:
    """The ranges that can be read; a weight that cannot be drops its range."""
    wishes = []
    for part in accept.split(",")[:_MAX_RANGES]:
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality: float | None = 1.0
        for parameter in parameters:
            name, _, value = (piece.strip() for piece in parameter.partition("="))
            if name == "q":
                quality = float(value) if _QUALITY.fullmatch(value) else None
        if kind and quality is not None:
            wishes.append(_Wish(kind, quality))
    return wishes
