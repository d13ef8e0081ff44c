"""Every client with every server: ``python scripts/clients.py install``, then ``… run --write docs/clients.md``.

``install`` makes a virtual environment for each client below ``.clients``. ``run`` mirrors an index of its own, starts
every server that this machine has, and lets each client install in every way; the table says what was seen.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import pytest  # noqa: E402 - the tests' modules are found from the root, wherever this is started

from tests.client_tools import (  # noqa: E402
    CLIENTS,
    CONFIGURED,
    SERVERS,
    WAYS,
    Client,
    ClientError,
    Location,
    Project,
    Tree,
    Way,
    make_tree,
    prove,
    reach,
)

START, END = "<!-- table: made by scripts/clients.py -->", "<!-- end of table -->"
_NONE = "\N{EN DASH}"
_NUMBERS = "¹²³⁴⁵⁶⁷⁸⁹"
_VERSION_COMMANDS = {"nginx": ("nginx", "-v"), "Apache": ("apache2", "-v"), "Caddy": ("caddy", "version")}


# ── install ─────────────────────────────────────────────────────────────────────────────────────────


def install() -> None:
    """Makes the environments that are missing, or of other versions."""
    uv: str = import_module("uv").find_uv_bin()
    for client in CLIENTS:
        if client.is_made:
            continue
        sys.stderr.write(f"{client.folder.relative_to(ROOT)}: {', '.join(client.requires)}\n")
        shutil.rmtree(client.folder, ignore_errors=True)
        base = (uv, "--no-config", "--system-certs", "--quiet")  # trusting whom pip trusts
        _run(*base, "venv", "--no-project", "--python", sys.executable, str(client.folder))
        _run(*base, "pip", "install", "--python", str(client.folder), *client.requires)
        (client.folder / "stamp").write_text(client.stamp, encoding="utf-8")


def _run(*command: str) -> None:
    code = subprocess.run(command, check=False).returncode  # noqa: S603 - uv, and requirements that are constants
    if code != 0:
        raise SystemExit(f"{Path(command[0]).name} failed: what it says is above")


# ── run ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Cell:
    """What was seen of a client in one way; ``note`` is why there was nothing to see, ``log`` what went wrong."""

    note: str = ""
    log: str = ""


@dataclass(frozen=True)
class Seen:
    """All cells, and the servers that could not be started."""

    cells: dict[tuple[str, Way], Cell]
    missing: frozenset[str]


def run(workers: int) -> Seen:
    """Tries every client in every way."""
    absent = [client.name for client in CLIENTS if not client.is_made]
    if absent:
        raise SystemExit(f"not in .clients as they should be: {', '.join(absent)}; run `scripts/clients.py install`")
    with tempfile.TemporaryDirectory(prefix="pymirror-clients-") as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)  # servers may run as nobody
        tree = make_tree(_make_folder(folder / "tree"))
        urls: dict[str, str] = {}
        for number, server in enumerate(SERVERS):
            try:
                work = _make_folder(folder / f"server-{number}")
                urls[server] = stack.enter_context(reach(server, tree.folder, work))
            except (pytest.skip.Exception, pytest.fail.Exception) as reason:
                sys.stderr.write(f"{server}: {reason}\n")
        with ThreadPoolExecutor(workers) as pool:
            started = {
                (client.name, way): pool.submit(
                    _try, client, way, urls, tree, folder / client.folder_name / str(column)
                )
                for client in CLIENTS
                for column, way in enumerate(WAYS)
            }
            cells = {key: future.result() for key, future in started.items()}
    return Seen(cells, frozenset(SERVERS) - frozenset(urls))


def _make_folder(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _try(client: Client, way: Way, urls: dict[str, str], tree: Tree, folder: Path) -> Cell:
    if way in client.cannot:
        return Cell(note=client.cannot[way])
    if way.server not in urls:
        return Cell(note=f"{way.server} was not installed where the table was made.")
    try:
        prove(client, Project(folder, tree), Location(way, urls[way.server]))
    except (ClientError, subprocess.TimeoutExpired) as error:
        return Cell(log=f"{client.name}, {way.title}: {error}")
    return Cell()


# ── the table ───────────────────────────────────────────────────────────────────────────────────────


def render(seen: Seen) -> str:
    """The table in Markdown, its footnotes, and the versions of the servers."""
    notes = list(dict.fromkeys(cell.note for cell in seen.cells.values() if cell.note))
    lines = [
        _row(["client", "version", *(way.title for way in WAYS)]),
        _row(["---", "---", *(":---:" for _ in WAYS)]),
    ]
    for client in CLIENTS:
        marks = [_mark(seen.cells[client.name, way], notes) for way in WAYS]
        lines.append(_row([client.name, client.version, *marks]))
    foot = [f"{_NUMBERS[number]} {note}" for number, note in enumerate(notes)]
    return "\n\n".join(["\n".join(lines), *foot, f"Seen with {', '.join(_versions(seen.missing))}."]) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _mark(cell: Cell, notes: Sequence[str]) -> str:
    if cell.log:
        return "✗"
    return f"{_NONE}{_NUMBERS[notes.index(cell.note)]}" if cell.note else "✓"


def _versions(missing: frozenset[str]) -> Iterator[str]:
    yield f"Python {'.'.join(map(str, sys.version_info[:3]))}"
    for server in CONFIGURED:
        if server not in missing:
            program, *arguments = _VERSION_COMMANDS[server]
            path = shutil.which(program, path="/usr/sbin:/usr/local/sbin:/usr/local/bin:/usr/bin")
            done = subprocess.run(  # noqa: S603 - the web server that was just run
                [path or program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
            )
            found = re.search(r"\d+(?:\.\d+)+", done.stdout)
            yield f"{server} {found[0] if found else '(version unknown)'}"


def replace_table(text: str, table: str) -> str:
    """``text`` with ``table`` between its markers."""
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        raise SystemExit(f"the file has no {START} and {END}, between which the table belongs")
    return f"{before}{start}\n\n{table}\n{end}{after}"


# ── the command ─────────────────────────────────────────────────────────────────────────────────────


def main() -> int:
    """The exit code: 1 where a cell is ✗."""
    parser = argparse.ArgumentParser(description="Lets every client install through every server.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("install", help="make the environments of the clients below .clients")
    runner = commands.add_parser("run", help="let every client install in every way, and print the table")
    runner.add_argument("--write", type=Path, metavar="FILE", help="put the table between the markers of FILE")
    runner.add_argument("--workers", type=int, default=2, help="how many clients run at once (default: 2)")
    arguments = parser.parse_args()
    if arguments.command == "install":
        install()
        return 0
    seen = run(arguments.workers)
    table = render(seen)
    if arguments.write:
        text = arguments.write.read_text(encoding="utf-8")
        arguments.write.write_text(replace_table(text, table), encoding="utf-8")
    else:
        sys.stdout.write(table)
    logs = [cell.log for cell in seen.cells.values() if cell.log]
    sys.stderr.writelines(f"\n{log}\n" for log in logs)
    return 1 if logs else 0


if __name__ == "__main__":
    sys.exit(main())
