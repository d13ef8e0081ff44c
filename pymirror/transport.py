"""One HTTP request, done well. With :mod:`pymirror.wire` the only user of httpx; the only one of tenacity.

Every request is bounded in time, redirects and size, keeps to http(s), never goes from https to http, and sends a
credential to its own origin only.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
import zlib
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache, partial
from importlib.metadata import version
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import httpx
import tenacity

from pymirror.credentials import Credentials, Origin, origin_of
from pymirror.errors import (
    RequestError,
    TransientRequestError,
    UnansweredError,
    printable,
    printable_url,
)
from pymirror.progress import Progress
from pymirror.rate import Rate
from pymirror.reachability import Reachability
from pymirror.spec.model import Network, Upstream
from pymirror.tls import make_ssl_context, needs_context
from pymirror.wire import Wire, open_wire
from pymirror.workers import Deadline, Stop, Watchdog

R = TypeVar("R")

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504, 507, 509, 520, 521, 522, 523, 524})
_MAX_WAIT_SECONDS = 300.0
_LOOK_SECONDS = 0.2

LARGE_BYTES = 4 * 1024 * 1024
"""An answer of more bytes waits until no other such answer is in memory; nearly all pages are smaller."""

# UnicodeError is what a host name that is none raises, down to the resolver.
_PERMANENT_ERRORS = (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL, UnicodeError)


class Answer:
    """The head of an answer, and its body as it arrives."""

    def __init__(
        self,
        response: httpx.Response,
        url: str,
        *,
        deadline: Deadline,
        stop: Stop,
        rate: Rate | None,
        take_turn: Callable[[Deadline], None],
    ) -> None:
        self.url = url
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._deadline = deadline
        self._stop = stop
        self._rate = rate
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

    def read(self, *, max_bytes: int, max_stored_bytes: int | None = None) -> bytes:
        """The whole body with its content encoding undone. Raises :class:`RequestError` beyond ``max_bytes``, and where
        more than ``max_stored_bytes`` come over the line.

        Unpacked here, and not by httpx, which unpacks a whole chunk, and encodings upon encodings, before it can be
        stopped. Of answers that are large, one is held at a time: memory must not grow with the connections.
        """
        encoding = self.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "gzip", "x-gzip", "deflate"):
            raise RequestError(self.url, f'the content encoding "{encoding}" was not asked for')
        unpack = None if encoding == "identity" else zlib.decompressobj(wbits=47)  # gzip or zlib, by its first bytes
        most = max_bytes if max_stored_bytes is None else min(max_bytes, max_stored_bytes)
        if (self.content_length or 0) > most:
            raise RequestError(self.url, f"the answer is larger than {most} bytes")
        body = bytearray()
        has_turn = False
        stored_bytes = 0
        for chunk in self.stored_chunks():
            stored_bytes += len(chunk)
            if max_stored_bytes is not None and stored_bytes > max_stored_bytes:
                raise RequestError(self.url, f"the answer is larger than {max_stored_bytes} bytes")
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
        with _translated(self.url, self._stop):
            for chunk in chunks:
                self._wait_for_rate(len(chunk))
                self._stop.check()
                yield chunk
            if not self.is_delimited:  # it ends where its connection does, and the watchdog may have ended that
                self._stop.check()
            if self._deadline.is_over:
                raise TransientRequestError(self.url, "the answer was cut off")

    def _wait_for_rate(self, size: int) -> None:
        """Waits until ``size`` bytes may have come; that is no fault of the server's, and takes none of its time."""
        wait = self._rate.take(size) if self._rate is not None else 0.0
        if wait > 0:
            self._deadline.extend(wait)  # at first: the watchdog looks at it meanwhile
            self._stop.sleep(wait)


class Transport:
    """Makes requests from any number of threads, with one pool of connections and limits for each host and for all."""

    def __init__(
        self, network: Network, credentials: Credentials, stop: Stop, *, upstreams: Sequence[Upstream] = ()
    ) -> None:
        self._network = network
        self._credentials = credentials
        self._stop = stop
        self._lock = threading.Lock()
        self._large = threading.Lock()
        self._ssl = cache(partial(make_ssl_context, network, upstreams, read_host=_read_host))
        if needs_context(network, upstreams):
            self._ssl()  # what is wrong with it is said before anything is asked
        # The last one returned is the next one used, so that its connection is warm.
        self._idle: deque[Wire] = deque()
        self._watchdog = Watchdog()
        self._hosts: dict[Origin, threading.BoundedSemaphore] = {}
        self._all = threading.BoundedSemaphore(network.connections)
        self._rate = Rate(network.max_rate, clock=stop.clock) if network.max_rate is not None else None
        self._reachability = Reachability(stop)
        self._user_agent = f"pymirror/{version('pymirror')}"
        self._idle.append(self._open())

    def close(self) -> None:
        """Closes every idle connection."""
        self._watchdog.close()
        while self._idle:
            self._idle.pop().close()

    @contextlib.contextmanager
    def get(
        self, url: str, *, headers: Mapping[str, str], timeout_seconds: float, method: str = "GET"
    ) -> Iterator[Answer]:
        """The answer to GET ``url`` (or HEAD), redirects followed: 2xx, 304 or 416.

        ``timeout_seconds`` bounds the whole request with its body. Raises :class:`TransientRequestError` for what may
        heal (:class:`UnansweredError` where no answer came), else :class:`RequestError`.
        """
        deadline: Deadline | None = None
        try:
            for _ in range(self._network.max_redirects + 1):
                self._stop.check()
                with self._slot(url), self._wire() as wire:
                    # The time starts with the connection: to wait for one's turn is no fault of the server's.
                    deadline = deadline or Deadline(timeout_seconds, stop=self._stop)
                    with (
                        contextlib.ExitStack() as turn,
                        self._watchdog.watch(wire.sockets, deadline),
                        self._send(wire, method, url, headers) as response,
                    ):
                        if response.status_code not in _REDIRECTS:
                            _check_status(response, url)
                            take_turn = partial(self._take_turn, turn, url)
                            yield Answer(
                                response, url, deadline=deadline, stop=self._stop, rate=self._rate, take_turn=take_turn
                            )
                            return
                        url = _follow(response, url)
            raise RequestError(url, f"more than {self._network.max_redirects} redirects")
        except TransientRequestError as error:
            if deadline is not None and deadline.is_over:
                kind = UnansweredError if isinstance(error, UnansweredError) else TransientRequestError
                raise kind(url, f"it took longer than {timeout_seconds:g} s in all") from None
            raise

    def retry(self, call: Callable[[], R], *, progress: Progress) -> R:
        """``call()``, again as long as it raises :class:`TransientRequestError` and the retries last."""
        self._stop.check()

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

    def _take_turn(self, turn: contextlib.ExitStack, url: str, deadline: Deadline) -> None:
        """Waits until no other large answer is in memory, and keeps the place until ``turn`` ends."""
        while not self._large.acquire(timeout=_LOOK_SECONDS):
            self._stop.check()
            if self._rate is not None:
                deadline.extend(_LOOK_SECONDS)  # the others may be waiting for it
            elif deadline.is_over:
                raise TransientRequestError(url, "other large answers took all the time")
        turn.callback(self._large.release)

    @contextlib.contextmanager
    def _slot(self, url: str) -> Iterator[None]:
        """A place among the connections to the URL's host, then among all: who waits for a host keeps no other back."""
        origin = _read_origin(url)
        with self._lock:
            slots = self._hosts.setdefault(origin, threading.BoundedSemaphore(self._network.connections_per_host))
        with slots, self._all:
            self._stop.check()  # the wait may have been long
            yield

    @contextlib.contextmanager
    def _wire(self) -> Iterator[Wire]:
        try:
            wire = self._idle.pop()
        except IndexError:
            wire = self._open()
        try:
            yield wire
        finally:
            self._idle.append(wire)

    def _open(self) -> Wire:
        piece_bytes = self._rate.share(self._network.connections) if self._rate is not None else None
        return open_wire(self._ssl, timeout_seconds=self._network.timeout_seconds, piece_bytes=piece_bytes)

    def _request(
        self, wire: Wire, method: str, url: str, headers: Mapping[str, str], credential: tuple[str, str] | None
    ) -> httpx.Response:
        """The head of the answer; the body is read from it."""
        own = {"User-Agent": self._user_agent, "Accept": "*/*", "Accept-Encoding": "gzip", **headers}
        if credential is not None:
            own["Authorization"] = "Basic " + b64encode(":".join(credential).encode()).decode("ascii")
        with _translated(url, self._stop, UnansweredError):
            return wire.send(method, url, own)

    @contextlib.contextmanager
    def _send(self, wire: Wire, method: str, url: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        credential = self._credentials.find(url)
        origin = _read_origin(url)
        with self._reachability.attempt(origin, url):
            response = self._request(wire, method, url, headers, credential)
            self._reachability.answered(origin)
        if response.status_code == 401 and credential is None:
            credential = self._credentials.ask_keyring(url)
            if credential is not None:
                response.close()
                response = self._request(wire, method, url, headers, credential)
        try:
            yield response
        finally:
            with contextlib.suppress(httpx.HTTPError):
                response.close()


def _read_host(url: str) -> str:
    """The host as TLS names it: in ASCII, by IDNA; empty where it is none, to which no request goes."""
    try:
        return httpx.URL(url).raw_host.decode("ascii")
    except httpx.InvalidURL:
        return ""


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
def _translated(url: str, stop: Stop, transient: type[RequestError] = TransientRequestError) -> Iterator[None]:
    """httpx's errors as ours; what may heal as ``transient``. What ``stop`` ended is nobody's error."""
    try:
        yield
    except _PERMANENT_ERRORS as error:
        raise RequestError(url, _describe(error)) from None
    except httpx.HTTPError as error:
        if _has_cause(error, ssl.SSLCertVerificationError):
            raise RequestError(url, f"the server's certificate is not trusted: {_describe(error)}") from None
        stop.check()
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
