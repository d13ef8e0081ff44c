"""METADATA is read out of wheels that stay where they are: with few requests, and no answer is believed unseen."""

from __future__ import annotations

import contextlib
import hashlib
import io
import random
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from pymirror.archive import read_wheel_metadata
from pymirror.credentials import Credentials
from pymirror.errors import IntegrityError, RequestError
from pymirror.metadata import MAX_METADATA_BYTES
from pymirror.progress import NoProgress
from pymirror.remote_wheel import MAX_DIRECTORY_BYTES, MAX_REQUESTS, TAIL_BYTES, RemoteWheels
from pymirror.spec.model import Network
from pymirror.transport import Transport
from pymirror.workers import Stop
from tests.archives import make_metadata, make_wheel
from tests.index import Answer, Handler, LocalIndex
from tests.servers import serve_with_python
from tests.web_servers import SERVERS, serve

FILENAME = "demo-1.0-py3-none-any.whl"
PATH = f"/wheels/{FILENAME}"
INFO = "demo-1.0.dist-info/METADATA"
METADATA = make_metadata("demo", "1.0", requires=["six"]).encode()
KILOBYTE = 1024

Respond = Callable[[Handler], Answer | None]


def noise(size: int, seed: int = 1) -> bytes:
    """Bytes that no compression makes fewer."""
    return random.Random(seed).randbytes(size)


def make(
    members: Sequence[tuple[str, bytes]] = ((INFO, METADATA),), *, comment: bytes = b"", is_zip64: bool = False
) -> bytes:
    """A wheel of these members, in this order."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = comment
        for name, data in members:
            with archive.open(zipfile.ZipInfo(name), "w", force_zip64=is_zip64) as member:
                member.write(data)
    return out.getvalue()


def make_directory(files: int) -> list[tuple[str, bytes]]:
    return [(f"demo/{number:08}-{'x' * 100}.py", b"") for number in range(files)]


class Files:
    """Answers requests for parts of ``data``, as the standard has it; the forms of Range that it knows are told."""

    def __init__(self, data: bytes, *, suffix: bool = True) -> None:
        self.data = data
        self.suffix = suffix
        self.sent = 0

    def __call__(self, handler: Handler) -> Answer:
        headers = {"ETag": f'"{hashlib.md5(self.data).hexdigest()}"'}
        total = len(self.data)
        match = re.fullmatch(r"bytes=(\d*)-(\d*)", handler.headers.get("Range", ""))
        if match is None or not (match[1] or self.suffix):
            return Answer(200, self.data, headers)
        if not match[1]:
            start, end = max(0, total - int(match[2])), total
        else:
            start, end = int(match[1]), min(total, int(match[2] or total) + 1)
        if start >= end:
            return Answer(416, b"", headers | {"Content-Range": f"bytes */{total}"})
        self.sent += end - start
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{total}"
        return Answer(206, self.data[start:end], headers)


class Remote:
    """An index that sends parts of one wheel, and the reader that is tested."""

    def __init__(self, index: LocalIndex, *, retries: int = 0) -> None:
        self.index = index
        self.files = Files(b"")
        network = Network(retries=retries)
        self.transport = Transport(network, Credentials([], {}), Stop())
        self.wheels = RemoteWheels(transport=self.transport, network=network, progress=NoProgress())

    def put(self, data: bytes, *, suffix: bool = True, first: Sequence[Answer | Respond] = ()) -> None:
        """The wheel; what is asked ``first`` is answered so."""
        self.files = Files(data, suffix=suffix)
        self.index.fail(PATH, *first, *[self.files] * 100)
        self.index.fail_always(f"HEAD {PATH}", Answer(200, data))

    def read(self, *, size: int | None = None) -> bytes | None:
        self.index.forget()
        return self.wheels.read(f"{self.index.origin}{PATH}", filename=FILENAME, size=size)

    def refuse(self, *, size: int | None = None, kind: type[Exception] = RequestError) -> str:
        with pytest.raises(kind) as caught:
            self.read(size=size)
        return str(caught.value)

    def asked(self) -> list[str]:
        """Every request: its method, where it is another than GET, or its Range."""
        return [each.headers["range"] if each.method == "GET" else each.method for each in self.index.requests()]


@pytest.fixture
def remote(index: LocalIndex) -> Iterator[Remote]:
    made = Remote(index)
    with contextlib.closing(made.transport):
        yield made


# ── how many requests ───────────────────────────────────────────────────────────────────────────────


def test_one_request_is_enough_when_metadata_stand_at_the_end(remote: Remote) -> None:
    data = make([("demo/data", noise(300 * KILOBYTE)), (INFO, METADATA)])
    remote.put(data)

    assert remote.read() == METADATA
    assert remote.asked() == [f"bytes=-{TAIL_BYTES}"]
    assert remote.read(size=len(data)) == METADATA
    assert remote.asked() == [f"bytes={len(data) - TAIL_BYTES}-"]
    assert {request.headers["accept-encoding"] for request in remote.index.requests()} == {"identity"}


def test_one_request_is_enough_when_the_wheel_is_small(remote: Remote) -> None:
    filename, data = make_wheel("demo", "1.0", requires=["six"])
    assert filename == FILENAME
    remote.put(data)

    assert remote.read() == remote.read(size=len(data)) == METADATA
    assert remote.asked() == ["bytes=0-"]


def test_two_requests_are_enough_when_metadata_stand_first(remote: Remote) -> None:
    data = make([(INFO, METADATA), ("demo/data", noise(500 * KILOBYTE))])
    remote.put(data)

    assert remote.read() == METADATA
    assert remote.asked() == [f"bytes=-{TAIL_BYTES}", f"bytes=0-{32 * KILOBYTE - 1}"]
    assert remote.files.sent == TAIL_BYTES + 32 * KILOBYTE


def test_nothing_is_asked_for_twice_when_metadata_stand_before_the_end(remote: Remote) -> None:
    remote.put(make([("demo/one", noise(100 * KILOBYTE)), (INFO, METADATA), ("demo/two", noise(64 * KILOBYTE))]))

    assert remote.read() == METADATA
    assert len(remote.asked()) == 2
    assert remote.files.sent < TAIL_BYTES + KILOBYTE


def test_the_rest_is_asked_for_when_the_directory_is_larger_than_the_end(remote: Remote) -> None:
    data = make([("demo/data", noise(100 * KILOBYTE)), *make_directory(3000), (INFO, METADATA)])
    remote.put(data)

    assert remote.read() == METADATA
    assert len(remote.asked()) == 3  # its end, the rest of it, and METADATA before it
    assert remote.files.sent < len(data)


def test_few_requests_are_enough_when_metadata_are_large(remote: Remote) -> None:
    text = METADATA + noise(700 * KILOBYTE).hex().encode()
    remote.put(make([(INFO, text), ("demo/data", noise(200 * KILOBYTE))]))

    assert remote.read() == text
    assert len(remote.asked()) <= 4


@pytest.mark.parametrize("comment", [b"", b"made by the tests", b"x" * 65_535])
@pytest.mark.parametrize("is_zip64", [False, True])
@pytest.mark.parametrize("prefix", [b"", b"#!/bin/sh\n" * 1000])
@pytest.mark.parametrize("size", [0, 10 * KILOBYTE, 70 * KILOBYTE])
def test_metadata_are_those_of_the_file_when_it_is_laid_out_otherwise(
    remote: Remote, tmp_path: Path, comment: bytes, is_zip64: bool, prefix: bytes, size: int
) -> None:
    members = [("demo/one", noise(size)), (INFO, METADATA), ("demo/other", noise(size, 2))]
    data = prefix + make(members, comment=comment, is_zip64=is_zip64)
    (tmp_path / "wheel").write_bytes(data)
    remote.put(data)

    assert remote.read() == read_wheel_metadata(tmp_path / "wheel", filename=FILENAME) == METADATA
    assert remote.read(size=len(data)) == METADATA


# ── servers that know less ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [400, 416, 501])
def test_the_size_is_asked_for_when_the_server_refuses_to_send_the_end(remote: Remote, status: int) -> None:
    data = make([("demo/data", noise(100 * KILOBYTE)), (INFO, METADATA)])
    remote.put(data, first=[Answer(status, b"no")])

    assert remote.read() == METADATA
    assert remote.asked() == [f"bytes=-{TAIL_BYTES}", "HEAD", f"bytes={len(data) - TAIL_BYTES}-"]


def test_the_size_is_that_of_the_whole_when_the_server_sends_that_instead_of_the_end(remote: Remote) -> None:
    data = make([("demo/data", noise(100 * KILOBYTE)), (INFO, METADATA)])
    remote.put(data, suffix=False)

    assert remote.read() == METADATA
    assert remote.asked() == [f"bytes=-{TAIL_BYTES}", f"bytes={len(data) - TAIL_BYTES}-"]


def test_nothing_is_read_when_nobody_tells_the_size(remote: Remote) -> None:
    remote.put(make(), first=[Answer(416)])
    remote.index.answers_head = False

    assert remote.read() is None
    assert remote.asked() == [f"bytes=-{TAIL_BYTES}", "HEAD"]


@pytest.mark.parametrize("size", [None, 10_000_000])
def test_a_server_is_asked_once_when_it_sends_no_parts(remote: Remote, size: int | None) -> None:
    sent = 0

    def whole() -> Iterator[bytes]:
        nonlocal sent
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n"
        for _ in range(10_000):
            sent += 1
            yield bytes(1000)

    remote.index.fail(PATH, *[Answer(200, raw=whole()) for _ in range(2)])

    assert remote.read(size=size) is None
    assert len(remote.asked()) == (1 if size else 2)
    remote.put(make())
    assert remote.read(size=size) is None
    assert remote.asked() == []
    assert sent < 10_000  # what the buffers of the sockets take, and no more


def test_a_server_is_asked_again_when_it_sent_the_whole_of_a_small_file(remote: Remote) -> None:
    data = make()
    remote.index.fail(PATH, Answer(200, data))
    assert remote.read(size=len(data)) is None
    remote.put(data)
    assert remote.read(size=len(data)) == METADATA


def test_another_server_is_asked_when_one_sends_no_parts(remote: Remote) -> None:
    remote.index.fail(PATH, Answer(200, make()))
    assert remote.read(size=100_000) is None
    with LocalIndex() as other:
        other.fail(PATH, Files(make()))
        assert remote.wheels.read(f"{other.origin}{PATH}", filename=FILENAME) == METADATA


def test_a_request_is_made_again_when_the_error_may_pass(index: LocalIndex) -> None:
    data = make([(INFO, METADATA), ("demo/data", noise(100 * KILOBYTE))])
    good = Files(data)
    remote = Remote(index, retries=2)

    def cut(handler: Handler) -> Answer:
        answer = good(handler)
        answer.cut = 1000
        return answer

    remote.put(data, first=[Answer(503), cut, good, cut])
    with contextlib.closing(remote.transport):
        assert remote.read() == METADATA
    assert len(remote.asked()) == 5


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_it_is_an_error_when_the_file_is_refused(remote: Remote, status: int) -> None:
    remote.index.fail(PATH, *[Answer(status)] * 2)
    assert f"HTTP {status}" in remote.refuse()
    assert f"HTTP {status}" in remote.refuse(size=1000)


def test_it_is_an_error_when_the_address_is_none(remote: Remote) -> None:
    for url in ("http://[::1", "", "ftp://127.0.0.1/x", "http://127.0.0.1:x/"):
        with pytest.raises(RequestError):
            remote.wheels.read(url, filename=FILENAME)


# ── answers that lie ────────────────────────────────────────────────────────────────────────────────

WHEEL = make([(INFO, METADATA), ("demo/data", noise(100 * KILOBYTE))])
SIZE = len(WHEEL)
FIRST = f"bytes {SIZE - TAIL_BYTES}-{SIZE - 1}/{SIZE}"


def bend(**changed: str | None) -> Respond:
    """The right answer with other headers."""

    def respond(handler: Handler) -> Answer:
        answer = Files(WHEEL)(handler)
        headers = {**answer.headers, **{name.replace("_", "-"): value for name, value in changed.items()}}
        return Answer(answer.status, answer.body, {name: value for name, value in headers.items() if value is not None})

    return respond


@pytest.mark.parametrize("size", [None, SIZE])
@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Range": None},
        {"Content_Range": "bytes"},
        {"Content_Range": FIRST.replace("bytes", "lines")},
        {"Content_Range": f"bytes {SIZE - TAIL_BYTES}-{SIZE - 1}/*"},
        {"Content_Range": f"bytes {SIZE - TAIL_BYTES}-{SIZE - 1}/{SIZE + 1}"},
        {"Content_Range": f"bytes {SIZE - TAIL_BYTES - 1}-{SIZE - 2}/{SIZE}"},
        {"Content_Range": f"bytes {SIZE - TAIL_BYTES}-{SIZE}/{SIZE}"},
        {"Content_Range": f"bytes {SIZE - 1}-{SIZE - TAIL_BYTES}/{SIZE}"},
        {"Content_Range": f"bytes 0-{SIZE - 1}/{SIZE}"},
        {"Content_Range": f"bytes {SIZE - TAIL_BYTES - 1}-{SIZE - 1}/{SIZE}"},
        {"Content_Range": f"bytes 0-{TAIL_BYTES - 1}/{10**18}"},
        {"Content_Encoding": "gzip"},
        {"Content_Type": "multipart/byteranges; boundary=x", "Content_Range": None},
    ],
)
def test_an_answer_is_refused_when_it_is_not_the_end_of_the_file(
    remote: Remote, size: int | None, headers: dict[str, str | None]
) -> None:
    remote.put(WHEEL, first=[bend(**headers)])
    assert "answer" in remote.refuse(size=size)
    assert len(remote.asked()) == 1


@pytest.mark.parametrize("status", [201, 203, 416])
def test_an_answer_is_refused_when_it_is_to_another_question(remote: Remote, status: int) -> None:
    answer = Answer(status, WHEEL[-TAIL_BYTES:], {"Content-Range": FIRST})
    remote.put(WHEEL, first=[answer])
    assert "is no answer to a request for a part" in remote.refuse(size=SIZE)


def test_a_file_is_refused_when_its_size_is_not_that_of_its_page(remote: Remote) -> None:
    remote.put(WHEEL)
    assert "another part" in remote.refuse(size=SIZE - 1)
    assert f"not the end of a file of {SIZE + 1} bytes" in remote.refuse(size=SIZE + 1)
    assert "HTTP 416 is no answer" in remote.refuse(size=SIZE + 200_000)


def test_an_answer_is_refused_when_it_is_longer_than_it_says(remote: Remote) -> None:
    head = f"HTTP/1.1 206 Partial\r\nContent-Range: {FIRST}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    body = b"10000\r\n" + bytes(65536) + b"\r\n"
    remote.put(WHEEL, first=[Answer(206, raw=[head, body, body, b"0\r\n\r\n"])])
    assert "longer than it says" in remote.refuse()


def test_an_answer_is_refused_when_it_is_shorter_than_it_says(remote: Remote) -> None:
    head = f"HTTP/1.1 206 Partial\r\nContent-Range: {FIRST}\r\nContent-Length: 3\r\n\r\n".encode()
    remote.put(WHEEL, first=[Answer(206, raw=[head, b"abc"])])
    assert "cut off" in remote.refuse()


@pytest.mark.parametrize(
    ("second", "problem"),
    [
        (bend(ETag='"another"'), "changed between two requests"),
        (bend(Content_Range=f"bytes 0-{32 * KILOBYTE - 1}/{SIZE + 1}"), "changed between two requests"),
        (bend(Content_Range=f"bytes 1-{32 * KILOBYTE}/{SIZE}"), "another part of the file"),
        (bend(Content_Range=f"bytes 0-{32 * KILOBYTE}/{SIZE}"), "another part than the one"),
        (Answer(200, WHEEL), "sends parts of the file no more"),
        (Answer(416), "is no answer"),
    ],
)
def test_the_second_answer_is_refused_when_it_does_not_belong_to_the_first(
    remote: Remote, second: Answer | Respond, problem: str
) -> None:
    remote.put(WHEEL, first=[Files(WHEEL), second])
    assert problem in remote.refuse()
    assert len(remote.asked()) == 2


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_the_size_alone_tells_when_the_server_gives_no_strong_validator(remote: Remote, etag: str | None) -> None:
    remote.put(WHEEL, first=[bend(ETag=etag)])
    assert remote.read() == METADATA
    assert len(remote.asked()) == 2


# ── wheels that are none, or hostile ────────────────────────────────────────────────────────────────


def short(data: bytes, step: int) -> Respond:
    """Sends less than what is asked for, as a server may."""

    def respond(handler: Handler) -> Answer:
        answer = Files(data)(handler)
        start, total = answer.headers["Content-Range"].removeprefix("bytes ").split("-")[0], len(data)
        answer.headers["Content-Range"] = f"bytes {start}-{int(start) + step - 1}/{total}"
        answer.body = answer.body[:step]
        return answer

    return respond


def test_a_wheel_is_read_when_the_server_sends_less_than_is_asked_for(remote: Remote) -> None:
    text = METADATA + noise(100 * KILOBYTE).hex().encode()
    data = make([(INFO, text), ("demo/data", noise(100 * KILOBYTE))])
    remote.put(data, first=[Files(data), *[short(data, 30_000)] * 50])
    assert remote.read() == text


def test_a_wheel_is_given_up_when_it_takes_too_many_requests(remote: Remote) -> None:
    remote.put(WHEEL, first=[Files(WHEEL), *[short(WHEEL, 1)] * 50])
    assert f"more than {MAX_REQUESTS} requests" in remote.refuse(kind=IntegrityError)
    assert len(remote.asked()) == 1 + MAX_REQUESTS


@pytest.mark.parametrize("size", [MAX_DIRECTORY_BYTES + 1, 2**32 - 2])
def test_a_wheel_is_given_up_when_its_directory_is_huge(remote: Remote, size: int) -> None:
    class Huge(Files):
        """Has far more bytes than it has, and zeros where nobody looks."""

        def __call__(self, handler: Handler) -> Answer:
            start = handler.headers["Range"].removeprefix("bytes=").split("-")[0]
            headers = {"Content-Range": f"bytes {start}-{2**33 - 1}/{2**33}"}
            return Answer(206, self.data.rjust(2**33 - int(start), b"\0"), headers)

    whole = make()
    tail = bytearray(whole[whole.index(b"PK\x05\x06") :])
    tail[12:16] = size.to_bytes(4, "little")
    remote.index.fail(PATH, *[Huge(bytes(tail))] * 10)
    assert f"more than {MAX_DIRECTORY_BYTES} bytes" in remote.refuse(size=2**33, kind=IntegrityError)
    assert len(remote.asked()) == 1


def test_a_wheel_is_refused_when_its_metadata_unpack_to_too_much(remote: Remote) -> None:
    remote.put(make([(INFO, METADATA + bytes(MAX_METADATA_BYTES))]))
    assert f"at most {MAX_METADATA_BYTES} bytes" in remote.refuse(kind=IntegrityError)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "another part"),
        (b"x", "File is not a zip file"),
        (noise(100 * KILOBYTE), "File is not a zip file"),
        (WHEEL[: SIZE // 2], "File is not a zip file"),
        (make([("demo/METADATA", METADATA)]), "expected one .dist-info/METADATA, got 0"),
        (make([(INFO, METADATA), ("other-1.0.dist-info/METADATA", METADATA)]), "got 2"),
        (make([(INFO, make_metadata("other", "1.0").encode())]), "expected Name: demo, got other"),
        (make([(INFO, make_metadata("demo", "2.0").encode())]), "expected Version: 1.0, got 2.0"),
    ],
)
def test_a_wheel_is_refused_when_it_would_be_on_disk(remote: Remote, data: bytes, problem: str) -> None:
    remote.put(data, first=[] if data else [Answer(206, b"", {"Content-Range": "bytes 0-0/0"})])
    assert problem in remote.refuse(kind=IntegrityError if data else RequestError)


def test_nothing_else_is_raised_when_bytes_are_damaged(remote: Remote) -> None:
    whole = make([("demo/data", noise(70 * KILOBYTE)), (INFO, METADATA)])
    end = whole.index(b"PK\x03\x04", 100)
    chance = random.Random(3)
    for _ in range(200):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 3)):
            data[chance.randrange(end, len(data))] = chance.randrange(256)
        remote.put(bytes(data))
        try:
            assert remote.read() == METADATA
        except IntegrityError:
            continue
        finally:
            assert len(remote.asked()) < 5


# ── real servers ────────────────────────────────────────────────────────────────────────────────────

CONFIGURATIONS = {
    "nginx": 'server {{ listen 127.0.0.1:{port}; root "{folder}"; }}',
    "apache": (
        'Listen 127.0.0.1:{port}\nDocumentRoot "{folder}"\n<Directory "{folder}">\nRequire all granted\n</Directory>'
    ),
    "caddy": 'http://127.0.0.1:{port} {{\n\tbind 127.0.0.1\n\troot * "{folder}"\n\tfile_server\n}}',
}


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everyone may enter: pytest's own are closed to what a server becomes when root starts it."""
    with tempfile.TemporaryDirectory(prefix="pymirror-wheels-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("name", SERVERS)
def test_metadata_are_read_when_a_real_server_has_the_wheel(remote: Remote, open_folder: Path, name: str) -> None:
    folder = open_folder / "wheels"
    folder.mkdir()
    wheels = {
        "small": make(),
        "at the end": make([("demo/data", noise(300 * KILOBYTE)), (INFO, METADATA)]),
        "at the beginning": make([(INFO, METADATA), ("demo/data", noise(300 * KILOBYTE))]),
        "many files": make([(INFO, METADATA), *make_directory(5000)]),
    }
    configuration = CONFIGURATIONS[name]
    with serve(
        name,
        lambda port: configuration.format(port=port, folder=folder),
        open_folder,
        url="http://127.0.0.1:{port}/",
    ) as server:
        for data in wheels.values():
            (folder / FILENAME).write_bytes(data)
            for size in (None, len(data)):
                assert remote.wheels.read(f"{server.url}{FILENAME}", filename=FILENAME, size=size) == METADATA


def test_nothing_is_read_when_a_real_server_sends_no_parts(remote: Remote, tmp_path: Path) -> None:
    (tmp_path / FILENAME).write_bytes(WHEEL)
    with serve_with_python(tmp_path) as url:
        assert remote.wheels.read(f"{url}{FILENAME}", filename=FILENAME) is None
        assert remote.wheels.read(f"{url}{FILENAME}", filename=FILENAME, size=SIZE) is None
