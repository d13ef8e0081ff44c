"""``check --install``: what this machine can run is installed from the tree, imported, and recorded."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import msgspec
from packaging.utils import NormalizedName

from pymirror.commands.check_locks import LockTask
from pymirror.commands.check_report import Answer, Finding, FindingKind, Installed
from pymirror.commands.check_roots import Task
from pymirror.commands.check_second import make_question
from pymirror.commands.ports import Ports
from pymirror.environment import Environment
from pymirror.errors import StorageError
from pymirror.installing import Installer, Trial, TrialResult
from pymirror.interpreters import Interpreter, describe_own, find_interpreters
from pymirror.judge_uv import find_uv, list_pythons, name_for_uv
from pymirror.layout import PRIVATE, SIMPLE
from pymirror.platforms import find_platform
from pymirror.simple.model import render_upload_time
from pymirror.workers import run_ordered

CHECKS = f"{PRIVATE}/checks.json"
"""What was installed, when and with what result, for later runs to show."""

_FORMAT = 1
_MAX_THREADS = 4


class RecordedCheck(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The last installation of a root in an environment. ``checked`` is when, in UTC."""

    root: str
    kind: str
    environment: str
    checked: str
    interpreter: str
    installer: str
    packages: tuple[str, ...] = ()
    imported: tuple[str, ...] = ()
    unimported: tuple[tuple[str, str], ...] = ()
    problem: str | None = None


class RecordedChecks(msgspec.Struct, frozen=True, kw_only=True):
    """The content of ``.pymirror/checks.json``."""

    checks: tuple[RecordedCheck, ...]
    format: int = _FORMAT


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """An answer to be proved; ``trial`` is ``None`` where this machine cannot."""

    answer: Answer
    trial: Trial | None


def install_answers(
    answers: Sequence[Answer], tasks: Sequence[Task | LockTask], ports: Ports, warnings: list[str]
) -> list[Answer]:
    """``answers``, which are those of ``tasks``, with what was installed; what does not install is not tried.

    Notes in ``warnings`` what cannot be tried here, or not be recorded.
    """
    uv = find_uv(ports.environ)
    tree = ports.storage.local_path(SIMPLE).parent
    interpreters = _find_interpreters([task.environment for task in tasks], ports, uv)
    jobs = [
        _Job(answer=answer, trial=_plan(answer, task, interpreters, has_uv=uv is not None))
        for answer, task in zip(answers, tasks, strict=True)
    ]
    ports.progress.phase("installing", items=sum(1 for job in jobs if job.trial is not None))
    installer = Installer(tree=tree, uv=uv, environ=ports.environ, stop=ports.stop)

    def run(job: _Job) -> Answer:
        if job.trial is None:
            return job.answer
        result = installer.run(job.trial)
        ports.progress.item()
        return _add(job.answer, job.trial, result)

    threads = max(1, min(_MAX_THREADS, os.cpu_count() or 1))
    done = [answer for _, answer in run_ordered(jobs, run, threads=threads, stop=ports.stop)]
    environments = dict.fromkeys(task.environment for task in tasks)
    others = [each.name for each in environments if _find_interpreter(each, interpreters) is None]
    if others:
        warnings.append(f"nothing was installed for what this machine cannot run: {', '.join(others)}")
    _record(done, ports, warnings)
    return done


def load_checks(data: bytes | None) -> tuple[RecordedCheck, ...]:
    """What :data:`CHECKS` says; nothing where it cannot be read."""
    try:
        found = msgspec.json.decode(data or b"", type=RecordedChecks)
    except (msgspec.DecodeError, ValueError):
        return ()
    return found.checks if found.format == _FORMAT else ()


# ── what is tried ───────────────────────────────────────────────────────────────────────────────────


def _find_interpreters(environments: Iterable[Environment], ports: Ports, uv: str | None) -> tuple[Interpreter, ...]:
    """The Pythons of this machine, where one of ``environments`` is of such a platform at all."""

    def list_others() -> list[str]:
        return list_pythons(uv, environ=ports.environ, stop=ports.stop) if uv is not None else []

    own = describe_own()
    possible = [each for each in dict.fromkeys(environments) if own.is_such_a_platform(each)]
    return find_interpreters(possible, environ=ports.environ, stop=ports.stop, more=list_others)


def _find_interpreter(environment: Environment, interpreters: Iterable[Interpreter]) -> Interpreter | None:
    return next((each for each in interpreters if each.runs(environment)), None)


def _plan(answer: Answer, task: Task | LockTask, interpreters: Sequence[Interpreter], *, has_uv: bool) -> Trial | None:
    """How to prove an answer that says that it installs; ``None`` where there is nothing to prove or no such Python."""
    interpreter = _find_interpreter(task.environment, interpreters)
    if interpreter is None or not answer.installs or not task.requirements:
        return None
    if isinstance(task, LockTask):
        if not task.is_one:
            return None  # two versions of one project: no environment takes both
        projects: tuple[NormalizedName, ...] = tuple(dict.fromkeys(each.pin.project for each in task.pins))
        with_dependencies = task.lock.is_resolved
    else:
        projects, with_dependencies = task.projects, True
    is_same = find_platform(task.environment.platform).tags == interpreter.platform_tags
    return Trial(
        requirements=make_question(task.requirements, task.environment).requirements,
        interpreter=interpreter,
        projects=projects,
        platform=name_for_uv(task.environment.platform) if has_uv and not is_same else None,
        with_dependencies=with_dependencies,
    )


def _add(answer: Answer, trial: Trial, result: TrialResult) -> Answer:
    """``answer`` with what came of the trial."""
    findings = list(answer.findings)
    if result.problem is not None:
        problem = f"{result.installer} does not install it with {trial.interpreter.name}: {result.problem}"
        findings.append(Finding(kind=FindingKind.NOT_INSTALLED, problem=problem))
    for module, said in result.failed:
        if module in result.missing:
            problem = f"import {module} with {trial.interpreter.name}: {said}"
            findings.append(Finding(kind=FindingKind.NOT_IMPORTED, problem=problem))
    others = [f"import {module}: {said}" for module, said in result.failed if module not in result.missing]
    installed = Installed(
        interpreter=trial.interpreter.name,
        installer=result.installer,
        packages=result.packages,
        imported=result.imported,
        unimported=result.failed,
        problem=result.problem,
    )
    return replace(answer, findings=tuple(findings), notes=(*answer.notes, *others), installed=installed)


# ── what is remembered ──────────────────────────────────────────────────────────────────────────────


def _record(answers: Sequence[Answer], ports: Ports, warnings: list[str]) -> None:
    """Keeps what another machine has proved, as long as the spec asks for it; what was proved now replaces it."""
    known = {(each.root, each.kind.value, each.environment): each for each in answers}
    try:
        before = load_checks(ports.storage.read(CHECKS))
        kept = {(each.root, each.kind, each.environment): each for each in before}
        records = {key: record for key, record in kept.items() if key in known}
        for key, answer in known.items():
            if answer.installed is not None:
                records[key] = _make_record(answer, answer.installed, render_upload_time(ports.now))
        found = RecordedChecks(checks=tuple(records[key] for key in sorted(records)))
        data = msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n"
        if found.checks or before:
            ports.storage.write(CHECKS, data)
    except StorageError as error:
        if not error.is_read_only:
            raise
        warnings.append(f"what was installed is not recorded: {error}")


def _make_record(answer: Answer, installed: Installed, checked: str) -> RecordedCheck:
    return RecordedCheck(
        root=answer.root,
        kind=answer.kind.value,
        environment=answer.environment,
        checked=checked,
        interpreter=installed.interpreter,
        installer=installed.installer,
        packages=installed.packages,
        imported=installed.imported,
        unimported=installed.unimported,
        problem=installed.problem,
    )
