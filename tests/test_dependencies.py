"""``dependencies`` and ``groups``, through the real command: what is mirrored for what is wanted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import pytest

from tests.archives import make_metadata, make_sdist, make_wheel
from tests.conftest import Mirror
from tests.index import JSON_TYPE, Answer, Entry, LocalIndex

LINUX = "environments: {python: ['3.12'], platform: [linux]}"
BOTH = "environments: {python: ['3.12'], platform: [linux, windows]}"


def add(index: LocalIndex, name: str, version: str, *requires: str, **more: Any) -> Entry:
    """A wheel for everything, its metadata offered by the index as PEP 658 has it."""
    said = {key: more.pop(key) for key in ("yanked", "upload_time", "size") if key in more}
    archive = make_wheel(name, version, requires=requires, **more)
    extras = more.get("extras", ())
    text = make_metadata(name, version, requires=requires, extras=extras, requires_python=more.get("requires_python"))
    entry = index.add(archive, core_metadata={"sha256": hashlib.sha256(text.encode()).hexdigest()}, **said)
    index.fail_always(f"{entry.path}.metadata", Answer(body=text.encode()))
    return entry


def versions(mirror: Mirror) -> dict[str, list[str]]:
    return {name: mirror.page(name)["versions"] for name in mirror.projects()}


def metadata_requests(index: LocalIndex) -> list[str]:
    return [request.path for request in index.requests(".metadata")]


# ── what is added ───────────────────────────────────────────────────────────────────────────────────


def test_everything_that_the_newest_release_needs_is_mirrored_when_dependencies_are_wanted(
    index: LocalIndex, mirror: Mirror
) -> None:
    add(index, "app", "1.0", "old")
    add(index, "app", "2.0", "lib>=1,<3")
    add(index, "lib", "1.0")
    add(index, "lib", "2.0", "leaf")
    add(index, "lib", "3.0")
    add(index, "leaf", "1.0")
    add(index, "old", "1.0")
    mirror.write_spec(index, f"{LINUX}\ndependencies: true\nprojects: [app]")
    run = mirror.sync()
    assert versions(mirror) == {"app": ["1.0", "2.0"], "leaf": ["1.0"], "lib": ["2.0"]}
    assert "dependencies: 2 releases of 2 projects, 2 files" in run.err


def test_every_kept_release_has_what_it_needs_when_dependencies_are_every(index: LocalIndex, mirror: Mirror) -> None:
    add(index, "app", "1.0", "lib<2")
    add(index, "app", "2.0", "lib")
    add(index, "lib", "1.0")
    add(index, "lib", "2.0")
    mirror.write_spec(index, f"{LINUX}\nprojects: [{{name: app, dependencies: every}}]")
    mirror.sync()
    assert versions(mirror) == {"app": ["1.0", "2.0"], "lib": ["1.0", "2.0"]}


def test_nothing_is_resolved_when_the_project_says_that_it_wants_no_dependencies(
    index: LocalIndex, mirror: Mirror
) -> None:
    add(index, "app", "1.0", "lib")
    add(index, "alone", "1.0", "nosuch")
    add(index, "lib", "1.0")
    body = f"{LINUX}\ndependencies: true\nprojects: [app, {{name: alone, dependencies: false}}]"
    mirror.write_spec(index, body)
    mirror.sync()
    assert mirror.projects() == ["alone", "app", "lib"]


def test_each_environment_has_its_own_when_markers_and_wheels_differ(index: LocalIndex, mirror: Mirror) -> None:
    add(index, "app", "1.0", 'colors; sys_platform == "win32"', 'fast[speed]; sys_platform == "linux"')
    add(index, "colors", "1.0", tag="cp312-cp312-win_amd64")
    add(index, "colors", "2.0", tag="cp312-cp312-manylinux_2_28_x86_64")
    add(index, "fast", "1.0", 'turbo; extra == "speed"', extras=["speed"])
    add(index, "turbo", "1.0")
    mirror.write_spec(index, f"{BOTH}\ndependencies: true\nprojects: [app]")
    mirror.sync()
    assert versions(mirror) == {"app": ["1.0"], "colors": ["1.0"], "fast": ["1.0"], "turbo": ["1.0"]}


def test_roots_are_solved_each_on_its_own_when_they_cannot_be_installed_together(
    index: LocalIndex, mirror: Mirror
) -> None:
    add(index, "one", "1.0", "lib<2")
    add(index, "two", "1.0", "lib>=2")
    add(index, "lib", "1.0")
    add(index, "lib", "2.0")
    mirror.write_spec(index, f"{LINUX}\ndependencies: true\nprojects: [one, two]")
    mirror.sync()
    assert versions(mirror)["lib"] == ["1.0", "2.0"]


def test_a_group_is_solved_as_one_when_its_members_pull_apart(index: LocalIndex, mirror: Mirror) -> None:
    add(index, "one", "1.0", "lib")
    add(index, "two", "1.0", "lib<2")
    add(index, "lib", "1.0")
    add(index, "lib", "2.0")
    mirror.write_spec(index, f"{LINUX}\ngroups: {{web: [one, two]}}")
    mirror.sync()
    assert versions(mirror) == {"lib": ["1.0"], "one": ["1.0"], "two": ["1.0"]}


def test_what_it_takes_to_build_is_mirrored_when_there_is_only_an_sdist(index: LocalIndex, mirror: Mirror) -> None:
    add(index, "app", "1.0", "old")
    index.add(make_sdist("old", "1.0", requires=["leaf"], build_requires=["backend>=2"]))
    add(index, "leaf", "1.0")
    index.add(make_sdist("backend", "2.0", requires=["tool"], build_requires=[]))
    add(index, "tool", "1.0")
    mirror.write_spec(index, f"{LINUX}\ndependencies: true\nprojects: [app]")
    mirror.sync()
    assert mirror.projects() == ["app", "backend", "leaf", "old", "tool"]
    mirror.write_spec(index, f"{LINUX}\ndependencies: true\nbuild-dependencies: false\nprojects: [app]")
    mirror.sync("--allow-shrink")
    assert mirror.projects() == ["app", "leaf", "old"]


def test_releases_that_a_filter_leaves_out_are_never_chosen(index: LocalIndex, mirror: Mirror) -> None:
    add(index, "app", "1.0", "lib", "large", "fresh", "taken-back")
    for name in ("lib", "large", "fresh", "taken-back"):
        add(index, name, "1.0")
    add(index, "lib", "2.0")
    add(index, "large", "2.0", files={"large/data.py": bytes(range(256)) * 400})
    add(index, "fresh", "2.0", upload_time="2026-05-06T07:08:09Z")
    add(index, "taken-back", "2.0", yanked="broken")
    body = f"{LINUX}\ndependencies: true\nprojects: [app]\nexclude: [lib >=2]\nmax-file-size: 20 kB\n"
    mirror.write_spec(index, body + "exclude-newer: 2026-01-01")
    mirror.sync()
    assert versions(mirror) == {name: ["1.0"] for name in ("app", "fresh", "large", "lib", "taken-back")}


def test_an_older_release_is_chosen_when_the_size_of_the_newer_one_is_told_too_late(
    index: LocalIndex, mirror: Mirror
) -> None:
    index.tells_sizes = False
    index.answers_head = False
    add(index, "app", "1.0", "large")
    add(index, "large", "1.0")
    add(index, "large", "2.0", files={"large/data.py": bytes(range(256)) * 400})
    mirror.write_spec(index, f"{LINUX}\ndependencies: true\nprojects: [app]\nmax-file-size: 20 kB")
    mirror.sync()
    assert versions(mirror)["large"] == ["1.0"]


def test_a_dependency_is_judged_by_its_own_rule_when_the_spec_has_one_for_it(index: LocalIndex, mirror: Mirror) -> None:
    add(index, "app", "1.0", "lib")
    add(index, "lib", "1.0")
    index.add(make_sdist("lib", "1.0"))
    add(index, "other", "1.0")
    index.add(make_sdist("other", "1.0"))
    add(index, "app", "2.0", "lib", "other")
    body = f"{LINUX}\ndependencies: true\nprojects: [app ==2.0, {{name: lib, package-types: [bdist_wheel]}}]"
    mirror.write_spec(index, body)
    mirror.sync()
    assert mirror.filenames("lib") == ["lib-1.0-py3-none-any.whl"]
    assert mirror.filenames("other") == ["other-1.0-py3-none-any.whl", "other-1.0.tar.gz"]


# ── what cannot be had ──────────────────────────────────────────────────────────────────────────────


def test_the_chain_and_the_rule_are_named_when_a_root_cannot_be_solved(index: LocalIndex, mirror: Mirror) -> None:
    add(index, "app", "1.0", "lib")
    add(index, "lib", "1.0", "leaf>=2")
    add(index, "leaf", "1.0")
    add(index, "leaf", "2.0")
    add(index, "well", "1.0")
    mirror.write_spec(index, f"{LINUX}\ndependencies: true\nprojects: [app, well]\nexclude: [leaf ==2.0]")
    run = mirror.sync(code=1)
    assert "failed: app (mirror.yaml:6)" in run.err
    assert "cannot be installed on cpython 3.12 on x86_64-unknown-linux-gnu" in run.err
    for word in ("lib 1.0", "leaf>=2", "2.0", "excluded", "mirror.yaml:7"):
        assert word in run.err
    assert mirror.projects() == ["app", "well"]


def test_what_was_published_for_a_root_stays_when_it_cannot_be_solved_any_more(
    index: LocalIndex, mirror: Mirror
) -> None:
    add(index, "app", "1.0", "lib")
    add(index, "lib", "1.0", "leaf")
    add(index, "leaf", "1.0")
    mirror.write_spec(index, f"{LINUX}\ndependencies: true\nprojects: [app]")
    mirror.sync()
    before = mirror.published()
    add(index, "app", "2.0", "lib", "nosuch")
    mirror.sync(code=1)
    assert versions(mirror) == {"app": ["1.0", "2.0"], "leaf": ["1.0"], "lib": ["1.0"]}
    assert before.keys() <= mirror.published().keys() | {"x"}


@pytest.mark.parametrize("answer", [Answer(status=500), Answer(body=b"no page", headers={"Content-Type": "text/html"})])
def test_nothing_goes_when_the_page_of_a_dependency_cannot_be_read(
    index: LocalIndex, mirror: Mirror, answer: Answer
) -> None:
    add(index, "app", "1.0", "lib")
    add(index, "lib", "1.0", "leaf")
    add(index, "leaf", "1.0")
    mirror.write_spec(index, f"{LINUX}\ndependencies: true\nprojects: [app]", network="retries: 0")
    mirror.sync()
    before = mirror.published()
    index.fail_always("/simple/lib/", answer)
    run = mirror.sync(code=1)
    assert "failed: lib" in run.err
    assert mirror.published() == before


def test_what_nothing_needs_any_more_leaves_when_the_root_goes(index: LocalIndex, mirror: Mirror) -> None:
    add(index, "app", "1.0", "lib")
    add(index, "lib", "1.0")
    add(index, "other", "1.0")
    mirror.write_spec(index, f"{LINUX}\ndependencies: true\nprojects: [app, other]")
    mirror.sync()
    mirror.write_spec(index, f"{LINUX}\ndependencies: true\nprojects: [other]")
    mirror.sync("--allow-shrink")
    assert mirror.projects() == ["other"]


def test_upstreams_keep_their_own_when_a_dependency_is_claimed(index: LocalIndex, mirror: Mirror) -> None:
    add(index, "app", "1.0", "acme-lib")
    add(index, "acme-lib", "1.0")
    with LocalIndex() as internal:
        internal.add(make_wheel("acme-lib", "9.0"))
        mirror.spec.write_text(
            f"output: mirror\n{LINUX}\ndependencies: true\nprojects: [app]\nupstreams:\n"
            f"- {{name: internal, url: '{internal.url}', projects: [acme-*]}}\n- {{name: local, url: '{index.url}'}}\n"
        )
        mirror.sync()
    assert versions(mirror)["acme-lib"] == ["9.0"]
    assert index.requests("/acme-lib/") == []


def test_what_a_root_needs_stays_when_its_own_page_is_gone_or_its_file_is_refused(
    index: LocalIndex, mirror: Mirror
) -> None:
    entry = add(index, "app", "1.0", "lib")
    add(index, "lib", "1.0")
    mirror.write_spec(index, f"{LINUX}\ndependencies: true\nprojects: [app]", network="retries: 0")
    mirror.sync()
    before = mirror.published()
    index.fail("/simple/app/", Answer(status=404))
    mirror.sync(code=1)
    assert mirror.published() == before
    entry.hashes.clear()  # which is refused without a sha256
    mirror.sync(code=1)
    assert mirror.published() == before


def test_what_a_root_needs_stays_when_more_is_asked_of_it_than_there_is(index: LocalIndex, mirror: Mirror) -> None:
    add(index, "app", "1.0", "lib", 'nosuch; extra == "x"', extras=["x"])
    add(index, "lib", "1.0")
    mirror.write_spec(index, f"{LINUX}\ndependencies: true\nprojects: [app]")
    mirror.sync()
    mirror.write_spec(index, f"{LINUX}\ndependencies: true\nprojects: ['app[x]']")
    mirror.sync(code=1)
    assert mirror.projects() == ["app", "lib"]


def test_the_older_release_stays_when_the_newer_one_cannot_be_fetched(index: LocalIndex, mirror: Mirror) -> None:
    add(index, "app", "1.0", "lib")
    add(index, "lib", "1.0", "leaf")
    add(index, "leaf", "1.0")
    mirror.write_spec(index, f"{LINUX}\nkeep-latest: 1\ndependencies: true\nprojects: [app]", network="retries: 0")
    mirror.sync()
    newer = [add(index, "lib", "2.0"), add(index, "app", "2.0", "lib")]
    for entry in newer:
        index.fail_always(entry.path, Answer(status=500))
    run = mirror.sync(code=1)
    assert "lib-2.0" in run.err
    assert versions(mirror) == {"app": ["1.0"], "leaf": ["1.0"], "lib": ["1.0"]}
    for entry in newer:
        index.faults.pop(entry.path)
    mirror.sync("--allow-shrink")
    assert versions(mirror) == {"app": ["2.0"], "lib": ["2.0"]}


def test_an_older_release_is_told_of_when_the_metadata_of_the_newer_one_cannot_be_had(
    index: LocalIndex, mirror: Mirror
) -> None:
    add(index, "app", "1.0", "lib")
    add(index, "lib", "1.0")
    newer = add(index, "lib", "2.0")
    for path in (newer.path, f"{newer.path}.metadata"):
        index.fail_always(path, Answer(status=500))
    mirror.write_spec(index, f"{LINUX}\ndependencies: true\nprojects: [app]", network="retries: 0")
    run = mirror.sync(code=1)
    assert "lib-2.0-py3-none-any.whl: what it needs cannot be told" in run.err


def test_the_wheel_has_the_last_word_when_upstream_says_something_else_of_it(index: LocalIndex, mirror: Mirror) -> None:
    entry = add(index, "app", "1.0", "lib")
    add(index, "lib", "1.0")
    said = make_metadata("app", "1.0").encode()
    entry.core_metadata = {"sha256": hashlib.sha256(said).hexdigest()}
    index.fail_always(f"{entry.path}.metadata", Answer(body=said))
    mirror.write_spec(index, f"{LINUX}\ndependencies: true\nprojects: [app]")
    run = mirror.sync()
    assert "app-1.0-py3-none-any.whl needs something else than upstream says of it" in run.err
    assert mirror.projects() == ["app", "lib"]
    assert "nothing written" in mirror.sync().err


def test_a_refresh_is_no_loss_when_newer_releases_take_the_place_of_many(index: LocalIndex, mirror: Mirror) -> None:
    names = [f"lib-{number}" for number in range(8)]
    add(index, "app", "1.0", *names)
    for name in names:
        add(index, name, "1.0")
    mirror.write_spec(index, f"{LINUX}\nkeep-latest: 1\ndependencies: true\nprojects: [app]")
    mirror.sync()
    for name in names:
        add(index, name, "2.0")
    mirror.sync()
    assert set(map(tuple, versions(mirror).values())) == {("1.0",), ("2.0",)}
    index.remove("app-1.0-py3-none-any.whl")
    add(index, "app", "2.0")
    mirror.sync(code=4)


def test_what_builds_a_release_is_needed_by_all_that_need_it(index: LocalIndex, mirror: Mirror) -> None:
    add(index, "one", "1.0", "old")
    add(index, "two", "1.0", "old")
    index.add(make_sdist("old", "1.0", requires=["leaf"], build_requires=["backend"]))
    add(index, "leaf", "1.0")
    add(index, "backend", "1.0")
    mirror.write_spec(index, f"{LINUX}\ndependencies: true\nprojects: [one, two]")
    mirror.sync()
    snapshot = json.loads((mirror.tree / ".pymirror/snapshots/000001.json").read_text())
    needed = {project["name"]: project["needed"][0]["roots"] for project in snapshot["projects"]}
    assert needed == {
        "backend": ["one", "two"],
        "leaf": ["one", "two"],
        "old": ["one", "two"],
        "one": ["one"],
        "two": ["two"],
    }


def test_a_root_is_solved_when_its_files_spell_the_version_differently(index: LocalIndex, mirror: Mirror) -> None:
    add(index, "app", "1.0", "lib", tag="cp312-cp312-manylinux_2_28_x86_64")
    index.add(make_sdist("app", "1.0.0"))
    add(index, "lib", "1.0")
    mirror.write_spec(index, f"{BOTH}\ndependencies: true\nprojects: [app]")
    mirror.run("sync", "--check")
    assert mirror.projects() == ["app", "lib"]


def test_runs_converge_when_a_pattern_matches_what_upstreams_list_does_not_name(
    index: LocalIndex, mirror: Mirror
) -> None:
    add(index, "app", "1.0", "acme-lib")
    add(index, "acme-lib", "1.0")
    add(index, "acme-other", "1.0")
    listing = b'{"meta": {"api-version": "1.4"}, "projects": [{"name": "acme-other"}, {"name": "app"}]}'
    index.fail_always("/simple/", Answer(body=listing, headers={"Content-Type": JSON_TYPE}))
    mirror.write_spec(index, f"{LINUX}\ndependencies: true\nprojects: [app, acme-*]")
    mirror.sync()
    assert mirror.projects() == ["acme-lib", "acme-other", "app"]
    for _ in range(2):
        assert "nothing written" in mirror.sync().err
    assert mirror.projects() == ["acme-lib", "acme-other", "app"]


def test_an_extra_that_there_is_not_is_told_of(index: LocalIndex, mirror: Mirror) -> None:
    add(index, "app", "1.0")
    mirror.write_spec(index, f"{LINUX}\ndependencies: true\nprojects: ['app[sokcs]']")
    run = mirror.sync()
    assert "warning: " in run.err
    assert "sokcs" in run.err


def test_an_sdist_that_is_too_large_is_not_fetched_for_what_it_needs(index: LocalIndex, mirror: Mirror) -> None:
    index.tells_sizes = False
    index.answers_head = False
    add(index, "app", "1.0", "lib")
    index.add(make_sdist("lib", "2.0", requires=[f"x-{number}; python_version < '3'" for number in range(900)]))
    index.add(make_sdist("lib", "1.0"))
    mirror.write_spec(index, f"{LINUX}\ndependencies: true\nmax-file-size: 2 kB\nprojects: [app]")
    mirror.sync()
    assert versions(mirror)["lib"] == ["1.0"]


def test_yanked_files_are_left_out_when_others_of_the_release_are_not(index: LocalIndex, mirror: Mirror) -> None:
    add(index, "app", "1.0", "lib")
    add(index, "lib", "1.0", yanked="broken")
    index.add(make_sdist("lib", "1.0"))
    mirror.write_spec(index, f"{LINUX}\ndependencies: true\nprojects: [app]")
    mirror.sync()
    assert mirror.filenames("lib") == ["lib-1.0.tar.gz"]


def test_a_typo_is_a_loss_though_a_newer_release_comes_in(index: LocalIndex, mirror: Mirror) -> None:
    for number in range(1, 13):
        index.add(make_wheel("demo", f"{number}.0"))
    mirror.write_spec(index, "projects: [demo]")
    mirror.sync()
    index.add(make_wheel("demo", "13.0"))
    mirror.write_spec(index, "projects: [demo >=13]")
    mirror.sync(code=4)


def test_what_a_moot_rule_needed_leaves(index: LocalIndex, mirror: Mirror) -> None:
    add(index, "app", "1.0", "lib")
    add(index, "lib", "1.0")
    add(index, "other", "1.0")
    mirror.write_spec(index, f"{LINUX}\ndependencies: true\nprojects: [app, other]")
    mirror.sync()
    mirror.write_spec(index, f"{LINUX}\ndependencies: true\nprojects: ['app ; sys_platform == \"win32\"', other]")
    mirror.sync("--allow-shrink")
    assert mirror.projects() == ["other"]


def test_what_an_excluded_project_needed_leaves_with_it_when_a_pattern_wants_it(
    index: LocalIndex, mirror: Mirror
) -> None:
    index.add(make_wheel("app", "1.0", requires=["lib"]))
    index.add(make_wheel("app-b", "1.0"))
    index.add(make_wheel("lib", "1.0"))
    body = f"{LINUX}\nmax-removal: 100 %\ndependencies: true\nprojects: ['app*']"
    mirror.write_spec(index, body)
    mirror.sync()
    mirror.write_spec(index, f"{body}\nexclude: [app]")

    mirror.sync()

    assert mirror.projects() == ["app-b"]
    assert "nothing new, nothing written\n" in mirror.sync().err


def test_old_dependencies_leave_when_only_an_old_file_of_the_root_is_refused(index: LocalIndex, mirror: Mirror) -> None:
    add(index, "app", "1.0").hashes.clear()
    add(index, "app", "2.0", "lib")
    add(index, "lib", "1.0")
    mirror.write_spec(index, f"{LINUX}\ndependencies: true\nprojects: [app]")
    mirror.sync(code=1)
    add(index, "lib", "2.0")
    mirror.sync(code=1)
    assert versions(mirror)["lib"] == ["2.0"]


# ── where the metadata come from ────────────────────────────────────────────────────────────────────


def test_no_metadata_are_asked_for_when_nothing_is_new(index: LocalIndex, mirror: Mirror) -> None:
    add(index, "app", "1.0", "lib")
    add(index, "lib", "1.0")
    index.add(make_sdist("leaf", "1.0"))
    add(index, "lib", "2.0", "leaf", "backend")
    add(index, "backend", "1.0")
    mirror.write_spec(index, f"{LINUX}\ndependencies: true\nprojects: [app]")
    mirror.sync()
    assert len(metadata_requests(index)) == len(set(metadata_requests(index))) == 3
    index.forget()
    run = mirror.sync()
    assert "nothing new, nothing written" in run.err
    assert {request.path.split("/")[1] for request in index.requests()} == {"simple"}


def test_each_file_is_asked_for_once_when_only_the_file_tells_what_it_needs(index: LocalIndex, mirror: Mirror) -> None:
    add(index, "app", "1.0", "old")
    index.add(make_sdist("old", "1.0", requires=["leaf"]))
    index.add(make_wheel("leaf", "1.0"))
    mirror.write_spec(index, f"{LINUX}\ndependencies: true\nprojects: [app]")
    run = mirror.sync()
    assert len([request for request in index.requests("old-1.0.tar.gz") if request.status == 200]) == 1
    assert "3 added" in run.err
    assert "3 downloaded" in run.err
    assert "0 reused" in run.err


def test_plan_tells_what_dependencies_add_and_writes_nothing(index: LocalIndex, mirror: Mirror) -> None:
    add(index, "app", "1.0", "lib")
    index.add(make_sdist("lib", "1.0", requires=["leaf"]))
    add(index, "leaf", "1.0")
    mirror.write_spec(index, f"{LINUX}\ndependencies: true\nprojects: [app]")
    run = mirror.run("plan", "--json")
    found = run.json["dependencies"]
    assert (found["releases"], found["files"], found["roots"], found["unsolved"]) == (2, 2, 1, 0)
    assert found["size"] == sum(len(entry.data) for entry in index.entries if entry.project != "app")
    assert not mirror.tree.exists()
    text = mirror.run("plan")
    assert "dependencies: 2 releases of 2 projects" in text.err
    assert "3 files to download" in text.out


def test_a_release_is_named_when_only_a_build_would_tell_what_it_needs(index: LocalIndex, mirror: Mirror) -> None:
    add(index, "app", "1.0", "legacy")
    index.add(make_sdist("legacy", "1.0"))
    mirror.write_spec(index, f"{LINUX}\ndependencies: true\nprojects: [app]")
    run = mirror.sync()
    assert "legacy 1.0: only a build would tell what it needs" in run.err


# ── why ─────────────────────────────────────────────────────────────────────────────────────────────


def test_why_tells_the_chain_when_a_project_is_there_for_others(index: LocalIndex, mirror: Mirror) -> None:
    add(index, "app", "1.0", "lib>=1")
    add(index, "lib", "1.0", "leaf")
    add(index, "leaf", "1.0")
    add(index, "leaf", "0.9")
    mirror.write_spec(index, f"{LINUX}\ndependencies: true\nprojects: [app]")
    mirror.sync()
    run = mirror.run("why", "leaf")
    assert "needed by mirror.yaml:6: app" in run.out
    assert "app 1.0 → lib 1.0 (lib>=1) → leaf 1.0 (leaf)" in run.out
    assert "0.9" not in run.out  # nobody asked for it
    told = mirror.run("why", "leaf", "--json").json["needed"]
    assert told == [
        {
            "rule": "mirror.yaml:6: app",
            "steps": ["app 1.0", "lib 1.0 (lib>=1)", "leaf 1.0 (leaf)"],
            "environments": ["cpython 3.12 on x86_64-unknown-linux-gnu"],
        }
    ]
    file = mirror.run("why", "leaf-1.0-py3-none-any.whl")
    assert "in, " in file.out
    assert "lib 1.0 (lib>=1)" in file.out
    assert "no line of the spec wants it" in mirror.run("why", "nosuch").out


def test_the_page_of_a_project_tells_what_needs_it(index: LocalIndex, mirror: Mirror) -> None:
    add(index, "app", "1.0", "lib")
    add(index, "lib", "1.0")
    mirror.write_spec(index, f"{LINUX}\ndependencies: true\nprojects: [app]")
    mirror.sync()
    assert "needed by app" in (mirror.tree / "project/lib/index.html").read_text()
    snapshot = json.loads((mirror.tree / ".pymirror/snapshots/000001.json").read_text())
    needed: Sequence[Any] = [project.get("needed") for project in snapshot["projects"]]
    assert needed == [[{"version": "1.0", "roots": ["app"]}], [{"version": "1.0", "roots": ["app"]}]]


# ── with the proof ──────────────────────────────────────────────────────────────────────────────────


def test_one_exit_code_tells_of_both_when_a_sync_is_checked(index: LocalIndex, mirror: Mirror) -> None:
    add(index, "app", "1.0", "lib")
    add(index, "lib", "1.0")
    mirror.write_spec(index, f"{LINUX}\ndependencies: true\nprojects: [app]")
    run = mirror.run("sync", "--check", "--json")
    assert run.json["exit-code"] == run.json["check"]["exit-code"] == 0
    assert run.json["files"] == 2
    mirror.write_spec(index, f"{LINUX}\nprojects: [app]")
    run = mirror.run("sync", "--check", code=5)
    assert "lib" in run.out
    mirror.write_spec(index, f"{LINUX}\ndependencies: true\nprojects: [app, nosuch]")
    run = mirror.run("sync", "--check", "--json", code=None)
    assert run.code == run.json["exit-code"] != 0
