"""What is left to httpx: proxies, of which it knows the settings and kinds, and URLs that are odd. Its only user."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from pymirror.errors import ConfigurationError
from pymirror.wire.interface import KEEP_SECONDS, MAX_CONNECTIONS, PORTS, Place, Reply, WireError


class ProxiedWire:
    """Raises :class:`ConfigurationError` where the proxies cannot be used."""

    def __init__(self, context: ssl.SSLContext, timeout_seconds: float) -> None:
        self.sockets: list[socket.socket] = []
        try:
            self._client = httpx.Client(
                verify=context,
                timeout=timeout_seconds,
                limits=httpx.Limits(
                    max_connections=8, max_keepalive_connections=MAX_CONNECTIONS, keepalive_expiry=KEEP_SECONDS
                ),
            )
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            # Their messages may quote the proxy's URL, and with it a password.
            hint = "look at HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY"
            raise ConfigurationError(f"the proxy settings cannot be used ({type(error).__name__})", hint=hint) from None

    def send(self, method: str, url: str, headers: Mapping[str, str]) -> Reply:
        with _translated():
            self._client.cookies.clear()
            asked = httpx.URL(url).copy_with(userinfo=b"")  # which a redirect may bring, and httpx would send
            extensions = {"trace": self._trace}
            request = self._client.build_request(method, asked, headers=dict(headers), extensions=extensions)
            return _ProxiedReply(self._client.send(request, auth=None, stream=True))

    def close(self) -> None:
        self._client.close()

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Learns of a new connection, plain or after its TLS handshake."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            opened = info["return_value"].get_extra_info("socket")
            self.sockets[:] = [known for known in self.sockets if known.fileno() != -1]
            if isinstance(opened, socket.socket):
                self.sockets.append(opened)


class _ProxiedReply:
    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = dict(response.headers)
        self._response = response

    def pieces(self) -> Iterator[bytes]:
        with _translated():
            yield from self._response.iter_raw()

    def close(self) -> None:
        with contextlib.suppress(WireError), _translated():
            self._response.close()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL, UnicodeError) as error:
        raise WireError(type(error).__name__, str(error), is_permanent=True) from error
    except httpx.HTTPError as error:
        raise WireError(type(error).__name__, str(error)) from error


def read_odd_url(url: str) -> tuple[Place, str, str]:
    """As :func:`pymirror.wire.direct.read_url` does, of any URL."""
    with _translated():
        parsed = httpx.URL(url)
    if parsed.scheme not in PORTS:
        raise WireError("UnsupportedProtocol", f'"{parsed.scheme}" is neither http nor https', is_permanent=True)
    place = (parsed.scheme, parsed.raw_host.decode("ascii"), parsed.port or PORTS[parsed.scheme])
    return place, parsed.netloc.decode("ascii"), parsed.raw_path.decode("ascii")
