"""What wheels and sdists need is read as the standards, setuptools and uv say; nothing that is written there is an
error.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.markers import Marker
from packaging.requirements import Requirement

from pymirror.metadata import MAX_METADATA_BYTES
from pymirror.needs import (
    MAX_PART_BYTES,
    MAX_REQUIREMENT_LENGTH,
    MAX_REQUIREMENTS,
    Needs,
    read_sdist_needs,
    read_wheel_needs,
)
from tests.archives import make_wheel
from tests.servers import skip_or_fail

STATIC = "Metadata-Version: 2.2\nName: demo\nVersion: 1.0\n"
OLD = "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"
PROJECT = '[project]\nname = "demo"\nversion = "1.0"\n'


def read(pkg_info: str, *, requires: str | None = None, pyproject: str | None = None, cfg: str | None = None) -> Needs:
    """What an sdist of these parts needs."""
    return read_sdist_needs(
        pkg_info.encode(),
        requires.encode() if requires is not None else None,
        pyproject.encode() if pyproject is not None else None,
        cfg.encode() if cfg is not None else None,
    )


def build_requires(pyproject: str | None, cfg: str | None = None) -> tuple[str, ...]:
    return read(STATIC, pyproject=pyproject, cfg=cfg).build_requires


# ── wheels ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_wheel_needs_what_its_metadata_say_when_read() -> None:
    metadata = (
        "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nRequires-Python: >=3.8,<4\n"
        "Provides-Extra: Socks_Proxy\nProvides-Extra: tls\nProvides-Extra: socks-proxy\nProvides-Extra: no extra\n"
        'Requires-Dist: six (>=1.0)\nRequires-Dist: pysocks ; extra == "socks_proxy"\n\nRequires-Dist: not-a-field\n'
    )
    assert read_wheel_needs(metadata.encode()) == Needs(
        requires=("six (>=1.0)", 'pysocks ; extra == "socks_proxy"'),
        extras=("socks-proxy", "tls"),
        requires_python=">=3.8,<4",
        source="METADATA",
    )


def test_a_wheel_needs_nothing_when_its_metadata_say_nothing() -> None:
    assert read_wheel_needs(b"Metadata-Version: 1.0\nName: demo\nVersion: 1.0\n") == Needs()
    assert read_wheel_needs(b"") == Needs()


def test_dynamic_means_nothing_when_it_stands_in_a_wheel() -> None:
    needs = read_wheel_needs((STATIC + "Dynamic: Requires-Dist\nRequires-Dist: six\n").encode())
    assert (needs.requires, needs.is_known) == (("six",), True)


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        (["Requires-Dist: six"] * MAX_REQUIREMENTS, MAX_REQUIREMENTS),
        (["Requires-Dist: six"] * (MAX_REQUIREMENTS + 1), MAX_REQUIREMENTS),
        (["Requires-Dist: six", "Requires-Dist: " + "x" * MAX_REQUIREMENT_LENGTH], 2),
        (["Requires-Dist: six", "Requires-Dist: " + "x" * (MAX_REQUIREMENT_LENGTH + 1)], 1),
        (["Requires-Dist: six", "Summary: " + "x" * MAX_METADATA_BYTES], 0),
    ],
)
def test_a_wheel_is_not_known_when_it_says_more_than_is_read(lines: list[str], kept: int) -> None:
    needs = read_wheel_needs(("\n".join([OLD.strip(), *lines]) + "\n").encode())
    assert (len(needs.requires), needs.is_known) == (kept, kept == len(lines))


# ── sdists: PKG-INFO ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("version", ["2.2", "2.3", "2.4", "2.5", "2.10"])
def test_pkg_info_counts_when_its_version_makes_it_binding(version: str) -> None:
    text = (
        STATIC.replace("2.2", version) + "Requires-Dist: six\nProvides-Extra: X\nRequires-Python: >=3\nDynamic: Summary"
    )
    needs = read(text, requires="other\n", pyproject=PROJECT + 'dependencies = ["another"]\n')
    assert needs == Needs(
        requires=("six",),
        extras=("x",),
        requires_python=">=3",
        source="PKG-INFO",
        build_requires=("setuptools", "wheel"),
    )


def test_an_sdist_needs_nothing_when_binding_pkg_info_say_nothing() -> None:
    needs = read(STATIC)
    assert (needs.requires, needs.source, needs.is_known) == ((), "PKG-INFO", True)


@pytest.mark.parametrize("version", ["1.0", "1.2", "2.0", "2.1", "3.0", "2", "two", ""])
def test_only_a_build_tells_when_pkg_info_is_not_binding_and_nothing_else_is_there(version: str) -> None:
    needs = read(STATIC.replace("2.2", version) + "Requires-Dist: six\n")
    assert (needs.requires, needs.source, needs.is_known) == (("six",), "PKG-INFO", False)


@pytest.mark.parametrize("field", ["Requires-Dist", "requires-dist", "Provides-Extra", "PROVIDES-EXTRA"])
def test_only_a_build_tells_when_the_fields_are_dynamic_and_nothing_else_is_there(field: str) -> None:
    needs = read(STATIC + f"Requires-Dist: six\nDynamic: License\nDynamic: {field}\n")
    assert (needs.requires, needs.is_known) == (("six",), False)


# ── sdists: pyproject.toml ──────────────────────────────────────────────────────────────────────────


def test_the_project_table_counts_when_pkg_info_is_not_binding() -> None:
    pyproject = f"""{PROJECT}
    requires-python = ">=3.9"
    dynamic = ["version", "readme"]
    dependencies = ["six >=1", 'idna; python_version < "3.12"']
    optional-dependencies.Socks_Proxy = ["PySocks>=1.5,!=1.5.7", 'win ; os_name == "nt" or os_name == "java"']
    optional-dependencies.all = ["demo[socks-proxy]", "direct @ https://127.0.0.1/direct-1.zip"]
    optional-dependencies.none = []
    """
    needs = read(OLD + "Requires-Dist: old\n", pyproject=pyproject, requires="older\n")
    assert needs == Needs(
        requires=(
            "six >=1",
            'idna; python_version < "3.12"',
            'PySocks!=1.5.7,>=1.5; extra == "socks-proxy"',
            'win; (os_name == "nt" or os_name == "java") and extra == "socks-proxy"',
            'demo[socks-proxy]; extra == "all"',
            'direct @ https://127.0.0.1/direct-1.zip ; extra == "all"',
        ),
        extras=("socks-proxy", "all", "none"),
        requires_python=">=3.9",
        source="pyproject.toml",
        build_requires=("setuptools", "wheel"),
    )
    assert all(Requirement(text).marker for text in needs.requires[1:])


def test_an_sdist_needs_nothing_when_its_project_table_says_nothing() -> None:
    needs = read(OLD, pyproject=PROJECT)
    assert (needs.requires, needs.source, needs.is_known) == ((), "pyproject.toml", True)


@pytest.mark.parametrize(
    "pyproject",
    [
        "",
        PROJECT + 'dynamic = ["dependencies"]\n',
        PROJECT + 'dynamic = ["version", "optional-dependencies"]\n',
        PROJECT + 'dynamic = "version"\n',
        PROJECT + 'dependencies = "six"\n',
        PROJECT + 'dependencies = ["six", 1]\n',
        PROJECT + 'dependencies = ["six >="]\n',
        PROJECT + "optional-dependencies = []\n",
        PROJECT + "optional-dependencies.x = 1\n",
        PROJECT + 'optional-dependencies.x = ["six >="]\n',
        PROJECT + 'optional-dependencies."no extra" = ["six"]\n',
        PROJECT + 'optional-dependencies."" = ["six"]\n',
        PROJECT + 'dependencies = ["' + "x" * (MAX_REQUIREMENT_LENGTH + 1) + '"]\n',
        PROJECT + "dependencies = [" + '"a",' * (MAX_REQUIREMENTS + 1) + "]\n",
        PROJECT + "optional-dependencies.x = [" + '"a",' * (MAX_REQUIREMENTS + 1) + "]\n",
        PROJECT + "[tool.poetry]\n",
        PROJECT.replace("demo", "other") + 'dependencies = ["six"]\n',
        PROJECT.replace("name", "title") + 'dependencies = ["six"]\n',
        "project = 1\n",
        "[[project]]\nname = 'demo'\n",
        PROJECT + "dependencies = [\n",
        PROJECT + "x = " + "[" * 100_000,
        PROJECT + "x = " + "{a=" * 100_000,
        PROJECT + "x = " + "1" * 5_000 + "\n",
        PROJECT + "a." * 50_000 + "a = 1\n",
        PROJECT + '"a" . ' * 50_000 + "a = 1\n",
        PROJECT + "#" * MAX_PART_BYTES,
    ],
)
def test_the_project_table_does_not_count_when_it_is_dynamic_or_not_valid(pyproject: str) -> None:
    needs = read(OLD + "Requires-Dist: old\n", pyproject=pyproject)
    assert (needs.requires, needs.source, needs.is_known) == (("old",), "PKG-INFO", False)
    assert read(OLD, pyproject=pyproject, requires="six\n").source == "requires.txt"


def test_the_project_table_counts_when_poetry_has_a_table_beside_it() -> None:
    needs = read(OLD, pyproject=PROJECT + 'dependencies = ["six"]\n[tool.poetry]\n')
    assert (needs.requires, needs.is_known) == (("six",), True)


def test_a_long_text_is_no_long_key_when_it_has_many_dots() -> None:
    text = ", ".join(f'"a>={n}.1.2.3"' for n in range(100))
    needs = read(OLD, pyproject=f"{PROJECT}dependencies = [{text}]\n")
    assert (len(needs.requires), needs.is_known) == (100, True)


# ── sdists: requires.txt ────────────────────────────────────────────────────────────────────────────

REQUIRES_TXT = """\
six<2,>=1.0
direct@ https://127.0.0.1/direct-1.0.zip

[:platform_system=='Windows']
colorama

[:python_version < "3.9" or sys_platform == "win32"]
requests[security,socks]>=2

[Docs_All]
sphinx

[all]
demo[docs,test]

[dev:python_version>='3.8' or os_name=='nt']
black

[empty]

[no extra]
nobody

[test]
# a remark
pytest>=3

[test:python_version < "3"]
mock; os_name == "nt" or os_name == "java"
direct @ https://127.0.0.1/other-1.0.zip

[]
last
"""


def test_requires_txt_counts_when_nothing_is_binding() -> None:
    assert read(OLD + "Requires-Python: >=3.7\nProvides-Extra: more\n", requires=REQUIRES_TXT) == Needs(
        requires=(
            "six<2,>=1.0",
            "direct@ https://127.0.0.1/direct-1.0.zip",
            'colorama; platform_system == "Windows"',
            'requests[security,socks]>=2; python_version < "3.9" or sys_platform == "win32"',
            'sphinx; extra == "docs-all"',
            'demo[docs,test]; extra == "all"',
            'black; (python_version >= "3.8" or os_name == "nt") and extra == "dev"',
            'pytest>=3; extra == "test"',
            'mock; (os_name == "nt" or os_name == "java") and python_version < "3" and extra == "test"',
            'direct @ https://127.0.0.1/other-1.0.zip ; python_version < "3" and extra == "test"',
            "last",
        ),
        extras=("docs-all", "all", "dev", "empty", "test", "more"),
        requires_python=">=3.7",
        source="requires.txt",
        build_requires=("setuptools", "wheel"),
    )


def test_requires_txt_counts_when_the_fields_are_dynamic() -> None:
    needs = read(STATIC + "Dynamic: requires-dist\nRequires-Dist: six\n", requires="six\n\n[x]\nidna\n")
    assert (needs.requires, needs.extras, needs.is_known) == (("six", 'idna; extra == "x"'), ("x",), True)


def test_an_sdist_needs_nothing_when_setuptools_wrote_nothing() -> None:
    needs = read(OLD, requires="")
    assert (needs.requires, needs.source, needs.is_known) == ((), "requires.txt", True)


@pytest.mark.parametrize(
    ("text", "requires"),
    [
        ("six\nfoo >= 1.0-bad\n", ("six", "foo >= 1.0-bad")),
        ("[x]\nfoo >=\n", ("foo >=",)),
        ("[:python_version is old]\nsix\n", ("six",)),
        ("[:" + "(" * 5000 + "]\nsix\n", ("six",)),
        (f"[:os_name == '{'x' * MAX_REQUIREMENT_LENGTH}']\nsix\n", ("six",)),
        ("six\n" + "x" * (MAX_REQUIREMENT_LENGTH + 1), ("six",)),
        ("six; " + "(" * 5000, ("six; " + "(" * 5000,)),
        ("six\n" * (MAX_REQUIREMENTS + 1), ("six",) * MAX_REQUIREMENTS),
    ],
)
def test_only_a_build_tells_when_requires_txt_cannot_be_read(text: str, requires: tuple[str, ...]) -> None:
    needs = read(OLD, requires=text)
    assert (needs.requires, needs.source, needs.is_known) == (requires, "requires.txt", False)


def test_only_a_build_tells_when_requires_txt_is_too_large() -> None:
    assert read(OLD, requires="#" * MAX_PART_BYTES + "\nsix\n").source == "PKG-INFO"
    # A long marker that is written out for each of many lines.
    text = f"[:os_name == '{'x' * (MAX_REQUIREMENT_LENGTH - 100)}']\n" + "six\n" * MAX_REQUIREMENTS
    needs = read(OLD, requires=text)
    assert not needs.is_known
    assert sum(len(each) for each in needs.requires) < MAX_METADATA_BYTES + 2 * MAX_REQUIREMENT_LENGTH


def test_pkg_info_is_latin_1_when_it_is_not_utf_8() -> None:
    needs = read_sdist_needs(OLD.encode() + b"Author: J\xf6rg\n", "# Jörg\nsix\n".encode("latin-1"), None)
    assert needs.requires == ("six",)


# ── sections and markers together ───────────────────────────────────────────────────────────────────

_ATOMS = ["os_name == 'nt'", "os_name == 'posix'", "sys_platform == 'linux'", "python_version >= '3'"]


@st.composite
def _markers(draw: st.DrawFn, depth: int = 2) -> str:
    if not depth or draw(st.booleans()):
        return draw(st.sampled_from(_ATOMS))
    one, other = draw(_markers(depth=depth - 1)), draw(_markers(depth=depth - 1))
    text = f"{one} {draw(st.sampled_from(['and', 'or']))} {other}"
    return f"({text})" if draw(st.booleans()) else text


@settings(deadline=None)
@given(
    own=st.none() | _markers(),
    section=st.none() | _markers(),
    extra=st.sampled_from(["", "x"]),
    system=st.fixed_dictionaries(
        {"os_name": st.sampled_from(["nt", "posix"]), "sys_platform": st.sampled_from(["linux", "win32"])}
    ),
    asked=st.sampled_from(["", "x", "y"]),
)
def test_a_requirement_holds_when_all_of_its_conditions_do(
    own: str | None, section: str | None, extra: str, system: dict[str, str], asked: str
) -> None:
    environment = {**system, "python_version": "3.12", "extra": asked}
    text = f"six; {own}" if own else "six"
    header = f"[{extra}{f':{section}' if section else ''}]\n" if section or extra else ""
    expected = all(Marker(each).evaluate(environment) for each in (own, section) if each) and extra in ("", asked)

    from_egg_info = Requirement(read(OLD, requires=f"{header}{text}\n").requires[0])
    assert (from_egg_info.marker is None or from_egg_info.marker.evaluate(environment)) == expected
    if not section:
        key = f"optional-dependencies.{extra}" if extra else "dependencies"
        from_project = Requirement(read(OLD, pyproject=f'{PROJECT}{key} = ["{text}"]\n').requires[0])
        assert (from_project.marker is None or from_project.marker.evaluate(environment)) == expected


# ── what builds it ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        (None, ("setuptools", "wheel")),
        ("", ("setuptools", "wheel")),
        ("[build-system]\n", ("setuptools", "wheel")),
        ("[build-system]\nrequires = 'hatchling'\n", ("setuptools", "wheel")),
        ("[build-system]\nrequires = [1]\nbuild-backend = 'hatchling.build'\n", ("setuptools", "wheel")),
        ("build-system = 1\n", ("setuptools", "wheel")),
        ("[build-system\n", ("setuptools", "wheel")),
        ("[build-system]\nrequires = []\n", ("wheel",)),
        ("[build-system]\nrequires = ['setuptools>=61']\n", ("setuptools>=61", "wheel")),
        ("[build-system]\nrequires = ['Wheel>=0.40', 'setuptools']\n", ("Wheel>=0.40", "setuptools")),
        (
            "[build-system]\nrequires = ['setuptools', 'wheel; os_name == \"nt\"']\n",
            ("setuptools", 'wheel; os_name == "nt"', "wheel"),
        ),
        (
            "[build-system]\nrequires = ['setuptools']\nbuild-backend = 'setuptools.build_meta'\n",
            ("setuptools", "wheel"),
        ),
        (
            "[build-system]\nrequires = ['setuptools']\nbuild-backend = 'setuptools.build_meta:__legacy__'\n",
            ("setuptools", "wheel"),
        ),
        ("[build-system]\nrequires = ['hatchling']\nbuild-backend = 'hatchling.build'\n", ("hatchling",)),
        ("[build-system]\nrequires = ['setuptoolsx']\nbuild-backend = 'setuptoolsx'\n", ("setuptoolsx",)),
        (
            "[build-system]\nrequires = ['setuptools', 'six']\nbuild-backend = 'own'\nbackend-path = ['.']\n",
            ("setuptools", "six", "wheel"),
        ),
        ("[build-system]\nrequires = ['flit_core']\nbuild-backend = 'own'\nbackend-path = ['.']\n", ("flit_core",)),
        (
            "[build-system]\nrequires = ['not a requirement', 'six']\nbuild-backend = 'x'\n",
            ("not a requirement", "six"),
        ),
    ],
)
def test_an_sdist_is_built_with_what_its_build_system_requires(system: str | None, expected: tuple[str, ...]) -> None:
    assert build_requires(system) == expected


@pytest.mark.parametrize(
    ("cfg", "expected"),
    [
        ("[options]\nsetup_requires =\n  pbr>=2\n  # a remark\n  wheel\n", ("setuptools", "wheel", "pbr>=2")),
        ("[options]\nsetup_requires = pbr; pytest-runner\n", ("setuptools", "wheel", "pbr", "pytest-runner")),
        ("[options]\nsetup_requires = not a requirement; %(pbr)s\n", ("setuptools", "wheel")),
        ("[options]\ninstall_requires = six\n", ("setuptools", "wheel")),
        ("[options]\nsetup_requires = pbr\n[options]\n", ("setuptools", "wheel", "pbr")),
        ("setup_requires = pbr\n", ("setuptools", "wheel")),
        ("[options]\nsetup_requires\n  pbr\n", ("setuptools", "wheel")),
        ("[options\n", ("setuptools", "wheel")),
        ("#" * MAX_PART_BYTES + "\n[options]\nsetup_requires = pbr\n", ("setuptools", "wheel")),
    ],
)
def test_setuptools_asks_for_what_setup_cfg_says_when_it_builds(cfg: str, expected: tuple[str, ...]) -> None:
    assert build_requires(None, cfg) == expected
    assert build_requires("[build-system]\nrequires = ['x']\nbuild-backend = 'x'\n", cfg) == ("x",)


# ── whatever is written ─────────────────────────────────────────────────────────────────────────────

_WORDS = st.sampled_from(
    [
        "Metadata-Version: 2.2\n",
        "Name: demo\n",
        "Requires-Dist: ",
        "Dynamic: Requires-Dist\n",
        "[project]\n",
        'name = "demo"\n',
        "dependencies = [",
        "optional-dependencies.x = [",
        "[build-system]\n",
        "requires = [",
        "[options]\n",
        "setup_requires =\n",
        "[x:os_name == 'nt']\n",
        '"six",',
        "]\n",
        "six>=1\n",
        ";",
        "(",
        "\x00",
        "\ud7ff",
        " ",
    ]
)
_BYTES = st.lists(_WORDS.map(str.encode) | st.binary(max_size=8), max_size=12).map(b"".join)


@settings(deadline=None, max_examples=300)
@given(one=_BYTES, other=st.none() | _BYTES, third=st.none() | _BYTES, fourth=st.none() | _BYTES)
def test_nothing_is_raised_when_any_bytes_are_read(
    one: bytes, other: bytes | None, third: bytes | None, fourth: bytes | None
) -> None:
    assert isinstance(read_wheel_needs(one), Needs)
    assert isinstance(read_sdist_needs(one, other, third, fourth), Needs)


# ── the real uv ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Case:
    """An sdist by its parts. ``is_static`` is whether uv reads it, instead of building it."""

    pkg_info: str
    pyproject: str | None = None
    requires_txt: str | None = None
    is_static: bool = True

    def write(self, folder: Path) -> None:
        parts = {
            "PKG-INFO": self.pkg_info,
            "setup.py": "",
            "pyproject.toml": self.pyproject,
            "demo.egg-info/PKG-INFO": self.pkg_info if self.requires_txt is not None else None,
            "demo.egg-info/requires.txt": self.requires_txt,
        }
        with tarfile.open(folder / "demo-1.0.tar.gz", "w:gz") as archive:
            for name, text in parts.items():
                if text is not None:
                    member = tarfile.TarInfo(f"demo-1.0/{name}")
                    member.size = len(text.encode())
                    archive.addfile(member, io.BytesIO(text.encode()))


CASES = {
    "static": Case(STATIC + "Requires-Dist: one\n"),
    "static and empty": Case(STATIC),
    "dynamic license": Case(STATIC + "Requires-Dist: one\nDynamic: License\n"),
    "dynamic": Case(STATIC + "Requires-Dist: one\nDynamic: Requires-Dist\n", is_static=False),
    "dynamic extras": Case(STATIC + "Requires-Dist: one\nDynamic: Provides-Extra\n", is_static=False),
    "old": Case(OLD + "Requires-Dist: one\n", is_static=False),
    "old, project": Case(OLD, PROJECT + 'dependencies = ["one", "two; python_version > \'3\'"]\n'),
    "old, empty project": Case(OLD, PROJECT),
    "old, extras": Case(OLD, PROJECT + "optional-dependencies.x = ['one']\noptional-dependencies.y = ['two']\n"),
    "old, dynamic project": Case(OLD, PROJECT + "dynamic = ['dependencies']\n", is_static=False),
    "old, dynamic extras": Case(OLD, PROJECT + "dynamic = ['optional-dependencies']\n", is_static=False),
    "old, Poetry": Case(OLD, PROJECT + "[tool.poetry]\n", is_static=False),
    "old, other project": Case(OLD, PROJECT.replace("demo", "other"), is_static=False),
    "old, invalid": Case(OLD, PROJECT + "dependencies = ['one >=']\n", is_static=False),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_an_sdist_is_read_as_uv_does_when_it_asks_for_an_extra(
    case: Case, tmp_path: Path, environ: Mapping[str, str]
) -> None:
    """What uv cannot read it would build, for which there is no setuptools here: so nothing is run."""
    for project in ("one", "two"):
        filename, data = make_wheel(project, "1.0")
        (tmp_path / filename).write_bytes(data)
    case.write(tmp_path)

    found = _resolve_with_uv(tmp_path, "demo[x]", environ)
    needs = read(case.pkg_info, pyproject=case.pyproject, requires=case.requires_txt)

    assert needs.is_known == case.is_static
    assert (found is not None) == case.is_static
    if found is not None:
        held = [text for text in map(Requirement, needs.requires) if not text.marker or text.marker.evaluate(X)]
        assert found == {"demo", *(requirement.name for requirement in held)}


X = {"python_version": "3.12", "extra": "x"}


def _resolve_with_uv(folder: Path, requirement: str, environ: Mapping[str, str]) -> set[str] | None:
    """The projects that uv finds are needed; ``None`` where it would have to build."""
    try:
        uv = import_module("uv").find_uv_bin()
    except (ImportError, FileNotFoundError):
        skip_or_fail("uv is not installed")
    command: Sequence[str] = [uv, "pip", "compile", "--no-config", "--no-cache", "--no-python-downloads", "--offline"]
    command = [*command, "--no-index", "--find-links", str(folder), "--python", sys.executable, "--python-version=3.12"]
    done = subprocess.run(
        [*command, "--quiet", "--no-header", "--no-annotate", "-"],
        input=requirement,
        env=dict(environ),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode != 0:
        assert "Because setuptools was not found" in done.stderr
        return None
    return {line.partition("==")[0].partition("[")[0] for line in done.stdout.split()}
