"""Installers as their users run them: each in a project of its own, with the settings that ``pymirror config`` prints.

``python scripts/clients.py install`` makes the virtual environments of the clients below ``.clients``; no test does.
What is wanted of every client is the same: see :data:`WANTED` and :data:`EXPECTED`.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from packaging.requirements import Requirement

from pymirror.settings import Facts, make_config
from tests.archives import make_wheel
from tests.conftest import Mirror
from tests.index import LocalIndex
from tests.servers import read_nginx_blocks, serve_with_nginx, serve_with_python, skip_or_fail
from tests.web_servers import serve

CLIENTS_FOLDER = Path(__file__).parent.parent / ".clients"

_TIMEOUT_SECONDS = 180

# ── what is wanted, and the tree that has it ────────────────────────────────────────────────────────

# An extra and what it needs; a newer release for another Python; a yanked release, unasked and pinned; a local version,
# whose "+" is %2B in a URL; a name that is not normalized.
WANTED = ("app[fast]", "newer", "withdrawn", "pinned==1.1", "tensor", "Odd.Name_x")
EXPECTED = {
    "app": "1.0",
    "base": "2.0",
    "speed": "1.0",
    "newer": "1.0",
    "withdrawn": "1.0",
    "pinned": "1.1",
    "tensor": "1.0+cpu",
    "Odd.Name_x": "1.0",
}
YANKED = "pinned"  # is in no links.html


@dataclass(frozen=True)
class Tree:
    """A finished mirror whose upstream is gone; ``sha256`` is of each release, as upstream had its wheel."""

    folder: Path
    sha256: Mapping[str, str]


def fill_index(index: LocalIndex) -> None:
    """Publishes what is wanted, and what must not be taken in its place."""
    index.add(make_wheel("app", "1.0", requires=["base>=1", "speed; extra == 'fast'"], extras=["fast"]))
    for name in ("base", "speed", "newer", "withdrawn", "pinned", "Odd.Name_x"):
        index.add(make_wheel(name, "1.0"))
    index.add(make_wheel("base", "2.0"))
    index.add(make_wheel("newer", "2.0", requires_python=">=3.99"), requires_python=">=3.99")
    index.add(make_wheel("withdrawn", "2.0"), yanked="breaks everything")
    index.add(make_wheel("pinned", "1.1"), yanked="breaks something")
    index.add(make_wheel("pinned", "2.0"))
    index.add(make_wheel("tensor", "1.0+cpu"))


def make_tree(folder: Path) -> Tree:
    """Mirrors an index on loopback into ``folder``, which everyone may enter: servers may run as nobody."""
    (folder / "home").mkdir()
    kept = {name: os.environ[name] for name in os.environ if name == "PATH" or name.startswith("COVERAGE_")}
    mirror = Mirror(folder, kept | {"HOME": str(folder / "home"), "PIP_CONFIG_FILE": os.devnull})
    with LocalIndex() as index:
        fill_index(index)
        projects = ", ".join(sorted({entry.project for entry in index.entries}))
        mirror.write_spec(index, f"projects: [{projects}, withdrawn ==2.0, pinned ==1.1]")
        mirror.sync()
        sha256 = {
            f"{entry.project}=={entry.filename.split('-')[1]}": hashlib.sha256(entry.data).hexdigest()
            for entry in index.entries
        }
    return Tree(mirror.tree, sha256)


# ── the ways to it ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Way:
    """How a client reaches the tree: through which server, and by its index or by the flat page of all files."""

    server: str
    is_links: bool = False

    @property
    def title(self) -> str:
        return f"{self.server} `links.html`" if self.is_links else self.server

    @property
    def expected(self) -> dict[str, str]:
        """Name and version of all that must be installed in the end."""
        return {name: version for name, version in EXPECTED.items() if not (self.is_links and name == YANKED)}

    @property
    def wanted(self) -> list[str]:
        """The requirements of the project."""
        return [each for each in WANTED if not (self.is_links and Requirement(each).name == YANKED)]


DISK, HTTP_SERVER, SERVE, NGINX_PLAIN = "`file://`", "`http.server`", "`pymirror serve`", "nginx, plain"
CONFIGURED = {"nginx": "nginx", "Apache": "apache", "Caddy": "caddy"}  # and the tool of `pymirror config`
SERVERS = (DISK, HTTP_SERVER, SERVE, NGINX_PLAIN, *CONFIGURED)
WAYS = (Way(DISK), Way(DISK, is_links=True), Way(HTTP_SERVER), Way(HTTP_SERVER, is_links=True), *map(Way, SERVERS[2:]))


@contextlib.contextmanager
def reach(server: str, tree: Path, work: Path) -> Iterator[str]:
    """Starts ``server`` over ``tree``; yields the tree's URL, with a slash at its end. Skips where it is missing."""
    if server == DISK:
        yield f"{tree.as_uri()}/"
    elif server == HTTP_SERVER:
        with serve_with_python(tree) as url:
            yield url
    elif server == SERVE:
        with _serve_with_pymirror(tree, work) as url:
            yield url
    elif server == NGINX_PLAIN:
        with serve_with_nginx(tree, read_nginx_blocks()[0], work) as nginx:
            yield nginx.url
    else:
        tool, url = CONFIGURED[server], "http://127.0.0.1:{port}/"
        with serve(
            tool, lambda port: make_config(tool, Facts(url=url.format(port=port), folder=str(tree))), work, url=url
        ) as running:
            yield running.url


@contextlib.contextmanager
def _serve_with_pymirror(tree: Path, work: Path) -> Iterator[str]:
    with Mirror(work, dict(os.environ)).started("serve", "--quiet", "--port", "0", str(tree)) as process:
        assert process.stdout is not None
        index_url = process.stdout.readline().strip()
        assert index_url.endswith("/simple/"), process.communicate()
        yield index_url.removesuffix("simple/")
        process.terminate()
        process.wait(20)


# ── a project ───────────────────────────────────────────────────────────────────────────────────────

# A request to anything but loopback goes to a proxy that is not there.
_LOOPBACK_ONLY = {
    **dict.fromkeys(("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9"),
    **dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1"),
}
_SEEDS = {"pip", "setuptools", "wheel"}  # what virtualenv puts into the environments of tox


# How pip, uv, Poetry and PDM say so; lines are broken anywhere.
_WRONG_HASH = re.compile(r"hash mismatch|match(?:es)? (?:the|any known|the environment or) (?:hashes|checksums)", re.I)


class ClientError(AssertionError):
    """A client ended with a failure, or did not do what it should; the text holds what it said."""

    @property
    def is_wrong_hash(self) -> bool:
        """Whether the client refused a file for its hash."""
        return _WRONG_HASH.search(" ".join(str(self).split())) is not None


@dataclass(frozen=True)
class Location:
    """A tree that is reached: the way, and the tree's URL, which ends in a slash."""

    way: Way
    url: str

    def settings(self, tool: str) -> str:
        """What ``pymirror config`` prints for a client; for the flat page, with the alternative in its comments."""
        text = make_config(tool, Facts(url=self.url))
        return _take_links(text) if self.way.is_links else text


def _take_links(text: str) -> str:
    kept = re.sub(r"^(?:\[\[.*|(?:index-url|name|url|default|verify_ssl) = .*)\n", "", text, flags=re.MULTILINE)
    return re.sub(
        r"^# (\[\[.*\]\]|(?:no-index|find-links|name|type|url|verify_ssl) = .*)$", r"\1", kept, flags=re.MULTILINE
    )


class Project:
    """A folder with a home of its own; nothing that this machine has set reaches what runs in it."""

    def __init__(self, folder: Path, tree: Tree) -> None:
        self.folder = folder
        self.tree = tree
        self.venv = folder / ".venv"
        (folder / "home").mkdir(parents=True)
        self.environ = {"PATH": os.environ["PATH"], "HOME": str(folder / "home"), "NO_COLOR": "1"} | _LOOPBACK_ONLY

    def write(self, name: str, text: str) -> str:
        """The path of the file that is written."""
        (self.folder / name).write_text(text, encoding="utf-8")
        return str(self.folder / name)

    def write_pyproject(self, wanted: list[str], more: str) -> None:
        """A project without code of its own."""
        dependencies = ", ".join(f'"{each}"' for each in wanted)
        head = f'name = "demo"\nversion = "0"\nrequires-python = ">=3.11"\ndependencies = [{dependencies}]\n'
        self.write("pyproject.toml", f"[project]\n{head}\n{more}")

    def write_hashes(self, name: str, way: Way) -> None:
        """Requirements with the hashes that upstream had."""
        lines = []
        for project, version in way.expected.items():
            key = f"{re.sub(r'[-_.]+', '-', project).lower()}=={version}"
            lines.append(f"{key} --hash=sha256:{self.tree.sha256[key]}\n")
        self.write(name, "".join(lines))

    def make_venv(self) -> None:
        """An empty virtual environment, in place of the one that was there."""
        self.run(sys.executable, "-m", "venv", "--without-pip", "--clear", str(self.venv))

    def run(self, *command: str, **variables: str) -> str:
        """What the command said. Raises :class:`ClientError` where it fails."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environ | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise ClientError(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stdout}")
        return done.stdout

    def installed(self) -> dict[str, str]:
        """Name and version of all that is in the virtual environment with all of its files."""
        (packages,) = self.venv.glob("lib/python*/site-packages")
        found = {}
        for distribution in importlib.metadata.distributions(path=[str(packages)]):
            if distribution.name not in _SEEDS:
                files = distribution.files or []
                is_whole = files and all(Path(str(file.locate())).exists() for file in files)
                found[distribution.name] = distribution.version if is_whole else f"{distribution.version}, in part"
        return found


# ── the clients ─────────────────────────────────────────────────────────────────────────────────────


class Client:
    """An installer, in a virtual environment of its own below :data:`CLIENTS_FOLDER`.

    ``requires`` is what the environment is made of, its first requirement the client itself. ``lock`` is the file that
    holds the hashes. ``cannot`` says of a way that it is none for the client, and why.
    """

    name: ClassVar[str]
    folder_name: ClassVar[str]
    requires: ClassVar[tuple[str, ...]]
    lock: ClassVar[str]
    cannot: ClassVar[Mapping[Way, str]] = {}

    @property
    def folder(self) -> Path:
        return CLIENTS_FOLDER / self.folder_name

    @property
    def stamp(self) -> str:
        """What the environment was made of, as ``stamp`` in its folder says."""
        return "\n".join((f"Python {sys.version_info.major}.{sys.version_info.minor}", *self.requires, ""))

    @property
    def is_made(self) -> bool:
        path = self.folder / "stamp"
        return path.is_file() and path.read_text(encoding="utf-8") == self.stamp

    @property
    def packages(self) -> Path:
        (packages,) = self.folder.glob("lib/python*/site-packages")
        return packages

    @property
    def version(self) -> str:
        """As its own metadata says."""
        name = Requirement(self.requires[0]).name
        (found,) = importlib.metadata.distributions(name=name, path=[str(self.packages)])
        return found.version

    def require(self) -> None:
        """Skips the test where the client is not there, in this version; CI has it."""
        if not self.is_made:
            skip_or_fail(f"{self.name} is not in .clients as it should be; `make clients` puts it there")

    def program(self, name: str) -> str:
        return str(self.folder / "bin" / name)

    def install(self, project: Project, location: Location) -> None:
        """Resolves what is wanted, writes :attr:`lock`, and installs all of it into a new environment."""
        self.resolve(project, location)
        self.install_locked(project, location)

    def resolve(self, project: Project, location: Location) -> None:
        """Writes :attr:`lock`."""
        raise NotImplementedError

    def install_locked(self, project: Project, location: Location) -> None:
        """Installs into a new environment what :attr:`lock` says, its hashes checked."""
        raise NotImplementedError


class Pip(Client):
    """pip, run by the environment's own Python; ``pip --python`` is younger than the oldest."""

    name = "pip, newest"
    folder_name = "pip"
    requires = ("pip==26.3",)
    lock = "requirements.txt"

    def pip(self, project: Project, location: Location, *arguments: str) -> None:
        project.make_venv()
        settings = project.write("pip.conf", location.settings("pip"))
        options = ("--disable-pip-version-check", "--no-input", "install", "--no-compile")
        variables = {"PIP_CONFIG_FILE": settings, "PYTHONPATH": str(self.packages)}
        project.run(str(project.venv / "bin" / "python"), "-m", "pip", *options, *arguments, **variables)

    def install(self, project: Project, location: Location) -> None:
        self.pip(project, location, *location.way.wanted)
        project.write_hashes(self.lock, location.way)

    def install_locked(self, project: Project, location: Location) -> None:
        self.pip(project, location, "--require-hashes", "-r", self.lock)


class OldPip(Pip):
    """The oldest that starts: 19.1 imports what Python 3.10 removed, 23.0 what Python 3.12 removed."""

    name = "pip, oldest"
    folder_name = "pip-oldest"
    requires = ("pip==19.2" if sys.version_info < (3, 12) else "pip==23.1.2",)


class Uv(Client):
    name = "uv"
    folder_name = "uv"
    requires = ("uv==0.13.8",)
    lock = "uv.lock"

    def uv(self, project: Project, *arguments: str) -> None:
        variables = {"UV_CONFIG_FILE": "uv.toml", "UV_PYTHON": sys.executable, "UV_PYTHON_DOWNLOADS": "never"}
        project.run(self.program("uv"), *arguments, **variables)

    def resolve(self, project: Project, location: Location) -> None:
        project.write_pyproject(location.way.wanted, "")
        project.write("uv.toml", location.settings("uv"))
        self.uv(project, "lock")
        self.uv(project, "lock", "--check")

    def install_locked(self, project: Project, location: Location) -> None:
        project.make_venv()
        project.write("uv.toml", location.settings("uv"))
        self.uv(project, "sync", "--frozen")


class Poetry(Client):
    name = "Poetry"
    folder_name = "poetry"
    requires = ("poetry==2.5.1", "poetry-plugin-pypi-mirror==0.6.5")  # the plugin sleeps until its variable is set
    lock = "poetry.lock"
    _DISK = "Poetry reads no index from a disk, neither folders nor pages."
    cannot: ClassVar[Mapping[Way, str]] = {Way(DISK): _DISK, Way(DISK, is_links=True): _DISK}

    def poetry(self, project: Project, *arguments: str, **variables: str) -> None:
        project.run(self.program("poetry"), "--no-interaction", *arguments, **variables)

    def resolve(self, project: Project, location: Location) -> None:
        settings = location.settings("poetry")
        if location.way.is_links:  # nothing is printed for it; the page is an index to Poetry
            settings = make_config("poetry", Facts(url=location.url)).replace("/simple/", "/links.html")
        project.write_pyproject(location.way.wanted, f"[tool.poetry]\npackage-mode = false\n{settings}")
        self.poetry(project, "lock")

    def install_locked(self, project: Project, location: Location, **variables: str) -> None:  # noqa: ARG002 - as above
        project.make_venv()
        self.poetry(project, "sync", POETRY_VIRTUALENVS_IN_PROJECT="true", **variables)


class Pdm(Client):
    name = "PDM"
    folder_name = "pdm"
    requires = ("pdm[locked]==2.29.3",)  # the versions that it was released with; it breaks with some later ones
    lock = "pdm.lock"

    def pdm(self, project: Project, *arguments: str) -> None:
        project.run(self.program("pdm"), *arguments, PDM_CHECK_UPDATE="false", VIRTUAL_ENV=str(project.venv))

    def resolve(self, project: Project, location: Location) -> None:
        project.make_venv()
        more = f"[tool.pdm]\ndistribution = false\n{location.settings('pdm')}"
        project.write_pyproject(location.way.wanted, more)
        self.pdm(project, "lock")

    def install_locked(self, project: Project, location: Location) -> None:  # noqa: ARG002 - the project names it
        project.make_venv()
        self.pdm(project, "sync")


class Pipenv(Client):
    name = "Pipenv"
    folder_name = "pipenv"
    requires = ("pipenv==2026.10.3",)
    lock = "Pipfile.lock"
    cannot: ClassVar[Mapping[Way, str]] = dict.fromkeys(
        (way for way in WAYS if way.is_links),
        "Pipenv has no find-links: `pipenv sync` asks the index of a source, whatever pip is told.",
    )

    def pipenv(self, project: Project, *arguments: str, **variables: str) -> None:
        project.run(self.program("pipenv"), *arguments, PIPENV_VENV_IN_PROJECT="1", **variables)

    def resolve(self, project: Project, location: Location) -> None:
        project.make_venv()
        self.write_pipfile(project, location.way.wanted, location.settings("pipenv"))
        self.pipenv(project, "lock")

    def write_pipfile(self, project: Project, wanted: list[str], sources: str) -> None:
        """``sources`` is TOML; without any, Pipenv takes its own."""
        lines = []
        for requirement in map(Requirement, wanted):
            extras = ", ".join(f'"{extra}"' for extra in requirement.extras)
            version = str(requirement.specifier) or "*"
            lines.append(f'"{requirement.name}" = {{version = "{version}", extras = [{extras}]}}\n')
        project.write("Pipfile", f"{sources}\n[packages]\n{''.join(lines)}")

    def install_locked(self, project: Project, location: Location, **variables: str) -> None:  # noqa: ARG002 - as above
        project.make_venv()
        self.pipenv(project, "sync", **variables)


class PipTools(Client):
    name = "pip-tools"
    folder_name = "pip-tools"
    requires = ("pip-tools==7.6.2", "pip==26.3")
    lock = "requirements.txt"

    def resolve(self, project: Project, location: Location) -> None:
        project.write("requirements.in", "\n".join(location.way.wanted))
        if location.way.is_links:
            words = ["pip-compile", "--generate-hashes", "requirements.in"]
        else:
            words = shlex.split(location.settings("pip-tools"), comments=True)
        project.run(self.program(words[0]), *words[1:], **self._variables(project, location))

    def install_locked(self, project: Project, location: Location) -> None:
        project.make_venv()
        options = ("--python", str(project.venv), "install", "--no-compile", "--require-hashes", "-r", self.lock)
        project.run(self.program("python"), "-m", "pip", *options, **self._variables(project, location))

    def _variables(self, project: Project, location: Location) -> dict[str, str]:
        """What is printed for pip, where it is needed: the command and what it writes name the index."""
        if not location.way.is_links:
            return {}
        return {"PIP_CONFIG_FILE": project.write("pip.conf", location.settings("pip"))}


class Tox(Client):
    name = "tox"
    folder_name = "tox"
    requires = ("tox==4.67.13",)
    lock = "requirements.txt"

    def tox(self, project: Project, location: Location, *dependencies: str) -> None:
        lines = "\n    ".join(dependencies)
        head = "[tox]\nenv_list = made\n[testenv]\nskip_install = true\ncommands = python -c 'import app'\ndeps =\n"
        project.write("tox.ini", f"{head}    {lines}\n")
        variables = {"VIRTUALENV_NO_PERIODIC_UPDATE": "1"}
        if location.way.is_links:
            variables["PIP_CONFIG_FILE"] = project.write("pip.conf", location.settings("pip"))
        else:
            words = shlex.split(location.settings("tox"), comments=True)
            variables |= dict(word.split("=", 1) for word in words if word != "export")
        shutil.rmtree(project.folder / ".tox", ignore_errors=True)
        project.venv = project.folder / ".tox" / "made"
        project.run(self.program("tox"), "run", **variables)

    def install(self, project: Project, location: Location) -> None:
        self.tox(project, location, *location.way.wanted)
        project.write_hashes(self.lock, location.way)

    def install_locked(self, project: Project, location: Location) -> None:
        self.tox(project, location, f"-r {self.lock}")


CLIENTS: tuple[Client, ...] = (OldPip(), Pip(), Uv(), Poetry(), Pdm(), Pipenv(), PipTools(), Tox())


# ── what is done with each ──────────────────────────────────────────────────────────────────────────


def prove(client: Client, project: Project, location: Location) -> None:
    """Installs by name, then by the hashes that were locked, then by a wrong one. Raises :class:`ClientError`.

    What was installed is read from the environment itself.
    """
    expected = location.way.expected
    client.install(project, location)
    _compare(project, expected, "was installed")
    client.install_locked(project, location)
    _compare(project, expected, "was installed by its hashes")
    prove_refusal(client, project, location)


def prove_refusal(client: Client, project: Project, location: Location) -> None:
    """Installs from a lock file that has a wrong hash of ``base``.

    Raises :class:`ClientError` where that works, or fails for another reason.
    """
    text = (project.folder / client.lock).read_text(encoding="utf-8")
    right = project.tree.sha256["base==2.0"]
    if right not in text:
        raise ClientError(f"{client.lock} has no hash of base 2.0:\n{text}")
    project.write(client.lock, text.replace(right, "0" * 64))
    try:
        client.install_locked(project, location)
    except ClientError as error:
        if not error.is_wrong_hash:
            raise
    else:
        raise ClientError("a wrong hash was not refused")
    if "base" in project.installed():
        raise ClientError("a file was installed in spite of its hash")


def _compare(project: Project, expected: Mapping[str, str], what: str) -> None:
    found = project.installed()
    if found != expected:
        raise ClientError(f"{found} {what}, where {dict(expected)} is expected")
