"""``pymirror serve``: what it answers, what it refuses, and that the real pip and the real uv install through it."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from pymirror.serving.conditions import Part, State, choose_part, is_not_modified
from pymirror.serving.negotiate import HTML, HTML_V1, JSON, Format, accepts_gzip, choose_format
from pymirror.serving.target import Target, parse_target
from tests.conftest import Mirror
from tests.index import JSON_TYPE
from tests.web_servers import make_tree

PIP_ACCEPT = f"{JSON_TYPE}, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"

# ── which format: values ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, HTML),
        ("", HTML),
        ("*/*", HTML),
        ("text/html", HTML),
        ("TEXT/HTML", HTML),
        (JSON_TYPE, JSON),
        ("application/vnd.pypi.simple.latest+json", JSON),
        ("application/vnd.pypi.simple.v1+html", HTML_V1),
        ("application/vnd.pypi.simple.latest+html", HTML_V1),
        (PIP_ACCEPT, JSON),
        ("application/vnd.pypi.simple.v1+html;q=0.2, application/vnd.pypi.simple.v1+json, text/html;q=0.01", JSON),
        (f"{JSON_TYPE}, */*;q=0.1", JSON),
        (f"text/html, {JSON_TYPE}", JSON),
        (f"text/html, {JSON_TYPE};q=0.9", HTML),
        (f"{JSON_TYPE};q=0, */*", HTML),
        ("text/html;q=0, */*", HTML_V1),
        (f"text/html;q=0, application/vnd.pypi.simple.v1+html;q=0, {JSON_TYPE};q=0.001", JSON),
        ("application/*", HTML_V1),
        ("text/*;q=0.5, application/*;q=0.4", HTML),
        ("application/json", HTML),
        ("image/png", HTML),
        ("text/html;level=1;q=0.3, application/vnd.pypi.simple.v1+json;q=0.2", HTML),
        (f"{JSON_TYPE};q=2, text/html;q=0.1", HTML),
        (f"{JSON_TYPE};q=nan", HTML),
        (",;q=,", HTML),
    ],
)
def test_choose_format_takes_what_is_liked_best_when_asked(accept: str | None, expected: Format) -> None:
    assert choose_format(accept) is expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [(JSON_TYPE, JSON), ("text/html", HTML), ("application/vnd.pypi.simple.v1+html", HTML_V1), ("text/plain", JSON)],
)
def test_choose_format_obeys_the_query_when_it_names_a_format(asked: str, expected: Format) -> None:
    assert choose_format(JSON_TYPE, asked) is expected


@pytest.mark.parametrize(
    ("accept_encoding", "expected"),
    [
        (None, False),
        ("", False),
        ("identity", False),
        ("gzip", True),
        ("X-GZIP", True),
        ("gzip, deflate, br, zstd", True),
        ("br;q=1, gzip;q=0.001", True),
        ("gzip;q=0", False),
        ("gzip ; q=0.000, br", False),
        ("*", True),
        ("*;q=0", False),
        ("gzip;q=0, *", False),
        ("gzip, *;q=0", True),
        ("gzip;q=nan", False),
        ("br, deflate", False),
    ],
)
def test_accepts_gzip_says_so_when_it_is_named_or_all_is_accepted(accept_encoding: str | None, expected: bool) -> None:
    assert accepts_gzip(accept_encoding) is expected


# ── which name: values ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("raw", "names", "is_folder"),
    [
        ("/", (), True),
        ("/simple/", ("simple",), True),
        ("/simple/six", ("simple", "six"), False),
        ("/simple/%73ix/?x=1", ("simple", "six"), True),
        ("/packages/a-1.0%2Bcpu.whl", ("packages", "a-1.0+cpu.whl"), False),
        ("/packages/a-1%211.0+cpu.whl", ("packages", "a-1!1.0+cpu.whl"), False),
        ("http://host:80/simple/", ("simple",), True),
    ],
)
def test_parse_target_reads_a_name_when_it_is_one(raw: str, names: tuple[str, ...], is_folder: bool) -> None:
    assert parse_target(raw) == Target(names=names, is_folder=is_folder)


HOSTILE = [
    "/.pymirror/snapshots/current",
    "/%2epymirror/snapshots/current",
    "/%2Epymirror/",
    "/simple/../.pymirror/snapshots/current",
    "/../../../../etc/passwd",
    "/simple/..%2f..%2fetc/passwd",
    "/simple/%2e%2e/%2e%2e/etc/passwd",
    "/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "/..%5c..%5cetc%5cpasswd",
    "/..\\..\\etc\\passwd",
    "//etc/passwd",
    "/%2fetc/passwd",
    "/simple//six/",
    "/simple/./six/",
    "/simple/%00/",
    "/simple/six%00.html",
    "/simple/%zz/",
    "/simple/%",
    "/C:/windows/win.ini",
    "/links.html::$DATA",
    "/simple/caf%C3%A9/",
    "/simple/%c0%ae%c0%ae/",
    "/%252e%252e/etc/passwd",
    "/simple/six/%0d%0aX-Evil:%201",
    "http://host/../etc/passwd",
    "file:///etc/passwd",
    "etc/passwd",
    "*",
    "/" + "a/" * 20_000,
]


@pytest.mark.parametrize("raw", [raw for raw in HOSTILE if not raw.startswith("/a/")])
def test_parse_target_refuses_a_name_when_no_tree_can_have_it(raw: str) -> None:
    assert parse_target(raw) is None


# ── which part: values ──────────────────────────────────────────────────────────────────────────────

STATE = State(size=100, mtime_ns=1_700_000_000_500_000_000, inode=7)


@pytest.mark.parametrize(
    ("asked", "if_range", "expected"),
    [
        (None, None, None),
        ("bytes=0-9", None, Part(0, 10)),
        ("bytes=90-", None, Part(90, 100)),
        ("bytes=90-1000", None, Part(90, 100)),
        ("bytes=-10", None, Part(90, 100)),
        ("bytes=-1000", None, Part(0, 100)),
        ("Bytes = 0 - 0", None, Part(0, 1)),
        ("bytes=0-9,20-29", None, None),
        ("bytes=9-0", None, None),
        ("bytes=-", None, None),
        ("bytes=a-b", None, None),
        ("lines=0-9", None, None),
        ("bytes=0-9", STATE.etag, Part(0, 10)),
        ("bytes=0-9", f"W/{STATE.etag}", None),
        ("bytes=0-9", '"other"', None),
        ("bytes=0-9", STATE.last_modified, Part(0, 10)),
        ("bytes=0-9", "Tue, 14 Nov 2023 22:13:19 GMT", None),
        ("bytes=0-9", "never", None),
    ],
)
def test_choose_part_gives_a_part_when_one_is_asked_for(
    asked: str | None, if_range: str | None, expected: Part | None
) -> None:
    assert choose_part(asked, if_range, STATE) == expected


@pytest.mark.parametrize("asked", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_choose_part_fails_when_there_is_no_such_part(asked: str) -> None:
    with pytest.raises(ValueError, match=r"bytes \*/100"):
        choose_part(asked, None, STATE)


@pytest.mark.parametrize(
    ("tags", "since", "expected"),
    [
        (None, None, False),
        (STATE.etag, None, True),
        (f'"other", W/{STATE.etag}', None, True),
        ("*", None, True),
        ('"other"', "Tue, 14 Nov 2023 22:13:20 GMT", False),
        (None, "Tue, 14 Nov 2023 22:13:20 GMT", True),
        (None, "Tue, 14 Nov 2023 22:13:19 GMT", False),
        (None, "yesterday", False),
    ],
)
def test_is_not_modified_compares_tags_and_then_times_when_asked(
    tags: str | None, since: str | None, expected: bool
) -> None:
    assert is_not_modified(tags, since, STATE) is expected


# ── a running server ────────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def served(mirror: Mirror, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The URL of the index, and the process."""
    with mirror.started("serve", "--port", "0", *arguments) as process:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        assert line.endswith("/simple/"), process.communicate()
        yield line, process
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(20)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    mirror = make_tree(tmp_path_factory.mktemp("serve"))
    folder = mirror.folder
    wheel = mirror.find("app-1.0-py3-none-any.whl")
    wheel.with_name(f"{wheel.name}.provenance").write_bytes(b"{}")
    (mirror.tree / "notes.html").write_bytes(b"nobody else's business")
    (mirror.tree / "flat" / "app-1.0.tar").write_bytes(b"the archive")
    (mirror.tree / "flat" / "app-1.0.tar.gz").write_bytes(b"another file")
    (mirror.tree / "simple" / "app" / "index.html.gz").symlink_to(mirror.spec)
    (mirror.tree / "simple" / "out").symlink_to(folder)
    (mirror.tree / "simple" / "hidden").symlink_to(mirror.tree / ".pymirror")
    (mirror.tree / "outside.html").symlink_to(mirror.spec)
    os.mkfifo(mirror.tree / "pipe")
    return mirror


@pytest.fixture(scope="module")
def server(shared: Mirror) -> Iterator[str]:
    with served(shared, str(shared.tree)) as (url, _):
        yield url


class Got:
    """An answer, read to its end."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.body = answer.read()


def connect(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    assert parts.hostname is not None
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)


def ask(url: str, path: str, method: str = "GET", **headers: str) -> Got:
    with contextlib.closing(connect(url)) as connection:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        return Got(connection.getresponse())


def file_path(shared: Mirror, filename: str) -> str:
    return "/" + shared.find(filename).relative_to(shared.tree).as_posix()


def test_serve_answers_pages_when_they_are_asked_for(shared: Mirror, server: str) -> None:
    for path, folder in (("/simple/", "simple"), ("/simple/app/", "simple/app")):
        html, packed = ask(server, path), ask(server, path, Accept=PIP_ACCEPT)

        assert html.body == (shared.tree / folder / "index.html").read_bytes()
        assert packed.body == (shared.tree / folder / "index.v1_json").read_bytes()
        assert (html.headers["Content-Type"], packed.headers["Content-Type"]) == ("text/html; charset=utf-8", JSON_TYPE)
        assert html.headers["ETag"] != packed.headers["ETag"]
        for got in (html, packed):
            assert got.headers["Vary"] == "Accept, Accept-Encoding"
            assert got.headers["Cache-Control"] == "no-cache"
            assert got.headers["X-Content-Type-Options"] == "nosniff"
    assert ask(server, f"/simple/app/?format={JSON_TYPE}").headers["Content-Type"] == JSON_TYPE


@pytest.mark.parametrize(
    ("path", "file", "expected"),
    [
        ("/", "index.html", "text/html; charset=utf-8"),
        ("/index.html", "index.html", "text/html; charset=utf-8"),
        ("/links.html", "links.html", "text/html; charset=utf-8"),
        ("/project/app/", "project/app/index.html", "text/html; charset=utf-8"),
        ("/project/app/index.html", "project/app/index.html", "text/html; charset=utf-8"),
        ("/pypi/app/json", "pypi/app/json", "application/json"),
        ("/pypi/tensor/1.0+cpu/json", "pypi/tensor/1.0+cpu/json", "application/json"),
        ("/pypi/tensor/1.0%2Bcpu/json", "pypi/tensor/1.0+cpu/json", "application/json"),
    ],
)
def test_serve_sends_pages_for_people_and_scripts_when_they_are_asked_for(
    shared: Mirror, server: str, path: str, file: str, expected: str
) -> None:
    got = ask(server, path, Accept=PIP_ACCEPT)

    assert (got.status, got.headers["Content-Type"]) == (200, expected)
    assert got.body == (shared.tree / file).read_bytes()
    assert got.headers["Cache-Control"] == "no-cache"
    assert got.headers["Vary"] == "Accept-Encoding"
    assert got.headers["Content-Security-Policy"] == "frame-ancestors 'none'"


@pytest.mark.parametrize(
    ("path", "accept", "file"),
    [
        ("/simple/big/", "text/html", "simple/big/index.html"),
        ("/simple/big/", PIP_ACCEPT, "simple/big/index.v1_json"),
        ("/project/big/", "*/*", "project/big/index.html"),
        ("/pypi/big/json", "*/*", "pypi/big/json"),
        ("/links.html", "*/*", "links.html"),
    ],
)
def test_serve_sends_the_packed_copy_when_gzip_is_accepted(
    shared: Mirror, server: str, path: str, accept: str, file: str
) -> None:
    plain = ask(server, path, Accept=accept)
    packed = ask(server, path, Accept=accept, Accept_Encoding="gzip, deflate")
    head = ask(server, path, "HEAD", Accept=accept, Accept_Encoding="gzip")

    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == head.headers["Content-Encoding"] == "gzip"
    assert packed.body == (shared.tree / f"{file}.gz").read_bytes()
    assert gzip.decompress(packed.body) == plain.body == (shared.tree / file).read_bytes()
    assert head.headers["Content-Length"] == str(len(packed.body))
    for name in ("Content-Type", "Cache-Control", "Vary"):
        assert packed.headers[name] == plain.headers[name]
    for encoding, tag in (("gzip", packed.headers["ETag"]), ("identity", plain.headers["ETag"])):
        other = "gzip" if encoding == "identity" else "identity"
        assert ask(server, path, Accept=accept, Accept_Encoding=encoding, If_None_Match=tag).status == 304
        assert ask(server, path, Accept=accept, Accept_Encoding=other, If_None_Match=tag).status == 200


def test_serve_sends_a_part_of_the_page_as_it_is_when_gzip_is_accepted_too(server: str) -> None:
    plain = ask(server, "/simple/big/")
    packed = ask(server, "/simple/big/", Accept_Encoding="gzip")
    part = ask(server, "/simple/big/", Accept_Encoding="gzip", Range="bytes=0-9")
    other = ask(server, "/simple/big/", Accept_Encoding="gzip", Range="bytes=0-9", If_Range=packed.headers["ETag"])

    assert (part.status, part.body, part.headers["ETag"]) == (206, plain.body[:10], plain.headers["ETag"])
    assert (other.status, other.body) == (200, plain.body)
    assert "Content-Encoding" not in part.headers
    assert "Content-Encoding" not in other.headers


def test_serve_sends_the_page_as_it_is_when_the_packed_copy_is_a_link_out_of_the_tree(server: str) -> None:
    got = ask(server, "/simple/app/", Accept_Encoding="gzip")

    assert (got.status, got.headers.get("Content-Encoding")) == (200, None)
    assert got.body.startswith(b"<!DOCTYPE html>")


def test_serve_answers_files_when_they_are_asked_for(shared: Mirror, server: str) -> None:
    path = file_path(shared, "tensor-1.0+cpu-py3-none-any.whl")
    for asked in (path, path.replace("+", "%2B"), f"{path}.metadata"):
        got = ask(server, asked)
        assert got.body == (shared.tree / path[1:]).with_name(asked.rpartition("/")[2].replace("%2B", "+")).read_bytes()
        assert got.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert "Content-Encoding" not in got.headers
    assert ask(server, path).headers["Content-Type"] == "application/octet-stream"
    assert ask(server, f"{path}.metadata").headers["Content-Type"] == "text/plain; charset=utf-8"
    attested = file_path(shared, "app-1.0-py3-none-any.whl.provenance")
    assert ask(server, attested).headers["Content-Type"] == "application/vnd.pypi.integrity.v1+json"


def test_serve_sends_flat_files_as_they_are_when_the_packed_one_lies_beside(shared: Mirror, server: str) -> None:
    for name in ("app-1.0.tar", "app-1.0.tar.gz", "tensor-1.0+cpu-py3-none-any.whl"):
        got = ask(server, f"/flat/{name}", Accept_Encoding="gzip")
        assert got.body == (shared.tree / "flat" / name).read_bytes()
        assert "Content-Encoding" not in got.headers
        assert (got.headers["Content-Type"], got.headers["Cache-Control"]) == ("application/octet-stream", "no-cache")


def test_serve_sends_no_body_when_asked_by_head(shared: Mirror, server: str) -> None:
    path = file_path(shared, "legacy-1.0.tar.gz")
    for asked in (path, "/simple/app/", "/simple/app", "/nothing"):
        whole, head = ask(server, asked), ask(server, asked, "HEAD")
        assert (head.status, head.body) == (whole.status, b"")
        if head.status == 200:
            assert head.headers["Content-Length"] == str(len(whole.body))


def test_serve_answers_parts_when_they_are_asked_for(shared: Mirror, server: str) -> None:
    path = file_path(shared, "legacy-1.0.tar.gz")
    whole = ask(server, path)
    size = len(whole.body)

    part = ask(server, path, Range="bytes=10-19", If_Range=whole.headers["ETag"])
    assert (part.status, part.body) == (206, whole.body[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{size}"
    beyond = ask(server, path, Range=f"bytes={size}-")
    assert (beyond.status, beyond.headers["Content-Range"]) == (416, f"bytes */{size}")
    assert ask(server, path, Range="bytes=10-19", If_Range='"other"').body == whole.body
    assert ask(server, path, "HEAD", Range="bytes=10-19").status == 200


def test_serve_answers_304_when_nothing_changed(shared: Mirror, server: str) -> None:
    for path in ("/simple/app/", file_path(shared, "legacy-1.0.tar.gz")):
        first = ask(server, path)
        for again in (
            ask(server, path, If_None_Match=first.headers["ETag"]),
            ask(server, path, If_Modified_Since=first.headers["Last-Modified"]),
        ):
            assert (again.status, again.body, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
            assert again.headers["Cache-Control"] == first.headers["Cache-Control"]
    assert ask(server, "/simple/app/", Accept=JSON_TYPE, If_None_Match=ask(server, "/simple/app/").headers["ETag"]).body


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/simple", "simple/"),
        ("/simple/app", "app/"),
        ("/simple/app?format=text/html", "app/?format=text%2Fhtml"),
        ("/simple/Odd.Name_x/", "../odd-name-x/"),
        ("/simple/Odd.Name_x", "odd-name-x/"),
        ("/project/app", "app/"),
        ("/project/Odd.Name_x/", "../odd-name-x/"),
    ],
)
def test_serve_redirects_to_the_page_when_it_is_called_otherwise(server: str, path: str, location: str) -> None:
    got = ask(server, path)
    assert (got.status, got.headers["Location"]) == (301, location)


NOTHING = ["/packages/", "/packages", "/simple/nothing/", "/simple/No.Thing/", "/nothing", "/links.html/"]
CLOSED = ["/notes.html", "/flat/", "/pypi/", "/pypi/app/", "/pypi/app", "/project/", "/project/nothing/"]
LED_OUT = ["/simple/out/mirror.yaml", "/simple/out/", "/simple/hidden/lock", "/outside.html", "/pipe"]


@pytest.mark.parametrize("path", [*NOTHING, *CLOSED, *LED_OUT])
def test_serve_answers_404_when_there_is_nothing(server: str, path: str) -> None:
    got = ask(server, path)
    assert (got.status, got.body) == (404, b"404 Not Found\n")


@pytest.mark.parametrize("raw", HOSTILE, ids=[raw[:40] for raw in HOSTILE])
def test_serve_refuses_a_hostile_path_when_it_comes_over_the_wire(server: str, raw: str) -> None:
    parts = urlsplit(server)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        connection.sendall(f"GET {raw} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode("latin-1"))
        answer = b"".join(iter(lambda: connection.recv(65536), b""))

    assert answer.startswith(b"HTTP/1.1 404 "), answer[:200]
    assert b"X-Evil" not in answer
    assert b"root:" not in answer


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /simple/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", b"405"),
        (b"BREW /simple/ HTTP/1.1\r\nHost: x\r\n\r\n", b"501"),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", b"431"),
        (b"GET / HTTP/9.9\r\n\r\n", b"505"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /simple/ HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\nGET /links.html HTTP/1.1\r\n\r\n", b"200"),
    ],
)
def test_serve_answers_once_and_closes_when_a_request_is_odd(server: str, head: bytes, status: bytes) -> None:
    parts = urlsplit(server)
    answer = b""
    with (
        socket.create_connection((parts.hostname, parts.port), timeout=20) as connection,
        contextlib.suppress(ConnectionResetError, BrokenPipeError),  # what is left unread of an over-long head
    ):
        connection.sendall(head)
        while piece := connection.recv(65536):
            answer += piece

    # What names no version is answered as HTTP/0.9 was: by a body alone.
    found = re.findall(rb"^(?:HTTP/1\.1 )?([0-9]{3}) [A-Z]", answer, re.MULTILINE)
    assert found[:1] == [status] or (answer == b"" and len(head) > 60_000), answer[:200]
    assert answer.count(b"HTTP/1.1 ") <= 1


def test_serve_answers_many_requests_when_one_connection_is_kept(shared: Mirror, server: str) -> None:
    with contextlib.closing(connect(server)) as connection:
        for path in ("/simple/", "/simple/app/", "/nothing", "/simple/app", file_path(shared, "legacy-1.0.tar.gz")):
            connection.request("GET", path)
            assert connection.getresponse().read() is not None
            opened = connection.sock
            assert opened is not None
            connection.request("HEAD", path)
            connection.getresponse().read()
            assert connection.sock is opened
