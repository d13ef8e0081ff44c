"""Straight to a server, by the standard library, which takes about half the processor's time that httpx does.

``docs/performance.md`` has the measurements behind this.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import select
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, cast

from pymirror.wire.interface import KEEP_SECONDS, MAX_CONNECTIONS, PORTS, Contexts, Place, Reply, WireError

PIECE_BYTES = 256 * 1024
"""What a wire reads of a body at a time, unless less is asked for."""

# All that there is nothing to be said about; whatever else a URL may be is read by httpx.
_PLAIN_URL = re.compile(
    r"(https?)://([a-z0-9][a-z0-9.-]*)(?::([0-9]{1,5}))?(/[A-Za-z0-9/._~+!=%-]*(?:\?[A-Za-z0-9/._~+!=%&-]*)?)?"
)

_STATUS_LINE = re.compile(rb"HTTP/1\.([0-9])[ \t]+([1-9][0-9]{2})(?:[ \t].*)?\r?\n")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_MAX_HEAD_BYTES = 64 * 1024  # of an answer, with those that come before it
_MAX_FIELDS = 100

_FAILURES = (OSError, ValueError, http.client.HTTPException)


class DirectWire:
    """``piece_bytes`` are read of a body at a time, at most."""

    def __init__(self, contexts: Contexts, timeout_seconds: float, piece_bytes: int) -> None:
        self._contexts = contexts
        self._timeout_seconds = timeout_seconds
        self._piece_bytes = piece_bytes
        self._connections: dict[Place, _Connection] = {}
        self.sockets: list[socket.socket] = []

    def send(self, method: str, url: str, headers: Mapping[str, str]) -> Reply:
        place, host, target = read_url(url)
        try:
            connection = self._take(place) or self._connect(place)
        except _FAILURES as error:
            raise _translate(error, "Connect") from error
        try:
            return self._ask(connection, place, method, target, {"Host": host, **headers})
        except _FAILURES as error:
            raise _translate(error, "Read") from error

    def close(self) -> None:
        while self._connections:
            self._connections.popitem()[1].close()

    def _take(self, place: Place) -> _Connection | None:
        connection = self._connections.pop(place, None)
        if connection is not None and not connection.is_usable:
            connection.close()
            return None
        return connection

    def _connect(self, place: Place) -> _Connection:
        self.sockets[:] = [known for known in self.sockets if known.fileno() != -1]
        scheme, host, port = place
        context = self._contexts.of(host) if scheme == "https" else None
        connection = _Connection(host, port, timeout=self._timeout_seconds, context=context, sockets=self.sockets)
        connection.connect()
        return connection

    def _ask(
        self, connection: _Connection, place: Place, method: str, target: str, headers: Mapping[str, str]
    ) -> Reply:
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            with contextlib.suppress(OSError):  # the server may have answered, and said why, before it closed
                connection.endheaders()
            response = cast("_Response", connection.getresponse())
        except BaseException:
            connection.close()
            raise
        while len(self._connections) >= MAX_CONNECTIONS:
            self._connections.pop(next(iter(self._connections))).close()
        self._connections[place] = connection
        return _DirectReply(response, connection, self._piece_bytes)


class _Response(http.client.HTTPResponse):
    """Reads the head itself, in a sixth of the time that the library takes, which has it read as the head of a mail.

    Interim answers, such as 103 Early Hints, are passed over (RFC 9110, 15.2).
    """

    def __init__(self, sock: socket.socket, method: str | None = None, **options: Any) -> None:
        super().__init__(sock, method=method, **options)
        self.is_head = method == "HEAD"
        self._head_bytes = 0
        self.fields: dict[str, str] = {}

    def begin(self) -> None:
        while True:
            version, status = self._read_status_line()
            self.fields = fields = self._read_fields()
            if not 100 <= status < 200 or status == HTTPStatus.SWITCHING_PROTOCOLS:
                break
        self.version, self.status = version, status
        self.chunked = _is_chunked(fields)
        self.chunk_left = None
        length = _read_length(fields)
        if length is not None:
            fields["content-length"] = str(length)  # and not "2, 2"
        if self.is_head or status < 200 or status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            self.length = 0
        else:
            self.length = None if self.chunked else length
        options = fields.get("connection", "").lower()
        is_kept = "close" not in options if version > 10 else "keep-alive" in options
        self.will_close = not is_kept or status < 200 or (self.length is None and not self.chunked)

    def _read_line(self) -> bytes:
        line = self.fp.readline(_MAX_HEAD_BYTES - self._head_bytes + 1)
        self._head_bytes += len(line)
        if self._head_bytes > _MAX_HEAD_BYTES:
            raise http.client.LineTooLong("the head")
        return line

    def _read_status_line(self) -> tuple[int, int]:
        """The version, as 10 or 11, and the status (RFC 9112, 4)."""
        line = self._read_line()
        if not line:
            raise http.client.RemoteDisconnected("no answer")
        match = _STATUS_LINE.fullmatch(line)
        if match is None:
            raise http.client.BadStatusLine(line[:100].decode("latin-1"))
        return 10 if match[1] == b"0" else 11, int(match[2])

    def _read_fields(self) -> dict[str, str]:
        """By name in lower case; those of the same name are joined (RFC 9110, 5.3). What is none is passed over."""
        fields: dict[str, str] = {}
        name = ""
        for _ in range(_MAX_FIELDS + 1):
            line = self._read_line()
            if line in (b"\r\n", b"\n"):
                return fields
            if not line:
                raise http.client.IncompleteRead(line)
            before, colon, after = line.partition(b":")
            if colon and line.endswith(b"\n") and _NAME.fullmatch(before):
                name = before.decode("ascii").lower()
                text = _decode(after.removesuffix(b"\n").removesuffix(b"\r").strip(b" \t"))
                fields[name] = f"{fields[name]}, {text}" if name in fields else text
            elif name and line[:1] in (b" ", b"\t"):  # the last one goes on
                fields[name] += f" {_decode(line.strip())}"
        raise http.client.HTTPException(f"the head has more than {_MAX_FIELDS} fields")


class _Connection(http.client.HTTPConnection):
    response_class = _Response

    def __init__(
        self,
        host: str,
        port: int,
        *,
        timeout: float,
        context: ssl.SSLContext | None,
        sockets: list[socket.socket],
    ) -> None:
        super().__init__(host, port, timeout=timeout)
        self._context = context
        self._sockets = sockets
        self._idle_since = time.monotonic()

    @property
    def is_usable(self) -> bool:
        """Whether the last answer was read to its end, and the server has neither closed nor sent more."""
        opened = self.sock
        if opened is None or opened.fileno() == -1 or time.monotonic() - self._idle_since > KEEP_SECONDS:
            return False
        return not _is_readable(opened)

    def rest(self) -> None:
        """The answer was read to its end."""
        self._idle_since = time.monotonic()

    def connect(self) -> None:
        opened = socket.create_connection((self.host, self.port), self.timeout)
        try:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sock = opened if self._context is None else self._wrap(opened, self._context)
        except BaseException:
            opened.close()
            raise
        self._sockets.append(self.sock)

    def _wrap(self, opened: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
        # The handshake takes the socket over. Its double lets the time for the whole request end a slow one too.
        double = opened.dup()
        self._sockets.append(double)
        try:
            return context.wrap_socket(opened, server_hostname=self.host)
        finally:
            double.close()


class _DirectReply:
    def __init__(self, response: _Response, connection: _Connection, piece_bytes: int) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.fields
        self._response = response
        self._connection = connection
        self._piece_bytes = piece_bytes
        self._remaining = response.length
        self._is_whole = response.isclosed()

    def pieces(self) -> Iterator[bytes]:
        while self._remaining != 0 and not self._is_whole:
            size = self._piece_bytes if self._remaining is None else min(self._piece_bytes, self._remaining)
            try:
                piece = self._response.read1(size)
            except _FAILURES as error:
                raise _translate(error, "Read") from error
            if not piece:
                break
            if self._remaining is not None:
                self._remaining -= len(piece)
            yield piece
        if self._remaining:
            problem = f"the connection was closed {self._remaining} bytes before the end of the answer"
            raise WireError("RemoteProtocolError", problem)
        self._is_whole = True

    def close(self) -> None:
        self._response.close()
        # What was not read to its end is no place for another answer to begin.
        if (self._is_whole or self._remaining == 0) and not self._response.will_close:
            self._connection.rest()
        else:
            self._connection.close()


def read_url(url: str) -> tuple[Place, str, str]:
    """Where to ask, what the header Host says, and what to ask for. Raises :class:`WireError`."""
    plain = _PLAIN_URL.fullmatch(url)
    if plain is None:
        from pymirror.wire.proxied import read_odd_url  # late, since httpx takes some time to read

        return read_odd_url(url)
    scheme, host, port, target = plain.groups()
    number = int(port) if port else PORTS[scheme]
    return (scheme, host, number), host if number == PORTS[scheme] else f"{host}:{number}", target or "/"


def _decode(value: bytes) -> str:
    """In UTF-8 where it can be, for what is not ASCII: the standard leaves open what it is."""
    try:
        return value.decode("utf-8")
    except UnicodeError:
        return value.decode("latin-1")


def _is_chunked(fields: Mapping[str, str]) -> bool:
    """Raises where a body is sent in a way that was not asked for: its frame would be taken for its content."""
    encoding = fields.get("transfer-encoding")
    if encoding is not None and encoding.lower() != "chunked":
        raise WireError("RemoteProtocolError", "the Transfer-Encoding is not chunked, and nothing else was asked for")
    return encoding is not None


def _read_length(fields: Mapping[str, str]) -> int | None:
    """Raises where it is no number, or several: the body could be cut without being noticed."""
    text = fields.get("content-length")
    if text is None:
        return None
    lengths = {each.strip() for each in text.split(",")}
    length = lengths.pop()
    if lengths or not (length.isascii() and length.isdigit() and len(length) < 19):
        raise WireError("RemoteProtocolError", "the Content-Length is not one number")
    return int(length)


def _is_readable(opened: socket.socket) -> bool:
    if isinstance(opened, ssl.SSLSocket) and opened.pending():
        return True
    if hasattr(select, "poll"):  # select() cannot take descriptors above 1023
        poll = select.poll()
        poll.register(opened, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([opened], [], [], 0)[0])


def _translate(error: Exception, at: str) -> WireError:
    """The standard library's error, with httpx's name for it; ``at`` is Connect or Read."""
    if isinstance(error, TimeoutError):
        return WireError(f"{at}Timeout", str(error) or "it took too long")
    if isinstance(error, http.client.RemoteDisconnected):
        return WireError("RemoteProtocolError", "the server disconnected without an answer")
    if isinstance(error, http.client.IncompleteRead):
        return WireError("RemoteProtocolError", "the connection was closed before the end of the answer")
    if isinstance(error, http.client.InvalidURL):
        return WireError("LocalProtocolError", str(error), is_permanent=True)
    if isinstance(error, http.client.HTTPException):
        return WireError("RemoteProtocolError", f"{type(error).__name__}: {error}")
    if isinstance(error, UnicodeError):  # of a host that is none
        return WireError(type(error).__name__, str(error), is_permanent=True)
    return WireError(f"{at}Error", str(error))
