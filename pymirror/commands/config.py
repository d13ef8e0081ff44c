"""``pymirror config``: settings of web servers, clients and schedulers for the mirror of a spec."""

from __future__ import annotations

import getpass
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from pymirror.default_index import find_default_upstream
from pymirror.errors import UsageError
from pymirror.settings import Facts, find_tool, list_tools, make_config
from pymirror.spec.model import Spec


def write_config(
    name: str | None,
    spec: Path,
    *,
    url: str | None,
    root: Path | None,
    load: Callable[[Path], Spec],
    made_against: str | None = None,
) -> str:
    """The settings of the tool ``name``; without one, the list of tools.

    The spec is read only where nothing else says where the tree is. ``made_against`` is the URL of the index that lock
    files name; without one, the public index. Raises :class:`UsageError`, and what ``load`` does.
    """
    if name is None:
        return list_tools()
    tool = find_tool(name)
    if made_against is not None and name != "lockfile":
        raise UsageError(f"--made-against says nothing to {name}", hint="it belongs to: pymirror config lockfile")
    if root is None and tool.needs_folder(has_url=url is not None):
        root = load(spec).output
    folder = None if root is None else root.absolute()
    facts = Facts(
        url=url,
        folder=None if folder is None else folder.as_posix(),
        spec=spec.absolute().as_posix(),
        command=_find_command(),
        user=_find_owner(folder),
        made_against=_find_public_index() if made_against is None and name == "lockfile" else made_against or "",
    )
    return make_config(name, facts)


def _find_public_index() -> str:
    """What most lock files name, whatever this machine is set to: hence none of its settings."""
    return find_default_upstream({"PIP_CONFIG_FILE": "/dev/null"}).url


def _find_command() -> tuple[str, ...]:
    """The words that start this very pymirror from anywhere."""
    program = shutil.which("pymirror", path=str(Path(sys.executable).parent))
    if program is not None:
        return (Path(program).absolute().as_posix(),)
    return Path(sys.executable).absolute().as_posix(), "-m", "pymirror"


def _find_owner(folder: Path | None) -> str:
    """Whom the tree belongs to, otherwise who asks."""
    try:
        if folder is not None and folder.exists():
            return folder.owner()
        return getpass.getuser()
    except (OSError, KeyError, NotImplementedError):
        return "root"  # a number without a name
