"""Installing from a tree into an environment that is thrown away, and importing what came of it.

This runs code of mirrored projects: their modules, and the builds of sdists.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from packaging.utils import NormalizedName, canonicalize_name

from pymirror.errors import printable
from pymirror.interpreters import Interpreter
from pymirror.layout import SIMPLE
from pymirror.offline import Finished, refuse_network, run_bounded
from pymirror.workers import Stop

INSTALL_SECONDS = 1800.0
IMPORT_SECONDS = 120.0

_MAX_MODULES = 50
_MAX_PROBLEM = 1500
_MODULE_MISSING = 3
_MODULE = re.compile(r"(?P<name>[A-Za-z0-9_]+)(?:\.py|(?:\.[^/]*)?\.(?:so|pyd))")

# Of the tests and documents that some projects install by mistake, nobody imports any.
_STRAYS = frozenset({"test", "tests", "testing", "doc", "docs", "example", "examples", "benchmark", "benchmarks"})

# What is installed, by the metadata that installers write, and the files of each distribution.
_LIST = """
import json
from importlib.metadata import distributions
found = []
for each in distributions():
    files = each.read_text("RECORD")
    found.append({
        "name": each.metadata["Name"],
        "version": each.version,
        "top_level": (each.read_text("top_level.txt") or "").split(),
        "files": [line.split(",")[0].strip('"') for line in (files or "").splitlines()],
    })
print(json.dumps(found))
"""
_IMPORT = """
import importlib, sys
try:
    importlib.import_module(sys.argv[1])
except ModuleNotFoundError as error:
    print(error)
    sys.exit(3)
except BaseException as error:
    print(f"{type(error).__name__}: {error}")
    sys.exit(4)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """``requirements`` to install with ``interpreter``, and the projects whose modules are to be imported.

    ``platform`` is uv's name of the platform whose files are to be taken, with its variables, where that is another
    than the interpreter's own. Without ``with_dependencies`` the requirements are all that is installed.
    """

    requirements: tuple[str, ...]
    interpreter: Interpreter
    projects: tuple[NormalizedName, ...]
    platform: tuple[str, Mapping[str, str]] | None = None
    with_dependencies: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResult:
    """``packages`` are ``name==version``; ``problem`` is why it did not install.

    ``failed`` are the modules that cannot be imported with what they said, and ``missing`` those among them that lack a
    module.
    """

    installer: str
    packages: tuple[str, ...] = ()
    imported: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _Distribution:
    """What one distribution installed."""

    name: NormalizedName
    version: str
    top_level: tuple[str, ...]
    files: tuple[str, ...]


class Installer:
    """Installs from the tree at ``tree`` with uv, where it is there, else with pip."""

    def __init__(self, *, tree: Path, uv: str | None, environ: Mapping[str, str], stop: Stop) -> None:
        self._index = f"{(tree / SIMPLE).resolve().as_uri()}/"
        self._uv = uv
        self._environ = environ
        self._stop = stop

    @property
    def name(self) -> str:
        return "uv" if self._uv is not None else "pip"

    def run(self, trial: Trial) -> TrialResult:
        """Installs and imports; nothing of it is left. What goes wrong is in the result."""
        result = TrialResult(installer=self.name)
        with tempfile.TemporaryDirectory(prefix="pymirror-check-", ignore_cleanup_errors=True) as folder:
            root = Path(folder)
            (root / "home").mkdir()
            try:
                python = self._make_environment(root, trial.interpreter)
                if isinstance(python, str):
                    return replace(result, problem=python)
                done = self._install(root, python, trial)
                if done.code != 0:
                    return replace(result, problem=_tell(done))
                return self._look(result, root, python, trial.projects)
            except OSError as error:
                return replace(result, problem=f"{error.filename or self.name}: {error.strerror or error}")

    def _make_environment(self, root: Path, interpreter: Interpreter) -> Path | str:
        """The interpreter of a new virtual environment, or why there is none."""
        folder = root / "environment"
        if self._uv is not None:
            arguments = [self._uv, "venv", "--python", interpreter.path, str(folder), *_uv_arguments(root)]
        else:
            arguments = [interpreter.path, "-I", "-m", "venv", str(folder)]
        done = self._run(root, arguments)
        if done.code != 0:
            return f"no virtual environment could be made: {_tell(done)}"
        return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def _install(self, root: Path, python: Path, trial: Trial) -> Finished:
        wanted = root / "requirements.txt"
        wanted.write_text("".join(f"{each}\n" for each in trial.requirements), encoding="utf-8")
        what = ["-r", str(wanted), *([] if trial.with_dependencies else ["--no-deps"])]
        if self._uv is None:
            quiet = ["--isolated", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
            index = ["--no-cache-dir", "--index-url", self._index]
            return self._run(root, [str(python), "-m", "pip", "install", *quiet, *index, *what])
        platform, variables = trial.platform or (None, {})
        target = ["--python", str(python), *(["--python-platform", platform] if platform is not None else [])]
        index = ["--default-index", self._index, *_uv_arguments(root)]
        return self._run(root, [self._uv, "pip", "install", *target, *index, *what], extra=variables)

    def _look(self, result: TrialResult, root: Path, python: Path, projects: Sequence[NormalizedName]) -> TrialResult:
        """What was installed, and whether its modules can be imported."""
        installed = _read_distributions(self._run(root, [str(python), "-I", "-c", _LIST]).out)
        own = (each for each in installed if each.name in projects)
        modules = dict.fromkeys(module for each in own for module in find_modules(each.files, each.top_level))
        tries = {
            module: self._run(root, [str(python), "-I", "-c", _IMPORT, module], seconds=IMPORT_SECONDS)
            for module in list(modules)[:_MAX_MODULES]
        }
        return replace(
            result,
            packages=tuple(sorted(f"{each.name}=={each.version}" for each in installed if each.name != self.name)),
            imported=tuple(module for module, done in tries.items() if done.code == 0),
            failed=tuple((module, _tell(done)) for module, done in tries.items() if done.code != 0),
            missing=tuple(module for module, done in tries.items() if done.code == _MODULE_MISSING),
        )

    def _run(
        self,
        root: Path,
        arguments: Sequence[str],
        *,
        seconds: float = INSTALL_SECONDS,
        extra: Mapping[str, str] | None = None,
    ) -> Finished:
        return run_bounded(
            arguments,
            environ={**refuse_network(self._environ, root / "home"), **(extra or {})},
            folder=root,
            timeout_seconds=seconds,
            stop=self._stop,
        )


def find_modules(files: Sequence[str], top_level: Sequence[str] = ()) -> tuple[str, ...]:
    """The modules that a distribution brings, by the paths of its RECORD: packages that are in no other package, and
    modules beside them. ``top_level`` are those that setuptools names, for where there is no RECORD.
    """
    found: set[str] = set()
    packages = sorted((path.removesuffix("/__init__.py") for path in files if path.endswith("/__init__.py")), key=len)
    for package in packages:
        dotted = package.replace("/", ".")
        if not any(dotted.startswith(f"{outer}.") for outer in found):
            found.add(dotted)
    for path in files:
        match = _MODULE.fullmatch(path)
        if match:
            found.add(match["name"])
    names = found or {name.replace("/", ".") for name in top_level}
    return tuple(sorted(name for name in names if _is_module(name)))


def _is_module(name: str) -> bool:
    return name not in _STRAYS and all(part.isidentifier() for part in name.split("."))


def _uv_arguments(root: Path) -> list[str]:
    quiet = ["--offline", "--no-config", "--no-python-downloads", "--no-progress", "--color", "never"]
    return [*quiet, "--cache-dir", str(root / "cache")]


def _read_distributions(output: str) -> list[_Distribution]:
    try:
        found: Any = json.loads(output)
        return [
            _Distribution(
                name=canonicalize_name(str(each["name"])),
                version=str(each["version"]),
                top_level=tuple(map(str, each["top_level"])),
                files=tuple(map(str, each["files"])),
            )
            for each in found
        ]
    except (ValueError, TypeError, KeyError):
        return []


def _tell(done: Finished) -> str:
    """What a process said, its end first: there stands what was wrong."""
    said = " ".join((done.err or done.out).split()).removeprefix("error: ")
    code = "" if said else f"it ended with code {done.code}"
    return printable(said[-_MAX_PROBLEM:] or code)
