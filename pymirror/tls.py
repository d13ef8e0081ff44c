"""Whom to trust, and what to show, when a connection is made over TLS. The only user of truststore.

Certificates are always verified, with the name of the host.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NoReturn

from pymirror.errors import ConfigurationError
from pymirror.spec.model import Network, Upstream

_HASHED_NAME = re.compile(r"[0-9a-f]{8}\.[0-9]")  # as OpenSSL looks a certificate up in a folder


class Trust:
    """The context of every connection, by its host: what an upstream has of its own holds for its host alone.

    Each is made when it is first asked for, since the trust store of the system takes some time to read. What is wrong
    with a file is told at once, by :class:`ConfigurationError`. ``read_host`` gives the host of a URL as the client
    asks for it: in ASCII, whatever the URL is written in.
    """

    def __init__(self, network: Network, upstreams: Sequence[Upstream], *, read_host: Callable[[str], str]) -> None:
        self._network = network
        self._own: dict[str, list[Upstream]] = {}
        self._made: dict[str | None, ssl.SSLContext] = {}
        self._lock = threading.Lock()
        for upstream in upstreams:
            if upstream.ca_file is not None or upstream.client_cert is not None:
                self._own.setdefault(read_host(upstream.url), []).append(upstream)
        named = [each for group in self._own.values() for each in group]
        if named or network.ca_file is not None:
            _add_files(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), network, named)
        hosts = {read_host(upstream.url) for upstream in upstreams if upstream.url.startswith("https:")}
        if not hosts and any(map(os.environ.get, ("SSL_CERT_FILE", "SSL_CERT_DIR"))):
            hosts = {""}  # files may come over TLS where the pages do not
        for host in hosts:
            self.of(host)

    def of(self, host: str) -> ssl.SSLContext:
        """The context of connections to ``host``. For any number of threads."""
        key = host if host in self._own else None
        with self._lock:
            if key not in self._made:
                context = _make_context()
                _add_files(context, self._network, self._own.get(key, ()) if key is not None else ())
                self._made[key] = context
            return self._made[key]

    def as_one(self) -> ssl.SSLContext:
        """All of them as one, for a client that knows no other way."""
        context = _ByHost(ssl.PROTOCOL_TLS_CLIENT)
        context.of = self.of
        return context


class _ByHost(ssl.SSLContext):
    """Hands every connection to the context of its host: so no host is shown the certificate that is for another."""

    of: Callable[[str], ssl.SSLContext]
    alpn_protocols: tuple[str, ...] = ()

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        self.alpn_protocols = tuple(alpn_protocols)

    def wrap_socket(
        self,
        sock: socket.socket,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLSocket:
        context = self._find(server_hostname)
        return context.wrap_socket(
            sock, server_side, do_handshake_on_connect, suppress_ragged_eofs, server_hostname, session
        )

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        return self._find(server_hostname).wrap_bio(incoming, outgoing, server_side, server_hostname, session)

    def _find(self, host: str | bytes | None) -> ssl.SSLContext:
        name = host.decode("ascii", errors="replace") if isinstance(host, bytes) else host or ""
        context = self.of(name.lower())
        if self.alpn_protocols:
            context.set_alpn_protocols(self.alpn_protocols)
        return context


def _make_context() -> ssl.SSLContext:
    """What OpenSSL's variables name; else the system's own trust store, as pip does."""
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if not file and not folder and not _has_trusted_files():
        import truststore  # late, since most systems do without it

        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        return ssl.create_default_context(cafile=file or None, capath=folder or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"SSL_CERT_FILE or SSL_CERT_DIR cannot be used: {error}") from None


def _add_files(context: ssl.SSLContext, network: Network, upstreams: Sequence[Upstream]) -> None:
    """The CAs and the certificates of the spec."""
    if network.ca_file is not None:
        _trust(context, network.ca_file)
    for upstream in upstreams:
        if upstream.ca_file is not None:
            _trust(context, upstream.ca_file)
        if upstream.client_cert is not None:
            _show(context, upstream.client_cert, upstream.client_key)


def _has_trusted_files() -> bool:
    """Whether OpenSSL itself finds the system's trust store, as on nearly every Linux.

    truststore would do no more there, but it reads the store anew for every connection, and lets no two of them shake
    hands at the same time.
    """
    if sys.platform in ("darwin", "win32"):
        return False
    paths = ssl.get_default_verify_paths()
    try:
        names = os.listdir(paths.capath) if paths.capath else []  # noqa: PTH208 - names are all it takes
    except OSError:
        names = []
    return bool(paths.cafile) or any(map(_HASHED_NAME.fullmatch, names))


def _trust(context: ssl.SSLContext, file: Path) -> None:
    try:
        context.load_verify_locations(cafile=file)
    except (OSError, ssl.SSLError) as error:
        hint = "a PEM file with the certificates of the CAs is needed"
        raise ConfigurationError(f"ca-file: {file}: {_describe(error)}", hint=hint) from None


def _show(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    try:
        context.load_cert_chain(certificate, key, password=_refuse)
    except (OSError, ssl.SSLError) as error:
        named = f"{certificate} with {key}" if key is not None else f"{certificate}"
        hint = "a PEM file with the certificate is needed, and its key in the same file or under client-key:"
        raise ConfigurationError(f"client-cert: {named}: {_describe(error)}", hint=hint) from None


def _refuse() -> NoReturn:
    """Asked for the password of a key: nobody is there at night to type it."""
    raise ssl.SSLError("the key is encrypted; give one without a password, which nobody else can read")


def _describe(error: OSError) -> str:
    """The error in words; that of a missing file names none of them."""
    if isinstance(error, ssl.SSLError):
        return str(error.args[-1] if error.args else error)
    return error.strerror or type(error).__name__
