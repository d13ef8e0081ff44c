"""Asks a hosted tree what clients would ask, a bounded number of times; and looks at its certificate."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

from pymirror.commands.doctor_seen import MAX_REQUESTS, UNASKED, Certificate, Reply
from pymirror.errors import RequestError, TransientRequestError, printable_url
from pymirror.progress import Progress
from pymirror.spec.model import Network
from pymirror.transport import Answer, Transport

NETWORK = Network(max_redirects=0, retries=0, connections=1, timeout_seconds=15)
"""A redirect is a thing to be seen, so each is asked for here and followed by nobody else."""

_TIMEOUT_SECONDS = 60.0
_MAX_PAGE_BYTES = 64 * 1024 * 1024
_MAX_REDIRECTS = 5


class Prober:
    """Asks, and counts. ``left`` is how many questions may still be asked."""

    def __init__(self, transport: Transport, progress: Progress) -> None:
        self._transport = transport
        self._progress = progress
        self.left = MAX_REQUESTS

    @property
    def spent(self) -> int:
        return MAX_REQUESTS - self.left

    def ask(
        self,
        url: str,
        *,
        accept: str = "*/*",
        headers: Mapping[str, str] | None = None,
        method: str = "GET",
        follow: bool = False,
        max_file_bytes: int | None = None,
    ) -> Reply:
        """The answer, whatever it is: a page unpacked; with ``max_file_bytes`` a file, as it comes over the line."""
        said = {"Accept": accept, **(headers or {})}
        redirects: list[str] = []
        reply = self._ask_once(url, said, method, max_file_bytes)
        while reply.redirects and len(redirects) < _MAX_REDIRECTS:
            redirects.extend(reply.redirects)
            if not follow:
                break
            reply = self._ask_once(redirects[-1], said, method, max_file_bytes)
        return Reply(
            asked=url,
            url=reply.url,
            status=reply.status,
            headers=reply.headers,
            body=reply.body,
            redirects=tuple(redirects),
            problem=reply.problem or ("a redirect" if redirects and not reply.status else ""),
        )

    def _ask_once(self, url: str, headers: Mapping[str, str], method: str, max_file_bytes: int | None) -> Reply:
        """As often as twice, where a connection broke: an idle one may have been closed just then."""
        reply = self._send(url, headers, method, max_file_bytes)
        if not reply.is_broken:
            return reply
        return self._send(url, headers, method, max_file_bytes)

    def _send(self, url: str, headers: Mapping[str, str], method: str, max_file_bytes: int | None) -> Reply:
        if self.left <= 0:
            return Reply(asked=url, url=url, problem=UNASKED)
        self.left -= 1
        self._progress.item()
        self._progress.note(f"{method} {printable_url(url)}")
        try:
            with self._transport.get(url, headers=headers, timeout_seconds=_TIMEOUT_SECONDS, method=method) as answer:
                return Reply(
                    asked=url,
                    url=url,
                    status=answer.status,
                    headers={name.lower(): value for name, value in answer.headers.items()},
                    # What has no body may say how it would be packed.
                    body=b"" if method == "HEAD" or answer.status == 304 else _read(answer, max_file_bytes),
                )
        except RequestError as error:
            is_transient = isinstance(error, TransientRequestError)
            if error.status is not None:
                return Reply(asked=url, url=url, status=error.status)
            # The transport is told to follow no redirect, and its error names the URL that it would have gone to.
            if error.url != url and not is_transient:
                return Reply(asked=url, url=url, redirects=(error.url,))
            return Reply(asked=url, url=url, problem=error.problem, is_broken=is_transient)


def _read(answer: Answer, max_file_bytes: int | None) -> bytes:
    if max_file_bytes is None:
        return answer.read(max_bytes=_MAX_PAGE_BYTES)
    body = bytearray()
    for chunk in answer.stored_chunks():
        body += chunk
        if len(body) > max_file_bytes:
            raise RequestError(answer.url, f"the file is larger than {max_file_bytes} bytes")
    return bytes(body)


def look_at_certificate(url: str) -> Certificate | None:
    """What the server of an https URL shows; ``None`` where it cannot be reached so, as behind a proxy."""
    parts = urlsplit(url)
    if parts.scheme != "https" or parts.hostname is None:
        return None
    try:
        with (
            socket.create_connection((parts.hostname, parts.port or 443), timeout=NETWORK.timeout_seconds) as plain,
            ssl.create_default_context().wrap_socket(plain, server_hostname=parts.hostname) as secure,
        ):
            shown = secure.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        return Certificate(problem=error.verify_message)
    except (OSError, ValueError):
        return None
    with contextlib.suppress(KeyError, ValueError):
        return Certificate(expires=datetime.fromtimestamp(ssl.cert_time_to_seconds(str(shown["notAfter"])), UTC))
    return Certificate()
