"""``pymirror why``: why a file, a release or a project is in the mirror, or is not, and by which line of the spec."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name, canonicalize_version
from packaging.version import Version

from pymirror.closure import Outcome
from pymirror.commands.ask import Asking, open_asking
from pymirror.commands.decide import Found, ask_page, decide
from pymirror.commands.obtain import open_temporary
from pymirror.commands.ports import Ports
from pymirror.commands.sizes import examine_page
from pymirror.commands.why_needs import list_need_answers
from pymirror.commands.why_report import (
    Chain,
    FileAnswer,
    NeedAnswer,
    ReleaseAnswer,
    RuleAnswer,
    SetAside,
    Subject,
    WhyReport,
)
from pymirror.distribution import DISTRIBUTION_SUFFIXES, parse_filename, parse_version
from pymirror.errors import UsageError
from pymirror.history import find_published
from pymirror.plan import plan_projects
from pymirror.pool import Pool
from pymirror.quarantine import Held, load_quarantine
from pymirror.selection.candidates import Candidate
from pymirror.selection.model import Chosen, Excluded, Refused, Verdict, Wants
from pymirror.selection.select import Judgement
from pymirror.selection.wants import Demands
from pymirror.snapshot import EMPTY, Snapshot
from pymirror.spec.model import Origin, Pin, Spec


def why(spec: Spec, ports: Ports, question: str) -> WhyReport:
    """Asks upstream for the one project that ``question`` is about, and says how each of its files was judged.

    Raises :class:`UsageError` for a question that names nothing.
    """
    previous = find_published(ports.storage) or EMPTY
    subject = parse_question(question, [*spec.projects(), *(project.name for project in previous.projects)])
    wants = Demands(spec, now=ports.now).of(subject.project)
    needed: tuple[NeedAnswer, ...] = ()
    with open_asking(spec, ports) as asking:
        if spec.wants_dependencies:
            found, outcomes = _resolve_all(spec, ports, asking, subject.project)
            needed = list_need_answers(outcomes, subject.project, _meant_versions(subject))
        else:
            found = ask_page(spec, ports, asking, previous, subject.project)
        judgement = examine_page(spec, asking, found.pages[0], previous) if found.pages else None
        wants = found.pages[0].wants if found.pages else wants
    published = _list_published(previous, subject.project)
    aside = [held for held in load_quarantine(ports.storage) if not held.is_over(ports.now)]
    report = WhyReport(
        subject=subject,
        is_wanted=wants.is_asked,
        is_answered=not found.failures,
        rules=tuple(_list_rules(spec, wants)),
        needed=needed,
        published=tuple(sorted(name for name in published if _is_meant(subject, name, published[name]))),
        set_aside=tuple(_list_set_aside(subject, aside)),
        failures=(*(failure.problem for failure in found.failures), *found.notes.values()),
    )
    if judgement is None:
        is_unlisted = wants.is_asked and not (report.failures or wants.is_named)
        return replace(report, failures=("upstream does not list it",)) if is_unlisted else report
    return _answer_all(spec, wants, report, judgement, previous, aside, published)


def _resolve_all(
    spec: Spec, ports: Ports, asking: Asking, project: NormalizedName
) -> tuple[Found, tuple[Outcome, ...]]:
    """What ``sync`` would find for ``project``, which anything may need: everything is resolved for it."""
    with open_temporary(spec, ports, asking) as obtain:
        decision = decide(spec, ports, asking, pool=Pool(ports.storage), obtain=obtain, write=False)
    found = decision.found
    pages = [page for page in found.pages if page.wants.project == project]
    if not pages and project in decision.closed.needs and project in found.others:
        pages = [found.others[project]]
    failures = [
        failure
        for failure in [*found.failures, *decision.dependencies.list_missed(), *decision.closed.failures]
        if failure.project == project
    ]
    notes = {name: text for name, text in found.notes.items() if name == project}
    return Found(pages=pages, failures=failures, notes=notes), decision.closed.outcomes


def _answer_all(
    spec: Spec,
    wants: Wants,
    report: WhyReport,
    judgement: Judgement,
    previous: Snapshot,
    aside: Sequence[Held],
    published: dict[str, Version],
) -> WhyReport:
    """``report`` with what became of each file, as ``sync`` would decide it."""
    subject = report.subject
    withdrawn = [(held.project, held.file) for held in aside]
    (planned, *_), failures = plan_projects([judgement.selection], [], previous, spec.excludes, withdrawn)
    # A release is published whole or not at all: where a file of it cannot be had, none comes in.
    held_back = {canonicalize_version(file.version) for file in planned.files if file.is_refused}
    files = [
        _answer(spec, wants, candidate, verdict, published, held_back)
        for candidate, verdict in judgement.verdicts
        if _is_meant(subject, candidate.file.filename, candidate.version)
    ]
    files += [
        _answer_unread(item, published)
        for item in _list_unread(judgement)
        if _is_meant(subject, item.filename, item.version)
    ]
    listed = {candidate.file.filename for candidate, _ in judgement.verdicts if not candidate.is_removed}
    return replace(
        report,
        status=judgement.selection.status,
        releases=tuple(_list_releases(files)),
        files=tuple(files),
        set_aside=tuple(held for held in report.set_aside if held.filename not in listed),
        failures=(*report.failures, *(f"{failure.what}: {failure.problem}" for failure in failures)),
    )


def _list_set_aside(subject: Subject, aside: Sequence[Held]) -> Iterator[SetAside]:
    for held in aside:
        if held.project == subject.project and _is_meant(subject, held.file.filename, Version(held.file.version)):
            yield SetAside(
                filename=held.file.filename,
                since=held.since,
                until=held.until,
                is_quarantined_upstream=held.is_quarantined_upstream,
            )


# ── the question ────────────────────────────────────────────────────────────────────────────────────


def parse_question(question: str, known: Collection[str]) -> Subject:
    """``numpy``, ``numpy ==2.1``, ``numpy 2.1`` or the name of a file; ``known`` tells where a project's name ends."""
    text = question.strip()
    if text.endswith(DISTRIBUTION_SUFFIXES):
        return _parse_file(text, known)
    named = _parse_requirement(text)
    if named is not None and (named.specifier is not None or named.project in known):
        return named
    # "numpy 2.1" and "numpy-2.1", of which the second could be a name too.
    name, _, version = text.partition(" ") if " " in text else text.rpartition("-")
    project = _parse_requirement(name)
    if project is not None and project.specifier is None and (parsed := parse_version(version)) is not None:
        return Subject(text=text, project=project.project, specifier=f"=={parsed}")
    if named is None:
        raise UsageError(
            f'"{text}" names no file, no release and no project', hint='like numpy, "numpy ==2.1.3" or a file name'
        )
    return named


def _parse_requirement(text: str) -> Subject | None:
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return None
    return Subject(text=text, project=canonicalize_name(requirement.name), specifier=str(requirement.specifier) or None)


def _parse_file(filename: str, known: Collection[str]) -> Subject:
    names = set(known)
    dashes = [index for index, sign in enumerate(filename) if sign == "-"]
    projects = [name for index in dashes if (name := canonicalize_name(filename[:index])) in names]
    if filename.endswith(".whl"):
        projects = projects[:1]
    guess = parse_filename(filename, NormalizedName(""))
    if not projects and guess is None:
        raise UsageError(f'"{filename}" is not called like a distribution', hint="name its project instead")
    project = projects[-1] if projects or guess is None else guess.project
    return Subject(text=filename, project=NormalizedName(project), filename=filename)


def _meant_versions(subject: Subject) -> Callable[[Version], bool]:
    """Whether a release is one that is asked about."""
    if subject.filename is None:
        return lambda version: _is_meant(subject, "", version)
    distribution = parse_filename(subject.filename, subject.project)
    return lambda version: distribution is not None and distribution.version == version


def _is_meant(subject: Subject, filename: str, version: Version | None) -> bool:
    if subject.filename is not None:
        return filename == subject.filename
    if subject.specifier is None:
        return True
    return version is not None and SpecifierSet(subject.specifier).contains(version, prereleases=True)


# ── the answers ─────────────────────────────────────────────────────────────────────────────────────


def _list_published(snapshot: Snapshot, project: str) -> dict[str, Version]:
    return {file.filename: Version(file.version) for name, file in snapshot.files() if name == project}


def _answer(
    spec: Spec,
    wants: Wants,
    candidate: Candidate,
    verdict: Verdict,
    published: dict[str, Version],
    held_back: Collection[str],
) -> FileAnswer:
    outcome = verdict.outcome
    refusals = tuple(
        RuleAnswer(
            rule=str(each.origin),
            text=each.origin.text,
            reason=each.excluded.reason.label,
            detail=each.excluded.detail,
        )
        for each in sorted(verdict.refusals, key=lambda each: (str(each.origin), each.excluded.reason))
    )
    is_held_back = isinstance(outcome, Chosen | Refused) and canonicalize_version(candidate.version) in held_back
    is_published = candidate.file.filename in published
    is_in = is_published if is_held_back else isinstance(outcome, Chosen)
    origins = outcome.origins if isinstance(outcome, Chosen | Refused) else ()
    excluded = outcome if isinstance(outcome, Excluded | Refused) else None
    return FileAnswer(
        filename=candidate.file.filename,
        version=str(candidate.version),
        size=candidate.file.expected_size,
        is_in=is_in,
        is_held_back=is_held_back,
        is_published=is_published,
        is_removed=candidate.is_removed,
        reason=excluded.reason.label if excluded is not None else None,
        detail=excluded.detail if excluded is not None else "",
        rule=_spell(outcome.origin) if isinstance(outcome, Excluded) and outcome.origin is not None else None,
        until=outcome.until if isinstance(outcome, Excluded) else None,
        wanted_by=tuple(_trace(origin, wants.pins, spec.pins) for origin in origins),
        refusals=refusals,
    )


def _answer_unread(item: Excluded, published: dict[str, Version]) -> FileAnswer:
    return FileAnswer(
        filename=item.filename,
        version=str(item.version) if item.version is not None else None,
        size=item.size,
        is_in=False,
        is_published=item.filename in published,
        is_removed=False,
        reason=item.reason.label,
        detail=item.detail,
    )


def _list_unread(judgement: Judgement) -> Iterator[Excluded]:
    """The entries of the page that are no candidates: not called like a distribution of the project, say."""
    judged = {candidate.file.filename for candidate, _ in judgement.verdicts}
    return (item for item in judgement.selection.excluded if item.filename not in judged)


def _list_rules(spec: Spec, wants: Wants) -> Iterator[Chain]:
    """The lines that want the project, then those that exclude some of it."""
    origins = {rule.origin for rule in wants.rules} | {rule.origin for rule in wants.files}
    origins |= {pin.origin for pin in wants.pins}
    yield from (_trace(origin, wants.pins, spec.pins) for origin in sorted(origins))
    for origin, reason in sorted({(rule.origin, rule.reason or "") for rule in wants.excludes}):
        chain = _trace(origin, (), ())
        yield replace(chain, kind="excludes", reason=reason)


def _list_releases(files: Sequence[FileAnswer]) -> Iterator[ReleaseAnswer]:
    """The files by release, newest first; those that have no version at the end."""
    by_version: dict[str | None, list[FileAnswer]] = {}
    for file in files:
        by_version.setdefault(file.version, []).append(file)
    known = sorted((text for text in by_version if text is not None), key=Version, reverse=True)
    for text in [*known, *([None] if None in by_version else [])]:
        group = by_version[text]
        reasons: dict[str, int] = {}
        for file in group:
            if file.reason is not None:
                reasons[file.reason] = reasons.get(file.reason, 0) + 1
        rules = sorted({file.rule for file in group if file.rule is not None and not file.is_in})
        yield ReleaseAnswer(
            version=text,
            files_in=sum(1 for file in group if file.is_in),
            files=len(group),
            size=sum(file.size or 0 for file in group if file.is_in),
            reasons=reasons,
            rules=tuple(rules),
        )


def _spell(origin: Origin) -> str:
    return f"{origin}: {origin.text}"


def _trace(origin: Origin, pins: Sequence[Pin], all_pins: Sequence[Pin]) -> Chain:
    """Where a rule stands, and what led to it: ``-r`` and ``include`` lines, and who needs it in a lock file."""
    steps = []
    step: Origin | None = origin
    while step is not None:
        steps.append(_spell(step))
        step = step.parent
    pin = next((pin for pin in pins if pin.origin == origin), None)
    return Chain(steps=tuple(steps), required_by=_find_way(all_pins, pin) if pin is not None else ())


def _find_way(pins: Sequence[Pin], pin: Pin) -> tuple[str, ...]:
    """The shortest way from what nothing in the lock needs to ``pin``, both included; none where it is one."""
    if not pin.required_by:
        return ()
    by_name: dict[str, Pin] = {}
    for each in pins:
        if each.origin.file == pin.origin.file:
            by_name.setdefault(each.project, each)
    paths: deque[tuple[str, ...]] = deque([(pin.project,)])
    seen = {pin.project}
    while paths:
        path = paths.popleft()
        above = by_name[path[0]].required_by if path[0] in by_name else ()
        if not above:
            return path
        for name in above:
            if name not in seen:
                seen.add(NormalizedName(name))
                paths.append((name, *path))
    return (pin.project,)
