"""``pymirror serve`` as a command: clients through it, a sync beside it, slow clients, the way in and the way out."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pymirror.serving.server import TreeServer
from pymirror.workers import Stop
from tests.archives import make_wheel
from tests.conftest import Mirror
from tests.index import JSON_TYPE, LocalIndex
from tests.servers import for_others, skip_or_fail
from tests.test_serve import ask, served


@pytest.fixture
def published(index: LocalIndex, mirror: Mirror) -> Mirror:
    index.add(make_wheel("app", "1.0", requires=["tensor"]))
    index.add(make_wheel("tensor", "1.0+cpu"))
    mirror.write_spec(index, "projects: [app, tensor]")
    mirror.sync()
    return mirror


# ── clients ─────────────────────────────────────────────────────────────────────────────────────────


def _find_uv() -> str:
    try:
        return import_module("uv").find_uv_bin()  # type: ignore[no-any-return]
    except (ImportError, FileNotFoundError):
        skip_or_fail("uv is not installed")


@pytest.mark.parametrize("client", ["pip", "uv"])
def test_client_installs_through_the_server_when_it_runs(published: Mirror, client: str) -> None:
    with served(published, "-v") as (url, process):
        if client == "pip":
            command = [sys.executable, "-m", "pip", "--isolated", "install", "--no-cache-dir", "--index-url", url]
        else:
            command = [_find_uv(), "--no-config", "pip", "install", "--no-cache", "--default-index", url]
            command += ["--python", sys.executable]
        done = subprocess.run(
            [*command, "--target", "target", "app"],
            cwd=published.folder,
            env=for_others(published.environ) | {"no_proxy": "127.0.0.1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        process.send_signal(signal.SIGINT)
        log = process.communicate(timeout=20)[1]

    found = importlib.metadata.distributions(path=[str(published.folder / "target")])
    assert {each.name: each.version for each in found} == {"app": "1.0", "tensor": "1.0+cpu"}
    assert "127.0.0.1 200 GET /simple/app/ HTTP/1.1" in log.splitlines()


# ── a sync beside it ────────────────────────────────────────────────────────────────────────────────


def test_reader_sees_whole_pages_when_a_sync_exchanges_them(index: LocalIndex, published: Mirror) -> None:
    """Every page is the old one or the new one, and after the sync it is the new one."""
    seen: set[bytes] = set()
    failures: list[int] = []
    over = threading.Event()
    with served(published) as (url, _):
        old = ask(url, "/simple/app/")

        def read() -> None:
            while not over.is_set():
                got = ask(url, "/simple/app/")
                seen.add(got.body)
                failures.extend([got.status] if got.status != 200 else [])

        reader = threading.Thread(target=read)
        reader.start()
        try:
            for version in ("2.0", "3.0"):
                index.add(make_wheel("app", version))
                published.sync()
        finally:
            over.set()
            reader.join()
        new = ask(url, "/simple/app/", If_None_Match=old.headers["ETag"])

    assert failures == []
    assert (new.status, b"app-3.0" in new.body) == (200, True)
    assert all(body.endswith(b"</html>\n") for body in seen)


def test_serve_answers_html_when_the_tree_has_no_json(published: Mirror) -> None:
    (published.tree / "simple" / "app" / "index.v1_json").unlink()
    with served(published) as (url, _):
        got = ask(url, "/simple/app/", Accept=JSON_TYPE)

    assert (got.status, got.headers["Content-Type"]) == (200, "text/html; charset=utf-8")


def test_serve_works_when_the_tree_cannot_be_written(published: Mirror) -> None:
    before = published.content()
    folders = [published.tree, *(path for path in published.tree.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        with served(published, str(published.tree)) as (url, _):
            assert ask(url, "/simple/app/").status == 200
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert published.content() == before


# ── clients that are slow, or too many ──────────────────────────────────────────────────────────────


@contextlib.contextmanager
def impatient(folder: Path) -> Iterator[tuple[tuple[str, int], list[str]]]:
    """A server in this process that waits half a second for a request; its address and its log."""
    log: list[str] = []
    server = TreeServer(
        folder, address=("127.0.0.1", 0), family=socket.AF_INET, note=log.append, stop=Stop(), patience_seconds=0.5
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield ("127.0.0.1", server.server_port), log
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_serve_closes_the_connection_when_the_head_does_not_come(tmp_path: Path) -> None:
    with impatient(tmp_path) as (address, _), socket.create_connection(address, timeout=20) as silent:
        assert silent.recv(1) == b""


def test_serve_closes_the_connection_when_the_head_trickles(tmp_path: Path) -> None:
    """Each byte comes in time, and the head never ends."""
    with impatient(tmp_path) as (address, _), socket.create_connection(address, timeout=0.1) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nX: ")
        for _ in range(200):
            try:
                slow.sendall(b"a")
                if slow.recv(65536) == b"":
                    return
            except TimeoutError:
                continue
            except OSError:
                return
    raise AssertionError("the server waits for ever")


def test_serve_goes_on_when_a_client_goes_away(published: Mirror) -> None:
    with impatient(published.tree) as (address, log):
        for _ in range(3):
            with socket.create_connection(address, timeout=20) as gone:
                gone.sendall(b"GET /simple/ HTTP/1.1\r\nHost: x\r\n\r\n")
                gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        assert ask(f"http://127.0.0.1:{address[1]}/", "/simple/").status == 200
    assert not [line for line in log if "Traceback" in line]


# ── the way in and the way out ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_serve_ends_with_its_code_when_a_signal_comes(published: Mirror, number: int, code: int) -> None:
    with (
        served(published) as (url, process),
        socket.create_connection((urlsplit(url).hostname, urlsplit(url).port)),  # an idle client holds nothing up
    ):
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)

    assert process.returncode == code
    assert "Traceback" not in errors


def test_serve_says_so_when_the_port_is_taken(published: Mirror) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = published.run("serve", "--port", str(port), code=2)

    assert run.out == ""
    assert f"cannot listen on 127.0.0.1, port {port}: Address already in use" in run.err
    assert "hint: --port 0" in run.err


@pytest.mark.parametrize("arguments", [["--bind", "300.1.1.1.invalid"], ["--bind", "192.0.2.1"], ["--port", "70000"]])
def test_serve_is_a_usage_error_when_the_address_cannot_be_had(published: Mirror, arguments: list[str]) -> None:
    assert published.run("serve", *arguments, code=2).out == ""


def test_serve_is_a_usage_error_when_nothing_is_published(mirror: Mirror) -> None:
    run = mirror.run("serve", "--port", "0", str(mirror.folder), code=2)

    assert "there is no published index here" in run.err


def test_serve_warns_when_others_can_reach_it(published: Mirror) -> None:
    with served(published, "--bind", "0.0.0.0") as (url, process):
        assert ask(url, "/simple/").status == 200
        process.send_signal(signal.SIGINT)
        assert "warning: others can reach this server" in process.communicate(timeout=20)[1]


def test_serve_answers_when_it_is_bound_to_ipv6(published: Mirror) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        skip_or_fail("this machine has no IPv6")
    with served(published, "--bind", "::1") as (url, _):
        assert url.startswith("http://[::1]:")
        assert ask(url, "/simple/").status == 200


def test_serve_says_nothing_more_when_it_is_not_verbose(published: Mirror) -> None:
    with served(published) as (url, process):
        ask(url, "/simple/")
        ask(url, "/nothing")
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=20)

    assert out == ""
    assert errors.splitlines() == ["error: interrupted; what is published is whole, and the next run goes on from here"]


def test_serve_serves_the_tree_when_the_folder_is_a_link(published: Mirror) -> None:
    link = published.folder / "current"
    link.symlink_to(published.tree)
    with served(published, os.fspath(link)) as (url, _):
        assert ask(url, "/simple/app/").status == 200
