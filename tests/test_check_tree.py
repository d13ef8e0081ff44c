"""What a tree can install, by its pages and the files beside them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from packaging.utils import NormalizedName

from pymirror.closure import NoNeeds
from pymirror.commands.check_report import CheckReport
from pymirror.environment import make_environment
from pymirror.needs import Needs
from pymirror.storage.local import LocalStorage
from pymirror.tree_facts import Tree, TreeFacts
from tests.archives import make_sdist, make_wheel
from tests.conftest import Mirror
from tests.index import LocalIndex
from tests.made_index import MadeIndex
from tests.test_check import find, problem_of, run_check

ONE = "environments: {python: ['3.12'], platform: [linux]}"
LINUX = make_environment("3.12", "linux")
APP = NormalizedName("app")


@pytest.fixture
def synced(mirror: Mirror, index: LocalIndex) -> Mirror:
    """A tree of two releases, each a wheel with its metadata beside it."""
    for version in ("1.0", "2.0"):
        index.add(make_wheel("app", version, requires=["lib"]))
    index.add(make_wheel("lib", "1.0"))
    mirror.write_spec(index, f"{ONE}\nprojects: [app ==2.0, lib]")
    mirror.sync()
    return mirror


def check(mirror: Mirror, *, with_uv: bool = True) -> CheckReport:
    return run_check(mirror.spec, with_uv=with_uv)


# ── files ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_is_missing_when_its_page_lists_it_and_the_disk_has_it_not(synced: Mirror) -> None:
    assert check(synced).findings == 0
    synced.find("lib-1.0-py3-none-any.whl").unlink()
    report = check(synced)
    assert problem_of(find(report, "app")) == (
        "app 2.0 → lib 1.0 (lib): lib-1.0-py3-none-any.whl: it is on its page, but not on the disk"
    )
    for root in ("app", "lib"):
        answer = find(report, root)
        assert "it is on its page, but not on the disk" in problem_of(answer)
        assert answer.second is not None
        assert answer.second.verdict.value == "refuses", answer.second


def test_no_older_release_is_taken_when_the_newest_is_damaged(mirror: Mirror, index: LocalIndex) -> None:
    index.add(make_wheel("app", "1.0", requires=["lib"]))
    for version in ("1.0", "2.0"):
        index.add(make_wheel("lib", version))
    mirror.write_spec(index, f"{ONE}\nprojects: [app, lib]")
    mirror.sync()
    mirror.find("lib-2.0-py3-none-any.whl").unlink()
    report = check(mirror)
    # A client takes what its index lists, and fails on it: the page is not asked again for something older.
    assert "lib-2.0-py3-none-any.whl: it is on its page" in problem_of(find(report, "app"))
    assert find(report, "lib").version == "2.0"
    assert "lib-2.0-py3-none-any.whl: it is on its page" in problem_of(find(report, "lib"))


def test_no_older_release_is_taken_when_the_newest_is_an_sdist_that_is_gone(bench_tree: Path) -> None:
    index = MadeIndex()
    index.add("app", "1.0")
    index.add("app", "2.0", sdist=True)
    index.write(bench_tree)
    (bench_tree / "files" / "app-2.0.tar.gz").unlink()
    spec = bench_tree.parent / "mirror.yaml"
    spec.write_text(f"output: {bench_tree.name}\n{ONE}\nbuild-dependencies: false\nprojects: [app]")
    app = find(run_check(spec), "app")
    assert app.version == "2.0"
    assert "app-2.0.tar.gz: it is on its page, but not on the disk" in problem_of(app)


def test_a_file_is_missing_when_a_copy_broke_off(synced: Mirror) -> None:
    wheel = synced.find("lib-1.0-py3-none-any.whl")
    size = wheel.stat().st_size
    wheel.write_bytes(wheel.read_bytes()[:100])
    assert f"it has 100 bytes on the disk, and {size} by its page" in problem_of(find(check(synced), "app"))


def test_a_release_is_missing_when_its_promised_metadata_are_not_there(synced: Mirror) -> None:
    metadata = synced.find("lib-1.0-py3-none-any.whl.metadata")
    metadata.write_text("Metadata-Version: 2.1\nName: lib\nVersion: 1.0\nRequires-Dist: other\n")
    problem = problem_of(find(check(synced), "app"))
    assert "lib-1.0-py3-none-any.whl: the metadata beside it, which its page promises: expected sha256 " in problem
    metadata.unlink()
    problem = problem_of(find(check(synced), "app"))
    assert "the metadata beside it, which its page promises: expected at most " in problem
    assert problem.endswith("got none")


def test_a_release_is_missing_when_its_wheel_holds_no_metadata(bench_tree: Path, index_of: MadeIndex) -> None:
    index_of.add("app", "1.0")
    index_of.write(bench_tree)
    (bench_tree / "files" / "app-1.0-py3-none-any.whl").write_bytes(b"no archive at all")
    facts = TreeFacts(Tree(LocalStorage(bench_tree)))
    (option,) = facts.options(APP, LINUX).options
    assert facts.needs(option) == Needs(is_known=False)
    fault = facts.tree.find_fault(facts.file_of(option))
    assert fault is not None
    assert "METADATA of app-1.0-py3-none-any.whl" in fault


def test_an_sdist_is_passed_over_when_it_cannot_be_read(bench_tree: Path, index_of: MadeIndex) -> None:
    index_of.add("app", "1.0", sdist=True)
    index_of.write(bench_tree)
    (bench_tree / "files" / "app-1.0.tar.gz").write_bytes(b"no archive at all")
    facts = TreeFacts(Tree(LocalStorage(bench_tree)))
    (option,) = facts.options(APP, LINUX).options
    needs = facts.needs(option)
    assert isinstance(needs, NoNeeds)
    assert not needs.is_error
    assert "PKG-INFO of app-1.0.tar.gz" in needs.problem


@pytest.fixture
def bench_tree(tmp_path: Path) -> Path:
    return tmp_path / "tree"


@pytest.fixture
def index_of() -> MadeIndex:
    return MadeIndex()


# ── pages ───────────────────────────────────────────────────────────────────────────────────────────


def test_the_json_page_is_read_when_there_is_no_html_page(synced: Mirror) -> None:
    for page in (synced.tree / "simple").rglob("index.html*"):
        page.unlink()
    facts = TreeFacts(Tree(LocalStorage(synced.tree)))
    assert facts.tree.list_projects() == ("app", "lib")
    assert [option.filename for option in facts.options(APP, LINUX).options] == ["app-2.0-py3-none-any.whl"]
    answers = run_check(synced.spec, with_uv=False)
    assert answers.findings == 0
    # uv reads pages of a disk as HTML alone.
    assert {finding.kind.value for answer in check(synced).answers for finding in answer.findings} == {"difference"}


def test_a_link_is_no_file_when_it_leads_out_of_the_tree(bench_tree: Path) -> None:
    folder = bench_tree / "simple" / "app"
    folder.mkdir(parents=True)
    secret = bench_tree.parent / "app-4.0-py3-none-any.whl"
    secret.write_bytes(make_wheel("app", "4.0")[1])
    links = [
        "https://files.example/app-1.0-py3-none-any.whl",
        "//files.example/app-2.0-py3-none-any.whl",
        "../../../../../../app-3.0-py3-none-any.whl",
        "../../%2e%2e/app-4.0-py3-none-any.whl",
        "../../..%2fapp-4.0-py3-none-any.whl",
        "file:///etc/app-5.0-py3-none-any.whl",
        "../../.pymirror/app-6.0-py3-none-any.whl",
    ]
    (folder / "index.html").write_text("<!DOCTYPE html>" + "".join(f'<a href="{link}">x</a>' for link in links))
    facts = TreeFacts(Tree(LocalStorage(bench_tree)))
    options = facts.options(APP, LINUX).options
    faults = {str(option.version): facts.tree.find_fault(facts.file_of(option)) for option in options}
    assert set(faults) == {"1.0", "2.0", "3.0", "4.0", "5.0", "6.0"}
    assert set(faults.values()) <= {"its link leads out of the tree", "it is on its page, but not on the disk"}


def test_a_page_that_cannot_be_read_is_named_when_a_project_is_asked_for(bench_tree: Path) -> None:
    folder = bench_tree / "simple" / "app"
    folder.mkdir(parents=True)
    (folder / "index.html").write_text("")
    options = TreeFacts(Tree(LocalStorage(bench_tree))).options(APP, LINUX)
    assert options.problem == "the page in the tree cannot be read: the answer is empty"
    assert not options.is_error
    assert TreeFacts(Tree(LocalStorage(bench_tree))).options(NormalizedName("../x"), LINUX).options == ()


# ── which file of a release ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("filenames", "chosen"),
    [
        (["app-1.0.tar.gz", "app-1.0-py3-none-any.whl"], "app-1.0-py3-none-any.whl"),
        (
            ["app-1.0-py3-none-any.whl", "app-1.0-cp312-cp312-manylinux_2_28_x86_64.whl", "app-1.0-cp312-abi3-any.whl"],
            "app-1.0-cp312-cp312-manylinux_2_28_x86_64.whl",
        ),
        (["app-1.0-2-py3-none-any.whl", "app-1.0-10-py3-none-any.whl", "app-1.0-py3-none-any.whl"], None),
        (["app-1.0.tar.gz", "app-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"], "app-1.0.tar.gz"),
    ],
)
def test_the_file_is_that_of_an_installer_when_a_release_has_several(
    synced: Mirror, filenames: list[str], chosen: str | None
) -> None:
    assert _choose(synced, [{"filename": name} for name in filenames]) == (chosen or "app-1.0-10-py3-none-any.whl")
    assert _choose(synced, [{"filename": name} for name in reversed(filenames)]) == (chosen or filenames[1])


def test_an_unyanked_file_is_taken_when_another_of_the_release_is_yanked(synced: Mirror) -> None:
    yanked = {"filename": "app-1.0-py3-none-any.whl", "yanked": "broken"}
    assert _choose(synced, [yanked, {"filename": "app-1.0.tar.gz"}]) == "app-1.0.tar.gz"
    assert _choose(synced, [yanked]) == "app-1.0-py3-none-any.whl"


def test_the_python_of_the_page_counts_when_it_says_one(synced: Mirror) -> None:
    new = {"filename": "app-1.0-py3-none-any.whl", "requires-python": ">=3.13"}
    assert _choose(synced, [new, {"filename": "app-1.0.tar.gz"}]) == "app-1.0.tar.gz"


def _choose(mirror: Mirror, files: list[dict[str, str]]) -> str:
    """The file that is taken of the one release of a page that lists ``files``, which are all there."""
    page = mirror.tree / "simple" / "app"
    (page / "index.html").unlink(missing_ok=True)
    listed = []
    for file in files:
        (mirror.tree / "packages" / file["filename"]).write_bytes(make_sdist("app", "1.0")[1])
        listed.append({"url": f"../../packages/{file['filename']}", "hashes": {}, **file})
    (page / "index.v1_json").write_text(
        json.dumps({"meta": {"api-version": "1.1"}, "name": "app", "versions": ["1.0"], "files": listed})
    )
    (option,) = TreeFacts(Tree(LocalStorage(mirror.tree))).options(APP, LINUX).options
    return option.filename
