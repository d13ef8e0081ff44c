"""Poetry, PDM, Pipenv, pip-tools, tox and the oldest pip install from a real tree, its upstream gone.

docs/clients.md has every client in every way; here are those ways that differ for a client. The newest pip and uv are
held by test_clients.py and test_config.py.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from unearth import PackageFinder

from tests.client_tools import (
    CLIENTS,
    DISK,
    EXPECTED,
    HTTP_SERVER,
    WAYS,
    Client,
    ClientError,
    Location,
    OldPip,
    Pdm,
    Pip,
    Pipenv,
    PipTools,
    Poetry,
    Project,
    Tree,
    Uv,
    Way,
    fill_index,
    make_tree,
    prove,
    prove_refusal,
    reach,
)
from tests.index import LocalIndex

DOCUMENT = Path(__file__).parent.parent / "docs" / "clients.md"

_HELD_ELSEWHERE = {"pip, newest", "uv"}
_CLIENTS = [client for client in CLIENTS if client.name not in _HELD_ELSEWHERE]


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that everyone may enter: servers may run as nobody."""
    with tempfile.TemporaryDirectory(prefix="pymirror-clients-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture(scope="module")
def tree(place: Path) -> Tree:
    folder = place / "tree"
    folder.mkdir()
    return make_tree(folder)


@pytest.fixture(scope="module")
def urls(tree: Tree, place: Path) -> Iterator[dict[str, str]]:
    """The tree's URL by server, of those that were started so far."""
    with ExitStack() as stack:
        yield _Urls(tree.folder, place, stack)


class _Urls(dict[str, str]):
    """Starts a server when it is asked for, once."""

    def __init__(self, tree: Path, place: Path, stack: ExitStack) -> None:
        super().__init__()
        self._tree, self._place, self._stack = tree, place, stack

    def __missing__(self, server: str) -> str:
        work = self._place / f"server-{len(self)}"
        work.mkdir()
        self[server] = self._stack.enter_context(reach(server, self._tree, work))
        return self[server]


@pytest.fixture
def project(tree: Tree, tmp_path: Path) -> Project:
    return Project(tmp_path / "project", tree)


# ── every client ────────────────────────────────────────────────────────────────────────────────────


def _name(value: object) -> str:
    return value.name if isinstance(value, Client) else str(value)


@pytest.mark.parametrize("client", _CLIENTS, ids=_name)
def test_client_installs_the_right_releases_when_the_server_knows_html_alone(
    client: Client, urls: dict[str, str], project: Project
) -> None:
    """By name and then by hash; and not where a hash is wrong."""
    client.require()

    prove(client, project, Location(Way(HTTP_SERVER), urls[HTTP_SERVER]))


@pytest.mark.parametrize(
    ("client", "server"),
    [*((client, "nginx") for client in _CLIENTS), *((OldPip(), server) for server in (DISK, "Apache", "Caddy"))],
    ids=_name,
)
def test_client_installs_the_right_releases_when_both_sides_have_what_is_printed(
    client: Client, server: str, urls: dict[str, str], project: Project
) -> None:
    client.require()
    location = Location(Way(server), urls[server])

    client.install(project, location)

    assert project.installed() == location.way.expected


@pytest.mark.parametrize("client", [OldPip(), Pdm(), PipTools()], ids=_name)
def test_client_installs_from_the_page_of_all_files_when_no_server_is_there(
    client: Client, urls: dict[str, str], project: Project
) -> None:
    client.require()
    location = Location(Way(DISK, is_links=True), urls[DISK])

    client.install(project, location)

    assert project.installed() == location.way.expected


@pytest.mark.parametrize(
    ("left_out", "wrong"),
    [(' data-yanked="[^"]*"', {"withdrawn": "2.0", "pinned": "1.1"}), ("<a .*base-2[.]0.*\n", {"base": "1.0"})],
    ids=["yanked", "base 2.0"],
)
def test_proof_fails_when_the_pages_say_less(
    left_out: str, wrong: dict[str, str], tree: Tree, tmp_path: Path, project: Project
) -> None:
    """What the others rely on: another release than the right one is seen."""
    client = Pip()
    client.require()
    copy = tmp_path / "copy"
    shutil.copytree(tree.folder, copy)
    for page in copy.glob("simple/*/index.html"):
        page.write_text(re.sub(left_out, "", page.read_text()))
    location = Location(Way(DISK), f"{copy.as_uri()}/")

    with pytest.raises(ClientError, match=re.escape(f"{EXPECTED} is expected")):
        prove(client, project, location)
    assert project.installed() == EXPECTED | wrong


# ── lock files that were made against another index ─────────────────────────────────────────────────


def _lock_and_move(client: Client, project: Project, *, has_settings: bool = True) -> str:
    """The index URL of the lock file: an index that is gone, as is all that a cache had of it."""
    with LocalIndex() as other:
        fill_index(other)
        location = Location(Way("another index"), f"{other.origin}/")
        if has_settings:
            client.resolve(project, location)
        else:
            _lock_as_user(client, project, location)
    home = project.folder / "another home"
    home.mkdir()
    project.environ["HOME"] = str(home)
    return other.url


def _adapt(project: Project, name: str, *, made_against: str, location: Location) -> None:
    """Runs the line that ``pymirror config lockfile`` prints for a shell, on the file that is meant."""
    asked = ("config", "lockfile", "--url", location.url, "--made-against", made_against)
    text = project.run(sys.executable, "-m", "pymirror", *asked)
    (line,) = (line for line in text.splitlines() if line.startswith("sed "))
    project.run("sh", "-euc", f"{line.removesuffix('uv.lock')}{name}")


@pytest.mark.parametrize("client", [Uv(), Pipenv(), PipTools()], ids=_name)
def test_client_installs_from_the_lock_of_another_index_when_its_hosts_were_replaced(
    client: Client, urls: dict[str, str], project: Project
) -> None:
    client.require()
    location = Location(Way(HTTP_SERVER), urls[HTTP_SERVER])
    made_against = _lock_and_move(client, project)
    lock = project.folder / client.lock
    host = urlsplit(made_against).netloc
    assert host in lock.read_text()

    _adapt(project, client.lock, made_against=made_against, location=location)

    assert host not in lock.read_text()
    client.install_locked(project, location)
    assert project.installed() == EXPECTED
    if isinstance(client, Uv):
        client.uv(project, "lock", "--check")  # the index that the lock names is the one that is set
    prove_refusal(client, project, location)


# A lock file that Poetry, PDM or Pipenv made against the usual index stays as it is: each is told of the mirror by the
# words in the comments of what is printed.


def _lock_as_user(client: Client, project: Project, location: Location) -> None:
    """Locks a project that names no index, as one is that knows no mirror; the index is the user's setting."""
    wanted = location.way.wanted
    match client:
        case Poetry():
            project.write_pyproject(wanted, "[tool.poetry]\npackage-mode = false\n")
            client.poetry(project, "lock", **_variables(location, "poetry"))
        case Pdm():
            project.write_pyproject(wanted, "[tool.pdm]\ndistribution = false\n")
            project.make_venv()
            _configure_pdm(client, project, location)
            client.pdm(project, "lock")
        case Pipenv():
            project.make_venv()
            client.write_pipfile(project, wanted, "")
            client.pipenv(project, "lock", **_variables(location, "pipenv"))


def _install_as_user(client: Client, project: Project, location: Location) -> None:
    match client:
        case Poetry():
            client.install_locked(project, location, **_variables(location, "poetry"))
        case Pdm():
            _configure_pdm(client, project, location)
            client.install_locked(project, location)
        case Pipenv():
            client.install_locked(project, location, **_variables(location, "pipenv"))


def _variables(location: Location, tool: str) -> dict[str, str]:
    """The variable that the comments name."""
    (pair,) = re.findall(r"\b([A-Z_]+)=(http\S+)", location.settings(tool))
    return dict([pair])


def _configure_pdm(client: Pdm, project: Project, location: Location) -> None:
    for command in re.findall(r"^#   pdm (config .*)$", location.settings("pdm"), re.MULTILINE):
        client.pdm(project, *shlex.split(command))


@pytest.mark.parametrize("client", [Poetry(), Pdm(), Pipenv()], ids=_name)
def test_client_installs_from_the_lock_of_the_usual_index_when_the_user_has_set_the_mirror(
    client: Client, urls: dict[str, str], project: Project
) -> None:
    client.require()
    location = Location(Way(HTTP_SERVER), urls[HTTP_SERVER])
    made_against = _lock_and_move(client, project, has_settings=False)
    lock = project.folder / client.lock
    if isinstance(client, Pipenv):  # writes down where it locked; the usual index is what every finder asks by default
        (usual,) = (str(source["url"]) for source in PackageFinder().sources)
        lock.write_text(lock.read_text().replace(made_against, usual))
    before = lock.read_bytes()
    assert b"127.0.0.1" not in before

    _install_as_user(client, project, location)

    assert project.installed() == EXPECTED
    assert lock.read_bytes() == before


# ── the document ────────────────────────────────────────────────────────────────────────────────────


def test_document_has_every_client_and_every_way_when_its_table_is_read() -> None:
    (table,) = re.findall(r"^<!-- table: .*?^<!-- end of table -->$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    head, line, *body = (row.strip("| ").split(" | ") for row in table.splitlines() if row.startswith("|"))

    assert head == ["client", "version", *(way.title for way in WAYS)]
    assert [row[0] for row in body] == [client.name for client in CLIENTS]
    assert {len(row) for row in (line, *body)} == {len(head)}
    for client, row in zip(CLIENTS, body, strict=True):
        unable = {way for way, cell in zip(WAYS, row[2:], strict=True) if "\N{EN DASH}" in cell}
        assert unable == set(client.cannot)
