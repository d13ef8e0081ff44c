"""Who asks: credentials from the spec, netrc and keyring, each sent to its own origin and nowhere else."""

from __future__ import annotations

import netrc
import os
import threading
from collections.abc import Mapping, Sequence
from itertools import takewhile
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
        self._upstreams = tuple((origin_of(upstream.url), upstream) for upstream in upstreams)
        self._netrc = _read_netrc(environ)
        self._lock = threading.Lock()
        self._keyring: dict[str, Credential | None] = {}

    def find(self, url: str) -> Credential | None:
        """What to send with the first request to ``url``."""
        origin = origin_of(url)
        upstream = self._upstream_of(origin, url)
        if upstream is not None and upstream.credentials is not None:
            user, password = upstream.credentials
            if password is not None:
                return user, password
            # As pip reads `https://user@host/`: the keyring has the password, else there is none (a token as the user).
            return self._ask_keyring(upstream, user) or (user, "")
        if upstream is not None and (known := self._keyring.get(upstream.url)) is not None:
            return known
        scheme, host, port = origin
        # netrc knows hosts only; another port of the host may be another's service.
        return self._netrc.get(host) if upstream is not None or port == _PORTS.get(scheme) else None

    def ask_keyring(self, url: str) -> Credential | None:
        """What the user's keyring holds for the upstream at ``url``, asked once, after a 401.

        Only for configured upstreams: a page must not be able to have other passwords looked up.
        """
        upstream = self._upstream_of(origin_of(url), url)
        return self._ask_keyring(upstream, None) if upstream is not None else None

    def _upstream_of(self, origin: Origin, url: str) -> Upstream | None:
        """The upstream of the URL's origin; of several, as in pip, the one whose path has most in common with its."""
        candidates = [upstream for home, upstream in self._upstreams if home == origin]
        if len(candidates) < 2:
            return candidates[0] if candidates else None
        path = urlsplit(url).path
        return max(
            candidates,
            key=lambda upstream: _count_shared_folders(urlsplit(upstream.url).path, path),
        )

    def _ask_keyring(self, upstream: Upstream, user: str | None) -> Credential | None:
        from unearth.auth import get_keyring_auth  # the import costs more than a start-up may

        with self._lock:
            if upstream.url not in self._keyring:
                host = origin_of(upstream.url)[1]
                self._keyring[upstream.url] = get_keyring_auth(upstream.url, user) or get_keyring_auth(host, user)
            return self._keyring[upstream.url]


def _count_shared_folders(one: str, other: str) -> int:
    pairs = zip(one.split("/"), other.split("/"), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def find_home(environ: Mapping[str, str]) -> Path | None:
    """The user's home folder; ``None`` for a user who has none, as in some containers."""
    try:
        return Path(environ.get("HOME") or Path.home())
    except RuntimeError:
        return None


def _read_netrc(environ: Mapping[str, str]) -> dict[str, Credential]:
    """The ``machine`` entries of netrc. Its ``default`` entry is left out: it would go to every host."""
    named = environ.get("NETRC")
    home = find_home(environ)
    if not named and home is None:
        return {}
    path = Path(named) if named else Path(home or "", ".netrc")
    try:
        hosts = netrc.netrc(os.fspath(path)).hosts
    except FileNotFoundError:
        return {}
    except (netrc.NetrcParseError, OSError, UnicodeDecodeError) as error:
        # The parser's message may quote the line, and with it a password.
        raise ConfigurationError(f"{path}: cannot be read as netrc ({type(error).__name__})") from None
    return {host.lower(): (login, password) for host, (login, _, password) in hosts.items() if host != "default"}
