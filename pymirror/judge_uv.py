"""The second judge: what the real uv says of requirements, when it has the tree alone. Nothing is installed or built.

``uv pip compile`` resolves for a Python and a platform that it does not run on. It may take an sdist only where it has
been told beforehand what that needs (``dependency-metadata``), since it would build it otherwise.

https://docs.astral.sh/uv/reference/cli/#uv-pip-compile
"""

from __future__ import annotations

import contextlib
import enum
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from pymirror.distribution import parse_version
from pymirror.environment import Environment
from pymirror.errors import printable
from pymirror.interpreters import Interpreter
from pymirror.layout import SIMPLE
from pymirror.needs import Needs
from pymirror.offline import Finished, refuse_network, run_bounded
from pymirror.platforms import find_platform
from pymirror.workers import Stop

TIMEOUT_SECONDS = 120.0

_QUIET = ("--offline", "--no-python-downloads", "--no-progress", "--color", "never")
_LAST_PATCH = 99
_MAX_DETAIL = 1500
_GUARD = "pymirror-did-not-read-what-this-release-needs===0"
_PICK = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^\s;]+)")
_MUST_BE_BUILT = "it takes an sdist, and uv cannot read what it was told of the sdists of this environment"
_UNTOLD = re.compile(r"invalid value '[^']*' for '--python-platform")

# The names that uv gives platforms, by the best platform tag of each.
_WINDOWS = {"win_amd64": "x86_64", "win_arm64": "aarch64", "win32": "i686"}
_VERSIONED = re.compile(r"(?P<kind>[a-z]+)_(?P<version>[0-9]+(?:_[0-9]+)?)_(?P<arch>[a-z0-9_]+)")
_ARCHES = {"arm64": "aarch64", "arm64_v8a": "aarch64"}
_IOS = {
    "arm64_iphoneos": "arm64-apple-ios",
    "arm64_iphonesimulator": "arm64-apple-ios-simulator",
    "x86_64_iphonesimulator": "x86_64-apple-ios-simulator",
}


class Verdict(enum.StrEnum):
    """What uv says of requirements in one environment."""

    INSTALLS = "installs"
    REFUSES = "refuses"
    NOT_JUDGED = "not judged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one release needs, for uv to take instead of a build; ``None`` where that is not known."""

    project: NormalizedName
    version: Version
    needs: Needs | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UvQuestion:
    """Do ``requirements`` (PEP 508, without markers) install in ``environment``?

    ``pins`` are what the first judge chose, where there is a pre-release or a yanked release among it: pip takes these
    in cases in which uv wants to be told, so where uv refuses it is asked whether it agrees when it is told.
    ``has_sdists`` where the first judge chose one.
    """

    requirements: tuple[str, ...]
    environment: Environment
    pins: tuple[str, ...] = ()
    has_sdists: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UvAnswer:
    """``picks`` are what uv would install, ``note`` on what terms; ``detail`` is why not, or why it was not asked."""

    verdict: Verdict
    picks: tuple[tuple[NormalizedName, Version], ...] = ()
    detail: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """How uv is told of an environment: arguments, and variables with the version of its system."""

    arguments: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)


def find_uv(environ: Mapping[str, str]) -> str | None:
    """The program: that of the package ``uv``, which ``pymirror[check]`` brings, else the one on the PATH."""
    try:
        return str(import_module("uv").find_uv_bin())
    except (ImportError, AttributeError, OSError):
        return shutil.which("uv", path=environ.get("PATH", ""))


def list_pythons(program: str, *, environ: Mapping[str, str], stop: Stop) -> list[str]:
    """The paths of the Pythons that uv finds on this machine, those that it has installed itself among them."""
    arguments = ["python", "list", "--only-installed", "--output-format", "json", "--no-config", "--no-cache"]
    try:
        with tempfile.TemporaryDirectory(prefix="pymirror-check-") as folder:
            done = run_bounded(
                [program, *arguments, *_QUIET],
                environ=environ,
                folder=Path(folder),
                timeout_seconds=TIMEOUT_SECONDS,
                stop=stop,
            )
        found: Any = json.loads(done.out)
        return [str(each["path"]) for each in found if each["path"]]
    except (OSError, ValueError, TypeError, KeyError):
        return []


@contextlib.contextmanager
def open_uv(program: str, *, tree: Path, environ: Mapping[str, str], stop: Stop) -> Iterator[UvJudge]:
    """uv with a folder of its own for all that it writes, and ``tree`` as its only index.

    Raises :class:`OSError` where it cannot be run.
    """
    with tempfile.TemporaryDirectory(prefix="pymirror-check-", ignore_cleanup_errors=True) as folder:
        yield UvJudge(program, tree=tree, folder=Path(folder), environ=environ, stop=stop)


class UvJudge:
    """Asks uv. Once it has been told all that it must know, many threads may ask."""

    def __init__(self, program: str, *, tree: Path, folder: Path, environ: Mapping[str, str], stop: Stop) -> None:
        self.program = program
        self._tree = str(tree.resolve())
        self._index = f"{(tree / SIMPLE).resolve().as_uri()}/"
        self._folder = folder
        self._environ = refuse_network(environ, folder)
        self._stop = stop
        self._configs: dict[Environment, Path] = {}
        self._interpreters: tuple[Interpreter, ...] = ()
        self.version = self._read_version()

    # ── what it is told ─────────────────────────────────────────────────────────────────────────

    def use(self, interpreters: Sequence[Interpreter]) -> None:
        """The Pythons that it may resolve with; for a PyPy or a free-threaded one it needs such a one."""
        self._interpreters = tuple(interpreters)

    def tell(self, environment: Environment, told: Sequence[Told], *, projects: Sequence[NormalizedName]) -> None:
        """Of which projects it may take sdists in ``environment``, and what each of their releases needs.

        ``projects`` are all that the tree has a page of. Of those that ``told`` has nothing of, uv takes wheels only;
        a release that ``told`` leaves out needs what cannot be had. So uv never builds anything.
        """
        path = self._folder / f"uv-{len(self._configs)}.toml"
        path.write_text(_render_config(told, projects), encoding="utf-8")
        # Whatever uv cannot read of it must not cost its opinion of what has no sdist.
        done = self._run(["pip", "compile", "-", "--config-file", str(path), *self._any_python()])
        if done.code == 0:
            self._configs[environment] = path

    # ── questions ───────────────────────────────────────────────────────────────────────────────

    def ask(self, question: UvQuestion) -> UvAnswer:
        """What uv says. Raises InterruptedRunError; whatever else goes wrong is an answer too."""
        first = self._compile(question, question.environment)
        if first.verdict is Verdict.REFUSES:
            for way, environment, note in _find_other_ways(question):
                answer = self._compile(way, environment)
                if answer.verdict is Verdict.INSTALLS:
                    return replace(answer, note=note)
        return first

    def _any_python(self) -> list[str]:
        return ["--python", self._interpreters[0].path] if self._interpreters else []

    def _compile(self, question: UvQuestion, environment: Environment) -> UvAnswer:
        target = self._aim(environment)
        if isinstance(target, str):
            return UvAnswer(verdict=Verdict.NOT_JUDGED, detail=target)
        config = self._configs.get(question.environment)
        if question.has_sdists and config is None:
            return UvAnswer(verdict=Verdict.NOT_JUDGED, detail=_MUST_BE_BUILT)
        limits = ["--no-config", "--no-build"] if config is None else ["--config-file", str(config)]
        arguments = ["pip", "compile", "-", "--default-index", self._index, *limits, *target.arguments]
        text = "".join(f"{each}\n" for each in question.requirements)
        try:
            done = self._run([*arguments, "--no-header", "--no-annotate"], text=text, extra=target.environ)
        except OSError as error:
            return UvAnswer(verdict=Verdict.NOT_JUDGED, detail=f"uv cannot be run: {error.strerror or error}")
        if done.code == 0:
            return UvAnswer(verdict=Verdict.INSTALLS, picks=_read_picks(done.out))
        detail = printable(" ".join(done.err.split()).removeprefix("error: "), limit=_MAX_DETAIL)
        # Code 1 is that there is no solution; of a file of the tree that cannot be read uv makes another.
        if done.code == 1 or (done.code is not None and self._tree in done.err):
            return UvAnswer(verdict=Verdict.REFUSES, detail=detail)
        if _UNTOLD.search(done.err):
            detail = _no_platform(environment)
        return UvAnswer(verdict=Verdict.NOT_JUDGED, detail=detail)

    def _aim(self, environment: Environment) -> _Target | str:
        """How uv is told of ``environment``, or why it cannot be.

        A Python for another implementation cannot be named, so one that speaks it must be here. An ordinary one is
        resolved for with any ordinary one.
        """
        is_ordinary = environment.implementation == "cpython" and not environment.is_free_threaded
        fits = (each for each in self._interpreters if each.speaks(environment) or (is_ordinary and each.is_ordinary))
        python = next(fits, None)
        if python is None:
            what = "free-threaded CPython" if environment.is_free_threaded else environment.implementation
            return f"uv resolves for {what} {environment.python} only with one at hand, and this machine has none"
        arguments = ("--python", python.path, "--python-version", environment.python)
        if find_platform(environment.platform).tags == python.platform_tags:
            return _Target(arguments=arguments)
        named = name_for_uv(environment.platform)
        if named is None:
            return _no_platform(environment)
        return _Target(arguments=(*arguments, "--python-platform", named[0]), environ=named[1])

    def _read_version(self) -> str:
        words = self._run(["--version"]).out.split()
        return printable(words[1], limit=40) if len(words) > 1 else "of unknown version"

    def _run(self, arguments: Sequence[str], *, text: str = "", extra: Mapping[str, str] | None = None) -> Finished:
        return run_bounded(
            [self.program, *arguments, *_QUIET, "--cache-dir", str(self._folder / "cache")],
            environ={**self._environ, **(extra or {})},
            folder=self._folder,
            timeout_seconds=TIMEOUT_SECONDS,
            stop=self._stop,
            text=text,
        )


def name_for_uv(platform: str) -> tuple[str, dict[str, str]] | None:
    """uv's name of a platform, and the variables that tell the version of its system; ``None`` where it has none.

    Whether this uv knows the name is for it to say.
    """
    tags = find_platform(platform).tags
    best = next((tag for tag in tags if not tag.startswith("linux_")), tags[0])
    if best in _WINDOWS:
        return f"{_WINDOWS[best]}-pc-windows-msvc", {}
    match = _VERSIONED.fullmatch(best)
    if match is None:
        return None
    kind, version, arch = match["kind"], match["version"], _ARCHES.get(match["arch"], match["arch"])
    dotted = version.replace("_", ".")
    if kind == "macosx":
        return f"{arch}-apple-darwin", {"MACOSX_DEPLOYMENT_TARGET": dotted}
    if kind == "ios":
        return _IOS[match["arch"]], {"IPHONEOS_DEPLOYMENT_TARGET": dotted}
    if kind == "android":
        return f"{arch}-linux-android", {"ANDROID_API_LEVEL": dotted}
    if kind in ("pyemscripten", "pyodide"):
        return f"wasm32-pyodide{version.partition('_')[0]}", {}
    if kind == "musllinux":
        return (f"{arch}-unknown-linux-musl", {}) if version == "1_2" else None
    if tags == find_platform("riscv64-unknown-linux").tags:
        return "riscv64-unknown-linux", {}
    return f"{arch}-manylinux_{version}", {}


def _no_platform(environment: Environment) -> str:
    return f"uv has no name for the platform {environment.platform}"


def _find_other_ways(question: UvQuestion) -> Iterator[tuple[UvQuestion, Environment, str]]:
    """How to ask again what uv refuses for reasons that pip and this mirror's rules do not have.

    Of a Python that is named without its patch uv takes the first one.
    """
    environment, python = question.environment, question.environment.python
    pinned = replace(question, requirements=(*question.requirements, *question.pins)) if question.pins else None
    told = "when it is told to take the pre-releases and the yanked releases that pip takes by itself"
    last = replace(environment, python=f"{python}.{_LAST_PATCH}") if python.count(".") == 1 else None
    late = f"in the later releases of Python {python}, not in the first"
    if last is not None:
        yield question, last, late
    if pinned is not None:
        yield pinned, environment, told
    if pinned is not None and last is not None:
        yield pinned, last, f"{late}, and {told}"


def _read_picks(output: str) -> tuple[tuple[NormalizedName, Version], ...]:
    """What ``uv pip compile`` wrote, a requirement a line."""
    picks = []
    for line in output.splitlines():
        match = _PICK.match(line)
        version = parse_version(match["version"]) if match else None
        if match is not None and version is not None:
            picks.append((canonicalize_name(match["name"]), version))
    return tuple(sorted(picks))


def _render_config(told: Sequence[Told], projects: Sequence[NormalizedName]) -> str:
    """The ``uv.toml``: see :meth:`UvJudge.tell`."""
    open_to_sdists = sorted({each.project for each in told})
    lines = ["[pip]", f"only-binary = {_list(sorted({*projects} - {*open_to_sdists}))}"]
    for project in open_to_sdists:
        lines += ["[[dependency-metadata]]", f"name = {_quote(project)}", f"requires-dist = {_list([_GUARD])}"]
    for each in told:
        needs = each.needs
        lines += ["[[dependency-metadata]]", f"name = {_quote(each.project)}", f"version = {_quote(str(each.version))}"]
        lines.append(f"requires-dist = {_list([_GUARD] if needs is None else needs.requires)}")
        if needs is not None:
            lines.append(f"provides-extra = {_list(needs.extras)}")
            python = needs.requires_python or ""
            lines += [f"requires-python = {_quote(python)}"] if _is_specifier(python) else []
    return "\n".join([*lines, ""])


def _is_specifier(text: str) -> bool:
    """Whether it names Pythons; a text that is no specifier means every one, as it does for pip."""
    try:
        return str(SpecifierSet(text)) != ""
    except InvalidSpecifier:
        return False


def _list(texts: Sequence[str]) -> str:
    return f"[{', '.join(map(_quote, texts))}]"


def _quote(text: str) -> str:
    """A TOML string: JSON's, but for DEL, which TOML wants escaped too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
