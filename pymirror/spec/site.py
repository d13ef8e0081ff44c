"""What of the tree there is beside the files and their index, and who may read it all: from ``public-url`` on."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from pymirror.spec.document import quote
from pymirror.spec.model import Site
from pymirror.spec.part import Part
from pymirror.spec.upstreams import parse_upstream_url

R = TypeVar("R")

_FILE_MODE = re.compile(r"0?[0-7]{3}")
_FOLDER_MODE = re.compile(r"[02]?[0-7]{3}")  # 2 is setgid: what is made in the folder gets its group
_PLAIN_URL = re.compile(r"[A-Za-z0-9._~:/\[\]!$&'()*+,;=%-]+")  # what a URL may have in it (RFC 3986)


def read_site(parts: Sequence[Part]) -> Site:
    """The site of all documents; a key of a later one goes before that of an earlier one."""
    default = Site()
    return Site(
        public_url=last(parts, "public-url", _read_public_url, otherwise=None),
        flat=last(parts, "flat", lambda part: part.document.flat, otherwise=default.flat),
        legacy_json=last(parts, "legacy-json", lambda part: part.document.legacy_json, otherwise=default.legacy_json),
        pages=last(parts, "pages", lambda part: part.document.pages, otherwise=default.pages),
        file_mode=last(parts, "file-mode", _read_file_mode, otherwise=None),
        folder_mode=last(parts, "folder-mode", _read_folder_mode, otherwise=None),
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


def _read_file_mode(part: Part) -> int | None:
    return _read_mode(part, "file-mode", part.document.file_mode, _FILE_MODE, needed=0o600, example="0640")


def _read_folder_mode(part: Part) -> int | None:
    return _read_mode(part, "folder-mode", part.document.folder_mode, _FOLDER_MODE, needed=0o700, example="0750")


def _read_mode(
    part: Part, key: str, text: str | None, form: re.Pattern[str], *, needed: int, example: str
) -> int | None:
    """Permissions as chmod takes them: text, since YAML makes 416 of 0640. ``needed`` are the bits of the owner."""
    if text is None:
        return None
    if not form.fullmatch(text):
        part.add((key,), f"{quote(text)} is not a mode", f'write its octal digits in quotes: "{example}"')
        return None
    mode = int(text, 8)
    if mode & needed != needed:
        what = "read and write them" if needed == 0o600 else "read, write and enter them"
        part.add((key,), f"{quote(text)} does not let the owner {what}", f'as "{example}" does')
        return None
    return mode
