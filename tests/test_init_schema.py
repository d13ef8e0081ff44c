"""``pymirror schema`` and ``pymirror init``: what helps somebody to write a spec."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from pymirror.commands.init import Source, _name_platform, make_spec, write_spec
from pymirror.environment import make_environment
from pymirror.errors import SpecError, UsageError
from pymirror.lockfiles import read_lockfile
from pymirror.spec.json_schema import DESCRIPTIONS, make_json_schema
from pymirror.spec.load import load_spec
from pymirror.spec.model import Filters, Spec
from pymirror.spec.schema import Document
from tests.conftest import Mirror
from tests.test_spec import EVERY_KEY, EXAMPLES, STRUCTS, load

LOCKS = Path(__file__).parent / "lockfiles"
PASSWORD = "hunter2"
HASH = f"sha256:{'a' * 64}"

# ── schema ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    return Draft202012Validator(make_json_schema())


def mistakes_of(validator: Draft202012Validator, text: str) -> list[str]:
    """The key of each mistake that an editor would mark in ``text``."""
    return [error.json_path for error in validator.iter_errors(yaml.safe_load(text))]


def test_schema_is_printed_when_asked_for(mirror: Mirror) -> None:
    done = mirror.run("schema")
    assert done.json == make_json_schema()
    assert done.err == ""
    assert done.json["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_schema_is_a_json_schema_when_it_is_checked() -> None:
    Draft202012Validator.check_schema(make_json_schema())


@pytest.mark.parametrize(
    "text",
    [EVERY_KEY, *(path.read_text(encoding="utf-8") for path in sorted(EXAMPLES.glob("*.yaml")))],
    ids=["every-key", *(path.name for path in sorted(EXAMPLES.glob("*.yaml")))],
)
def test_schema_has_no_objection_when_a_spec_is_good(validator: Draft202012Validator, text: str) -> None:
    assert mistakes_of(validator, text) == []


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("project: [a]", "$"),
        ("package_types: [sdist]", "$"),
        ("output: 1", "$.output"),
        ("output: [a]", "$.output"),
        ("include: a.yaml", "$.include"),
        ("projects: [1]", "$.projects[0]"),
        ("projects: [{version: '>=1'}]", "$.projects[0]"),
        ("projects: [{name: a, specifier: '>=1'}]", "$.projects[0]"),
        ("projects: [{name: a, keep-latest: 0}]", "$.projects[0]"),
        ("files: [{project: a}]", "$.files[0]"),
        ("exclude: [{names: a}]", "$.exclude[0]"),
        ("upstreams: [{name: a}]", "$.upstreams[0]"),
        ("upstreams: [{url: a, projects: a}]", "$.upstreams[0].projects"),
        ("environments: linux", "$.environments"),
        ("environments: {python: ['3.12']}", "$.environments"),
        ("environments: {python: [3.10], platform: [linux]}", "$.environments"),
        ("environments: [{python: '3.12', platform: linux, version: 1}]", "$.environments"),
        ("sdists: none", "$.sdists"),
        ("prereleases: 'yes'", "$.prereleases"),
        ("yanked: maybe", "$.yanked"),
        ("keep-latest: 0", "$['keep-latest']"),
        ("keep-latest: some", "$['keep-latest']"),
        ("keep-latest: {per: patch, count: 1}", "$['keep-latest']"),
        ("exclude-newer: 1.5", "$['exclude-newer']"),
        ("max-total-size: [1]", "$['max-total-size']"),
        ("dependencies: all", "$.dependencies"),
        ("dependencies: 'true'", "$.dependencies"),
        ("dependencies: 1", "$.dependencies"),
        ("build-dependencies: newest", "$['build-dependencies']"),
        ("projects: [{name: a, dependencies: some}]", "$.projects[0]"),
        ("groups: [a]", "$.groups"),
        ("groups: {web: a}", "$.groups.web"),
        ("groups: {web: [{name: a}]}", "$.groups.web[0]"),
        ("on-upstream-removal: delete", "$['on-upstream-removal']"),
        ("require-hashes: 1", "$['require-hashes']"),
        ("network: {connections: 0}", "$.network.connections"),
        ("network: {retry: 1}", "$.network"),
    ],
)
def test_schema_objects_to_what_is_refused_when_a_spec_has_a_mistake(
    validator: Draft202012Validator, line: str, path: str
) -> None:
    key = line.partition(":")[0]
    good = {"output": "output: tree", "projects": "projects: [demo]"}
    good.pop(key, None)
    text = "\n".join([*good.values(), line])
    assert mistakes_of(validator, text)[:1] == [path]
    with pytest.raises(SpecError):
        load(text)


KEYS = [field.encode_name for field in msgspec.structs.fields(Document)]


@pytest.mark.parametrize("key", KEYS)
def test_schema_objects_to_a_key_when_nothing_is_given_for_it(validator: Draft202012Validator, key: str) -> None:
    """``lockfiles:`` with all its entries taken out, say."""
    text = f"{key}:\n"
    with pytest.raises(SpecError, match="got nothing"):
        load(text)
    assert mistakes_of(validator, text) == [f"$.{key}" if "-" not in key else f"$['{key}']"]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("prereleases: ${V}", "true"),
        ("require-hashes: ${V}", "false"),
        ("dependencies: ${V}", "false"),
        ("build-dependencies: ${V}", "false"),
        ("keep-latest: ${V}", "3"),
        ("keep-latest: {per: minor, count: '${V}'}", "3"),
        ("network: {retries: '${V}', connections: '${V}'}", "3"),
        ("network: {timeout: '${V}', max-page-size: '${V}'}", "3"),
        ("exclude-newer: ${V} days", "3"),
        ("max-total-size: ${V}", "3 GB"),
        ("package-types: ['${V}']", "sdist"),
        ("output: ${V}", "tree"),
        ("yanked: ${V}", "include"),
        ("sdists: ${V}", "all"),
        ("on-upstream-removal: ${V}", "keep"),
        ("keep-latest: {per: '${V}', count: 1}", "minor"),
        ("environments: ${V}", "all"),
    ],
)
def test_schema_has_no_objection_to_a_variable_when_the_spec_takes_it(
    validator: Draft202012Validator, line: str, value: str
) -> None:
    text = "projects: [demo]\n" + ("" if "output" in line else "output: tree\n") + line
    assert load(text, environ={"V": value})
    assert mistakes_of(validator, text) == []


@pytest.mark.parametrize("line", ["prereleases: $V", "keep-latest: ${3}", "network: {retries: '{V}'}"])
def test_schema_objects_to_a_text_when_it_is_no_variable(validator: Draft202012Validator, line: str) -> None:
    assert len(mistakes_of(validator, line)) == 1


def test_every_struct_is_described_when_the_schema_has_it() -> None:
    assert set(DESCRIPTIONS) == set(STRUCTS)
    assert {struct.__name__ for struct in STRUCTS} == set(make_json_schema()["$defs"])


@pytest.mark.parametrize("struct", STRUCTS)
def test_every_key_is_described_when_the_schema_has_it(struct: type[msgspec.Struct]) -> None:
    keys = [field.encode_name for field in msgspec.structs.fields(struct)]
    assert sorted(DESCRIPTIONS[struct]) == sorted(keys)
    definition = make_json_schema()["$defs"][struct.__name__]
    assert definition["additionalProperties"] is False
    for key in keys:
        text = definition["properties"][key]["description"]
        assert text == DESCRIPTIONS[struct][key]
        assert text.endswith(".")
        assert "`" not in text  # an editor shows it as it is


# ── init: the command ───────────────────────────────────────────────────────────────────────────────


def load_file(path: Path, environ: Mapping[str, str] | None = None) -> Spec:
    return load_spec(path, read=Path.read_bytes, environ=environ or {})


def test_init_writes_a_spec_to_start_from_when_there_is_nothing(mirror: Mirror) -> None:
    done = mirror.run("init")
    assert "mirror.yaml is written; next: pymirror plan mirror.yaml" in done.err
    assert done.out == ""
    spec = load_file(mirror.spec)
    assert spec.output == mirror.folder / "mirror"
    assert [(rule.pattern, str(rule.specifier)) for rule in spec.rules] == [("requests", "<3,>=2.32")]
    assert [key for key, _ in spec.filters.origins] == ["package-types"]
    assert [path.name for path in mirror.folder.iterdir()] == ["mirror.yaml"]


def test_init_overwrites_nothing_when_the_spec_is_there(mirror: Mirror) -> None:
    mirror.spec.write_text("# mine\n", encoding="utf-8")
    done = mirror.run("init", code=2)
    assert "mirror.yaml is there already" in done.err
    assert "--output" in done.err
    assert mirror.spec.read_text(encoding="utf-8") == "# mine\n"


@pytest.mark.parametrize("source", ["gone.txt", "."])
def test_init_is_refused_when_a_source_cannot_be_read(mirror: Mirror, source: str) -> None:
    (mirror.folder / "good.txt").write_text("demo>=1\n", encoding="utf-8")
    done = mirror.run("init", "good.txt", source, code=2)
    assert f"{source} cannot be read: " in done.err
    assert not mirror.spec.exists()


def test_init_is_refused_by_its_line_when_a_source_is_broken(mirror: Mirror) -> None:
    (mirror.folder / "bad.txt").write_text("demo==1\n>>>what\n", encoding="utf-8")
    done = mirror.run("init", "bad.txt", code=2)
    assert "bad.txt:2: not a line of a requirements file" in done.err
    assert not mirror.spec.exists()


def test_init_names_a_source_from_the_folder_of_the_spec_when_they_lie_apart(mirror: Mirror) -> None:
    (mirror.folder / "conf").mkdir()
    (mirror.folder / "my app").mkdir()
    (mirror.folder / "my app" / "requirements.lock").write_text("demo==1.0\n-r more.txt\n", encoding="utf-8")
    (mirror.folder / "my app" / "more.txt").write_text("other==2.0\n", encoding="utf-8")
    done = mirror.run("init", "my app/requirements.lock", "-o", "conf/team.yaml")
    assert "next: pymirror plan conf/team.yaml" in done.err
    spec = load_file(mirror.folder / "conf" / "team.yaml")
    assert yaml.safe_load(spec.path.read_bytes())["lockfiles"] == ["../my app/requirements.lock"]
    assert [(pin.project, str(pin.origin)) for pin in spec.pins] == [
        ("demo", "../my app/requirements.lock:1"),
        ("other", "../my app/more.txt:1"),
    ]


def test_init_is_refused_when_the_folder_of_the_spec_is_not_there(mirror: Mirror) -> None:
    done = mirror.run("init", "-o", "no/such/mirror.yaml", code=2)
    assert "no/such/mirror.yaml cannot be written: No such file or directory" in done.err
    assert "published" not in done.err


# ── init: what is written ───────────────────────────────────────────────────────────────────────────


def write(folder: Path, files: Mapping[str, str], *, environ: Mapping[str, str] | None = None) -> tuple[Spec, str]:
    """The spec made of all ``files``, and its text."""
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    path = folder / "mirror.yaml"
    write_spec([folder / name for name in files], path, read=Path.read_bytes)
    return load_file(path, environ), path.read_text(encoding="utf-8")


def make(*sources: tuple[str, str | bytes]) -> str:
    """The text of a spec made of ``sources``, none of which names a further file."""

    def refuse(name: str) -> bytes:
        raise FileNotFoundError(2, "No such file or directory", name)

    made = [Source(name=name, data=data.encode() if isinstance(data, str) else data) for name, data in sources]
    return make_spec(made, read=refuse, python="3.12", platform="linux")


def test_requirements_become_projects_when_they_are_not_pinned(tmp_path: Path) -> None:
    text = (
        "# web\nrequests[socks,use_chardet] >= 2.32, <3\nflask\nFlask\n"
        "numpy==2.* ; python_version < '3.13'\npinned==1.0\n"
    )
    spec, written = write(tmp_path, {"requirements.in": text})
    assert [(rule.pattern, str(rule.specifier), sorted(rule.extras), rule.marker) for rule in spec.rules] == [
        ("requests", "<3,>=2.32", ["socks", "use-chardet"], None),
        ("flask", "", [], None),
        ("numpy", "==2.*", [], 'python_version < "3.13"'),
        ("pinned", "==1.0", [], None),
    ]
    assert spec.pins == ()
    assert not re.search(r"^lockfiles:", written, re.MULTILINE)


def test_a_requirement_is_written_once_when_two_files_have_it(tmp_path: Path) -> None:
    spec, _ = write(tmp_path, {"a.in": "demo>=1\n", "b.in": "demo>=1\nother\n"})
    assert [rule.pattern for rule in spec.rules] == ["demo", "other"]


def test_requirements_stay_in_their_file_when_they_are_pinned(tmp_path: Path) -> None:
    spec, written = write(tmp_path, {"requirements.txt": f"demo==1.0 --hash={HASH}\nother==2.0\n"})
    assert [(pin.project, str(pin.specifier), len(pin.hashes)) for pin in spec.pins] == [
        ("demo", "==1.0", 1),
        ("other", "==2.0", 0),
    ]
    assert spec.rules == ()
    assert "lockfiles:\n  - requirements.txt\n" in written
    assert "demo" not in written


def test_each_file_is_taken_as_it_is_when_several_are_given(tmp_path: Path) -> None:
    files = {
        "a.lock": "demo==1.0\n",
        "loose.in": "flask>=3\n-e ./app\n",
        "uv.lock": 'version = 1\n[[package]]\nname = "click"\nversion = "8.1.7"\n'
        'source = { registry = "https://x.example.com/simple" }\n',
    }
    spec, written = write(tmp_path, files)
    assert spec.projects() == ("click", "demo", "flask")
    assert "lockfiles:\n  - a.lock\n  - uv.lock\n" in written
    assert spec.unservable == ()  # the editable project is of a file that the spec does not name


@pytest.mark.parametrize(
    "path",
    sorted(path for path in LOCKS.rglob("*") if path.suffix in (".txt", ".lock", ".toml")),
    ids=lambda path: f"{path.parent.name}-{path.name}",
)
def test_a_real_lock_keeps_its_pins_when_a_spec_is_made_of_it(path: Path, tmp_path: Path) -> None:
    spec_path = tmp_path / "mirror.yaml"
    write_spec([path], spec_path, read=Path.read_bytes)
    spec = load_file(spec_path)
    lock = read_lockfile(path.read_bytes(), file=path.name, read=lambda name: (path.parent / name).read_bytes())
    assert lock.pins
    assert [(pin.project, pin.specifier, pin.hashes, pin.files) for pin in spec.pins] == [
        (pin.project, pin.specifier, pin.hashes, pin.files) for pin in lock.pins
    ]
    assert len(spec.unservable) == len(lock.unservable)


def uncommented(text: str) -> str:
    """``text`` with each key that is commented out switched on."""
    return re.sub(r"^# (?=[a-z-]+:| +- | +[a-z]+:)", "", text, flags=re.MULTILINE)


UNSERVABLE = (
    "-e git+https://x.example.com/acme.git#egg=Acme_Tool\nweb @ https://x.example.com/web-1.0.zip\n./here\ndemo==1\n"
)


def test_unservable_entries_are_ignored_when_their_lines_are_switched_on(tmp_path: Path) -> None:
    spec, written = write(tmp_path, {"a.lock": UNSERVABLE})
    assert len(spec.unservable) == 3
    assert '# ignore:\n#   - acme-tool\n#   - web\n#   - "./here"\n' in written
    spec.path.write_text(uncommented(written), encoding="utf-8")
    assert load_file(spec.path, {"INDEX_USER": "u", "INDEX_PASSWORD": "p"}).unservable == ()


def test_a_credential_is_not_copied_when_an_unservable_entry_holds_one() -> None:
    text = make(("a.lock", f"git+https://robot:{PASSWORD}@x.example.com/demo\ndemo==1\n"))
    assert "# ignore:" in text
    assert PASSWORD not in text
    assert "robot" not in text


def test_every_example_is_good_when_it_is_switched_on(tmp_path: Path) -> None:
    path = tmp_path / "mirror.yaml"
    write_spec([], path, read=Path.read_bytes)
    text = uncommented(path.read_text(encoding="utf-8"))
    path.write_text(text, encoding="utf-8")
    spec = load_file(path, {"INDEX_USER": "robot", "INDEX_PASSWORD": PASSWORD})
    assert [upstream.credentials for upstream in spec.upstreams] == [("robot", PASSWORD)]
    assert len(spec.filters.environments or ()) == 1
    assert [rule.pattern for rule in spec.excludes] == ["urllib3", "*-nightly"]
    assert [group.name for group in spec.groups] == ["web"]
    filters = {"environments", "package-types", "sdists", "keep-latest", "exclude-newer", "max-file-size"}
    assert {key for key, _ in spec.filters.origins} == filters | {"dependencies", "build-dependencies"}
    assert spec.max_total_size
    assert spec.filters != Filters()
    assert Draft202012Validator(make_json_schema()).is_valid(yaml.safe_load(text))


@pytest.mark.parametrize(
    ("platform", "expected"),
    [
        ("linux-x86_64", "x86_64-manylinux_2_28"),
        ("linux-aarch64", "aarch64-manylinux_2_28"),
        ("linux-riscv64", "riscv64-manylinux_2_28"),
        ("win-amd64", "x86_64-pc-windows-msvc"),
        ("win-arm64", "aarch64-pc-windows-msvc"),
        ("win32", "x86_64-pc-windows-msvc"),
        ("macosx-14.0-arm64", "aarch64-apple-darwin"),
        ("macosx-10.9-universal2", "aarch64-apple-darwin"),
        ("macosx-10.9-x86_64", "x86_64-apple-darwin"),
        ("freebsd-14.1-RELEASE-amd64", "x86_64-manylinux_2_28"),
        ("cygwin-3.4", "x86_64-manylinux_2_28"),
    ],
)
def test_this_machine_is_a_known_platform_when_it_is_the_example(platform: str, expected: str) -> None:
    assert _name_platform(platform) == expected
    assert make_environment("3.12", expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("demo>=1\n>>>what\n", "a.txt:2: not a line of a requirements file"),
        ("demo>=1\n--bogus\n", "a.txt:2: "),
        ("demo>=1\n-r gone.txt\n", "a.txt:2: "),
        ("demo==1\n-r gone.txt\n", "a.txt:2: "),
        (b"demo>=1\n\xff\n", "a.txt: not UTF-8 text (byte 8)"),
    ],
)
def test_a_source_is_refused_when_a_part_of_it_would_be_lost(text: str | bytes, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        make(("good.txt", "x==1\n"), ("a.txt", text))
    assert [str(problem).startswith(message) for problem in caught.value.problems] == [True]


def test_no_spec_is_left_when_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        write_spec([tmp_path / "a\0b"], tmp_path / "mirror.yaml", read=Path.read_bytes)
    assert list(tmp_path.glob("mirror*")) == []


# ── init: what would be lost, or could not be used ─────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "places"),
    [
        (f"demo==1.0 --hash={HASH}\nother>=1\n", "a.txt:2: "),
        (f"other\ndemo==1.0 --hash={HASH}\nthird<2\n", "a.txt:1, a.txt:3: "),
        (f"demo>=1.0 --hash={HASH}\n", "a.txt:1: "),
        (f"demo==1.0 --hash={HASH}\n" + "other\n" * 9, "a.txt:2, a.txt:3, a.txt:4, a.txt:5, a.txt:6 and 4 more: "),
    ],
)
def test_a_source_is_refused_by_its_lines_when_hashes_would_be_lost(text: str, places: str) -> None:
    with pytest.raises(UsageError) as caught:
        make(("a.txt", text))
    assert str(caught.value) == f"{places}not pinned with ==, where other lines have hashes"
    assert caught.value.hint


def test_a_requirement_is_written_once_when_its_lines_hold_together(tmp_path: Path) -> None:
    (tmp_path / "base.txt").write_text("demo>=2\n", encoding="utf-8")
    spec, _ = write(tmp_path, {"a.in": "-r base.txt\ndemo[x]<3\nsix>=1\n", "b.in": "SIX>=1\ndemo>=4\n"})
    assert [(rule.pattern, str(rule.specifier), set(rule.extras)) for rule in spec.rules] == [
        ("demo", "<3,>=2", {"x"}),
        ("six", ">=1", set()),
        ("demo", ">=4", set()),
    ]


def test_a_file_stays_a_lock_when_constraints_pin_it_by_marker(tmp_path: Path) -> None:
    text = "demo==1 ; python_version < '3.9'\ndemo==2 ; python_version >= '3.9'\n"
    (tmp_path / "limits.txt").write_text(text, encoding="utf-8")
    spec, _ = write(tmp_path, {"a.txt": "demo\n-c limits.txt\n"})
    assert [str(pin.specifier) for pin in spec.pins] == ["==1", "==2"]
    assert spec.rules == ()


def test_a_source_is_refused_when_a_line_that_is_not_pinned_stands_beside_one_that_cannot_be() -> None:
    with pytest.raises(SpecError, match=r"a\.txt:2: .* has a version that is none"):
        make(("a.txt", f"demo>=1\nother=={'1' * 300}\n"))


@pytest.mark.parametrize("name", ["${HOME}/a.txt", "a${b.txt", "${X}.lock"])
def test_a_source_is_refused_when_its_path_would_be_taken_for_a_variable(name: str) -> None:
    with pytest.raises(UsageError, match="a variable"):
        make((name, "demo==1.0\n"))


@pytest.mark.parametrize("text", ["", "# a comment\n\n", "--index-url https://x.example.com/simple\n--pre\n"])
def test_a_source_is_refused_when_it_holds_no_requirement(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        make(("good.txt", "x==1\n"), ("a.txt", text))
    assert str(caught.value) == "a.txt holds no requirement"


def test_no_spec_is_left_when_it_would_not_load(tmp_path: Path) -> None:
    """A marker's text that the spec would take for a variable."""
    (tmp_path / "a.in").write_text("demo>1 ; os_name == '${NAME}'\n", encoding="utf-8")
    with pytest.raises(SpecError, match="NAME"):
        write_spec([tmp_path / "a.in"], tmp_path / "mirror.yaml", read=Path.read_bytes)
    assert not (tmp_path / "mirror.yaml").exists()


# ── init: texts that YAML would take for something else ─────────────────────────────────────────────

YAML_WORDS = [
    "no",
    "Yes",
    "on",
    "OFF",
    "null",
    "true",
    "False",
    "y",
    "1",
    "0x1f",
    "1e3",
    "1_000",
    "0o7",
    "1.0",
    "2024-01-01",
]
NAMES = st.sampled_from(YAML_WORDS) | st.from_regex(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,12}[A-Za-z0-9])?", fullmatch=True)
MARKERS = [
    "",
    ' ; python_version < "3.13"',
    " ; sys_platform == 'win32' and extra == \"it's\"",
    ' ; os_name == "#: {}"',
]


@st.composite
def requirements(draw: st.DrawFn) -> str:
    extras = draw(st.lists(NAMES, max_size=2, unique=True))
    specifier = draw(st.sampled_from(["", ">=1", "!=1.5,<3.0a1", "~=2.0", "==2.*", ">1"]))
    return draw(NAMES) + (f"[{','.join(extras)}]" if extras else "") + specifier + draw(st.sampled_from(MARKERS))


@settings(deadline=None, max_examples=50)
@given(st.lists(requirements(), min_size=1, max_size=8))
@example(YAML_WORDS)
def test_requirements_come_back_when_the_written_spec_is_loaded(texts: list[str]) -> None:
    expected = _merge(Requirement(text) for text in texts)
    written = make(("requirements.in", "\n".join([*texts, "not-pinned>0"])))
    spec = load(written)
    found = dict.fromkeys((rule.pattern, str(rule.specifier), rule.extras, rule.marker) for rule in spec.rules)
    assert list(found) == [*expected, ("not-pinned", ">0", frozenset(), None)]


def _merge(requirements: Iterable[Requirement]) -> list[tuple[str, str, frozenset[str], str | None]]:
    """Those of one project and marker hold together, as pip takes them."""
    found: dict[tuple[str, str | None], tuple[SpecifierSet, frozenset[str]]] = {}
    for each in requirements:
        key = (canonicalize_name(each.name), str(each.marker) if each.marker else None)
        specifier, extras = found.get(key, (SpecifierSet(), frozenset()))
        named = frozenset(canonicalize_name(extra) for extra in each.extras)
        found[key] = (specifier & each.specifier, extras | named)
    return [(name, str(spec), extras, marker) for (name, marker), (spec, extras) in found.items()]


FILE_NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20) | st.sampled_from(YAML_WORDS)


@settings(deadline=None, max_examples=200)
@given(FILE_NAMES)
@example("- a: b #c")
@example("a\tb\nc")
@example("😀 lock.txt")
@example("caf\u00e9.txt")
@example("not-utf-8-\udcff.txt")
@example(" a ")
@example("~")
@example("x" * 300 + " " + "y" * 300)
def test_the_name_of_a_lock_file_comes_back_when_the_written_spec_is_read(name: str) -> None:
    assume("${" not in name)
    written = make((name, "demo==1.0\n"))
    written.encode("utf-8")
    document: dict[str, Any] = yaml.safe_load(written)
    assert document["lockfiles"] == [name]
