"""Who asks: credentials from the spec, netrc and keyring, each sent to its own origin and nowhere else."""

from __future__ import annotations

import netrc
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from pymirror.errors import ConfigurationError
from pymirror.spec.model import Upstream

Credential = tuple[str, str]
Origin = tuple[str, str, int]

_PORTS = {"http": 80, "https": 443}


def origin_of(url: str) -> Origin:
    """(scheme, host, port): where a credential is at home (RFC 6454). Raises :class:`ValueError`."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme, 0)


class Credentials:
    """Looks up the user and password for a URL."""

    def __init__(self, upstreams: Sequence[Upstream], environ: Mapping[str, str]) -> None:
        self._lock = threading.Lock()
        self._upstream_urls = {origin_of(upstream.url): upstream.url for upstream in upstreams}
        self._known: dict[Origin, Credential | None] = {}
        for upstream in upstreams:
            if upstream.credentials is not None:
                self._known[origin_of(upstream.url)] = upstream.credentials
        self._netrc = _read_netrc(environ)

    def find(self, url: str) -> Credential | None:
        """What to send with the first request to ``url``."""
        origin = origin_of(url)
        known = self._known.get(origin)
        if known is not None:
            return known
        # netrc knows hosts only; another port of the host may be another's service.
        is_at_home = origin in self._upstream_urls or origin[2] == _PORTS.get(origin[0])
        return self._netrc.get(origin[1]) if is_at_home else None

    def ask_keyring(self, url: str) -> Credential | None:
        """What the user's keyring holds for ``url``, asked once an origin, after a 401.

        Only for the origins of configured upstreams: a page must not be able to have other passwords looked up.
        """
        origin = origin_of(url)
        with self._lock:
            if origin in self._known or origin not in self._upstream_urls:
                return None
            self._known[origin] = found = _ask_keyring(self._upstream_urls[origin], origin[1])
            return found


def _ask_keyring(url: str, host: str) -> Credential | None:
    from unearth.auth import get_keyring_auth  # the import costs more than a start-up may

    return get_keyring_auth(url, None) or get_keyring_auth(host, None)


def _read_netrc(environ: Mapping[str, str]) -> dict[str, Credential]:
    """The ``machine`` entries of netrc. Its ``default`` entry is left out: it would go to every host."""
    named = environ.get("NETRC")
    path = Path(named) if named else Path(environ.get("HOME") or Path.home()) / ".netrc"
    try:
        hosts = netrc.netrc(os.fspath(path)).hosts
    except FileNotFoundError:
        return {}
    except (netrc.NetrcParseError, OSError, UnicodeDecodeError) as error:
        # The parser's message may quote the line, and with it a password.
        raise ConfigurationError(f"{path}: cannot be read as netrc ({type(error).__name__})") from None
    return {host.lower(): (login, password) for host, (login, _, password) in hosts.items() if host != "default"}
