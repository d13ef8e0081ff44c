"""The table of ``test_hot.py``: ``python -m benchmarks.hot``. It takes pytest-benchmark, of the group ``bench``."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from benchmarks.tables import describe_machine, render_table, replace_between
from benchmarks.web import ROOT


class _Stats(msgspec.Struct):
    min: float
    median: float
    rounds: int


class _Benchmark(msgspec.Struct):
    name: str
    stats: _Stats


class _Report(msgspec.Struct):
    benchmarks: list[_Benchmark]


def render(report: bytes) -> str:
    """``report`` is what pytest-benchmark wrote, with times in seconds."""
    found = msgspec.json.decode(report, type=_Report).benchmarks
    rows = [
        (
            f"`{each.name.removeprefix('test_')}`",
            f"{1000 * each.stats.median:.2f}",
            f"{1000 * each.stats.min:.2f}",
            str(each.stats.rounds),
        )
        for each in found
    ]
    return render_table(("function", "median ms", "least ms", "rounds"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each function, at least")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the table between the markers of FILE")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        options = ["--quiet", "-p", "no:cacheprovider", f"--benchmark-json={report}"]
        command = [sys.executable, "-m", "pytest", "benchmarks/test_hot.py", *options]
        command.append(f"--benchmark-max-time={arguments.seconds}")
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise SystemExit(f"pytest ended with {done.returncode} and said:\n{done.stdout}{done.stderr}")
        text = f"{describe_machine()}\n\n{render(report.read_bytes())}"
    sys.stdout.write(text)
    if arguments.write:
        page = arguments.write.read_text(encoding="utf-8")
        arguments.write.write_text(replace_between(page, "benchmarks.hot", text), encoding="utf-8")


if __name__ == "__main__":
    main()
