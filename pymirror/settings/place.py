"""Where the tree lies and how it is reached, checked before it becomes part of a configuration.

Nothing that passes holds a line break, so no value can begin a line of its own; quotes are the business of each syntax.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from pymirror.errors import UsageError, printable
from pymirror.layout import LINKS_PAGE, SIMPLE

_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*")
_PATH = re.compile(r"/(?:(?:[A-Za-z0-9._~:-]|%[0-9A-Fa-f]{2})+/)*")
_ABSOLUTE = re.compile(r"/|[A-Za-z]:/")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The URL of the tree; ``path`` begins and ends with a slash, and ``host`` is lower-case and without brackets."""

    scheme: str
    host: str
    port: int | None
    path: str

    @property
    def netloc(self) -> str:
        """Host and port, the port where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """Ends in a slash."""
        return f"{self.scheme}://{self.netloc}{self.path}"

    @property
    def index_url(self) -> str:
        """What goes to ``--index-url``."""
        return f"{self.url}{SIMPLE}/"

    @property
    def links_url(self) -> str:
        """What goes to ``--find-links``."""
        return f"{self.url}{LINKS_PAGE}"

    @property
    def actual_port(self) -> int:
        """The port that a server listens on."""
        return self.port or _DEFAULT_PORTS[self.scheme]

    @property
    def address(self) -> str | None:
        """The one address to listen on, as URLs write it; ``None`` where a name stands for the host."""
        if self.host == "localhost":
            return "127.0.0.1"
        if ":" in self.host:
            return f"[{self.host}]"
        return self.host if _is_ip_address(self.host) else None

    @property
    def is_trusted(self) -> bool:
        """Whether pip reads from it without being told to: all but plain http from another host."""
        if self.scheme != "http" or self.host == "localhost":
            return True
        return _is_ip_address(self.host) and ipaddress.ip_address(self.host).is_loopback


def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def parse_site(url: str) -> Site:
    """The site at ``url``, which names the tree's folder or its index. Raises :class:`UsageError`."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise UsageError("--url: not a URL", hint="like http://mirror.example.com/") from None
    if "@" in url:
        raise UsageError(
            "--url: holds a user name or a password, which would stand in the configuration",
            hint="leave it out; clients read it from netrc or a keyring",
        )
    if parts.scheme not in ("http", "https", "file"):
        raise UsageError("--url: neither http://, https:// nor file://", hint="like http://mirror.example.com/")
    if parts.query or parts.fragment or "?" in url or "#" in url:
        raise UsageError("--url: has a query or a fragment, which no tree has")
    path = parts.path if parts.path.endswith("/") else f"{parts.path}/"
    path = path.removesuffix(f"{SIMPLE}/") if path.endswith(f"/{SIMPLE}/") else path
    if not _PATH.fullmatch(path) or any(part in (".", "..") for part in path.split("/")):
        raise UsageError(
            f'--url: the path "{printable(parts.path)}" is not plain',
            hint="letters, digits and - . _ ~; the rest as %20",
        )
    if parts.scheme == "file":
        if parts.netloc:
            raise UsageError("--url: a file:// URL names no host", hint="like file:///media/disk/mirror/")
        return Site(scheme="file", host="", port=None, path=path)
    if not (_is_ip_address(host) and "%" not in host) and not _HOST.fullmatch(host):
        raise UsageError(f'--url: "{printable(host)}" is no host name', hint="like http://mirror.example.com:8080/")
    if port == 0:
        raise UsageError("--url: port 0 cannot be asked")
    port = None if port == _DEFAULT_PORTS[parts.scheme] else port
    return Site(scheme=parts.scheme, host=host, port=port, path=path)


def site_of_folder(folder: str) -> Site:
    """The tree on the disk, as a ``file://`` site."""
    return parse_site(f"file://{'' if folder.startswith('/') else '/'}{quote(folder, safe='/:')}/")


def check_folder(folder: str) -> str:
    """``folder``, absolute and with ``/`` as separator; without one at its end. Raises :class:`UsageError`."""
    return check_path(folder, what="the folder").rstrip("/") or "/"


def check_path(path: str, *, what: str) -> str:
    """``path``, which no line break and no other control character may be in. Raises :class:`UsageError`."""
    if printable(path, limit=len(path)) != path:
        raise UsageError(f'{what} "{printable(path)}" has control characters, which no configuration may hold')
    if not _ABSOLUTE.match(path):
        raise UsageError(f'{what} "{printable(path)}" is not absolute')
    return path


def refuse(value: str, characters: str, *, syntax: str) -> str:
    """``value``, which must have none of ``characters``: ``syntax`` has no way to write them.

    Raises :class:`UsageError`.
    """
    found = [character for character in characters if character in value]
    if found:
        raise UsageError(
            f'"{printable(value)}": {syntax} cannot write {" ".join(found)} in a path',
            hint="rename the folder, or reach it through a link with a plain name",
        )
    return value
