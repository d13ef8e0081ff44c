"""The tools that settings are made for, and what each of them needs to be known."""

from __future__ import annotations

import difflib
import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pymirror.errors import UsageError, printable
from pymirror.settings.clients import (
    make_pdm,
    make_pip,
    make_pip_tools,
    make_pipenv,
    make_poetry,
    make_tox,
    make_uv,
)
from pymirror.settings.lockfile import make_lockfile
from pymirror.settings.place import Site, check_folder, check_path, parse_site, site_of_folder
from pymirror.settings.schedule import make_cron, make_systemd
from pymirror.settings.servers import make_apache, make_caddy, make_nginx


class Kind(enum.Enum):
    """What a tool must know."""

    SERVER = enum.auto()  # the folder, and perhaps a URL
    CLIENT = enum.auto()  # one of them
    SCHEDULE = enum.auto()  # the folder and the spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool that settings are made for."""

    name: str
    kind: Kind
    about: str

    def needs_folder(self, *, has_url: bool) -> bool:
        """Whether the tree's folder must be known."""
        return self.kind is not Kind.CLIENT or not has_url


_SERVERS: dict[str, Callable[[Site | None, str], str]] = {
    "nginx": make_nginx,
    "apache": make_apache,
    "caddy": make_caddy,
}
_CLIENTS: dict[str, Callable[[Site], str]] = {
    "pip": make_pip,
    "uv": make_uv,
    "poetry": make_poetry,
    "pdm": make_pdm,
    "pipenv": make_pipenv,
    "pip-tools": make_pip_tools,
    "tox": make_tox,
}

TOOLS: tuple[Tool, ...] = (
    Tool(name="nginx", kind=Kind.SERVER, about="serves the tree: a file for conf.d"),
    Tool(name="apache", kind=Kind.SERVER, about="serves the tree: a virtual host"),
    Tool(name="caddy", kind=Kind.SERVER, about="serves the tree: a site of a Caddyfile"),
    Tool(name="pip", kind=Kind.CLIENT, about="installs from it: pip.conf"),
    Tool(name="uv", kind=Kind.CLIENT, about="installs from it: uv.toml"),
    Tool(name="poetry", kind=Kind.CLIENT, about="installs from it: a source of pyproject.toml"),
    Tool(name="pdm", kind=Kind.CLIENT, about="installs from it: a source of pyproject.toml"),
    Tool(name="pipenv", kind=Kind.CLIENT, about="installs from it: a source of a Pipfile"),
    Tool(name="pip-tools", kind=Kind.CLIENT, about="resolves from it: options of pip-compile"),
    Tool(name="tox", kind=Kind.CLIENT, about="tests with it: variables of the environment, for hatch and nox too"),
    Tool(name="lockfile", kind=Kind.CLIENT, about="a lock file made against another index: the line that adapts it"),
    Tool(name="cron", kind=Kind.SCHEDULE, about="refreshes the tree each night: a line of a crontab"),
    Tool(name="systemd", kind=Kind.SCHEDULE, about="refreshes the tree each night: a service and a timer"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What settings are made of. ``folder`` and ``spec`` are absolute paths with ``/``.

    ``command`` are the words that start pymirror, ``user`` is whom the tree belongs to, ``made_against`` the URL of the
    index that lock files name.
    """

    url: str | None = None
    folder: str | None = None
    spec: str = ""
    command: Sequence[str] = ()
    user: str = ""
    made_against: str = ""


def list_tools() -> str:
    """A line for each tool."""
    width = max(len(tool.name) for tool in TOOLS)
    return "".join(f"{tool.name:{width}}  {tool.about}\n" for tool in TOOLS)


def find_tool(name: str) -> Tool:
    """The tool that is called ``name``. Raises :class:`UsageError`."""
    names = [tool.name for tool in TOOLS]
    if name in names:
        return TOOLS[names.index(name)]
    close = difflib.get_close_matches(name.lower(), names, n=1)
    hint = f'did you mean "{close[0]}"?' if close else f"known: {', '.join(names)}"
    raise UsageError(f'"{printable(name)}" is no tool that pymirror has settings for', hint=hint)


def make_config(name: str, facts: Facts) -> str:
    """The settings of the tool, as text. Raises :class:`UsageError` for what its syntax cannot express."""
    tool = find_tool(name)
    site = None if facts.url is None else parse_site(facts.url)
    folder = None if facts.folder is None else check_folder(facts.folder)
    if tool.kind is Kind.CLIENT and site is None and folder is not None:
        site = site_of_folder(folder)
    if tool.kind is Kind.CLIENT:
        if site is None:
            raise UsageError("it is not known where the mirror is", hint="give --url or --root")
        return make_lockfile(site, facts.made_against) if name == "lockfile" else _CLIENTS[name](site)
    if folder is None:
        raise UsageError("it is not known where the tree is", hint="give --root, or the spec")
    if tool.kind is Kind.SERVER:
        return _SERVERS[name](site, folder)
    spec = check_path(facts.spec, what="the spec")
    command = [check_path(facts.command[0], what="the program"), *facts.command[1:]]
    if name == "cron":
        return make_cron(command, spec)
    return make_systemd(command, spec, folder, facts.user)
