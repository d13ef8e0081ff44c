"""One request at a time over a connection, against servers that say it byte by byte; and small files that come so."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Self

import pytest

from pymirror.errors import ConfigurationError
from pymirror.spec.model import Network
from pymirror.tls import Trust
from pymirror.wire import Wire, WireError, make_opener, read_host
from tests.archives import make_sdist
from tests.conftest import Mirror
from tests.index import Answer, LocalIndex

TRUST = Trust(Network(), (), read_host=read_host)
OK = b"HTTP/1.1 200 OK\r\n"
HELLO = OK + b"Content-Length: 5\r\n\r\nhello"


class RawServer:
    """Sends the next of ``answers`` for each request, whatever it is; ``CLOSE`` ends the connection after one."""

    def __init__(self, *answers: bytes, family: socket.AddressFamily = socket.AF_INET) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0
        self._host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
        self._listener = socket.create_server((self._host, 0), family=family)
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in [self._listener, *self._open]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._thread.join(10)

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}"

    def lines(self) -> list[str]:
        """The request lines."""
        return [request.split(b"\r\n")[0].decode() for request in self.requests]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while (request := self._read(connection)) and self.answers:
                self.requests.append(request)
                answer = self.answers.pop(0)
                connection.sendall(answer.removesuffix(CLOSE))
                if answer.endswith(CLOSE):
                    connection.shutdown(socket.SHUT_RDWR)
                    connection.close()
                    return

    @staticmethod
    def _read(connection: socket.socket) -> bytes:
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            piece = connection.recv(65536)
            if not piece:
                return b""
            data += piece
        return data


CLOSE = b"<close>"


@pytest.fixture
def wire() -> Iterator[Wire]:
    """A wire to whatever server; it gives up after five seconds of silence."""
    opened = make_opener(TRUST, timeout_seconds=5)()
    yield opened
    opened.close()


def ask(wire: Wire, url: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    """Status and body."""
    response = wire.send(method, url, headers or {})
    try:
        return response.status, b"".join(response.pieces())
    finally:
        response.close()


# ── where an answer ends ────────────────────────────────────────────────────────────────────────────

CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
WHOLE = {
    "length": HELLO,
    "length twice": OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "chunked": CHUNKED + b"2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nTrailer: x\r\n\r\n",
    "chunked and a length": OK + b"Content-Length: 99\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "until the end": OK + b"\r\nhello" + CLOSE,
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello" + CLOSE,
    "early hints": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + HELLO,
    "many hints": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 20 + HELLO,
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello",
    "lower case": b"HTTP/1.1 200 OK\r\ncontent-length:5\r\n\r\nhello",
    "upper case": b"HTTP/1.1 200 OK\r\nCONTENT-LENGTH: 5  \r\n\r\nhello",
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    "not ASCII": OK + b"X-Owner: J\xc3\xb6rg \xff\r\nContent-Length: 5\r\n\r\nhello",
    "a line that goes on": OK + b"X-Long: a\r\n b\r\nContent-Length: 5\r\n\r\nhello",
    "a line that is none": OK + b"what is this\r\n x\r\nX Y: z\r\n: z\r\nContent-Length: 5\r\n\r\nhello",
    "length twice in a line": OK + b"Content-Length: 5, 5\r\n\r\nhello",
    "length of a chunked answer": OK
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "spaces in the first line": b"HTTP/1.1  200  OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.0, kept": b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 5\r\n\r\nhello",
}


@pytest.mark.parametrize("answer", WHOLE.values(), ids=WHOLE)
def test_an_answer_is_read_to_its_end_when_its_server_says_where_it_is(wire: Wire, answer: bytes) -> None:
    with RawServer(answer, HELLO) as server:
        assert ask(wire, f"{server.url}/x") == (200, b"hello")
        assert ask(wire, f"{server.url}/y") == (200, b"hello")
        assert server.lines() == ["GET /x HTTP/1.1", "GET /y HTTP/1.1"]
        is_kept = not answer.endswith(CLOSE)
        assert server.connections == (1 if is_kept else 2)


CUT = {
    "in the body": OK + b"Content-Length: 6\r\n\r\nhello" + CLOSE,
    "before the body": OK + b"Content-Length: 6\r\n\r\n" + CLOSE,
    "in a chunk": CHUNKED + b"6\r\nhello" + CLOSE,
    "between chunks": CHUNKED + b"5\r\nhello\r\n" + CLOSE,
    "in the size of a chunk": CHUNKED + b"5\r\nhello\r\nzz\r\n" + CLOSE,
    "before the head": CLOSE,
    "in the first line": b"HTTP/1.1 20" + CLOSE,
    "after a hint": b"HTTP/1.1 103 Early Hints\r\n\r\n" + CLOSE,
}


@pytest.mark.parametrize("answer", CUT.values(), ids=CUT)
def test_an_answer_is_an_error_when_it_is_cut_short(wire: Wire, answer: bytes) -> None:
    with RawServer(answer, HELLO) as server:
        with pytest.raises(WireError, match=r"RemoteProtocolError|ReadError"):
            ask(wire, f"{server.url}/x")
        assert ask(wire, f"{server.url}/y") == (200, b"hello")


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 304 Not Mod", OK, OK + b"Content-Le", OK + b"Content-Length: 0", b"HTTP/1.1 204 No\r\nX: y\r\n"]
)
def test_an_answer_is_an_error_when_its_head_is_cut_short(wire: Wire, head: bytes) -> None:
    with RawServer(head + CLOSE) as server, pytest.raises(WireError, match=r"RemoteProtocolError|ReadError"):
        ask(wire, f"{server.url}/x")


WRONG = {
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "two lengths in a line": OK + b"Content-Length: 5, 6\r\n\r\nhello",
    "no number": OK + b"Content-Length: five\r\n\r\nhello",
    "a negative one": OK + b"Content-Length: -5\r\n\r\nhello",
    "a plus": OK + b"Content-Length: +5\r\n\r\nhello",
    "an underscore": OK + b"Content-Length: 0_5\r\n\r\nhello",
    "another digit": OK + "Content-Length: ²\r\n\r\nhello".encode("latin-1"),
    "no length": OK + b"Content-Length:\r\n\r\nhello" + CLOSE,
    "a long number": OK + b"Content-Length: " + b"9" * 20 + b"\r\n\r\nhello" + CLOSE,
    "a status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 5\r\n\r\nhello",
    "no HTTP": b"220 ftp.example.com\r\n\r\n",
    "another HTTP": b"HTTP/3.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "no status": b"HTTP/1.1 OK\r\nContent-Length: 5\r\n\r\nhello",
    "a long line": OK + b"X-Long: " + b"x" * 70_000 + b"\r\nContent-Length: 5\r\n\r\nhello",
    "many long lines": OK + (b"X: " + b"x" * 1000 + b"\r\n") * 70 + b"Content-Length: 5\r\n\r\nhello",
    "a long line without an end": OK + b"X:" + b" " * 60_000 + CLOSE,
    "many long hints": (b"HTTP/1.1 103 Early Hints\r\nLink: " + b"x" * 7000 + b"\r\n\r\n") * 10 + HELLO,
    "150 headers": OK + b"X: y\r\n" * 150 + b"Content-Length: 5\r\n\r\nhello",
    "a long first line": b"HTTP/1.1 200 " + b"x" * 70_000 + b"\r\nContent-Length: 5\r\n\r\nhello",
}


@pytest.mark.parametrize("answer", WRONG.values(), ids=WRONG)
def test_an_answer_is_an_error_when_it_cannot_be_understood(wire: Wire, answer: bytes) -> None:
    with RawServer(answer, HELLO) as server:
        with pytest.raises(WireError, match="RemoteProtocolError"):
            ask(wire, f"{server.url}/x")
        assert ask(wire, f"{server.url}/y") == (200, b"hello")
        assert server.connections == 2


@pytest.mark.parametrize("blanks", [b" " * 60_000, b" x" + b" " * 60_000 + b"y", b" \t" * 30_000])
def test_a_head_is_read_in_no_time_when_a_line_is_full_of_blanks(wire: Wire, blanks: bytes) -> None:
    """A pattern that tries every way to divide them would take years, and hear no signal meanwhile."""
    with RawServer(OK + b"X:" + blanks + b"\r\nContent-Length: 5\r\n\r\nhello") as server:
        reply = wire.send("GET", f"{server.url}/x", {})
        assert reply.headers["x"] == blanks.strip(b" \t").decode()
        assert b"".join(reply.pieces()) == b"hello"
        reply.close()


def test_a_length_is_one_number_when_it_was_said_twice(wire: Wire) -> None:
    with RawServer(OK + b"Content-Length: 5\r\nContent-Length: 5, 5\r\n\r\nhello") as server:
        reply = wire.send("GET", f"{server.url}/x", {})
        assert reply.headers["content-length"] == "5"
        reply.close()


def test_an_answer_is_read_when_it_has_many_headers(wire: Wire) -> None:
    many = b"".join(b"X-%d: y\r\n" % number for number in range(90))
    with RawServer(OK + many + b"Content-Length: 5\r\n\r\nhello") as server:
        assert ask(wire, f"{server.url}/x") == (200, b"hello")


@pytest.mark.parametrize("encoding", [b"gzip, chunked", b"chunked, gzip", b"x", b"chunked "])
def test_the_frame_of_a_body_is_not_taken_for_the_body_when_its_encoding_is_another(
    wire: Wire, encoding: bytes
) -> None:
    answer = OK + b"Transfer-Encoding: " + encoding + b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + CLOSE
    with RawServer(answer) as server:
        try:
            _, body = ask(wire, f"{server.url}/x")
        except WireError:
            body = b"hello"
    assert body == b"hello"


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
@pytest.mark.parametrize("head", [b"", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_an_answer_has_no_body_when_its_status_says_so(wire: Wire, status: bytes, head: bytes) -> None:
    with RawServer(b"HTTP/1.1 " + status + b"\r\n" + head + b"\r\n", HELLO) as server:
        assert ask(wire, f"{server.url}/x") == (int(status[:3]), b"")
        assert ask(wire, f"{server.url}/y") == (200, b"hello")
        assert server.connections == 1


@pytest.mark.parametrize("head", [b"", b"Content-Length: 5000\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_an_answer_has_no_body_when_only_its_head_is_asked_for(wire: Wire, head: bytes) -> None:
    with RawServer(OK + head + b"\r\n", HELLO) as server:
        assert ask(wire, f"{server.url}/x", "HEAD") == (200, b"")
        assert ask(wire, f"{server.url}/y") == (200, b"hello")
        assert server.lines()[0] == "HEAD /x HTTP/1.1"


def test_headers_are_passed_on_as_they_came_when_there_are_several_of_a_name(wire: Wire) -> None:
    head = b'X-Owner:J\xc3\xb6rg\r\nx-a: 1\r\nX-A: 2\r\nETag:  "\xe4"  \r\nContent-Encoding: br\r\n'
    with RawServer(OK + head + b"Content-Length: 5\r\n\r\nhello") as server:
        response = wire.send("GET", f"{server.url}/x", {"Accept": "y"})
        assert response.headers["x-a"] == "1, 2"
        assert response.headers["x-owner"] == "J\xf6rg"
        assert response.headers["etag"].strip() == '"\xe4"'
        assert b"".join(response.pieces()) == b"hello"  # as it is stored: nothing is unpacked


# ── one connection for many ─────────────────────────────────────────────────────────────────────────


def test_one_connection_serves_many_requests_when_the_server_keeps_it(wire: Wire) -> None:
    with RawServer(*[HELLO] * 20) as server:
        for number in range(20):
            assert ask(wire, f"{server.url}/{number}") == (200, b"hello")
        assert server.connections == 1
        assert len(wire.sockets) == 1


@pytest.mark.parametrize("close", [b"Connection: close\r\n", b""], ids=["said", "unsaid"])
def test_another_connection_is_made_when_the_server_closes_an_idle_one(wire: Wire, close: bytes) -> None:
    answer = OK + close + b"Content-Length: 5\r\n\r\nhello" + CLOSE
    with RawServer(*[answer] * 5) as server:
        for number in range(5):
            assert ask(wire, f"{server.url}/{number}") == (200, b"hello")
            wait_for_the_end(wire)
        assert server.connections == 5
        assert len([each for each in wire.sockets if each.fileno() != -1]) <= 1


def wait_for_the_end(wire: Wire) -> None:
    """Returns when the server's end of every open connection is here, or what it sent."""
    for each in wire.sockets:
        if each.fileno() != -1:
            each.recv(1, socket.MSG_PEEK)


EVIL = OK + b"Content-Length: 4\r\n\r\nevil"


@pytest.mark.parametrize(
    ("method", "answer", "body"),
    [
        ("GET", HELLO, b"hello"),
        ("GET", CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        ("GET", OK + b"Content-Length: 0\r\n\r\n", b""),
        ("GET", b"HTTP/1.1 304 Not Modified\r\n\r\n", b""),
        ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", b""),
        ("HEAD", HELLO, b""),
    ],
)
def test_what_follows_an_answer_is_never_the_next_one_when_a_server_sends_more(
    wire: Wire, method: str, answer: bytes, body: bytes
) -> None:
    with RawServer(answer + EVIL, HELLO, HELLO) as server:
        assert ask(wire, f"{server.url}/x", method)[1] == body
        assert ask(wire, f"{server.url}/y") == (200, b"hello")
        assert ask(wire, f"{server.url}/z") == (200, b"hello")


def test_what_comes_later_is_never_the_next_answer_when_the_connection_was_idle(wire: Wire) -> None:
    # More than is read at once, so that a part of it is still on the line.
    with RawServer(HELLO + EVIL * 10_000, HELLO) as server:
        assert ask(wire, f"{server.url}/x") == (200, b"hello")
        wait_for_the_end(wire)
        assert ask(wire, f"{server.url}/y") == (200, b"hello")
        assert server.connections == 2


def test_a_connection_is_not_used_again_when_its_answer_was_not_read_to_the_end(wire: Wire) -> None:
    with RawServer(OK + b"Content-Length: 5\r\n\r\nhel", HELLO, CHUNKED + b"5\r\nhello\r\n", HELLO) as server:
        for connections in (2, 3):
            response = wire.send("GET", f"{server.url}/x", {})
            next(response.pieces())
            response.close()
            assert ask(wire, f"{server.url}/y") == (200, b"hello")
            assert server.connections == connections


def test_few_connections_stay_open_when_many_servers_are_asked(wire: Wire) -> None:
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(RawServer(HELLO, HELLO)) for _ in range(7)]
        for server in servers:
            assert ask(wire, f"{server.url}/x") == (200, b"hello")
        assert sum(1 for each in wire.sockets if each.fileno() != -1) == 4
        assert ask(wire, f"{servers[-1].url}/x") == (200, b"hello")
        assert ask(wire, f"{servers[0].url}/x") == (200, b"hello")
        assert [servers[-1].connections, servers[0].connections] == [1, 2]
        wire.close()
        assert all(each.fileno() == -1 for each in wire.sockets)


def test_a_body_comes_in_pieces_of_the_size_that_was_asked_for_when_there_is_a_rate() -> None:
    wire = make_opener(TRUST, timeout_seconds=5, piece_bytes=1000)()
    with RawServer(OK + b"Content-Length: 30000\r\n\r\n" + b"x" * 30_000) as server:
        response = wire.send("GET", f"{server.url}/x", {})
        pieces = list(response.pieces())
        wire.close()
    assert b"".join(pieces) == b"x" * 30_000
    assert max(map(len, pieces)) <= 1000


# ── where it goes ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("", "/"),
        ("?a=b", "/?a=b"),
        ("/x#part", "/x"),
        ("/a b", "/a%20b"),
        ("/ä", "/%C3%A4"),
        ("/a%2Fb+c~d!e=f", "/a%2Fb+c~d!e=f"),
        ("/x?a=b c&d=%20", "/x?a=b%20c&d=%20"),
        ('/<">', "/%3C%22%3E"),
    ],
)
def test_the_request_line_is_what_the_standard_has_when_a_url_has_odd_characters(
    wire: Wire, path: str, target: str
) -> None:
    with RawServer(HELLO) as server:
        assert ask(wire, server.url + path) == (200, b"hello")
        assert server.lines() == [f"GET {target} HTTP/1.1"]
        assert f"Host: 127.0.0.1:{server.port}".encode() in server.requests[0].split(b"\r\n")


def test_brackets_in_a_url_split_no_request_line_when_they_are_sent(wire: Wire) -> None:
    with RawServer(HELLO) as server:
        assert ask(wire, f"{server.url}/a[1]{{x}}|y") == (200, b"hello")
        assert re.fullmatch(r"GET /a(\[|%5B)1(\]|%5D)(\{|%7B)x(\}|%7D)(\||%7C)y HTTP/1\.1", server.lines()[0])


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x\r\nX: y", "http://127.0.0.1:1/x\ny", "http://127.0.0.1:1/\0"])
def test_a_url_is_refused_when_it_would_end_the_request_line(wire: Wire, url: str) -> None:
    with pytest.raises(WireError, match="InvalidURL"):
        wire.send("GET", url, {})


def test_a_header_is_refused_when_it_would_end_its_line(wire: Wire) -> None:
    with RawServer(HELLO, HELLO) as server:
        with pytest.raises(WireError):
            wire.send("GET", f"{server.url}/x", {"If-None-Match": "a\r\nX: y"})
        assert ask(wire, f"{server.url}/x") == (200, b"hello")
        assert all(b"X: y" not in request for request in server.requests)


def test_user_and_password_are_not_in_the_request_when_they_are_in_the_url(wire: Wire) -> None:
    with RawServer(HELLO) as server:
        url = server.url.replace("//", "//robot:s3cret@")
        assert ask(wire, f"{url}/x") == (200, b"hello")
        assert b"s3cret" not in server.requests[0]
        assert server.lines() == ["GET /x HTTP/1.1"]


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "file:///etc/passwd", "127.0.0.1", "//127.0.0.1/x", ""])
def test_a_url_is_refused_when_it_is_none_of_http(wire: Wire, url: str) -> None:
    with pytest.raises(WireError, match=r"UnsupportedProtocol|InvalidURL"):
        wire.send("GET", url, {})


@pytest.mark.parametrize("host", ["a..b.invalid", "x" * 64 + ".invalid", ".."])
def test_a_host_is_refused_when_it_is_none(wire: Wire, host: str) -> None:
    with pytest.raises(WireError, match=r"UnicodeError|InvalidURL|ConnectError"):
        wire.send("GET", f"http://{host}/x", {})


def test_a_server_is_asked_when_its_address_is_of_ipv6(wire: Wire) -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    try:
        server = RawServer(HELLO, HELLO, family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with server:
        assert ask(wire, f"{server.url}/x") == (200, b"hello")
        assert ask(wire, f"{server.url}/y") == (200, b"hello")
        assert f"Host: [::1]:{server.port}".encode() in server.requests[0].split(b"\r\n")
        assert server.connections == 1


def test_nobody_listens_when_the_port_is_closed(wire: Wire) -> None:
    with RawServer() as server:
        url = server.url
    with pytest.raises(WireError, match="ConnectError"):
        wire.send("GET", f"{url}/x", {})


def test_a_silent_server_is_a_timeout_when_it_takes_too_long() -> None:
    wire = make_opener(TRUST, timeout_seconds=0.05)()
    with RawServer(b"", b"") as server, pytest.raises(WireError, match="ReadTimeout"):
        wire.send("GET", f"{server.url}/x", {})
    wire.close()


def test_an_answer_is_read_when_the_server_sent_it_before_the_request_was_whole(wire: Wire) -> None:
    refused = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno" + CLOSE
    with RawServer(refused) as server:
        assert ask(wire, f"{server.url}/x", headers={"X": "y" * 50_000}) == (400, b"no")


# ── redirects ───────────────────────────────────────────────────────────────────────────────────────


def test_a_redirect_is_the_answer_when_a_wire_is_asked_and_followed_when_a_run_does(
    wire: Wire, index: LocalIndex, mirror: Mirror
) -> None:
    entry = index.add(make_sdist("demo", "1.0"))
    with RawServer(b"HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n") as server:
        assert ask(wire, f"{server.url}/x") == (302, b"")
        assert server.lines() == ["GET /x HTTP/1.1"]
    index.fail(entry.path, Answer(302, b"over there", {"Location": f"{entry.path}?again"}))
    index.fail(f"{entry.path}?again", Answer(200, entry.data))
    mirror.write_spec(index, "projects: [demo]")

    mirror.sync()

    assert mirror.find(entry.filename).read_bytes() == entry.data


# ── proxies ─────────────────────────────────────────────────────────────────────────────────────────


def test_requests_go_through_the_proxy_when_the_environment_names_one(index: LocalIndex, mirror: Mirror) -> None:
    entry = index.add(make_sdist("demo", "1.0"))
    page = index.detail_json("demo")
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.pypi.simple.v1+json\r\nContent-Length: %d\r\n\r\n"
    answers = [head % len(page) + page, head % len(entry.data) + entry.data]
    with RawServer(*answers) as proxy:
        mirror.environ["HTTP_PROXY"] = proxy.url.replace("//", "//robot:s3cret@")
        mirror.write_spec(index, "projects: [demo]")

        run = mirror.sync("-v")

        assert proxy.lines() == [f"GET {index.url}demo/ HTTP/1.1", f"GET {index.origin}{entry.path} HTTP/1.1"]
        assert all(b"Proxy-Authorization: Basic" in request for request in proxy.requests)
    assert index.requests() == []
    assert mirror.find(entry.filename).read_bytes() == entry.data
    assert "s3cret" not in run.out + run.err


def test_requests_go_straight_to_a_host_when_no_proxy_is_for_it(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_sdist("demo", "1.0"))
    with RawServer() as proxy:
        mirror.environ |= {"HTTP_PROXY": proxy.url, "NO_PROXY": "127.0.0.1"}
        mirror.write_spec(index, "projects: [demo]")
        mirror.sync()
        assert proxy.requests == []
    assert mirror.filenames("demo") == ["demo-1.0.tar.gz"]


def test_a_proxy_is_told_of_without_its_password_when_it_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "gopher://robot:s3cret@127.0.0.1:1")
    with pytest.raises(ConfigurationError) as caught:
        make_opener(TRUST, timeout_seconds=5)()
    assert "s3cret" not in f"{caught.value}{caught.value.hint}"
    assert caught.value.__cause__ is None


def test_a_proxy_is_asked_for_a_tunnel_when_the_url_is_https(monkeypatch: pytest.MonkeyPatch) -> None:
    with RawServer(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n") as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        wire = make_opener(TRUST, timeout_seconds=5)()
        with pytest.raises(WireError):
            wire.send("GET", "https://files.example.invalid/x", {"Authorization": "Basic eDp5"})
        wire.close()
        assert proxy.lines() == ["CONNECT files.example.invalid:443 HTTP/1.1"]
        assert b"eDp5" not in proxy.requests[0]


def test_what_a_server_sets_is_not_sent_back_when_there_is_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    cookie = OK + "Set-Cookie: a=bé\r\nContent-Length: 0\r\n\r\n".encode()
    with RawServer(cookie, HELLO) as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        wire = make_opener(TRUST, timeout_seconds=5)()
        ask(wire, "http://up.example/x")
        assert ask(wire, "http://up.example/y") == (200, b"hello")
        wire.close()
        assert b"cookie" not in proxy.requests[1].lower()


def test_the_user_of_a_url_is_not_sent_when_there_is_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A redirect may bring one, which would take the place of what the spec has for this server."""
    with RawServer(HELLO, HELLO) as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        wire = make_opener(TRUST, timeout_seconds=5)()
        ask(wire, "http://a:b@up.example/x")
        ask(wire, "http://a:b@up.example/y", headers={"Authorization": "Basic eDp5"})
        wire.close()
        assert b"authorization" not in proxy.requests[0].lower()
        assert b"Authorization: Basic eDp5\r\n" in proxy.requests[1]


# ── small files ─────────────────────────────────────────────────────────────────────────────────────

DATA = make_sdist("demo", "1.0")[1]


def raw(body: bytes, head: bytes = b"") -> Answer:
    return Answer(200, raw=[OK + head + b"\r\n" + body])


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (DATA + b"x", f"{len(DATA)} bytes at most"),
        (DATA[:-1], f"ended after {len(DATA) - 1} of {len(DATA)} bytes"),
        (bytes(len(DATA)), "sha256"),
    ],
    ids=["longer", "shorter", "other bytes"],
)
def test_a_small_file_is_fetched_again_and_then_given_up_when_it_is_not_as_its_page_says(
    index: LocalIndex, mirror: Mirror, body: bytes, problem: str
) -> None:
    entry = index.add(("demo-1.0.tar.gz", DATA))
    index.fail(entry.path, *[raw(body)] * 2)
    index.add(make_sdist("demo", "2.0"))
    mirror.write_spec(index, "projects: [demo]", network="retries: 1")

    run = mirror.sync("--json", code=1)

    (failure,) = run.json["failures"]
    assert failure["what"] == "demo-1.0.tar.gz"
    assert problem in failure["problem"]
    assert len(index.requests("demo-1.0.tar.gz")) == 2
    assert mirror.pool() == mirror.filenames("demo") == ["demo-2.0.tar.gz"]
    mirror.sync()
    assert mirror.find("demo-1.0.tar.gz").read_bytes() == DATA
    assert not list((mirror.tree / ".pymirror" / "partial").glob("*"))


@pytest.mark.parametrize("wrong", [raw(bytes(len(DATA))), raw(DATA[:-1])])
def test_a_small_file_is_right_when_only_the_first_answer_was_wrong(
    index: LocalIndex, mirror: Mirror, wrong: Answer
) -> None:
    entry = index.add(("demo-1.0.tar.gz", DATA))
    index.fail(entry.path, wrong)
    mirror.write_spec(index, "projects: [demo]", network="retries: 1")

    mirror.sync()

    assert mirror.find("demo-1.0.tar.gz").read_bytes() == DATA
    assert [request.headers.get("range") for request in index.requests("demo-1.0.tar.gz")] == [None, None]


def test_a_small_file_is_not_read_when_its_length_is_another_than_its_page_says(
    index: LocalIndex, mirror: Mirror
) -> None:
    entry = index.add(("demo-1.0.tar.gz", DATA))
    index.fail(entry.path, *[Answer(200, DATA * 2)] * 2)
    mirror.write_spec(index, "projects: [demo]", network="retries: 0")

    run = mirror.sync("--json", code=1)

    assert f"{len(DATA) * 2} bytes" in run.json["failures"][0]["problem"]
    assert len(index.requests("demo-1.0.tar.gz")) == 2
