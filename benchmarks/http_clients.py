"""What a client costs for many small files: ``python -m benchmarks.http_clients``, the numbers behind the wire.

Each way of fetching gets the same URLs from the same server, hashes what it receives, and keeps nothing; each run is a
process of its own, measured from after its imports. The ways take turns. Read the processor time: with one interpreter
lock it is what limits the whole.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import http.client
import importlib
import importlib.util
import json
import os
import resource
import ssl
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.tables import describe_machine, render_table, replace_between
from benchmarks.upstream import PRESETS, make_upstream
from benchmarks.web import SCENARIOS, serve

_PIECE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The URLs, what the server's certificate is checked with, and how many requests are under way at a time."""

    urls: Sequence[str]
    ca: str
    parallel: int

    def make_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca)


class _Counted:
    """Counts and hashes, in any thread. ``size`` is in bytes."""

    def __init__(self) -> None:
        self.size = 0
        self._lock = threading.Lock()

    def hash(self, pieces: Iterator[bytes]) -> None:
        digest, size = hashlib.sha256(), 0
        for piece in pieces:
            digest.update(piece)
            size += len(piece)
        self.add(size)

    def add(self, size: int) -> None:
        with self._lock:
            self.size += size


Fetch = Callable[[str], Iterator[bytes]]


def _in_threads(work: Work, open_fetch: Callable[[ssl.SSLContext], Fetch]) -> int:
    """``open_fetch`` is called once in each thread."""
    counted, context, left, lock = _Counted(), work.make_context(), iter(work.urls), threading.Lock()

    def loop() -> None:
        fetch = open_fetch(context)
        while True:
            with lock:
                url = next(left, None)
            if url is None:
                return
            counted.hash(fetch(url))

    threads = [threading.Thread(target=loop) for _ in range(work.parallel)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return counted.size


# ── ways with threads ───────────────────────────────────────────────────────────────────────────────


def _fetch_with(client: Any) -> Fetch:
    def fetch(url: str) -> Iterator[bytes]:
        with client.stream("GET", url) as answer:
            yield from answer.iter_raw()

    return fetch


def httpx_client(work: Work) -> int:
    import httpx

    return _in_threads(work, lambda context: _fetch_with(httpx.Client(verify=context, trust_env=False)))


def httpx_client_shared(work: Work) -> int:
    import httpx

    limits = httpx.Limits(max_connections=work.parallel, max_keepalive_connections=work.parallel)
    client = httpx.Client(verify=work.make_context(), trust_env=False, limits=limits)
    return _in_threads(work, lambda _: _fetch_with(client))


def httpx_transport(work: Work) -> int:
    import httpx

    def open_fetch(context: ssl.SSLContext) -> Fetch:
        transport = httpx.HTTPTransport(verify=context, trust_env=False)

        def fetch(url: str) -> Iterator[bytes]:
            answer = transport.handle_request(httpx.Request("GET", url))
            try:
                yield from answer.iter_raw()
            finally:
                answer.close()

        return fetch

    return _in_threads(work, open_fetch)


def httpcore_pool(work: Work) -> int:
    import httpcore

    return _in_threads(
        work, lambda context: _fetch_core(httpcore.ConnectionPool(ssl_context=context, max_connections=1))
    )


def httpcore_connection(work: Work) -> int:
    import httpcore

    first = urlsplit(work.urls[0])
    origin = httpcore.Origin(first.scheme.encode(), (first.hostname or "").encode(), first.port or 0)
    return _in_threads(
        work, lambda context: _fetch_core(httpcore.HTTPConnection(origin, ssl_context=context, keepalive_expiry=60))
    )


def _fetch_core(opened: Any) -> Fetch:
    def fetch(url: str) -> Iterator[bytes]:
        with opened.stream("GET", url) as answer:
            yield from answer.iter_stream()

    return fetch


def standard_library(work: Work) -> int:
    first = urlsplit(work.urls[0])

    def open_fetch(context: ssl.SSLContext) -> Fetch:
        if first.scheme == "https":
            opened: http.client.HTTPConnection = http.client.HTTPSConnection(
                first.hostname or "", first.port, context=context
            )
        else:
            opened = http.client.HTTPConnection(first.hostname or "", first.port)

        def fetch(url: str) -> Iterator[bytes]:
            opened.request("GET", urlsplit(url).path)
            answer = opened.getresponse()
            while piece := answer.read1(_PIECE_BYTES):
                yield piece
            answer.read()  # the end, after which the connection may be used again

        return fetch

    return _in_threads(work, open_fetch)


def wire(work: Work) -> int:
    """What pymirror does."""
    from pymirror.spec.model import Network
    from pymirror.tls import Trust
    from pymirror.wire import make_opener, read_host

    open_wire = make_opener(Trust(Network(ca_file=Path(work.ca)), (), read_host=read_host), timeout_seconds=30)

    def open_fetch(_context: ssl.SSLContext) -> Fetch:
        opened = open_wire()

        def fetch(url: str) -> Iterator[bytes]:
            answer = opened.send("GET", url, {"Accept-Encoding": "identity"})
            try:
                yield from answer.pieces()
            finally:
                answer.close()

        return fetch

    return _in_threads(work, open_fetch)


def wire_in_two_processes(work: Work) -> int:
    """Half of the URLs and of the threads in each."""
    reader, writer = os.pipe()
    for half in range(2):
        if os.fork() == 0:
            part = Work(urls=work.urls[half::2], ca=work.ca, parallel=max(1, work.parallel // 2))
            os.write(writer, f"{wire(part)}\n".encode())
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as sizes:
        total = sum(map(int, sizes))
    for _ in range(2):
        os.wait()
    return total


def pycurl(work: Work) -> int:
    module = importlib.import_module("pycurl")
    counted = _Counted()
    left, lock = iter(work.urls), threading.Lock()

    def loop() -> None:
        curl = module.Curl()
        curl.setopt(module.CAINFO, work.ca)
        curl.setopt(module.NOSIGNAL, 1)
        curl.setopt(module.BUFFERSIZE, _PIECE_BYTES)
        while True:
            with lock:
                url = next(left, None)
            if url is None:
                break
            curl.setopt(module.URL, url)
            curl.setopt(module.WRITEFUNCTION, hashlib.sha256().update)
            curl.perform()
            counted.add(int(curl.getinfo(module.SIZE_DOWNLOAD)))
        curl.close()

    threads = [threading.Thread(target=loop) for _ in range(work.parallel)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return counted.size


# ── ways with asyncio ───────────────────────────────────────────────────────────────────────────────


def httpx_asyncio(work: Work) -> int:
    return asyncio.run(_in_tasks(work, None))


def httpx_aiohttp(work: Work) -> int:
    """httpx with aiohttp below it."""
    module = importlib.import_module("httpx_aiohttp")
    return asyncio.run(_in_tasks(work, module.AiohttpTransport))


async def _in_tasks(work: Work, make_transport: Any) -> int:
    import httpx

    counted, left, context = _Counted(), iter(work.urls), work.make_context()

    async def loop() -> None:
        transport = make_transport(verify=context) if make_transport else None
        async with httpx.AsyncClient(verify=context, trust_env=False, transport=transport) as client:
            for url in left:
                async with client.stream("GET", url) as answer:
                    counted.hash(iter([piece async for piece in answer.aiter_raw()]))

    await asyncio.gather(*(loop() for _ in range(work.parallel)))
    return counted.size


WAYS: dict[str, tuple[str, Callable[[Work], int], str | None]] = {
    "wire": ("`pymirror.wire`: the standard library, checked, threads", wire, None),
    "standard-library": ("the standard library alone, threads", standard_library, None),
    "httpcore-connection": ("httpcore, a connection for each thread", httpcore_connection, None),
    "httpcore-pool": ("httpcore, a pool for each thread", httpcore_pool, None),
    "httpx-transport": ("httpx's transport alone, one for each thread", httpx_transport, None),
    "httpx-client": ("httpx, a client for each thread", httpx_client, None),
    "httpx-client-shared": ("httpx, one client for all threads", httpx_client_shared, None),
    "httpx-asyncio": ("httpx in asyncio, a client for each task", httpx_asyncio, None),
    "httpx-aiohttp": ("httpx over aiohttp in asyncio, a client for each task", httpx_aiohttp, "httpx_aiohttp"),
    "pycurl": ("pycurl, threads", pycurl, "pycurl"),
    "two-processes": ("`pymirror.wire` in two processes", wire_in_two_processes, None),
}
"""What it is, how it is done, and the module that it takes beside those of pymirror, by its name on the command line.
"""


def measure_here(way: str, work: Work, size: int) -> tuple[float, float]:
    """Seconds of the processor, and of the clock; the first URLs are fetched once before, for the imports."""
    _, fetch_all, _ = WAYS[way]
    if way != "two-processes":
        fetch_all(Work(urls=work.urls[:2], ca=work.ca, parallel=1))
    cpu, start = _cpu_seconds(), time.perf_counter()
    fetched = fetch_all(work)
    wall, cpu = time.perf_counter() - start, _cpu_seconds() - cpu
    if fetched != size:
        raise SystemExit(f"{way}: {fetched} of {size} bytes came")
    return cpu, wall


def _cpu_seconds() -> float:
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, kinds))


def _measure(way: str, order: dict[str, Any]) -> tuple[float, float]:
    command = [sys.executable, "-m", "benchmarks.http_clients", "--one", way]
    done = subprocess.run(command, input=json.dumps(order), capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise SystemExit(f"{way}: it ended with {done.returncode} and said:\n{done.stderr[-2000:]}")
    cpu, wall = json.loads(done.stdout)
    return cpu, wall


def render(measured: dict[tuple[str, int], list[tuple[float, float]]], threads: Sequence[int]) -> str:
    """The table: for each number of threads, the medians and the ratio to the first way's processor time."""
    head = ["way", *(f"{name}, {count}" for count in threads for name in ("processor s", "to wire", "wall s"))]
    rows = []
    for way, (title, _, _) in WAYS.items():
        cells = [title]
        for count in threads:
            runs = measured.get((way, count), [])
            floor = [cpu for cpu, _ in measured.get(("wire", count), [])]
            if not runs:
                cells += ["not measured", "", ""]
                continue
            cpu, wall = (statistics.median(values) for values in zip(*runs, strict=True))
            ratio = f"{cpu / statistics.median(floor):.1f}" if floor else ""
            cells += [f"{cpu:.2f}", ratio, f"{wall:.2f}"]
        rows.append(cells)
    return render_table(head, rows)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--way", default=",".join(WAYS), help="some of %(default)s")
    parser.add_argument("--threads", default="8,32")
    parser.add_argument("--scenario", choices=SCENARIOS, default="plain")
    parser.add_argument("--preset", choices=PRESETS, default="even")
    parser.add_argument("--files", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(".bench"))
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the table between the markers of FILE")
    return parser.parse_args()


def main() -> None:
    arguments = _parse()
    if arguments.one:
        order = json.load(sys.stdin)
        json.dump(measure_here(arguments.one, Work(**order["work"]), order["size"]), sys.stdout)
        return
    upstream = make_upstream(arguments.folder.resolve() / "upstream" / arguments.preset, PRESETS[arguments.preset])
    files = [file for file in upstream.files() if file.state == 0][: arguments.files]
    size = sum(file.size for file in files)
    threads = [int(text) for text in arguments.threads.split(",")]
    ways = [
        way for way in arguments.way.split(",") if (module := WAYS[way][2]) is None or importlib.util.find_spec(module)
    ]
    measured: dict[tuple[str, int], list[tuple[float, float]]] = {}
    with serve(upstream.folder) as site:
        urls = [f"{site.urls[arguments.scenario]}{file.path}" for file in files]
        for number in range(arguments.rounds):
            for count in threads:
                for way in ways:
                    work = {"urls": urls, "ca": str(site.ca), "parallel": count}
                    order = {"work": work, "size": size}
                    measured.setdefault((way, count), []).append(_measure(way, order))
                    cpu, wall = measured[(way, count)][-1]
                    sys.stderr.write(f"round {number}, {count} at a time, {way}: {cpu:.2f} s of {wall:.2f} s\n")
    mean = f"{size / len(files) / 1000:.0f} kB each in the mean"
    what = f"{len(files)} files, {mean}, {arguments.scenario}, {arguments.rounds} rounds. {describe_machine()}"
    text = f"{what}\n\n{render(measured, threads)}"
    sys.stdout.write(text)
    if arguments.write:
        page = arguments.write.read_text(encoding="utf-8")
        arguments.write.write_text(replace_between(page, "benchmarks.http_clients", text), encoding="utf-8")


if __name__ == "__main__":
    main()
