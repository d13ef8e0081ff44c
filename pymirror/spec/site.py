"""``public-url``, ``flat``, ``legacy-json``, ``pages``: what of the tree there is beside the files and their index."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from pymirror.spec.model import Site
from pymirror.spec.part import Part
from pymirror.spec.upstreams import parse_upstream_url

R = TypeVar("R")

_PLAIN_URL = re.compile(r"[A-Za-z0-9._~:/\[\]!$&'()*+,;=%-]+")  # what a URL may have in it (RFC 3986)


def read_site(parts: Sequence[Part]) -> Site:
    """The site of all documents; a key of a later one goes before that of an earlier one."""
    default = Site()
    return Site(
        public_url=last(parts, "public-url", _read_public_url, otherwise=None),
        flat=last(parts, "flat", lambda part: part.document.flat, otherwise=default.flat),
        legacy_json=last(parts, "legacy-json", lambda part: part.document.legacy_json, otherwise=default.legacy_json),
        pages=last(parts, "pages", lambda part: part.document.pages, otherwise=default.pages),
    )


def last(parts: Sequence[Part], key: str, read: Callable[[Part], R], *, otherwise: R) -> R:
    """The value of the last document that gives ``key``."""
    return next((read(part) for part in reversed(parts) if part.is_given(key)), otherwise)


def _read_public_url(part: Part) -> str | None:
    text = part.document.public_url
    if text is None:
        return None
    index = parse_upstream_url(text)
    if index is None or not _PLAIN_URL.fullmatch(index.url):
        part.add(("public-url",), "not an http(s) URL", "like https://mirror.example.com/")
        return None
    if index.credentials is not None:
        part.add(("public-url",), "a URL with a user in it, which every page would show", "leave the user out")
        return None
    if index.url.endswith("/simple/"):
        part.add(("public-url",), "the URL of the project list", "give that of the tree, in which simple/ is")
        return None
    return index.url
