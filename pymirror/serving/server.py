"""The server: opens what is asked for by its name, each time anew, and sends it. For a try, on this machine.

Each request finds the pages that are published at that moment, so a ``sync`` may exchange them meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO

from pymirror.errors import PymirrorError, printable
from pymirror.layout import COMPRESSED_SUFFIX, HTML_PAGE, SIMPLE
from pymirror.serving.conditions import Part, State, choose_part, is_not_modified
from pymirror.serving.negotiate import HTML, accepts_gzip, choose_format
from pymirror.serving.target import PAGE_CACHE, Target, cache_control_of, content_type_of, is_file, parse_target
from pymirror.workers import Deadline, Stop, Watchdog

MAX_CONNECTIONS = 128
PATIENCE_SECONDS = 30.0
"""How long a client may be silent, and how long the head of a request may take in all."""


class TreeServer(ThreadingHTTPServer):
    """Serves the tree at ``folder``, a thread for each connection. Raises :class:`OSError` where it cannot listen."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self,
        folder: Path,
        *,
        address: tuple[str, int],
        family: socket.AddressFamily,
        note: Callable[[str], None],
        stop: Stop,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self.address_family = family
        self.folder = folder
        self.note = note
        self.patience_seconds = patience_seconds
        self.watchdog = Watchdog()
        self._stop = stop
        # Not a bounded one: an order to end may come when a thread has its place already, and both give it back.
        self._slots = threading.Semaphore(MAX_CONNECTIONS)
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Without the look-up of this machine's name, which may wait for a resolver that is not there."""
        if self.address_family == socket.AF_INET6:
            with contextlib.suppress(OSError, AttributeError):
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def server_close(self) -> None:
        super().server_close()
        self.watchdog.close()

    def service_actions(self) -> None:
        """Ends with the run, also where a signal came while an error was being handled."""
        self._stop.check()

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._slots.acquire(blocking=False):
            self.note(f"more than {MAX_CONNECTIONS} connections; one was closed")
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._slots.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - as the base class has it
        """A client that goes away is no news; an order to end is no error of a request."""
        error = sys.exception()
        if isinstance(error, PymirrorError):
            raise error
        self.note(f"{type(error).__name__}: {error}")


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "pymirror"
    sys_version = ""
    error_content_type = "text/plain; charset=utf-8"
    error_message_format = "%(code)d %(message)s\n"
    disable_nagle_algorithm = True
    server: TreeServer

    def setup(self) -> None:
        self._patience = contextlib.ExitStack()
        super().setup()
        self.connection.settimeout(self.server.patience_seconds)

    def handle_one_request(self) -> None:
        """The socket's own timeout starts anew with every byte, so the head as a whole has a limit too."""
        deadline = Deadline(self.server.patience_seconds)
        with self._patience:
            self._patience.enter_context(self.server.watchdog.watch([self.connection], deadline))
            try:
                super().handle_one_request()
            except (ConnectionError, TimeoutError):
                self.close_connection = True

    def do_GET(self) -> None:
        """The file, the page in the best format, or where it is instead."""
        self._patience.close()
        if self.headers.get("Content-Length", "0").strip() != "0" or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # the body is not read, and must not be taken for the next request
        target = parse_target(self.path)
        if target is None:
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        with contextlib.ExitStack() as opened:
            # A part is one of the page as it is: nobody goes on with half a packed page.
            is_packed = "Range" not in self.headers and accepts_gzip(self.headers.get("Accept-Encoding"))
            found = _find(self.server.folder, target, self.headers.get("Accept"), is_packed=is_packed)
            if isinstance(found, str):
                self._redirect(found)
            elif found is None:
                self._refuse(HTTPStatus.NOT_FOUND)
            else:
                opened.enter_context(found.file)
                self._send(found)

    def do_HEAD(self) -> None:
        """As GET, without the body."""
        self.do_GET()

    def do_POST(self) -> None:
        """Nothing here can be changed."""
        self._patience.close()
        self.close_connection = True
        self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, ("Allow", "GET, HEAD"))

    def do_PUT(self) -> None:
        self.do_POST()

    def do_DELETE(self) -> None:
        self.do_POST()

    # ── answers ─────────────────────────────────────────────────────────────────────────────────

    def _send(self, found: _Found) -> None:
        state = found.state
        if is_not_modified(self.headers.get("If-None-Match"), self.headers.get("If-Modified-Since"), state):
            self._start(HTTPStatus.NOT_MODIFIED, found)
            self.end_headers()
            return
        try:
            asked = self.headers.get("Range") if self.command == "GET" else None
            part = choose_part(asked, self.headers.get("If-Range"), state)
        except ValueError as error:
            self._refuse(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, ("Content-Range", str(error)))
            return
        self._start(HTTPStatus.OK if part is None else HTTPStatus.PARTIAL_CONTENT, found)
        self.send_header("Content-Type", found.content_type)
        if found.is_packed:
            self.send_header("Content-Encoding", "gzip")
        if part is not None:
            self.send_header("Content-Range", f"bytes {part.start}-{part.stop - 1}/{state.size}")
        part = part or Part(0, state.size)
        self.send_header("Content-Length", str(part.stop - part.start))
        self.end_headers()
        if self.command == "GET" and part.stop > part.start:
            self.wfile.flush()
            sent = self.connection.sendfile(found.file, part.start, part.stop - part.start)
            if sent < part.stop - part.start:  # the file shrank: the client must not wait for the rest
                self.close_connection = True

    def _start(self, status: HTTPStatus, found: _Found) -> None:
        self.send_response(status)
        self.send_header("ETag", found.state.etag)
        self.send_header("Last-Modified", found.state.last_modified)
        self.send_header("Accept-Ranges", "none" if found.is_packed else "bytes")
        self.send_header("Cache-Control", found.cache_control)
        if found.vary:  # a page
            self.send_header("Vary", found.vary)
            self.send_header("Content-Security-Policy", "frame-ancestors 'none'")

    def _redirect(self, location: str) -> None:
        self.send_response(HTTPStatus.MOVED_PERMANENTLY)
        self.send_header("Location", location)
        self.send_header("Cache-Control", PAGE_CACHE)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _refuse(self, status: HTTPStatus, *headers: tuple[str, str]) -> None:
        body = b"" if self.command == "HEAD" else f"{status.value} {status.phrase}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", self.error_content_type)
        self.send_header("Cache-Control", PAGE_CACHE)
        for name, value in headers:
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def end_headers(self) -> None:
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    # ── the log ─────────────────────────────────────────────────────────────────────────────────

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002 - the base class's
        status = code.value if isinstance(code, HTTPStatus) else code
        self.server.note(f"{self.client_address[0]} {status} {printable(self.requestline)}")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        self.server.note(f"{self.client_address[0]} {printable(format % args)}")


class _Found:
    """An open file, and how it is sent."""

    def __init__(self, file: BinaryIO, path: str, content_type: str, *, is_packed: bool) -> None:
        now = os.fstat(file.fileno())
        self.file = file
        self.content_type = content_type
        self.is_packed = is_packed
        self.cache_control = cache_control_of(path)
        is_negotiated = path.startswith(f"{SIMPLE}/")
        self.vary = "Accept, Accept-Encoding" if is_negotiated else "" if is_file(path) else "Accept-Encoding"
        variant = "v" if is_negotiated and content_type.endswith("v1+html") else ""
        self.state = State(size=now.st_size, mtime_ns=now.st_mtime_ns, inode=now.st_ino, variant=variant)


def _find(folder: Path, target: Target, accept: str | None, *, is_packed: bool) -> _Found | str | None:
    """The file for this request, or where it is instead, or ``None`` where there is nothing."""
    if not target.is_open:
        return None
    for names, content_type in _list_names(target, accept):
        if (file := _open(folder, names)) is not None:
            path = "/".join(names)
            packed_names = (*names[:-1], names[-1] + COMPRESSED_SUFFIX)
            if is_packed and not is_file(path) and (packed := _open(folder, packed_names)) is not None:
                file.close()
                return _Found(packed, path, content_type, is_packed=True)
            return _Found(file, path, content_type, is_packed=False)
    return _find_elsewhere(folder, target)


def _list_names(target: Target, accept: str | None) -> Iterator[tuple[tuple[str, ...], str]]:
    """Where the answer may be, the best first, and its content type."""
    if target.is_page:
        chosen = choose_format(accept, target.format)
        for known in dict.fromkeys((chosen, HTML)):  # a tree that was carried here may lack the JSON pages
            yield (*target.names, known.filename), known.content_type
    elif target.is_folder:
        yield (*target.names, HTML_PAGE), HTML.content_type
    else:
        yield target.names, content_type_of(target.path)


def _find_elsewhere(folder: Path, target: Target) -> str | None:
    if not target.is_folder and _has_page(folder, target.path):
        return target.with_slash
    if target.normalized is not None and _has_page(folder, target.normalized[0]):
        return target.normalized[1]
    return None


def _has_page(folder: Path, path: str) -> bool:
    return (folder / path / HTML_PAGE).is_file()


def _open(folder: Path, names: tuple[str, ...]) -> BinaryIO | None:
    """The regular file of that name, unless a symbolic link leads out of the tree or into what is hidden."""
    try:
        root = folder.resolve(strict=True)
        path = root.joinpath(*names).resolve(strict=True)
        if not path.is_relative_to(root) or any(name.startswith(".") for name in path.relative_to(root).parts):
            return None
        # A pipe would be waited for until somebody writes to it.
        file = os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb")
    except (OSError, RuntimeError):  # RuntimeError: links in a circle
        return None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        return None
    return file
