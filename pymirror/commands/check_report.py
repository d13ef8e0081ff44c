"""What ``check`` found: frozen values, and the dictionaries that ``--json`` prints."""

from __future__ import annotations

import enum
from dataclasses import asdict, dataclass
from typing import Any

from pymirror.commands.why_report import kebab
from pymirror.errors import ExitCode
from pymirror.judge_uv import Verdict


class RootKind(enum.StrEnum):
    """What a root is an entry of."""

    PROJECT = "project"
    GROUP = "group"
    LOCK = "lock"


class FindingKind(enum.StrEnum):
    """What is wrong with a root in an environment."""

    MISSING = "missing"  # it does not install from the tree
    LOCK = "lock"  # what a lock pins does not go together, or needs what it does not pin
    DIFFERENCE = "difference"  # one judge says that it installs, the other that it does not
    NOT_INSTALLED = "not-installed"  # the installation failed that --install tried
    NOT_IMPORTED = "not-imported"  # what was installed lacks a module


_NOT_INSTALLING = frozenset({FindingKind.MISSING, FindingKind.LOCK, FindingKind.NOT_INSTALLED})


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Dropped:
    """Why something may be missing, as far as the spec alone tells: ``rule`` is its line, ``reason`` what that says."""

    project: str
    rule: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is wrong; ``dropped`` are the rules of the spec that may be the cause."""

    kind: FindingKind
    problem: str
    dropped: tuple[Dropped, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """What uv says; ``detail`` is why it refuses or was not asked, ``note`` the terms on which it agrees."""

    verdict: Verdict
    detail: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What ``--install`` did: by which Python and installer, what was installed (``name==version``), and which modules
    were imported. ``problem`` is why it did not install; ``unimported`` are the modules that failed, with the error.
    """

    interpreter: str
    installer: str
    packages: tuple[str, ...] = ()
    imported: tuple[str, ...] = ()
    unimported: tuple[tuple[str, str], ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One root in one environment.

    ``rule`` is the line that asks for it, ``version`` the release that was checked of a project. ``files`` are what
    would be installed, ``builds`` the sdists among it (``foo 1.0``), and ``unproven`` the releases whose needs only a
    build would tell. ``second`` is ``None`` where there is no second judge, ``installed`` where nothing was installed.
    """

    root: str
    kind: RootKind
    rule: str
    environment: str
    version: str | None = None
    files: tuple[str, ...] = ()
    builds: tuple[str, ...] = ()
    unproven: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    second: Second | None = None
    installed: Installed | None = None

    @property
    def is_fine(self) -> bool:
        return not self.findings

    @property
    def installs(self) -> bool:
        """Whether it installs from the tree, as far as it was tried, else as the first judge sees it."""
        return all(finding.kind not in _NOT_INSTALLING for finding in self.findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What ``check`` found in a tree.

    ``is_own_environment`` where the spec names no environments, so that this machine's is the one that was checked.
    ``uv`` is the version of the second judge; where there was none, ``uv_problem`` is why, unless it was not wanted.
    """

    output: str
    environments: tuple[str, ...]
    is_own_environment: bool
    answers: tuple[Answer, ...]
    uv: str | None = None
    uv_problem: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def findings(self) -> int:
        return sum(len(answer.findings) for answer in self.answers)

    @property
    def exit_code(self) -> ExitCode:
        return ExitCode.DAMAGED if self.findings else ExitCode.OK

    def as_json(self) -> dict[str, Any]:
        answers = [{**kebab(asdict(answer)), "installs": answer.installs} for answer in self.answers]
        return {
            "command": "check",
            "exit-code": int(self.exit_code),
            **kebab(asdict(self)),
            "answers": answers,
            "findings": self.findings,
        }
