"""How long the selection of one large page takes: ``python benchmarks/selection.py [FILES]``.

The page is like that of a large project: wheels of six interpreters on seven platforms and an sdist for each release.
It is judged for twenty environments, with every filter, by two rules.
"""

from __future__ import annotations

import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from packaging.utils import canonicalize_name

from pymirror.selection.select import select
from pymirror.selection.wants import wants_of
from pymirror.simple.model import File, ProjectDetail
from pymirror.spec.load import load_spec

SPEC = b"""\
output: mirror
environments:
  python: ["3.9", "3.10", "3.11", "3.12", "3.13"]
  platform: [x86_64-manylinux_2_28, aarch64-manylinux_2_28, windows, macos]
sdists: fallback
keep-latest: 5
exclude-newer: 7 days
max-file-size: 1 MB
projects: [demo >=1, demo <3]
exclude: [demo ==3.1.*]
"""
PLATFORMS = (
    "manylinux_2_17_x86_64.manylinux2014_x86_64",
    "manylinux_2_28_aarch64",
    "musllinux_1_2_x86_64",
    "win_amd64",
    "win32",
    "macosx_11_0_arm64",
    "macosx_10_9_x86_64",
)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROUNDS = 7


def make_page(size: int) -> ProjectDetail:
    """A page of ``size`` files."""
    files: list[File] = []
    release = 0
    while len(files) < size:
        release += 1
        version = f"{release // 10}.{release % 10}.0"
        tags = [f"cp3{minor}-cp3{minor}-{platform}" for minor in range(8, 14) for platform in PLATFORMS]
        names = [f"demo-{version}.tar.gz", *(f"demo-{version}-{tag}.whl" for tag in tags)]
        files += [
            File(
                filename=name,
                url=f"https://files.example.com/{name}",
                hashes=(("sha256", "a" * 64),),
                size=1000,
                upload_time=datetime(2025, 1, 1, tzinfo=UTC),
                requires_python=">=3.8",
            )
            for name in names
        ]
    return ProjectDetail(files=tuple(files[:size]))


def main() -> None:
    page = make_page(int(sys.argv[1]) if len(sys.argv) > 1 else 5000)
    spec = load_spec(Path("mirror.yaml"), read=lambda _path: SPEC, environ={})
    wants = wants_of(spec, canonicalize_name("demo"), now=NOW)
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        selection = select(wants, page, page_url="https://index.example.com/simple/demo/")
        times.append(time.perf_counter() - start)
    first, *others = times
    sys.stdout.write(
        f"{len(page.files)} files, {len(selection.chosen)} chosen: first {first:.3f} s, "
        f"then {min(others):.3f} to {max(others):.3f} s, median {statistics.median(others):.3f} s\n"
    )


if __name__ == "__main__":
    main()
