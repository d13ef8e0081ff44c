"""``mirror.yaml`` → ``Spec``: what each key means, and what is said of each mistake."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
import yaml
from msgspec import structs
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from pymirror.environment import make_environment
from pymirror.errors import ExitCode, Problem, SpecError
from pymirror.spec.document import MAX_DOCUMENT_BYTES
from pymirror.spec.load import load_spec
from pymirror.spec.model import (
    Cutoff,
    DependencyPolicy,
    Filters,
    KeepLatest,
    Network,
    PackageType,
    ProjectRule,
    ReleaseLine,
    RemovalPolicy,
    SdistPolicy,
    Site,
    Spec,
    YankedPolicy,
)
from pymirror.spec.schema import (
    Document,
    EnvironmentEntry,
    EnvironmentProduct,
    ExcludeEntry,
    FileEntry,
    KeepLatestEntry,
    NetworkEntry,
    ProjectEntry,
    UpstreamEntry,
)
from pymirror.spec.units import MaxRemoval, format_size, parse_duration, parse_size
from pymirror.spec.upstreams import parse_upstream_url

STRUCTS = [
    Document,
    UpstreamEntry,
    EnvironmentProduct,
    EnvironmentEntry,
    KeepLatestEntry,
    ProjectEntry,
    FileEntry,
    ExcludeEntry,
    NetworkEntry,
]
EXAMPLES = Path(__file__).parent.parent / "examples"
WHEEL = "demo-1.0-py3-none-any.whl"
PASSWORD = "hunter2"
WITH_PASSWORD = f"https://robot:{PASSWORD}@packages.example.com/simple/"

EVERY_KEY = """\
output: ./tree
include: [base.yaml]
upstreams:
  - name: internal
    url: https://robot:${TOKEN}@packages.example.com/simple
    projects: [acme-*]
    ca-file: internal-ca.pem
    client-cert: /etc/ssl/client.pem
    client-key: keys/client.key
  - url: http://other.example.com:8080/
    username: someone
    password: ${TOKEN}
    allow-http: true
    serials: false
environments:
  python: ["3.12", 3.13t]
  platform: [linux, win_amd64]
package-types: [wheel, sdist, egg]
sdists: fallback
prereleases: true
yanked: include
keep-latest: {per: minor, count: 2}
exclude-newer: 7 days
allow-newer: [urllib3 >=2.2.2]
exclude-older: "2019-12-31"
max-file-size: 500 MB
max-total-size: 50 GB
dependencies: every
build-dependencies: false
require-hashes: false
on-upstream-removal: keep
max-removal: 25 %
stop-after: 6h
allow-http: false
public-url: https://Mirror.example.com/python
flat: true
legacy-json: false
pages: false
provenance: false
file-mode: "0640"
folder-mode: "2750"
network:
  connections: 8
  connections-per-host: 4
  timeout: 10
  page-timeout: 2 min
  file-timeout: 1 h
  retries: 0
  max-page-size: 1 MiB
  max-file-size: 2 GB
  max-rate: 10 MB/s
  ca-file: ca.pem
projects:
  - Requests[socks, Use_Chardet] >=2.31,<3 ; python_version >= "3.9"
  - name: Num.Py
    version: ">=1.26"
    files: ["*-manylinux*_x86_64.whl", "*.tar.gz"]
    environments:
      - {python: "3.10", platform: macos, implementation: pypy}
    package-types: [bdist_wheel]
    sdists: all
    prereleases: false
    yanked: exclude
    keep-latest: 3
    exclude-newer: 0
    exclude-older: 1000 days
    max-file-size: 1 GB
    dependencies: true
    build-dependencies: true
  - Acme.*
groups:
  Web.App:
    - Flask[Async] >=3 ; python_version >= "3.9"
    - gunicorn
files:
  - demo-1.0-py3-none-any.whl
  - {project: Old.Tool, file: "*.exe"}
lockfiles:
  - requirements.lock
ignore: [here]
exclude:
  - urllib3 <1.26.19
  - "*_Nightly"
  - name: Torch
    version: ==2.0
    files: ["*+cu118*"]
    reason: too large
exclude-from: [blocked.txt]
"""

FILES = {
    "base.yaml": b"projects: [included]\n",
    "requirements.lock": b"click==8.1.7\n-e ./here\n-e ./there\n",
    "blocked.txt": b"leftpad  # a joke\n",
}


def load(
    text: str | bytes, *, files: Mapping[str, bytes] | None = None, environ: Mapping[str, str] | None = None
) -> Spec:
    """The spec ``text``, beside which there are ``files``."""
    content = {"mirror.yaml": text.encode() if isinstance(text, str) else text, **(files or {})}

    def read(path: Path) -> bytes:
        if str(path) not in content:
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return content[str(path)]

    return load_spec(Path("mirror.yaml"), read=read, environ=environ or {})


def load_line(line: str) -> Spec:
    """A spec that is good but for ``line``, its third."""
    return load(f"output: tree\nprojects: [demo]\n{line}\n")


def problems_of(
    text: str | bytes, *, files: Mapping[str, bytes] | None = None, environ: Mapping[str, str] | None = None
) -> tuple[Problem, ...]:
    with pytest.raises(SpecError) as caught:
        load(text, files=files, environ=environ)
    assert caught.value.exit_code is ExitCode.USAGE
    return caught.value.problems


def message_of(text: str | bytes) -> str:
    """What is said of the one mistake in ``text``."""
    problems = problems_of(text)
    assert len(problems) == 1, problems
    return str(problems[0])


def message_of_line(line: str) -> str:
    """What is said of ``line``, the third of a spec that is good otherwise."""
    return message_of(f"output: tree\nprojects: [demo]\n{line}\n")


def rule_of(spec: Spec, pattern: str) -> ProjectRule:
    (rule,) = (rule for rule in spec.rules if rule.pattern == pattern)
    return rule


def line_of(text: str) -> int:
    """The one line of ``EVERY_KEY`` that has ``text``."""
    (number,) = (number for number, line in enumerate(EVERY_KEY.splitlines(), start=1) if text in line)
    return number


# ── what each key means ─────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def full() -> Spec:
    return load(EVERY_KEY, files=FILES, environ={"TOKEN": "${NOT_LOOKED_INTO}"})


@pytest.mark.parametrize("struct", STRUCTS)
def test_every_key_is_tried_when_the_schema_has_it(struct: type[msgspec.Struct]) -> None:
    for field in msgspec.structs.fields(struct):
        assert f"{field.encode_name}:" in EVERY_KEY


def test_a_project_is_tried_with_its_own_filters_when_the_schema_has_them() -> None:
    """Most of its keys are those of the document too, so that their names alone prove nothing."""
    (entry,) = (entry for entry in yaml.safe_load(EVERY_KEY)["projects"] if isinstance(entry, dict))
    assert set(entry) == {field.encode_name for field in msgspec.structs.fields(ProjectEntry)}


def test_output_is_relative_to_the_spec_when_it_is_no_absolute_path(full: Spec) -> None:
    assert full.output == Path("tree")
    assert load("output: /srv/mirror\nprojects: [demo]\n").output == Path("/srv/mirror")


def test_the_site_is_read_when_given(full: Spec) -> None:
    assert full.site == Site(
        public_url="https://Mirror.example.com/python/",
        flat=True,
        legacy_json=False,
        pages=False,
        file_mode=0o640,
        folder_mode=0o2750,
    )
    assert not full.provenance


def test_the_site_has_its_documents_when_nothing_is_said_of_it() -> None:
    spec = load_line("")
    assert spec.site == Site(public_url=None, flat=False, legacy_json=True, pages=True)
    assert spec.provenance


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ftp://mirror.example.com/", "not an http(s) URL"),
        ("mirror.example.com", "not an http(s) URL"),
        ("https://mirror.example.com/a b", "not an http(s) URL"),
        ("https://mirror.example.com/\u00e9/", "not an http(s) URL"),
        ("https://mirror.example.com/<b>", "not an http(s) URL"),
        ("https://mirror.example.com/?a=b", "not an http(s) URL"),
        ("https://me:secret@mirror.example.com/", "a URL with a user in it"),
        ("https://mirror.example.com/simple/", "the URL of the project list"),
        ("https://mirror.example.com/simple", "the URL of the project list"),
    ],
)
def test_a_public_url_is_refused_when_no_page_could_have_it(text: str, problem: str) -> None:
    message = message_of_line(f"public-url: {json.dumps(text)}")
    assert f"mirror.yaml:3: public-url: {problem}" in message
    assert "secret" not in message


def test_upstreams_are_read_when_given(full: Spec) -> None:
    internal, other = full.upstreams
    assert (internal.name, internal.url, internal.projects) == (
        "internal",
        "https://packages.example.com/simple/",
        ("acme-*",),
    )
    assert internal.credentials == ("robot", "${NOT_LOOKED_INTO}")
    assert (other.name, other.url) == ("other.example.com", "http://other.example.com:8080/")
    assert other.credentials == ("someone", "${NOT_LOOKED_INTO}")
    assert (internal.ca_file, internal.client_cert) == (Path("internal-ca.pem"), Path("/etc/ssl/client.pem"))
    assert internal.client_key == Path("keys/client.key")
    assert (internal.allow_http, other.allow_http) == (False, True)
    assert (internal.serials, other.serials) == (True, False)
    assert (other.ca_file, other.client_cert, other.client_key) == (None, None, None)


LOOPBACK = [
    *("127.0.0.1:8080", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]:80"),
    *("localhost", "index.localhost:80", "localhost.", "LOCALHOST.:80", "index.localhost."),
]


@pytest.mark.parametrize("host", LOOPBACK)
def test_an_upstream_needs_no_https_when_it_is_on_this_machine(host: str) -> None:
    (upstream,) = load_line(f"upstreams: [{{url: 'http://{host}/simple/'}}]").upstreams
    assert not upstream.allow_http


@pytest.mark.parametrize(
    ("second", "is_refused"),
    [
        ("url: 'https://packages.example.com/b/', client-cert: other.pem", True),
        ("url: 'https://PACKAGES.example.com:8443/b/', client-cert: other.pem", True),
        ("url: 'https://packages.example.com/b/', client-cert: a.pem, client-key: other.key", True),
        ("url: 'https://packages.example.com/b/', client-cert: a.pem", False),
        ("url: 'https://packages.example.com/b/'", False),
        ("url: 'https://b.example.com/', client-cert: other.pem", False),
    ],
)
def test_a_host_is_shown_one_certificate_when_two_upstreams_are_on_it(second: str, is_refused: bool) -> None:
    first = "{name: first, url: 'https://packages.example.com/a/', client-cert: a.pem}"
    line = f"upstreams: [{first}, {{name: second, projects: [b], {second}}}]"
    if not is_refused:
        assert len(load_line(line).upstreams) == 2
        return
    message = message_of_line(line)
    assert 'upstreams[1].client-cert: another certificate for packages.example.com than that of "first"' in message
    assert "name the same files in both" in message


ELSEWHERE = [
    *("packages.example.com", "10.0.0.1", "localhost.example.com", "127.0.0.1.example.com", "localhost.."),
    *("[::ffff:10.0.0.1]", "[::127.0.0.1]", "notlocalhost"),
]


@pytest.mark.parametrize("host", ELSEWHERE)
@pytest.mark.parametrize("credentials", ["", f"robot:{PASSWORD}@"])
def test_http_is_refused_with_a_hint_when_the_upstream_is_elsewhere(host: str, credentials: str) -> None:
    entry = f"url: 'http://{credentials}{host}/simple/'"
    message = message_of(f"output: tree\nprojects: [demo]\nupstreams: [{{{entry}}}]\n")
    assert "mirror.yaml:3: upstreams[0].url: http, which everyone on the way can read and change" in message
    assert "add allow-http: true" in message
    assert PASSWORD not in message
    assert load_line(f"upstreams: [{{{entry}, allow-http: true}}]").upstreams[0].allow_http
    assert load_line(f"allow-http: true\nupstreams: [{{{entry}}}]").upstreams[0].allow_http
    assert "upstreams[0].url" in message_of(
        f"output: tree\nprojects: [demo]\nallow-http: true\nupstreams: [{{{entry}, allow-http: false}}]\n"
    )


def test_a_file_of_an_upstream_is_looked_for_beside_the_document_that_names_it() -> None:
    included = b"upstreams: [{url: 'https://x/', ca-file: ca.pem}]\nnetwork: {ca-file: all.pem}\n"
    spec = load("include: [common/base.yaml]\noutput: tree\nprojects: [demo]\n", files={"common/base.yaml": included})
    assert spec.upstreams[0].ca_file == Path("common/ca.pem")
    assert spec.network.ca_file == Path("common/all.pem")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("upstreams: [{url: 'https://x/', client-key: k}]", "upstreams[0].client-key: a key without a certificate"),
        ("upstreams: [{url: 'https://x/', ca-file: ' '}]", "upstreams[0].ca-file: names no file"),
        ("network: {ca-file: ''}", "network.ca-file: names no file"),
    ],
)
def test_a_file_for_tls_is_refused_when_it_is_none(line: str, said: str) -> None:
    assert said in message_of(f"output: tree\nprojects: [demo]\n{line}\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("25 %", MaxRemoval(percent=25)),
        ("12.5%", MaxRemoval(percent=12.5)),
        ("100 %", MaxRemoval(percent=100)),
        ("0", MaxRemoval(files=0, percent=0)),
        ("250", MaxRemoval(files=250, percent=0)),
    ],
)
def test_max_removal_is_a_share_or_a_number_of_files(text: str, expected: MaxRemoval) -> None:
    assert load_line(f"max-removal: {text}").max_removal == expected
    assert load_line("flat: true").max_removal == MaxRemoval(files=5, percent=10)


@pytest.mark.parametrize("text", ["-1", "101 %", "a tenth", "'%'", "10 % of all", "'1.5'", "10 kB %", "''"])
def test_max_removal_is_refused_when_it_is_neither(text: str) -> None:
    assert "max-removal: neither a share nor a number" in message_of(
        f"output: t\nprojects: [demo]\nmax-removal: {text}\n"
    )


@pytest.mark.parametrize(
    ("limit", "published", "most"),
    [
        (MaxRemoval(), 20, 5),
        (MaxRemoval(), 100, 10),
        (MaxRemoval(percent=50), 100, 50),
        (MaxRemoval(percent=100), 100, 100),
        (MaxRemoval(files=0, percent=0), 100, 0),
        (MaxRemoval(files=7, percent=0), 1000, 7),
    ],
)
def test_so_many_files_may_go_and_no_more(limit: MaxRemoval, published: int, most: int) -> None:
    assert [limit.allows(removed, published) for removed in (most, most + 1)] == [True, False]


def test_an_upstream_has_no_credentials_when_none_are_given() -> None:
    (upstream,) = load_line("upstreams: [{url: 'https://x/'}]").upstreams
    assert upstream.credentials is None


def test_a_password_is_left_to_the_keyring_when_there_is_only_a_username() -> None:
    (upstream,) = load_line("upstreams: [{url: 'https://x/', username: token}]").upstreams
    assert upstream.credentials == ("token", None)


def test_a_short_entry_takes_the_top_level_keys_when_it_is_read(full: Spec) -> None:
    rule = rule_of(full, "requests")
    assert rule.specifier == SpecifierSet(">=2.31,<3")
    assert rule.extras == {"socks", "use-chardet"}
    assert rule.marker == 'python_version >= "3.9"'
    assert rule.filters == full.filters
    assert rule.files == ()
    assert str(rule.origin) == f"mirror.yaml:{line_of('- Requests')}"


def test_a_long_entry_overrides_the_top_level_keys_when_it_has_its_own(full: Spec) -> None:
    rule = rule_of(full, "num-py")
    assert rule.specifier == SpecifierSet(">=1.26")
    assert rule.files == ("*-manylinux*_x86_64.whl", "*.tar.gz")
    assert structs.replace(rule.filters, origins=()) == Filters(
        environments=(make_environment("3.10", "macos", "pypy"),),
        package_types=frozenset({PackageType.BDIST_WHEEL}),
        sdists=SdistPolicy.ALL,
        prereleases=False,
        yanked=YankedPolicy.EXCLUDE,
        keep_latest=KeepLatest(count=3),
        exclude_newer=Cutoff(text="0"),
        exclude_older=Cutoff(text="1000 days", age_seconds=1000 * 86_400),
        max_file_size=10**9,
        dependencies=DependencyPolicy.NEWEST,
        build_dependencies=True,
    )
    assert str(rule.origin) == f"mirror.yaml:{line_of('- name: Num.Py')}"
    assert rule.origin.text == "Num.Py >=1.26"


def test_a_glob_is_a_rule_over_normalized_names_when_it_is_a_project(full: Spec) -> None:
    rule = rule_of(full, "acme-*")
    assert rule.is_glob
    assert rule.filters == full.filters
    assert full.globs() == ("acme-*",)


def test_the_top_level_filters_are_read_when_given(full: Spec) -> None:
    assert structs.replace(full.filters, origins=()) == Filters(
        environments=tuple(
            make_environment(python, platform) for python in ("3.12", "3.13t") for platform in ("linux", "win_amd64")
        ),
        package_types=frozenset({PackageType.BDIST_WHEEL, PackageType.SDIST, PackageType.BDIST_EGG}),
        sdists=SdistPolicy.FALLBACK,
        prereleases=True,
        yanked=YankedPolicy.INCLUDE,
        keep_latest=KeepLatest(count=2, per=ReleaseLine.MINOR),
        exclude_newer=Cutoff(text="7 days", age_seconds=7 * 86_400),
        exclude_older=Cutoff(text="2019-12-31", moment=datetime(2019, 12, 31, tzinfo=UTC)),
        max_file_size=500_000_000,
        dependencies=DependencyPolicy.EVERY,
        build_dependencies=False,
    )


def test_a_group_is_rules_of_the_top_level_filters_when_it_is_named(full: Spec) -> None:
    (group,) = full.groups
    assert (group.name, str(group.origin), group.origin.text) == (
        "web-app",
        f"mirror.yaml:{line_of('Web.App:')}",
        "group web-app",
    )
    assert [(rule.pattern, str(rule.specifier), rule.extras, rule.marker) for rule in group.rules] == [
        ("flask", ">=3", {"async"}, 'python_version >= "3.9"'),
        ("gunicorn", "", frozenset(), None),
    ]
    assert [str(rule.origin) for rule in group.rules] == [
        f"mirror.yaml:{line_of('- Flask')}",
        f"mirror.yaml:{line_of('- gunicorn')}",
    ]
    assert [rule.filters for rule in group.rules] == [full.filters, full.filters]


def test_single_files_are_wanted_when_they_are_named(full: Spec) -> None:
    assert [(rule.project, rule.pattern, str(rule.origin), rule.origin.text) for rule in full.files] == [
        ("demo", WHEEL, f"mirror.yaml:{line_of('- demo-1.0')}", WHEEL),
        ("old-tool", "*.exe", f"mirror.yaml:{line_of('project: Old.Tool')}", "*.exe"),
    ]


def test_pins_and_unservable_lines_carry_their_origin_when_a_lock_file_is_named(full: Spec) -> None:
    assert [(pin.project, str(pin.specifier), str(pin.origin)) for pin in full.pins] == [
        ("click", "==8.1.7", "requirements.lock:1")
    ]
    parent = full.pins[0].origin.parent
    assert parent is not None
    assert (str(parent), parent.text) == (f"mirror.yaml:{line_of('- requirements.lock')}", "requirements.lock")


def test_excludes_match_normalized_names_when_written_otherwise(full: Spec) -> None:
    versioned, glob, long, listed = full.excludes
    assert versioned.matches_project(canonicalize_name("urllib3"))
    assert versioned.specifier == SpecifierSet("<1.26.19")
    assert glob.matches_project(canonicalize_name("torch-nightly"))
    assert not glob.matches_project(canonicalize_name("nightly-torch"))
    assert str(glob.origin) == f"mirror.yaml:{line_of('_Nightly')}"
    assert (long.pattern, long.specifier, long.files, long.reason) == (
        "torch",
        SpecifierSet("==2.0"),
        ("*+cu118*",),
        "too large",
    )
    assert (listed.pattern, listed.reason, str(listed.origin)) == ("leftpad", "a joke", "blocked.txt:1")


def test_network_limits_are_read_when_given(full: Spec) -> None:
    assert full.network == Network(
        connections=8,
        connections_per_host=4,
        timeout_seconds=10,
        page_timeout_seconds=120,
        file_timeout_seconds=3600,
        retries=0,
        max_page_bytes=1024**2,
        max_file_bytes=2 * 1000**3,
        max_rate=10_000_000,
        ca_file=Path("ca.pem"),
    )


def test_the_remaining_keys_are_read_when_given(full: Spec) -> None:
    assert not full.require_hashes
    assert full.on_upstream_removal is RemovalPolicy.KEEP
    assert full.max_total_size == 50 * 10**9
    assert full.max_removal == MaxRemoval(percent=25)
    assert full.stop_after_seconds == 6 * 3600
    assert not full.allow_http
    assert [(rule.pattern, str(rule.specifier)) for rule in full.allow_newer] == [("urllib3", ">=2.2.2")]
    assert full.projects() == ("click", "demo", "included", "num-py", "old-tool", "requests")


def test_defaults_stand_in_when_keys_are_left_out() -> None:
    spec = load("output: tree\nprojects: [demo]\n")
    assert spec.filters == Filters()
    assert spec.filters == Filters(
        package_types=frozenset({PackageType.BDIST_WHEEL, PackageType.SDIST}),
        prereleases=False,
        yanked=YankedPolicy.PINNED,
        sdists=SdistPolicy.ALL,
        dependencies=DependencyPolicy.NONE,
        build_dependencies=True,
    )
    assert spec.rules[0].filters == Filters()
    assert spec.require_hashes
    assert spec.on_upstream_removal is RemovalPolicy.QUARANTINE
    assert spec.max_total_size is None
    assert (spec.stop_after_seconds, spec.network.max_rate) == (None, None)
    assert spec.network == Network()
    assert [*spec.upstreams, *spec.excludes, *spec.pins, *spec.unservable, *spec.files, *spec.allow_newer] == []
    assert spec.groups == ()


def test_connections_per_host_follow_connections_when_only_those_are_given() -> None:
    network = load_line("network: {connections: 5}").network
    assert (network.connections, network.connections_per_host) == (5, 5)


def test_a_variable_is_replaced_when_it_is_set() -> None:
    spec = load("output: ${ROOT}/tree\nprojects: [demo]\n", environ={"ROOT": "/srv"})
    assert spec.output == Path("/srv/tree")


def test_a_byte_order_mark_is_passed_over_when_an_editor_wrote_one() -> None:
    assert load(b"\xef\xbb\xbfoutput: tree\nprojects: [demo]\n").projects() == ("demo",)


def test_the_example_loads_when_it_is_copied() -> None:
    spec = load_spec(EXAMPLES / "mirror.yaml", read=Path.read_bytes, environ={})
    assert spec.output == EXAMPLES / "mirror"
    assert {"requests", "markupsafe", "docopt"} <= set(spec.projects())
    assert spec.pins
    assert spec.unservable == ()
    assert [rule.pattern for rule in spec.excludes] == ["urllib3"]


# ── where a project comes from ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("project", "upstream"),
    [
        ("acme-tool", "internal"),
        ("acme", "rest"),
        ("tools", "tools"),
        ("tools-x", "rest"),
        ("both-tools", "internal"),  # claimed twice: the first in the file
        ("requests", "rest"),
    ],
)
def test_upstream_of_routes_a_project_when_upstreams_claim_names(project: str, upstream: str) -> None:
    spec = load_line(
        "upstreams: [{name: rest, url: 'https://r/'},"
        " {name: internal, url: 'https://i/', projects: ['Acme_*', both-tools]},"
        " {name: tools, url: 'https://t/', projects: [tools, both-*]}]"
    )
    found = spec.upstream_of(canonicalize_name(project))
    assert found is not None
    assert found.name == upstream


def test_upstream_of_is_the_default_index_when_no_upstream_takes_the_project() -> None:
    spec = load_line("upstreams: [{url: 'https://i/', projects: [acme-*]}]")
    assert spec.upstream_of(canonicalize_name("requests")) is None
    assert load_line("").upstream_of(canonicalize_name("requests")) is None


# ── mistakes, one at a time ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("excludes: [a]", '3: excludes: unknown key "excludes" (did you mean "exclude"?)'),
        ("package_types: [sdist]", '3: package_types: unknown key "package_types" (did you mean "package-types"?)'),
        ("projects: [b]", '3: projects: duplicate key "projects" (first given on line 2)'),
        ("network: {retries: 1, retries: 2}", "3: network.retries: duplicate key"),
        ("network: {retry: 1}", '3: network.retry: unknown key "retry" (did you mean "retries"?)'),
        ("? [a]\n: b", '3: ?: unknown key "?"'),
        (
            "upstreams:\n  - nam: x\n    url: https://x/",
            '4: upstreams[0].nam: unknown key "nam" (did you mean "name"?)',
        ),
        ("upstreams:\n  - name: x", '4: upstreams[0]: the key "url" is missing'),
    ],
)
def test_keys_are_refused_when_misspelled_repeated_or_missing(line: str, message: str) -> None:
    assert message_of_line(line).startswith(f"mirror.yaml:{message}")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{nme: demo, name: demo}", 'projects[0].nme: unknown key "nme" (did you mean "name"?)'),
        ("{version: '>=1'}", 'projects[0]: the key "name" is missing'),
        ("1", 'projects[0]: expected text or a mapping, got "1" (put it in quotes: "1")'),
        ("~", "projects[0]: expected text or a mapping, got nothing"),
        ("[demo]", "projects[0]: expected text or a mapping, got a list"),
        ("{name: demo, version: 1.0}", 'projects[0].version: expected text, got "1.0" (put it in quotes: "1.0")'),
        ("{name: demo, version: 2020-01-01}", 'projects[0].version: "2020-01-01" is not a version specifier'),
        ("{name: demo, version: [1]}", "projects[0].version: expected text, got a list"),
        (
            "{name: demo, version: '1.0'}",
            'projects[0].version: "1.0" is not a version specifier (did you mean "==1.0"?)',
        ),
        ("{name: demo, version: latest}", 'projects[0].version: "latest" is not a version specifier'),
        ("{name: 'demo <2', version: '>1'}", 'projects[0].version: "demo <2" has a version already (give it once)'),
        ("{name: demo, package-types: []}", "projects[0].package-types: an empty list keeps no file at all"),
        ("{name: demo, yanked: no}", 'projects[0].yanked: expected "pinned" or "include" or "exclude", got "no"'),
        ("demo >>1", 'projects[0]: "demo >>1" is not a requirement: '),
        ("demo >=1.*", 'projects[0]: "demo >=1.*" is not a requirement: '),
        ("''", 'projects[0]: "" is not a requirement: '),
        ("demo; nonsense", 'projects[0]: "demo; nonsense" is not a requirement: '),
        ("'acme-*[x]'", 'projects[0]: "acme-*[x]" is a pattern, which takes neither extras nor a marker'),
        ("'[ab]*'", 'projects[0]: "[ab]*" is not a requirement: '),
        ("'acme-* 2.0'", 'projects[0]: "2.0" is not a version specifier (did you mean "==2.0"?)'),
        (
            "acme-* >=2 ; extra == 1",
            'projects[0]: "acme-* >=2 ; extra == 1" is a pattern, which takes neither extras nor a marker',
        ),
        ("demo @ https://x/demo.whl", 'projects[0]: "demo @ …" names a URL, which no index can serve'),
        ("'demo @ git+ssh://git@x/demo'", 'projects[0]: "demo @ …" names a URL, which no index can serve'),
    ],
)
def test_a_project_is_refused_when_it_cannot_be_read(entry: str, message: str) -> None:
    assert message_of(f"output: tree\n\nprojects:\n  - {entry}\n").startswith(f"mirror.yaml:4: {message}")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("prereleases: maybe", 'prereleases: expected true or false, got "maybe"'),
        ("prereleases: 'true'", 'prereleases: expected true or false, got "true"'),
        ("prereleases: 1", 'prereleases: expected true or false, got "1"'),
        ("yanked: pined", 'yanked: expected "pinned" or "include" or "exclude", got "pined" (did you mean "pinned"?)'),
        ("require-hashes: []", "require-hashes: expected true or false, got a list"),
        ("package-types: sdist", 'package-types: expected a list, got "sdist" (write it as a list: [sdist])'),
        ("package-types: [sdst]", 'package-types[0]: unknown package type "sdst" (did you mean "sdist"?)'),
        ("package-types: [sdist, Z]", 'package-types[1]: unknown package type "Z" (known: bdist_dmg, '),
        ("package-types: []", "package-types: an empty list keeps no file at all"),
        ("lockfiles: [gone.lock]", 'lockfiles[0]: "gone.lock" cannot be read: No such file or directory (looked for '),
        ("lockfiles: {a: b}", "lockfiles: expected a list, got a mapping"),
        ("exclude:", "exclude: expected a list, got nothing"),
        ("exclude: [1]", 'exclude[0]: expected text or a mapping, got "1" (put it in quotes: "1")'),
        ("exclude: ['demo >>1']", 'exclude[0]: ">>1" is not a version specifier'),
        ("exclude: ['demo 1.0']", 'exclude[0]: "1.0" is not a version specifier (did you mean "==1.0"?)'),
        ("exclude: ['demo[x]']", 'exclude[0]: "[x]" is not a version specifier'),
        ("exclude: ['!']", 'exclude[0]: "!" is neither a project nor a pattern'),
        ("exclude: ['-demo']", 'exclude[0]: "-demo" is not a project name'),
        ("network: []", "network: expected a mapping, got a list"),
        ("network: {connections: 0}", 'network.connections: expected a whole number from 1 to 1024, got "0"'),
        ("network: {connections: 9999}", 'network.connections: expected a whole number from 1 to 1024, got "9999"'),
        ("network: {retries: -1}", 'network.retries: expected a whole number from 0 to 100, got "-1"'),
        ("network: {retries: true}", 'network.retries: expected a whole number from 0 to 100, got "true"'),
        ("network: {timeout: 30 q}", 'network.timeout: not an amount that can be used (write "30 s", "5 min", "2 h")'),
        ("network: {timeout: 0}", "network.timeout: not an amount that can be used"),
        ("network: {file-timeout: -1 s}", "network.file-timeout: not an amount that can be used"),
        ("network: {page-timeout: 1.5}", "network.page-timeout: expected text or a whole number, "),
        (
            "network: {max-file-size: 2 s}",
            'network.max-file-size: not an amount that can be used (write "500 kB", "2 GB")',
        ),
        ("network: {max-page-size: many}", "network.max-page-size: not an amount that can be used"),
        (
            "network: {max-rate: 10 MB}",
            'network.max-rate: not an amount that can be used (write "10 MB/s", "500 kB/s")',
        ),
        ("network: {max-rate: 10}", "network.max-rate: not an amount that can be used"),
        ("network: {max-rate: 10 MB/h}", "network.max-rate: not an amount that can be used"),
        ("network: {max-rate: 999 B/s}", "network.max-rate: not an amount that can be used"),
        ("stop-after: 0", 'stop-after: not an amount that can be used (write "6h", "90 min")'),
        ("stop-after: at six", "stop-after: not an amount that can be used"),
        ("upstreams: {url: 'https://x/'}", "upstreams: expected a list, got a mapping"),
        ("upstreams: [{url: 1}]", "upstreams[0].url: expected text, got something else (put it in quotes)"),
        ("upstreams: [{url: 'https://x/', projects: a}]", 'upstreams[0].projects: expected a list, got "a"'),
        ("upstreams: [{url: 'https://x/', projects: ['a b']}]", 'upstreams[0].projects[0]: "a b" is neither a project'),
        ("upstreams: [{url: 'https://x/${NAME}'}]", "upstreams[0].url: the environment variable NAME is not set"),
        (
            "upstreams: [{url: 'https://x/', password: p}]",
            "upstreams[0].password: a password without a username (add username:)",
        ),
        ("exclude: ['${B}-${A}-${B}']", "exclude[0]: the environment variable A, B is not set"),
        (
            "upstreams: [{url: 'https://x/'}, {url: 'https://y/'}]",
            "upstreams[1]: a second upstream without projects: it would never be asked",
        ),
        (
            "upstreams: [{url: 'https://x/', projects: [a]}, {url: 'https://x/2/'}]",
            'upstreams[1].name: a second upstream named "x"',
        ),
    ],
)
def test_a_value_is_refused_when_it_does_not_fit(line: str, message: str) -> None:
    assert message_of_line(line).startswith(f"mirror.yaml:3: {message}")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "packages.example.com/simple",
        "ftp://x/",
        "file:///srv/index/",
        "https://",
        "https://[x/",
        "https://x:99999/",
        "https://x:0/",
        "https://x:port/",
        "https://x/?page=1",
        "https://x/#top",
    ],
)
def test_an_upstream_is_refused_when_its_url_is_none_of_an_index(url: str) -> None:
    message = message_of_line(f"upstreams: [{{url: '{url}'}}]")
    assert message == (
        "mirror.yaml:3: upstreams[0].url: not the http(s) URL of an index (like https://packages.example.com/simple/)"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "mirror.yaml: the file is empty"),
        ("# only a comment\n", "mirror.yaml: the file is empty"),
        ("null", "mirror.yaml:1: expected a mapping, got nothing"),
        ("- demo", "mirror.yaml:1: expected a mapping, got a list"),
        ("demo", 'mirror.yaml:1: expected a mapping, got "demo"'),
        ("projects: [demo]", 'mirror.yaml:1: the key "output" is missing (the folder that becomes the mirror)'),
        ("output: ''\nprojects: [demo]", "mirror.yaml:1: output: names no folder"),
        ('output: "a\\0b"\nprojects: [demo]', "mirror.yaml:1: output: names no folder"),
        (
            "output: tree\n",
            "mirror.yaml:1: nothing is wanted (list something under projects:, groups:, files: or lockfiles:)",
        ),
        ("output: tree\nprojects: []\n", "mirror.yaml:1: nothing is wanted"),
        ("output: tree\nprojects:\n", "mirror.yaml:2: projects: expected a list, got nothing"),
        ("output: tree\nprojects: [a, b\nyanked: x\n", "mirror.yaml:3: not YAML: "),
        ("output: tree\n\tprojects: [a]\n", "mirror.yaml:2: not YAML: "),
        ("output: *nowhere\n", "mirror.yaml:1: not YAML: found undefined alias"),
        ("output: a\n---\noutput: b\n", "mirror.yaml:2: not YAML: but found another document"),
        (b"output: \xff\n", "mirror.yaml: not YAML: "),
        (b"output: tree\0\n", "mirror.yaml: not YAML: "),
    ],
)
def test_a_document_is_refused_when_it_is_no_spec_at_all(text: str | bytes, message: str) -> None:
    assert message_of(text).startswith(message)


def test_a_spec_is_refused_when_it_cannot_be_read() -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    with pytest.raises(SpecError) as caught:
        load_spec(Path("there/mirror.yaml"), read=refuse, environ={})
    assert str(caught.value).startswith("there/mirror.yaml: cannot be read: Permission denied")


def test_a_lock_file_is_refused_by_its_own_lines_when_it_pins_nothing() -> None:
    (problem,) = problems_of("output: tree\nlockfiles: [a.lock]\n", files={"a.lock": b"a==1\nb>1\n"})
    assert str(problem).startswith('a.lock:2: "b>1" is not pinned with ==')


def test_a_mistake_in_a_lock_file_is_said_once_when_it_is_named_twice() -> None:
    assert len(problems_of("output: tree\nlockfiles: [a.lock, a.lock]\n", files={"a.lock": b"b>1\n"})) == 1


def test_every_problem_is_in_one_error_when_there_are_many() -> None:
    problems = problems_of(
        "outpt: tree\n"
        "projects:\n"
        "  - a >>1\n"
        "  - {name: b, version: 1}\n"
        "package-types: [sdst]\n"
        "yanked: perhaps\n"
        "lockfiles: [gone.lock, bad.lock]\n"
        "exclude: ['!']\n"
        "upstreams: [{url: nowhere}]\n"
        "network: {timeout: soon}\n",
        files={"bad.lock": b"c>1\n"},
    )
    assert sorted((problem.file, problem.line, problem.key) for problem in problems) == [
        ("bad.lock", 1, ""),
        ("mirror.yaml", 1, ""),  # output is missing,
        ("mirror.yaml", 1, "outpt"),  # for it is misspelled
        ("mirror.yaml", 3, "projects[0]"),
        ("mirror.yaml", 4, "projects[1].version"),
        ("mirror.yaml", 5, "package-types[0]"),
        ("mirror.yaml", 6, "yanked"),
        ("mirror.yaml", 7, "lockfiles[0]"),
        ("mirror.yaml", 8, "exclude[0]"),
        ("mirror.yaml", 9, "upstreams[0].url"),
        ("mirror.yaml", 10, "network.timeout"),
    ]


def test_problems_are_in_the_order_of_the_document_when_they_stand_on_several_lines() -> None:
    problems = problems_of("output: tree\n\nprojects:\n  - a >>1\n  - b >>1\n  - c >>1\nyanked: x\n")
    assert [problem.line for problem in problems] == [4, 5, 6, 7]


def test_problems_are_in_the_order_of_the_document_when_they_stand_on_one_line() -> None:
    projects = ", ".join(f"p{index} >>1" for index in range(12))
    problems = problems_of(f"output: tree\nprojects: [{projects}]\n")
    assert [problem.key for problem in problems] == [f"projects[{index}]" for index in range(12)]


@pytest.mark.parametrize("value", ["[tree]", "1", "${NAME}"])
def test_one_problem_is_noted_when_the_output_is_given_but_does_not_fit(value: str) -> None:
    assert message_of(f"output: {value}\nprojects: [demo]\n").startswith("mirror.yaml:1: output: ")


# ── hostile documents ───────────────────────────────────────────────────────────────────────────────


def _bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_bomb(9), "aliases that expand to more than 200000 values"),
        ("projects: &a [*a]", "aliases that expand to more than 200000 values"),
        ("projects: &a [{name: *a}]", "aliases that expand to more than 200000 values"),
        ("#" * (MAX_DOCUMENT_BYTES + 1), "1048577 bytes; a spec may have 1048576"),
        ("[" * 5000, "nested too deeply"),
        ("{a: " * 5000 + "1" + "}" * 5000, "nested too deeply"),
        ("- " * 5000 + "x", "nested too deeply"),
    ],
    ids=["bomb", "recursive", "recursive-key", "long", "open-lists", "mappings", "block"],
)
def test_a_document_is_refused_when_it_would_not_stay_small(text: str, message: str) -> None:
    said = message_of(text)
    assert said.startswith("mirror.yaml: ")
    assert message in said


def test_a_document_is_read_when_it_is_as_long_as_allowed() -> None:
    text = "output: tree\nprojects: [demo]\n#"
    assert load(text + "x" * (MAX_DOCUMENT_BYTES - len(text))).projects() == ("demo",)


def test_aliases_are_followed_when_the_document_stays_small() -> None:
    spec = load_line("package-types: &types [sdist]\nlockfiles: []")
    assert spec.filters.package_types == {PackageType.SDIST}
    again = load(
        "output: tree\nprojects:\n  - {name: a, package-types: &t [sdist]}\n  - {name: b, package-types: *t}\n"
    )
    assert [rule.filters.package_types for rule in again.rules] == [{PackageType.SDIST}] * 2


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.system 'true'",
        "!!python/name:os.system",
        "!!python/module:os",
        "!!python/tuple [a, b]",
        "!!python/object/apply:os.system ['true']",
        "!local tree",
        "!!binary dHJlZQ==",
    ],
)
def test_a_value_is_refused_when_its_tag_asks_for_an_object(value: str) -> None:
    problems = problems_of(f"output: tree\nprojects:\n  - name: {value}\n")
    for problem in problems:
        assert (problem.line, problem.key) == (3, "projects[0].name")
        assert problem.message.startswith(("expected text", "the tag "))


@pytest.mark.parametrize(
    "text",
    [
        "output: tree\nprojects: !!python/object/apply:os.system [demo]\n",
        "!!python/object:os.Environ {output: tree, projects: [demo]}\n",
        "output: tree\nprojects: [!!python/object/new:dict {name: demo}]\n",
    ],
)
def test_a_list_or_mapping_is_refused_when_its_tag_asks_for_an_object(text: str) -> None:
    assert "python/object" in message_of(text)


@pytest.mark.parametrize("value", ["!!float ''", "!!int ''", "!!bool perhaps", "!!timestamp today"])
def test_a_value_is_refused_when_it_is_not_what_its_tag_says(value: str) -> None:
    assert message_of_line(f"lockfiles: [{value}]").startswith("mirror.yaml:3: lockfiles[0]: expected text")


@pytest.mark.parametrize("size", ["9" * 400, f"'{'9' * 400} GB'"])
def test_a_size_is_refused_when_it_is_too_great_for_a_number(size: str) -> None:
    assert message_of_line(f"network: {{max-file-size: {size}}}").startswith("mirror.yaml:3: network.max-file-size: ")


def test_a_duration_is_refused_when_it_is_too_great_for_a_number() -> None:
    assert message_of_line(f"network: {{timeout: '{'9' * 400}'}}").startswith("mirror.yaml:3: network.timeout: ")


def test_a_size_is_refused_when_it_is_less_than_a_byte() -> None:
    assert message_of_line("network: {max-file-size: '0.5'}").startswith("mirror.yaml:3: network.max-file-size: ")


def test_the_output_is_refused_when_it_names_the_home_of_nobody() -> None:
    assert message_of("output: ~no-such-user/tree\nprojects: [demo]\n").startswith("mirror.yaml:1: output: ")


def test_an_upstream_is_refused_when_its_host_has_a_blank() -> None:
    assert "not the http(s) URL" in message_of_line("upstreams: [{url: 'https://exam ple.com/simple/'}]")


def test_a_message_is_escaped_when_a_name_would_move_the_cursor() -> None:
    assert '"a\\u001b[2J >>" is not a requirement' in message_of('output: tree\nprojects: ["a\\e[2J >>"]\n')


# ── credentials ─────────────────────────────────────────────────────────────────────────────────────


def test_credentials_are_in_no_repr_when_the_url_has_them() -> None:
    spec = load_line(f"upstreams: [{{url: '{WITH_PASSWORD}'}}]")
    (upstream,) = spec.upstreams
    assert upstream.credentials == ("robot", PASSWORD)
    assert upstream.url == "https://packages.example.com/simple/"
    assert PASSWORD not in f"{spec!r} {spec} {upstream}"
    assert "robot" not in repr(spec)


@pytest.mark.parametrize(
    ("url", "credentials"),
    [
        ("https://robot:p%40ss%3A@x/", ("robot", "p@ss:")),
        ("https://robot:a@b@x/", ("robot", "a@b")),
        ("https://token@x/", ("token", None)),
        ("https://token:@x/", ("token", "")),
        ("https://:secret@x/", ("", "secret")),
        ("https://x/", None),
    ],
)
def test_credentials_are_taken_out_when_a_url_is_read(url: str, credentials: tuple[str, str | None] | None) -> None:
    upstream = parse_upstream_url(url)
    assert upstream is not None
    assert (upstream.url, upstream.name, upstream.credentials) == ("https://x/", "x", credentials)


@pytest.mark.parametrize(
    "line",
    [
        f"upstreams: [{{url: 'https://robot:{PASSWORD}@[x/'}}]",
        f"upstreams: [{{url: 'https://robot:{PASSWORD}@x:port/'}}]",
        f"upstreams: [{{url: 'ftp://robot:{PASSWORD}@x/'}}]",
        f"upstreams: [{{url: 'https://robot:{PASSWORD}/@x/?a'}}]",
        f"upstreams: [{{url: 'https://robot:{PASSWORD}#@x/'}}]",
        f"upstreams: [{{url: 'https://robot:{PASSWORD}@x/${{NAME}}'}}]",
        f"upstreams: [{{url: ['{WITH_PASSWORD}']}}]",
        f"upstreams: [{{uri: '{WITH_PASSWORD}'}}]",
        f"upstreams: [{{url: '{WITH_PASSWORD}', projects: ['!']}}]",
        f"upstreams: [{{url: '{WITH_PASSWORD}'}}, {{url: '{WITH_PASSWORD}'}}]",
        f"upstreams: {{internal: '{WITH_PASSWORD}'}}",
        f"upstreams: [{{url: {WITH_PASSWORD} ]",
        f"upstreams:\n  - {WITH_PASSWORD}:\n",
        f"upstreams: [{{url: 'https://x/', password: {PASSWORD}}}]",
        f"upstreams: [{{url: 'https://x/', username: robot, password: [{PASSWORD}]}}]",
        f"projects: ['demo @ https://robot:{PASSWORD}@x/demo.whl']",
        f"upstreams: [{{url: 'https://x/', username: robot, password: !secret {PASSWORD}}}]",
        f"upstreams: ['{WITH_PASSWORD}']",
        f"upstreams: '{WITH_PASSWORD}'",
        f"upstreams: [{{url: !secret '{WITH_PASSWORD}'}}]",
        f"exclude: ['https://robot:{PASSWORD}@x/demo.whl']",
    ],
)
def test_credentials_are_in_no_message_when_an_upstream_is_refused(line: str) -> None:
    said = "\n".join(str(problem) for problem in problems_of(f"output: tree\n{line}\n"))
    assert said
    assert PASSWORD not in said


def test_a_password_is_in_no_message_when_it_is_a_number() -> None:
    assert "12345678" not in message_of_line("upstreams: [{url: 'https://x/', username: robot, password: 12345678}]")


@pytest.mark.parametrize(
    "entry",
    [
        f"https://robot:{PASSWORD}@x/demo-1.0.whl",
        f"git+https://robot:{PASSWORD}@x/demo",
        f"demo @ https://robot:{PASSWORD}@x/demo.whl ; nonsense",
    ],
)
def test_credentials_are_in_no_message_when_a_project_is_a_url(entry: str) -> None:
    assert PASSWORD not in message_of(f"output: tree\nprojects: ['{entry}']\n")


# ── amounts ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30),
        ("30 s", 30),
        ("1.5 min", 90),
        ("2h", 7200),
        (" 7 Days ", 604_800),
        ("1 week", 604_800),
        ("0", 0),
        ("", None),
        ("s", None),
        ("-1 s", None),
        ("1e3", None),
        ("\uff11 s", None),
        ("1 fortnight", None),
        ("1 s 2", None),
    ],
)
def test_parse_duration_is_in_seconds_when_it_can_be_read(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("7", 7),
        ("7 B", 7),
        ("1.5kB", 1500),
        ("2 GB", 2_000_000_000),
        ("1 KiB", 1024),
        ("1 tib", 1024**4),
        ("1 s", None),
    ],
)
def test_parse_size_is_in_bytes_when_it_can_be_read(text: str, size: float | None) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (123_456, "123 kB"),
        (2_500_000_000, "2.5 GB"),
        (10**15, "1000.0 TB"),
    ],
)
def test_format_size_takes_the_unit_of_a_person_when_it_is_shown(size: int, text: str) -> None:
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("line", "place"),
    [
        (f"projects: ['demo >={'9' * 1999}']", "projects[0]"),
        (f"projects: ['demo >={'9' * 5000}']", "projects[0]"),
        (f"projects: [\"demo ; {'(' * 1500}os_name == 'nt'{')' * 1500}\"]", "projects[0]"),
        (f"projects: ['demo-* >={'9' * 1999}']", "projects[0]"),
        (f"projects: [{{name: demo, version: '>={'9' * 5000}'}}]", "projects[0].version"),
        (f"projects: [demo]\nexclude: ['demo =={'9' * 5000}']", "exclude[0]"),
        (f"projects: [demo]\nmax-file-size: 0x{'f' * 5000}", "max-file-size"),
        (f"projects: [demo]\nexclude-newer: 0x{'f' * 5000}", "exclude-newer"),
        (f"projects: [demo]\nkeep-latest: 0x{'f' * 5000}", "keep-latest"),
        (f"projects: [demo]\nnetwork: {{timeout: 0x{'f' * 5000}}}", "network.timeout"),
    ],
    ids=range(10),
)
def test_a_number_or_a_marker_without_end_is_refused_when_it_stops_the_parser(line: str, place: str) -> None:
    (problem,) = problems_of(f"output: tree\n{line}\n")
    assert problem.key == place
    assert len(str(problem)) < 400
