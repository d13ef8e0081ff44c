"""``upstreams`` and ``network``: where files come from, and the limits of every request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from ipaddress import IPv6Address, ip_address
from math import isfinite
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import msgspec

from pymirror.spec.document import Path as KeyPath
from pymirror.spec.document import quote
from pymirror.spec.model import Network, Upstream
from pymirror.spec.part import Part
from pymirror.spec.schema import UpstreamEntry
from pymirror.spec.units import parse_duration, parse_rate, parse_size

MIN_RATE = 1000  # bytes per second: with less, the servers themselves would give up

OPEN = "http, which everyone on the way can read and change"


def read_upstreams(parts: Sequence[Part], folder: Path, *, allow_http: bool) -> tuple[Upstream, ...]:
    """The entries of ``upstreams`` of all documents; ``folder`` is the spec's own."""
    upstreams: list[Upstream] = []
    names: set[str] = set()
    unclaimed = 0
    for part in parts:
        for index, entry in enumerate(part.document.upstreams):
            path: KeyPath = ("upstreams", index)
            unclaimed += not entry.projects
            if not entry.projects and unclaimed > 1:
                problem = "a second upstream without projects: it would never be asked"
                part.add(path, problem, "say with projects: what comes from it")
            upstream = _read_upstream(part, entry, path, folder, allow_http=allow_http)
            if upstream is None:
                continue
            if upstream.name in names:
                part.add((*path, "name"), f"a second upstream named {quote(upstream.name)}", "give each a name:")
            names.add(upstream.name)
            _check_certificate(part, upstream, upstreams, path)
            upstreams.append(upstream)
    return tuple(upstreams)


def _read_upstream(
    part: Part, entry: UpstreamEntry, path: KeyPath, folder: Path, *, allow_http: bool
) -> Upstream | None:
    upstream = parse_upstream_url(entry.url, name=entry.name)
    if upstream is None:
        # The URL may hold a credential, so no message repeats it.
        part.add((*path, "url"), "not the http(s) URL of an index", "like https://packages.example.com/simple/")
        return None
    if entry.password is not None and entry.username is None:
        part.add((*path, "password"), "a password without a username", "add username:")
    if entry.username is not None:
        upstream = replace(upstream, credentials=(entry.username, entry.password))
    upstream = replace(
        upstream,
        allow_http=allow_http if entry.allow_http is None else entry.allow_http,
        serials=entry.serials,
        ca_file=_path(part, entry.ca_file, (*path, "ca-file"), folder),
        client_cert=_path(part, entry.client_cert, (*path, "client-cert"), folder),
        client_key=_path(part, entry.client_key, (*path, "client-key"), folder),
    )
    if is_open(upstream):
        part.add((*path, "url"), OPEN, "use https, or add allow-http: true where nobody can listen or meddle")
    if entry.client_key is not None and entry.client_cert is None:
        part.add((*path, "client-key"), "a key without a certificate", "add client-cert:")
    patterns = (part.pattern(text, (*path, "projects", i)) for i, text in enumerate(entry.projects))
    return replace(upstream, projects=tuple(pattern for pattern in patterns if pattern))


def _check_certificate(part: Part, upstream: Upstream, before: Iterable[Upstream], path: KeyPath) -> None:
    """A host is shown one certificate: which of two it is meant to be, a connection does not tell."""
    host = _read_host(upstream)
    for other in before:
        if upstream.client_cert is None or other.client_cert is None or _read_host(other) != host:
            continue
        if (other.client_cert, other.client_key) != (upstream.client_cert, upstream.client_key):
            problem = f"another certificate for {host} than that of {quote(other.name)}; a host is shown one"
            part.add((*path, "client-cert"), problem, "name the same files in both, or give the host a second name")


def _read_host(upstream: Upstream) -> str:
    host = urlsplit(upstream.url).hostname or ""
    try:
        return host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return host


def is_open(upstream: Upstream) -> bool:
    """Whether what goes to ``upstream``, and what comes from it, could be read and changed on the way."""
    parts = urlsplit(upstream.url)
    return parts.scheme == "http" and not upstream.allow_http and not _is_loopback(parts.hostname or "")


def _is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine, by its name alone (RFC 6761, 6.3) or its address."""
    name = host.removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def _path(part: Part, text: str | None, path: KeyPath, folder: Path) -> Path | None:
    """A file that the document names, which is read when it is needed."""
    if text is None:
        return None
    if not text.strip() or "\0" in text:
        part.add(path, "names no file")
        return None
    try:
        return folder / part.folder / Path(text).expanduser()
    except RuntimeError:
        part.add(path, f"{quote(text)} names the home of a user who has none")
        return None


def parse_upstream_url(text: str, *, name: str | None = None) -> Upstream | None:
    """The index at ``text``, its credentials taken out of the URL; ``None`` where it is no such URL."""
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or parts.scheme not in ("http", "https") or port == 0 or parts.query or parts.fragment:
        return None
    if not host.isprintable() or " " in host:
        return None
    if "@" in parts.path:
        return None  # the end of a password with a slash in it, which must be written %2F
    credentials: tuple[str, str | None] | None = None
    if parts.username is not None:
        credentials = (unquote(parts.username), None if parts.password is None else unquote(parts.password))
    folder = parts.path if parts.path.endswith("/") else f"{parts.path}/"
    return Upstream(
        name=name or host,
        url=urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], folder, "", "")),
        credentials=credentials,
    )


def read_network(parts: Iterable[Part], folder: Path) -> Network:
    """What is under ``network``; each key of a later document goes before that of an earlier one. ``folder`` is the
    spec's own.
    """
    network = Network()
    connections_per_host: int | None = None
    for part in parts:
        given = part.document.network
        if given is None:
            continue
        network = msgspec.structs.replace(
            network,
            connections=given.connections or network.connections,
            timeout_seconds=_seconds(part, "timeout", given.timeout, network.timeout_seconds),
            page_timeout_seconds=_seconds(part, "page-timeout", given.page_timeout, network.page_timeout_seconds),
            file_timeout_seconds=_seconds(part, "file-timeout", given.file_timeout, network.file_timeout_seconds),
            retries=network.retries if given.retries is None else given.retries,
            max_page_bytes=_size(part, "max-page-size", given.max_page_size, network.max_page_bytes),
            max_file_bytes=_size(part, "max-file-size", given.max_file_size, network.max_file_bytes),
            max_rate=_rate(part, given.max_rate, network.max_rate),
            ca_file=_path(part, given.ca_file, ("network", "ca-file"), folder) or network.ca_file,
        )
        connections_per_host = given.connections_per_host or connections_per_host
    return msgspec.structs.replace(network, connections_per_host=connections_per_host or network.connections)


def read_stop_after(part: Part) -> float | None:
    """Seconds, or ``None`` for a run that may last."""
    value = part.document.stop_after
    return None if value is None else _amount(part, ("stop-after",), value, parse_duration, '"6h", "90 min"', 1.0)


def _seconds(part: Part, key: str, value: str | int | None, otherwise: float) -> float:
    return _amount(part, ("network", key), value, parse_duration, '"30 s", "5 min", "2 h"', otherwise)


def _size(part: Part, key: str, value: str | int | None, otherwise: int) -> int:
    return int(_amount(part, ("network", key), value, parse_size, '"500 kB", "2 GB"', otherwise, smallest=1))


def _rate(part: Part, value: str | int | None, otherwise: int | None) -> int | None:
    if value is None:
        return otherwise
    key = ("network", "max-rate")
    return int(_amount(part, key, value, parse_rate, '"10 MB/s", "500 kB/s"', MIN_RATE, smallest=MIN_RATE))


def _amount(
    part: Part,
    key: KeyPath,
    value: str | int | None,
    parse: Callable[[str], float | None],
    examples: str,
    otherwise: float,
    *,
    smallest: float = 0.001,
) -> float:
    if value is None:
        return otherwise
    parsed = parse(str(value))
    if parsed is None or parsed < smallest or not isfinite(parsed):
        # The value may come from a variable, so it is not repeated.
        part.add(key, "not an amount that can be used", f"write {examples}")
        return otherwise
    return parsed
