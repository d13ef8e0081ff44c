"""Made-up indexes: releases by what they need, as facts for a resolution and as a tree of real little files for uv.

::

    index = MadeIndex()
    index.add("a", "1.0", "b>=2", 'c; extra == "x"', extras=["x"])
    index.facts().options(...)          # what a resolution asks
    index.write(folder)                 # folder/simple/a/index.html, folder/files/a-1.0-py3-none-any.whl
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from urllib.parse import quote

from packaging.requirements import Requirement
from packaging.tags import parse_tag
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from pymirror.closure import (
    AskNeeds,
    AskProject,
    Closure,
    LeftOut,
    NoNeeds,
    Option,
    Options,
    Outcome,
    Question,
    Root,
    Solution,
    Unsolved,
)
from pymirror.environment import Environment, find_tags, make_environment, suits_python
from pymirror.needs import Needs
from tests.archives import make_metadata, make_wheel

LINUX = make_environment("3.12", "linux")


@dataclass(frozen=True, kw_only=True)
class MadeFile:
    """A file of a made-up index. ``hides_python``: its page does not say which Python it needs."""

    project: NormalizedName
    version: str
    tag: str = "py3-none-any"
    requires: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    requires_python: str | None = None
    hides_python: bool = False
    yanked: bool = False
    is_sdist: bool = False
    build_requires: tuple[str, ...] = ()
    is_known: bool = True
    left_out: str | None = None

    @property
    def filename(self) -> str:
        stem = f"{self.project.replace('-', '_')}-{self.version}"
        return f"{stem}.tar.gz" if self.is_sdist else f"{stem}-{self.tag}.whl"

    @property
    def content(self) -> bytes:
        if not self.is_sdist:
            return make_wheel(
                self.project,
                self.version,
                tag=self.tag,
                requires=self.requires,
                requires_python=self.requires_python,
                extras=self.extras,
            )[1]
        metadata = make_metadata(
            self.project,
            self.version,
            requires=self.requires,
            requires_python=self.requires_python,
            extras=self.extras,
        ).replace("Metadata-Version: 2.1", "Metadata-Version: 2.2")
        if not self.is_known:
            metadata = metadata.replace("Summary:", "Dynamic: Requires-Dist\nSummary:")
        quoted = ", ".join(json.dumps(text) for text in self.build_requires)
        return _make_archive(
            f"{self.project.replace('-', '_')}-{self.version}",
            {
                "PKG-INFO": metadata,
                "pyproject.toml": f'[build-system]\nrequires = [{quoted}]\nbuild-backend = "nothing"\n',
            },
        )

    @property
    def needs(self) -> Needs:
        return Needs(
            requires=self.requires,
            extras=tuple(canonicalize_name(extra) for extra in self.extras),
            requires_python=self.requires_python,
            source="PKG-INFO" if self.is_sdist else "METADATA",
            is_known=self.is_known,
            build_requires=self.build_requires,
        )

    def suits(self, environment: Environment) -> bool:
        """Whether an installer there would look at it, by its name and its page."""
        if not self.hides_python and not suits_python(environment, self.requires_python):
            return False
        return self.is_sdist or not find_tags(environment).isdisjoint(parse_tag(self.tag))


def _make_archive(stem: str, content: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for path, text in content.items():
            member = tarfile.TarInfo(f"{stem}/{path}")
            member.size = len(text.encode())
            member.mtime = 1577836800
            archive.addfile(member, io.BytesIO(text.encode()))
    return gzip.compress(out.getvalue(), mtime=0)


@dataclass
class MadeIndex:
    """Releases in any order; each is one wheel unless more are added, or ``sdist`` is said."""

    files: list[MadeFile] = field(default_factory=list)
    broken: dict[str, Options] = field(default_factory=dict)
    unreadable: dict[str, NoNeeds] = field(default_factory=dict)

    def add(
        self,
        project: str,
        version: str,
        *requires: str,
        tag: str = "py3-none-any",
        extras: Sequence[str] = (),
        requires_python: str | None = None,
        hides_python: bool = False,
        yanked: bool = False,
        sdist: bool = False,
        build_requires: Sequence[str] = (),
        is_known: bool = True,
        left_out: str | None = None,
    ) -> None:
        self.files.append(
            MadeFile(
                project=canonicalize_name(project),
                version=version,
                tag=tag,
                requires=requires,
                extras=tuple(extras),
                requires_python=requires_python,
                hides_python=hides_python,
                yanked=yanked,
                is_sdist=sdist,
                build_requires=tuple(build_requires),
                is_known=is_known,
                left_out=left_out,
            )
        )

    def facts(self) -> MadeFacts:
        return MadeFacts(self)

    # ── as a tree ───────────────────────────────────────────────────────────────────────────────────

    def write(self, folder: Path) -> str:
        """Pages and files below ``folder``; the URL of the index."""
        (folder / "files").mkdir(parents=True)
        by_project: dict[NormalizedName, list[MadeFile]] = {}
        for file in self.files:
            by_project.setdefault(file.project, []).append(file)
        for project, files in by_project.items():
            page = folder / "simple" / project / "index.html"
            page.parent.mkdir(parents=True)
            page.write_text("<!DOCTYPE html>\n" + "\n".join(self._write_file(folder, file) for file in files))
        names = [f'<a href="{project}/">{project}</a>' for project in sorted(by_project)]
        (folder / "simple").mkdir(exist_ok=True)
        (folder / "simple" / "index.html").write_text("<!DOCTYPE html>\n" + "\n".join(names))
        return f"file://{quote(str(folder / 'simple'))}/"

    def _write_file(self, folder: Path, file: MadeFile) -> str:
        content = file.content
        (folder / "files" / file.filename).write_bytes(content)
        attributes = ""
        if file.requires_python and not file.hides_python:
            attributes += f' data-requires-python="{escape(file.requires_python)}"'
        if file.yanked:
            attributes += ' data-yanked="broken"'
        digest = hashlib.sha256(content).hexdigest()
        href = f"../../files/{quote(file.filename)}#sha256={digest}"
        return f'<a href="{href}"{attributes}>{file.filename}</a>'


class MadeFacts:
    """What an index answers. Only what was asked for is known; ``waves`` are the questions, as they were asked."""

    def __init__(self, index: MadeIndex) -> None:
        self._index = index
        self._answered: set[Question] = set()
        self._files: dict[NormalizedName, list[MadeFile]] = {}
        for file in index.files:
            self._files.setdefault(file.project, []).append(file)
        self.waves: list[frozenset[Question]] = []

    def answer(self, questions: frozenset[Question]) -> None:
        self.waves.append(questions)
        self._answered |= questions

    def options(self, project: NormalizedName, environment: Environment) -> Options | None:
        if AskProject(project) not in self._answered:
            return None
        if project in self._index.broken:
            return self._index.broken[project]
        files = self._files.get(project)
        if files is None:
            return Options(options=(), problem="upstream has no such project")
        chosen: dict[Version, MadeFile] = {}
        left_out = []
        for file in files:
            version = Version(file.version)
            if file.left_out is not None:
                left_out.append(LeftOut(filename=file.filename, version=version, reason=file.left_out))
            elif not file.suits(environment):
                left_out.append(LeftOut(filename=file.filename, version=version, reason="not for this environment"))
            elif version not in chosen or chosen[version].is_sdist:
                chosen[version] = file
        return Options(
            options=tuple(
                Option(
                    project=project,
                    version=version,
                    filename=chosen[version].filename,
                    is_sdist=chosen[version].is_sdist,
                    is_yanked=chosen[version].yanked,
                )
                for version in sorted(chosen, reverse=True)
            ),
            left_out=tuple(left_out),
        )

    def needs(self, option: Option) -> Needs | NoNeeds | None:
        if AskNeeds(option.project, option.filename) not in self._answered:
            return None
        if option.filename in self._index.unreadable:
            return self._index.unreadable[option.filename]
        return next(file.needs for file in self._files[option.project] if file.filename == option.filename)


def make_root(
    *requirements: str, environment: Environment = LINUX, name: str | None = None, build_dependencies: bool = True
) -> Root:
    parsed = tuple(Requirement(text) for text in requirements)
    return Root(
        name=name or canonicalize_name(parsed[0].name),
        requirements=parsed,
        environment=environment,
        build_dependencies=build_dependencies,
    )


def run_closure(facts: MadeFacts, *roots: Root, max_waves: int = 1000) -> tuple[Outcome, ...]:
    """Ask and answer until all is done."""
    closure = Closure(roots, facts)
    for _ in range(max_waves):
        asked = closure.advance()
        if not asked:
            return closure.outcomes
        facts.answer(asked)
    raise AssertionError(f"not done after {max_waves} waves")


def solve(index: MadeIndex, *requirements: str, environment: Environment = LINUX) -> dict[str, str] | str:
    """Project → version, or the problem."""
    outcome = next(
        outcome
        for outcome in run_closure(index.facts(), make_root(*requirements, environment=environment, name="root"))
        if outcome.root.built is None
    )
    return versions_of(outcome)


def versions_of(outcome: Outcome) -> dict[str, str] | str:
    if isinstance(outcome, Unsolved):
        return outcome.problem
    assert isinstance(outcome, Solution)
    return {pick.option.project: str(pick.option.version) for pick in outcome.picks}
