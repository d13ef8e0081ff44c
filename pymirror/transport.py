"""One HTTP request, done well. The only user of tenacity.

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
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urljoin, urlsplit

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
from pymirror.tls import Trust
from pymirror.wire import Reply, Wire, WireError, make_opener, read_host
from pymirror.workers import Deadline, Stop, Watchdog

if TYPE_CHECKING:
    from tenacity import RetryCallState

R = TypeVar("R")

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504, 507, 509, 520, 521, 522, 523, 524})
_MAX_WAIT_SECONDS = 300.0
_LOOK_SECONDS = 0.2

LARGE_BYTES = 4 * 1024 * 1024
"""An answer of more bytes waits until no other such answer is in memory; nearly all pages are smaller."""


class Answer:
    """The head of an answer, and its body as it arrives."""

    def __init__(
        self,
        reply: Reply,
        url: str,
        *,
        deadline: Deadline,
        stop: Stop,
        rate: Rate | None,
        take_turn: Callable[[Deadline], None],
    ) -> None:
        self.url = url
        self.status = reply.status
        self.headers = reply.headers
        self._reply = reply
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
        return self._checked(self._reply.pieces())

    def read(self, *, max_bytes: int, max_stored_bytes: int | None = None) -> bytes:
        """The whole body with its content encoding undone. Raises :class:`RequestError` beyond ``max_bytes``, and where
        more than ``max_stored_bytes`` come over the line.

        Unpacked piece by piece, so that it can be stopped. Of answers that are large, one is held at a time: memory
        must not grow with the connections.
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
            if unpack is not None and unpack.unused_data:  # it would be kept, and copied with each piece
                raise TransientRequestError(self.url, "there is more behind the end of the packed answer")
        if unpack is not None and not unpack.eof:
            raise TransientRequestError(self.url, "the packed answer was cut off")
        return bytes(body)

    def _checked(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        try:
            for chunk in chunks:
                self._wait_for_rate(len(chunk))
                self._stop.check()
                yield chunk
        except WireError as error:
            raise _translate(error, self.url, self._stop, TransientRequestError) from None
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
        trust = Trust(network, upstreams, read_host=read_host)
        # The last one returned is the next one used, so that its connection is warm.
        self._idle: deque[Wire] = deque()
        self._watchdog = Watchdog()
        self._hosts: dict[Origin, threading.BoundedSemaphore] = {}
        self._all = threading.BoundedSemaphore(network.connections)
        self._rate = Rate(network.max_rate, clock=stop.clock) if network.max_rate is not None else None
        self._reachability = Reachability(stop)
        self._open = make_opener(
            trust,
            timeout_seconds=network.timeout_seconds,
            piece_bytes=self._rate.share(network.connections) if self._rate is not None else None,
        )
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
                origin = _read_origin(url)
                # Who waits for a place among the connections to a host keeps none back that asks another.
                with self._slots(origin), self._all, contextlib.ExitStack() as stack:
                    self._stop.check()  # the wait may have been long
                    wire = self._take_wire()
                    stack.callback(self._idle.append, wire)
                    # The time starts with the connection: to wait for one's turn is no fault of the server's.
                    deadline = deadline or Deadline(timeout_seconds, stop=self._stop)
                    stack.enter_context(self._watchdog.watch(wire.sockets, deadline))
                    reply = self._send(wire, method, url, origin, headers)
                    stack.callback(reply.close)
                    if reply.status not in _REDIRECTS:
                        _check_status(reply, url)
                        take_turn = partial(self._take_turn, stack, url)
                        yield Answer(
                            reply, url, deadline=deadline, stop=self._stop, rate=self._rate, take_turn=take_turn
                        )
                        return
                    url = _follow(reply, url)
            raise RequestError(url, f"more than {self._network.max_redirects} redirects")
        except TransientRequestError as error:
            if deadline is not None and deadline.is_over:
                kind = UnansweredError if isinstance(error, UnansweredError) else TransientRequestError
                raise kind(url, f"it took longer than {timeout_seconds:g} s in all") from None
            raise

    def retry(self, call: Callable[[], R], *, progress: Progress) -> R:
        """``call()``, again as long as it raises :class:`TransientRequestError` and the retries last."""
        self._stop.check()
        try:
            try:
                return call()
            except TransientRequestError as error:
                return self._call_again(call, error, progress)
        except UnansweredError as error:
            origin = _read_origin(error.url)
            if self._reachability.give_up_on(origin):
                server = f"{origin[0]}://{origin[1]}:{origin[2]}"
                progress.warn(f"{printable(server)} does not answer; it is tried once a minute, and not for each file")
            raise

    def _call_again(self, call: Callable[[], R], failure: TransientRequestError, progress: Progress) -> R:
        """What :meth:`retry` does after the first attempt ended with ``failure``: nearly all end well."""
        import tenacity  # late, since it takes some time to read

        failures = [failure]

        def attempt() -> R:
            if failures:
                raise failures.pop()
            return call()

        def announce(state: tenacity.RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            wait = state.next_action.sleep if state.next_action else 0.0
            progress.note(f"{error}; attempt {state.attempt_number + 1} in {wait:.1f} s")

        backoff = tenacity.wait_random_exponential(multiplier=0.5, max=30)
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TransientRequestError),
            stop=tenacity.stop_after_attempt(self._network.retries + 1),
            wait=lambda state: _wait(state, float(backoff(state))),
            sleep=self._stop.sleep,
            before_sleep=announce,
            reraise=True,
        )
        return retrying(attempt)

    def _take_turn(self, turn: contextlib.ExitStack, url: str, deadline: Deadline) -> None:
        """Waits until no other large answer is in memory, and keeps the place until ``turn`` ends."""
        while not self._large.acquire(timeout=_LOOK_SECONDS):
            self._stop.check()
            if self._rate is not None:
                deadline.extend(_LOOK_SECONDS)  # the others may be waiting for it
            elif deadline.is_over:
                raise TransientRequestError(url, "other large answers took all the time")
        turn.callback(self._large.release)

    def _slots(self, origin: Origin) -> threading.BoundedSemaphore:
        """The places among the connections to a host."""
        slots = self._hosts.get(origin)
        if slots is None:
            with self._lock:
                slots = self._hosts.setdefault(origin, threading.BoundedSemaphore(self._network.connections_per_host))
        return slots

    def _take_wire(self) -> Wire:
        try:
            return self._idle.pop()
        except IndexError:
            return self._open()

    def _request(
        self, wire: Wire, method: str, url: str, headers: Mapping[str, str], credential: tuple[str, str] | None
    ) -> Reply:
        """The head of the answer; the body is read from it."""
        own = {"User-Agent": self._user_agent, "Accept": "*/*", "Accept-Encoding": "gzip", **headers}
        if credential is not None:
            own["Authorization"] = "Basic " + b64encode(":".join(credential).encode()).decode("ascii")
        try:
            return wire.send(method, url, own)
        except WireError as error:
            raise _translate(error, url, self._stop, UnansweredError) from None

    def _send(self, wire: Wire, method: str, url: str, origin: Origin, headers: Mapping[str, str]) -> Reply:
        credential = self._credentials.find(url)
        with self._reachability.attempt(origin, url):
            reply = self._request(wire, method, url, headers, credential)
            self._reachability.answered(origin)
        if reply.status == 401 and credential is None:
            credential = self._credentials.ask_keyring(url)
            if credential is not None:
                reply.close()
                reply = self._request(wire, method, url, headers, credential)
        return reply


def _read_origin(url: str) -> Origin:
    try:
        return origin_of(url)
    except ValueError:
        raise RequestError(url, "not a URL") from None


def _follow(reply: Reply, url: str) -> str:
    """The redirect's target, if it is one that may be followed."""
    location = reply.headers.get("location", "")
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


def _check_status(reply: Reply, url: str) -> None:
    status = reply.status
    if 200 <= status < 300 or status in (304, 416):
        return
    if status in _TRANSIENT:
        wait = _read_retry_after(reply.headers)
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


def _wait(state: RetryCallState, jitter: float) -> float:
    """What the server asked for, and some jitter so that not all come back at once; else a growing random time."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_seconds if isinstance(error, TransientRequestError) else None
    return jitter if asked is None else asked + min(jitter, 1.0)


def _translate(error: WireError, url: str, stop: Stop, transient: type[RequestError]) -> RequestError:
    """``error`` as ours; what may heal as ``transient``. What ``stop`` ended is nobody's error."""
    if error.is_permanent:
        return RequestError(url, str(error))
    if _has_cause(error, ssl.SSLCertVerificationError):
        return RequestError(url, f"the server's certificate is not trusted: {error}")
    stop.check()
    return transient(url, str(error))


def _has_cause(error: BaseException, kind: type[BaseException]) -> bool:
    seen: BaseException | None = error
    for _ in range(10):
        if seen is None or isinstance(seen, kind):
            break
        seen = seen.__cause__ or seen.__context__
    return isinstance(seen, kind)
