"""Options in, one function of ``commands`` called, exit code out. The only user of click.

A command's modules are imported when it runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click
from click.core import ParameterSource

from pymirror.errors import (
    ConfigurationError,
    ExitCode,
    InterruptedRunError,
    PymirrorError,
    TerminatedError,
    UsageError,
)
from pymirror.spec.units import parse_duration

if TYPE_CHECKING:
    from pymirror.commands.ports import Ports
    from pymirror.console import Terminal
    from pymirror.spec.model import Spec
    from pymirror.workers import Stop

_MAX_FILE_BYTES = 64 * 1024 * 1024

F = TypeVar("F", bound=Callable[..., Any])

_EPILOG = """\b
Exit codes: 0 all is published; 1 something wanted could not be had; 2 bad usage or spec;
3 another run holds the lock; 4 refused by a safety limit; 5 verify found damage;
130 interrupted; 143 terminated."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}, epilog=_EPILOG)
@click.version_option(package_name="pymirror", message="pymirror %(version)s")
def cli() -> None:
    """Builds offline package indexes from a spec.

    A spec, mirror.yaml, says what the mirror must hold; `sync` makes it so. The result is a folder of static files that
    any web server serves, and that pip reads without one.
    """


def _common(function: F) -> F:
    """The spec, -q, -v and --json: the same for every verb."""
    for decorate in (
        click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on stdout."),
        click.option("-v", "--verbose", is_flag=True, help="Tell of every retry, and list every failure."),
        click.option("-q", "--quiet", is_flag=True, help="Tell only of errors."),
        click.argument("spec", default="mirror.yaml", metavar="[SPEC]", type=click.Path(path_type=Path)),
    ):
        function = decorate(function)
    return function


class _Duration(click.ParamType[float]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds = value if isinstance(value, float) else parse_duration(str(value))
        if seconds is None:
            self.fail(f'"{value}" is not a duration; write "30 min", "12 h", "7 days"', param, ctx)
        return seconds


@cli.command("sync")
@_common
@click.option("--allow-shrink", is_flag=True, help="Publish even where more than a tenth of the files would go.")
def sync_command(spec: Path, quiet: bool, verbose: bool, as_json: bool, allow_shrink: bool) -> None:
    """Make the tree hold what SPEC (default: mirror.yaml) says.

    Downloads what is new, verifies it, and then publishes all pages in one step. What the spec no longer wants leaves
    the pages; its files stay until `prune`.
    """

    def work(loaded: Spec, ports: Ports, terminal: Terminal) -> ExitCode:
        from pymirror.commands.sync import sync
        from pymirror.console import reports

        report = sync(loaded, ports, allow_shrink=allow_shrink)
        terminal.json(report.as_json()) if as_json else None
        reports.show_sync(terminal, report)
        return report.exit_code

    _run(spec, work, quiet=quiet, verbose=verbose, as_json=as_json)


@cli.command("plan")
@_common
@click.option("--files", is_flag=True, help="List every file, with the reason and the rule.")
def plan_command(spec: Path, quiet: bool, verbose: bool, as_json: bool, files: bool) -> None:
    """Show what `sync` would add, remove and download. Writes nothing."""

    def work(loaded: Spec, ports: Ports, terminal: Terminal) -> ExitCode:
        from pymirror.commands.plan import plan
        from pymirror.console import reports

        report = plan(loaded, ports, with_files=files)
        terminal.json(report.as_json()) if as_json else reports.show_plan(terminal, report)
        return report.exit_code

    _run(spec, work, quiet=quiet, verbose=verbose, as_json=as_json)


@cli.command("verify")
@_common
def verify_command(spec: Path, quiet: bool, verbose: bool, as_json: bool) -> None:
    """Check every page, link, size and hash of the published tree.

    SPEC may also be the folder of the tree itself, which need not be writable: so a disk that was carried elsewhere is
    checked there. Asks nobody: the disk alone is read. What is damaged is fetched again by the next `sync`.
    """

    def work(ports: Ports, terminal: Terminal) -> ExitCode:
        from pymirror.commands.verify import verify
        from pymirror.console import reports

        report = verify(ports)
        terminal.json(report.as_json()) if as_json else reports.show_verify(terminal, report)
        return report.exit_code

    _run_on_tree(spec, work, quiet=quiet, verbose=verbose, as_json=as_json)


@cli.command("prune")
@_common
@click.option(
    "--grace",
    type=_Duration(),
    default=0.0,
    show_default="none",
    help="Keep what left the pages less than this ago: clients may still be reading an older page.",
)
@click.option("-n", "--dry-run", is_flag=True, help="List what would be deleted, and delete nothing.")
def prune_command(spec: Path, quiet: bool, verbose: bool, as_json: bool, grace: float, dry_run: bool) -> None:
    """Delete the files of the pool that no page names any more.

    SPEC may also be the folder of the tree itself.
    """

    def work(ports: Ports, terminal: Terminal) -> ExitCode:
        from pymirror.commands.prune import prune
        from pymirror.console import reports

        report = prune(ports, grace_seconds=grace, now=time.time(), dry_run=dry_run)
        terminal.json(report.as_json()) if as_json else reports.show_prune(terminal, report)
        return report.exit_code

    _run_on_tree(spec, work, quiet=quiet, verbose=verbose, as_json=as_json)


@cli.command("why")
@click.argument("question", required=False, metavar="[NAME | NAME==VERSION | FILE]")
@_common
@click.option("--size", is_flag=True, help="Rank what the disk is spent on: projects, release lines, environments.")
def why_command(question: str | None, spec: Path, quiet: bool, verbose: bool, as_json: bool, size: bool) -> None:
    """Say why a project, a release or a file is in the mirror, or is not: by which line of the spec.

    The project is looked up upstream, and judged as `sync` would judge it. With --size, what is published is ranked,
    and nobody is asked; SPEC is then the first argument.
    """

    def work(loaded: Spec, ports: Ports, terminal: Terminal) -> ExitCode:
        from pymirror.commands.why import why
        from pymirror.console.why import show_why

        report = why(loaded, ports, question or "")
        terminal.json(report.as_json()) if as_json else show_why(terminal, report)
        return report.exit_code

    def weigh(loaded: Spec, ports: Ports, terminal: Terminal) -> ExitCode:
        from pymirror.commands.why_size import why_size
        from pymirror.console.why import show_sizes

        report = why_size(loaded, ports)
        terminal.json(report.as_json()) if as_json else show_sizes(terminal, report)
        return report.exit_code

    def refuse(_terminal: Terminal, _stop: Stop) -> ExitCode:
        if size:
            raise UsageError("--size is about the whole mirror, and takes no question", hint="pymirror why --size SPEC")
        raise UsageError("name a project, a release or a file, or give --size", hint="like pymirror why numpy")

    is_spec_given = click.get_current_context().get_parameter_source("spec") is not ParameterSource.DEFAULT
    if (size and is_spec_given) or (question is None and not size):
        _guard(refuse, quiet=quiet, verbose=verbose, as_json=as_json)
    if size:
        _run(Path(question) if question else spec, weigh, quiet=quiet, verbose=verbose, as_json=as_json)
    _run(spec, work, quiet=quiet, verbose=verbose, as_json=as_json)


@cli.command("init")
@click.argument("sources", nargs=-1, metavar="[FILE]...", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    default="mirror.yaml",
    show_default=True,
    type=click.Path(path_type=Path),
    help="The spec to write.",
)
def init_command(sources: tuple[Path, ...], output: Path) -> None:
    """Write a commented spec, which wants what requirements and lock files want.

    Each FILE is a requirements file or a lock file (pip freeze, pylock.toml, uv, Poetry, PDM, Pipenv). What is pinned
    is mirrored as it is locked; other requirements become projects. No file is overwritten.
    """

    def start(terminal: Terminal, _stop: Stop) -> ExitCode:
        write_spec(sources, output, read=_read_file)
        terminal.say(f"{output} is written; next: pymirror plan {output}")
        return ExitCode.OK

    from pymirror.commands.init import write_spec

    _guard(start, quiet=False, verbose=False, as_json=False)


@cli.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of the spec, for editors that complete and check YAML."""
    from pymirror.spec.json_schema import make_json_schema

    click.echo(json.dumps(make_json_schema(), indent=2))


def _run(
    spec_path: Path, work: Callable[[Spec, Ports, Terminal], ExitCode], *, quiet: bool, verbose: bool, as_json: bool
) -> NoReturn:
    """``work`` on a spec."""

    def start(terminal: Terminal, stop: Stop) -> ExitCode:
        spec = _load_spec(spec_path)
        if spec.output.exists() and not spec.output.is_dir():
            raise ConfigurationError(f"output: {spec.output} is not a folder")
        return work(spec, _make_ports(spec.output, terminal, stop), terminal)

    _guard(start, quiet=quiet, verbose=verbose, as_json=as_json)


def _run_on_tree(
    path: Path, work: Callable[[Ports, Terminal], ExitCode], *, quiet: bool, verbose: bool, as_json: bool
) -> NoReturn:
    """``work`` on a tree, which the spec names or which ``path`` is."""

    def start(terminal: Terminal, stop: Stop) -> ExitCode:
        output = path if path.is_dir() else _load_spec(path).output
        return work(_make_ports(output, terminal, stop), terminal)

    _guard(start, quiet=quiet, verbose=verbose, as_json=as_json)


def _load_spec(path: Path) -> Spec:
    from pymirror.spec.load import load_spec

    return load_spec(path, read=_read_file, environ=os.environ)


def _make_ports(output: Path, terminal: Terminal, stop: Stop) -> Ports:
    from pymirror.commands.ports import Ports
    from pymirror.storage.local import LocalStorage

    return Ports(
        storage=LocalStorage(output), environ=os.environ, progress=terminal, stop=stop, now=_read_clock(os.environ)
    )


def _read_clock(environ: Mapping[str, str]) -> datetime:
    """When the run began: what ages in the spec are counted from.

    ``SOURCE_DATE_EPOCH`` (https://reproducible-builds.org/specs/source-date-epoch/) makes a run repeatable.
    """
    text = environ.get("SOURCE_DATE_EPOCH", "")
    try:
        return datetime.fromtimestamp(int(text) if text else time.time(), UTC)
    except (ValueError, OverflowError, OSError):
        raise ConfigurationError(f'SOURCE_DATE_EPOCH is "{text}", not a number of seconds') from None


def _guard(start: Callable[[Terminal, Stop], ExitCode], *, quiet: bool, verbose: bool, as_json: bool) -> NoReturn:
    """Does the work, and turns what happens into a message and the exit code."""
    from pymirror.console import Terminal, Verbosity
    from pymirror.workers import Stop

    stop = Stop()
    _watch_signals(stop)
    terminal = Terminal(Verbosity.QUIET if quiet else Verbosity.VERBOSE if verbose else Verbosity.NORMAL)
    try:
        if quiet and verbose:
            raise UsageError("-q and -v exclude each other")
        with terminal:
            code = start(terminal, stop)
    except PymirrorError as error:
        code = _tell(terminal, error, as_json=as_json)
    except KeyboardInterrupt:
        code = _tell(terminal, InterruptedRunError(), as_json=as_json)
    except BrokenPipeError:
        code = ExitCode.INCOMPLETE
    _flush()
    raise SystemExit(int(code))


def _tell(terminal: Terminal, error: PymirrorError, *, as_json: bool) -> ExitCode:
    with contextlib.suppress(BrokenPipeError):
        terminal.error(error)
        if as_json:
            terminal.json({"exit-code": int(error.exit_code), "error": str(error), "hint": error.hint})
    return error.exit_code


def _flush() -> None:
    """Ends quietly where the reader of stdout or stderr went away: what was to be done is done."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:  # as it is where the caller closed it
                stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _read_file(path: Path) -> bytes:
    """A file that the user named, or more of it than any may have; a pipe or a device would be read for ever."""
    if path.exists() and not path.is_file():
        raise IsADirectoryError(21, "not a file")
    with path.open("rb") as file:
        return file.read(_MAX_FILE_BYTES + 1)


def _watch_signals(stop: Stop) -> None:
    """SIGTERM ends the run as Ctrl-C does, with its own exit code; SIGHUP is what a closed terminal sends.

    The first signal is the last that is heard: an impatient second one must not disturb the way out.
    """
    known = (getattr(signal, name, None) for name in ("SIGTERM", "SIGINT", "SIGHUP"))
    # What is ignored stays so: nohup says it of SIGHUP, a shell of SIGINT for what it runs in the background.
    watched = [each for each in known if each is not None and signal.getsignal(each) != signal.SIG_IGN]

    def end(number: int, _frame: FrameType | None) -> None:
        for each in watched:
            signal.signal(each, signal.SIG_IGN)
        stop.set()
        raise KeyboardInterrupt if number == signal.SIGINT else TerminatedError

    for each in watched:
        signal.signal(each, end)


def main() -> None:
    """The console script."""
    cli(prog_name="pymirror")
