"""``dependencies``, ``build-dependencies`` and ``groups``: what is read, and what is said of each mistake."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from packaging.utils import canonicalize_name

from pymirror.errors import SpecError
from pymirror.spec.json_schema import make_json_schema
from pymirror.spec.model import DependencyPolicy, Group, Spec
from tests.test_spec import load, message_of, problems_of

HEAD = "output: tree\nenvironments: {python: ['3.12'], platform: [linux]}\n"
NO_ENVIRONMENT = "there is no environment to solve them for (say with environments: where everything must install)"
ALL_IS_NONE = '"all" is no environment to solve dependencies for (name some, or add dependencies: false)'
NO_NAME = 'is no name of a group (letters, digits, "-", "_" and ".", such as "web")'
EXPECTED = 'expected true or false or "newest" or "every", got'


def load_groups(text: str) -> tuple[Group, ...]:
    """The groups of a spec, the first of which stands on its fourth line."""
    return load(f"{HEAD}groups:\n{text}").groups


def message_of_group(items: str) -> str:
    """What is said of the one mistake in the group ``web``, on line 3."""
    return message_of(f"{HEAD}groups: {{web: {items}}}\n")


def requirements_of(group: Group) -> list[str]:
    return [rule.origin.text for rule in group.rules]


# ── dependencies ────────────────────────────────────────────────────────────────────────────────────

POLICIES = [
    ("false", DependencyPolicy.NONE),
    ("no", DependencyPolicy.NONE),
    ("true", DependencyPolicy.NEWEST),
    ("newest", DependencyPolicy.NEWEST),
    ("every", DependencyPolicy.EVERY),
]


@pytest.mark.parametrize(("value", "policy"), POLICIES)
def test_dependencies_are_followed_for_every_project_when_the_top_says_so(value: str, policy: DependencyPolicy) -> None:
    spec = load(f"{HEAD}dependencies: {value}\nprojects: [demo]\n")
    assert spec.filters.dependencies is policy
    assert spec.rules[0].filters == spec.filters


@pytest.mark.parametrize(("value", "policy"), POLICIES)
def test_dependencies_are_followed_for_one_project_when_it_says_so(value: str, policy: DependencyPolicy) -> None:
    top = "false" if policy is DependencyPolicy.EVERY else "every"
    spec = load(f"{HEAD}dependencies: {top}\nprojects:\n  - name: own\n    dependencies: {value}\n  - other\n")
    own, other = spec.rules
    assert own.filters.dependencies is policy
    assert other.filters.dependencies is spec.filters.dependencies is not policy
    origins = [filters.origin_of("dependencies") for filters in (own.filters, other.filters, spec.filters)]
    assert [str(origin) for origin in origins] == ["mirror.yaml:6", "mirror.yaml:3", "mirror.yaml:3"]


@pytest.mark.parametrize(
    ("value", "text"), [("true", "true"), ("yes", "true"), ("off", "false"), ("newest", "newest"), ("every", "every")]
)
def test_dependencies_know_their_text_when_they_were_given(value: str, text: str) -> None:
    origin = load(f"{HEAD}projects: [demo]\ndependencies: {value}\n").filters.origin_of("dependencies")
    assert origin is not None
    assert origin.text == f"dependencies: {text}"


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("true", DependencyPolicy.NEWEST),
        ("false", DependencyPolicy.NONE),
        ("every", DependencyPolicy.EVERY),
        ("newest", DependencyPolicy.NEWEST),
    ],
)
def test_dependencies_are_read_from_a_variable_when_it_is_set(text: str, policy: DependencyPolicy) -> None:
    spec = load(f"{HEAD}projects: [demo]\ndependencies: ${{V}}\n", environ={"V": text})
    assert spec.filters.dependencies is policy


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("newset", f'{EXPECTED} "newset" (did you mean "newest"?)'),
        ("Every", f'{EXPECTED} "Every" (did you mean "every"?)'),
        ("none", f'{EXPECTED} "none"'),
        ("all", f'{EXPECTED} "all"'),
        ("'true'", f'{EXPECTED} "true"'),
        ("1", f'{EXPECTED} "1"'),
        ("[newest]", f"{EXPECTED} a list"),
        ("{per: minor}", f"{EXPECTED} a mapping"),
        ("", f"{EXPECTED} nothing"),
    ],
)
def test_dependencies_are_refused_when_they_say_something_else(value: str, message: str) -> None:
    assert message_of(f"{HEAD}projects: [demo]\ndependencies: {value}\n") == f"mirror.yaml:4: dependencies: {message}"
    own = f"{HEAD}projects:\n  - name: demo\n    dependencies: {value}\n"
    assert message_of(own) == f"mirror.yaml:5: projects[0].dependencies: {message}"


@pytest.mark.parametrize("value", ["newest", "1", "''", "[true]"])
def test_build_dependencies_are_refused_when_they_are_no_truth_value(value: str) -> None:
    message = message_of(f"{HEAD}projects: [demo]\nbuild-dependencies: {value}\n")
    assert message.startswith("mirror.yaml:4: build-dependencies: expected true or false, got ")


def test_a_key_of_dependencies_is_suggested_when_it_is_misspelled() -> None:
    message = message_of(f"{HEAD}projects: [demo]\ndependency: true\n")
    assert message == 'mirror.yaml:4: dependency: unknown key "dependency" (did you mean "dependencies"?)'
    message = message_of(f"{HEAD}projects: [{{name: demo, build-dependency: true}}]\n")
    assert message.endswith('unknown key "build-dependency" (did you mean "build-dependencies"?)')


# ── dependencies and groups without environments ────────────────────────────────────────────────────


@pytest.mark.parametrize("given", ["", "environments: all\n"])
def test_dependencies_are_refused_when_there_is_no_environment(given: str) -> None:
    line = 2 + given.count("\n")
    message = message_of(f"output: tree\n{given}dependencies: true\nprojects: [one, two, 'three*']\n")
    assert message == f"mirror.yaml:{line}: dependencies: {NO_ENVIRONMENT}"


@pytest.mark.parametrize("given", ["", "environments: all\n"])
def test_groups_are_refused_when_there_is_no_environment(given: str) -> None:
    line = 2 + given.count("\n")
    message = message_of(f"output: tree\n{given}groups:\n  web: [demo]\n  jobs: [demo]\n")
    assert message == f"mirror.yaml:{line}: groups: {NO_ENVIRONMENT}"


def test_each_entry_is_told_when_it_asks_for_dependencies_without_an_environment() -> None:
    text = f"""\
{HEAD}dependencies: true
projects:
  - fine
  - name: own
    environments: all
  - name: both
    environments: all
    dependencies: every
  - name: quiet
    environments: all
    dependencies: false
"""
    assert [str(problem) for problem in problems_of(text)] == [
        f"mirror.yaml:7: projects[1].environments: {ALL_IS_NONE}",
        f"mirror.yaml:10: projects[2].dependencies: {NO_ENVIRONMENT}",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "dependencies: false\nprojects: [demo]\n",
        "dependencies: true\nprojects: [{name: demo, dependencies: false}]\n",
        "dependencies: true\nprojects: [{name: demo, environments: [{python: '3.12', platform: linux}]}]\n",
        "build-dependencies: true\nprojects: [demo]\n",
        "dependencies: true\nfiles: [demo-1.0.zip]\n",
    ],
)
def test_no_environment_is_missed_when_nothing_is_to_be_solved(text: str) -> None:
    assert load(f"output: tree\n{text}")


def test_no_environment_is_missed_when_only_a_lock_is_wanted() -> None:
    """It is never resolved again."""
    spec = load("output: tree\ndependencies: true\nlockfiles: [a.lock]\n", files={"a.lock": b"demo==1.0\n"})
    assert spec.pins


def test_only_the_mistake_is_told_when_the_environments_have_one() -> None:
    """They are there: that they are missing would be a second message about one mistake."""
    wanted = "dependencies: true\nprojects: [demo]\ngroups: {web: [demo]}\n"
    lists = "{python: [" + "'3.12', " * 20 + "], platform: [" + "linux, " * 20 + "]}"
    for environments in ("{python: [x], platform: [linux]}", "{python: ['3.12']}", "[]", "none", lists):
        (problem,) = problems_of(f"output: tree\nenvironments: {environments}\n{wanted}")
        assert problem.key.startswith("environments")
    (problem,) = problems_of(f"output: tree\nenvironment: all\n{wanted}")
    assert problem.hint == 'did you mean "environments"?'


def test_the_environments_may_come_from_an_included_document_when_dependencies_need_some() -> None:
    files = {"base.yaml": b"environments: {python: ['3.12'], platform: [linux]}\n", "broken.yaml": b"output: [\n"}
    text = "output: tree\ninclude: [base.yaml]\ndependencies: true\nprojects: [demo]\ngroups: {web: [demo]}\n"
    assert load(text, files=files).filters.environments
    (problem,) = problems_of(text.replace("base", "broken"), files=files)
    assert problem.file == "broken.yaml"


def test_dependencies_are_refused_at_their_own_line_when_an_included_document_asks_for_them() -> None:
    files = {"base.yaml": b"projects: [base]\ndependencies: true\n"}
    (problem,) = problems_of("output: tree\ninclude: [base.yaml]\nprojects: [demo]\n", files=files)
    assert str(problem) == f"base.yaml:2: dependencies: {NO_ENVIRONMENT}"
    assert load("output: tree\ninclude: [base.yaml]\ndependencies: false\n", files=files)


# ── groups ──────────────────────────────────────────────────────────────────────────────────────────


def test_groups_are_read_in_their_order_when_there_are_several() -> None:
    groups = load_groups("  Web_App: [b, a >=2]\n  jobs:\n    - c ; os_name == 'nt'\n  '2024': [d]\n")
    assert [(group.name, str(group.origin)) for group in groups] == [
        ("web-app", "mirror.yaml:4"),
        ("jobs", "mirror.yaml:5"),
        ("2024", "mirror.yaml:7"),
    ]
    assert [requirements_of(group) for group in groups] == [["b", "a >=2"], ["c ; os_name == 'nt'"], ["d"]]
    assert [(rule.pattern, str(rule.origin)) for rule in groups[1].rules] == [("c", "mirror.yaml:6")]


def test_a_group_is_enough_when_nothing_else_is_wanted() -> None:
    spec = load(f"{HEAD}groups: {{web: [demo]}}\n")
    assert [group.name for group in spec.groups] == ["web"]


def test_a_project_of_a_group_is_none_of_the_spec_when_nothing_else_names_it() -> None:
    spec = load(f"{HEAD}groups: {{web: [grouped]}}\nprojects: [demo]\n")
    assert spec.projects() == ("demo",)
    assert spec.rules[0].pattern == "demo"


def test_groups_have_the_filters_of_the_top_when_these_are_given() -> None:
    spec = load(f"{HEAD}prereleases: true\ndependencies: every\nbuild-dependencies: false\ngroups: {{web: [demo]}}\n")
    (rule,) = spec.groups[0].rules
    assert rule.filters == spec.filters
    assert (rule.filters.dependencies, rule.filters.build_dependencies) == (DependencyPolicy.EVERY, False)


def test_a_variable_is_replaced_in_a_group_when_it_is_set() -> None:
    spec = load(f"{HEAD}groups: {{web: ['demo ==${{V}}']}}\n", environ={"V": "1.0"})
    assert str(spec.groups[0].rules[0].specifier) == "==1.0"


def test_requirements_on_one_project_stand_side_by_side_when_they_differ() -> None:
    (group,) = load_groups("  web: [a, a <3, 'a[x]', a ; os_name == 'nt', a ; os_name == 'posix']\n")
    assert [rule.pattern for rule in group.rules] == ["a"] * 5


def load_included(own: str, *included: str) -> Spec:
    names = [f"{number}.yaml" for number in range(len(included))]
    files = {name: text.encode() for name, text in zip(names, included, strict=True)}
    return load(f"{HEAD}include: [{', '.join(names)}]\nprojects: [demo]\n{own}", files=files)


def test_groups_add_up_when_documents_have_some() -> None:
    spec = load_included("groups: {web: [x], own: [y]}\n", "groups: {base: [z]}\n", "groups: {jobs: [u]}\n")
    assert [(group.name, requirements_of(group)) for group in spec.groups] == [
        ("base", ["z"]),
        ("jobs", ["u"]),
        ("web", ["x"]),
        ("own", ["y"]),
    ]
    origin = spec.groups[0].origin
    assert (str(origin), str(origin.parent)) == ("0.yaml:1", "mirror.yaml:3")


def test_the_group_of_the_including_document_counts_when_both_have_one_of_that_name() -> None:
    spec = load_included("groups: {Web.App: [x]}\n", "groups: {web-app: [y, z], base: [u]}\n")
    assert {group.name: requirements_of(group) for group in spec.groups} == {"web-app": ["x"], "base": ["u"]}
    assert [str(group.origin) for group in spec.groups] == ["mirror.yaml:5", "0.yaml:1"]


def test_the_group_of_a_later_include_counts_when_two_have_one_of_that_name() -> None:
    spec = load_included("", "groups: {web: [x]}\n", "groups: {web: [y]}\n")
    assert [requirements_of(group) for group in spec.groups] == [["y"]]


def test_a_group_is_checked_when_another_document_replaces_it() -> None:
    with pytest.raises(SpecError, match=r'0\.yaml:1: groups\.web\[0\]: "a\*" is a pattern'):
        load_included("groups: {web: [x]}\n", "groups: {web: [a*]}\n")


# ── groups that are refused ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ("[]", "web: an empty list names nothing (list requirements, or leave the group out)"),
        ("", "web: expected a list, got nothing"),
        ("demo", 'web: expected a list, got "demo" (write it as a list: [demo])'),
        ("{a: b}", "web: expected a list, got a mapping"),
        ("[{name: demo}]", "web[0]: expected text, got a mapping"),
        ("[demo, 1]", 'web[1]: expected text, got "1" (put it in quotes: "1")'),
        ("[demo, 'acme-*']", 'web[1]: "acme-*" is a pattern; a group lists requirements (name the projects)'),
        ("['d?mo >=1']", 'web[0]: "d?mo >=1" is a pattern; a group lists requirements (name the projects)'),
        ("['*']", 'web[0]: "*" is a pattern; a group lists requirements (name the projects)'),
        (
            "['demo @ https://robot:hunter2@x.example.com/demo.zip']",
            'web[0]: "demo @ …" names a URL, which no index can serve',
        ),
        ("[a, Demo.Tool >=1.0, 'demo_tool>=1.0']", 'web[2]: "demo_tool>=1.0" is in the group already (first given on'),
        (
            "['a[x,Y] ; os_name==\"nt\"', 'A[y,x];os_name == \"nt\"']",
            'web[1]: "A[y,x];os_name == "nt"" is in the group',
        ),
        ("['a ; extra == \"b\"']", 'web[0]: "a ; extra == "b"" has a marker of extras, and a group has none'),
        (
            '[\'a ; "b" in extras or os_name == "nt"\']',
            'web[0]: "a ; "b" in extras or os_name == "nt"" has a marker of',
        ),
        ("['']", 'web[0]: "" is not a requirement: '),
        ("['demo ; no_such == 1']", 'web[0]: "demo ; no_such == 1" is not a requirement: '),
        ("['demo ;']", 'web[0]: "demo ;" is not a requirement: '),
        ("['-r more.txt']", 'web[0]: "-r more.txt" is not a requirement: '),
        ("['./demo']", 'web[0]: "./demo" is not a requirement: '),
        ("['demo 1.0']", 'web[0]: "demo 1.0" is not a requirement: '),
        ("['demo ==${V}']", "web[0]: the environment variable V is not set"),
    ],
)
def test_a_group_is_refused_when_it_cannot_be_read(items: str, message: str) -> None:
    assert message_of_group(items).startswith(f"mirror.yaml:3: groups.{message}")


def test_a_marker_is_none_of_extras_when_only_its_text_says_extra() -> None:
    (group,) = load_groups("  web: ['demo ; sys_platform != \"extra\"']\n")
    assert group.rules[0].marker == 'sys_platform != "extra"'


def test_a_specifier_with_a_star_is_no_pattern_when_it_stands_in_a_group() -> None:
    (group,) = load_groups("  web: [demo ==1.*, 'other[x]==2.*']\n")
    assert [(rule.pattern, rule.is_glob) for rule in group.rules] == [("demo", False), ("other", False)]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("[web]", "expected a mapping, got a list"),
        ("web", 'expected a mapping, got "web"'),
        ("", "expected a mapping, got nothing"),
        ("!!set {web}", 'the tag "set" is not allowed'),
    ],
)
def test_groups_are_refused_when_they_are_no_mapping(value: str, message: str) -> None:
    assert message_of(f"{HEAD}projects: [demo]\ngroups: {value}\n") == f"mirror.yaml:4: groups: {message}"


@pytest.mark.parametrize("name", ["my group", "-web", "web-", "wéb", "''", "web!", "[web]", "~ ~", "w" * 300])
def test_a_group_is_refused_when_its_name_is_none(name: str) -> None:
    assert message_of(f"{HEAD}groups:\n  ? {name}\n  : [demo]\n").endswith(NO_NAME)


def test_a_name_is_in_no_message_when_it_may_hold_a_credential() -> None:
    (problem,) = problems_of(f"{HEAD}groups:\n  https://robot:hunter2@x.example.com/: [demo]\n")
    assert str(problem) == f'mirror.yaml:4: groups.…: "…" {NO_NAME}'


def test_a_name_is_refused_when_two_groups_have_it() -> None:
    text = f"{HEAD}groups:\n  Web_App: [a]\n  web.app: [b]\n  web-app: [c]\n  Web_App: []\n"
    assert [str(problem) for problem in problems_of(text)] == [
        'mirror.yaml:5: groups.web.app: "web.app" and "Web_App" are the same name (make one group of them)',
        'mirror.yaml:6: groups.web-app: "web-app" and "Web_App" are the same name (make one group of them)',
        'mirror.yaml:7: groups.Web_App: duplicate key "Web_App" (first given on line 4)',
    ]


def test_the_first_of_them_is_named_when_a_requirement_is_given_three_times() -> None:
    text = f"{HEAD}groups:\n  web:\n    - a\n    - A\n    - a\n"
    assert [str(problem) for problem in problems_of(text)] == [
        'mirror.yaml:6: groups.web[1]: "A" is in the group already (first given on line 5)',
        'mirror.yaml:7: groups.web[2]: "a" is in the group already (first given on line 5)',
    ]


def test_every_mistake_of_groups_is_told_when_there_are_many() -> None:
    text = f"{HEAD}groups:\n  a: []\n  b:\n    - demo\n    - 'x*'\n    - demo\n  c: d\n  e f: [demo]\nyanked: maybe\n"
    assert [problem.line for problem in problems_of(text)] == [4, 7, 8, 9, 10, 11]


# ── the JSON Schema, and any text ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text", ["dependencies: every\n", "dependencies: true\n", "groups: {web: [a, b >=1], c: [d]}\n"]
)
def test_the_schema_has_no_objection_when_the_spec_is_good(text: str) -> None:
    text = f"{HEAD}projects: [demo]\n{text}"
    assert load(text)
    assert Draft202012Validator(make_json_schema()).is_valid(yaml.safe_load(text))


NAMES = st.text(st.sampled_from("aB1-_. é/:@\x1b"), max_size=6)
REQUIREMENTS = st.sampled_from(["a", "A", "b >=1", "b>=1", "c[x]", "d ; os_name == 'nt'", "e*", "f @ x", "", "ü"])


@settings(deadline=None, max_examples=100)
@given(st.dictionaries(NAMES, st.lists(REQUIREMENTS, max_size=4), max_size=4))
@example({"a": ["a"], "A": ["b"]})
def test_any_groups_are_read_or_refused_when_they_are_texts(groups: dict[str, list[str]]) -> None:
    text = HEAD + "projects: [demo]\n" + yaml.safe_dump({"groups": groups}, allow_unicode=True)
    document: dict[str, Any] = yaml.safe_load(text)
    try:
        spec = load(text)
    except SpecError as error:
        elsewhere = [problem for problem in error.problems if not (problem.key.startswith("groups.") and problem.line)]
        assert elsewhere == []
        return
    read = {group.name: requirements_of(group) for group in spec.groups}
    assert read == {canonicalize_name(name): items for name, items in document["groups"].items()}
