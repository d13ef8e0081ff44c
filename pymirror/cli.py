"""Options in, one function of ``commands`` called, exit code out. The only user of click.

A command's modules are imported when it runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from pymirror.errors import ExitCode, UsageError
from pymirror.running import guard, load_spec, read_file, run, run_on_tree

if TYPE_CHECKING:
    from pymirror.commands.ports import Ports
    from pymirror.console import Terminal
    from pymirror.spec.model import Spec
    from pymirror.workers import Stop

F = TypeVar("F", bound=Callable[..., Any])

_EPILOG = """\b
Exit codes: 0 all is published; 1 something wanted could not be had; 2 bad usage or spec;
3 another run holds the lock; 4 refused by a safety limit; 5 check found something that
does not install, verify damage, or doctor a fault; 130 interrupted; 143 terminated."""


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
        from pymirror.spec.units import parse_duration

        seconds = value if isinstance(value, float) else parse_duration(str(value))
        if seconds is None:
            self.fail(f'"{value}" is not a duration; write "30 min", "12 h", "7 days"', param, ctx)
        return seconds


@cli.command("sync")
@_common
@click.option("--allow-shrink", is_flag=True, help="Publish however many files would go: max-removal does not hold.")
@click.option("--check", "with_check", is_flag=True, help="Then prove that everything installs, as `check` does.")
def sync_command(spec: Path, quiet: bool, verbose: bool, as_json: bool, allow_shrink: bool, with_check: bool) -> None:
    """Make the tree hold what SPEC (default: mirror.yaml) says.

    Downloads what is new, verifies it, and then publishes all pages in one step. What the spec no longer wants leaves
    the pages; its files stay until `prune`. With --check, the exit code is 5 where something does not install.
    """

    def work(loaded: Spec, ports: Ports, terminal: Terminal) -> ExitCode:
        from pymirror.commands.sync import sync
        from pymirror.console import reports

        report = sync(loaded, ports, allow_shrink=allow_shrink)
        if not with_check:
            terminal.json(report.as_json()) if as_json else None
            reports.show_sync(terminal, report)
            return report.exit_code
        from pymirror.commands.check import check
        from pymirror.console.check import show_check

        reports.show_sync(terminal, report)
        checked = check(loaded, ports)
        code = checked.exit_code or report.exit_code
        told = report.as_json() | {"exit-code": int(code), "check": checked.as_json()}
        terminal.json(told) if as_json else show_check(terminal, checked)
        return code

    run(spec, work, quiet=quiet, verbose=verbose, as_json=as_json)


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

    run(spec, work, quiet=quiet, verbose=verbose, as_json=as_json)


@cli.command("check")
@_common
@click.option("--install", "with_install", is_flag=True, help="Install too, where this machine can, and import.")
@click.option("--uv/--no-uv", "with_uv", default=True, show_default=True, help="Ask uv for a second opinion.")
def check_command(spec: Path, quiet: bool, verbose: bool, as_json: bool, with_install: bool, with_uv: bool) -> None:
    """Prove from the published tree alone that everything installs.

    Every project, group and lock file of SPEC is resolved in every environment, with what is in the tree and nothing
    else, by two judges: pymirror and, where it is installed, uv. Nobody is asked, and nothing of a project runs, unless
    --install says so. The exit code is 5 where something is missing, or where the judges differ.
    """

    def work(loaded: Spec, ports: Ports, terminal: Terminal) -> ExitCode:
        from pymirror.commands.check import check
        from pymirror.console.check import show_check

        report = check(loaded, ports, with_uv=with_uv, with_install=with_install)
        terminal.json(report.as_json()) if as_json else show_check(terminal, report)
        return report.exit_code

    run(spec, work, quiet=quiet, verbose=verbose, as_json=as_json)


@cli.command("verify")
@_common
@click.option("--repair", "with_repair", is_flag=True, help="Mend what is damaged, from upstream where it takes files.")
@click.option("--anew", is_flag=True, help="Read again what an interrupted run had read.")
def verify_command(spec: Path, quiet: bool, verbose: bool, as_json: bool, with_repair: bool, anew: bool) -> None:
    """Check every page, link, size, hash and mode of the published tree.

    SPEC may also be the folder of the tree itself, which need not be writable: so a disk that was carried elsewhere is
    checked there. Asks nobody: the disk alone is read. A run that was interrupted is gone on with.

    With --repair, damaged and missing files are fetched again, byte for byte as they were published, and pages are
    written again; nothing new comes in. The exit code is 5 for what is left then.
    """

    def work(ports: Ports, terminal: Terminal) -> ExitCode:
        from pymirror.commands.verify import verify
        from pymirror.console import reports

        report = verify(ports, anew=anew)
        terminal.json(report.as_json()) if as_json else reports.show_verify(terminal, report)
        return report.exit_code

    def mend(loaded: Spec, ports: Ports, terminal: Terminal) -> ExitCode:
        from pymirror.commands.repair import repair
        from pymirror.console import reports

        report = repair(loaded, ports, anew=anew)
        terminal.json(report.as_json()) if as_json else reports.show_verify(terminal, report, is_repair=True)
        return report.exit_code

    def refuse(_terminal: Terminal, _stop: Stop) -> ExitCode:
        raise UsageError("--repair needs the spec, which says where files come from", hint="name it, not the folder")

    if with_repair and spec.is_dir():
        guard(refuse, quiet=quiet, verbose=verbose, as_json=as_json)
    if with_repair:
        run(spec, mend, quiet=quiet, verbose=verbose, as_json=as_json)
    run_on_tree(spec, work, quiet=quiet, verbose=verbose, as_json=as_json)


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

    run_on_tree(spec, work, quiet=quiet, verbose=verbose, as_json=as_json)


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
        guard(refuse, quiet=quiet, verbose=verbose, as_json=as_json)
    if size:
        run(Path(question) if question else spec, weigh, quiet=quiet, verbose=verbose, as_json=as_json)
    run(spec, work, quiet=quiet, verbose=verbose, as_json=as_json)


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
        write_spec(sources, output, read=read_file)
        terminal.say(f"{output} is written; next: pymirror plan {output}")
        return ExitCode.OK

    from pymirror.commands.init import write_spec

    guard(start, quiet=False, verbose=False, as_json=False)


@cli.command("serve")
@click.argument("spec", default="mirror.yaml", metavar="[SPEC | FOLDER]", type=click.Path(path_type=Path))
@click.option("--bind", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="The address to listen on.")
@click.option(
    "--port",
    default=8000,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="The port to listen on; 0 takes a free one.",
)
@click.option("-q", "--quiet", is_flag=True, help="Tell only of errors.")
@click.option("-v", "--verbose", is_flag=True, help="Tell of every request.")
def serve_command(spec: Path, bind: str, port: int, quiet: bool, verbose: bool) -> None:
    """Serve the tree on this machine, for a try: JSON or HTML as the client asks.

    SPEC (default: mirror.yaml) may also be the folder of the tree itself, which need not be writable. The URL of the
    index is printed on stdout. Ctrl-C ends it.
    """

    def start(terminal: Terminal, stop: Stop) -> ExitCode:
        from pymirror.commands.serve import serve

        folder = spec if spec.is_dir() else load_spec(spec).output
        terminal.stop_bars()
        serve(folder, bind=bind, port=port, progress=terminal, stop=stop, announce=terminal.tell)
        return ExitCode.OK

    guard(start, quiet=quiet, verbose=verbose, as_json=False)


@cli.command("doctor")
@click.argument("url", metavar="URL")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on stdout.")
@click.option("-v", "--verbose", is_flag=True, help="Tell of every request, and list what is as it should be.")
@click.option("-q", "--quiet", is_flag=True, help="Tell only of errors.")
def doctor_command(url: str, as_json: bool, verbose: bool, quiet: bool) -> None:
    """Ask a hosted tree what clients would ask, and say what its server does wrong.

    URL is that of the tree, or that of its simple/. At most 40 requests are made, for a few projects and files. Each
    finding says what was seen, which client it breaks, and which setting mends it.
    """

    def start(terminal: Terminal, stop: Stop) -> ExitCode:
        from datetime import UTC, datetime

        from pymirror.commands.doctor import doctor
        from pymirror.console.doctor import show_doctor

        report = doctor(url, environ=os.environ, now=datetime.now(UTC), progress=terminal, stop=stop)
        terminal.json(report.as_json()) if as_json else show_doctor(terminal, report)
        return report.exit_code

    guard(start, quiet=quiet, verbose=verbose, as_json=as_json)


@cli.command("config")
@click.argument("tool", required=False)
@click.argument("spec", default="mirror.yaml", metavar="[SPEC]", type=click.Path(path_type=Path))
@click.option("--url", help="Where the tree is reached, with its path; without one, from the disk or on port 80.")
@click.option("--root", type=click.Path(path_type=Path), help="The folder of the tree.  [default: the spec's output]")
@click.option("--made-against", metavar="URL", help="lockfile: the index that it names, if not the public one.")
def config_command(tool: str | None, spec: Path, url: str | None, root: Path | None, made_against: str | None) -> None:
    """Print tested settings for TOOL: a web server, a client or a scheduler.

    Without TOOL, the tools are listed. What is printed is put where its first lines say; nothing is written. SPEC is
    read only where nothing else says where the tree is.
    """

    def start(_terminal: Terminal, _stop: Stop) -> ExitCode:
        from pymirror.commands.config import write_config

        text = write_config(tool, spec, url=url, root=root, load=load_spec, made_against=made_against)
        click.echo(text, nl=False)
        return ExitCode.OK

    guard(start, quiet=False, verbose=False, as_json=False)


@cli.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of the spec, for editors that complete and check YAML."""
    import json

    from pymirror.spec.json_schema import make_json_schema

    click.echo(json.dumps(make_json_schema(), indent=2))


def main() -> None:
    """The console script."""
    cli(prog_name="pymirror")
