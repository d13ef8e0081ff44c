"""Functions that must hold for any bytes: they return, or raise what they promise, and what they return is of use."""

# ruff: noqa: S101 - by assertions a target says what must hold

from __future__ import annotations

from collections.abc import Callable

from packaging.utils import canonicalize_name

from pymirror.distribution import parse_filename
from pymirror.errors import PageError, PymirrorError, UnsafeNameError, printable
from pymirror.layout import check_filename
from pymirror.simple.legacy import parse_legacy
from pymirror.simple.model import File
from pymirror.simple.parse import find_cut, parse_project_detail, parse_project_list

URL = "https://index.example/simple/demo/"
JSON = "application/vnd.pypi.simple.v1+json"
HTML = "text/html; charset=utf-8"


def read_json(data: bytes) -> None:
    """A project page in JSON."""
    _read_detail(data, JSON)


def read_html(data: bytes) -> None:
    """A project page in HTML."""
    _read_detail(data, HTML)


def read_lists(data: bytes) -> None:
    """The list of projects, in either format."""
    for content_type in (JSON, HTML):
        try:
            page = parse_project_list(data, content_type=content_type, url=URL)
        except PageError as error:
            _check_message(error)
            continue
        assert page.projects
        assert all(isinstance(name, str) for name in page.projects)


def read_legacy(data: bytes) -> None:
    """The legacy JSON API."""
    try:
        files = parse_legacy(data, url=URL)
    except PageError as error:
        _check_message(error)
        return
    for file in files.values():
        _check_file(file)


def read_filename(data: bytes) -> None:
    """A file name: what is safe is one component, and no more."""
    name = data.decode("utf-8", errors="surrogateescape")
    parse_filename(name, canonicalize_name("demo"))
    try:
        safe = check_filename(name)
    except UnsafeNameError as error:
        _check_message(error)
        return
    assert safe.isascii()
    assert "/" not in safe
    assert "\\" not in safe
    assert safe.strip(".") != ""


TARGETS: dict[str, Callable[[bytes], None]] = {
    "json": read_json,
    "html": read_html,
    "lists": read_lists,
    "legacy": read_legacy,
    "filename": read_filename,
}

_FILE = (
    b'{"filename":"demo-1.0.zip","url":"../x/demo-1.0.zip#a","hashes":{"sha256":"00","MD5":"FF"},"size":3,'
    b'"upload-time":"2024-05-06T07:08:09.123456Z","requires-python":">=3.8","yanked":"why","core-metadata":{"sha256":"0"},'
    b'"dist-info-metadata":true,"gpg-sig":false,"provenance":"https://index.example/p"}'
)
_ANCHOR = (
    b"<a href='demo-1.0.zip#sha256=00&amp;egg=x' data-yanked data-size=3 data-requires-python=\"&gt;=3.8\" "
    b"data-core-metadata=sha256=00 data-upload-time=2024-05-06T07:08:09Z data-gpg-sig=true>demo-1.0.zip</a>"
)
SEEDS: dict[str, tuple[bytes, ...]] = {
    "json": (
        b'{"meta":{"api-version":"1.4"},"name":"demo","versions":["1.0"],"files":[' + _FILE + b"]}",
        b'{"meta":{"api-version":"1.0"},"files":[],"project-status":{"status":"archived","reason":"x"}}',
    ),
    "html": (
        b"<!DOCTYPE html><html><head><meta name='pypi:repository-version' content=1.4><base href=/x/><title>x</title>"
        b"<script>1<2</script><!-- <a href=y.zip> --></head><body>" + _ANCHOR + b"<br/><template>" + _ANCHOR,
    ),
    "lists": (b'{"meta":{"api-version":"1.0"},"projects":[{"name":"a"}]}', b"<html><a href=a/>a&amp;b</a></html>"),
    "legacy": (
        b'{"releases":{"1.0":[{"filename":"a.zip","digests":{"md5":"0"},"size":3,"upload_time_iso_8601":"2024-05-06"}]}}',
    ),
    "filename": (
        b"demo-1.0-1-cp311.cp312-abi3-manylinux_2_17_x86_64.whl",
        b"demo-1.0.post1.tar.gz",
        b"demo-1.0.win32-py3.8.exe",
    ),
}
"""What a fuzzer begins with."""


def _read_detail(data: bytes, content_type: str) -> None:
    find_cut(data, content_type=content_type, is_delimited=False)
    try:
        detail = parse_project_detail(data, content_type=content_type, url=URL)
    except PageError as error:
        _check_message(error)
        return
    for file in detail.files:
        _check_file(file)


def _check_file(file: File) -> None:
    assert file.size is None or file.size >= 0
    assert "#" not in file.url
    assert all(name == name.lower() and digest == digest.lower() for name, digest in file.hashes)
    assert file.upload_time is None or file.upload_time.tzinfo is not None


def _check_message(error: PymirrorError) -> None:
    """Nothing in it moves a cursor or forges a line."""
    assert printable(str(error), limit=10_000) == str(error)
