"""Upstreams that fail: each fault costs what it hits and nothing else, is tried a few times, and heals by itself."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.archives import make_sdist, make_wheel
from tests.conftest import Mirror
from tests.index import JSON_TYPE, Answer, Entry, Handler, LocalIndex, Respond

# Small enough that a server which says nothing costs a second.
NETWORK = "retries: 1, timeout: 0.5 s, page-timeout: 1 s, file-timeout: 1 s"


def reset(handler: Handler) -> None:
    """Ends the connection without a farewell: the other side gets RST."""
    handler.wfile.flush()
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.connection.close()


def wire(head: str, body: bytes = b"") -> Answer:
    """These very bytes; the connection ends after them."""
    return Answer(raw=(head.replace("\n", "\r\n").encode() + b"\r\n\r\n", body))


def stall(head: bytes) -> Answer:
    """``head``, and then nothing any more, on a connection that stays open."""

    def pieces() -> Iterator[bytes]:
        yield head
        time.sleep(8)

    return Answer(raw=pieces())


def drip(head: bytes, piece: bytes) -> Answer:
    def pieces() -> Iterator[bytes]:
        yield head
        for _ in range(100):
            time.sleep(0.05)
            yield piece

    return Answer(raw=pieces())


def reset_at_once() -> Respond:
    def respond(handler: Handler) -> Answer:
        reset(handler)
        return Answer(raw=())

    return respond


def reset_after(head: bytes) -> Respond:
    def respond(handler: Handler) -> Answer:
        handler.wfile.write(head)
        reset(handler)
        return Answer(raw=())

    return respond


@dataclass(frozen=True)
class Fault:
    """``make`` gives what answers, each time anew, from the right body; ``requests`` is how often it is asked for."""

    make: Callable[[bytes, str], Answer | Respond]
    problem: str
    requests: int = 2


def always(index: LocalIndex, path: str, fault: Fault, body: bytes) -> None:
    def respond(handler: Handler) -> Answer | None:
        made = fault.make(body, path)
        return made(handler) if callable(made) else made

    index.fail(path, *[respond] * 20)


TYPE = f"Content-Type: {JSON_TYPE}"
SAYS = {"Content-Type": JSON_TYPE}

CUT = "before the end of the answer"

PAGE_FAULTS = {
    "reset": Fault(lambda _, __: reset_at_once(), "Error"),
    "closed": Fault(lambda _, __: Answer(raw=()), "disconnected"),
    "reset-in-body": Fault(
        lambda body, _: reset_after(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n{" % len(body)), "Error"
    ),
    "garbage": Fault(lambda _, __: Answer(raw=(b"\x16\x03\x01 this is no HTTP\r\n\r\n",)), "ProtocolError"),
    "truncated": Fault(lambda body, _: Answer(200, body, SAYS, cut=40), CUT),
    "length-too-large": Fault(
        lambda body, _: wire(f"HTTP/1.1 200 OK\n{TYPE}\nContent-Length: {len(body) + 9}", body), CUT
    ),
    "length-too-small": Fault(
        lambda body, _: wire(f"HTTP/1.1 200 OK\n{TYPE}\nContent-Length: {len(body) - 9}", body), "ends within its JSON"
    ),
    "length-is-no-number": Fault(
        lambda body, _: wire(f"HTTP/1.1 200 OK\n{TYPE}\nContent-Length: many", body), "ProtocolError"
    ),
    "two-lengths": Fault(
        lambda body, _: wire(f"HTTP/1.1 200 OK\n{TYPE}\nContent-Length: 5\nContent-Length: 6", body), "ProtocolError"
    ),
    "chunks-that-break": Fault(
        lambda body, _: wire(f"HTTP/1.1 200 OK\n{TYPE}\nTransfer-Encoding: chunked", b"ffff\r\n" + body), CUT
    ),
    "more-than-gzip": Fault(
        lambda body, _: Answer(200, gzip.compress(body) + b"more", SAYS | {"Content-Encoding": "gzip"}),
        "more behind the end of the packed answer",
    ),
    "not-gzip": Fault(lambda body, _: Answer(200, body, SAYS | {"Content-Encoding": "gzip"}), "cannot be unpacked"),
    "brotli": Fault(lambda body, _: Answer(200, body, SAYS | {"Content-Encoding": "br"}), "was not asked for", 1),
    "stall-before-head": Fault(lambda _, __: stall(b""), "Timeout"),
    "stall-in-head": Fault(lambda _, __: stall(b"HTTP/1.1 200 OK\r\nContent-"), "Timeout"),
    "stall-in-body": Fault(lambda _, __: stall(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"), "Timeout"),
    "drip": Fault(lambda _, __: drip(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n", b" "), "longer than 1 s"),
    "too-many-requests": Fault(lambda _, __: Answer(429, b"", {"Retry-After": "0"}), "HTTP 429"),
    "unavailable": Fault(lambda _, __: Answer(503), "HTTP 503"),
    "come-back-tomorrow": Fault(
        lambda _, __: Answer(503, b"", {"Retry-After": "86400"}), "asks to wait for 86400 s", 1
    ),
    "come-back-in-2099": Fault(
        lambda _, __: Answer(429, b"", {"Retry-After": "Fri, 06 Nov 2099 08:49:37 GMT"}), "asks to wait for", 1
    ),
    "broken": Fault(lambda _, __: Answer(500), "HTTP 500"),
    "missing": Fault(lambda _, __: Answer(404), "no such project", 1),
    "gone": Fault(lambda _, __: Answer(410), "no such project", 1),
    "loop": Fault(lambda _, path: Answer(302, b"", {"Location": path}), "more than 10 redirects", 11),
    "redirect-nowhere": Fault(lambda _, __: Answer(302), "a redirect to nowhere", 1),
    "part": Fault(lambda body, _: Answer(206, body[:30], SAYS | {"Content-Range": "bytes 0-29/99"}), "HTTP 206", 1),
    "not-modified": Fault(lambda _, __: wire("HTTP/1.1 304 Not Modified\nETag: \"other\""), "", 1),
    "cut-json": Fault(lambda body, _: Answer(200, body[: len(body) // 2], SAYS), "ends within its JSON"),
    "cut-json-without-length": Fault(
        lambda body, _: wire(f"HTTP/1.1 200 OK\n{TYPE}", body[: len(body) // 2]), "ends within its JSON"
    ),
    "empty": Fault(lambda _, __: Answer(200, b"", SAYS), "not a page of the Simple API", 1),
    "no-files": Fault(lambda _, __: Answer(200, b'{"meta":{},"files":[]}', SAYS), "an empty answer", 1),
    "error-page": Fault(
        lambda _, __: Answer(200, b"<html><h1>Try later</h1></html>", {"Content-Type": "text/html"}), "no link", 1
    ),
    "error-json": Fault(lambda _, __: Answer(200, b'{"error": "later"}', SAYS), "not a page of the Simple API", 1),
    "plain-text": Fault(lambda _, __: Answer(200, b"try later", {"Content-Type": "text/plain"}), "content type", 1),
}  # fmt: skip


def test_the_other_projects_go_on_when_the_page_of_one_fails(index: LocalIndex, mirror: Mirror) -> None:
    for project in ("good", *PAGE_FAULTS):
        index.add(make_sdist(project, "1.0"), project=project)
    body = f"projects: [good, {', '.join(PAGE_FAULTS)}]\nlegacy-json: false\npages: false"
    mirror.write_spec(index, body, network=NETWORK)
    mirror.sync()
    before = mirror.published()
    for project in ("good", *PAGE_FAULTS):
        index.add(make_sdist(project, "2.0"), project=project)
    for project, fault in PAGE_FAULTS.items():
        always(index, f"/simple/{project}/", fault, index.detail_json(project))
    index.forget()

    run = mirror.sync("--json", code=1)

    problems = {failure["project"]: failure["problem"] for failure in run.json["failures"]}
    # Its page has not changed: so says the server. That cannot be told from the truth, and nothing is lost by it.
    assert problems.keys() == PAGE_FAULTS.keys() - {"not-modified"}
    for project, fault in PAGE_FAULTS.items():
        assert fault.problem in problems.get(project, ""), (project, problems[project])
        # Of two attempts one may be lost on a connection that the server had closed meanwhile.
        assert max(1, fault.requests - 1) <= len(index.requests(f"/simple/{project}/")) <= fault.requests, project
        page = f"simple/{project}/index.html"
        assert mirror.published()[page] == before[page], project
    assert mirror.filenames("good") == ["good-1.0.tar.gz", "good-2.0.tar.gz"]
    mirror.run("verify")

    index.faults.clear()
    mirror.sync()

    assert all(len(mirror.filenames(project)) == 2 for project in PAGE_FAULTS)


FILE_FAULTS = {
    "reset": Fault(lambda _, __: reset_at_once(), "Error"),
    "closed": Fault(lambda _, __: Answer(raw=()), "disconnected"),
    "truncated": Fault(lambda body, _: Answer(200, body, {}, cut=40), CUT),
    "length-too-large": Fault(
        lambda body, _: wire(f"HTTP/1.1 200 OK\nContent-Length: {len(body) + 9}", body), "size of ", 2
    ),
    "length-too-small": Fault(
        lambda body, _: wire(f"HTTP/1.1 200 OK\nContent-Length: {len(body) - 9}", body), "size of ", 2
    ),
    "too-long-without-length": Fault(lambda body, _: wire("HTTP/1.1 200 OK", body + b"more"), "bytes at most", 2),
    "cut-without-length": Fault(lambda body, _: wire("HTTP/1.1 200 OK", body[:50]), "ended after 50 of"),
    "stall-in-head": Fault(lambda _, __: stall(b"HTTP/1.1 200 OK\r\nContent-"), "Timeout"),
    "stall-in-body": Fault(lambda body, _: stall(b"HTTP/1.1 200 OK\r\n\r\n" + body[:9]), "Timeout"),
    "drip": Fault(lambda _, __: drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x"), "longer than 1 s"),
    "missing": Fault(lambda _, __: Answer(404), "HTTP 404", 1),
    "broken": Fault(lambda _, __: Answer(500), "HTTP 500"),
    "come-back-tomorrow": Fault(
        lambda _, __: Answer(429, b"", {"Retry-After": "86400"}), "asks to wait for 86400 s", 1
    ),
    "loop": Fault(lambda _, path: Answer(302, b"", {"Location": path}), "more than 10 redirects", 11),
    "unsatisfiable": Fault(lambda _, __: Answer(416, b"", {"Content-Range": "bytes */9"}), "HTTP 416", 1),
    "not-modified": Fault(lambda _, __: wire("HTTP/1.1 304 Not Modified"), "HTTP 304", 1),
    "error-page": Fault(
        lambda _, __: Answer(200, b"<html>try later</html>", {"Content-Type": "text/html"}), "size of ", 2
    ),
    "packed": Fault(lambda body, _: Answer(200, body, {"Content-Encoding": "gzip"}), "", 1),
}  # fmt: skip


def test_the_other_files_are_fetched_when_one_fails(index: LocalIndex, mirror: Mirror) -> None:
    """The release that it is of stays as it was."""
    for project in ("good", *FILE_FAULTS):
        index.add(make_sdist(project, "1.0"), project=project)
    body = f"projects: [good, {', '.join(FILE_FAULTS)}]\nlegacy-json: false\npages: false"
    mirror.write_spec(index, body, network=NETWORK)
    mirror.sync()
    index.add(make_sdist("good", "2.0"))
    bad: dict[str, Entry] = {}
    for project, fault in FILE_FAULTS.items():
        bad[project] = index.add(make_sdist(project, "2.0"), project=project)
        always(index, bad[project].path, fault, bad[project].data)
    index.forget()

    run = mirror.sync("--json", code=1)

    problems = {failure["project"]: failure["problem"] for failure in run.json["failures"]}
    # What it says of an encoding is not true, and the bytes are the promised ones.
    assert problems.keys() == FILE_FAULTS.keys() - {"packed"}
    for project, fault in FILE_FAULTS.items():
        entry = bad[project]
        assert fault.problem in problems.get(project, ""), (project, problems[project])
        # Of two attempts one may be lost on a connection that the server had closed meanwhile.
        assert max(1, fault.requests - 1) <= len(index.requests(entry.path)) <= fault.requests, project
        if project != "packed":
            assert mirror.filenames(project) == [f"{project.replace('-', '_')}-1.0.tar.gz"]
            assert entry.filename not in mirror.pool()
    assert mirror.filenames("good") == ["good-1.0.tar.gz", "good-2.0.tar.gz"]
    mirror.run("verify")

    index.faults.clear()
    mirror.sync()

    assert all(mirror.find(entry.filename).read_bytes() == entry.data for entry in bad.values())


# ── pages that were cut off ─────────────────────────────────────────────────────────────────────────


def cut_html(body: bytes) -> bytes:
    """All but the last file, as a whole line."""
    return body[: body.rindex(b"<a ")]


CUTS: dict[str, Callable[[bytes], Answer]] = {
    "no length": lambda body: wire("HTTP/1.1 200 OK\nContent-Type: text/html", cut_html(body)),
    "length of the half": lambda body: Answer(200, cut_html(body), {"Content-Type": "text/html"}),
    "no length, no document": lambda body: wire(
        "HTTP/1.1 200 OK\nContent-Type: text/html", cut_html(body)[body.index(b"<a ") :]
    ),
    "within a tag": lambda body: Answer(
        200, body[body.index(b"<a ") : body.rindex(b"<a ") + 9], {"Content-Type": "text/html"}
    ),
}


LASTING_CUTS = [name for name in CUTS if name != "length of the half"]  # which no second answer can tell from a whole


@pytest.mark.parametrize("name", LASTING_CUTS)
def test_no_file_leaves_the_index_when_half_a_page_came(index: LocalIndex, mirror: Mirror, name: str) -> None:
    """Half a page of HTML is one that a browser shows."""
    index.formats = ("html",)
    for version in ("1.0", "2.0"):
        index.add(make_sdist("demo", version))
    mirror.write_spec(index, "projects: [demo]", network=NETWORK)
    mirror.sync()
    before = mirror.published()
    index.add(make_sdist("demo", "3.0"))
    index.entries.reverse()
    always(index, "/simple/demo/", Fault(lambda body, _: CUTS[name](body), ""), index.detail_html("demo"))

    run = mirror.sync(code=1)

    assert "the page ends " in run.err
    assert mirror.published() == before


@pytest.mark.parametrize("name", CUTS)
def test_the_page_is_asked_for_again_when_half_of_it_came(index: LocalIndex, mirror: Mirror, name: str) -> None:
    index.formats = ("html",)
    for version in ("1.0", "2.0"):
        index.add(make_sdist("demo", version))
    index.fail("/simple/demo/", CUTS[name](index.detail_html("demo")))
    mirror.write_spec(index, "projects: [demo]", network=NETWORK)

    mirror.sync()

    assert len(mirror.filenames("demo")) == 2


def test_no_project_leaves_the_index_when_half_the_list_came(index: LocalIndex, mirror: Mirror) -> None:
    index.formats = ("html",)
    for name in ("pre-a", "pre-b"):
        index.add(make_sdist(name, "1.0"), project=name)
    mirror.write_spec(index, "projects: ['pre-*']", network=NETWORK)
    mirror.sync()
    before = mirror.published()
    half = wire("HTTP/1.1 200 OK\nContent-Type: text/html", b'<a href="pre-a/">pre-a</a>')
    index.fail_always("/simple/", half)

    mirror.sync(code=1)

    assert mirror.published() == before


def test_a_page_is_taken_when_a_comment_follows_its_end(index: LocalIndex, mirror: Mirror) -> None:
    index.formats = ("html",)
    index.add(make_sdist("demo", "1.0"))
    body = index.detail_html("demo") + b"\n<!--SERIAL 3-->\n"
    index.fail_always("/simple/demo/", wire("HTTP/1.1 200 OK\nContent-Type: text/html", body))
    mirror.write_spec(index, "projects: [demo]", network=NETWORK)

    mirror.sync()


def without_end(body: bytes) -> bytes:
    """HTML lets these end tags be left out."""
    return body.replace(b"</body></html>", b"\n<!-- made by hand -->\n")


@pytest.mark.parametrize("retries", [0, 2])
@pytest.mark.parametrize("path", ["/simple/", "/simple/demo/"])
def test_a_page_without_end_tags_is_taken_when_it_comes_twice(
    index: LocalIndex, mirror: Mirror, path: str, retries: int
) -> None:
    index.formats = ("html",)
    index.add(make_sdist("demo", "1.0"))
    body = index.detail_html("demo") if path != "/simple/" else b'<html><body><a href="demo/">demo</a></body></html>'
    index.fail_always(path, Answer(200, without_end(body), {"Content-Type": "text/html"}))
    mirror.write_spec(index, "projects: ['dem*']", network=f"retries: {retries}")
    mirror.sync()

    assert mirror.filenames("demo") == ["demo-1.0.tar.gz"]
    assert len([request for request in index.requests() if request.path == path]) == 2
    index.forget()
    assert mirror.sync().err.endswith("nothing new, nothing written\n")
    assert len([request for request in index.requests() if request.path == path]) == 1  # it is known by now


def test_a_page_without_end_tags_is_refused_when_it_never_comes_twice(index: LocalIndex, mirror: Mirror) -> None:
    index.formats = ("html",)
    index.add(make_sdist("demo", "1.0"))
    body = without_end(index.detail_html("demo"))
    count = itertools.count()
    index.fail(
        "/simple/demo/",
        *[lambda _: Answer(200, body + b"<p>%d" % next(count), {"Content-Type": "text/html"})] * 20,
    )
    mirror.write_spec(index, "projects: [demo]", network=NETWORK)

    assert "the page ends before its </html>" in mirror.sync(code=1).err


def test_a_page_is_taken_when_its_packing_tells_where_it_ends(index: LocalIndex, mirror: Mirror) -> None:
    index.formats = ("html",)
    entry = index.add(make_sdist("demo", "1.0"))
    body = gzip.compress(f'<a href="../..{entry.path}#sha256={entry.hashes["sha256"]}">{entry.filename}</a>'.encode())
    page = wire("HTTP/1.1 200 OK\nContent-Type: text/html\nContent-Encoding: gzip", body)
    index.fail_always("/simple/demo/", page)
    mirror.write_spec(index, "projects: [demo]", network=NETWORK)

    mirror.sync()

    assert mirror.filenames("demo") == [entry.filename]


# ── files that arrive wrong ─────────────────────────────────────────────────────────────────────────


def test_a_file_is_fetched_once_more_when_its_hash_is_wrong(index: LocalIndex, mirror: Mirror) -> None:
    entry = index.add(make_wheel("demo", "1.0"))
    index.fail(entry.path, Answer(200, bytes(len(entry.data))))
    mirror.write_spec(index, "projects: [demo]", network="retries: 0")

    run = mirror.sync("-v")

    assert "fetching it once more" in run.err
    assert mirror.find(entry.filename).read_bytes() == entry.data


def test_a_file_is_fetched_twice_at_most_when_its_hash_stays_wrong(index: LocalIndex, mirror: Mirror) -> None:
    entry = index.add(make_wheel("demo", "1.0"))
    index.fail_always(entry.path, Answer(200, bytes(len(entry.data))))
    mirror.write_spec(index, "projects: [demo]", network="retries: 5")

    run = mirror.sync(code=1)

    assert f"sha256 of {entry.filename}" in run.err
    assert len(index.requests(entry.path)) == 2
    assert mirror.pool() == []


@pytest.mark.parametrize(("head", "code"), [("", 1), ("\nContent-Length: 40", 0)])
def test_a_file_is_refused_when_nothing_tells_where_it_ends(
    index: LocalIndex, mirror: Mirror, head: str, code: int
) -> None:
    entry = index.add(("demo-1.0.tar.gz", bytes(40)), hashes={}, size=None)
    index.fail_always(entry.path, wire(f"HTTP/1.1 200 OK{head}", entry.data))
    mirror.write_spec(index, "projects: [demo]\nrequire-hashes: false\npages: false", network="retries: 0")

    mirror.sync(code=code)

    assert len(mirror.pool()) == (0 if code else 1)


# ── a dead upstream ─────────────────────────────────────────────────────────────────────────────────


class Dead:
    """A server that takes connections and ends them; ``asked`` is how many there were."""

    def __init__(self, listener: socket.socket) -> None:
        self.asked = 0
        self._listener = listener

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/simple/"

    def run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.asked += 1
                connection.close()


@pytest.fixture
def dead() -> Iterator[Dead]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Dead(listener)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_dead_upstream_is_given_up_when_nothing_answers(dead: Dead, mirror: Mirror) -> None:
    projects = [f"p{number}" for number in range(30)]
    mirror.write_spec(dead.url, f"projects: [{', '.join(projects)}]", network="retries: 1, connections: 1")

    run = mirror.sync("--json", code=1)

    assert len(run.json["failures"]) == 30
    assert run.err.count("does not answer") == 1
    # Eight projects with their retry each, and one more that is tried when the server was given up.
    assert dead.asked == 8 * 2 + 1


def test_a_living_upstream_is_asked_when_another_is_dead(index: LocalIndex, dead: Dead, mirror: Mirror) -> None:
    names = [f"p{number}" for number in range(8)]
    for name in names:
        index.add(make_sdist(name, "1.0"))
    mirror.spec.write_text(
        "output: mirror\n"
        f"upstreams: [{{name: dead, url: '{dead.url}', projects: ['q*']}}, {{name: local, url: '{index.url}'}}]\n"
        "network: {retries: 0, connections: 2}\n"
        f"projects: [{', '.join(f'q{number}, p{number}' for number in range(8))}]\n"
    )

    mirror.sync(code=1)

    assert mirror.projects() == names


def test_an_upstream_is_asked_on_when_it_answers_again(index: LocalIndex, mirror: Mirror) -> None:
    """Eight projects find nobody; the ninth is tried, and then all is as ever."""
    names = [f"p{number}" for number in range(10, 22)]
    for name in names:
        index.add(make_sdist(name, "1.0"))
    for name in names[:8]:
        index.fail_always(f"/simple/{name}/", Answer(raw=()))
    mirror.write_spec(index, f"projects: [{', '.join(names)}]", network="retries: 0, connections: 1")

    run = mirror.sync(code=1)

    assert mirror.projects() == names[8:]
    assert run.err.count("does not answer") == 1


def test_an_upstream_is_not_given_up_when_it_did_answer(index: LocalIndex, mirror: Mirror) -> None:
    names = [f"p{number}" for number in range(10, 60)]
    index.add(make_sdist("p10", "1.0"))
    for name in names[1:]:
        index.fail_always(f"/simple/{name}/", Answer(raw=()))
    mirror.write_spec(index, f"projects: [{', '.join(names)}]", network="retries: 0, connections: 1")

    mirror.sync(code=1)

    assert len(index.requests("/simple/")) == len(names)


def test_files_are_fetched_when_pages_break_the_connection_again_and_again(index: LocalIndex, mirror: Mirror) -> None:
    names = [f"p{number}" for number in range(10, 60)]
    for name in names:
        index.add(make_sdist(name, "1.0"))
    for name in names[2:]:
        index.fail_always(f"/simple/{name}/", Answer(raw=()))
    mirror.write_spec(index, f"projects: [{', '.join(names)}]", network="retries: 1, connections: 50")

    mirror.sync(code=1)

    assert mirror.projects() == names[:2]


def test_a_published_mirror_stays_when_its_upstream_is_dead(index: LocalIndex, dead: Dead, mirror: Mirror) -> None:
    for name in ("a", "b", "c", "d", "e"):
        index.add(make_wheel(name, "1.0", requires=["a"]))
    environments = "environments: {python: ['3.12'], platform: [linux]}"
    mirror.write_spec(index, f"projects: [a, b, c, d, e]\ndependencies: true\n{environments}")
    mirror.sync()
    before = mirror.published()
    assert before
    mirror.spec.write_text(mirror.spec.read_text().replace(index.url, dead.url).replace("retries: 2", "retries: 0"))

    mirror.sync(code=1)

    assert mirror.published() == before
    mirror.run("verify")
