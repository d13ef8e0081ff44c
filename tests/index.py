"""A package index on loopback: a real HTTP server with HTML and JSON, validators, ranges, and faults on demand."""

from __future__ import annotations

import hashlib
import json
import re
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from packaging.utils import canonicalize_name

JSON_TYPE = "application/vnd.pypi.simple.v1+json"


@dataclass
class Entry:
    """A file of the index, and what its page says of it."""

    project: str
    filename: str
    data: bytes
    hashes: dict[str, str]
    size: int | None
    upload_time: str | None = None
    requires_python: str | None = None
    yanked: bool | str = False
    core_metadata: bool | dict[str, str] | None = None
    url: str | None = None  # as it stands in the page, instead of the one that works
    provenance: bytes | None = None  # the object that its page links to (PEP 740)

    @property
    def provenance_path(self) -> str:
        return f"/integrity/{self.project}/{self.filename}/provenance"

    @property
    def path(self) -> str:
        digest = hashlib.blake2b(self.data, digest_size=32).hexdigest()
        return f"/packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/{self.filename}"


@dataclass(frozen=True)
class Request:
    """A line of the access log, with what tests look at."""

    path: str
    status: int
    headers: dict[str, str] = field(hash=False)
    method: str = "GET"


@dataclass
class Answer:
    """What is sent instead of the right answer. ``cut`` closes the connection after so many bytes of the body.

    ``raw`` are the very bytes that go over the wire, head included; the connection is closed after them.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    raw: Iterable[bytes] | None = None


Respond = Callable[["Handler"], Answer | None]


class Gate:
    """Given to :meth:`LocalIndex.fail`, it holds requests back until it is opened, and counts them."""

    def __init__(self) -> None:
        self._opened = threading.Event()
        self._changed = threading.Condition()
        self._waiting = 0
        self.most = 0

    def __call__(self, _handler: object) -> None:
        with self._changed:
            self._waiting += 1
            self.most = max(self.most, self._waiting)
            self._changed.notify_all()
        self._opened.wait(30)
        with self._changed:
            self._waiting -= 1

    def wait_for(self, requests: int, *, patience_seconds: float = 20) -> None:
        """Returns when so many requests are held back at once."""
        with self._changed:
            came = self._changed.wait_for(lambda: self._waiting >= requests, patience_seconds)
            assert came, f"{self._waiting} requests came"

    def open(self) -> None:
        self._opened.set()


class LocalIndex:
    """The index; ``formats`` are the page formats that it speaks, ``flat_urls`` gives files URLs without a digest.

    With ``certificate``, a PEM file that holds the key too, it speaks https. ``credential``, ``user:password``, is
    asked of every request once it is set. ``tells_sizes`` and ``tells_upload_times`` are about the pages; ``listed``
    are projects that the list names beside those with files; without ``answers_head``, HEAD is told no length. With
    ``has_legacy`` there is the legacy JSON API, which tells what the pages need not. ``serials`` count the changes of
    projects, as PyPI does: those of the list are ``listed_serials`` where these are given, and it is as new as
    ``list_serial``.
    """

    def __init__(
        self,
        *,
        formats: tuple[str, ...] = ("json", "html"),
        validators: bool = True,
        flat_urls: bool = False,
        absolute_urls: bool = False,
        certificate: Path | None = None,
    ) -> None:
        self.formats = formats
        self.validators = validators
        self.flat_urls = flat_urls
        self.absolute_urls = absolute_urls
        self.scheme = "https" if certificate else "http"
        self.credential: str | None = None
        self.tells_sizes = True
        self.tells_upload_times = True
        self.answers_head = True
        self.has_legacy = False
        self.serials: dict[str, int] = {}
        self.listed_serials: Mapping[str, object] | None = None
        self.list_serial: int | None = None
        self.listed: list[str] = []
        self.entries: list[Entry] = []
        self.log: list[Request] = []
        self.statuses: dict[str, tuple[str, str | None]] = {}
        self.faults: dict[str, list[Respond]] = {}
        self.lock = threading.Lock()
        self.server = _Server(("127.0.0.1", 0), Handler)
        self.server.index = self
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            # The handshake is for the request's own thread, with the first byte that it reads.
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()

    # ── content ─────────────────────────────────────────────────────────────────────────────────

    @property
    def origin(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"{self.origin}/simple/"

    def add(self, archive: tuple[str, bytes], *, project: str | None = None, **said: Any) -> Entry:
        """Publishes an archive of :mod:`tests.archives`; ``said`` overrides what the page says of it."""
        filename, data = archive
        said.setdefault("hashes", {"sha256": hashlib.sha256(data).hexdigest()})
        said.setdefault("size", len(data))
        said.setdefault("upload_time", "2024-05-06T07:08:09.123456Z")
        name = canonicalize_name(project or filename.split("-")[0])
        entry = Entry(project=name, filename=filename, data=data, **said)
        self.entries.append(entry)
        return entry

    def remove(self, filename: str) -> None:
        self.entries = [entry for entry in self.entries if entry.filename != filename]

    def fail(self, path: str, *responses: Answer | Respond) -> None:
        """The next requests for ``path`` are answered by ``responses``, one each; then all is as before."""
        self.faults[path] = [r if callable(r) else (lambda _, answer=r: answer) for r in responses]  # type: ignore[misc]

    def fail_always(self, path: str, response: Answer) -> None:
        self.faults[path] = [lambda _: response] * 1000

    # ── the log ─────────────────────────────────────────────────────────────────────────────────

    def requests(self, part: str = "") -> list[Request]:
        """What was asked since the start or the last :meth:`forget`, of paths that contain ``part``."""
        with self.lock:
            return [request for request in self.log if part in request.path]

    def asked_for(self, method: str, part: str = "") -> list[str]:
        """The paths of :meth:`requests` by one method, in order of arrival."""
        return [request.path for request in self.requests(part) if request.method == method]

    def forget(self) -> None:
        with self.lock:
            self.log.clear()

    # ── pages ───────────────────────────────────────────────────────────────────────────────────

    def url_path(self, entry: Entry) -> str:
        return f"/files/{entry.filename}" if self.flat_urls else entry.path

    def link(self, entry: Entry) -> str:
        if entry.url is not None:
            return entry.url
        path = quote(self.url_path(entry))
        return f"{self.origin}{path}" if self.absolute_urls else f"../..{path}"

    def detail_json(self, project: str) -> bytes:
        files = []
        for entry in self.entries:
            if entry.project != project:
                continue
            file: dict[str, Any] = {"filename": entry.filename, "url": self.link(entry), "hashes": entry.hashes}
            optional = {
                "size": entry.size if self.tells_sizes else None,
                "upload-time": entry.upload_time if self.tells_upload_times else None,
                "requires-python": entry.requires_python,
                "core-metadata": entry.core_metadata,
                "provenance": f"{self.origin}{entry.provenance_path}" if entry.provenance is not None else None,
            }
            file |= {key: value for key, value in optional.items() if value is not None}
            file["yanked"] = entry.yanked
            files.append(file)
        page: dict[str, Any] = {"meta": {"api-version": "1.4"}, "name": project, "files": files}
        if project in self.serials:
            page["meta"]["_last-serial"] = self.serials[project]
        if project in self.statuses:
            status, reason = self.statuses[project]
            page["project-status"] = {"status": status} | ({"reason": reason} if reason else {})
        return json.dumps(page).encode()

    def detail_html(self, project: str) -> bytes:
        lines = ["<!DOCTYPE html><html><head>", '<meta name="pypi:repository-version" content="1.4">']
        if project in self.statuses:
            status, reason = self.statuses[project]
            lines.append(f'<meta name="pypi:project-status" content="{escape(status)}">')
            if reason:
                lines.append(f'<meta name="pypi:project-status-reason" content="{escape(reason)}">')
        lines.append(f"<title>{project}</title></head><body>")
        for entry in self.entries:
            if entry.project != project:
                continue
            fragment = "".join(f"#{name}={digest}" for name, digest in list(entry.hashes.items())[:1])
            attributes = f'href="{escape(self.link(entry))}{fragment}"'
            if entry.requires_python:
                attributes += f' data-requires-python="{escape(entry.requires_python)}"'
            if entry.yanked:
                attributes += f' data-yanked="{escape(entry.yanked) if isinstance(entry.yanked, str) else ""}"'
            if entry.upload_time and self.tells_upload_times:
                attributes += f' data-upload-time="{entry.upload_time}"'
            if isinstance(entry.core_metadata, dict):
                name, digest = next(iter(entry.core_metadata.items()))
                attributes += f' data-core-metadata="{name}={digest}"'
            if entry.provenance is not None:
                attributes += f' data-provenance="{self.origin}{entry.provenance_path}"'
            lines.append(f"<a {attributes}>{escape(entry.filename)}</a><br>")
        return "\n".join([*lines, "</body></html>"]).encode()

    def legacy_json(self, project: str) -> bytes:
        releases: dict[str, list[dict[str, Any]]] = {}
        for entry in self.entries:
            if entry.project == project:
                told = {
                    "filename": entry.filename,
                    "digests": entry.hashes,
                    "size": entry.size,
                    "upload_time_iso_8601": entry.upload_time,
                }
                releases.setdefault("1", []).append(told)
        return json.dumps({"info": {}, "releases": releases}).encode()

    def list_json(self) -> bytes:
        told = self.serials if self.listed_serials is None else self.listed_serials
        projects = [{"name": name} | ({"_last-serial": told[name]} if name in told else {}) for name in self.projects()]
        newest = max(self.serials.values(), default=None)
        serial = newest if self.list_serial is None else self.list_serial
        meta = {"api-version": "1.4"} | ({"_last-serial": serial} if serial is not None else {})
        return json.dumps({"meta": meta, "projects": projects}).encode()

    def projects(self) -> list[str]:
        return sorted({*(entry.project for entry in self.entries), *self.statuses, *self.listed})


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    index: LocalIndex

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news."""


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """The log is :attr:`LocalIndex.log`."""

    def do_HEAD(self) -> None:
        """As GET, without the body; faults are those of ``HEAD /path``."""
        self.do_GET()

    def do_GET(self) -> None:
        index = self.server.index
        is_head = self.command == "HEAD"
        with index.lock:
            faults = index.faults.get(f"HEAD {self.path}" if is_head else self.path)
            respond = faults.pop(0) if faults else None
        answer = (respond(self) if respond else None) or self._refuse(index) or self._answer(index)
        body = answer.body
        with index.lock:
            headers = {k.lower(): v for k, v in self.headers.items()}
            index.log.append(Request(self.path, answer.status, headers, self.command))
        if answer.raw is not None:
            self.close_connection = True
            for piece in answer.raw:
                self.wfile.write(piece)
                self.wfile.flush()
            return
        self.send_response(answer.status)
        headers = {"Content-Length": str(len(body))} | answer.headers
        if is_head and not index.answers_head:
            headers.pop("Content-Length", None)
            self.close_connection = True
        for name, value in headers.items():
            self.send_header(name, value)
        if answer.cut is not None:
            self.close_connection = True
        self.end_headers()
        if not is_head:
            self.wfile.write(body if answer.cut is None else body[: answer.cut])
        self.wfile.flush()

    def _refuse(self, index: LocalIndex) -> Answer | None:
        if index.credential is None:
            return None
        wanted = f"Basic {b64encode(index.credential.encode()).decode()}"
        if self.headers.get("Authorization") == wanted:
            return None
        return Answer(401, b"who are you?\n", {"WWW-Authenticate": 'Basic realm="tests"'})

    def _answer(self, index: LocalIndex) -> Answer:
        match = re.fullmatch(r"/simple/(?:([^/]+)/)?", self.path)
        if match:
            return self._page(index, match[1])
        legacy = re.fullmatch(r"/pypi/([^/]+)/json", self.path)
        if legacy and index.has_legacy:
            return Answer(200, index.legacy_json(legacy[1]), {"Content-Type": "application/json"})
        for entry in index.entries:
            if quote(index.url_path(entry)) == self.path:
                return self._file(index, entry)
            if entry.provenance is not None and self.path == entry.provenance_path:
                return Answer(200, entry.provenance, {"Content-Type": "application/vnd.pypi.integrity.v1+json"})
        return Answer(404, b"not found\n")

    def _page(self, index: LocalIndex, project: str | None) -> Answer:
        wants_json = "json" in index.formats and (
            JSON_TYPE in self.headers.get("Accept", "") or index.formats == ("json",)
        )
        if project is None:
            if wants_json:
                body = index.list_json()
            else:
                body = "".join(f'<a href="{name}/">{name}</a>' for name in index.projects()).encode()
        elif not any(entry.project == project for entry in index.entries) and project not in index.statuses:
            return Answer(404, b"no such project\n")
        else:
            body = index.detail_json(project) if wants_json else index.detail_html(project)
        headers = {"Content-Type": JSON_TYPE if wants_json else "text/html"}
        if project in index.serials:
            headers["X-PyPI-Last-Serial"] = str(index.serials[project])
        if index.validators:
            headers["ETag"] = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            if self.headers.get("If-None-Match") == headers["ETag"]:
                return Answer(304, b"", headers)
        return Answer(200, body, headers)

    def _file(self, index: LocalIndex, entry: Entry) -> Answer:
        headers = {"Content-Type": "application/octet-stream"}
        data = entry.data
        if not index.validators:
            return Answer(200, data, headers)
        headers |= {"ETag": f'"{hashlib.md5(data).hexdigest()}"', "Accept-Ranges": "bytes"}
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if match and self.headers.get("If-Range", headers["ETag"]) == headers["ETag"]:
            start = int(match[1])
            if start >= len(data):
                return Answer(416, b"", headers | {"Content-Range": f"bytes */{len(data)}"})
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            return Answer(206, data[start:], headers)
        return Answer(200, data, headers)
