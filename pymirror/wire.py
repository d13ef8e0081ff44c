"""One HTTP/1.1 request at a time, behind httpx's interface for transports.

Straight to a server it goes through the standard library, which takes about half the processor's time that httpx's own
transport does; through a proxy it goes through httpx, which knows the settings and the kinds of proxies.
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
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, BinaryIO, Protocol, cast
from urllib.request import getproxies

import httpx

from pymirror.errors import ConfigurationError

_PIECE_BYTES = 256 * 1024
_MAX_CONNECTIONS = 4  # of a wire, each to another server: pages and files, or what redirects lead to
_KEEP_SECONDS = 30.0

_PORTS = {"http": 80, "https": 443}
# All that there is nothing to be said about; whatever else a URL may be is read by httpx.
_PLAIN_URL = re.compile(r"(https?)://([a-z0-9][a-z0-9.-]*)(?::([0-9]{1,5}))?(/[A-Za-z0-9/._~+!=%-]*)?")

_Place = tuple[str, str, int]
"""Scheme, host and port."""


class Wire(Protocol):
    """Serves one request at a time. ``sockets`` are those that it has open."""

    sockets: list[socket.socket]

    def send(self, method: str, url: str, headers: Mapping[str, str]) -> httpx.Response:
        """The head of the answer; the body is read from it, and it is closed then. Raises what httpx does."""

    def close(self) -> None:
        """Closes the connections."""


def open_wire(context: Callable[[], ssl.SSLContext], *, timeout_seconds: float, piece_bytes: int | None = None) -> Wire:
    """A wire for the proxies that the environment names, or for none.

    Straight to a server, no more than ``piece_bytes`` are read of a body at a time. Raises
    :class:`ConfigurationError` where they cannot be used.
    """
    if any(scheme != "no" for scheme in getproxies()):
        return _ProxiedWire(context(), timeout_seconds)
    return _DirectWire(context, timeout_seconds, min(piece_bytes or _PIECE_BYTES, _PIECE_BYTES))


class _DirectWire:
    def __init__(self, context: Callable[[], ssl.SSLContext], timeout_seconds: float, piece_bytes: int) -> None:
        self._context = context
        self._timeout_seconds = timeout_seconds
        self._piece_bytes = piece_bytes
        self._connections: dict[_Place, _Connection] = {}
        self.sockets: list[socket.socket] = []

    def send(self, method: str, url: str, headers: Mapping[str, str]) -> httpx.Response:
        place, host, target = _read_url(url)
        with _translated("Connect"):
            connection = self._take(place) or self._connect(place)
        with _translated("Read"):
            return self._ask(connection, place, method, target, {"Host": host, **headers})

    def close(self) -> None:
        while self._connections:
            self._connections.popitem()[1].close()

    def _take(self, place: _Place) -> _Connection | None:
        connection = self._connections.pop(place, None)
        if connection is not None and not connection.is_usable:
            connection.close()
            return None
        return connection

    def _connect(self, place: _Place) -> _Connection:
        self.sockets[:] = [known for known in self.sockets if known.fileno() != -1]
        scheme, host, port = place
        context = self._context() if scheme == "https" else None
        connection = _Connection(host, port, timeout=self._timeout_seconds, context=context, sockets=self.sockets)
        connection.connect()
        return connection

    def _ask(
        self, connection: _Connection, place: _Place, method: str, target: str, headers: Mapping[str, str]
    ) -> httpx.Response:
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            with contextlib.suppress(OSError):  # the server may have answered, and said why, before it closed
                connection.endheaders()
            response = connection.getresponse()
            _check_length(response)
        except BaseException:
            connection.close()
            raise
        while len(self._connections) >= _MAX_CONNECTIONS:
            self._connections.pop(next(iter(self._connections))).close()
        self._connections[place] = connection
        told = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.getheaders()]
        body = _Body(response, connection, self._piece_bytes)
        return httpx.Response(response.status, headers=told, stream=body)


class _ProxiedWire:
    def __init__(self, context: ssl.SSLContext, timeout_seconds: float) -> None:
        self.sockets: list[socket.socket] = []
        try:
            self._client = httpx.Client(
                verify=context,
                timeout=timeout_seconds,
                limits=httpx.Limits(
                    max_connections=8, max_keepalive_connections=_MAX_CONNECTIONS, keepalive_expiry=_KEEP_SECONDS
                ),
            )
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            # Their messages may quote the proxy's URL, and with it a password.
            hint = "look at HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY"
            raise ConfigurationError(f"the proxy settings cannot be used ({type(error).__name__})", hint=hint) from None

    def send(self, method: str, url: str, headers: Mapping[str, str]) -> httpx.Response:
        request = self._client.build_request(method, url, headers=dict(headers), extensions={"trace": self._trace})
        self._client.cookies.clear()
        return self._client.send(request, auth=None, stream=True)

    def close(self) -> None:
        self._client.close()

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Learns of a new connection, plain or after its TLS handshake."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            opened = info["return_value"].get_extra_info("socket")
            self.sockets[:] = [known for known in self.sockets if known.fileno() != -1]
            if isinstance(opened, socket.socket):
                self.sockets.append(opened)


class _Head:
    """The lines of an answer's head: where the connection ends among them, the answer is no answer."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._is_begun = False

    def readline(self, limit: int = -1) -> bytes:
        line = self._file.readline(limit)
        is_cut = not line.endswith(b"\n") and (limit < 0 or len(line) < limit)
        if is_cut and (line or self._is_begun):
            raise http.client.IncompleteRead(line)
        self._is_begun = True
        return line

    def close(self) -> None:
        self._file.close()


class _Response(http.client.HTTPResponse):
    """Passes over interim answers, such as 103 Early Hints (RFC 9110, 15.2)."""

    def begin(self) -> None:
        file = self.fp
        self.fp = head = cast("Any", _Head(cast("BinaryIO", file)))
        try:
            super().begin()
        finally:
            if self.fp is head:  # and not closed already, as where there is no body
                self.fp = file

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 100 < status < 200 or status == HTTPStatus.SWITCHING_PROTOCOLS:
                return version, status, reason
            http.client.parse_headers(self.fp)


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
        if opened is None or opened.fileno() == -1 or time.monotonic() - self._idle_since > _KEEP_SECONDS:
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


class _Body(httpx.SyncByteStream):
    def __init__(self, response: http.client.HTTPResponse, connection: _Connection, piece_bytes: int) -> None:
        self._response = response
        self._connection = connection
        self._piece_bytes = piece_bytes
        self._remaining = response.length
        self._is_whole = response.isclosed()

    def __iter__(self) -> Iterator[bytes]:
        with _translated("Read"):
            while self._remaining != 0 and not self._is_whole:
                size = self._piece_bytes if self._remaining is None else min(self._piece_bytes, self._remaining)
                piece = self._response.read1(size)
                if not piece:
                    break
                if self._remaining is not None:
                    self._remaining -= len(piece)
                yield piece
            if self._remaining:
                raise httpx.RemoteProtocolError(
                    f"the connection was closed {self._remaining} bytes before the end of the answer"
                )
        self._is_whole = True

    def close(self) -> None:
        self._response.close()
        # What was not read to its end is no place for another answer to begin.
        if (self._is_whole or self._remaining == 0) and not self._response.will_close:
            self._connection.rest()
        else:
            self._connection.close()


def _read_url(url: str) -> tuple[_Place, str, str]:
    """Where to ask, what the header Host says, and what to ask for."""
    plain = _PLAIN_URL.fullmatch(url)
    if plain is not None:
        scheme, host, port, target = plain.groups()
        number = int(port) if port else _PORTS[scheme]
        return (scheme, host, number), host if number == _PORTS[scheme] else f"{host}:{number}", target or "/"
    parsed = httpx.URL(url)
    if parsed.scheme not in _PORTS:
        raise httpx.UnsupportedProtocol(f'"{parsed.scheme}" is neither http nor https')
    place = (parsed.scheme, parsed.raw_host.decode("ascii"), parsed.port or _PORTS[parsed.scheme])
    return place, parsed.netloc.decode("ascii"), parsed.raw_path.decode("ascii")


def _check_length(response: http.client.HTTPResponse) -> None:
    """Raises where the length of the body is no number, or several, or it is sent in a way that was not asked for: it
    could be cut, or taken for something else, without being noticed.
    """
    encodings = [text.lower() for text in (response.headers.get_all("transfer-encoding") or ())]
    if encodings not in ([], ["chunked"]):
        raise httpx.RemoteProtocolError("the Transfer-Encoding is not chunked, and nothing else was asked for")
    lengths = {text.strip() for text in (response.headers.get_all("content-length") or ())}
    if len(lengths) > 1 or any(not (text.isascii() and text.isdigit()) for text in lengths):
        raise httpx.RemoteProtocolError("the Content-Length is not one number")


def _is_readable(opened: socket.socket) -> bool:
    if isinstance(opened, ssl.SSLSocket) and opened.pending():
        return True
    if hasattr(select, "poll"):  # select() cannot take descriptors above 1023
        poll = select.poll()
        poll.register(opened, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([opened], [], [], 0)[0])


@contextlib.contextmanager
def _translated(at: str) -> Iterator[None]:
    """The standard library's errors as httpx's; ``at`` is Connect or Read."""
    try:
        yield
    except httpx.HTTPError:
        raise
    except TimeoutError as error:
        kind: type[httpx.HTTPError] = httpx.ConnectTimeout if at == "Connect" else httpx.ReadTimeout
        raise kind(str(error) or "it took too long") from error
    except http.client.RemoteDisconnected as error:
        raise httpx.RemoteProtocolError("the server disconnected without an answer") from error
    except http.client.IncompleteRead as error:
        raise httpx.RemoteProtocolError("the connection was closed before the end of the answer") from error
    except http.client.InvalidURL as error:
        raise httpx.LocalProtocolError(str(error)) from error
    except http.client.HTTPException as error:
        raise httpx.RemoteProtocolError(f"{type(error).__name__}: {error}") from error
    except UnicodeError:
        raise  # of a host that is none
    except (OSError, ValueError) as error:
        kind = httpx.ConnectError if at == "Connect" else httpx.ReadError
        raise kind(str(error)) from error
