"""What a wire is, whichever way it goes."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import Protocol

MAX_CONNECTIONS = 4
"""Of a wire, each to another server: pages and files, or what redirects lead to."""

KEEP_SECONDS = 30.0
"""So long a connection is kept that is not used."""

PORTS = {"http": 80, "https": 443}

Place = tuple[str, str, int]
"""Scheme, host and port."""


class WireError(Exception):
    """There is no answer, or none that can be understood. What ``is_permanent`` will not be another time."""

    def __init__(self, kind: str, problem: str, *, is_permanent: bool = False) -> None:
        super().__init__(f"{kind}: {problem}" if problem else kind)
        self.is_permanent = is_permanent


class Contexts(Protocol):
    """Whom to trust, by host; :class:`pymirror.tls.Trust` does."""

    def of(self, host: str) -> ssl.SSLContext:
        """The context of connections to ``host``. For any number of threads."""

    def as_one(self) -> ssl.SSLContext:
        """All of them as one, for a client that knows no other way."""


class Reply(Protocol):
    """The head of an answer, and its body. The names of ``headers`` are in lower case; several of a name are joined."""

    status: int
    headers: Mapping[str, str]

    def pieces(self) -> Iterator[bytes]:
        """The body as it is stored, once. Raises :class:`WireError`."""

    def close(self) -> None:
        """Must be called, whether the body was read or not; it raises nothing that matters."""


class Wire(Protocol):
    """Serves one request at a time. ``sockets`` are those that it has open."""

    sockets: list[socket.socket]

    def send(self, method: str, url: str, headers: Mapping[str, str]) -> Reply:
        """The head of the answer; the body is read from it, and it is closed then. Raises :class:`WireError`."""

    def close(self) -> None:
        """Closes the connections."""
