"""The Pythons of this machine, and the environment that each is.

Each is asked itself; the one that runs pymirror comes first.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import re
import struct
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.tags import platform_tags

from pymirror.environment import Environment, make_environment
from pymirror.errors import ConfigurationError
from pymirror.offline import run_bounded
from pymirror.platforms import UnknownEnvironmentError, find_platform
from pymirror.workers import Stop

_NAME = re.compile(r"(?:python|pypy)(?P<major>[0-9])(?:\.(?P<minor>[0-9]+))?t?(?:\.exe)?")
_TIMEOUT_SECONDS = 30.0
_MAX_FOUND = 100

# What an interpreter says of itself, in words that every Python 3 knows: ``machine`` tells whether it is one for the
# same system as this one.
_PROBE = """
import json, platform, struct, sys, sysconfig
print(json.dumps({
    "executable": sys.executable,
    "implementation": sys.implementation.name,
    "version": list(sys.version_info[:3]),
    "is_final": sys.version_info[3] == "final",
    "is_free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "machine": [sys.platform, platform.machine(), struct.calcsize("P"), platform.libc_ver()[0]],
}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A Python of this machine. ``version`` has its patch; ``platform`` is the platform tag that it likes best."""

    path: str
    implementation: str
    version: str
    is_free_threaded: bool
    platform: str

    @property
    def name(self) -> str:
        """``cpython 3.12.4``."""
        return f"{self.implementation} {self.version}{'t' if self.is_free_threaded else ''}"

    @property
    def is_ordinary(self) -> bool:
        """Whether it is CPython with its global lock."""
        return self.implementation == "cpython" and not self.is_free_threaded

    def speaks(self, environment: Environment) -> bool:
        """Whether it is such a Python as ``environment`` has, whatever the platform."""
        asked = environment.python.split(".")
        return (
            self.version.split(".")[: len(asked)] == asked
            and self.implementation == environment.implementation
            and self.is_free_threaded == environment.is_free_threaded
        )

    def runs(self, environment: Environment) -> bool:
        """Whether what suits ``environment`` runs here: the platform is the same, or one that takes all of its tags."""
        return self.speaks(environment) and self.is_such_a_platform(environment)

    def is_such_a_platform(self, environment: Environment) -> bool:
        """Whether it takes all platform tags that ``environment`` has."""
        return set(find_platform(environment.platform).tags) <= set(self.platform_tags)

    @property
    def platform_tags(self) -> tuple[str, ...]:
        """All that it installs; none where the platform is one that nobody knows."""
        try:
            return find_platform(self.platform).tags
        except UnknownEnvironmentError:
            return ()


def describe_own() -> Interpreter:
    """The Python that runs this."""
    return Interpreter(
        path=sys.executable,
        implementation=sys.implementation.name,
        version=".".join(map(str, sys.version_info[:3])),
        is_free_threaded=bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        platform=_own_platform(),
    )


def make_own_environment() -> Environment:
    """This machine as an environment. Raises :class:`ConfigurationError` where it is like none that is known."""
    own = describe_own()
    try:
        return make_environment(
            f"{own.version}{'t' if own.is_free_threaded else ''}", own.platform, implementation=own.implementation
        )
    except UnknownEnvironmentError as error:
        raise ConfigurationError(
            f"this machine is no environment that is known: {error}", hint="name some with environments: in the spec"
        ) from None


def find_interpreters(
    environments: Iterable[Environment],
    *,
    environ: Mapping[str, str],
    stop: Stop,
    more: Callable[[], Iterable[str]] = tuple,
) -> tuple[Interpreter, ...]:
    """This Python, and where it is not such a one as all ``environments`` have, those on the PATH and those of the
    paths that ``more`` gives: of each version the first.
    """
    own = describe_own()
    found = {(own.implementation, own.version, own.is_free_threaded): own}
    missing = [each for each in environments if not own.speaks(each)]
    if not missing:
        return (own,)
    paths = (path for path in dict.fromkeys([*_search_path(environ), *more()]) if _may_speak(path, missing))
    with tempfile.TemporaryDirectory(prefix="pymirror-check-") as folder:
        for path in itertools.islice(paths, _MAX_FOUND):
            interpreter = _probe(path, own, environ, Path(folder), stop)
            if interpreter is not None:
                key = (interpreter.implementation, interpreter.version, interpreter.is_free_threaded)
                found.setdefault(key, interpreter)
    return tuple(found.values())


def _may_speak(path: str, environments: Iterable[Environment]) -> bool:
    """Whether the program at ``path`` may be such a Python, by its name: ``python3.12``, ``python3``, ``pypy3.10``."""
    match = _NAME.fullmatch(os.path.basename(path))  # noqa: PTH119 - a bare text
    if match is None or match["minor"] is None:
        return True
    minors = {each.python.split(".")[1] for each in environments if each.python.startswith(f"{match['major']}.")}
    return match["minor"] in minors


def _search_path(environ: Mapping[str, str]) -> Iterator[str]:
    for folder in environ.get("PATH", "").split(os.pathsep):
        try:
            names = sorted(os.listdir(folder)) if os.path.isabs(folder) else []  # noqa: PTH117, PTH208 - bare texts
        except OSError:
            continue
        yield from (os.path.join(folder, name) for name in names if _NAME.fullmatch(name))  # noqa: PTH118


def _probe(path: str, own: Interpreter, environ: Mapping[str, str], folder: Path, stop: Stop) -> Interpreter | None:
    """What the program at ``path`` says of itself; ``None`` where it is no Python for the system that this is."""
    try:
        # With the variables of the user, since what is on the PATH may be a shim that finds the Python by them.
        done = run_bounded(
            [path, "-I", "-c", _PROBE], environ=environ, folder=folder, timeout_seconds=_TIMEOUT_SECONDS, stop=stop
        )
        said: Any = json.loads(done.out)
        machine = [sys.platform, platform.machine(), struct.calcsize("P"), platform.libc_ver()[0]]
        if done.code != 0 or said["machine"] != machine or not said["is_final"]:
            return None
        return Interpreter(
            path=str(said["executable"] or path),
            implementation=str(said["implementation"]),
            version=".".join(str(int(number)) for number in said["version"]),
            is_free_threaded=bool(said["is_free_threaded"]),
            platform=own.platform,
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _own_platform() -> str:
    """The best platform tag of this machine that says what it runs: ``manylinux_2_36_x86_64``, no ``linux_x86_64``."""
    tags = list(platform_tags())
    return next((tag for tag in tags if not tag.startswith("linux_")), tags[0] if tags else "unknown")
