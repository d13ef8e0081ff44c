"""Measurements as tables: medians, ratios, and which goal is met."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

import msgspec

from benchmarks.web import MissingProgramError, find_program


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One run. ``needed`` are the requests that it takes, ``failed`` those that got no good answer.

    ``wrote`` are the files and folders that are other than before, or the first of them; ``None`` where nobody looked.
    """

    preset: str
    scenario: str
    tool: str
    phase: str
    round: int
    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    requests: int
    needed: int
    failed: int
    wrote: list[str] | None

    def describe(self) -> str:
        wrote = "" if self.wrote is None else f", written: {', '.join(self.wrote) or 'nothing'}"
        return (
            f"{self.preset}, {self.scenario}, {self.phase}, round {self.round}: {self.tool} {self.wall_seconds:.2f} s, "
            f"processor {self.cpu_seconds:.2f} s, {self.peak_bytes / 1e6:.0f} MB, "
            f"{self.requests} requests of {self.needed} needed{wrote}"
        )


class Rows:
    """Rows, asked for what they have in common."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = list(rows)

    def of(self, **values: str) -> list[Row]:
        return [row for row in self._rows if all(getattr(row, name) == value for name, value in values.items())]

    def median(self, what: Callable[[Row], float], **values: str) -> float | None:
        found = [what(row) for row in self.of(**values)]
        return statistics.median(found) if found else None

    def ratio(self, preset: str, scenario: str, one: tuple[str, str], other: tuple[str, str]) -> float | None:
        """The median over the rounds of the times of one (tool, phase) to that of another, which ran beside it."""
        walls = {
            (row.tool, row.phase, place): row.wall_seconds
            for key in (one, other)
            for place, row in enumerate(self.of(preset=preset, scenario=scenario, tool=key[0], phase=key[1]))
        }
        pairs = [
            wall / walls[(*other, place)]
            for (tool, phase, place), wall in walls.items()
            if (tool, phase) == one and (*other, place) in walls
        ]
        return statistics.median(pairs) if pairs else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """``limit`` is that of ``measure``, whose result has ``unit`` behind it; it is ``None`` where nobody measured."""

    title: str
    limit: float
    measure: Callable[[Rows], float | None]
    unit: str = " times"
    digits: int = 2


def _to_floor(preset: str, scenario: str, phase: str) -> Callable[[Rows], float | None]:
    return lambda rows: rows.ratio(preset, scenario, ("pymirror", phase), ("curl", phase))


def _peak_megabytes(rows: Rows, preset: str) -> float | None:
    found = [row.peak_bytes / 1e6 for row in rows.of(preset=preset, tool="pymirror")]
    return max(found) if found else None


def _peak_ratio(rows: Rows) -> float | None:
    many, small = _peak_megabytes(rows, "many"), _peak_megabytes(rows, "small")
    return many / small if many and small else None


def _needless_requests(rows: Rows) -> float | None:
    found = [row.requests - row.needed for row in rows.of(tool="pymirror", phase="cold")]
    return max(found) if found else None


def _most_written(rows: Rows) -> float | None:
    found = [len(row.wrote) for row in rows.of(tool="pymirror", phase="refresh") if row.wrote is not None]
    return max(found) if found else None


GOALS = (
    Goal(title="cold, `small`, TLS, 50 ms: to the floor", limit=1.25, measure=_to_floor("small", "tls+50ms", "cold")),
    Goal(title="cold, `small`, plain, near: to the floor", limit=2, measure=_to_floor("small", "plain", "cold")),
    Goal(title="cold, `big`, plain, near: to the floor", limit=1.2, measure=_to_floor("big", "plain", "cold")),
    Goal(
        title="refresh, `many`, TLS, 50 ms: to conditional requests by curl",
        limit=1.5,
        measure=_to_floor("many", "tls+50ms", "refresh"),
    ),
    Goal(
        title="1 % changed, `many`, TLS, 50 ms: to the refresh",
        limit=2,
        measure=lambda rows: rows.ratio("many", "tls+50ms", ("pymirror", "changed"), ("pymirror", "refresh")),
    ),
    Goal(title="memory, `many`", limit=150, measure=lambda rows: _peak_megabytes(rows, "many"), unit=" MB", digits=0),
    Goal(title="memory, `many`: to `small`", limit=1.3, measure=_peak_ratio),
    Goal(
        title="requests of a cold run beyond one per project and file",
        limit=0,
        measure=_needless_requests,
        unit="",
        digits=0,
    ),
    Goal(
        title="files and folders that a refresh with nothing new writes",
        limit=0,
        measure=_most_written,
        unit="",
        digits=0,
    ),
)
"""Of the whole: where a goal names no preset, the worst run of all counts."""


def describe_machine() -> str:
    """The date, the machine's size and the versions."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {memory:.0f} GiB of memory, {platform.system()}, "
        f"Python {platform.python_version()}, pymirror {version('pymirror')}, "
        f"{_tool_version('curl', '--version')}, {_tool_version('nginx', '-v')}."
    )


def _tool_version(name: str, option: str) -> str:
    try:
        command = [find_program(name), option]
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - the commands are ours
    except (MissingProgramError, subprocess.CalledProcessError):
        return f"no {name}"
    words = (done.stdout or done.stderr).replace("nginx version: nginx/", "nginx ").split()
    return " ".join(words[:2])


def render_results(rows: Sequence[Row]) -> str:
    """All tables, in Markdown."""
    known = Rows(rows)
    parts = [describe_machine(), ""]
    for preset, scenario in dict.fromkeys((row.preset, row.scenario) for row in rows):
        parts += _render_case(known, preset, scenario)
    return "\n".join([*parts, *_render_goals(known)]) + "\n"


def _render_case(rows: Rows, preset: str, scenario: str) -> list[str]:
    lines = [
        f"**`{preset}`, {scenario}**",
        "",
        "| run | tool | rounds | wall s | to curl | processor s | memory MB | requests (needed) | written |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    found = rows.of(preset=preset, scenario=scenario)
    for phase, tool in dict.fromkeys(sorted(((row.phase, row.tool) for row in found), key=_order)):
        these = rows.of(preset=preset, scenario=scenario, phase=phase, tool=tool)
        ratio = rows.ratio(preset, scenario, (tool, phase), ("curl", phase))
        cells = [
            phase,
            tool,
            str(len(these)),
            f"{statistics.median(row.wall_seconds for row in these):.2f}",
            f"{ratio:.2f}" if ratio is not None else "",
            f"{statistics.median(row.cpu_seconds for row in these):.2f}",
            f"{max(row.peak_bytes for row in these) / 1e6:.0f}",
            f"{max(row.requests for row in these)} ({these[0].needed})",
            "" if these[0].wrote is None else str(max(len(row.wrote or ()) for row in these)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _order(key: tuple[str, str]) -> tuple[int, str]:
    phase, tool = key
    return (("cold", "refresh", "changed").index(phase), tool)


def _render_goals(rows: Rows) -> list[str]:
    lines = ["| goal | at most | measured | |", "| --- | --- | --- | --- |"]
    for goal in GOALS:
        value = goal.measure(rows)
        if value is None:
            measured, verdict = "", "not measured"
        else:
            measured = f"{value:.{goal.digits}f}{goal.unit}"
            verdict = "met" if value <= goal.limit else "missed"
        lines.append(f"| {goal.title} | {goal.limit:g}{goal.unit} | {measured} | {verdict} |")
    return lines


def render_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def replace_between(text: str, maker: str, table: str) -> str:
    """``text`` with ``table`` between the markers of ``maker``. Raises :class:`ValueError` where they are not there."""
    start, end = f"<!-- made by {maker} -->\n", f"<!-- end of {maker} -->"
    before, found, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"the markers {start.strip()} and {end} are not there, or not in this order")
    return f"{before}{start}\n{table}\n{end}{after}"
