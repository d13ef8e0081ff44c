"""One HTTP request, done well. The only user of httpx and tenacity: a successor of either is a change of this module.

Every request is bounded in time, redirects and size, keeps to http(s), never goes from https to http, and sends a
credential to its own origin only.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from importlib.metadata import version
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import httpx
import tenacity

from pymirror.credentials import Credentials, Origin, origin_of
from pymirror.errors import (
    ConfigurationError,
    RequestError,
    TransientRequestError,
    UnansweredError,
    printable,
    printable_url,
)
from pymirror.progress import Progress
from pymirror.reachability import Reachability
from pymirror.spec.model import Network, Upstream
from pymirror.tls import make_ssl_context
from pymirror.workers import Stop, Watchdog

R = TypeVar("R")

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504, 507, 509, 520, 521, 522, 523, 524})
_MAX_WAIT_SECONDS = 300.0

LARGE_BYTES = 4 * 1024 * 1024
"""An answer of more bytes waits until no other such answer is in memory; the pages of nearly all projects are smaller.
"""

# UnicodeError is what a host name that is none raises, down to the resolver.
_PERMANENT_ERRORS = (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL, UnicodeError)


class Answer:
    """The head of an answer, and its body as it arrives."""

    def __init__(
        self, response: httpx.Response, url: str, deadline: float, stop: Stop, take_turn: Callable[[float], None]
    ) -> None:
        self.url = url
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._deadline = deadline
        self._stop = stop
        self._take_turn = take_turn

    @property
    def content_length(self) -> int | None:
        """Bytes of the body, where the server says so."""
        text = self.headers.get("content-length", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None

    @property
    def is_delimited(self) -> bool:
        """Whether the server says where the body ends: else that is where the connection does, for whatever reason."""
        return "content-length" in self.headers or "chunked" in self.headers.get("transfer-encoding", "").lower()

    def stored_chunks(self) -> Iterator[bytes]:
        """The body as it is stored, in pieces of some 64 kB; for files, whose hashes are of these bytes."""
        return self._checked(self._response.iter_raw())

    def read(self, *, max_bytes: int) -> bytes:
        """The whole body with its content encoding undone. Raises :class:`RequestError` beyond ``max_bytes``.

        Unpacked here, and not by httpx, which unpacks a whole chunk, and encodings upon encodings, before it can be
        stopped. Of answers that are large, one is held at a time: memory must not grow with the connections.
        """
        encoding = self.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "gzip", "x-gzip", "deflate"):
            raise RequestError(self.url, f'the content encoding "{encoding}" was not asked for')
        unpack = None if encoding == "identity" else zlib.decompressobj(wbits=47)  # gzip or zlib, by its first bytes
        if (self.content_length or 0) > max_bytes:
            raise RequestError(self.url, f"the answer is larger than {max_bytes} bytes")
        body = bytearray()
        has_turn = False
        for chunk in self.stored_chunks():
            if len(body) > LARGE_BYTES and not has_turn:
                self._take_turn(self._deadline)
                has_turn = True
            try:
                body += chunk if unpack is None else unpack.decompress(chunk, max_bytes + 1 - len(body))
            except zlib.error:
                raise TransientRequestError(self.url, "the answer cannot be unpacked") from None
            if len(body) > max_bytes:
                raise RequestError(self.url, f"the answer is larger than {max_bytes} bytes")
        if unpack is not None and not unpack.eof:
            raise TransientRequestError(self.url, "the packed answer was cut off")
        return bytes(body)

    def _checked(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        with _translated(self.url):
            for chunk in chunks:
                self._stop.check()
                yield chunk
            if time.monotonic() >= self._deadline:
                # An answer without a length ends where its connection does, and the watchdog may have ended it.
                raise TransientRequestError(self.url, "the answer was cut off")


class _Line:
    """A client, which serves one request at a time, and the sockets that it has open."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.sockets: list[socket.socket] = []

    def request(
        self, method: str, url: str, headers: Mapping[str, str], credential: tuple[str, str] | None
    ) -> httpx.Response:
        """The head of the answer; the body is read from it."""
        auth = httpx.BasicAuth(*credential) if credential else None
        with _translated(url, transient=UnansweredError):
            request = self.client.build_request(method, url, headers=dict(headers), extensions={"trace": self._trace})
            return self.client.send(request, auth=auth, stream=True)

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Learns of a new connection, plain or after its TLS handshake."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            opened = info["return_value"].get_extra_info("socket")
            self.sockets[:] = [known for known in self.sockets if known.fileno() != -1]
            if isinstance(opened, socket.socket):
                self.sockets.append(opened)


class Transport:
    """Makes requests from any number of threads, with one pool of connections and a limit for each host."""

    def __init__(
        self, network: Network, credentials: Credentials, stop: Stop, *, upstreams: Sequence[Upstream] = ()
    ) -> None:
        self._network = network
        self._credentials = credentials
        self._stop = stop
        self._lock = threading.Lock()
        self._large = threading.Lock()
        self._ssl = make_ssl_context(network, upstreams)
        # One httpx client serves one request at a time: a client shared by threads spends its time on its own lock.
        # The last one returned is the next one used, so that its connection is warm.
        self._idle: deque[_Line] = deque()
        self._watchdog = Watchdog()
        self._hosts: dict[Origin, threading.BoundedSemaphore] = {}
        self._reachability = Reachability(stop)
        self._idle.append(self._open())

    def close(self) -> None:
        """Closes every idle connection."""
        self._watchdog.close()
        while self._idle:
            self._idle.pop().client.close()

    @contextlib.contextmanager
    def get(
        self, url: str, *, headers: Mapping[str, str], timeout_seconds: float, method: str = "GET"
    ) -> Iterator[Answer]:
        """The answer to GET ``url`` (or HEAD), redirects followed: 2xx, 304 or 416.

        ``timeout_seconds`` bounds the whole request with its body. Raises :class:`TransientRequestError` for what may
        heal (:class:`UnansweredError` where no answer came), else :class:`RequestError`.
        """
        deadline = 0.0
        try:
            for _ in range(self._network.max_redirects + 1):
                self._stop.check()
                with self._slot(url), self._line() as line:
                    # The time starts with the connection: to wait for one's turn is no fault of the server's.
                    deadline = deadline or time.monotonic() + timeout_seconds
                    with (
                        contextlib.ExitStack() as turn,
                        self._watchdog.watch(line.sockets, deadline),
                        self._send(line, method, url, headers) as response,
                    ):
                        if response.status_code not in _REDIRECTS:
                            _check_status(response, url)
                            yield Answer(response, url, deadline, self._stop, partial(self._take_turn, turn, url))
                            return
                        url = _follow(response, url)
            raise RequestError(url, f"more than {self._network.max_redirects} redirects")
        except TransientRequestError as error:
            if deadline and time.monotonic() >= deadline:
                kind = UnansweredError if isinstance(error, UnansweredError) else TransientRequestError
                raise kind(url, f"it took longer than {timeout_seconds:g} s in all") from None
            raise

    def retry(self, call: Callable[[], R], *, progress: Progress) -> R:
        """``call()``, again as long as it raises :class:`TransientRequestError` and the retries last."""

        def announce(state: tenacity.RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            wait = state.next_action.sleep if state.next_action else 0.0
            progress.note(f"{error}; attempt {state.attempt_number + 1} in {wait:.1f} s")

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TransientRequestError),
            stop=tenacity.stop_after_attempt(self._network.retries + 1),
            wait=_wait,
            sleep=self._stop.sleep,
            before_sleep=announce,
            reraise=True,
        )
        try:
            return retrying(call)
        except UnansweredError as error:
            origin = _read_origin(error.url)
            if self._reachability.give_up_on(origin):
                server = f"{origin[0]}://{origin[1]}:{origin[2]}"
                progress.warn(f"{printable(server)} does not answer; it is tried once a minute, and not for each file")
            raise

    def _take_turn(self, turn: contextlib.ExitStack, url: str, deadline: float) -> None:
        """Waits until no other large answer is in memory, and keeps the place until ``turn`` ends."""
        while not self._large.acquire(timeout=0.2):
            self._stop.check()
            if time.monotonic() >= deadline:
                raise TransientRequestError(url, "other large answers took all the time")
        turn.callback(self._large.release)

    @contextlib.contextmanager
    def _slot(self, url: str) -> Iterator[None]:
        """A place among the connections to the URL's host."""
        origin = _read_origin(url)
        with self._lock:
            slots = self._hosts.setdefault(origin, threading.BoundedSemaphore(self._network.connections_per_host))
        with slots:
            yield

    @contextlib.contextmanager
    def _line(self) -> Iterator[_Line]:
        try:
            line = self._idle.pop()
        except IndexError:
            line = self._open()
        try:
            yield line
        finally:
            line.client.cookies.clear()
            self._idle.append(line)

    def _open(self) -> _Line:
        try:
            client = httpx.Client(
                verify=self._ssl,
                timeout=self._network.timeout_seconds,
                headers={"User-Agent": f"pymirror/{version('pymirror')}", "Accept-Encoding": "gzip"},
                limits=httpx.Limits(max_connections=8, max_keepalive_connections=4, keepalive_expiry=30),
            )
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            # Their messages may quote the proxy's URL, and with it a password.
            hint = "look at HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY"
            raise ConfigurationError(f"the proxy settings cannot be used ({type(error).__name__})", hint=hint) from None
        return _Line(client)

    @contextlib.contextmanager
    def _send(self, line: _Line, method: str, url: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        credential = self._credentials.find(url)
        origin = _read_origin(url)
        with self._reachability.attempt(origin, url):
            response = line.request(method, url, headers, credential)
            self._reachability.answered(origin)
        if response.status_code == 401 and credential is None:
            credential = self._credentials.ask_keyring(url)
            if credential is not None:
                response.close()
                response = line.request(method, url, headers, credential)
        try:
            yield response
        finally:
            with contextlib.suppress(httpx.HTTPError):
                response.close()


def _read_origin(url: str) -> Origin:
    try:
        return origin_of(url)
    except ValueError:
        raise RequestError(url, "not a URL") from None


def _follow(response: httpx.Response, url: str) -> str:
    """The redirect's target, if it is one that may be followed."""
    location: str = response.headers.get("location", "")
    try:
        target = urljoin(url, location)
        scheme, host = urlsplit(target).scheme, urlsplit(target).hostname
    except ValueError:
        scheme, host, target = "", None, ""
    if not location or not host or scheme not in ("http", "https"):
        raise RequestError(url, "a redirect to nowhere, or to what is neither http nor https")
    if urlsplit(url).scheme == "https" and scheme == "http":
        raise RequestError(url, f"a redirect from https to http is not followed ({printable_url(target)})")
    return target


def _check_status(response: httpx.Response, url: str) -> None:
    status = response.status_code
    if 200 <= status < 300 or status in (304, 416):
        return
    if status in _TRANSIENT:
        wait = _read_retry_after(response.headers)
        if wait is not None and wait > _MAX_WAIT_SECONDS:
            problem = f"HTTP {status}: the server asks to wait for {wait:.0f} s; the next run tries again"
            raise RequestError(url, problem, status=status)
        raise TransientRequestError(url, f"HTTP {status}", status=status, retry_after_seconds=wait)
    if status in (401, 403):
        problem = f"HTTP {status}: access was refused; credentials come from the upstream's URL, netrc or keyring"
        raise RequestError(url, problem, status=status)
    raise RequestError(url, f"HTTP {status}", status=status)


def _read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait (RFC 9110, 10.2.3), given as a number or as a date."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max((moment - datetime.now(UTC)).total_seconds(), 0.0)


_backoff = tenacity.wait_random_exponential(multiplier=0.5, max=30)


def _wait(state: tenacity.RetryCallState) -> float:
    """What the server asked for, and some jitter so that not all come back at once; else a growing random time."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_seconds if isinstance(error, TransientRequestError) else None
    jitter = float(_backoff(state))
    return jitter if asked is None else asked + min(jitter, 1.0)


@contextlib.contextmanager
def _translated(url: str, transient: type[TransientRequestError] = TransientRequestError) -> Iterator[None]:
    """httpx's errors as ours; what may heal as ``transient``."""
    try:
        yield
    except _PERMANENT_ERRORS as error:
        raise RequestError(url, _describe(error)) from None
    except httpx.HTTPError as error:
        if _has_cause(error, ssl.SSLCertVerificationError):
            raise RequestError(url, f"the server's certificate is not trusted: {_describe(error)}") from None
        raise transient(url, _describe(error)) from None


def _describe(error: Exception) -> str:
    """The error in words; some of httpx's have none."""
    kind = type(error).__name__
    return f"{kind}: {error}" if str(error) else kind


def _has_cause(error: BaseException, kind: type[BaseException]) -> bool:
    seen: BaseException | None = error
    for _ in range(10):
        if seen is None or isinstance(seen, kind):
            break
        seen = seen.__cause__ or seen.__context__
    return isinstance(seen, kind)
