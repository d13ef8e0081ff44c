"""Where a run spends the processor's time: ``python -m benchmarks.profile cold|refresh|changed|plan``.

Every thread is profiled with its own processor clock, so that waiting costs nothing. A profile makes small functions
look dearer than they are: read the order of the groups, not their seconds. Python 3.11 only: from 3.12 on, cProfile
knows one thread at a time.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import importlib
import os
import pstats
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.tables import describe_machine, render_table, replace_between
from benchmarks.upstream import PRESETS, make_upstream
from benchmarks.web import SCENARIOS, serve
from benchmarks.whole import Case, clean_environ

CLOCKS = {"processor": time.thread_time, "wall": time.perf_counter}
JOBS = ("cold", "refresh", "changed", "plan")

_MAKING = r"/(dataclasses|typing|typing_extensions|enum|inspect|abc)\.py|<frozen abc|/re/_"

# The first pattern that is found in "file:function" decides; a built-in has "~" for its file.
GROUPS: tuple[tuple[str, str], ...] = (
    ("reading modules", r"importlib|:<module>$|marshal|'builtins\.(exec|__build_class__|compile)'|_imp\."),
    ("classes and patterns, when modules are read", _MAKING),
    ("waiting, locks, threads", r"_thread\.|threading\.py|queue\.py|pymirror/workers|select\.|time\.sleep"),
    ("sockets and TLS", r"_socket|_ssl|/ssl\.py|/socket\.py"),
    ("HTTP: the standard library", r"/http/|/email/"),
    ("HTTP: httpx and its values", r"/httpx/|/httpcore/|/h11/|/anyio/"),
    (
        "HTTP: pymirror and tenacity",
        r"/tenacity/|pymirror/(wire|transport|upstream|download|credentials|reachability|tls)\.",
    ),
    ("hashing", r"hashlib|_sha|_blake2|HASH"),
    ("zip, tar and packing", r"/zipfile|/tarfile|zlib|gzip|pkginfo|pymirror/archive"),
    ("fsync and sync", r"posix\.(fsync|sync|fdatasync|syncfs)"),
    (
        "files and folders",
        r"posix\.|_io\.|io\.open|/pathlib|posixpath|genericpath|/os\.py|tempfile|pymirror/storage|fcntl",
    ),
    (
        "JSON and state",
        r"msgspec|/json/|_json|pymirror/(state|pool_record|stored_snapshot|snapshot|page_record|site_record)",
    ),
    ("pages of upstream", r"pymirror/simple/(parse|model|legacy|tags)|html/parser|_markupbase|selectolax"),
    ("names, versions, tags", r"/packaging/|pymirror/(distribution|environment)"),
    ("metadata", r"pymirror/(metadata|needs)"),
    ("what is decided", r"pymirror/(selection|closure|plan|roots|limits|spec|commands)|resolvelib"),
    (
        "pages and documents",
        r"pymirror/(simple/render|simple/markup|pages|publish|documents|pieces|descriptions|page_files)",
    ),
    ("the rest of pymirror", r"pymirror/"),
    ("URLs", r"urllib/"),
    ("regular expressions and text", r"/re/|re\.Pattern|'(str|bytes)'|html/__init__"),
    ("context managers", r"/contextlib\.py"),
    ("YAML", r"/yaml/"),
    ("the terminal", r"/rich/|/click/|pymirror/(console|cli)"),
    ("everything else", r""),
)


_SHARED = ("regular expressions and text", "everything else")

_Key = tuple[str, int, str]
"""File, line and function."""


class _Profiles:
    """A profile for each thread that begins while this is in force, and one for this thread."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._profiles: list[cProfile.Profile] = []

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        original = threading.Thread.run

        def run(thread: threading.Thread) -> None:
            profile = self._add()
            profile.enable()
            try:
                original(thread)
            finally:
                profile.disable()

        threading.Thread.run = run  # type: ignore[method-assign, assignment]
        profile = self._add()
        profile.enable()
        try:
            yield
        finally:
            profile.disable()
            threading.Thread.run = original  # type: ignore[method-assign]

    def sum(self) -> pstats.Stats:
        for profile in self._profiles:
            profile.create_stats()
        first, *others = self._profiles
        stats = pstats.Stats(first)
        for other in others:
            stats.add(other)
        return stats

    def _add(self) -> cProfile.Profile:
        profile = cProfile.Profile(self._clock)
        self._profiles.append(profile)
        return profile


def profile_command(arguments: list[str], clock: Callable[[], float]) -> tuple[pstats.Stats, float]:
    """The profile of ``pymirror ARGUMENTS`` in this process, its imports too, and its seconds by the clock."""
    profiles = _Profiles(clock)
    sys.argv = ["pymirror", *arguments]
    start = time.perf_counter()
    code: object = None
    try:
        with profiles.watching():
            importlib.import_module("pymirror.__main__").main()
    except SystemExit as end:
        code = end.code
    if code:
        raise SystemExit(f"pymirror {' '.join(arguments)}: it ended with {code}")
    return profiles.sum(), time.perf_counter() - start


def group(stats: pstats.Stats) -> dict[str, float]:
    """The seconds of each group, the largest first. Built-ins of no group are counted for those that called them."""
    seconds: dict[str, float] = {}
    for key, (_, _, own, _, callers) in _table(stats).items():
        title = _find_group(key)
        is_shared = key[0] == "~" and title in _SHARED
        parts = [(_find_group(caller), values[2]) for caller, values in callers.items()] if is_shared else []
        for each, part in parts or [(title, own)]:
            seconds[each] = seconds.get(each, 0.0) + part
    return dict(sorted(seconds.items(), key=lambda item: -item[1]))


def _find_group(key: _Key) -> str:
    return next(title for title, pattern in GROUPS if re.search(pattern, f"{key[0]}:{key[2]}"))


def _table(stats: pstats.Stats) -> dict[_Key, tuple[int, int, float, float, dict[_Key, tuple[int, int, float, float]]]]:
    """By function: calls (without and with recursion), its own and all seconds, and the same by caller."""
    return stats.stats  # type: ignore[attr-defined, no-any-return]


def render(stats: pstats.Stats, *, largest: int) -> str:
    """The groups, and the functions with the most time of their own."""
    seconds = group(stats)
    total = sum(seconds.values()) or 1.0
    groups = [
        (title, f"{own:.2f}", f"{100 * own / total:.0f} %") for title, own in seconds.items() if own > total / 200
    ]
    text = render_table(["group", "s", "share"], groups)
    functions = sorted(((values[2], key) for key, values in _table(stats).items()), reverse=True)[:largest]
    rows = [(f"`{_shorten(key)}`", f"{own:.2f}") for own, key in functions]
    return f"{text}\n{render_table(['function', 'its own processor s'], rows)}" if largest else text


def _shorten(key: _Key) -> str:
    """Without the folders of this machine."""
    file, _, function = key
    return function if file == "~" else f"{'/'.join(Path(file).parts[-2:])}: {function}"


def _prepare(case: Case, job: str, home: Path) -> list[str]:
    """The command's arguments, after the runs that must come before it."""
    spec = case.prepare("pymirror", "cold", home, {})[0][-1]
    if job != "cold":
        _run_unwatched(["sync", "--quiet", spec])
    case.upstream.switch(int(job in ("changed", "plan")))
    return [job, "--quiet", spec] if job == "plan" else ["sync", "--quiet", spec]


def _run_unwatched(arguments: list[str]) -> None:
    subprocess.run([sys.executable, "-m", "pymirror", *arguments], check=True)  # noqa: S603 - the command is ours


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", choices=JOBS, help="plan: of what has 1 %% changed")
    parser.add_argument("--preset", choices=PRESETS, default="small")
    parser.add_argument("--scenario", choices=SCENARIOS, default="plain")
    parser.add_argument("--clock", choices=CLOCKS, default="processor", help="wall: what all threads wait for, in sum")
    parser.add_argument("--largest", type=int, default=25, help="so many functions are listed")
    parser.add_argument("--folder", type=Path, default=Path(".bench"))
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the groups between the markers of FILE")
    return parser.parse_args()


def main() -> None:
    if sys.version_info >= (3, 12):
        raise SystemExit("this takes Python 3.11: from 3.12 on, cProfile knows one thread at a time")
    arguments = _parse()
    folder: Path = arguments.folder.resolve()
    upstream = make_upstream(folder / "upstream" / arguments.preset, PRESETS[arguments.preset])
    home = folder / "profile"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    with serve(upstream.folder) as site:
        case = Case(upstream, site, arguments.preset, arguments.scenario)
        environ = clean_environ(home)
        os.environ.clear()
        os.environ.update(environ)
        command = _prepare(case, arguments.job, home)
        stats, wall = profile_command(command, CLOCKS[arguments.clock])
        upstream.switch(0)
    what = f"`{arguments.preset}`, {arguments.scenario}, {arguments.job}, {arguments.clock} time; it took {wall:.1f} s."
    head = f"{what} {describe_machine()}"
    sys.stderr.write(f"{head}\n\n{render(stats, largest=arguments.largest)}")
    if arguments.write:
        page = arguments.write.read_text(encoding="utf-8")
        maker = f"benchmarks.profile {arguments.job}"
        text = replace_between(page, maker, f"{head}\n\n{render(stats, largest=0)}")
        arguments.write.write_text(text, encoding="utf-8")
    shutil.rmtree(home)


if __name__ == "__main__":
    main()
