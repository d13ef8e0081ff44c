"""``check --install``: real environments that are thrown away, and what is remembered of them."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from packaging.utils import NormalizedName

from pymirror.commands.check_install import CHECKS, load_checks
from pymirror.commands.check_report import FindingKind
from pymirror.installing import Installer, Trial, find_modules
from pymirror.interpreters import describe_own, make_own_environment
from pymirror.workers import Stop
from tests.archives import make_sdist, make_wheel
from tests.conftest import Mirror
from tests.index import LocalIndex
from tests.test_check import Bench, find, run_check

OWN = make_own_environment().name


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def sync(mirror: Mirror, index: LocalIndex, body: str) -> None:
    mirror.write_spec(index, body)
    mirror.sync()


def test_what_installs_is_imported_and_recorded_when_this_machine_can_run_it(bench: Bench) -> None:
    bench.index.add("app", "1.0", "lib")
    bench.index.add("lib", "2.0")
    bench.index.add("broken", "1.0", "gone")
    report = bench.check("projects: [app, broken]", with_install=True)
    app = find(report, "app", OWN)
    assert app.findings == ()
    assert app.installed is not None
    assert app.installed.packages == ("app==1.0", "lib==2.0")
    assert app.installed.imported == ("app",)
    assert app.installed.interpreter == describe_own().name
    assert find(report, "broken", OWN).installed is None  # it is known not to install
    (record,) = load_checks((bench.tree / CHECKS).read_bytes())
    assert (record.root, record.environment, record.packages) == ("app", OWN, ("app==1.0", "lib==2.0"))
    assert record.checked == "2026-11-21T00:00:00.000000Z"
    assert stat.S_IMODE((bench.tree / CHECKS).stat().st_mode) & 0o022 == 0


def test_it_is_a_finding_when_an_import_lacks_a_module(mirror: Mirror, index: LocalIndex) -> None:
    files = {"lacking.py": b"import not_there_at_all\n", "failing.py": b"raise RuntimeError('no display')\n"}
    index.add(make_wheel("app", "1.0", files=files))
    sync(mirror, index, "projects: [app]")
    report = run_check(mirror.spec, with_install=True)
    (answer,) = report.answers
    (finding,) = answer.findings
    assert finding.kind is FindingKind.NOT_IMPORTED
    assert finding.problem.startswith("import lacking with ")
    assert "No module named 'not_there_at_all'" in finding.problem
    assert answer.notes == ("import failing: RuntimeError: no display",)
    assert answer.installs
    assert answer.installed is not None
    assert answer.installed.imported == ("app",)
    assert int(report.exit_code) == 5


def test_an_sdist_is_built_when_it_is_what_installs(mirror: Mirror, index: LocalIndex) -> None:
    index.add(make_sdist("app", "1.0"))
    sync(mirror, index, "projects: [app]")
    (answer,) = run_check(mirror.spec, with_install=True).answers
    assert answer.builds == ("app 1.0",)
    assert answer.installed is not None
    assert (answer.findings, answer.installed.packages) == ((), ("app==1.0",))


def test_it_is_a_finding_when_both_judges_are_wrong(bench: Bench) -> None:
    bench.index.add("app", "1.0", sdist=True, build_requires=[])  # its build backend is not there
    (answer,) = bench.check("projects: [app]", with_install=True).answers
    assert [finding.kind for finding in answer.findings] == [FindingKind.NOT_INSTALLED]
    assert "uv does not install it" in answer.findings[0].problem
    assert not answer.installs
    (record,) = load_checks((bench.tree / CHECKS).read_bytes())
    assert record.problem is not None


def test_it_is_said_when_this_machine_cannot_run_an_environment(bench: Bench) -> None:
    bench.index.add("app", "1.0")
    other = "windows" if os.name != "nt" else "linux"
    spec = f"environments: {{python: ['3.12'], platform: [{other}]}}\nprojects: [app]"
    report = bench.check(spec, with_install=True)
    (answer,) = report.answers
    assert answer.installed is None
    assert report.warnings == (f"nothing was installed for what this machine cannot run: {answer.environment}",)
    assert not (bench.tree / CHECKS).exists()


def test_what_another_machine_recorded_is_kept_when_the_spec_still_asks_for_it(bench: Bench) -> None:
    bench.index.add("app", "1.0")
    own, other = make_own_environment(), "windows" if os.name != "nt" else "linux"
    spec = f"environments: {{python: ['{own.python}'], platform: [{own.platform}, {other}]}}\nprojects: [app]"
    report = bench.check(spec, with_install=True)
    (mine,) = load_checks((bench.tree / CHECKS).read_bytes())
    elsewhere = next(name for name in report.environments if name != mine.environment)
    recorded = json.loads((bench.tree / CHECKS).read_text())
    recorded["checks"] = [
        {**recorded["checks"][0], "environment": elsewhere, "interpreter": "theirs"},
        {**recorded["checks"][0], "root": "gone", "interpreter": "theirs"},
        {**recorded["checks"][0], "packages": ["app==0.1"]},
    ]
    (bench.tree / CHECKS).write_text(json.dumps(recorded))
    bench.check(with_install=True)
    after = load_checks((bench.tree / CHECKS).read_bytes())
    assert {(each.root, each.environment, each.interpreter) for each in after} == {
        ("app", mine.environment, mine.interpreter),
        ("app", elsewhere, "theirs"),
    }
    assert mine in after
    assert load_checks(b"damaged") == load_checks(None) == ()


def test_a_lock_is_installed_as_it_is_when_it_is_one(mirror: Mirror, index: LocalIndex) -> None:
    index.add(make_wheel("app", "1.0"))
    index.add(make_wheel("lib", "1.0"))
    (mirror.folder / "requirements.lock").write_text("app==1.0\nlib==1.0\n")
    sync(mirror, index, "lockfiles: [requirements.lock]")
    (answer,) = run_check(mirror.spec, with_install=True).answers
    assert answer.installed is not None
    assert answer.installed.packages == ("app==1.0", "lib==1.0")
    assert answer.installed.imported == ("app", "lib")


def test_pip_installs_when_there_is_no_uv(bench: Bench) -> None:
    bench.index.add("app", "1.0", "lib")
    bench.index.add("lib", "2.0")
    bench.index.write(bench.tree)
    installer = Installer(tree=bench.tree, uv=None, environ=os.environ, stop=Stop())
    trial = Trial(requirements=("app===1.0",), interpreter=describe_own(), projects=(NormalizedName("app"),))
    result = installer.run(trial)
    assert (result.problem, result.imported) == (None, ("app",))
    assert {"app==1.0", "lib==2.0"} <= set(result.packages)
    assert not any(each.startswith("pip==") for each in result.packages)


@pytest.mark.parametrize(
    ("files", "modules"),
    [
        (["app/__init__.py", "app/inner/__init__.py", "app/inner/deep.py"], ("app",)),
        (["app.py", "_app.cpython-312-x86_64-linux-gnu.so", "app-1.0.dist-info/METADATA"], ("_app", "app")),
        (["space/one/__init__.py", "space/two/__init__.py", "space/two/x/__init__.py"], ("space.one", "space.two")),
        (
            ["app/__init__.py", "application/__init__.py", "tests/__init__.py", "docs/__init__.py"],
            ("app", "application"),
        ),
        (["../../bin/app", "app-1.0.data/scripts/x.py", "__pycache__/app.cpython-312.pyc"], ()),
        (["app.pyd", "app.abi3.so", "not a module.py"], ("app",)),
    ],
)
def test_the_modules_of_a_distribution_are_found_when_its_files_are_listed(
    files: list[str], modules: tuple[str, ...]
) -> None:
    assert find_modules(files) == modules


def test_the_modules_are_those_of_setuptools_when_no_files_are_listed() -> None:
    assert find_modules([], ["app", "tests", "a-b"]) == ("app",)
