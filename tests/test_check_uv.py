"""The second judge: the real uv, which is told of environments and sdists, and of nothing else."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.utils import NormalizedName
from packaging.version import Version

from pymirror.commands.check_report import CheckReport, FindingKind
from pymirror.environment import make_environment
from pymirror.errors import InterruptedRunError
from pymirror.interpreters import describe_own, find_interpreters, make_own_environment
from pymirror.judge_uv import Told, UvJudge, UvQuestion, Verdict, find_uv, list_pythons, name_for_uv, open_uv
from pymirror.needs import Needs
from pymirror.offline import NOWHERE, refuse_network, run_bounded
from pymirror.platforms import find_platform
from pymirror.workers import Stop
from tests.archives import make_sdist
from tests.made_index import MadeIndex
from tests.servers import skip_or_fail
from tests.test_check import Bench, find

ONE = "environments: {python: ['3.12'], platform: [linux]}"
ENVIRONMENT = make_environment("3.12", "linux")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def program() -> str:
    found = find_uv(os.environ)
    if found is None:
        skip_or_fail("uv is not installed")
    return found


@pytest.fixture
def index() -> MadeIndex:
    return MadeIndex()


def open_judge(program: str, index: MadeIndex, folder: Path) -> Iterator[UvJudge]:
    index.write(folder / "tree")
    with open_uv(program, tree=folder / "tree", environ=os.environ, stop=Stop()) as uv:
        uv.use([describe_own()])
        yield uv


# ── where the judges differ, and where they seem to ─────────────────────────────────────────────────


def _kinds(report: CheckReport) -> list[FindingKind]:
    return [finding.kind for answer in report.answers for finding in answer.findings]


def test_it_is_a_finding_when_only_uv_says_that_it_installs(bench: Bench) -> None:
    bench.index.add("app", "1.0", "lib>=1.0.*")  # no specifier; uv mends it, pip passes the release over
    bench.index.add("lib", "1.0")
    report = bench.check(f"{ONE}\nprojects: [app]")
    assert _kinds(report) == [FindingKind.MISSING, FindingKind.DIFFERENCE]
    assert "uv says that app==1.0 installs" in find(report, "app").findings[1].problem
    assert int(report.exit_code) == 5


def test_it_is_a_finding_when_only_uv_refuses(bench: Bench) -> None:
    bench.index.add("app", "1.0", requires_python="whatever")  # no specifier: pip takes it for every Python
    report = bench.check(f"{ONE}\nprojects: [app]")
    assert _kinds(report) == [FindingKind.DIFFERENCE]
    (finding,) = find(report, "app").findings
    assert finding.problem.startswith("uv says that app==1.0 does not install: ")
    assert find(report, "app").installs
    assert int(report.exit_code) == 5


def test_the_later_releases_of_a_python_count_when_the_environment_names_none(bench: Bench) -> None:
    bench.index.add("app", "1.0", requires_python=">=3.12.4")
    report = bench.check(f"{ONE}\nprojects: [app]")
    (answer,) = report.answers
    assert answer.is_fine
    assert answer.second is not None
    assert answer.second.note == "in the later releases of Python 3.12, not in the first"
    exact = bench.check("environments: {python: ['3.12.1'], platform: [linux]}\nprojects: [app]")
    assert _kinds(exact) == [FindingKind.MISSING]


def test_uv_agrees_when_it_is_told_of_a_yanked_release_that_pip_takes_by_itself(bench: Bench) -> None:
    bench.index.add("app", "1.0", "lib==1.0")
    bench.index.add("lib", "1.0", yanked=True)
    (answer,) = bench.check(f"{ONE}\nprojects: [app]").answers
    assert answer.is_fine
    assert answer.second is not None
    assert answer.second.verdict is Verdict.INSTALLS
    assert "yanked" in answer.second.note


def test_both_agree_when_a_prerelease_is_all_there_is(bench: Bench) -> None:
    bench.index.add("app", "1.0", "lib>=1.0a1")
    bench.index.add("lib", "1.0a2")
    bench.index.add("lib", "0.9")
    (answer,) = bench.check(f"{ONE}\nprojects: [app]").answers
    assert answer.is_fine


# ── environments ────────────────────────────────────────────────────────────────────────────────────


def test_the_version_of_a_system_counts_when_uv_is_told_of_it(bench: Bench) -> None:
    bench.index.add("app", "1.0", "lib>=2")
    bench.index.add("lib", "1.0", tag="cp312-cp312-macosx_12_0_arm64")
    bench.index.add("lib", "2.0", tag="cp312-cp312-macosx_13_0_arm64")
    platforms = "[macosx_12_0_arm64, macosx_13_0_arm64]"
    report = bench.check(f"environments: {{python: ['3.12'], platform: {platforms}}}\nprojects: [app, lib]")
    answers = {(answer.root, answer.environment.rpartition(" ")[2]): answer for answer in report.answers}
    assert answers["lib", "macosx_12_0_arm64"].version == "1.0"
    assert answers["lib", "macosx_13_0_arm64"].version == "2.0"
    assert not answers["app", "macosx_12_0_arm64"].is_fine
    assert answers["app", "macosx_13_0_arm64"].is_fine
    seconds = [answer.second.verdict.value for _, answer in sorted(answers.items()) if answer.second]
    assert seconds == ["refuses", "installs", "installs", "installs"]


@pytest.mark.parametrize(
    ("python", "platform", "why"),
    [
        ("3.12", "manylinux_2_31_armv7l", "uv has no name for the platform manylinux_2_31_armv7l"),
        ("3.12", "musllinux_1_1_x86_64", "uv has no name for the platform musllinux_1_1_x86_64"),
        ("pypy3.10", "linux", "uv resolves for pypy 3.10 only with one at hand"),
        ("3.14t", "linux", "uv resolves for free-threaded CPython 3.14 only with one at hand"),
    ],
)
def test_it_is_said_when_uv_cannot_be_told_of_an_environment(
    bench: Bench, python: str, platform: str, why: str
) -> None:
    bench.index.add("app", "1.0")
    report = bench.check(f"environments: {{python: ['{python}'], platform: [{platform}]}}\nprojects: [app]")
    (answer,) = report.answers
    assert answer.second is not None
    if answer.second.verdict is Verdict.INSTALLS:
        pytest.skip("this machine has such a Python")
    assert answer.second.verdict is Verdict.NOT_JUDGED
    assert answer.second.detail.startswith(why)
    assert report.findings == 0


@pytest.mark.parametrize(
    "platform",
    [
        "linux",
        "macos",
        "windows",
        "win_arm64",
        "win32",
        "macosx_11_0_x86_64",
        "manylinux_2_17_aarch64",
        "x86_64-manylinux2014",
        "manylinux2014_x86_64",
        "x86_64-manylinux_2_36",
        "linux_aarch64",
        "musllinux_1_2_aarch64",
        "riscv64-unknown-linux",
        "android_24_arm64_v8a",
        "arm64-apple-ios",
        "ios_14_0_x86_64_iphonesimulator",
        "wasm32-pyodide2025",
        "s390x-manylinux_2_28",
    ],
)
def test_uv_takes_the_same_wheel_when_it_is_told_of_a_platform(
    program: str, index: MadeIndex, tmp_path: Path, platform: str
) -> None:
    environment = make_environment("3.13", platform)
    assert name_for_uv(environment.platform) is not None
    tags = find_platform(environment.platform).tags
    index.add("app", "1.0")
    best = next((tag for tag in tags if not tag.startswith("linux_")), tags[0])  # which an older system would not take
    index.add("app", "2.0", tag=f"py3-none-{best}")
    for uv in open_judge(program, index, tmp_path):
        answer = uv.ask(UvQuestion(requirements=("app",), environment=environment))
        assert answer.verdict is Verdict.INSTALLS, answer.detail
        assert answer.picks == ((NormalizedName("app"), Version("2.0")),)


# ── nothing is built ────────────────────────────────────────────────────────────────────────────────


def test_nothing_of_an_sdist_runs_when_it_is_judged(program: str, index: MadeIndex, tmp_path: Path) -> None:
    index.add("tool", "1.0")
    app, other = NormalizedName("app"), NormalizedName("other")
    told = [Told(project=app, version=Version("1.0"), needs=Needs(requires=("tool",)))]
    for uv in open_judge(program, index, tmp_path):
        for project in (app, other):
            for version in ("1.0", "2.0"):
                _add_file(tmp_path / "tree", project, make_sdist(project, version))  # each builds without anything

        def ask(*requirements: str, judge: UvJudge = uv) -> Verdict:
            return judge.ask(UvQuestion(requirements=requirements, environment=ENVIRONMENT)).verdict

        assert ask("app==1.0") is Verdict.REFUSES  # before it is told
        uv.tell(ENVIRONMENT, told, projects=[app, other, NormalizedName("tool")])
        assert ask("app==1.0", "tool") is Verdict.INSTALLS
        assert ask("app===2.0") is Verdict.REFUSES  # a release that it was not told of
        assert ask("other===1.0") is Verdict.REFUSES  # a project that it was not told of
        assert ask("tool") is Verdict.INSTALLS


def _add_file(tree: Path, project: str, distribution: tuple[str, bytes]) -> None:
    filename, data = distribution
    (tree / "files" / filename).write_bytes(data)
    page = tree / "simple" / project / "index.html"
    page.parent.mkdir(exist_ok=True)
    before = page.read_text() if page.exists() else "<!DOCTYPE html>"
    page.write_text(f'{before}<a href="../../files/{filename}">{filename}</a>')


def test_uv_keeps_its_opinion_of_wheels_when_it_cannot_read_what_it_is_told(
    program: str, index: MadeIndex, tmp_path: Path
) -> None:
    index.add("app", "1.0")
    told = [Told(project=NormalizedName("src"), version=Version("1.0"), needs=Needs(requires=("no requirement!",)))]
    for uv in open_judge(program, index, tmp_path):
        uv.tell(ENVIRONMENT, told, projects=[])
        question = UvQuestion(requirements=("app",), environment=ENVIRONMENT)
        assert uv.ask(question).verdict is Verdict.INSTALLS
        built = uv.ask(UvQuestion(requirements=("app",), environment=ENVIRONMENT, has_sdists=True))
        assert (built.verdict, "sdist" in built.detail) == (Verdict.NOT_JUDGED, True)


def test_quotes_and_control_characters_are_told_when_metadata_has_them(bench: Bench) -> None:
    marker = "lib; platform_version != 'a\" \x7f\x01'"
    bench.index.add("app", "1.0", marker, sdist=True, build_requires=[])
    bench.index.add("lib", "1.0")
    (answer,) = bench.check(f"{ONE}\nprojects: [app]").answers
    assert answer.files == ("app-1.0.tar.gz", "lib-1.0-py3-none-any.whl")
    assert answer.second is not None
    assert (answer.findings, answer.second.verdict) == ((), Verdict.INSTALLS), answer


# ── the process ─────────────────────────────────────────────────────────────────────────────────────


def test_the_settings_of_the_user_reach_nobody_when_a_program_is_run_offline(tmp_path: Path) -> None:
    mine = {
        "PATH": os.environ["PATH"],
        "HOME": "/home/me",
        "UV_DEFAULT_INDEX": "https://user:secret@index.example/",
        "PIP_INDEX_URL": "https://user:secret@index.example/",
        "PYTHONPATH": "/home/me/lib",
        "https_proxy": "http://proxy.example",
        "no_proxy": "*",
    }
    given = refuse_network(mine, tmp_path)
    assert "secret" not in str(given)
    assert "PYTHONPATH" not in given
    assert given["HOME"] == str(tmp_path)
    assert {given[name] for name in ("http_proxy", "HTTPS_PROXY", "all_proxy")} == {NOWHERE}
    assert given["no_proxy"] == given["NO_PROXY"] == ""


def test_the_users_own_index_is_not_asked_when_uv_judges(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.index.add("app", "1.0", "lib")
    other = MadeIndex()
    other.add("lib", "1.0")
    monkeypatch.setenv("UV_EXTRA_INDEX_URL", other.write(bench.folder / "other"))
    (bench.folder / "uv.toml").write_text(f'extra-index-url = ["{(bench.folder / "other/simple").as_uri()}"]')
    monkeypatch.chdir(bench.folder)
    (answer,) = bench.check(f"{ONE}\nprojects: [app]").answers
    assert answer.second is not None
    assert answer.second.verdict is Verdict.REFUSES


def test_a_program_is_killed_when_its_time_is_over(tmp_path: Path) -> None:
    sleep = [sys.executable, "-c", "import time; print('there', flush=True); time.sleep(600)"]
    done = run_bounded(sleep, environ=os.environ, folder=tmp_path, timeout_seconds=1, stop=Stop())
    assert (done.code, done.err) == (None, "not done after 1 seconds")


def test_a_program_is_killed_when_the_run_is_told_to_stop(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    code = f"import os, time; open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    stop = Stop()
    stop.set()
    with pytest.raises(InterruptedRunError):
        run_bounded([sys.executable, "-c", code], environ=os.environ, folder=tmp_path, timeout_seconds=20, stop=stop)
    if mark.exists():
        with pytest.raises(ProcessLookupError):
            os.kill(int(mark.read_text()), 0)


def test_a_program_gets_all_of_a_long_input_when_it_writes_much_itself(tmp_path: Path) -> None:
    code = "import sys; print('x' * 1_000_000); print(len(sys.stdin.read()))"
    text = "y" * 1_000_000
    done = run_bounded(
        [sys.executable, "-c", code], environ=os.environ, folder=tmp_path, timeout_seconds=60, stop=Stop(), text=text
    )
    assert done.out.splitlines()[-1] == "1000000"


def test_nothing_is_judged_when_the_program_is_no_uv(index: MadeIndex, tmp_path: Path) -> None:
    index.add("app", "1.0")
    for uv in open_judge(sys.executable, index, tmp_path):
        answer = uv.ask(UvQuestion(requirements=("app",), environment=ENVIRONMENT))
        assert answer.verdict is Verdict.NOT_JUDGED
    assert list_pythons(str(tmp_path / "nothing"), environ=os.environ, stop=Stop()) == []


# ── interpreters ────────────────────────────────────────────────────────────────────────────────────


def test_this_machine_is_an_environment_when_its_own_python_is_asked() -> None:
    environment, own = make_own_environment(), describe_own()
    assert own.speaks(environment)
    assert own.runs(environment)
    assert not own.runs(make_environment("2.7", own.platform))
    assert not own.runs(make_environment(own.version, "windows" if os.name != "nt" else "linux"))


def test_an_interpreter_is_found_when_it_is_on_the_path(tmp_path: Path) -> None:
    older = 'import sys; exec(sys.argv[1].replace("sys.version_info[:3]", "(3, 99, 1)"))'
    (tmp_path / "python3.99").write_text(f"#!/bin/sh\nexec {sys.executable} -c '{older}' \"$3\"\n")
    (tmp_path / "python3.98").write_text("#!/bin/sh\nexit 1\n")
    for name in ("python3.99", "python3.98"):
        (tmp_path / name).chmod(0o755)
    environ = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}relative"}
    wanted = [make_environment(python, "linux") for python in ("3.98", "3.99")]
    found = find_interpreters(wanted, environ=environ, stop=Stop())
    assert [each.version for each in found] == [describe_own().version, "3.99.1"]
    assert found[0].path == found[1].path == sys.executable  # by what it says of itself: the first was a shim
    assert len(find_interpreters(wanted[:1], environ=environ, stop=Stop())) == 1  # by its name, the other is none
    assert len(find_interpreters([make_own_environment()], environ=environ, stop=Stop())) == 1
