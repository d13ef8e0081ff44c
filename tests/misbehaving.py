"""A web server that asks another one, which does all right, and bends what that says; on loopback, in this process."""

from __future__ import annotations

import contextlib
import http.client
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Asked:
    """A request; ``port`` is that of the server that misbehaves."""

    method: str
    path: str
    headers: dict[str, str]
    port: int

    def accepts_json(self) -> bool:
        return "json" in self.headers.get("accept", "")


@dataclass(frozen=True)
class Said:
    """An answer; names of headers in lower case."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def but(self, **headers: str | None) -> Said:
        """The same with other headers; one that is ``None`` is dropped."""
        changed = {name.replace("_", "-"): value for name, value in headers.items()}
        kept = {name: value for name, value in {**self.headers, **changed}.items() if value is not None}
        return replace(self, headers=kept)

    def with_body(self, body: bytes) -> Said:
        return replace(self, body=body)


Good = Callable[..., Said]
Bend = Callable[[Asked, Good], Said]


class Misbehaving(ThreadingHTTPServer):
    """Asks the server at ``url``, which does all right, and bends what that says."""

    daemon_threads = True

    def __init__(self, url: str, bend: Bend, certificate: Path | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Bending)
        self.upstream = urlsplit(url).netloc
        self.bend = bend
        self.asked: list[str] = []
        self.scheme = "https" if certificate else "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that does not trust the certificate goes away."""


class _Bending(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Else a body waits 40 ms for the acknowledgement of its head.
    disable_nagle_algorithm = True
    wbufsize = 65536
    server: Misbehaving

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """The tests look at ``asked``."""

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append(f"{self.command} {self.path}")

        def good(**changed: str | None) -> Said:
            """The right answer; to another request, where headers or ``path`` are given."""
            path = changed.pop("path", None) or self.path
            merged = {**headers, **{name.replace("_", "-"): value for name, value in changed.items()}}
            with contextlib.closing(http.client.HTTPConnection(self.server.upstream, timeout=20)) as connection:
                connection.putrequest(self.command, path, skip_host=True, skip_accept_encoding=True)
                for name, value in merged.items():
                    if value is not None:
                        connection.putheader(name, value)
                connection.endheaders()
                answer = connection.getresponse()
                return Said(
                    answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read()
                )

        said = self.server.bend(Asked(self.command, self.path, headers, self.server.server_port), good)
        self.send_response_only(said.status)
        if self.command != "HEAD" and said.status != 304:
            said = said.but(content_length=str(len(said.body)))
        for name, value in said.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else said.body)

    def do_HEAD(self) -> None:
        self.do_GET()


@contextlib.contextmanager
def misbehaving(url: str, bend: Bend, certificate: Path | None = None) -> Iterator[Misbehaving]:
    with Misbehaving(url, bend, certificate) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
