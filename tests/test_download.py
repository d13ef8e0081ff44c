"""How files are fetched: again after an error, on from where a connection broke, and never without a check."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from typing import Any

import pytest

from tests.archives import make_sdist, make_wheel
from tests.conftest import Mirror
from tests.index import Answer, Entry, Gate, Handler, LocalIndex, Respond

SDIST = "demo-1.0.tar.gz"
SIZE = 1_200_000


def add_large(index: LocalIndex, **said: Any) -> Entry:
    """A file that does not fit into one read."""
    filler = b"".join(hashlib.sha256(bytes([n % 256, n // 256])).digest() for n in range(SIZE // 32))
    return index.add((SDIST, make_sdist("demo", "1.0")[1] + filler), **said)


def etag(entry: Entry) -> str:
    return f'"{hashlib.md5(entry.data).hexdigest()}"'


def cut(entry: Entry, size: int = 100_000) -> Answer:
    """The right answer, but the connection breaks after ``size`` bytes."""
    return Answer(200, entry.data, {"ETag": etag(entry), "Accept-Ranges": "bytes"}, cut=size)


def chunked(data: bytes) -> Answer:
    """``data`` without a length that could be known before."""
    pieces = [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"%x\r\n%s\r\n" % (len(data), data),
        b"0\r\n\r\n",
    ]
    return Answer(200, raw=pieces)


def ranges(index: LocalIndex) -> list[tuple[int, str | None, str | None]]:
    """Status, Range and If-Range of every request for the file."""
    found = index.requests(SDIST)
    return [(request.status, request.headers.get("range"), request.headers.get("if-range")) for request in found]


# ── again ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_is_asked_for_again_when_the_error_may_pass(index: LocalIndex, mirror: Mirror) -> None:
    statuses = [408, 429, 500, 502, 503, 504]
    for status in statuses:
        index.fail(index.add(make_sdist("demo", f"{status}")).path, Answer(status, b"later"))
    mirror.write_spec(index, "projects: [demo]")

    mirror.sync()

    for status in statuses:
        assert [request.status for request in index.requests(f"demo-{status}.tar.gz")] == [status, 200]


def test_a_file_is_asked_for_once_when_the_error_is_for_good(index: LocalIndex, mirror: Mirror) -> None:
    statuses = [400, 401, 403, 404, 410, 451]
    for status in statuses:
        index.fail_always(index.add(make_sdist("demo", f"{status}")).path, Answer(status, b"no"))
    index.add(make_sdist("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")

    run = mirror.sync("--json", code=1)

    assert len(run.json["failures"]) == len(statuses)
    for failure, status in zip(run.json["failures"], statuses, strict=True):
        assert failure["what"] == f"demo-{status}.tar.gz"
        assert f"HTTP {status}" in failure["problem"]
        assert len(index.requests(failure["what"])) == 1
    assert mirror.filenames("demo") == [SDIST]


def test_retries_end_and_the_next_run_tries_anew(index: LocalIndex, mirror: Mirror) -> None:
    entry = index.add(make_sdist("demo", "1.0"))
    index.fail(entry.path, *[Answer(503)] * 3)
    mirror.write_spec(index, "projects: [demo]", network="retries: 2")

    run = mirror.sync("-v", code=1)

    assert len(index.requests(SDIST)) == 3
    assert "HTTP 503; attempt 2 in " in run.err
    mirror.sync()
    assert mirror.filenames("demo") == [SDIST]


@pytest.mark.parametrize(("status", "form"), [(429, "seconds"), (503, "date"), (503, "nonsense")])
def test_retry_after_is_heeded(index: LocalIndex, mirror: Mirror, status: int, form: str) -> None:
    entry = index.add(make_sdist("demo", "1.0"))
    arrived: list[float] = []

    def refuse(_: Handler) -> Answer:
        arrived.append(time.time())
        after = {"seconds": "1", "date": formatdate(time.time() + 1.999, usegmt=True), "nonsense": "soon"}[form]
        return Answer(status, b"", {"Retry-After": after})

    def serve(_: Handler) -> None:
        arrived.append(time.time())

    index.fail(entry.path, refuse, serve)
    mirror.write_spec(index, "projects: [demo]")

    mirror.sync()

    waited = arrived[1] - arrived[0]
    if form == "seconds":
        assert waited >= 1
    elif form == "date":  # which counts whole seconds
        assert waited >= 0.9


# ── on from where it broke ──────────────────────────────────────────────────────────────────────────


def test_a_broken_download_goes_on_from_where_it_broke(index: LocalIndex, mirror: Mirror) -> None:
    entry = add_large(index)
    index.fail(entry.path, cut(entry))
    mirror.write_spec(index, "projects: [demo]")

    mirror.sync()

    assert mirror.find(SDIST).read_bytes() == entry.data
    assert ranges(index) == [(200, None, None), (206, "bytes=100000-", etag(entry))]


def test_a_download_starts_anew_when_the_server_gave_no_validator(index: LocalIndex, mirror: Mirror) -> None:
    index.validators = False
    entry = add_large(index)
    index.fail(entry.path, Answer(200, entry.data, {}, cut=100_000))
    mirror.write_spec(index, "projects: [demo]")

    mirror.sync()

    assert ranges(index) == [(200, None, None), (200, None, None)]


def test_a_download_starts_anew_when_the_etag_changed(index: LocalIndex, mirror: Mirror) -> None:
    entry = add_large(index)
    index.fail(entry.path, Answer(200, b"\xff" * len(entry.data), {"ETag": '"another"'}, cut=100_000))
    mirror.write_spec(index, "projects: [demo]")

    mirror.sync()

    assert mirror.find(SDIST).read_bytes() == entry.data
    assert ranges(index) == [(200, None, None), (200, "bytes=100000-", '"another"')]


def test_a_download_starts_anew_when_what_was_there_already_was_wrong(index: LocalIndex, mirror: Mirror) -> None:
    entry = add_large(index)
    index.fail(entry.path, Answer(200, b"\xff" * len(entry.data), {"ETag": etag(entry)}, cut=100_000))
    mirror.write_spec(index, "projects: [demo]")

    mirror.sync()

    assert mirror.find(SDIST).read_bytes() == entry.data
    assert [status for status, _, _ in ranges(index)] == [200, 206, 200]


def test_next_run_goes_on_with_the_partial_file_of_a_killed_one(index: LocalIndex, mirror: Mirror) -> None:
    entry = add_large(index)
    gate = Gate()

    def stall() -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nETag: %s\r\nContent-Length: %d\r\n\r\n" % (etag(entry).encode(), len(entry.data))
        yield entry.data[:200_000]
        gate(None)

    index.fail(entry.path, Answer(raw=stall()))
    mirror.write_spec(index, "projects: [demo]")
    with mirror.started("sync") as process:
        gate.wait_for(1)
        folder = mirror.tree / ".pymirror" / "partial"
        deadline = time.monotonic() + 20
        while (
            not (sizes := [path.stat().st_size for path in folder.glob("*") if path.suffix != ".json"]) or not sizes[0]
        ):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.kill()
        process.wait()
    gate.open()
    index.forget()
    (partial,) = (path for path in folder.iterdir() if path.suffix != ".json")
    size = partial.stat().st_size
    assert not (mirror.tree / "simple").exists()

    mirror.sync()

    assert mirror.find(SDIST).read_bytes() == entry.data
    assert ranges(index) == [(206, f"bytes={size}-", etag(entry))]
    assert not folder.exists()


def _refuse_range(_: Handler) -> Answer:
    return Answer(416, b"", {"Content-Range": "bytes */1"})


def _answer_another_range(entry: Entry, content_range: str) -> Respond:
    headers = {"ETag": etag(entry), "Content-Range": content_range}
    return lambda handler: Answer(206, entry.data[5:], headers) if "Range" in handler.headers else None


RANGES = {
    "416": None,
    "another start": f"bytes 5-{SIZE}/{SIZE}",
    "no range": "",
    "another unit": "lines 100000-200000/*",
}


@pytest.mark.parametrize("content_range", RANGES.values(), ids=RANGES)
def test_a_download_starts_anew_when_the_server_cannot_go_on(
    index: LocalIndex, mirror: Mirror, content_range: str | None
) -> None:
    entry = add_large(index)
    wrong = _refuse_range if content_range is None else _answer_another_range(entry, content_range)
    with_range: Respond = lambda handler: wrong(handler) if "Range" in handler.headers else None  # noqa: E731
    index.fail(entry.path, cut(entry), *[with_range] * 20)
    mirror.write_spec(index, "projects: [demo]")

    mirror.sync()

    assert mirror.find(SDIST).read_bytes() == entry.data


def test_a_wrong_range_is_never_taken(index: LocalIndex, mirror: Mirror) -> None:
    """Without hash and size there is nothing else that could tell."""
    entry = add_large(index, hashes={}, size=None)
    wrong = _answer_another_range(entry, f"bytes 5-{SIZE}/{SIZE}")
    index.fail(entry.path, cut(entry), wrong, wrong)
    mirror.write_spec(index, "projects: [demo]\nrequire-hashes: false")

    mirror.sync()

    assert mirror.find(SDIST).read_bytes() == entry.data


def test_a_range_that_was_not_asked_for_is_refused(index: LocalIndex, mirror: Mirror) -> None:
    entry = add_large(index)
    headers = {"Content-Range": f"bytes 0-{len(entry.data) - 1}/{len(entry.data)}"}
    index.fail_always(entry.path, Answer(206, entry.data, headers))
    mirror.write_spec(index, "projects: [demo]", network="retries: 0")

    mirror.sync(code=1)

    assert mirror.pool() == []


# ── what arrives is checked ─────────────────────────────────────────────────────────────────────────


WRONG: dict[str, Callable[[Entry], Answer]] = {
    "bytes": lambda entry: Answer(200, bytes(reversed(entry.data))),
    "short": lambda entry: Answer(200, entry.data[:-1]),
    "long": lambda entry: Answer(200, entry.data + b"\0"),
    "empty": lambda _: Answer(200, b""),
    "short-without-length": lambda entry: chunked(entry.data[:-1]),
    "long-without-length": lambda entry: chunked(entry.data + b"\0"),
    "html": lambda _: Answer(200, b"<html>please log in</html>", {"Content-Type": "text/html"}),
    "no-content": lambda _: Answer(204, b""),
}


@pytest.mark.parametrize("has_size", [True, False])
def test_wrong_bytes_get_no_place_in_the_pool(index: LocalIndex, mirror: Mirror, has_size: bool) -> None:
    for project, wrong in WRONG.items():
        entry = index.add(make_sdist(project, "1.0"), project=project)
        entry.size = entry.size if has_size else None
        index.fail_always(entry.path, wrong(entry))
    index.add(make_sdist("good", "1.0"))
    mirror.write_spec(index, f"projects: [good, {', '.join(WRONG)}]", network="retries: 1")

    run = mirror.sync("--json", code=1)

    assert {failure["project"] for failure in run.json["failures"]} == WRONG.keys()
    assert mirror.pool() == ["good-1.0.tar.gz"]
    assert mirror.projects() == ["good"]

    index.faults.clear()
    mirror.sync()  # heals once upstream does

    for entry in index.entries:
        assert mirror.find(entry.filename).read_bytes() == entry.data


def test_a_truncated_body_is_completed(index: LocalIndex, mirror: Mirror) -> None:
    entry = add_large(index)
    index.fail(entry.path, cut(entry, 1), cut(entry, 0))
    mirror.write_spec(index, "projects: [demo]", network="retries: 3")

    mirror.sync()

    assert mirror.find(SDIST).read_bytes() == entry.data


@pytest.mark.parametrize("said", [0, 10_000_000])
def test_a_file_of_another_size_than_its_page_says_is_refused(index: LocalIndex, mirror: Mirror, said: int) -> None:
    index.add(make_sdist("demo", "1.0"), size=said)
    mirror.write_spec(index, "projects: [demo]", network="retries: 0")

    run = mirror.sync(code=1)

    assert f"size of {SDIST}" in run.err
    assert mirror.pool() == []


@pytest.mark.parametrize("size", [None, SIZE], ids=["unknown", "known"])
def test_a_file_larger_than_the_limit_is_refused(index: LocalIndex, mirror: Mirror, size: int | None) -> None:
    entry = add_large(index)
    entry.size = len(entry.data) if size else None
    mirror.write_spec(index, "projects: [demo]", network="max-file-size: 100 kB, retries: 0")

    mirror.sync(code=1)

    assert mirror.pool() == []


def test_an_empty_file_can_be_mirrored(index: LocalIndex, mirror: Mirror) -> None:
    index.add((SDIST, b""))
    mirror.write_spec(index, "projects: [demo]")

    mirror.sync()

    assert mirror.find(SDIST).read_bytes() == b""


# ── many at once ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("network", "most"), [("connections: 6", 6), ("connections: 6, connections-per-host: 2", 2), ("connections: 1", 1)]
)
def test_files_are_fetched_at_once_but_not_more_than_allowed(
    index: LocalIndex, mirror: Mirror, network: str, most: int
) -> None:
    gate = Gate()
    for number in range(12):
        index.fail(index.add(make_sdist("demo", f"1.{number}")).path, gate)
    mirror.write_spec(index, "projects: [demo]", network=network)

    with mirror.started("sync") as process:
        gate.wait_for(most)
        time.sleep(0.2)  # for one more to come, if it dares
        gate.open()
        assert process.wait(30) == 0

    assert gate.most == most
    assert len(mirror.filenames("demo")) == 12


def test_pages_are_fetched_at_once(index: LocalIndex, mirror: Mirror) -> None:
    gate = Gate()
    for number in range(8):
        index.add(make_sdist(f"demo{number}", "1.0"))
        index.fail(f"/simple/demo{number}/", gate)
    mirror.write_spec(index, f"projects: [{', '.join(index.projects())}]", network="connections: 4")

    with mirror.started("sync") as process:
        gate.wait_for(4)
        gate.open()
        assert process.wait(30) == 0

    assert gate.most == 4


def test_a_connection_is_used_again(index: LocalIndex, mirror: Mirror) -> None:
    ports: set[int] = set()

    def note(handler: Handler) -> None:
        ports.add(handler.client_address[1])

    for number in range(6):
        index.fail(index.add(make_sdist("demo", f"1.{number}")).path, note)
    mirror.write_spec(index, "projects: [demo]", network="connections: 1")

    mirror.sync()

    assert len(ports) == 1


def test_a_file_in_the_pool_is_not_fetched_again_for_another_release(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_wheel("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    index.forget()
    index.add(make_wheel("demo", "2.0"))

    mirror.sync()

    assert [request.path.rpartition("/")[2] for request in index.requests("/packages/")] == [
        "demo-2.0-py3-none-any.whl"
    ]


def test_two_files_of_the_same_bytes_are_both_fetched(index: LocalIndex, mirror: Mirror) -> None:
    gate = Gate()
    data = add_large(index).data
    index.remove(SDIST)
    names = ["demo-1.0-cp311-cp311-linux_x86_64.whl", "demo-1.0-cp312-cp312-linux_x86_64.whl"]
    for name in names:
        index.fail(index.add((name, data)).path, gate)
    mirror.write_spec(index, "projects: [demo]")

    with mirror.started("sync") as process:
        gate.wait_for(2)
        gate.open()
        code = process.wait(30)

    assert code == 0
    assert mirror.filenames("demo") == names


# ── elsewhere ───────────────────────────────────────────────────────────────────────────────────────


def test_a_file_is_fetched_from_where_a_redirect_leads(index: LocalIndex, mirror: Mirror) -> None:
    with LocalIndex() as other:
        for status in (301, 302, 303, 307, 308):
            entry = index.add(make_sdist("demo", f"{status}"))
            other.add(make_sdist("demo", f"{status}"))
            target = f"{other.origin.replace('127.0.0.1', 'localhost')}{entry.path}"
            index.fail(entry.path, Answer(status, b"over there", {"Location": target}))
        mirror.write_spec(index, "projects: [demo]")

        mirror.sync()

        for entry in index.entries:
            assert mirror.find(entry.filename).read_bytes() == entry.data
        assert [request.status for request in other.requests()] == [200] * 5


def test_a_broken_download_goes_on_where_the_redirect_leads(index: LocalIndex, mirror: Mirror) -> None:
    with LocalIndex() as other:
        entry = add_large(index)
        add_large(other)
        redirect = Answer(302, b"", {"Location": f"{other.origin}{entry.path}"})
        index.fail(entry.path, redirect, redirect)
        other.fail(entry.path, cut(entry))
        mirror.write_spec(index, "projects: [demo]")

        mirror.sync()

        assert mirror.find(SDIST).read_bytes() == entry.data
        assert [status for status, _, _ in ranges(other)] == [200, 206]


def test_a_file_is_fetched_from_the_host_that_its_page_names(index: LocalIndex, mirror: Mirror) -> None:
    with LocalIndex() as files:
        entry = files.add(make_wheel("demo", "1.0"))
        index.add(make_wheel("demo", "1.0"), url=f"{files.origin}{entry.path}")
        mirror.write_spec(index, "projects: [demo]")

        mirror.sync()

        assert mirror.find(entry.filename).read_bytes() == entry.data
        assert len(files.requests()) == 1
