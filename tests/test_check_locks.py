"""Lock files before ``check``: what they pin must be in the tree, and must go together there."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pymirror.commands.check_report import Answer, FindingKind, RootKind
from tests.made_index import MadeFile
from tests.test_check import BOTH, LINUX, ONE, WINDOWS, Bench, find

LOCK = "lock requirements.lock"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    bench.index.add("app", "1.0", "lib>=1")
    for version in ("1.0", "2.0"):
        bench.index.add("lib", version)
    return bench


def sha256(bench: Bench, filename: str) -> str:
    (file,) = (each for each in bench.index.files if each.filename == filename)
    return hashlib.sha256(file.content).hexdigest()


def check(bench: Bench, text: str, name: str = "requirements.lock", *, body: str = ONE) -> list[Answer]:
    """The answers on one lock file."""
    (bench.folder / name).write_text(text)
    report = bench.check(f"{body}\nlockfiles: [{name}]")
    assert {answer.kind for answer in report.answers} <= {RootKind.LOCK}
    assert bool(report.findings) == (int(report.exit_code) == 5)
    return list(report.answers)


def one(bench: Bench, text: str, name: str = "requirements.lock") -> Answer:
    (answer,) = check(bench, text, name)
    assert answer.root == f"lock {name}"
    return answer


def kinds(answer: Answer) -> list[FindingKind]:
    return [finding.kind for finding in answer.findings]


# ── pins ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_lock_installs_when_the_tree_has_all_of_it(bench: Bench) -> None:
    answer = one(bench, "app==1.0\nlib==1.0\n")
    assert answer.findings == ()
    assert answer.files == ("app-1.0-py3-none-any.whl", "lib-1.0-py3-none-any.whl")
    assert answer.second is not None
    assert answer.second.verdict.value == "installs"
    assert Path(answer.rule).name == "mirror.yaml:4"


def test_each_pin_is_named_when_the_tree_has_it_not(bench: Bench) -> None:
    answer = one(bench, "app==1.0\nlib==3.0\nother==1.0\n")
    assert kinds(answer) == [FindingKind.MISSING, FindingKind.MISSING]
    lib, other = (finding.problem for finding in answer.findings)
    assert lib == "lib==3.0 (requirements.lock:2): its page in the tree has no such release"
    assert other == "other==1.0 (requirements.lock:3): the tree has no page of it"
    assert answer.second is None  # there was nothing to ask


def test_a_pin_is_missing_when_the_lock_allows_other_bytes_only(bench: Bench) -> None:
    app, lib = sha256(bench, "app-1.0-py3-none-any.whl"), sha256(bench, "lib-1.0-py3-none-any.whl")
    text = "app==1.0 --hash=sha256:{}\nlib==1.0 --hash=sha256:{}\n"
    assert one(bench, text.format(app, lib)).findings == ()
    answer = one(bench, text.format(app, "0" * 64))
    assert kinds(answer) == [FindingKind.MISSING]
    assert "lib-1.0-py3-none-any.whl: the lock allows other files only" in answer.findings[0].problem


def test_a_pin_is_missing_when_its_file_is_not_on_the_disk(bench: Bench) -> None:
    bench.index.add("lib", "1.0", sdist=True)
    bench.index.files.reverse()
    assert one(bench, "app==1.0\nlib==1.0\n").files == ("app-1.0-py3-none-any.whl", "lib-1.0-py3-none-any.whl")
    (bench.tree / "files" / "lib-1.0-py3-none-any.whl").unlink()
    (answer,) = bench.check().answers
    # There is an sdist, but a client takes the wheel that the page lists, and fails.
    assert [finding.problem for finding in answer.findings] == [
        "lib==1.0 (requirements.lock:2): lib-1.0-py3-none-any.whl: it is on its page, but not on the disk"
    ]


def test_a_pin_is_missing_only_where_no_file_of_it_suits(bench: Bench) -> None:
    bench.index.add("wins", "1.0", tag="cp312-cp312-win_amd64")
    linux, windows = check(bench, "app==1.0\nlib==1.0\nwins==1.0\n", body=BOTH)
    assert (linux.environment, windows.environment) == (LINUX, WINDOWS)
    assert windows.findings == ()
    assert kinds(linux) == [FindingKind.MISSING]
    assert "it is for another Python or platform" in linux.findings[0].problem
    marked = "app==1.0\nlib==1.0\nwins==1.0 ; sys_platform == 'win32'\n"
    assert [answer.findings for answer in check(bench, marked, body=BOTH)] == [(), ()]


def test_the_line_that_excludes_a_pin_is_named_when_it_is_missing(bench: Bench) -> None:
    (bench.folder / "requirements.lock").write_text("gone==1.0\n")
    report = bench.check(f"{ONE}\nlockfiles: [requirements.lock]\nexclude: [gone <2]")
    (finding,) = find(report, LOCK).findings
    assert [(drop.project, Path(drop.rule).name, drop.reason) for drop in finding.dropped] == [
        ("gone", "mirror.yaml:5", "exclude: gone <2")
    ]


def test_a_nested_file_is_part_of_the_lock_that_names_it(bench: Bench) -> None:
    (bench.folder / "more.txt").write_text("lib==1.0\n")
    assert one(bench, "app==1.0\n-r more.txt\n").findings == ()
    (bench.folder / "included.yaml").write_text("lockfiles: [requirements.lock]")
    report = bench.check(f"{ONE}\ninclude: [included.yaml]")
    assert [answer.root for answer in report.answers] == [LOCK]


def test_an_entry_is_told_when_no_index_can_serve_it(bench: Bench) -> None:
    answer = one(bench, "app==1.0\nlib==1.0\nother @ https://example.com/other-1.0.tar.gz\n")
    assert kinds(answer) == [FindingKind.LOCK]
    assert "other" in answer.findings[0].problem


# ── all together ────────────────────────────────────────────────────────────────────────────────────


def test_it_is_a_finding_when_the_lock_lacks_what_the_tree_lacks_too(bench: Bench) -> None:
    bench.index.add("web", "1.0", "absent>=2")
    answer = one(bench, "web==1.0\n")
    assert kinds(answer) == [FindingKind.LOCK]
    assert answer.findings[0].problem == "web 1.0 needs absent>=2: the tree has no page of it"
    assert answer.installs is False


def test_it_is_only_said_when_the_lock_lacks_what_the_tree_has(bench: Bench) -> None:
    answer = one(bench, "app==1.0\n")
    assert answer.findings == ()
    assert answer.notes == ("it does not pin what its entries need: lib (app needs lib>=1); the tree has it",)


def test_it_is_a_finding_when_a_hashed_lock_lacks_anything(bench: Bench) -> None:
    answer = one(bench, f"app==1.0 --hash=sha256:{sha256(bench, 'app-1.0-py3-none-any.whl')}\n")
    assert kinds(answer) == [FindingKind.LOCK]
    assert "with hashes, pip installs nothing that is not pinned" in answer.findings[0].problem


def test_it_is_a_finding_when_pins_of_requirements_do_not_go_together(bench: Bench) -> None:
    bench.index.add("old", "1.0", "lib<2")
    answer = one(bench, "old==1.0\nlib==2.0\n")
    assert kinds(answer) == [FindingKind.LOCK]
    assert "lib<2" in answer.findings[0].problem
    assert answer.second is not None
    assert answer.second.verdict.value == "refuses"


def uv_lock(bench: Bench, *packages: tuple[str, str, str]) -> str:
    """A lock of uv's: name, version, and the file of each; the last is needed by the first."""
    lines = ["version = 1", 'requires-python = ">=3.12"']
    for number, (name, version, filename) in enumerate(packages):
        lines += ["[[package]]", f'name = "{name}"', f'version = "{version}"']
        lines += ['source = { registry = "https://index.example/simple" }']
        if number == 0 and len(packages) > 1:
            lines.append(f'dependencies = [{{ name = "{packages[-1][0]}" }}]')
        lines.append(
            f'wheels = [{{ url = "https://files.example/{filename}", hash = "sha256:{sha256(bench, filename)}" }}]'
        )
    return "\n".join(lines)


def test_it_is_only_said_when_a_lock_that_is_installed_as_it_is_overrides_something(bench: Bench) -> None:
    bench.index.add("old", "1.0", "lib<2")
    text = uv_lock(bench, ("old", "1.0", "old-1.0-py3-none-any.whl"), ("lib", "2.0", "lib-2.0-py3-none-any.whl"))
    answer = one(bench, text, "uv.lock")
    assert answer.findings == ()
    assert answer.notes == ("its pins do not go together: old==1.0 needs lib<2, lib==2.0 is pinned",)


def test_each_pin_is_judged_by_itself_when_a_lock_has_two_versions_of_a_project(bench: Bench) -> None:
    bench.index.add("bad", "1.0", "absent")
    ours = ("lib", "1.0", "lib-1.0-py3-none-any.whl"), ("lib", "2.0", "lib-2.0-py3-none-any.whl")
    answer = one(bench, uv_lock(bench, *ours), "uv.lock")
    assert answer.findings == ()
    assert answer.notes == ("it pins two versions of a project there, so each pin was judged by itself",)
    answer = one(bench, uv_lock(bench, ("bad", "1.0", "bad-1.0-py3-none-any.whl"), *ours), "uv.lock")
    assert kinds(answer) == [FindingKind.LOCK]
    assert "needs absent" in answer.findings[0].problem


def test_a_pin_is_left_out_when_nothing_needs_it_there_and_no_file_suits(bench: Bench) -> None:
    bench.index.add("shell", "1.0", "wins; sys_platform == 'win32'")
    bench.index.add("wins", "1.0", tag="cp312-cp312-win_amd64")
    packages = ("shell", "1.0", "shell-1.0-py3-none-any.whl"), ("wins", "1.0", "wins-1.0-cp312-cp312-win_amd64.whl")
    text = uv_lock(bench, *packages)
    linux, windows = check(bench, text, "uv.lock", body=BOTH)
    assert (linux.findings, linux.notes) == ((), ("wins==1.0 is not needed there",))
    assert (windows.findings, windows.notes) == ((), ())
    bench.index.files = [file for file in bench.index.files if file.project != "shell"]
    bench.index.files.append(MadeFile(project=bench.index.files[0].project, version="9"))
    bench.index.add("shell", "1.0", "wins")
    assert kinds(check(bench, uv_lock(bench, *packages), "uv.lock", body=BOTH)[0]) == [FindingKind.MISSING]
