"""Whom to trust, and what to show, when a connection is made over TLS. The only user of truststore.

Certificates are always verified, with the name of the host.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import truststore

from pymirror.errors import ConfigurationError
from pymirror.spec.model import Network, Upstream


def needs_context(network: Network, upstreams: Sequence[Upstream]) -> bool:
    """Whether anything is said of TLS, or asked for by it; else a context takes its time for nothing."""
    own = any(each.ca_file or each.client_cert or each.url.startswith("https:") for each in upstreams)
    return own or network.ca_file is not None or any(map(os.environ.get, ("SSL_CERT_FILE", "SSL_CERT_DIR")))


_HASHED_NAME = re.compile(r"[0-9a-f]{8}\.[0-9]")  # as OpenSSL looks a certificate up in a folder


def make_ssl_context(
    network: Network, upstreams: Sequence[Upstream], *, read_host: Callable[[str], str]
) -> ssl.SSLContext:
    """The context of every connection: what an upstream has of its own holds for its host alone.

    ``read_host`` gives the host of a URL as the client asks for it: in ASCII, whatever the URL is written in.

    Raises :class:`ConfigurationError` where a file cannot be used.
    """
    common = _make_context(network)
    own: dict[str, ssl.SSLContext] = {}
    for upstream in upstreams:
        if upstream.ca_file is None and upstream.client_cert is None:
            continue
        context = own.setdefault(read_host(upstream.url), _make_context(network))
        if upstream.ca_file is not None:
            _trust(context, upstream.ca_file)
        if upstream.client_cert is not None:
            _show(context, upstream.client_cert, upstream.client_key)
    if not own:
        return common
    by_host = _ByHost(ssl.PROTOCOL_TLS_CLIENT)
    by_host.common, by_host.own = common, own
    return by_host


class _ByHost(ssl.SSLContext):
    """Hands every connection to the context of its host: so no host is shown the certificate that is for another."""

    common: ssl.SSLContext
    own: Mapping[str, ssl.SSLContext]

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        for context in (self.common, *self.own.values()):
            context.set_alpn_protocols(alpn_protocols)

    def wrap_socket(
        self,
        sock: socket.socket,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLSocket:
        context = self._of(server_hostname)
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
        return self._of(server_hostname).wrap_bio(incoming, outgoing, server_side, server_hostname, session)

    def _of(self, host: str | bytes | None) -> ssl.SSLContext:
        name = host.decode("ascii", errors="replace") if isinstance(host, bytes) else host or ""
        return self.own.get(name.lower(), self.common)


def _make_context(network: Network) -> ssl.SSLContext:
    """What OpenSSL's variables name; else the system's own trust store, as pip does; and the CAs of the spec."""
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    context: ssl.SSLContext
    if not file and not folder and not _has_trusted_files():
        context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    else:
        try:
            context = ssl.create_default_context(cafile=file or None, capath=folder or None)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(f"SSL_CERT_FILE or SSL_CERT_DIR cannot be used: {error}") from None
    if network.ca_file is not None:
        _trust(context, network.ca_file)
    return context


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
