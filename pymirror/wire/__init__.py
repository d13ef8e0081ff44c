"""One HTTP/1.1 request at a time: straight to a server, or through a proxy."""

import os
import sys
from collections.abc import Callable
from functools import partial

from pymirror.wire.direct import PIECE_BYTES, DirectWire, read_url
from pymirror.wire.interface import Contexts, Reply, Wire, WireError

__all__ = ["Contexts", "Reply", "Wire", "WireError", "make_opener", "read_host"]


def make_opener(contexts: Contexts, *, timeout_seconds: float, piece_bytes: int | None = None) -> Callable[[], Wire]:
    """What opens a wire: through the proxies that the environment names now, or straight to the servers.

    Straight to a server, no more than ``piece_bytes`` are read of a body at a time. What is returned raises
    :class:`pymirror.errors.ConfigurationError` where the proxies cannot be used.
    """
    if not _has_proxies():
        return partial(DirectWire, contexts, timeout_seconds, min(piece_bytes or PIECE_BYTES, PIECE_BYTES))
    from pymirror.wire.proxied import ProxiedWire

    return lambda: ProxiedWire(contexts.as_one(), timeout_seconds)


def read_host(url: str) -> str:
    """The host as TLS names it: in ASCII, by IDNA; empty where it is none, to which no request goes."""
    try:
        return read_url(url)[0][1]
    except WireError:
        return ""


def _has_proxies() -> bool:
    is_in_settings = sys.platform in ("darwin", "win32")  # the system's own may name some
    if not is_in_settings and not any(name.lower().endswith("_proxy") for name in os.environ):
        return False
    from urllib.request import getproxies  # late, since it takes some time to read

    return any(scheme != "no" for scheme in getproxies())
