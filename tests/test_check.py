"""``check``: what installs from a tree alone, what is missing there, and which line of the spec may be why."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pymirror.commands.check import check
from pymirror.commands.check_report import Answer, CheckReport, FindingKind
from pymirror.commands.ports import Ports
from pymirror.console import Terminal, Verbosity
from pymirror.console.check import show_check
from pymirror.errors import ExitCode, LockedError, NoMirrorError
from pymirror.judge_uv import Verdict
from pymirror.lock import hold_lock
from pymirror.progress import NoProgress
from pymirror.spec.load import load_spec
from pymirror.storage.local import LocalStorage
from pymirror.workers import Stop
from tests.archives import make_wheel
from tests.conftest import Mirror
from tests.index import LocalIndex
from tests.made_index import MadeIndex

LINUX = "cpython 3.12 on x86_64-unknown-linux-gnu"
WINDOWS = "cpython 3.12 on x86_64-pc-windows-msvc"
BOTH = "environments: {python: ['3.12'], platform: [linux, windows]}"
ONE = "environments: {python: ['3.12'], platform: [linux]}"


class Bench:
    """A folder with a spec and a tree that was made up, and ``check`` run on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tree = folder / "mirror"
        self.index = MadeIndex()

    def write(self, body: str) -> None:
        self.spec.write_text(f"output: mirror\nupstreams: [{{name: u, url: 'http://127.0.0.1:9/simple/'}}]\n{body}\n")
        shutil.rmtree(self.tree, ignore_errors=True)
        self.index.write(self.tree)

    @property
    def spec(self) -> Path:
        return self.folder / "mirror.yaml"

    def check(self, body: str | None = None, *, with_uv: bool = True, with_install: bool = False) -> CheckReport:
        """The report on the tree of :attr:`index`, written anew where there is a new spec."""
        if body is not None:
            self.write(body)
        return run_check(self.spec, with_uv=with_uv, with_install=with_install)


def run_check(path: Path, *, with_uv: bool = True, with_install: bool = False) -> CheckReport:
    spec = load_spec(path, read=lambda file: file.read_bytes(), environ=os.environ)
    storage = LocalStorage(spec.output)
    now = datetime(2026, 11, 21, tzinfo=UTC)
    ports = Ports(storage=storage, environ=os.environ, progress=NoProgress(), stop=Stop(), now=now)
    return check(spec, ports, with_uv=with_uv, with_install=with_install)


def find(report: CheckReport, root: str, environment: str = LINUX) -> Answer:
    (answer,) = (each for each in report.answers if (each.root, each.environment) == (root, environment))
    return answer


def problem_of(answer: Answer) -> str:
    (finding,) = answer.findings
    assert finding.kind is FindingKind.MISSING
    return finding.problem


def dropped_by(answer: Answer) -> list[tuple[str, str, str]]:
    """Project, file and line, and reason of what the finding blames."""
    (finding,) = answer.findings
    return [(drop.project, Path(drop.rule).name, drop.reason) for drop in finding.dropped]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Every answer of a test is also asked of uv, so the two must agree wherever a test says nothing of it."""
    return Bench(tmp_path)


# ── what installs ───────────────────────────────────────────────────────────────────────────────────


def test_everything_installs_when_the_tree_has_all_that_is_needed(bench: Bench) -> None:
    bench.index.add("app", "1.0", "lib>=2", 'fast; extra == "quick"', extras=["quick"])
    for name, version in (("lib", "1.0"), ("lib", "2.0"), ("fast", "1.0")):
        bench.index.add(name, version)
    report = bench.check(f"{ONE}\nprojects: ['app[quick]', lib <2]")
    assert report.exit_code is ExitCode.OK
    app, lib = report.answers
    assert app.files == ("app-1.0-py3-none-any.whl", "fast-1.0-py3-none-any.whl", "lib-2.0-py3-none-any.whl")
    assert (app.root, app.version, lib.root, lib.version) == ("app[quick]", "1.0", "lib", "1.0")
    assert [answer.second.verdict for answer in report.answers if answer.second] == [Verdict.INSTALLS] * 2


def test_a_synced_tree_is_checked_when_its_private_folder_is_gone(mirror: Mirror, index: LocalIndex) -> None:
    index.add(make_wheel("app", "1.0", requires=["lib"]))
    index.add(make_wheel("lib", "1.0"))
    mirror.write_spec(index, f"{ONE}\nprojects: [app, lib]")
    mirror.sync()
    shutil.rmtree(mirror.tree / ".pymirror")
    before = mirror.published()
    assert run_check(mirror.spec).exit_code is ExitCode.OK
    assert mirror.published() == before


def test_the_answer_is_the_same_when_it_is_asked_again(bench: Bench) -> None:
    bench.index.add("app", "1.0", "lib", "gone")
    bench.index.add("lib", "1.0")
    assert bench.check(f"{BOTH}\nprojects: [lib, app]").as_json() == bench.check().as_json()


def test_this_machine_is_checked_when_the_spec_names_no_environments(bench: Bench) -> None:
    bench.index.add("app", "1.0")
    report = bench.check("projects: [app]")
    (answer,) = report.answers
    assert report.is_own_environment
    assert report.exit_code is ExitCode.OK
    assert answer.environment == report.environments[0]
    assert answer.environment.startswith("cpython 3." if "cpython" in answer.environment else "pypy 3.")
    assert not bench.check(f"{ONE}\nprojects: [app]").is_own_environment


def test_it_is_told_when_nothing_is_published(bench: Bench) -> None:
    bench.write(f"{ONE}\nprojects: [app]")
    shutil.rmtree(bench.tree)
    with pytest.raises(NoMirrorError):
        bench.check()
    assert not bench.tree.exists()


def test_it_does_not_read_a_tree_when_another_run_writes_it(bench: Bench) -> None:
    bench.index.add("app", "1.0")
    bench.write(f"{ONE}\nprojects: [app]")
    with hold_lock(LocalStorage(bench.tree), command="sync"), pytest.raises(LockedError):
        bench.check()


# ── what is missing ─────────────────────────────────────────────────────────────────────────────────


def test_the_chain_and_the_line_are_named_when_a_dependency_is_excluded(bench: Bench) -> None:
    bench.index.add("app", "1.0", "middle")
    bench.index.add("middle", "1.0", "bad>=2")
    report = bench.check(f"{ONE}\ndependencies: true\nprojects: [app]\nexclude:\n  - {{name: bad, reason: malware}}")
    app = find(report, "app")
    assert report.exit_code is ExitCode.DAMAGED
    assert problem_of(app) == "app 1.0 → middle 1.0 needs bad>=2: the tree has no page of it"
    assert dropped_by(app) == [("bad", "mirror.yaml:7", "exclude: bad: malware")]
    assert app.second is not None
    assert app.second.verdict is Verdict.REFUSES


def test_dependencies_are_named_when_they_are_not_followed(bench: Bench) -> None:
    bench.index.add("app", "1.0", "lib")
    for line, rule in (("", "mirror.yaml"), ("dependencies: false", "mirror.yaml:4")):
        app = find(bench.check(f"{ONE}\n{line}\nprojects: [app]"), "app")
        assert problem_of(app) == "app 1.0 needs lib: the tree has no page of it"
        ((project, where, reason),) = dropped_by(app)
        assert (project, where) == ("lib", rule)
        assert "nothing asks for lib" in reason


def test_the_entry_of_a_dependency_is_named_when_it_takes_other_releases(bench: Bench) -> None:
    bench.index.add("app", "1.0", "lib>=2")
    bench.index.add("lib", "1.0")
    app = find(bench.check(f"{ONE}\nprojects: [app, lib <2]"), "app")
    assert problem_of(app) == "app 1.0 needs lib>=2: there is only 1.0"
    assert dropped_by(app) == [("lib", "mirror.yaml:4", "lib <2: takes <2 only")]
    # Where dependencies are followed, that entry says nothing of what others need.
    assert dropped_by(find(bench.check(f"{ONE}\ndependencies: true\nprojects: [app, lib <2]"), "app")) == []


def test_the_package_types_are_named_when_they_leave_out_what_would_do(bench: Bench) -> None:
    bench.index.add("app", "1.0", tag="cp312-cp312-win_amd64")
    report = bench.check(f"{BOTH}\npackage-types: [bdist_wheel]\nprojects: [app]")
    assert find(report, "app", WINDOWS).is_fine
    app = find(report, "app")
    assert "app-1.0-cp312-cp312-win_amd64.whl: it is for another Python or platform" in problem_of(app)
    assert dropped_by(app) == [("app", "mirror.yaml:4", "package-types: no sdist is kept")]
    assert app.second is not None
    assert app.second.verdict is Verdict.REFUSES


def test_nothing_is_asked_for_when_a_marker_or_a_pattern_does_not_name_it_there(bench: Bench) -> None:
    bench.index.add("wins", "1.0", tag="py3-none-win_amd64")
    report = bench.check(f"{BOTH}\nprojects: [\"wins ; sys_platform == 'win32'\"]")
    assert [answer.environment for answer in report.answers] == [WINDOWS]
    report = bench.check(f"{BOTH}\nprojects: [wi*]")
    assert [(answer.root, answer.environment) for answer in report.answers] == [("wins", WINDOWS)]
    assert report.exit_code is ExitCode.OK
    assert bench.check(f"{BOTH}\nprojects: [wins]").exit_code is ExitCode.DAMAGED


def test_a_dependency_is_asked_for_only_when_its_marker_holds(bench: Bench) -> None:
    bench.index.add("app", "1.0", "colour; sys_platform == 'win32'")
    report = bench.check(f"{BOTH}\nprojects: [app]")
    assert find(report, "app").is_fine
    assert "needs colour" in problem_of(find(report, "app", WINDOWS))


def test_a_yanked_release_is_no_newest_one_when_the_entry_does_not_pin_it(bench: Bench) -> None:
    bench.index.add("app", "1.0")
    bench.index.add("app", "2.0", yanked=True)
    assert find(bench.check(f"{ONE}\nprojects: [app]"), "app").version == "1.0"
    assert find(bench.check(f"{ONE}\nprojects: [app ==2.0]"), "app").version == "2.0"
    assert "it is yanked" in problem_of(find(bench.check(f"{ONE}\nprojects: [app >=2]"), "app"))


def test_a_prerelease_is_checked_too_when_the_entry_keeps_them(bench: Bench) -> None:
    bench.index.add("app", "1.0")
    bench.index.add("app", "2.0b1", "gone")
    assert [answer.version for answer in bench.check(f"{ONE}\nprojects: [app]").answers] == ["1.0"]
    report = bench.check(f"{ONE}\nprereleases: true\nprojects: [app]")
    assert [(answer.version, answer.is_fine) for answer in report.answers] == [("2.0b1", False), ("1.0", True)]
    bench.index.files[0] = replace(bench.index.files[0], tag="py3-none-win_amd64")
    assert find(bench.check(f"{ONE}\nprojects: [app]"), "app").version == "2.0b1"  # nothing else is for Linux


def test_every_held_release_is_checked_when_dependencies_are_those_of_every_one(bench: Bench) -> None:
    bench.index.add("app", "1.0", "gone")
    bench.index.add("app", "2.0")
    assert bench.check(f"{ONE}\ndependencies: true\nprojects: [app]").exit_code is ExitCode.OK
    report = bench.check(f"{ONE}\ndependencies: every\nprojects: [app]")
    assert [(answer.root, answer.is_fine) for answer in report.answers] == [("app (2.0)", True), ("app (1.0)", False)]


def test_each_entry_is_a_root_when_two_are_of_one_project(bench: Bench) -> None:
    bench.index.add("app", "1.0")
    bench.index.add("app", "2.0", "gone")
    report = bench.check(f"{ONE}\nprojects: [app <2, app >=2]")
    assert [(answer.root, answer.version, answer.is_fine) for answer in report.answers] == [
        ("app <2", "1.0", True),
        ("app >=2", "2.0", False),
    ]


def test_only_the_files_of_an_entry_are_meant_when_it_names_some(bench: Bench) -> None:
    for version in ("1.0", "2.0"):
        bench.index.add("app", version)
    body = f"{ONE}\nprojects: [{{name: app, files: [app-1.*]}}]"
    assert [answer.version for answer in bench.check(body).answers] == ["1.0"]
    body = f"{ONE}\nprojects: [{{name: app, files: [app-3.*]}}]"
    app = find(bench.check(body, with_uv=False), "app")
    assert "app-2.0-py3-none-any.whl: it is not what the line keeps" in problem_of(app)
    assert dropped_by(app) == [("app", "mirror.yaml:4", "files: takes app-3.* only")]


def test_what_leads_to_something_missing_is_not_blamed_when_an_entry_limits_it(bench: Bench) -> None:
    bench.index.add("app", "1.0", "middle")
    bench.index.add("middle", "1.0", "gone")
    app = find(bench.check(f"{ONE}\nprojects: [app <2, middle <2]\nexclude: [gone]"), "app")
    assert {project for project, _, _ in dropped_by(app)} == {"gone"}


# ── groups ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_group_fails_when_its_requirements_install_only_each_by_itself(bench: Bench) -> None:
    bench.index.add("one", "1.0", "lib<2")
    bench.index.add("two", "1.0", "lib>=2", 'one; sys_platform == "win32"')
    for version in ("1.0", "2.0"):
        bench.index.add("lib", version)
    report = bench.check(f"{ONE}\nprojects: [one, two]\ngroups: {{both: [one, two], first: [one]}}")
    assert {answer.root: answer.is_fine for answer in report.answers} == {
        "one": True,
        "two": True,
        "group both": False,
        "group first": True,
    }
    assert "lib<2" in problem_of(find(report, "group both"))
    assert "lib>=2" in problem_of(find(report, "group both"))


# ── builds ──────────────────────────────────────────────────────────────────────────────────────────


def test_each_root_is_told_when_an_sdist_that_both_need_cannot_be_built(bench: Bench) -> None:
    bench.index.add("one", "1.0", "source")
    bench.index.add("two", "1.0", "source")
    bench.index.add("source", "1.0", "lib", sdist=True, build_requires=["maker>=3"])
    bench.index.add("lib", "1.0")
    report = bench.check(f"{ONE}\nprojects: [one, two]")
    for root in ("one", "two"):
        answer = find(report, root)
        assert answer.builds == ("source 1.0",)
        assert "source 1.0 is built with maker>=3: the tree has no page of it" in problem_of(answer)
        assert answer.second is not None
        assert answer.second.verdict is Verdict.REFUSES
    bench.index.add("maker", "3.0")
    assert bench.check(f"{ONE}\nprojects: [one, two]").exit_code is ExitCode.OK
    bench.index.files.pop()
    report = bench.check(f"{ONE}\nbuild-dependencies: false\nprojects: [one, two]")
    assert report.exit_code is ExitCode.OK


def test_a_build_is_followed_when_what_it_needs_must_be_built_too(bench: Bench) -> None:
    bench.index.add("app", "1.0", sdist=True, build_requires=["maker"])
    bench.index.add("maker", "1.0", sdist=True, build_requires=["tool"])
    app = find(bench.check(f"{ONE}\nprojects: [app]"), "app")
    assert "maker 1.0 is built with tool: the tree has no page of it" in problem_of(app)
    bench.index.add("tool", "1.0")
    app = find(bench.check(f"{ONE}\nprojects: [app]"), "app")
    assert (app.is_fine, app.builds) == (True, ("app 1.0", "maker 1.0"))


def test_it_is_said_when_only_a_build_would_tell_what_is_needed(bench: Bench) -> None:
    bench.index.add("app", "1.0", "lib", sdist=True, is_known=False)
    bench.index.add("lib", "1.0")
    app = find(bench.check(f"{ONE}\nprojects: [app]"), "app")
    assert (app.is_fine, app.unproven) == (True, ("app 1.0",))


# ── the report ──────────────────────────────────────────────────────────────────────────────────────


def _show(report: CheckReport, verbosity: Verbosity, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    with Terminal(verbosity) as terminal:
        show_check(terminal, report)
    return capsys.readouterr()


def test_the_table_tells_root_and_environment_when_it_is_shown(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.index.add("app", "1.5", "colour; sys_platform == 'win32'")
    bench.index.add("other", "1.0")
    out, err = _show(bench.check(f"{BOTH}\nprojects: [app, other]"), Verbosity.NORMAL, capsys)
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[0] == "3.12 on x86_64-unknown-linux-gnu 3.12 on x86_64-pc-windows-msvc"
    assert "app installs 1.5 MISSING" in lines
    assert "other installs 1.0 installs 1.0" in lines
    assert any(line.startswith("MISSING: app (") and "needs colour" in line for line in lines)
    assert f"in {WINDOWS}" in lines
    assert "2 roots in 2 environments: 3 of 4 install, judged by pymirror and by uv" in lines[-1]
    assert "pymirror why NAME" in err


def test_a_problem_is_told_once_when_it_is_the_same_everywhere(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.index.add("app", "1.0", "gone")
    out, _ = _show(bench.check(f"{BOTH}\nprojects: [app]"), Verbosity.NORMAL, capsys)
    assert out.count("needs gone") == 1
    assert "  in all 2 environments\n" in out


def test_only_what_is_wrong_is_listed_when_there_are_many_roots(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(45):
        bench.index.add(f"p{number}", "1.0", *(["gone"] if number == 7 else []))
    report = bench.check(f"{ONE}\nprojects: [p*]", with_uv=False)
    out, err = _show(report, Verbosity.NORMAL, capsys)
    assert "p7" in out
    assert "p8" not in out
    assert "44 more roots with nothing wrong" in out
    assert "judged by pymirror alone" in out
    assert "p8 " in _show(report, Verbosity.VERBOSE, capsys)[0]
    assert "uv" not in err  # it was not wanted


def test_nothing_is_said_when_all_is_well_and_quiet_is_asked_for(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.index.add("app", "1.0")
    assert _show(bench.check(f"{ONE}\nprojects: [app]"), Verbosity.QUIET, capsys) == ("", "")
    bench.index.add("app", "2.0", "gone")
    assert "needs gone" in _show(bench.check(f"{ONE}\nprojects: [app]"), Verbosity.QUIET, capsys)[0]


def test_the_json_holds_it_all_when_it_is_asked_for(bench: Bench) -> None:
    bench.index.add("app", "1.0", "gone")
    report = bench.check(f"{ONE}\nprojects: [app]").as_json()
    assert {key: report[key] for key in ("command", "exit-code", "findings", "environments")} == {
        "command": "check",
        "exit-code": 5,
        "findings": 1,
        "environments": [LINUX],
    }
    (answer,) = report["answers"]
    assert answer["findings"][0]["kind"] == "missing"
    assert answer["installs"] is False
    assert answer["second"]["verdict"] == "refuses"


def test_hostile_text_reaches_no_terminal_when_a_page_has_some(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.index.add("app", "1.0", "lib>=1", requires_python=">=3.99\x1b[31m")
    out, _ = _show(bench.check(f"{ONE}\nprojects: [app]", with_uv=False), Verbosity.NORMAL, capsys)
    assert "\x1b" not in out
