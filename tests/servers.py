"""Web servers for a finished tree, each a process on loopback: Python's, and nginx as the README sets it up."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import NoReturn

import pytest

README = Path(__file__).parent.parent / "README.md"

# Read here: the fixture `environ` empties the environment before a test looks.
IS_CI = os.environ.get("CI") == "true"

_WAIT_SECONDS = 20.0
_LOG_LINE = re.compile(r"(\S+) (\S+) (\d{3}) (.*)")


def skip_or_fail(reason: str) -> NoReturn:
    """Skips the test on a machine that lacks something; CI has everything, so there it is a failure."""
    if IS_CI:
        pytest.fail(f"{reason}, and CI must have it")
    pytest.skip(reason)


def for_others(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of programs that are not ours: no coverage is measured there, which takes time to start."""
    return {name: value for name, value in environ.items() if not name.startswith("COVERAGE_")}


# ── python -m http.server ───────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def serve_with_python(folder: Path) -> Iterator[str]:
    """``python -m http.server`` over ``folder``; yields its base URL, which ends in a slash."""
    command = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(folder), "0"]
    with subprocess.Popen(
        command, env=for_others(os.environ), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            port = re.search(r"port (\d+)", line)
            assert port, f"http.server did not start: {line!r}"
            yield f"http://127.0.0.1:{port[1]}/"
        finally:
            server.terminate()


# ── nginx ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Logged:
    """A line of nginx's access log."""

    path: str
    status: int
    content_type: str


@dataclass(frozen=True)
class Reply:
    """An answer to :meth:`Nginx.get`."""

    status: int
    headers: Message
    body: bytes


class Nginx:
    """A running nginx."""

    def __init__(self, port: int, log: Path) -> None:
        self.url = f"http://127.0.0.1:{port}/"
        self._log = log
        self._marks = 0
        self._seen = 0

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        """The answer to GET ``path``, whatever its status."""
        request = urllib.request.Request(f"{self.url}{path}", headers=dict(headers or {}))
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=_WAIT_SECONDS) as answer:
                return Reply(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, error.headers, error.read())

    def requests(self) -> list[Logged]:
        """What was asked since the last call. nginx logs in order, so a request of our own marks the end."""
        self._marks += 1
        mark = f"mark-{self._marks}"
        self.get(mark)
        deadline = time.monotonic() + _WAIT_SECONDS
        while f"/{mark}" not in [line.path for line in self._read()]:
            assert time.monotonic() < deadline, "nginx does not write its log"
            time.sleep(0.01)
        lines = self._read()
        start, end = self._seen, [line.path for line in lines].index(f"/{mark}")
        self._seen = end + 1
        return lines[start:end]

    def _read(self) -> list[Logged]:
        matches = (_LOG_LINE.fullmatch(line) for line in self._log.read_text(encoding="utf-8").splitlines())
        return [Logged(match[2], int(match[3]), match[4]) for match in matches if match]


def read_nginx_blocks() -> list[str]:
    """The ``nginx`` blocks of the README, in order: the plain one, and the one that negotiates."""
    return re.findall(r"^```nginx\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@contextlib.contextmanager
def serve_with_nginx(folder: Path, block: str, work: Path) -> Iterator[Nginx]:
    """nginx over ``folder`` with a block of the README, of which only the port and the root are replaced.

    No root, no installed configuration and no file outside ``work`` is used.
    """
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/usr/local/bin")
    if program is None:
        skip_or_fail("nginx is not installed")
    assert block.count("listen 80;") == block.count("root /srv/mirror;") == 1, block
    for attempt in range(5):
        port = _free_port()
        prefix = work / f"nginx-{attempt}"
        prefix.mkdir()
        (prefix / "nginx.conf").write_text(
            _configure(prefix, block.replace("listen 80;", f"listen 127.0.0.1:{port};"), folder), encoding="utf-8"
        )
        command = [program, "-p", str(prefix), "-c", str(prefix / "nginx.conf")]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                if not _is_listening(process, port):
                    continue  # another process took the port meanwhile
                yield Nginx(port, prefix / "access.log")
                return
            finally:
                process.terminate()
    raise AssertionError(f"nginx does not start: {(prefix / 'error.log').read_text()}")


def _configure(prefix: Path, block: str, folder: Path) -> str:
    # One process: started by root, the worker would be another user, who may not read the folders of the tests.
    names = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "\n".join(f'    {name}_temp_path "{prefix}/{name}";' for name in names)
    site = block.replace("root /srv/mirror;", f'root "{folder}";')
    return f"""
daemon off;
master_process off;
pid "{prefix}/pid";
error_log "{prefix}/error.log";
events {{}}
http {{
{temporary}
    types {{ text/html html; }}
    log_format tests '$request_method $request_uri $status $sent_http_content_type';
    access_log "{prefix}/access.log" tests;
{site}
}}
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _is_listening(process: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + _WAIT_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return process.poll() is None
        time.sleep(0.02)
    return False
