"""Upstreams that lie: refused, named, never on disk under a served name, and with bounded memory."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.archives import make_metadata, make_sdist, make_wheel
from tests.conftest import Mirror
from tests.index import JSON_TYPE, Answer, Entry, LocalIndex
from tests.servers import for_others

SDIST = "demo-1.0.tar.gz"
SAYS = {"Content-Type": JSON_TYPE}


def outside(mirror: Mirror) -> list[Path]:
    """All that lies around the mirror."""
    return sorted(path for path in mirror.folder.parent.rglob("*") if not path.is_relative_to(mirror.tree))


# ── names ───────────────────────────────────────────────────────────────────────────────────────────


NAMES = {
    "parent": "../../../evil-1.0.tar.gz",
    "only dots": "..",
    "absolute": "/tmp/demo-1.0.tar.gz",
    "drive": "C:\\demo-1.0.tar.gz",
    "backslash": "demo-1.0\\..\\evil.tar.gz",
    "encoded parent": "..%2f..%2fdemo-1.0.tar.gz",
    "nul": "demo-1.0.tar.gz\0",
    "escape": "demo-1.0.tar.gz\x1b[2J",
    "line break": "demo-1.0\r\n.tar.gz",
    "line break and header": "demo-1.0.tar.gz\r\nSet-Cookie: a=b",
    "device": "nul.tar.gz",
    "device with number": "com1.whl",
    "last dot": "demo-1.0.tar.gz.",
    "last blank": "demo-1.0.tar.gz ",
    "300 characters": f"demo-1.0+{'x' * 300}.tar.gz",
    "markup": "demo-1.0<script>alert(1)</script>.tar.gz",
    "quotes": "demo-1.0\" onload='x'.tar.gz",
    "full width": "\uff44emo-1.0.tar.gz",
    "cyrillic": "d\u0435mo-1.0.tar.gz",
    "long s": "demo-1.0.po\u017ft1.tar.gz",
    "combining": "de\u0301mo-1.0.tar.gz",
    "right to left": "demo-1.0\u202etar.gz",
    "alternate stream": "demo-1.0.tar.gz::$DATA",
    "another project": "evil-1.0.tar.gz",
    "private": ".pymirror/lock",
}


@pytest.mark.parametrize("format_", ["json", "html"])
def test_no_name_reaches_a_path_or_a_page_when_it_is_not_safe(index: LocalIndex, mirror: Mirror, format_: str) -> None:
    index.formats = (format_,)
    data = make_sdist("demo", "1.0")[1]
    for name in NAMES.values():
        index.add((name, data), project="demo", url="/packages/" + name if format_ == "html" else "/packages/evil")
    index.add(make_sdist("demo", "2.0"))
    mirror.write_spec(index, "projects: [demo]\nflat: true")
    around = outside(mirror)

    run = mirror.sync("-v", code=None)

    assert mirror.filenames("demo") == ["demo-2.0.tar.gz"]
    assert mirror.pool() == ["demo-2.0.tar.gz"]
    assert index.requests("evil") == []
    assert outside(mirror) == around
    assert "\x1b" not in run.err + run.out
    assert "\r" not in run.err
    for path in mirror.tree.rglob("*"):
        assert (
            not path.is_file() or b"alert(1)" not in path.read_bytes() or path.is_relative_to(mirror.tree / ".pymirror")
        ), path


PROJECTS = ["../evil", "..", "evil/../../x", "e\0vil", "evil\r\n", "<script>alert(1)</script>", "x" * 300, "d\u00e9mo"]


def test_no_project_of_the_list_reaches_a_path_when_its_name_is_none(index: LocalIndex, mirror: Mirror) -> None:
    index.listed = PROJECTS
    index.add(make_sdist("demo", "1.0"))
    mirror.write_spec(index, "projects: ['*']")
    around = outside(mirror)

    mirror.sync("-v")

    assert mirror.projects() == ["demo"]
    assert index.asked_for("GET", "/simple/") == ["/simple/", "/simple/demo/"]
    assert outside(mirror) == around


# ── links ───────────────────────────────────────────────────────────────────────────────────────────


LINKS = {
    "javascript": "javascript:alert(1)//demo-1.0.tar.gz",
    "file": "file:///etc/demo-1.0.tar.gz",
    "data": "data:application/gzip;base64,H4sI/demo-1.0.tar.gz",
    "ftp": "ftp://127.0.0.1/demo-1.0.tar.gz",
    "no host": "http:///demo-1.0.tar.gz",
    "no number": "http://127.0.0.1:port/demo-1.0.tar.gz",
    "no address": "http://[::1/demo-1.0.tar.gz",
    "line break": "http://127.0.0.1:1/demo-1.0.tar.gz\r\nX-Evil: 1",
    "unix socket": "unix:/run/demo-1.0.tar.gz",
}


@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
def test_a_link_is_not_followed_when_it_leads_to_no_web_server(index: LocalIndex, mirror: Mirror, link: str) -> None:
    index.add(make_sdist("demo", "1.0"), url=link)
    index.add(make_sdist("demo", "2.0"))
    mirror.write_spec(index, "projects: [demo]", network="retries: 0")

    run = mirror.sync(code=None)

    assert run.code in (0, 1)
    assert SDIST not in mirror.pool()
    assert mirror.filenames("demo") == ["demo-2.0.tar.gz"]


@pytest.mark.parametrize("to", ["file:///etc/passwd", "gopher://127.0.0.1/", "javascript:alert(1)", "//", "http://"])
def test_a_redirect_is_not_followed_when_it_leads_to_no_web_server(index: LocalIndex, mirror: Mirror, to: str) -> None:
    index.add(make_sdist("good", "1.0"))
    entry = index.add(make_sdist("demo", "1.0"))
    index.fail_always(entry.path, Answer(302, b"", {"Location": to}))
    mirror.write_spec(index, "projects: [demo, good]", network="retries: 0")

    run = mirror.sync(code=1)

    assert f"failed: {entry.filename}: " in run.err
    assert mirror.projects() == ["good"]


def test_a_redirect_to_another_port_gets_no_credential_when_the_first_had_one(
    index: LocalIndex, mirror: Mirror
) -> None:
    """As to a private address: whoever is asked, nobody but the upstream learns the password."""
    index.credential = "robot:hunter2"
    entry = index.add(make_sdist("demo", "1.0"))
    with LocalIndex() as other:
        there = other.add(make_sdist("demo", "1.0"))
        index.fail_always(entry.path, Answer(302, b"", {"Location": f"{other.origin}{there.path}"}))
        mirror.write_spec(index.url.replace("//", "//robot:hunter2@"), "projects: [demo]")

        mirror.sync()

        assert [request.headers.get("authorization") for request in other.requests()] == [None]


def test_nothing_signed_is_kept_when_links_have_a_query(index: LocalIndex, mirror: Mirror) -> None:
    entry = index.add(make_sdist("demo", "1.0"))
    path = f"{entry.path}?X-Signature=hunter2"
    entry.url = f"../..{path}"
    index.fail_always(path, Answer(200, entry.data))
    mirror.write_spec(index, "projects: [demo]")

    mirror.sync()
    before = mirror.content()
    mirror.sync()

    assert mirror.filenames("demo") == [SDIST]
    assert mirror.content() == before
    assert not [path for path in mirror.tree.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]


# ── bytes ───────────────────────────────────────────────────────────────────────────────────────────


def other_bytes(entry: Entry) -> None:
    entry.data = entry.data[:-5] + b"xxxxx"


def other_hash(entry: Entry) -> None:
    entry.hashes = {"sha256": "0" * 64}


def other_size(entry: Entry) -> None:
    entry.size = len(entry.data) + 1


def other_hash_and_bytes(entry: Entry) -> None:
    entry.data = make_sdist("demo", "1.0", requires_python=">=3.99")[1]
    entry.hashes = {"sha256": hashlib.sha256(entry.data).hexdigest()}


LIES: dict[str, Callable[[Entry], None]] = {
    "bytes": other_bytes,
    "hash": other_hash,
    "size": other_size,
    "both": other_hash_and_bytes,
}


@pytest.mark.parametrize(
    ("lie", "is_published"),
    # What was never seen otherwise is no lie.
    [(lie, flag) for lie in LIES for flag in (True, False) if flag or lie != "both"],
)
def test_a_file_is_refused_when_it_is_not_what_was_promised(
    index: LocalIndex, mirror: Mirror, lie: str, is_published: bool
) -> None:
    good = index.add(make_wheel("good", "1.0"))
    entry = index.add(make_sdist("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo, good]\nrequire-hashes: true")
    if is_published:
        mirror.sync()
    before = mirror.published() if is_published else {}
    index.flat_urls = True
    LIES[lie](entry)

    run = mirror.sync(code=None)

    if is_published:
        # What is there already was verified, whatever upstream says of its size now.
        assert mirror.published() == before
        assert run.code == (0 if lie in ("bytes", "size") else 1)
    else:
        assert run.code == 1
        assert SDIST in run.err
        assert SDIST not in mirror.pool()
    assert mirror.filenames("good") == [good.filename]


def test_the_wheel_s_own_metadata_are_published_when_upstream_s_are_others(index: LocalIndex, mirror: Mirror) -> None:
    entry = index.add(make_wheel("demo", "1.0"), core_metadata={"sha256": "0" * 64})
    index.fail_always(f"{entry.path}.metadata", Answer(200, make_metadata("demo", "1.0", requires=["evil"]).encode()))
    mirror.write_spec(index, "projects: [demo]")

    run = mirror.sync()

    assert "upstream's core metadata are not the wheel's own" in run.err
    assert b"evil" not in mirror.find(f"{entry.filename}.metadata").read_bytes()


def test_a_page_is_refused_when_it_lists_another_project_s_files_alone(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_sdist("good", "1.0"))
    index.add(make_sdist("evil", "1.0"), project="demo")
    mirror.write_spec(index, "projects: [demo, good]")

    run = mirror.sync(code=1)

    assert "no file on the page is one of demo" in run.err
    assert mirror.projects() == ["good"]
    assert mirror.pool() == ["good-1.0.tar.gz"]


# ── memory ──────────────────────────────────────────────────────────────────────────────────────────


def endless(head: bytes, piece: bytes, pieces: int, tail: bytes = b"") -> Answer:
    """``head``, then so many times ``piece``, made as they are sent; the end is that of the connection."""

    def parts() -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Type: " + JSON_TYPE.encode() + b"\r\n\r\n" + head
        for _ in range(pieces):
            yield piece
        yield tail

    return Answer(raw=parts())


def html(body: bytes) -> Answer:
    return Answer(200, body, {"Content-Type": "text/html"})


def page_of(entry: str) -> bytes:
    return b'{"files":[' + entry.encode() + b"]}"


def packed(size: int, times: int = 1) -> bytes:
    data = gzip.compress(bytes(size))
    for _ in range(times - 1):
        data = gzip.compress(data)
    return data


@dataclass(frozen=True)
class Bomb:
    make: Callable[[], Answer]
    problem: str


FILE = '{"filename":"demo-1.0.tar.gz","url":"x","hashes":{}'
BOMBS = {
    "half-a-gigabyte": Bomb(lambda: endless(b'{"files":[', b" " * 1_000_000, 500), "larger than"),
    "said-to-be-large": Bomb(lambda: Answer(200, b"{", SAYS | {"Content-Length": "500000000"}), "larger than"),
    "gzip": Bomb(lambda: Answer(200, packed(300_000_000), SAYS | {"Content-Encoding": "gzip"}), "larger than"),
    "gzip-in-gzip": Bomb(
        lambda: Answer(200, packed(300_000_000, 2), SAYS | {"Content-Encoding": "gzip, gzip"}), "was not asked for"
    ),
    "million-files": Bomb(lambda: Answer(200, page_of(",".join([FILE + "}"] * 1_150_000)), SAYS), "more than"),
    "million-values": Bomb(lambda: Answer(200, page_of("[]," * 6_000_000 + "[]"), SAYS), "more than"),
    "deep": Bomb(lambda: Answer(200, page_of("[" * 3_000_000), SAYS), "not a page"),
    "deep-where-ignored": Bomb(lambda: Answer(200, b'{"x":' + b"[" * 3_000_000 + b"}", SAYS), "not a page"),
    "number": Bomb(lambda: Answer(200, page_of(f'{FILE},"size":{"9" * 1_000_000}}}'), SAYS), ""),
    "exponent": Bomb(lambda: Answer(200, page_of(f'{FILE},"size":1e{"9" * 1_000_000}}}'), SAYS), ""),
    "tags": Bomb(lambda: html(b"<br>" * 6_000_000 + b"</html>"), "more than"),
    "attributes": Bomb(lambda: html(b"<a " + b"a=b " * 1_000_000 + b"></html>"), "more than"),
    "nested": Bomb(lambda: html(b"<p>" + b"<b x=1><i y=2>" * 200_000 + b"<p>x" * 200_000 + b"</html>"), "no link"),
}  # fmt: skip

_BOUNDED = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]), int(sys.argv[1])))
sys.argv = ["pymirror", *sys.argv[2:]]
runpy.run_module("pymirror", run_name="__main__")
"""


def run_bounded(mirror: Mirror, *arguments: str, size: int) -> subprocess.CompletedProcess[str]:
    """The command in a process that may have so many bytes of address space."""
    return subprocess.run(
        [sys.executable, "-c", _BOUNDED, str(size), *arguments],
        cwd=mirror.folder,
        env=for_others(mirror.environ) | {"MALLOC_ARENA_MAX": "2"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="address space is bounded on Linux alone")
def test_memory_is_bounded_when_pages_are_bombs(index: LocalIndex, mirror: Mirror) -> None:
    for name in ("good", *BOMBS):
        index.add(make_sdist(name, "1.0"), project=name)
    for name, bomb in BOMBS.items():
        index.fail_always(f"/simple/{name}/", bomb.make())
    body = f"projects: [good, {', '.join(BOMBS)}]\npages: false\nlegacy-json: false"
    mirror.write_spec(index, body, network="retries: 0, connections: 4, max-page-size: 64 MB")

    run = run_bounded(mirror, "sync", "--json", size=700_000_000)

    assert "Traceback" not in run.stderr
    assert run.returncode == 1, run.stderr
    report: dict[str, Any] = json.loads(run.stdout)
    problems = {failure["project"]: failure["problem"] for failure in report["failures"]}
    assert problems.keys() == BOMBS.keys()
    for name, bomb in BOMBS.items():
        assert bomb.problem in problems[name], (name, problems[name])
        assert "Memory" not in problems[name], (name, problems[name])
    assert mirror.projects() == ["good"]


def test_one_large_page_is_held_at_a_time_when_several_come_at_once(index: LocalIndex, mirror: Mirror) -> None:
    """The second is not read on while the first is there: its server is stuck with what no buffer takes."""
    for name in ("first", "second"):
        index.add(make_sdist(name, "1.0"))
    is_under_way, is_sent = threading.Event(), threading.Event()
    seen: list[bool] = []

    def answer(name: str, then: Callable[[], object]) -> Answer:
        def parts() -> Iterator[bytes]:
            yield b"HTTP/1.1 200 OK\r\nContent-Type: " + JSON_TYPE.encode() + b"\r\n\r\n"
            yield index.detail_json(name)[:-1] + b', "x": "'
            yield from [b"x" * 1_000_000] * 45  # of which the buffers take but a part
            then()
            yield b'"}'

        return Answer(raw=parts())

    def hold() -> None:
        is_under_way.set()
        seen.append(is_sent.wait(1.5))

    index.fail("/simple/first/", answer("first", hold))
    index.fail("/simple/second/", lambda _: (is_under_way.wait(20) and answer("second", is_sent.set)) or None)
    mirror.write_spec(index, "projects: [first, second]\npages: false")

    mirror.sync()

    assert seen == [False]
    assert mirror.projects() == ["first", "second"]


def bomb_wheel(name: str, member: str, size: int) -> tuple[str, bytes]:
    """A wheel of some hundred kilobytes, of which ``member`` unpacks to ``size`` bytes."""
    out = io.BytesIO(make_wheel(name, "1.0", metadata=None if "METADATA" not in member else "")[1])
    plain = io.BytesIO()
    with zipfile.ZipFile(out) as old, zipfile.ZipFile(plain, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            if info.filename != member:
                new.writestr(info.filename, old.read(info))
        with new.open(member, "w", force_zip64=True) as target:
            target.write(make_metadata(name, "1.0").encode() if "METADATA" in member else b"")
            for _ in range(size // 10_000_000):
                target.write(b"x" * 10_000_000)
    return f"{name}-1.0-py3-none-any.whl", plain.getvalue()


@pytest.mark.skipif(sys.platform != "linux", reason="address space is bounded on Linux alone")
def test_memory_is_bounded_when_archives_are_bombs(index: LocalIndex, mirror: Mirror) -> None:
    """They have the promised hash, so they are published; nothing of them is."""
    index.add(make_wheel("good", "1.0"))
    index.add(bomb_wheel("meta", "meta-1.0.dist-info/METADATA", 300_000_000))
    index.add(bomb_wheel("module", "module/big.py", 50_000_000))
    index.add(("packed-1.0.tar.gz", packed(300_000_000)))
    mirror.write_spec(index, "projects: [good, meta, module, packed]", network="retries: 0, connections: 4")

    run = run_bounded(mirror, "sync", size=700_000_000)

    assert run.returncode == 0, run.stderr
    assert "METADATA of meta-1.0-py3-none-any.whl" in run.stderr
    assert mirror.filenames("good") == ["good-1.0-py3-none-any.whl"]
    assert "meta-1.0-py3-none-any.whl.metadata" not in mirror.pool()
    assert "module-1.0-py3-none-any.whl.metadata" in mirror.pool()
