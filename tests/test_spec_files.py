"""What lies beside a spec: the documents that it includes, their lock files, and block lists."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from pymirror.environment import make_environment
from pymirror.errors import Problem, SpecError
from pymirror.spec.document import MAX_DOCUMENT_BYTES
from pymirror.spec.files import MAX_INCLUDES
from pymirror.spec.load import load_spec
from pymirror.spec.model import KeepLatest, Origin, PackageType, RemovalPolicy, Spec, YankedPolicy

ROOT = Path("/srv/specs")
PASSWORD = "hunter2"


class Disk:
    """Files below a folder, and how often each was read."""

    def __init__(self, files: Mapping[str, str | bytes]) -> None:
        self.content = {
            str(ROOT / name): data.encode() if isinstance(data, str) else data for name, data in files.items()
        }
        self.reads: list[str] = []

    def read(self, path: Path) -> bytes:
        name = str(Path(*_resolve(path.parts)))
        self.reads.append(name)
        if name not in self.content:
            raise FileNotFoundError(2, "No such file or directory", name)
        return self.content[name]

    def load(self, spec: str = "mirror.yaml", environ: Mapping[str, str] | None = None) -> Spec:
        return load_spec(ROOT / spec, read=self.read, environ=environ or {})


def _resolve(parts: tuple[str, ...]) -> list[str]:
    """``..`` taken out, as an operating system would."""
    found: list[str] = []
    for part in parts:
        found = found[:-1] if part == ".." else [*found, part]
    return found


def load(files: Mapping[str, str | bytes], environ: Mapping[str, str] | None = None) -> Spec:
    """The spec ``mirror.yaml``, which is one of ``files``."""
    return Disk(files).load(environ=environ)


def problems_of(files: Mapping[str, str | bytes], environ: Mapping[str, str] | None = None) -> tuple[Problem, ...]:
    with pytest.raises(SpecError) as caught:
        load(files, environ)
    return caught.value.problems


def message_of(files: Mapping[str, str | bytes], environ: Mapping[str, str] | None = None) -> str:
    problems = problems_of(files, environ)
    assert len(problems) == 1, problems
    return str(problems[0]).replace(f"{ROOT}/", "")


def patterns_of(spec: Spec) -> list[str]:
    return [rule.pattern for rule in spec.rules]


def chain_of(origin: Origin | None) -> list[tuple[str, str]]:
    """The origin and what named it, and so on: where each stands, and its text."""
    chain = []
    while origin is not None:
        chain.append((str(origin).removeprefix(f"{ROOT}/"), origin.text))
        origin = origin.parent
    return chain


# ── include: what adds up ───────────────────────────────────────────────────────────────────────────


def test_lists_add_up_when_a_document_is_included() -> None:
    own = """\
output: tree
include: [base.yaml]
upstreams: [{name: own, url: "https://own.example.com/"}]
projects: [own]
files: [own-1.0.zip]
lockfiles: [own.lock]
ignore: [own-editable]
exclude: [own-x]
exclude-from: [own.txt]
allow-newer: [own-new]
"""
    files = {
        "mirror.yaml": own,
        "base.yaml": own.replace("own", "base")
        .replace("include: [base.yaml]\n", "")
        .replace("url:", "projects: [base], url:"),
        "own.lock": "own-locked==1\n-e git+https://x.example.com/x#egg=own_editable\n-e .\n",
        "base.lock": "base-locked==1\n-e git+https://x.example.com/x#egg=base_editable\n-e git+https://x.example.com/x#egg=left\n",
        "own.txt": "own-y\n",
        "base.txt": "base-y\n",
    }
    spec = load(files)
    assert [upstream.name for upstream in spec.upstreams] == ["base", "own"]
    assert patterns_of(spec) == ["base", "own"]
    assert [rule.pattern for rule in spec.files] == ["base-1.0.zip", "own-1.0.zip"]
    assert [pin.project for pin in spec.pins] == ["base-locked", "own-locked"]
    assert [line.project for line in spec.unservable] == ["left", None]
    assert [rule.pattern for rule in spec.excludes] == ["base-x", "own-x", "base-y", "own-y"]
    assert [rule.pattern for rule in spec.allow_newer] == ["base-new", "own-new"]


def test_an_entry_of_a_lock_file_is_ignored_when_another_document_says_so() -> None:
    lock = "-e git+https://x.example.com/x#egg=thing\na==1\n"
    for who, other in (("base.yaml", "mirror.yaml"), ("mirror.yaml", "base.yaml")):
        documents = {
            "mirror.yaml": "output: tree\ninclude: [base.yaml]\n",
            "base.yaml": "exclude: [x]\n",
            "a.lock": lock,
        }
        documents[who] += "ignore: [thing]\n"
        documents[other] += "lockfiles: [a.lock]\n"
        assert load(documents).unservable == ()


# ── include: whose single values count ──────────────────────────────────────────────────────────────

SINGLE = [
    ("environments", "[{python: '3.9', platform: linux}]", "all", None),
    ("package-types", "[sdist]", "[egg]", frozenset({PackageType.BDIST_EGG})),
    ("prereleases", "true", "false", False),
    ("yanked", "include", "exclude", YankedPolicy.EXCLUDE),
    ("keep-latest", "9", "2", KeepLatest(count=2)),
    ("max-file-size", "9", "2", 2),
    ("require-hashes", "false", "true", True),
    ("on-upstream-removal", "keep", "drop", RemovalPolicy.DROP),
    ("max-total-size", "9", "2", 2),
    ("output", "theirs", "ours", ROOT / "ours"),
]


def value_of(spec: Spec, key: str) -> object:
    name = key.replace("-", "_")
    return getattr(spec, name) if hasattr(spec, name) else getattr(spec.filters, name)


def with_output(documents: dict[str, str], key: str) -> dict[str, str]:
    """``documents``, with the output that a spec must have somewhere."""
    return documents if key == "output" else {**documents, "mirror.yaml": documents["mirror.yaml"] + "output: tree\n"}


@pytest.mark.parametrize(("key", "theirs", "ours", "value"), SINGLE)
def test_a_value_of_the_spec_goes_before_an_included_one_when_both_give_it(
    key: str, theirs: str, ours: str, value: object
) -> None:
    documents = {
        "mirror.yaml": f"include: [base.yaml]\nprojects: [demo]\n{key}: {ours}\n",
        "base.yaml": f"{key}: {theirs}\n",
    }
    assert value_of(load(with_output(documents, key)), key) == value


@pytest.mark.parametrize(("key", "theirs", "ours", "value"), SINGLE)
def test_an_included_value_counts_when_the_spec_does_not_give_it(
    key: str, theirs: str, ours: str, value: object
) -> None:
    documents = {"mirror.yaml": "include: [base.yaml]\nprojects: [demo]\n", "base.yaml": f"{key}: {ours}\n"}
    spec = load(with_output(documents, key))
    assert value_of(spec, key) == value
    origin = spec.filters.origin_of(key)
    if hasattr(spec.filters, key.replace("-", "_")):
        assert chain_of(origin) == [
            ("base.yaml:1", origin.text if origin else ""),
            ("mirror.yaml:1", "include: base.yaml"),
        ]


@pytest.mark.parametrize(("key", "theirs", "ours", "value"), SINGLE)
def test_a_later_include_goes_before_an_earlier_one_when_both_give_a_value(
    key: str, theirs: str, ours: str, value: object
) -> None:
    documents = {
        "mirror.yaml": "include: [first.yaml, second.yaml]\nprojects: [demo]\n",
        "first.yaml": f"{key}: {theirs}\n",
        "second.yaml": f"{key}: {ours}\n",
    }
    assert value_of(load(with_output(documents, key)), key) == value


@pytest.mark.parametrize(("key", "theirs", "ours", "value"), SINGLE)
def test_an_including_document_goes_before_its_own_includes_when_both_give_a_value(
    key: str, theirs: str, ours: str, value: object
) -> None:
    documents = {
        "mirror.yaml": "include: [outer.yaml]\nprojects: [demo]\n",
        "outer.yaml": f"include: [inner.yaml]\n{key}: {ours}\n",
        "inner.yaml": f"{key}: {theirs}\n",
    }
    assert value_of(load(with_output(documents, key)), key) == value


def test_each_limit_of_the_network_counts_by_itself_when_documents_give_some() -> None:
    network = load(
        {
            "mirror.yaml": "output: tree\ninclude: [a.yaml, b.yaml]\nprojects: [demo]\nnetwork: {retries: 1}\n",
            "a.yaml": "network: {retries: 9, connections: 7, timeout: 7, max-file-size: 7}\n",
            "b.yaml": "network: {connections: 5, connections-per-host: 2, page-timeout: 8}\n",
        }
    ).network
    assert (network.retries, network.connections, network.connections_per_host) == (1, 5, 2)
    assert (network.timeout_seconds, network.page_timeout_seconds, network.max_file_bytes) == (7, 8, 7)


def test_retries_are_none_when_the_spec_takes_an_included_number_back() -> None:
    documents = {
        "mirror.yaml": "output: tree\ninclude: [a.yaml]\nprojects: [demo]\nnetwork: {retries: 0}\n",
        "a.yaml": "network: {retries: 9}\n",
    }
    assert load(documents).network.retries == 0


def test_the_filters_of_all_documents_hold_for_every_project_when_one_includes_the_other() -> None:
    spec = load(
        {
            "mirror.yaml": "output: tree\ninclude: [base.yaml]\nprojects: [own]\nyanked: include\n",
            "base.yaml": "projects: [theirs, {name: special, yanked: exclude}]\nyanked: pinned\nkeep-latest: 3\n"
            "environments: [{python: '3.12', platform: linux}]\n",
        }
    )
    theirs, special, own = spec.rules
    assert theirs.filters == own.filters == spec.filters
    assert (own.filters.yanked, own.filters.keep_latest) == (YankedPolicy.INCLUDE, KeepLatest(count=3))
    assert special.filters.yanked is YankedPolicy.EXCLUDE
    assert special.filters.environments == (make_environment("3.12", "linux"),)


def test_the_first_upstream_that_claims_a_project_counts_when_an_included_one_does_too() -> None:
    spec = load(
        {
            "mirror.yaml": "output: tree\ninclude: [base.yaml]\nprojects: [acme-x]\n"
            "upstreams: [{name: own, url: 'https://own.example.com/', projects: [acme-*]}]\n",
            "base.yaml": "upstreams: [{name: base, url: 'https://base.example.com/', projects: [acme-x]}]\n",
        }
    )
    found = spec.upstream_of(canonicalize_name("acme-x"))
    assert found is not None
    assert found.name == "base"


# ── include: which files ────────────────────────────────────────────────────────────────────────────


def test_paths_are_relative_to_their_document_when_it_lies_elsewhere() -> None:
    disk = Disk(
        {
            "teams/web/mirror.yaml": "include: [../../shared/base.yaml]\nprojects: [own]\n",
            "shared/base.yaml": "output: trees/web\nlockfiles: [locks/a.lock]\nexclude-from: [block.txt]\n"
            "include: [more/deep.yaml]\n",
            "shared/more/deep.yaml": "exclude-from: [../block.yaml]\nlockfiles: [/srv/specs/abs.lock]\n",
            "shared/locks/a.lock": "a==1\n-r b.lock\n",
            "shared/locks/b.lock": "b==1\n",
            "shared/block.txt": "x\n",
            "shared/block.yaml": "- y\n",
            "abs.lock": "c==1\n",
        }
    )
    spec = disk.load("teams/web/mirror.yaml")
    assert Path(*_resolve(spec.output.parts)) == ROOT / "shared/trees/web"
    assert [(pin.project, str(pin.origin)) for pin in spec.pins] == [
        ("c", "/srv/specs/abs.lock:1"),
        ("a", "../../shared/locks/a.lock:1"),
        ("b", "../../shared/locks/b.lock:1"),
    ]
    assert [(rule.pattern, str(rule.origin)) for rule in spec.excludes] == [
        ("y", "../../shared/block.yaml:1"),
        ("x", "../../shared/block.txt:1"),
    ]


def test_an_included_file_is_found_when_it_is_named_by_an_absolute_path() -> None:
    documents = {
        "mirror.yaml": "output: tree\ninclude: [/srv/specs/sub/base.yaml]\n",
        "sub/base.yaml": "include: [more.yaml]\n",
        "sub/more.yaml": "projects: [demo]\n",
    }
    assert chain_of(load(documents).rules[0].origin) == [
        ("sub/more.yaml:1", "demo"),
        ("sub/base.yaml:1", "include: more.yaml"),
        ("mirror.yaml:2", "include: /srv/specs/sub/base.yaml"),
    ]


def test_the_output_is_as_written_when_an_included_one_is_absolute() -> None:
    documents = {"mirror.yaml": "include: [sub/a.yaml]\nprojects: [demo]\n", "sub/a.yaml": "output: /srv/tree\n"}
    assert load(documents).output == Path("/srv/tree")


def test_a_document_is_read_once_when_two_include_it() -> None:
    disk = Disk(
        {
            "mirror.yaml": "output: tree\ninclude: [left.yaml, sub/right.yaml, ./base.yaml, sub/../base.yaml]\n",
            "left.yaml": "include: [base.yaml]\nprojects: [left]\n",
            "sub/right.yaml": "include: [../base.yaml]\nprojects: [right]\n",
            "base.yaml": "projects: [base]\nupstreams: [{url: 'https://x.example.com/'}]\n",
        }
    )
    spec = disk.load()
    assert patterns_of(spec) == ["base", "left", "right"]
    assert len(spec.upstreams) == 1
    assert disk.reads.count(str(ROOT / "base.yaml")) == 1
    assert chain_of(spec.rules[0].origin) == [
        ("base.yaml:1", "base"),
        ("left.yaml:1", "include: base.yaml"),
        ("mirror.yaml:2", "include: left.yaml"),
    ]


def test_a_mistake_is_told_once_when_two_include_its_document() -> None:
    documents = {
        "mirror.yaml": "output: tree\ninclude: [left.yaml, right.yaml]\n",
        "left.yaml": "include: [base.yaml]\n",
        "right.yaml": "include: [base.yaml]\n",
        "base.yaml": "projects: [a >>1]\n",
    }
    assert message_of(documents).startswith('base.yaml:1: projects[0]: "a >>1" is not a requirement')


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        (
            {"mirror.yaml": "output: t\nprojects: [a]\ninclude: [mirror.yaml]\n"},
            'mirror.yaml:3: include[0]: "mirror.yaml" includes itself: mirror.yaml → mirror.yaml',
        ),
        (
            {"mirror.yaml": "output: t\nprojects: [a]\ninclude:\n  - ./mirror.yaml\n"},
            'mirror.yaml:4: include[0]: "./mirror.yaml" includes itself: mirror.yaml → mirror.yaml',
        ),
        (
            {"mirror.yaml": "output: t\nprojects: [a]\ninclude: [b.yaml]\n", "b.yaml": "include: [mirror.yaml]\n"},
            'b.yaml:1: include[0]: "mirror.yaml" includes itself: mirror.yaml → b.yaml → mirror.yaml',
        ),
        (
            {
                "mirror.yaml": "output: t\nprojects: [a]\ninclude: [s/b.yaml]\n",
                "s/b.yaml": "include: [../c.yaml]\n",
                "c.yaml": "exclude: [x]\ninclude: [s/b.yaml]\n",
            },
            'c.yaml:2: include[0]: "s/b.yaml" includes itself: mirror.yaml → s/b.yaml → c.yaml → s/b.yaml',
        ),
        (
            {"mirror.yaml": "output: t\nprojects: [a]\ninclude: [b.yaml]\n", "b.yaml": "include: [b.yaml]\n"},
            'b.yaml:1: include[0]: "b.yaml" includes itself: mirror.yaml → b.yaml → b.yaml',
        ),
    ],
    ids=["itself", "itself-dotted", "back", "circle", "below"],
)
def test_an_include_is_refused_when_it_leads_back(documents: dict[str, str], message: str) -> None:
    assert message_of(documents) == message


def test_an_include_is_refused_when_it_cannot_be_read() -> None:
    documents = {"mirror.yaml": "output: t\nprojects: [a]\ninclude:\n  - gone.yaml\n"}
    said = message_of(documents)
    assert said == (
        'mirror.yaml:4: include[0]: "gone.yaml" cannot be read: No such file or directory (looked for gone.yaml)'
    )


def test_an_include_below_is_refused_at_its_own_line_when_it_cannot_be_read() -> None:
    documents = {"mirror.yaml": "output: t\nprojects: [a]\ninclude: [s/b.yaml]\n", "s/b.yaml": "\ninclude: [c.yaml]\n"}
    said = message_of(documents)
    assert said == ('s/b.yaml:2: include[0]: "c.yaml" cannot be read: No such file or directory (looked for s/c.yaml)')


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "b.yaml: the file is empty"),
        ("- a\n", "b.yaml:1: expected a mapping, got a list"),
        ("projects: [a\n", "b.yaml:2: not YAML: "),
        (b"projects: [\xff]\n", "b.yaml: not YAML: "),
        ("\nproject: [a]\n", 'b.yaml:2: project: unknown key "project" (did you mean "projects"?)'),
        ("projects: [1]\n", 'b.yaml:1: projects[0]: expected text or a mapping, got "1"'),
        ("#" * (MAX_DOCUMENT_BYTES + 1), "b.yaml: 1048577 bytes; a spec may have 1048576"),
        ("upstreams: [{url: nowhere}]\nprojects: [a]\n", "b.yaml:1: upstreams[0].url: not the http(s) URL of an index"),
        ("network: {timeout: soon}\nprojects: [a]\n", "b.yaml:1: network.timeout: not an amount that can be used"),
        ("keep-latest: 0\nprojects: [a]\n", 'b.yaml:1: keep-latest: expected "all" or a whole number'),
        ("max-total-size: big\nprojects: [a]\n", "b.yaml:1: max-total-size: not an amount that can be used"),
        ("lockfiles: [gone.lock]\n", 'b.yaml:1: lockfiles[0]: "gone.lock" cannot be read: '),
        ("exclude-from: [gone.txt]\nprojects: [a]\n", 'b.yaml:1: exclude-from[0]: "gone.txt" cannot be read: '),
    ],
)
def test_an_included_document_is_refused_by_its_own_lines_when_it_has_a_mistake(
    content: str | bytes, message: str
) -> None:
    """And nothing is said to be missing: it may be what could not be read."""
    assert message_of({"mirror.yaml": "output: tree\ninclude: [b.yaml]\n", "b.yaml": content}).startswith(message)


def test_the_output_is_not_missed_when_the_document_that_may_name_it_is_refused() -> None:
    documents = {"mirror.yaml": "projects: [a]\ninclude: [b.yaml]\n", "b.yaml": "output: tree\nprojcts: [a]\n"}
    assert message_of(documents).startswith("b.yaml:2: projcts: unknown key")
    documents["b.yaml"] = "output: [tree\n"
    assert message_of(documents).startswith("b.yaml:2: not YAML: ")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("include: [b.yaml]\nprojects: [a]\n", 'mirror.yaml:1: the key "output" is missing (the folder that '),
        ("output: tree\ninclude: [b.yaml]\n", "mirror.yaml:1: nothing is wanted (list something under projects:"),
    ],
)
def test_a_spec_is_refused_when_no_document_gives_what_it_must_have(spec: str, message: str) -> None:
    assert message_of({"mirror.yaml": spec, "b.yaml": "exclude: [x]\n"}).startswith(message)


@pytest.mark.parametrize("wanted", ["projects: [a]", "files: [a-1.0.zip]", "lockfiles: [a.lock]"])
def test_a_spec_is_whole_when_an_included_document_wants_something(wanted: str) -> None:
    documents = {"mirror.yaml": "output: tree\ninclude: [b.yaml]\n", "b.yaml": wanted, "a.lock": "a==1\n"}
    assert load(documents).projects() == ("a",)


def test_every_problem_of_every_file_is_in_one_error_when_there_are_many() -> None:
    problems = problems_of(
        {
            "mirror.yaml": "output: tree\ninclude: [sub/b.yaml, gone.yaml]\nprojects: [a >>1]\nyankd: x\n",
            "sub/b.yaml": "projects: [ok]\nlockfiles: [c.lock]\n\nexclude: ['!']\nexclude-from: [d.txt, e.yaml]\n"
            "include: [f.yaml]\n",
            "sub/c.lock": "ok==1\nloose>1\n",
            "sub/d.txt": "fine\n\nnot fine\n",
            "sub/e.yaml": "- fine\n- {name: x, resn: y}\n",
            "sub/f.yaml": "prereleases: perhaps\n",
        }
    )
    found = [(problem.file.removeprefix(f"{ROOT}/"), problem.line, problem.key) for problem in problems]
    assert sorted(found) == [
        ("mirror.yaml", 2, "include[1]"),
        ("mirror.yaml", 3, "projects[0]"),
        ("mirror.yaml", 4, "yankd"),
        ("sub/b.yaml", 4, "exclude[0]"),
        ("sub/c.lock", 2, ""),
        ("sub/d.txt", 3, ""),
        ("sub/e.yaml", 2, "[1].resn"),
        ("sub/f.yaml", 1, "prereleases"),
    ]


def test_variables_are_replaced_when_an_included_document_has_them() -> None:
    documents = {
        "mirror.yaml": "output: tree\ninclude: ['${WHERE}/base.yaml']\n",
        "eu/base.yaml": "projects: [demo]\nkeep-latest: ${N}\nlockfiles: ['${WHERE}.lock']\n"
        "upstreams: [{url: 'https://robot:${TOKEN}@x.example.com/'}]\n",
        "eu/eu.lock": "a==1\n",
    }
    spec = load(documents, {"WHERE": "eu", "N": "4", "TOKEN": PASSWORD})
    assert spec.filters.keep_latest == KeepLatest(count=4)
    assert spec.upstreams[0].credentials == ("robot", PASSWORD)
    assert spec.projects() == ("a", "demo")
    said = message_of(documents, {"WHERE": "eu", "TOKEN": PASSWORD})
    assert said == "eu/base.yaml:2: keep-latest: the environment variable N is not set"


def test_a_hundred_files_are_included_when_there_are_as_many() -> None:
    names = [f"{number}.yaml" for number in range(MAX_INCLUDES)]
    documents = {"mirror.yaml": f"output: tree\ninclude: [{', '.join(names)}]\n"}
    documents |= {name: f"projects: [p{name[:-5]}]\n" for name in names}
    assert len(load(documents).rules) == MAX_INCLUDES == 100


def test_an_include_is_refused_when_it_is_one_too_many() -> None:
    names = [f"{number}.yaml" for number in range(MAX_INCLUDES + 1)]
    documents = {"mirror.yaml": "output: tree\ninclude:\n" + "".join(f"  - {name}\n" for name in [*names, names[0]])}
    documents |= {name: f"projects: [p{name[:-5]}]\n" for name in names}
    assert message_of(documents) == "mirror.yaml:103: include[100]: more than 100 files are included"


def test_an_include_is_refused_when_a_chain_of_them_is_too_long() -> None:
    documents = {"mirror.yaml": "output: tree\ninclude: [0.yaml]\nprojects: [demo]\n"}
    documents |= {f"{number}.yaml": f"include: [{number + 1}.yaml]\n" for number in range(1000)}
    assert message_of(documents) == "99.yaml:1: include[0]: more than 100 files are included"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("base.yaml", 'include: expected a list, got "base.yaml" (write it as a list: [base.yaml])'),
        ("[1]", 'include[0]: expected text, got "1" (put it in quotes: "1")'),
        ("[{name: base.yaml}]", "include[0]: expected text, got a mapping"),
        ("['']", 'include[0]: "" cannot be read: '),
    ],
)
def test_an_include_is_refused_when_it_is_no_list_of_names(value: str, message: str) -> None:
    documents = {"mirror.yaml": f"output: tree\nprojects: [a]\ninclude: {value}\n"}
    assert message_of(documents).startswith(f"mirror.yaml:3: {message}")


def test_a_name_is_in_no_message_when_it_may_hold_a_credential() -> None:
    for key in ("include", "lockfiles", "exclude-from"):
        said = message_of(
            {"mirror.yaml": f"output: t\nprojects: [a]\n{key}: ['https://robot:{PASSWORD}@x.example.com/a.yaml']\n"}
        )
        assert said.startswith(f'mirror.yaml:3: {key}[0]: "…" cannot be read: ')
        assert PASSWORD not in said


# ── where each thing comes from ─────────────────────────────────────────────────────────────────────


def test_an_origin_leads_to_the_spec_when_documents_and_locks_lie_between() -> None:
    documents = {
        "mirror.yaml": "output: tree\n\ninclude: [eu/base.yaml]\n",
        "eu/base.yaml": "include:\n  - more.yaml\n",
        "eu/more.yaml": "projects: [demo]\nlockfiles: [a.lock]\nexclude-from: [b.txt]\nallow-newer: [n]\n"
        "files: [x-1.0.zip]\nexclude: [e]\nyanked: include\n",
        "eu/a.lock": "-e .\n-r c.lock\n",
        "eu/c.lock": "\nc==1\n",
        "eu/b.txt": "\n\nblocked\n",
    }
    spec = load(documents)
    above = [("eu/base.yaml:2", "include: more.yaml"), ("mirror.yaml:3", "include: eu/base.yaml")]
    assert chain_of(spec.rules[0].origin) == [("eu/more.yaml:1", "demo"), *above]
    assert chain_of(spec.pins[0].origin) == [
        ("eu/c.lock:2", "c==1"),
        ("eu/a.lock:2", "-r c.lock"),
        ("eu/more.yaml:2", "a.lock"),
        *above,
    ]
    assert chain_of(spec.unservable[0].origin)[1:] == [("eu/more.yaml:2", "a.lock"), *above]
    assert [chain_of(rule.origin) for rule in spec.excludes] == [
        [("eu/more.yaml:6", "e"), *above],
        [("eu/b.txt:3", "blocked"), ("eu/more.yaml:3", "exclude-from: b.txt"), *above],
    ]
    assert chain_of(spec.allow_newer[0].origin) == [("eu/more.yaml:4", "n"), *above]
    assert chain_of(spec.files[0].origin) == [("eu/more.yaml:5", "x-1.0.zip"), *above]
    assert chain_of(spec.rules[0].filters.origin_of("yanked")) == [("eu/more.yaml:7", "yanked: include"), *above]


def test_an_origin_of_the_spec_itself_has_no_parent_when_it_is_read() -> None:
    spec = load({"mirror.yaml": "output: tree\nprojects: [demo]\n"})
    assert chain_of(spec.rules[0].origin) == [("mirror.yaml:2", "demo")]


def test_a_mistake_in_a_lock_file_is_told_by_its_own_line_when_its_document_is_included() -> None:
    documents = {
        "mirror.yaml": "output: tree\ninclude: [s/b.yaml]\n",
        "s/b.yaml": "lockfiles: [a.lock]\n",
        "s/a.lock": "\nb>1\n",
    }
    assert message_of(documents).startswith('s/a.lock:2: "b>1" is not pinned with ==')


# ── exclude-from ────────────────────────────────────────────────────────────────────────────────────


def load_list(name: str, content: str | bytes, environ: Mapping[str, str] | None = None) -> Spec:
    """A spec with the block list ``content``."""
    return load({"mirror.yaml": f"output: tree\nprojects: [a]\nexclude-from: [{name}]\n", name: content}, environ)


def message_of_list(name: str, content: str | bytes) -> str:
    return message_of({"mirror.yaml": f"output: tree\nprojects: [a]\nexclude-from: [{name}]\n", name: content})


def test_a_block_list_is_an_entry_a_line_when_it_is_text() -> None:
    spec = load_list(
        "blocked.txt",
        "# what security says\n\nleftpad\n  Event_Stream ==3.3.6   #  stolen wallets # and more\n"
        "acme-* >=2,<3#x\n*-nightly #\n",
    )
    assert [
        (str(rule.origin), rule.origin.text, rule.pattern, str(rule.specifier), rule.reason) for rule in spec.excludes
    ] == [
        ("blocked.txt:3", "leftpad", "leftpad", "", None),
        ("blocked.txt:4", "Event_Stream ==3.3.6", "event-stream", "==3.3.6", "stolen wallets # and more"),
        ("blocked.txt:5", "acme-* >=2,<3", "acme-*", "<3,>=2", "x"),
        ("blocked.txt:6", "*-nightly", "*-nightly", "", None),
    ]
    assert all(rule.files == () for rule in spec.excludes)


@pytest.mark.parametrize("name", ["blocked.yaml", "blocked.yml"])
def test_a_block_list_has_entries_like_exclude_when_it_is_yaml(name: str) -> None:
    spec = load_list(
        name,
        "# what security says\n- leftpad\n- name: event-stream\n  version: ==3.3.6\n  reason: stolen wallets\n"
        "- {files: ['*.exe'], reason: '${WHY}'}\n- '*-nightly >=2'\n",
        {"WHY": "policy"},
    )
    assert [
        (rule.origin.line, rule.pattern, str(rule.specifier), rule.files, rule.reason) for rule in spec.excludes
    ] == [
        (2, "leftpad", "", (), None),
        (3, "event-stream", "==3.3.6", (), "stolen wallets"),
        (6, "*", "", ("*.exe",), "policy"),
        (7, "*-nightly", ">=2", (), None),
    ]


@pytest.mark.parametrize("name", ["b.txt", "b.yaml"])
@pytest.mark.parametrize("content", ["", "\n\n", "# none yet\n", "\n  # none yet"])
def test_a_block_list_may_be_empty_when_nothing_is_blocked_yet(name: str, content: str) -> None:
    assert load_list(name, content).excludes == ()


@pytest.mark.parametrize("content", ["[]\n", "---\n[]\n", "---\n"])
def test_a_block_list_may_be_an_empty_list_when_it_is_yaml(content: str) -> None:
    assert load_list("b.yaml", content).excludes == ()


@pytest.mark.parametrize("name", ["b.txt", "b.yaml"])
def test_a_byte_order_mark_is_passed_over_when_a_block_list_has_one(name: str) -> None:
    line = "leftpad\n" if name == "b.txt" else "- leftpad\n"
    assert [rule.pattern for rule in load_list(name, f"\ufeff{line}".encode()).excludes] == ["leftpad"]


def test_the_lines_are_counted_as_an_editor_does_when_they_end_as_on_windows() -> None:
    assert [str(rule.origin) for rule in load_list("b.txt", "a\r\n\r\nb\r\n").excludes] == ["b.txt:1", "b.txt:3"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("two words", '"words" is not a version specifier'),
        ("demo 1.0", '"1.0" is not a version specifier (did you mean "==1.0"?)'),
        ("demo >>1 # why", '">>1" is not a version specifier'),
        ("!", '"!" is neither a project nor a pattern'),
        ("-demo", '"-demo" is not a project name'),
        ("- demo", '"-" is not a project name'),
        ("*", '"*" excludes everything'),
        ("${NAME}", '"${NAME}" is neither a project nor a pattern'),  # nothing is replaced in a text
        ("demo[x]", '"[x]" is not a version specifier'),
    ],
)
def test_a_line_of_a_block_list_is_refused_when_it_names_no_release(line: str, message: str) -> None:
    said = problems_of(
        {"mirror.yaml": "output: t\nprojects: [a]\nexclude-from: [b.txt]\n", "b.txt": f"# x\n\n{line}\n"}
    )
    assert any(str(problem).startswith(f"b.txt:3: {message}") for problem in said), said
    assert {(problem.file, problem.line, problem.key) for problem in said} == {("b.txt", 3, "")}


def test_every_bad_line_of_a_block_list_is_told_when_there_are_several() -> None:
    problems = problems_of(
        {"mirror.yaml": "output: t\nprojects: [a]\nexclude-from: [b.txt]\n", "b.txt": "!\nfine\n\n?!\n# x\n>=1\n"}
    )
    assert [problem.line for problem in problems] == [1, 4, 6]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: b\n", "b.yaml:1: expected a list, got a mapping"),
        ("leftpad\n", 'b.yaml:1: expected a list, got "leftpad" (write it as a list: [leftpad])'),
        ("- a\n- 1\n", 'b.yaml:2: [1]: expected text or a mapping, got "1" (put it in quotes: "1")'),
        ("- a\n- {nme: x}\n- b", 'b.yaml:2: [1].nme: unknown key "nme" (did you mean "name"?)'),
        ("- a\n- a b\n", 'b.yaml:2: [1]: "b" is not a version specifier'),
        ("- a\n- name: b\n  version: '1'\n", 'b.yaml:3: [1].version: "1" is not a version specifier'),
        ("- ${NAME}\n", "b.yaml:1: [0]: the environment variable NAME is not set"),
        ("- [\n", "b.yaml:2: not YAML: "),
        (b"- \xff\n", "b.yaml: not YAML: "),
        ("#" + "x\n- a" * MAX_DOCUMENT_BYTES, "b.yaml: 5242881 bytes; "),
    ],
)
def test_a_block_list_is_refused_by_its_own_lines_when_it_is_yaml_with_a_mistake(
    content: str | bytes, message: str
) -> None:
    said = problems_of({"mirror.yaml": "output: t\nprojects: [a]\nexclude-from: [b.yaml]\n", "b.yaml": content})
    assert str(said[0]).startswith(message)


def test_a_block_list_is_refused_when_it_is_no_text() -> None:
    assert message_of_list("b.txt", b"leftpad\n\xff\n") == "b.txt: not UTF-8: byte 8"


def test_a_block_list_is_refused_when_it_is_too_long() -> None:
    assert load_list("b.txt", "a\n" + "#" * (MAX_DOCUMENT_BYTES - 2)).excludes
    said = message_of_list("b.txt", "a\n" + "#" * (MAX_DOCUMENT_BYTES - 1))
    assert said == "b.txt: 1048577 bytes; a block list may have 1048576"


def test_a_credential_is_in_no_message_when_a_block_list_holds_one() -> None:
    for name, line in (("b.txt", ""), ("b.yaml", "- ")):
        said = message_of_list(name, f"{line}https://robot:{PASSWORD}@x.example.com/simple/\n")
        assert PASSWORD not in said


def test_a_shared_block_list_counts_for_each_when_two_documents_name_it() -> None:
    documents = {
        "mirror.yaml": "output: tree\ninclude: [s/b.yaml]\nprojects: [a]\nexclude-from: [shared.txt]\n",
        "s/b.yaml": "exclude-from: [../shared.txt]\n",
        "shared.txt": "x  # why\n",
    }
    assert [chain_of(rule.origin)[1][0] for rule in load(documents).excludes] == ["s/b.yaml:1", "mirror.yaml:4"]
    documents["shared.txt"] = "!\n"
    assert message_of(documents) == 'shared.txt:1: "!" is neither a project nor a pattern'
