"""File names: project, version, package type and tags, of every type that an index may still hold."""

from __future__ import annotations

import pytest
from packaging.tags import Tag
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from pymirror.distribution import DISTRIBUTION_SUFFIXES, Distribution, parse_filename, parse_version
from pymirror.layout import MAX_FILENAME_BYTES
from pymirror.spec.model import PackageType

DEMO = canonicalize_name("demo")


def parse(filename: str, project: str = "demo") -> Distribution:
    distribution = parse_filename(filename, canonicalize_name(project))
    assert distribution is not None
    return distribution


def facts(filename: str, project: str) -> tuple[NormalizedName, str, PackageType]:
    distribution = parse(filename, project)
    return distribution.project, distribution.version_text, distribution.package_type


# ── wheels ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("filename", "project", "version"),
    [
        ("demo-1.0-py3-none-any.whl", "demo", "1.0"),
        ("MarkupSafe-3.0.2-cp312-cp312-win32.whl", "markupsafe", "3.0.2"),
        ("zope.interface-6.1-cp311-cp311-musllinux_1_1_x86_64.whl", "zope-interface", "6.1"),
        ("demo_tool-1.0-py3-none-any.whl", "demo-tool", "1.0"),
        ("Demo.Tool_X-1.0-py3-none-any.whl", "demo-tool-x", "1.0"),
        ("demo-1.0+cu118-cp310-cp310-linux_x86_64.whl", "demo", "1.0+cu118"),
        ("demo-1!2.0rc1.post2.dev3-py3-none-any.whl", "demo", "1!2.0rc1.post2.dev3"),
        ("2to3-1-py2-none-any.whl", "2to3", "1"),
    ],
)
def test_a_wheel_is_understood_when_its_name_follows_the_standard(filename: str, project: str, version: str) -> None:
    distribution = parse(filename, project)
    assert (distribution.project, distribution.version) == (project, Version(version))
    assert distribution.package_type is PackageType.BDIST_WHEEL
    assert distribution.build is None


@pytest.mark.parametrize(
    ("tags", "count"),
    [
        ("py3-none-any", 1),
        ("py2.py3-none-any", 2),
        ("cp37-cp37m-macosx_10_9_intel.macosx_10_9_x86_64.macosx_10_10_x86_64", 3),
        ("cp312.cp313-abi3.none-manylinux_2_17_x86_64.manylinux2014_x86_64", 8),
    ],
)
def test_tags_are_multiplied_when_they_are_compressed(tags: str, count: int) -> None:
    found = parse(f"demo-1.0-{tags}.whl").tags
    assert len(found) == count
    interpreter, abi, platform = (part.split(".")[-1] for part in tags.split("-"))
    assert Tag(interpreter, abi, platform) in found


@pytest.mark.parametrize(
    ("build", "value"), [("1", (1, "")), ("0abc", (0, "abc")), ("1000local.2", (1000, "local.2")), ("2py", (2, "py"))]
)
def test_the_build_of_a_wheel_sorts_by_number_when_it_has_one(build: str, value: tuple[int, str]) -> None:
    assert parse(f"demo-1.0-{build}-py3-none-any.whl").build == value


@pytest.mark.parametrize(
    "filename",
    [
        "demo.whl",
        "demo-1.0.whl",
        "demo-1.0-py3.whl",
        "demo-1.0-py3-none.whl",
        "demo-1.0-py3-none-any-x-y.whl",
        "demo-1.0-py3-none-any-x.whl",  # six parts, of which the third is no build
        "demo-1.0-cp312-cp312-win_amd64-x86_64_v3.whl",  # a variant (PEP 825, draft)
        "demo-1.0-x1-py3-none-any.whl",
        "demo-1.0--py3-none-any.whl",
        "demo-1.0--none-any.whl",
        "demo-1.0-py3-none-.whl",
        "demo-1.0-py3.-none-any.whl",
        "-1.0-py3-none-any.whl",
        "demo--py3-none-any.whl",
        "demo__x-1.0-py3-none-any.whl",
        "demo_-1.0-py3-none-any.whl",
        "_demo-1.0-py3-none-any.whl",
        "demo#x-1.0-py3-none-any.whl",
        "demo\n-1.0-py3-none-any.whl",
        "d\xe9mo-1.0-py3-none-any.whl",
        "demo-1.0-\uff11-py3-none-any.whl",
        "demo-1.0-py3-none-any.wheel",
        "demo-1.0-py3-none-any.whl.metadata",
        "demo-1.0-py3-none-any.whl.asc",
        "demo-1.0-py3-none-any.WHL",
    ],
)
def test_a_wheel_is_none_when_its_name_breaks_the_standard(filename: str) -> None:
    assert parse_filename(filename, DEMO) is None


# ── sdists ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("suffix", [".tar.gz", ".zip", ".tgz", ".tar.bz2", ".tbz", ".tar.xz", ".txz", ".tar.Z", ".tar"])
def test_an_sdist_is_understood_when_it_has_any_suffix_that_was_allowed(suffix: str) -> None:
    assert facts(f"demo-1.0{suffix}", "demo") == ("demo", "1.0", PackageType.SDIST)
    assert suffix in DISTRIBUTION_SUFFIXES


@pytest.mark.parametrize(
    ("filename", "project", "version"),
    [
        ("demo_tool-1.0.tar.gz", "demo-tool", "1.0"),
        ("demo-tool-1.0.tar.gz", "demo-tool", "1.0"),
        ("Demo.Tool-1.0.tar.gz", "demo-tool", "1.0"),
        ("python-dateutil-2.9.0.post0.tar.gz", "python-dateutil", "2.9.0.post0"),
        ("demo-1.0-1.tar.gz", "demo", "1.0-1"),
        ("foo-2-2.zip", "foo", "2-2"),
        ("foo-2-2.zip", "foo-2", "2"),
        ("foo--bar-1.0.zip", "foo-bar", "1.0"),
        ("3-1-1.0.zip", "3-1", "1.0"),
        ("demo-v1.0.tar.gz", "demo", "v1.0"),
        ("demo-1!1.0+local.7.tar.gz", "demo", "1!1.0+local.7"),
        ("demo-py3.5-1.0.tar.gz", "demo-py3-5", "1.0"),
        ("linux-1.0.tar.gz", "linux", "1.0"),
        ("win32-setctime-1.0.tar.gz", "win32-setctime", "1.0"),
        ("pyobjc_framework_darwin-1.0.tar.gz", "pyobjc-framework-darwin", "1.0"),
    ],
)
def test_an_sdist_is_split_where_the_project_ends_when_the_project_is_known(
    filename: str, project: str, version: str
) -> None:
    assert facts(filename, project) == (project, version, PackageType.SDIST)


@pytest.mark.parametrize(
    ("filename", "project", "package_type"),
    [
        ("jaraco.windows-5.8.0.tar.gz", "jaraco-windows", PackageType.SDIST),
        ("collective.window-1.0.zip", "collective-window", PackageType.SDIST),
        ("demo.linux_tools-1.0.tar.gz", "demo-linux-tools", PackageType.SDIST),
        ("demo.darwin-1.0.linux-x86_64.tar.gz", "demo-darwin", PackageType.BDIST_DUMB),
        ("jaraco.windows-3.0.win32.exe", "jaraco-windows", PackageType.BDIST_WININST),
        ("demo-py2.7-tools-1.0.win32-py2.7.exe", "demo-py2-7-tools", PackageType.BDIST_WININST),
        ("demo-py2.7-1.0-py2.7.egg", "demo-py2-7", PackageType.BDIST_EGG),
    ],
)
def test_a_name_is_split_where_the_project_ends_when_the_project_holds_the_word_of_a_platform(
    filename: str, project: str, package_type: PackageType
) -> None:
    assert facts(filename, project)[0::2] == (project, package_type)


@pytest.mark.parametrize(
    ("filename", "owner", "version"),
    [
        ("other-1.0.tar.gz", "other", "1.0"),
        ("demo-tool-1.0.tar.gz", "demo-tool", "1.0"),
        ("other_tool-1.0-py3-none-any.whl", "other-tool", "1.0"),
        ("other-tool-1.0.win32.exe", "other-tool", "1.0"),
    ],
)
def test_a_name_tells_its_own_project_when_it_stands_on_the_page_of_another(
    filename: str, owner: str, version: str
) -> None:
    distribution = parse(filename, "unrelated")
    assert (distribution.project, distribution.version_text) == (owner, version)


@pytest.mark.parametrize(
    "filename",
    [
        "",
        "demo",
        "demo.tar.gz",
        "demo-.tar.gz",
        "-1.0.tar.gz",
        ".tar.gz",
        "demo1.0.tar.gz",
        "demo_1.0.tar.gz",
        "demo-1.0",
        "demo-1.0.7z",
        "demo-1.0.tar.lzma",
        "demo-1.0.txt",
        "demo-1.0.tar.gz.asc",
        "demo-1.0.tar.gz.provenance",
        "demo-1.0.TAR.GZ",
        "other-x.tar.gz",
    ],
)
def test_a_name_is_none_when_no_sdist_is_called_so(filename: str) -> None:
    assert parse_filename(filename, DEMO) is None


@pytest.mark.parametrize(
    ("filename", "version_text"),
    [
        ("demo-1.x.tar.gz", "1.x"),
        ("demo-1,0.tar.gz", "1,0"),
        ("demo-latest.zip", "latest"),
        ("demo--1.0.tar.gz", "-1.0"),
        ("demo-1.0-py3-none-any.tar.gz", "1.0-py3-none-any"),
        ("demo-1.x-py3-none-any.whl", "1.x"),
        ("demo-\uff11.0.tar.gz", "\uff11.0"),
    ],
)
def test_the_version_is_none_when_its_text_is_no_pep_440_version(filename: str, version_text: str) -> None:
    distribution = parse(filename)
    assert (distribution.version_text, distribution.version) == (version_text, None)


# ── the older types ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("filename", "project", "version", "package_type"),
    [
        ("demo-1.0-py3.8.egg", "demo", "1.0", PackageType.BDIST_EGG),
        ("demo-1.0-py2.7-linux-x86_64.egg", "demo", "1.0", PackageType.BDIST_EGG),
        ("demo-1.0-py3.10-macosx-10.9-universal2.egg", "demo", "1.0", PackageType.BDIST_EGG),
        ("demo_tool-1.0rc2-py2.5-win32-2.5.egg", "demo-tool", "1.0rc2", PackageType.BDIST_EGG),
        ("demo-1.0.egg", "demo", "1.0", PackageType.BDIST_EGG),
        ("demo_py2.7-1.0-py2.7.egg", "demo-py2-7", "1.0", PackageType.BDIST_EGG),
        ("demo-1.0.win32.exe", "demo", "1.0", PackageType.BDIST_WININST),
        ("demo-tool-1.0.win-amd64-py2.7.exe", "demo-tool", "1.0", PackageType.BDIST_WININST),
        ("Demo-1.0.Win32-py2.7.exe", "demo", "1.0", PackageType.BDIST_WININST),
        ("demo-0.3.macosx-10.9-intel.exe", "demo", "0.3", PackageType.BDIST_WININST),
        ("demo-1.0.exe", "demo", "1.0", PackageType.BDIST_WININST),
        ("demo-1.3.win32-py2.4.msi", "demo", "1.3", PackageType.BDIST_MSI),
        ("demo-1.4.win-amd64.msi", "demo", "1.4", PackageType.BDIST_MSI),
        ("demo-0.13.1.win-amd64-py2.7-1.msi", "demo", "0.13.1", PackageType.BDIST_MSI),
        ("demo-3.0.0-1.noarch.rpm", "demo", "3.0.0", PackageType.BDIST_RPM),
        ("demo-tool-1.2-1.el5.src.rpm", "demo-tool", "1.2", PackageType.BDIST_RPM),
        ("demo-0.8.2.1-126.sles11.x86_64.rpm", "demo", "0.8.2.1", PackageType.BDIST_RPM),
        ("demo-py3-0.2-1.noarch.rpm", "demo-py3", "0.2", PackageType.BDIST_RPM),
        ("demo-1.0.linux-x86_64.tar.gz", "demo", "1.0", PackageType.BDIST_DUMB),
        ("demo-tool-0.3.macosx-10.9-intel.tar.gz", "demo-tool", "0.3", PackageType.BDIST_DUMB),
        ("demo-1.0.0.win-amd64.zip", "demo", "1.0.0", PackageType.BDIST_DUMB),
        ("demo.sep-0.2.0.dev1.linux-x86_64.tar.gz", "demo-sep", "0.2.0.dev1", PackageType.BDIST_DUMB),
        ("demo-1.0.macosx-10.9-x86_64.dmg", "demo", "1.0", PackageType.BDIST_DMG),
        ("demo-1.0.dmg", "demo", "1.0", PackageType.BDIST_DMG),
    ],
)
def test_an_older_type_is_understood_when_distutils_named_it(
    filename: str, project: str, version: str, package_type: PackageType
) -> None:
    assert facts(filename, project) == (project, version, package_type)
    assert parse(filename, project).version == Version(version)


@pytest.mark.parametrize("filename", ["demo-1.0.rpm", "demo.rpm", "demo.exe", "demo.msi", "demo.egg", "demo.dmg"])
def test_an_older_type_is_none_when_its_name_has_no_version(filename: str) -> None:
    assert parse_filename(filename, DEMO) is None


# ── hostile names ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "filename",
    [
        f"demo-{'9' * 300}.tar.gz",
        f"demo-1.{'0' * 300}-py3-none-any.whl",
        f"demo-{'1.' * 120}0.zip",
        "demo" + "-py2.7" * 60 + "!.egg",
    ],
)
def test_the_version_is_none_when_its_text_is_longer_than_any(filename: str) -> None:
    assert parse(filename).version is None


@pytest.mark.parametrize(
    "filename",
    [
        f"demo-1.0-{'9' * 5000}-py3-none-any.whl",
        f"demo-1.0-{'.'.join(['py3'] * 3000)}-none-any.whl",
        f"demo-1.0-py3-{'.'.join(f'a{n}' for n in range(40))}-{'.'.join(f'p{n}' for n in range(40))}.whl",
        "-" * 5000 + ".tar.gz",
        "demo" + ".linux" * 500 + "!.tar.gz",
        "x" * 300 + ".whl",
    ],
    ids=["build", "interpreters", "product", "dashes", "platforms", "long"],
)
def test_a_name_is_none_when_it_is_hostile(filename: str) -> None:
    assert parse_filename(filename, DEMO) is None


def test_a_name_is_none_when_a_short_one_stands_for_thousands_of_tags() -> None:
    tags = "-".join(".".join(f"{letter}{n}" for n in range(21)) for letter in "abc")
    filename = f"demo-1.0-{tags}.whl"
    assert len(filename) <= MAX_FILENAME_BYTES
    assert parse_filename(filename, DEMO) is None


def test_a_long_name_is_understood_when_it_is_long_for_its_project_alone() -> None:
    name = "d" * 300
    assert parse(f"{name}-1.0.tar.gz", name).project == name


@pytest.mark.parametrize(
    ("text", "version"), [("1.0", Version("1.0")), (" 1.0 ", Version("1.0")), ("", None), ("1.x", None)]
)
def test_parse_version_is_none_when_the_text_is_no_version(text: str, version: Version | None) -> None:
    assert parse_version(text) == version
