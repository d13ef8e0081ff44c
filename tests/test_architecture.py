"""The modules import each other in one direction, and each third-party package has its owners: see ``pymirror``."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import pymirror

ROOT = Path(pymirror.__file__).parent
MAX_LINES = 400

# The rows of pymirror's docstring, in its order; a module imports from its own row and the rows above. One module
# stands elsewhere than its family: ``simple.render`` turns a snapshot into pages, so it comes after the snapshot.
STAGES: tuple[tuple[str, frozenset[str]], ...] = (
    ("for every row", frozenset({"errors", "progress"})),
    (
        "what was asked",
        frozenset(
            {
                "environment",
                "platforms",
                "spec",
                "spec.dependencies",
                "spec.document",
                "spec.files",
                "spec.filters",
                "spec.json_schema",
                "spec.load",
                "spec.model",
                "spec.part",
                "spec.rules",
                "spec.schema",
                "spec.site",
                "spec.units",
                "spec.upstreams",
                "lockfiles",
                "lockfiles.entries",
                "lockfiles.findings",
                "lockfiles.formats",
                "lockfiles.hashes",
                "lockfiles.interface",
                "lockfiles.nesting",
                "lockfiles.pdm",
                "lockfiles.pinning",
                "lockfiles.pipenv",
                "lockfiles.poetry",
                "lockfiles.pylock",
                "lockfiles.requirements",
                "lockfiles.tables",
                "lockfiles.uv",
            }
        ),
    ),
    (
        "what upstream has",
        frozenset(
            {
                "simple",
                "simple.legacy",
                "simple.model",
                "simple.parse",
                "simple.parse_html",
                "simple.parse_json",
                "simple.provenance",
                "simple.serials",
                "simple.tags",
                "distribution",
                "metadata",
                "needs",
            }
        ),
    ),
    (
        "what we decide",
        frozenset(
            {
                "selection",
                "selection.candidates",
                "selection.checks",
                "selection.explain",
                "selection.fit",
                "selection.judge",
                "selection.model",
                "selection.needs",
                "selection.releases",
                "selection.rules",
                "selection.select",
                "selection.vetoes",
                "selection.wants",
                "closure",
                "closure.builds",
                "closure.catalog",
                "closure.closure",
                "closure.explain",
                "closure.explore",
                "closure.model",
                "closure.provider",
                "closure.requirements",
                "closure.settle",
                "closure.solve",
                "closure.trail",
                "roots",
                "layout",
                "snapshot",
                "plan",
                "limits",
                "settings",
                "settings.clients",
                "settings.lockfile",
                "settings.make",
                "settings.place",
                "settings.schedule",
                "settings.servers",
                "simple.render",
                "simple.markup",
                "simple.render_legacy",
                "pages",
                "pages.details",
                "pages.document",
                "pages.elements",
                "pages.files",
                "pages.front",
                "pages.install",
                "pages.kinds",
                "pages.project",
                "pages.prose",
                "pages.releases",
                "pages.script",
                "pages.style",
                "pages.tables",
                "pages.words",
                "pieces",
                "serving",
                "serving.conditions",
                "serving.negotiate",
                "serving.target",
            }
        ),
    ),
    (
        "doing it",
        frozenset(
            {
                "workers",
                "tls",
                "wire",
                "wire.direct",
                "wire.interface",
                "wire.proxied",
                "transport",
                "rate",
                "validators",
                "serials",
                "reachability",
                "credentials",
                "default_index",
                "upstream",
                "archive",
                "download",
                "storage",
                "storage.interface",
                "storage.local",
                "serving.server",
                "pool",
                "pool_record",
                "positioned",
                "published_pages",
                "settled",
                "storage.steps",
                "stored_snapshot",
                "state",
                "history",
                "publish",
                "contents",
                "descriptions",
                "description_worker",
                "documents",
                "flat",
                "page_files",
                "links_page",
                "page_record",
                "site_record",
                "provenance",
                "front_page",
                "publish_documents",
                "sdist",
                "remote_wheel",
                "metadata_source",
                "tree_facts",
                "offline",
                "judge_uv",
                "interpreters",
                "installing",
                "quarantine",
                "lock",
            }
        ),
    ),
    (
        "a verb each",
        frozenset(
            {
                "commands",
                "commands.ask",
                "commands.check",
                "commands.check_answers",
                "commands.check_install",
                "commands.check_locks",
                "commands.check_report",
                "commands.check_roots",
                "commands.check_rules",
                "commands.check_second",
                "commands.closed",
                "commands.config",
                "commands.decide",
                "commands.dependencies",
                "commands.doctor",
                "commands.doctor_ask",
                "commands.doctor_files",
                "commands.doctor_pages",
                "commands.doctor_report",
                "commands.doctor_seen",
                "commands.doctor_site",
                "commands.init",
                "commands.obtain",
                "commands.plan",
                "commands.plan_files",
                "commands.ports",
                "commands.prune",
                "commands.repair",
                "commands.report",
                "commands.rollback",
                "commands.serve",
                "commands.sizes",
                "commands.sync",
                "commands.tally",
                "commands.verify",
                "commands.verify_files",
                "commands.verify_modes",
                "commands.verify_tree",
                "commands.verify_pages",
                "commands.why",
                "commands.why_needs",
                "commands.why_report",
                "commands.why_size",
            }
        ),
    ),
    (
        "the terminal",
        frozenset(
            {
                "running",
                "console",
                "console.check",
                "console.doctor",
                "console.drawing",
                "console.reports",
                "console.terminal",
                "console.why",
                "cli",
                "__main__",
            }
        ),
    ),
)
PURE_STAGES = 4
STAGE_OF = {module: index for index, (_, modules) in enumerate(STAGES) for module in modules}

# Who may import a third-party package. Names, versions and typed decoding are everyone's vocabulary.
ANYONE = frozenset({"packaging", "msgspec"})
OWNERS: dict[str, frozenset[str]] = {
    "click": frozenset({"cli"}),
    "rich": frozenset({"console.drawing"}),
    "yaml": frozenset({"spec.document"}),
    "pkginfo": frozenset({"archive"}),
    "readme_renderer": frozenset({"description_worker"}),
    "docutils": frozenset({"description_worker"}),
    "nh3": frozenset({"description_worker"}),
    "httpx": frozenset({"wire.proxied"}),
    "tenacity": frozenset({"transport"}),
    "truststore": frozenset({"tls"}),
    "unearth": frozenset({"credentials", "default_index"}),
    "resolvelib": frozenset({"closure.provider", "closure.solve"}),
    "filelock": frozenset({"lock"}),
    "pip_requirements_parser": frozenset({"lockfiles.requirements"}),
}

# What reaches the disk, the network, the clock, the environment, chance or another process.
IMPURE = frozenset(
    {
        "asyncio",
        "concurrent",
        "ctypes",
        "fcntl",
        "ftplib",
        "getpass",
        "glob",
        "http",
        "io",
        "locale",
        "logging",
        "mmap",
        "multiprocessing",
        "netrc",
        "os",
        "pathlib",
        "platform",
        "random",
        "sched",
        "secrets",
        "select",
        "selectors",
        "shutil",
        "signal",
        "smtplib",
        "socket",
        "socketserver",
        "sqlite3",
        "ssl",
        "subprocess",
        "sys",
        "tempfile",
        "threading",
        "time",
        "urllib.request",
        "uuid",
        "webbrowser",
        "zipfile",
    }
)
IMPURE_ALLOWED = {
    "errors": frozenset({"pathlib"}),
    "spec.files": frozenset({"pathlib"}),  # paths as values; files are read through an argument
    "spec.load": frozenset({"pathlib"}),
    "spec.part": frozenset({"pathlib"}),
    "spec.model": frozenset({"pathlib"}),
    "spec.upstreams": frozenset({"pathlib"}),
    "lockfiles.requirements": frozenset({"pathlib", "tempfile"}),  # its parser reads only files
}


@dataclass(frozen=True)
class Import:
    """An import anywhere in a module, also inside a function or for types only."""

    importer: str
    target: str  # a module: dotted, without "pymirror." where it is ours
    line: int
    is_ours: bool

    def __str__(self) -> str:
        return f"{self.importer} (line {self.line}) imports {self.target}"


def _name_of(path: Path) -> str:
    """``spec.load`` for ``pymirror/spec/load.py``; the package itself is the empty name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def _targets(node: ast.AST) -> Iterator[str]:
    """The modules that an import statement names; ``from a import b`` names ``a.b`` where that is a module of ours."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "relative imports hide where a module comes from"
        assert node.module is not None
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            yield inner if inner.removeprefix("pymirror.") in MODULES else node.module


@cache
def imports() -> tuple[Import, ...]:
    found = []
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for target in _targets(node):
                is_ours = target.partition(".")[0] == "pymirror"
                bare = target.removeprefix("pymirror").removeprefix(".") if is_ours else target
                found.append(Import(importer=name, target=bare, line=getattr(node, "lineno", 0), is_ours=is_ours))
    return tuple(found)


def find_cycle(edges: dict[str, set[str]]) -> list[str]:
    """A path that comes back to where it began; empty where there is none."""
    done: set[str] = set()

    def walk(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for target in sorted(edges.get(module, ())):
            if cycle := walk(target, [*path, module]):
                return cycle
        done.add(module)
        return []

    return next((cycle for module in sorted(edges) if (cycle := walk(module, []))), [])


# ── the test's own tools ────────────────────────────────────────────────────────────────────────────


def test_find_cycle_finds_one_when_there_is_one() -> None:
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert find_cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_imports_are_seen_when_they_stand_in_a_function_or_below_type_checking() -> None:
    seen = {(item.importer, item.target) for item in imports()}
    assert ("cli", "commands.sync") in seen  # in a function
    assert ("running", "console") in seen  # for types, and in a function
    assert ("spec.files", "lockfiles") in seen  # the package
    assert ("default_index", "unearth") in seen


# ── our own modules ─────────────────────────────────────────────────────────────────────────────────


def test_every_module_has_its_stage_when_it_is_there() -> None:
    assert set(STAGE_OF) == set(MODULES) - {""}


def test_the_docstring_names_every_module_when_one_is_added() -> None:
    words = set((pymirror.__doc__ or "").replace(",", " ").split())
    families = {module.partition(".")[0] for module in MODULES} - {"", "__main__"}
    assert families - words == set()


def test_every_target_is_a_module_when_it_is_ours() -> None:
    assert [str(item) for item in imports() if item.is_ours and item.target not in MODULES] == []


def test_no_module_imports_itself_in_a_circle_when_all_are_followed() -> None:
    edges: dict[str, set[str]] = {}
    for item in imports():
        if item.is_ours:
            edges.setdefault(item.importer, set()).add(item.target)
    assert find_cycle(edges) == []


def test_no_module_imports_from_a_later_stage_when_all_are_listed() -> None:
    back = [
        f"{item}: {STAGES[STAGE_OF[item.importer]][0]} ← {STAGES[STAGE_OF[item.target]][0]}"
        for item in imports()
        if item.is_ours and item.importer and STAGE_OF[item.target] > STAGE_OF[item.importer]
    ]
    assert back == []


def test_no_verb_imports_another_when_all_are_listed() -> None:
    names = {
        "ask",
        "closed",
        "decide",
        "dependencies",
        "obtain",
        "plan_files",
        "ports",
        "report",
        "sizes",
        "tally",
        "verify_pages",
    }
    names |= {"rollback", "verify_files", "verify_modes", "verify_tree", "why_needs", "why_report"}
    names |= {f"check_{name}" for name in ("answers", "install", "locks", "report", "roots", "rules", "second")}
    shared = {"commands", *(f"commands.{name}" for name in names)}
    shared |= {f"commands.doctor_{name}" for name in ("ask", "files", "pages", "report", "seen", "site")}
    verbs = {module for module in MODULES if module.startswith("commands.")} - shared
    assert [str(item) for item in imports() if item.importer in verbs and item.target in verbs] == []


def test_the_package_imports_nothing_when_it_is_imported() -> None:
    assert [str(item) for item in imports() if item.importer == ""] == []
    tree = ast.parse(MODULES[""].read_text(encoding="utf-8"))
    assert [type(node).__name__ for node in tree.body] == ["Expr"]  # its docstring


# ── the packages of others ──────────────────────────────────────────────────────────────────────────


def _third_party() -> list[Import]:
    return [
        item
        for item in imports()
        if not item.is_ours and item.target.partition(".")[0] not in {*sys.stdlib_module_names, "__future__"}
    ]


def test_a_package_is_imported_only_by_its_owners_when_it_has_some() -> None:
    strangers = [
        str(item)
        for item in _third_party()
        if (package := item.target.partition(".")[0]) not in ANYONE and item.importer not in OWNERS.get(package, ())
    ]
    assert strangers == []


@pytest.mark.parametrize("package", sorted(OWNERS))
def test_every_owner_imports_its_package_when_the_table_says_so(package: str) -> None:
    users = {item.importer for item in _third_party() if item.target.partition(".")[0] == package}
    assert users == OWNERS[package]


@pytest.mark.parametrize("package", ["click", "rich", "httpx"])
def test_no_verb_imports_a_package_of_the_edges_when_all_are_listed(package: str) -> None:
    users = {item.importer for item in _third_party() if item.target.partition(".")[0] == package}
    assert not [module for module in users if module.startswith("commands")]


# ── the pure stages ─────────────────────────────────────────────────────────────────────────────────


def _pure_modules() -> list[str]:
    return sorted(module for module, stage in STAGE_OF.items() if stage < PURE_STAGES and module in MODULES)


@pytest.mark.parametrize("module", _pure_modules())
def test_a_pure_module_imports_nothing_that_reaches_the_world_when_it_is_read(module: str) -> None:
    allowed = IMPURE_ALLOWED.get(module, frozenset())
    reached = [
        str(item)
        for item in imports()
        if item.importer == module
        and not item.is_ours
        and ({item.target, item.target.partition(".")[0]} & IMPURE) - allowed
    ]
    assert reached == []


@pytest.mark.parametrize("module", _pure_modules())
def test_a_pure_module_asks_neither_clock_nor_disk_when_it_is_read(module: str) -> None:
    if module == "lockfiles.requirements":
        return  # writes its copy for the parser
    forbidden = {"now", "utcnow", "today", "read_bytes", "read_text", "write_bytes", "write_text", "unlink", "mkdir"}
    calls = [
        f"line {node.lineno}: {node.func.attr}()"
        for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in forbidden
    ]
    opens = [
        f"line {node.lineno}: {node.func.id}()"
        for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"open", "print", "input"}
    ]
    assert calls + opens == []


# ── size ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_is_short_when_counted(module: str) -> None:
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= MAX_LINES


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_says_what_it_is_when_it_has_content(module: str) -> None:
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
