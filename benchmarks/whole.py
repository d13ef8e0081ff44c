"""Whole runs of ``pymirror sync`` beside the floor: ``python -m benchmarks.whole``, with ``--quick`` for a smoke run.

The floor is ``curl --parallel --parallel-max 32`` over the same URLs, which it knows beforehand, and ``sha256sum``
over the files. Both take turns in every round: what else the machine does meets both. Read the ratios.

    python -m benchmarks.whole --preset small --scenario plain,tls+50ms --rounds 3 --write docs/performance.md

Each run adds a line to a file of results; the tables are made of all its lines, so that presets can be measured one by
one. ``--rounds 0`` makes them anew, ``--forget`` begins with an empty file.
"""

from __future__ import annotations

import argparse
import http.client
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from benchmarks.measure import look_at, run
from benchmarks.tables import Row, render_results, replace_between
from benchmarks.upstream import PRESETS, MadeFile, Upstream, make_upstream
from benchmarks.web import SCENARIOS, Site, find_program, serve

MAX_NAMED = 20
PHASES = ("cold", "refresh", "changed")
TOOLS = ("pymirror", "curl")
ACCEPT = "application/vnd.pypi.simple.v1+json"
CONNECTIONS = 32
MAX_LISTED = 5_000
"""A preset of more projects is mirrored by a pattern, as nobody would list them; the floor knows their names."""


class Case:
    """One preset in one scenario: what the tools are to do, and where."""

    def __init__(self, upstream: Upstream, site: Site, preset: str, scenario: str) -> None:
        self.upstream = upstream
        self.site = site
        self.preset = preset
        self.scenario = scenario
        self.url = site.urls[scenario]
        self.projects = upstream.projects
        self.has_pattern = len(self.projects) > MAX_LISTED
        self.files = list(upstream.files())

    def prepare(self, tool: str, phase: str, home: Path, etags: Mapping[str, str]) -> list[list[str]]:
        """What ``tool`` runs in ``phase``; the files that this needs are written into ``home``."""
        if tool == "pymirror":
            return [[sys.executable, "-m", "pymirror", "sync", "--quiet", str(self._write_spec(home))]]
        files = self.new_files(phase)
        config, sums = home / "curl.txt", home / "sums.txt"
        config.write_text("\nnext\n".join(self._curl_lines(phase, files, etags)), encoding="utf-8")
        sums.write_text("".join(f"{file.sha256}  files/{file.filename}\n" for file in files), encoding="utf-8")
        curl = [find_program("curl"), "--disable", "--parallel", "--parallel-max", str(CONNECTIONS), "-K", str(config)]
        return [curl, *([[find_program("sha256sum"), "--check", "--quiet", str(sums)]] if files else [])]

    def new_files(self, phase: str) -> list[MadeFile]:
        """The files that a run has to fetch."""
        state = {"cold": 0, "changed": 1}.get(phase)
        return [file for file in self.files if file.state == state]

    def read_etags(self) -> dict[str, str]:
        """The validators of the pages, by project; asked for near by, whatever the scenario."""
        parts = urlsplit(self.site.urls["plain"])
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
        etags = {}
        for project in self.projects:
            connection.request("HEAD", f"/simple/{project}/", headers={"Accept": ACCEPT, "Accept-Encoding": "gzip"})
            answer = connection.getresponse()
            answer.read()
            etags[project] = answer.headers["ETag"]
        connection.close()
        return etags

    def _write_spec(self, home: Path) -> Path:
        spec = home / "mirror.yaml"
        projects = ['"*"'] if self.has_pattern else self.projects
        lines = [
            "output: tree",
            f"upstreams: [{{name: made, url: '{self.url}simple/', ca-file: '{self.site.ca}'}}]",
            f"network: {{connections: {CONNECTIONS}}}",
            "projects:",
            *(f"  - {name}" for name in projects),
        ]
        spec.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return spec

    def _curl_lines(self, phase: str, files: Sequence[MadeFile], etags: Mapping[str, str]) -> Iterator[str]:
        """Groups of options; a group is made where its headers are its own."""
        common = f'silent\nshow-error\nfail\ncreate-dirs\ncacert = "{self.site.ca}"\n'
        pages = f'{common}compressed\nheader = "Accept: {ACCEPT}"\n'
        if phase == "cold":
            yield pages + "".join(map(self._page_line, self.projects))
        else:
            for project in self.projects:
                etag = etags[project].replace('"', '\\"')
                yield f'{pages}header = "If-None-Match: {etag}"\n{self._page_line(project)}'
        if files:
            yield common + "".join(
                f'url = "{self.url}{file.path}"\noutput = "files/{file.filename}"\n' for file in files
            )

    def _page_line(self, project: str) -> str:
        return f'url = "{self.url}simple/{project}/"\noutput = "pages/{project}.json"\n'


def measure_case(
    case: Case, folder: Path, *, rounds: int, phases: Sequence[str], tools: Sequence[str]
) -> Iterator[Row]:
    """A row for each run, as it ends. Every round begins with nothing, and another tool is the first in each.

    What it leaves in ``folder`` is removed after the last run of all: for a minute ext4 looks past the inodes that were
    just given back, at each that it gives out, which would count against whoever makes most files and folders.
    """
    for number in range(rounds):
        order = [*tools[number % len(tools) :], *tools[: number % len(tools)]]
        case.upstream.switch(0)
        etags = case.read_etags() if set(phases) != {"cold"} and "curl" in tools else {}
        homes = {tool: folder / f"{tool}-{number}" for tool in order}
        for home in homes.values():
            home.mkdir(parents=True)
        for phase in phases:
            case.upstream.switch(int(phase == "changed"))
            for tool in order:
                yield _measure(case, tool, phase, number, homes[tool], etags)
    case.upstream.switch(0)


def _measure(case: Case, tool: str, phase: str, number: int, home: Path, etags: Mapping[str, str]) -> Row:
    commands = case.prepare(tool, phase, home, etags)
    tree = home / "tree"
    before = look_at(tree) if phase == "refresh" and tool == "pymirror" else None
    since = case.site.log.stat().st_size
    output = home / f"{phase}.txt"
    usage = run(commands, folder=home, environ=clean_environ(home), output=output)
    counts = case.site.count(since)
    if usage.code:
        said = output.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise SystemExit(f"{tool}, {phase}: it ended with {usage.code} and said:\n{said}")
    wrote = None if before is None else sorted({name for name, _ in before.items() ^ look_at(tree).items()})
    return Row(
        preset=case.preset,
        scenario=case.scenario,
        tool=tool,
        phase=phase,
        round=number,
        wall_seconds=round(usage.wall_seconds, 3),
        cpu_seconds=round(usage.cpu_seconds, 3),
        peak_bytes=usage.peak_bytes,
        requests=counts["page"] + counts["file"] + counts["other"],
        needed=len(case.projects) + len(case.new_files(phase)) + case.has_pattern,
        failed=counts["failed"],
        wrote=wrote and wrote[:MAX_NAMED],
    )


def clean_environ(home: Path) -> dict[str, str]:
    """What a user's machine could add is left out: proxies, settings of pip, coverage."""
    return {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(home),
        "PIP_CONFIG_FILE": os.devnull,
        "LC_ALL": "C.UTF-8",
    }


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="small", help=f"some of {','.join(PRESETS)}")
    parser.add_argument("--scenario", default="plain,tls+50ms", help=f"some of {','.join(SCENARIOS)}")
    parser.add_argument("--phase", default=",".join(PHASES), help="cold alone, or with what follows it")
    parser.add_argument("--tool", default=",".join(TOOLS), help="pymirror alone, where the floor would take too long")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(".bench"), help="where there is room: 2 GB for most")
    parser.add_argument("--results", type=Path, help="default: results.jsonl in the folder")
    parser.add_argument("--forget", action="store_true", help="begin with an empty file of results")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the tables between the markers of FILE")
    parser.add_argument("--quick", action="store_true", help="the preset tiny, one round: whether it works at all")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.preset, arguments.rounds = "tiny", min(arguments.rounds, 1)
    arguments.results = arguments.results or arguments.folder / f"results{'-quick' * arguments.quick}.jsonl"
    arguments.forget = arguments.forget or arguments.quick
    return arguments


def main() -> None:
    arguments = _parse()
    folder: Path = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n", encoding="ascii")
    results: Path = arguments.results
    if arguments.forget:
        results.unlink(missing_ok=True)
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)  # of a measurement that was ended
    for preset in arguments.preset.split(",") if arguments.rounds else ():
        upstream = make_upstream(folder / "upstream" / preset, PRESETS[preset])
        with serve(upstream.folder) as site:
            for scenario in arguments.scenario.split(","):
                case = Case(upstream, site, preset, scenario)
                phases, tools = tuple(arguments.phase.split(",")), tuple(arguments.tool.split(","))
                home = work / f"{preset}-{scenario}"
                for row in measure_case(case, home, rounds=arguments.rounds, phases=phases, tools=tools):
                    with results.open("ab") as file:
                        file.write(msgspec.json.encode(row) + b"\n")
                    sys.stderr.write(f"{row.describe()}\n")
    shutil.rmtree(work, ignore_errors=True)
    decoder = msgspec.json.Decoder(Row)
    rows = [decoder.decode(line) for line in results.read_bytes().splitlines()] if results.exists() else []
    text = render_results(rows)
    sys.stdout.write(text)
    if arguments.write:
        page = arguments.write.read_text(encoding="utf-8")
        arguments.write.write_text(replace_between(page, "benchmarks.whole", text), encoding="utf-8")


if __name__ == "__main__":
    main()
