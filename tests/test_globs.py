"""Patterns under ``projects``, against the lists of projects of one upstream or several."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from tests.archives import make_sdist, make_wheel
from tests.conftest import Mirror
from tests.index import Answer, LocalIndex

LIST = "/simple/"
NAMES = ("acme-db", "acme-nightly", "acme-web", "demo")


def fill(index: LocalIndex, names: Sequence[str] = NAMES, version: str = "1.0") -> None:
    for name in names:
        index.add(make_wheel(name, version), project=name)


def pages(index: LocalIndex) -> list[str]:
    """The projects whose pages were asked for."""
    return sorted(path.split("/")[2] for path in index.asked_for("GET", "/simple/") if path != LIST)


def lists(index: LocalIndex) -> list[int]:
    """The statuses of the answers to questions for the list."""
    return [request.status for request in index.requests(LIST) if request.path == LIST]


def write_two(mirror: Mirror, index: LocalIndex, internal: LocalIndex, body: str) -> None:
    mirror.spec.write_text(
        "output: mirror\n"
        "upstreams:\n"
        f"  - {{name: public, url: '{index.url}'}}\n"
        f"  - {{name: internal, url: '{internal.url}', projects: [acme-*]}}\n"
        f"{body}\n"
    )


# ── one upstream ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("format_", ["json", "html"])
def test_a_pattern_takes_the_projects_that_it_matches(index: LocalIndex, mirror: Mirror, format_: str) -> None:
    index.formats = (format_,)
    fill(index)
    mirror.write_spec(index, "projects: ['ACME_*']\nexclude: ['*-nightly']")

    run = mirror.sync("--json")

    assert mirror.projects() == ["acme-db", "acme-web"]
    assert run.json["excluded"] == {}
    assert pages(index) == ["acme-db", "acme-web"]  # what is excluded as a whole is not even asked for
    assert lists(index) == [200]
    index.forget()
    before = mirror.content()

    mirror.sync()

    assert mirror.content() == before
    assert lists(index) == [304]
    assert {request.status for request in index.requests("/simple/")} == {304}


@pytest.mark.parametrize("format_", ["json", "html"])
def test_a_listed_name_may_be_spelt_in_any_way(index: LocalIndex, mirror: Mirror, format_: str) -> None:
    fill(index)
    names = ["Acme__DB", "ACME.web", "Demo", "../evil", "a b"]
    if format_ == "json":
        body = json.dumps({"meta": {"api-version": "1.0"}, "projects": [{"name": name} for name in names]})
    else:
        body = "".join(f'<a href="/somewhere/">{name}</a>' for name in names)
    kind = "application/vnd.pypi.simple.v1+json" if format_ == "json" else "text/html"
    index.fail_always(LIST, Answer(200, body.encode(), {"Content-Type": kind}))
    mirror.write_spec(index, "projects: ['*']\nexclude: [demo]")

    mirror.sync()

    assert mirror.projects() == ["acme-db", "acme-web"]
    assert pages(index) == ["acme-db", "acme-web"]


def test_the_list_is_asked_for_only_when_a_pattern_needs_it(index: LocalIndex, mirror: Mirror) -> None:
    fill(index)
    mirror.write_spec(index, "projects: [demo]")

    mirror.sync()

    assert lists(index) == []


def test_an_unchanged_list_is_not_written_again_when_upstream_has_no_validators(
    index: LocalIndex, mirror: Mirror
) -> None:
    index.validators = False
    fill(index)
    mirror.write_spec(index, "projects: ['acme-*']")
    mirror.sync()
    before = mirror.content()
    index.forget()

    mirror.sync()

    assert lists(index) == [200]
    assert mirror.content() == before


def test_a_new_project_comes_in_when_it_matches(index: LocalIndex, mirror: Mirror) -> None:
    fill(index)
    mirror.write_spec(index, "projects: ['acme-*']")
    mirror.sync()
    fill(index, ("acme-new", "other"))

    mirror.sync()

    assert mirror.projects() == ["acme-db", "acme-new", "acme-nightly", "acme-web"]


def test_projects_that_have_nothing_are_skipped_when_only_a_pattern_wants_them(
    index: LocalIndex, mirror: Mirror
) -> None:
    fill(index)
    index.statuses["empty"] = ("active", None)
    index.listed += ["gone", "not a name!"]
    mirror.write_spec(index, "projects: ['*']")

    run = mirror.sync()

    assert mirror.projects() == list(NAMES)
    assert pages(index) == sorted([*NAMES, "empty", "gone"])
    assert "failed" not in run.err
    assert "gone" not in run.err
    before = mirror.content()
    verbose = mirror.sync("-v")
    assert mirror.content() == before
    assert "gone: nothing to mirror" in verbose.err
    assert "empty: nothing to mirror" in verbose.err


@pytest.mark.parametrize("name", ["empty", "gone"])
def test_a_project_that_has_nothing_is_reported_when_it_is_named_too(
    index: LocalIndex, mirror: Mirror, name: str
) -> None:
    fill(index)
    index.statuses["empty"] = ("active", None)
    index.listed.append("gone")
    mirror.write_spec(index, f"projects: ['*', {name}]")

    run = mirror.sync("--json", code=1)

    assert [failure["project"] for failure in run.json["failures"]] == [name]
    assert mirror.projects() == list(NAMES)


def test_a_page_that_is_broken_is_reported_when_a_pattern_wants_it(index: LocalIndex, mirror: Mirror) -> None:
    fill(index)
    index.fail_always("/simple/acme-db/", Answer(200, b"{", {"Content-Type": "application/json"}))
    mirror.write_spec(index, "projects: ['acme-*']")

    run = mirror.sync("--json", code=1)

    assert [failure["project"] for failure in run.json["failures"]] == ["acme-db"]
    assert mirror.projects() == ["acme-nightly", "acme-web"]


@pytest.mark.parametrize("verb", ["sync", "plan"])
def test_a_pattern_that_matches_nothing_is_reported(index: LocalIndex, mirror: Mirror, verb: str) -> None:
    fill(index)
    mirror.write_spec(index, "projects: [demo, 'nothing-*', 'acme-d?']")

    run = mirror.run(verb, "--json", code=1)

    (failure,) = run.json["failures"]
    assert failure["what"] == "nothing-* (mirror.yaml:4)"
    assert "matches the pattern" in failure["problem"]
    if verb == "sync":
        assert mirror.projects() == ["acme-db", "demo"]


BAD_LISTS = {
    "server error": Answer(500),
    "not found": Answer(404),
    "forbidden": Answer(403),
    "another type": Answer(200, b"hello", {"Content-Type": "text/plain"}),
    "not json": Answer(200, b"{", {"Content-Type": "application/vnd.pypi.simple.v1+json"}),
    "empty": Answer(
        200,
        b'{"meta": {"api-version": "1.1"}, "projects": []}',
        {"Content-Type": "application/vnd.pypi.simple.v1+json"},
    ),
    "empty html": Answer(200, b"<html><body></body></html>", {"Content-Type": "text/html"}),
}


@pytest.mark.parametrize("answer", BAD_LISTS.values(), ids=BAD_LISTS)
def test_published_projects_stay_and_are_refreshed_when_the_list_cannot_be_had(
    index: LocalIndex, mirror: Mirror, answer: Answer
) -> None:
    fill(index)
    mirror.write_spec(index, "projects: ['acme-*', demo]", network="retries: 0")
    mirror.sync()
    fill(index, NAMES, "2.0")
    index.fail_always(LIST, answer)

    run = mirror.sync("--json", code=1)

    (failure,) = run.json["failures"]
    assert failure["what"] == "the list of projects of local"
    assert mirror.projects() == list(NAMES)
    for name in NAMES:
        assert len(mirror.filenames(name)) == 2
    index.faults.clear()
    assert mirror.sync("--json").json["failures"] == []


def test_named_projects_are_published_when_the_first_list_cannot_be_had(index: LocalIndex, mirror: Mirror) -> None:
    fill(index)
    index.fail_always(LIST, Answer(500))
    mirror.write_spec(index, "projects: ['acme-*', demo]", network="retries: 0")

    mirror.sync(code=1)

    assert mirror.projects() == ["demo"]


def test_each_pattern_has_its_own_rules(index: LocalIndex, mirror: Mirror) -> None:
    for version in ("1.0", "2.0", "3.0"):
        fill(index, ("acme-db", "beta-db", "demo"), version)
        index.add(make_sdist("acme-db", version), project="acme-db")
    mirror.write_spec(
        index,
        "projects:\n"
        "  - {name: 'acme-*', keep-latest: 1, package-types: [bdist_wheel]}\n"
        "  - 'beta-* >=2'\n"
        "  - {name: 'd*', version: '==9'}",
    )

    run = mirror.sync("--json")

    assert mirror.filenames("acme-db") == ["acme_db-3.0-py3-none-any.whl"]
    assert mirror.filenames("beta-db") == ["beta_db-2.0-py3-none-any.whl", "beta_db-3.0-py3-none-any.whl"]
    # A pattern demands nothing of the projects that it matches.
    assert mirror.projects() == ["acme-db", "beta-db"]
    assert run.json["failures"] == []


def test_a_pattern_adds_to_a_rule_that_names_the_project(index: LocalIndex, mirror: Mirror) -> None:
    for version in ("1.0", "2.0", "3.0"):
        fill(index, ("acme-db",), version)
    mirror.write_spec(index, "projects: ['acme-db ==1.0', {name: 'acme-*', keep-latest: 1}]")

    mirror.sync()

    assert mirror.filenames("acme-db") == ["acme_db-1.0-py3-none-any.whl", "acme_db-3.0-py3-none-any.whl"]


# ── a project that left the list ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("policy", ["quarantine", "keep", "drop"])
def test_a_project_that_left_the_list_follows_the_policy(index: LocalIndex, mirror: Mirror, policy: str) -> None:
    fill(index)
    mirror.write_spec(index, f"projects: ['acme-*']\non-upstream-removal: {policy}")
    mirror.sync()
    (entry,) = [entry for entry in index.entries if entry.project == "acme-db"]
    index.remove(entry.filename)
    index.forget()

    run = mirror.sync("--json")

    assert run.json["removals"] == [{"project": "acme-db", "filename": entry.filename, "policy": policy}]
    assert run.json["failures"] == []
    assert ("acme-db" in mirror.projects()) == (policy == "keep")
    assert "acme-db" not in pages(index)
    assert entry.filename in mirror.pool()
    assert mirror.run("verify", "--json").json["quarantined"] == (2 if policy == "quarantine" else 0)
    before = mirror.content()
    mirror.sync()
    assert mirror.content() == before
    fill(index, ("acme-db",))
    index.forget()

    mirror.sync()

    assert mirror.filenames("acme-db") == [entry.filename]
    assert index.requests("/packages/") == []


def test_a_kept_project_keeps_its_status_when_it_left_the_list(index: LocalIndex, mirror: Mirror) -> None:
    fill(index)
    index.statuses["acme-db"] = ("archived", "old")
    mirror.write_spec(index, "projects: ['acme-*']\non-upstream-removal: keep")
    mirror.sync()
    published = mirror.published()
    del index.statuses["acme-db"]
    index.remove("acme_db-1.0-py3-none-any.whl")

    mirror.sync()

    assert mirror.page("acme-db")["project-status"] == {"status": "archived", "reason": "old"}
    assert mirror.published() == published


def test_the_list_is_read_again_when_what_was_remembered_of_it_is_damaged(index: LocalIndex, mirror: Mirror) -> None:
    fill(index)
    mirror.write_spec(index, "projects: ['acme-*']")
    mirror.sync()
    before = mirror.published()
    (remembered,) = [path for path in (mirror.tree / ".pymirror" / "state" / "lists").rglob("*") if path.is_file()]
    remembered.write_bytes(b"\xffjunk")
    index.forget()

    mirror.sync()

    assert lists(index) == [200]
    assert mirror.published() == before


def test_a_project_that_is_named_too_stays_when_it_left_the_list(index: LocalIndex, mirror: Mirror) -> None:
    fill(index)
    mirror.write_spec(index, "projects: ['acme-*', acme-db]")
    mirror.sync()
    index.remove("acme_db-1.0-py3-none-any.whl")

    run = mirror.sync("--json", code=1)

    assert [failure["project"] for failure in run.json["failures"]] == ["acme-db"]
    assert run.json["removals"] == []
    assert "acme-db" in mirror.projects()


def test_too_many_projects_that_left_the_list_stop_the_run(index: LocalIndex, mirror: Mirror) -> None:
    names = [f"acme-{number}" for number in range(8)]
    fill(index, [*names, "demo"])
    mirror.write_spec(index, "projects: ['*']")
    mirror.sync()
    before = mirror.content()
    index.entries = [entry for entry in index.entries if entry.project in ("demo", "acme-7")]

    run = mirror.sync(code=4)

    assert "7 of the 9 published files" in run.err
    assert mirror.content() == before


# ── several upstreams ───────────────────────────────────────────────────────────────────────────────


def test_each_project_comes_from_the_upstream_that_claims_it(index: LocalIndex, mirror: Mirror) -> None:
    with LocalIndex() as internal:
        fill(index, ("acme-db", "acme-public-only", "demo"), "9.9")
        fill(internal, ("acme-db", "acme-web", "demo", "other"))
        write_two(mirror, index, internal, "projects: ['*']")

        mirror.sync()

        assert mirror.projects() == ["acme-db", "acme-web", "demo"]
        assert mirror.filenames("acme-db") == ["acme_db-1.0-py3-none-any.whl"]
        assert mirror.filenames("demo") == ["demo-9.9-py3-none-any.whl"]
        assert pages(index) == ["demo"]
        assert pages(internal) == ["acme-db", "acme-web"]
        assert index.requests("acme") == []
        assert internal.requests("demo") == []


def test_nobody_else_is_asked_when_an_upstream_claims_the_very_pattern(index: LocalIndex, mirror: Mirror) -> None:
    with LocalIndex() as internal:
        fill(index, ("acme-db",), "9.9")
        fill(internal, ("acme-db", "acme-web"))
        write_two(mirror, index, internal, "projects: ['acme-*']")

        mirror.sync()

        assert mirror.projects() == ["acme-db", "acme-web"]
        assert index.requests() == []


def test_the_projects_of_the_other_upstreams_are_refreshed_when_one_list_cannot_be_had(
    index: LocalIndex, mirror: Mirror
) -> None:
    with LocalIndex() as internal:
        fill(index, ("demo",))
        fill(internal, ("acme-db",))
        write_two(mirror, index, internal, "projects: ['*']\nnetwork: {retries: 0}")
        mirror.sync()
        fill(index, ("demo", "new"), "2.0")
        internal.fail_always(LIST, Answer(500))

        run = mirror.sync("--json", code=1)

        assert [failure["what"] for failure in run.json["failures"]] == ["the list of projects of internal"]
        assert mirror.projects() == ["acme-db", "demo", "new"]
        assert len(mirror.filenames("demo")) == 2


# ── why ─────────────────────────────────────────────────────────────────────────────────────────────


def test_why_tells_the_pattern_that_wants_a_project(index: LocalIndex, mirror: Mirror) -> None:
    fill(index)
    mirror.write_spec(index, "projects:\n  - demo\n  - 'acme-*'\nexclude: ['*-nightly']")

    web = mirror.run("why", "acme-web", "--json").json
    nightly = mirror.run("why", "acme_nightly-1.0-py3-none-any.whl").out

    assert web["is-wanted"] is True
    assert [chain["steps"] for chain in web["rules"]] == [["mirror.yaml:6: acme-*"]]
    assert web["files"][0]["is-in"] is True
    assert "acme_nightly-1.0-py3-none-any.whl: out" in nightly
    assert "left out: excluded: *-nightly (mirror.yaml:7: *-nightly)" in nightly
    assert pages(index) == ["acme-nightly", "acme-web"]


@pytest.mark.parametrize("state", ["not listed", "no page", "no list"])
def test_why_does_not_say_that_no_line_wants_a_project_that_a_pattern_matches(
    index: LocalIndex, mirror: Mirror, state: str
) -> None:
    fill(index)
    if state == "no page":
        index.listed.append("acme-gone")
    if state == "no list":
        index.fail_always(LIST, Answer(500))
    mirror.write_spec(index, "projects: ['acme-*']", network="retries: 0")

    run = mirror.run("why", "acme-gone", code=None)

    assert "no line of the spec wants it" not in run.out
    assert "acme-*" in run.out
    assert "mirror.yaml:4" in run.out
