"""Requirements files that name others with ``-r`` and ``-c``, and what constraints do to a line."""

from __future__ import annotations

import pytest
from packaging.specifiers import SpecifierSet

from pymirror.lockfiles import Lock, LooseRequirement, ReadNested, list_requirements, read_lockfile
from pymirror.lockfiles.nesting import MAX_DEPTH
from pymirror.lockfiles.pinning import MAX_CONSTRAINTS
from pymirror.spec.model import Origin

A, B = "a" * 64, "b" * 64
PASSWORD = "hunter2"


class Tree:
    """Files by their paths from the spec's folder; counts how often each is read."""

    def __init__(self, files: dict[str, str | bytes]) -> None:
        self._files = files
        self.opened: list[str] = []

    def __call__(self, path: str) -> bytes:
        self.opened.append(path)
        try:
            content = self._files[path]
        except KeyError:
            raise FileNotFoundError(2, "No such file or directory", path) from None
        return content.encode() if isinstance(content, str) else content


def read(text: str, files: dict[str, str | bytes] | None = None, *, file: str = "demo.txt") -> Lock:
    return read_lockfile(text.encode(), file=file, read=Tree(files or {}))


def messages(lock: Lock) -> list[str]:
    return [str(problem) for problem in lock.problems]


# ── -r ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("file", "line", "path"),
    [
        ("demo.txt", "-r base.txt", "base.txt"),
        ("demo.txt", "--requirement=base.txt", "base.txt"),
        ("demo.txt", "--requirement base.txt  # ours", "base.txt"),
        ("demo.txt", '-r "with space.txt"', "with space.txt"),
        ("services/web/demo.txt", "-r base.txt", "services/web/base.txt"),
        ("services/web/demo.txt", "-r ../base.txt", "services/web/../base.txt"),
        ("../demo.txt", "-r base.txt", "../base.txt"),
        ("demo.txt", "-r /srv/base.txt", "/srv/base.txt"),
        ("/srv/web/demo.txt", "-r base.txt", "/srv/web/base.txt"),
    ],
)
def test_a_nested_file_is_read_from_the_folder_of_its_file_when_it_is_named(file: str, line: str, path: str) -> None:
    lock = read(f"demo==1\n{line}\n", {path: "\nother==2\n"}, file=file)
    assert messages(lock) == []
    assert [pin.project for pin in lock.pins] == ["demo", "other"]
    assert lock.pins[1].origin.line == 2


def test_origins_name_the_lines_that_led_there_when_files_are_nested() -> None:
    spec = Origin(file="mirror.yaml", line=3, text="demo.txt")
    files = Tree({"a/one.txt": "-r ../b/two.txt", "a/../b/two.txt": "here==1\n-e ."})
    lock = read_lockfile(b"# ours\n-r a/one.txt", file="demo.txt", read=files, parent=spec)
    (pin,) = lock.pins
    assert str(pin.origin) == "b/two.txt:1"
    one = pin.origin.parent
    assert one is not None
    assert (one.file, one.line, one.text) == ("a/one.txt", 1, "-r ../b/two.txt")
    demo = one.parent
    assert demo is not None
    assert (demo.file, demo.line, demo.text, demo.parent) == ("demo.txt", 2, "-r a/one.txt", spec)
    assert lock.unservable[0].origin.parent == one


def test_a_file_is_read_once_when_several_name_it() -> None:
    tree = Tree({"a.txt": "-r sub/../c.txt", "b.txt": "-r ./c.txt\n-r c.txt", "sub/../c.txt": "demo==1"})
    lock = read_lockfile(b"-r a.txt\n-r b.txt\n", file="demo.txt", read=tree)
    assert len(lock.pins) == 1
    assert tree.opened == ["a.txt", "sub/../c.txt", "b.txt"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"demo.txt": "-r demo.txt"}, 'demo.txt:1: "demo.txt" includes itself: demo.txt → demo.txt'),
        (
            {"demo.txt": "-r a.txt", "a.txt": "\n-c b.txt", "b.txt": "-r x/../a.txt"},
            'b.txt:1: "a.txt" includes itself: a.txt → b.txt → a.txt',
        ),
    ],
)
def test_a_circle_is_refused_when_a_file_includes_itself(files: dict[str, str | bytes], message: str) -> None:
    assert messages(read(str(files["demo.txt"]), files)) == [message]


@pytest.mark.parametrize(
    "line",
    [
        f"-r https://robot:{PASSWORD}@x/other.txt",
        f"-r HTTP://robot:{PASSWORD}@x/other.txt",
        f"--requirement=ftp://robot:{PASSWORD}@x/other.txt",
        "-r file:///srv/other.txt",
    ],
)
def test_a_nested_file_is_refused_without_its_address_when_it_is_a_url(line: str) -> None:
    lock = read(f"demo==1\n{line}\n")
    assert messages(lock) == ["demo.txt:2: names a file by URL with -r (nothing is fetched; keep a copy beside it)"]
    assert PASSWORD not in repr(lock)


def test_a_constraint_file_is_refused_when_it_is_a_url() -> None:
    (said,) = messages(read("-c https://x/limits.txt"))
    assert "names a file by URL with -c" in said


def test_a_nested_file_is_refused_at_its_line_when_it_cannot_be_read() -> None:
    lock = read("demo==1\n-r gone/base.txt\n", file="web/demo.txt")
    assert messages(lock) == ['web/demo.txt:2: "web/gone/base.txt" cannot be read: No such file or directory']


def test_a_problem_names_the_nested_file_when_it_stands_there() -> None:
    lock = read("-r a.txt\n-r b.txt", {"a.txt": "demo>1\n???\n", "b.txt": b"\xff"})
    assert messages(lock) == [
        "a.txt:2: not a line of a requirements file",
        "b.txt: not UTF-8 text (byte 0)",
        'a.txt:1: "demo>1" is not pinned with == (a lock is exact; put ranges under projects:)',
    ]


def test_files_are_followed_to_a_depth_when_each_names_the_next() -> None:
    files: dict[str, str | bytes] = {f"{n}.txt": f"d{n}==1\n-r {n + 1}.txt" for n in range(MAX_DEPTH + 10)}
    lock = read("-r 0.txt", files)
    assert len(lock.pins) == MAX_DEPTH - 1
    assert messages(lock) == [f"{MAX_DEPTH - 2}.txt:2: files are nested more than {MAX_DEPTH} deep"]


def test_files_are_counted_when_one_names_very_many() -> None:
    lock = read_lockfile("".join(f"-r {n}.txt\n" for n in range(1100)).encode(), file="demo.txt", read=lambda _: b"")
    assert len(lock.problems) == 101  # the first file counts too
    assert "more than 1000 files" in messages(lock)[0]


def test_files_are_refused_when_they_are_too_large_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pymirror.lockfiles.nesting.MAX_FILE_BYTES", 100)
    lock = read("-r a.txt\n-r b.txt", {"a.txt": "demo==1" + " " * 70, "b.txt": "demo==2" + " " * 70})
    assert messages(lock) == ["demo.txt:2: the files are more than 100 bytes together"]


# ── -c ──────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_pinned_when_only_constraints_name_a_project() -> None:
    assert read("-c limits.txt", {"limits.txt": "demo==1\nother>2"}) == Lock()


@pytest.mark.parametrize(
    ("line", "constraints", "specifier"),
    [
        ("demo", "demo==1.0", "==1.0"),
        ("demo>=0.5", "Demo == 1.0", "==1.0,>=0.5"),
        ("demo", "demo===odd", "===odd"),
        ("demo>0.5", "demo<2\ndemo==1.0", "==1.0,>0.5,<2"),
        ("demo==1.0", "demo<2", "==1.0,<2"),
        ("demo==1.0", "demo==1.0", "==1.0"),
        ("demo==1.0", "demo==1.0.0", "==1.0,==1.0.0"),
        ("demo==1.0+local", "demo==1.0", "==1.0+local,==1.0"),
        ("demo==1.0a1", "demo>=1.0a0", "==1.0a1,>=1.0a0"),
        ("demo==1.0", "other==2.0", "==1.0"),
        ("demo==1.0 ; os_name == 'nt'", "demo==1.0 ; os_name == 'nt'", "==1.0"),
        ("demo==1.0 ; os_name == 'nt'", "demo==2.0 ; os_name == 'posix'", "==1.0"),
    ],
)
def test_a_line_is_narrowed_when_constraints_name_its_project(line: str, constraints: str, specifier: str) -> None:
    lock = read(f"{line}\n-c limits.txt", {"limits.txt": constraints})
    assert messages(lock) == []
    assert [pin.specifier for pin in lock.pins] == [SpecifierSet(specifier)]
    assert str(lock.pins[0].origin) == "demo.txt:1"


@pytest.mark.parametrize(
    ("line", "constraints"), [("demo", ""), ("demo", "demo>1"), ("demo", "demo==1.*"), ("demo>1", "other==1")]
)
def test_a_line_is_refused_when_constraints_do_not_pin_it(line: str, constraints: str) -> None:
    (said,) = messages(read(f"{line}\n-c limits.txt", {"limits.txt": constraints}))
    assert said == f'demo.txt:1: "{line}" is not pinned with == (a lock is exact; put ranges under projects:)'


@pytest.mark.parametrize(
    ("line", "constraints", "guilty"),
    [
        ("demo==1.0", "demo==2.0", "demo==2.0"),
        ("demo==1.0", "demo<2\ndemo>1", "demo>1"),
        ("demo>2", "demo==1.0", "demo==1.0"),
        ("demo===odd", "demo>1", "demo>1"),
        ("demo==1.0 ; os_name == 'nt'", "demo==2.0 ; os_name == 'nt'", "demo==2.0"),
    ],
)
def test_a_line_is_refused_when_a_constraint_contradicts_it(line: str, constraints: str, guilty: str) -> None:
    (said,) = messages(read(f"-c limits.txt\n{line}", {"limits.txt": constraints}))
    where = f"limits.txt:{len(constraints.splitlines())}"
    assert said.startswith(f'demo.txt:2: the constraint "{guilty}" of {where} contradicts "demo')


def test_a_line_becomes_several_pins_when_constraints_pin_it_by_marker() -> None:
    lock = read(
        "demo[x] ; os_name == 'nt'\n-c limits.txt",
        {"limits.txt": "demo==1 ; python_version < '3.9'\ndemo==2 ; python_version >= '3.9'\ndemo<9\n"},
    )
    assert messages(lock) == []
    assert [(str(pin.specifier), pin.marker) for pin in lock.pins] == [
        ("<9,==1", '(os_name == "nt") and (python_version < "3.9")'),
        ("<9,==2", '(os_name == "nt") and (python_version >= "3.9")'),
    ]
    assert [pin.extras for pin in lock.pins] == [{"x"}, {"x"}]


def test_hashes_of_constraints_count_when_the_line_has_none() -> None:
    files: dict[str, str | bytes] = {"limits.txt": f"demo==1 --hash=sha256:{A}\nother==1 --hash=sha256:{A}"}
    lock = read(f"demo\nother==1 --hash=sha256:{B}\n-c limits.txt", files)
    assert [pin.hashes for pin in lock.pins] == [{("sha256", A)}, {("sha256", B)}]


def test_a_file_asks_for_projects_when_a_constraint_file_names_it_with_r() -> None:
    lock = read("-c limits.txt", {"limits.txt": "demo==1\n-r more.txt", "more.txt": "demo"})
    assert [(pin.project, str(pin.specifier)) for pin in lock.pins] == [("demo", "==1")]


def test_a_file_counts_in_both_roles_when_it_is_named_in_both() -> None:
    lock = read("-c base.txt\n-r base.txt\ndemo>0\n", {"base.txt": "demo==1"})
    assert [(str(pin.origin), str(pin.specifier)) for pin in lock.pins] == [
        ("base.txt:1", "==1"),
        ("demo.txt:3", "==1,>0"),
    ]


def test_a_line_is_named_when_a_constraint_gives_its_project_a_url() -> None:
    lock = read("demo\n-c limits.txt", {"limits.txt": f"demo @ https://robot:{PASSWORD}@x/demo.zip"})
    (unservable,) = lock.unservable
    assert (lock.pins, lock.problems) == ((), ())
    assert (str(unservable.origin), unservable.project) == ("demo.txt:1", "demo")
    assert unservable.problem.endswith("as the constraint of limits.txt:1 says")
    assert PASSWORD not in repr(lock)


@pytest.mark.parametrize("line", ["-e .", "./here", f"https://robot:{PASSWORD}@x/y.zip"])
def test_a_constraint_is_refused_when_it_names_no_project(line: str) -> None:
    lock = read("-c limits.txt", {"limits.txt": line})
    assert messages(lock) == ["limits.txt:1: a constraint names a project and a version"]


def test_a_constraint_is_refused_when_it_says_nothing() -> None:
    lock = read("demo==1\n-c limits.txt", {"limits.txt": "demo==="})
    assert messages(lock) == ["limits.txt:1: not a line of a requirements file"]


def test_constraints_are_counted_when_a_project_has_very_many() -> None:
    many = "".join(f"demo!={n}\n" for n in range(MAX_CONSTRAINTS + 9))
    lock = read("demo==99\n-c limits.txt", {"limits.txt": many + "demo!=0\n"})
    assert messages(lock) == [f'limits.txt:{MAX_CONSTRAINTS + 1}: "demo" has more than {MAX_CONSTRAINTS} constraints']


# ── without demanding pins ──────────────────────────────────────────────────────────────────────────


def listed(text: str, files: dict[str, str | bytes] | None = None) -> tuple[LooseRequirement, ...]:
    tree: ReadNested = Tree(files or {})
    return list_requirements(text.encode(), file="demo.txt", read=tree)


@pytest.mark.parametrize(
    ("line", "text", "has_hashes"),
    [
        ("Demo_Tool", "Demo_Tool", False),
        (
            "requests [socks, Fast_io] >=2, <3 ; os_name == 'nt'",
            'requests[fast-io,socks]<3,>=2 ; os_name == "nt"',
            False,
        ),
        ("demo==1.0", "demo==1.0", False),
        ("demo===odd", "demo===odd", False),
        ("demo==1.*", "demo==1.*", False),
        (f"demo==1.0 --hash=sha256:{A}", "demo==1.0", True),
    ],
)
def test_a_requirement_is_listed_when_it_comes_from_an_index(line: str, text: str, has_hashes: bool) -> None:
    (requirement,) = listed(f"\n{line}")
    assert (requirement.text, requirement.has_hashes) == (text, has_hashes)
    assert str(requirement.origin) == "demo.txt:2"


def test_requirements_are_listed_when_they_stand_in_nested_files() -> None:
    files: dict[str, str | bytes] = {"base.txt": "other>1\n-e .\n", "limits.txt": "demo<3\nother==2\nthird==1\n"}
    found = listed("demo\n./here\n???\n-r base.txt\n-r gone.txt\n-c limits.txt", files)
    assert [(each.text, str(each.origin)) for each in found] == [
        ("demo<3", "demo.txt:1"),
        ("other==2,>1", "base.txt:1"),
    ]


def test_a_requirement_is_listed_as_it_stands_when_a_constraint_contradicts_it() -> None:
    assert [each.text for each in listed("demo==1\n-c limits.txt", {"limits.txt": "demo==2"})] == ["demo==1"]


@pytest.mark.parametrize(
    ("lines", "texts"),
    [
        ("demo<3\n-r base.txt", ["demo<3,>=2"]),
        ("six>=1\nSIX>=1", ["six>=1"]),
        ("demo[b]<3 ; os_name == 'nt'\nDemo[A] ; os_name=='nt'\ndemo", ['demo[a,b]<3 ; os_name == "nt"', "demo"]),
        ("demo==1\ndemo==2\ndemo<2", ["demo<2,==1", "demo==2"]),
    ],
)
def test_lines_become_one_requirement_when_they_name_one_project(lines: str, texts: list[str]) -> None:
    assert [each.text for each in listed(lines, {"base.txt": "demo>=2"})] == texts


def test_a_requirement_has_hashes_when_one_of_its_lines_or_constraints_has() -> None:
    files: dict[str, str | bytes] = {"limits.txt": f"other==1 --hash=sha256:{A}\n"}
    found = listed(f"demo\ndemo==1 --hash=sha256:{A}\nother\nthird\n-c limits.txt", files)
    assert [each.has_hashes for each in found] == [True, True, False]
