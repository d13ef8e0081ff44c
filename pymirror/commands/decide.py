"""The first half of ``plan`` and ``sync``: wanted projects → upstream pages → selections → plan. Touches no page.

With ``write``, what the pool turns out to hold is recorded; ``plan`` writes nothing at all.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from packaging.utils import NormalizedName

from pymirror.commands.ask import Asking, Missed
from pymirror.commands.closed import Closed, NoDependencies
from pymirror.commands.ports import DISK_THREADS, Ports
from pymirror.commands.report import DependencyReport, Rollback, make_dependency_report
from pymirror.commands.sizes import Page, as_file, select_pages
from pymirror.errors import OutOfTimeError
from pymirror.history import History
from pymirror.plan import Failure, Plan, PoolFile, PoolKey, list_published, make_plan, plan_projects
from pymirror.pool import Pool
from pymirror.quarantine import Held, Quarantine
from pymirror.selection.model import Reason, Selection
from pymirror.selection.wants import Demands, is_moot
from pymirror.settled import Settling, Verdict
from pymirror.simple.model import Hashes, ProjectDetail
from pymirror.snapshot import EMPTY, Snapshot, SnapshotFile, SnapshotProject
from pymirror.spec.model import Spec
from pymirror.stored_snapshot import list_names, pick_projects
from pymirror.upstream import FetchedPage, Index

if TYPE_CHECKING:
    from pymirror.commands.dependencies import Dependencies
    from pymirror.metadata_source import Obtain


@dataclass(slots=True, kw_only=True)
class Found:
    """What upstream answered: a page of each project, or why there is none.

    ``notes`` tell of projects that only a pattern wants, and that have nothing. ``others`` are the pages that were read
    for dependencies. ``rollbacks`` are pages that are older than they were. ``unreached`` are projects that there was
    no time for: they stay as they are. ``aside`` is what is in quarantine, of all projects.
    """

    pages: list[Page] = field(default_factory=list)
    others: dict[NormalizedName, Page] = field(default_factory=dict)
    missed: dict[NormalizedName, Missed] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    rollbacks: list[Rollback] = field(default_factory=list)
    unreached: set[str] = field(default_factory=set)
    aside: Sequence[Held] = ()

    def learn(self, sizes: Mapping[tuple[str, str], int]) -> None:
        """Puts the sizes of files, by (project, file name), into their pages."""
        for page in [*self.pages, *self.others.values()]:
            project = page.wants.project
            told: dict[tuple[str, Hashes], int | None] = {
                (file.filename, file.hashes): size
                for file in page.fetched.detail.files
                if (size := sizes.get((project, file.filename))) is not None
            }
            page.learn(told, remember=True)

    def remember(self) -> None:
        """Keeps what is new of the pages, but for those that went back in time."""
        went_back = {rollback.project for rollback in self.rollbacks}
        save_pages(page for page in self._list_new() if page.wants.project not in went_back)

    def list_went_back(self) -> list[Page]:
        """The pages that went back in time. They are kept when all is published: until then, that is to be told."""
        went_back = {rollback.project for rollback in self.rollbacks}
        return [page for page in self._list_new() if page.wants.project in went_back]

    def _list_new(self) -> Iterator[Page]:
        for page in [*self.pages, *self.others.values()]:
            if page.index is not None and page.fetched.is_new and page.fetched.to_remember is not None:
                yield page


def save_pages(pages: Iterable[Page]) -> None:
    """Keeps ``pages`` for the next run."""
    for page in pages:
        if page.index is not None and page.fetched.to_remember is not None:
            page.index.cache.save(page.wants.project, page.fetched.to_remember)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The plan, and what it was made from."""

    previous: Snapshot
    found: Found
    selections: tuple[Selection, ...]
    held: dict[PoolKey, PoolFile]
    plan: Plan
    closed: Closed
    dependencies: Dependencies | NoDependencies

    def list_superseded(self) -> set[tuple[str, str]]:
        """(project, file name) of what upstream lists, and what only releases that are newer, or suffice, leave out."""
        found: set[tuple[str, str]] = {
            (selection.project, item.filename)
            for selection in self.selections
            for item in selection.excluded
            if item.reason in (Reason.NOT_LATEST, Reason.HAS_WHEELS)
        }
        judged = {selection.project: selection for selection in self.selections if selection.is_dependency}
        for page in [*self.found.pages, *self.found.others.values()]:
            selection = judged.get(page.wants.project)
            if selection is not None:  # of which nobody asks for more than what is needed
                wanted = {item.filename for item in selection.excluded}
                wanted |= {item.filename for item in selection.refused}
                names = (file.filename for file in page.fetched.detail.files)
                found |= {(selection.project, name) for name in names if name not in wanted}
        return found


def decide(spec: Spec, ports: Ports, asking: Asking, *, pool: Pool, obtain: Obtain, write: bool) -> Decision:
    """Asks upstream for every wanted project and decides. With ``write``, what is learned of files is recorded.

    ``obtain`` fetches a file whose metadata nothing else tells.
    """
    previous = load_previous(ports, pool, write=write)
    (batch,) = read_batches(spec, ports, asking, previous, size=None)
    dependencies = make_dependencies(spec, ports, asking, batch, pool, obtain=obtain, write=write)
    return conclude(spec, ports, asking, batch.previous, batch.found, pool=pool, write=write, dependencies=dependencies)


def load_previous(ports: Ports, pool: Pool, *, write: bool) -> Snapshot:
    """What is published; and ``pool`` learns what it holds."""
    previous = History(ports.storage).current() or EMPTY
    pool.load(progress=ports.progress, stop=ports.stop, threads=DISK_THREADS, write=write)
    return previous


def make_dependencies(
    spec: Spec, ports: Ports, asking: Asking, batch: Batch, pool: Pool, *, obtain: Obtain, write: bool
) -> Dependencies | NoDependencies:
    """What resolves the needs of the projects of ``batch``."""
    if not spec.wants_dependencies:
        return NoDependencies()
    from pymirror.commands.dependencies import Dependencies  # late, since most specs do without a resolver
    from pymirror.commands.obtain import make_source

    source = make_source(spec, ports, asking, obtain=obtain, write=write)
    return Dependencies(spec, ports, asking, batch.previous, pool, source)


def conclude(
    spec: Spec,
    ports: Ports,
    asking: Asking,
    previous: Snapshot,
    found: Found,
    *,
    pool: Pool,
    write: bool,
    dependencies: Dependencies | NoDependencies,
) -> Decision:
    """The decision on what upstream answered, as far as it is known by now."""
    try:
        selections, closed = _select(spec, asking, previous, found, dependencies)
    except OutOfTimeError:  # of what is solved together, a part is worth nothing
        selections, closed = (), Closed()
        found.others = dependencies.pages
        found.unreached |= {page.wants.project for page in found.pages} | {each.name for each in previous.projects}
    published = {project.name: project.files for project in previous.projects}
    went_back = (
        rollback
        for page in found.others.values()
        if page.index is not None
        for rollback in _find_rollbacks(
            page.wants.project, page.index, page.fetched, published.get(page.wants.project, ())
        )
    )
    found.rollbacks = list(dict.fromkeys([*found.rollbacks, *went_back]))
    aside = ((held.project, held.file) for held in found.aside if not held.is_over(ports.now))
    unread = [*found.failures, *_list_unread(found, dependencies)]
    projects, failures = plan_projects(selections, unread, previous, spec.excludes, aside, found.unreached)
    wanted = (file for project in projects for file in project.files)
    held = pool.find(
        [*wanted, *list_published(previous)],
        progress=ports.progress,
        stop=ports.stop,
        threads=DISK_THREADS,
        write=write,
    )
    plan = make_plan(projects, [*failures, *closed.failures], previous, held)
    return Decision(
        previous=previous,
        found=found,
        selections=selections,
        held=held,
        plan=plan,
        closed=closed,
        dependencies=dependencies,
    )


def _select(
    spec: Spec, asking: Asking, previous: Snapshot, found: Found, dependencies: Dependencies | NoDependencies
) -> tuple[tuple[Selection, ...], Closed]:
    """The decision on each page, with what it needs where the spec wants dependencies."""
    for page in found.pages:
        page.wants = replace(page.wants, needs=())
    selections = select_pages(spec, asking, found.pages, previous)
    if not dependencies.is_asked:
        return selections, Closed()
    while True:  # what turns out too large changes what can be chosen; each size is asked for once
        closed = dependencies.close(found.pages, found.missed, selections)
        found.others = dependencies.pages
        pages = [page for page in found.pages if page.index is not None or page.wants.project not in closed.needs]
        named = {page.wants.project for page in pages}
        pages += [page for name, page in found.others.items() if name in closed.needs and name not in named]
        for page in pages:
            page.wants = replace(page.wants, needs=closed.needs.get(page.wants.project, ()))
        before = [page.fetched for page in pages]
        selections = select_pages(spec, asking, pages, previous)
        if all(page.fetched is fetched for page, fetched in zip(pages, before, strict=True)):
            return selections, closed


def _list_unread(found: Found, dependencies: Dependencies | NoDependencies) -> Iterator[Failure]:
    """The pages that dependencies are on and that could not be read, where that is not said already."""
    said = {failure.project for failure in found.failures}
    return (failure for failure in dependencies.list_missed() if failure.project not in said)


def report_dependencies(decision: Decision) -> DependencyReport | None:
    """What dependencies bring; ``None`` where the spec asks for none."""
    return make_dependency_report(
        decision.closed.outcomes, decision.selections, is_asked=decision.dependencies.is_asked
    )


# ── what upstream has ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Some projects, in order of name: what is published of them, and what upstream answered.

    ``settled`` are those of which nothing has changed: they stay as they are published, and are in neither of the two.
    """

    previous: Snapshot
    found: Found
    settled: tuple[tuple[SnapshotProject, Verdict], ...] = ()


def read_batches(
    spec: Spec,
    ports: Ports,
    asking: Asking,
    previous: Snapshot,
    *,
    size: int | None,
    settling: Settling | None = None,
) -> Iterator[Batch]:
    """Every project that is wanted or published, ``size`` of them at a time, or all at once.

    The pages of the next ones are asked for while the last ones are dealt with.
    """
    published = list_names(previous)
    demands = Demands(spec, now=ports.now)
    routes = asking.route(published)
    # What no environment has use for, or an exclusion takes as a whole, is not asked for.
    moot = {name for name in routes.upstreams if is_moot(demands.of(name))}
    routes.upstreams = {name: routes.upstreams[name] for name in sorted(routes.upstreams) if name not in moot}
    for name in sorted(moot):
        ports.progress.note(f"{name}: not asked for: no environment has use for it, or it is excluded as a whole")
    names = sorted({*routes.upstreams, *published})
    size = size or max(len(names), 1)
    gone, aside = frozenset(routes.vanished), Quarantine(ports.storage).load()
    failures, rollbacks = [*_list_unservable(spec), *routes.failures], list(routes.rollbacks)
    with contextlib.closing(asking.fetch_pages(routes.upstreams)) as answers:
        for start in range(0, max(len(names), 1), size):
            part = names[start : start + size]
            asked = sum(1 for name in part if name in routes.upstreams)
            ports.progress.phase("reading pages", items=asked)
            found = Found(failures=failures, rollbacks=rollbacks, aside=aside)
            old = pick_projects(previous, part)
            vanished = sorted(gone.intersection(part))
            settled = _collect(found, demands, ports, old, itertools.islice(answers, asked), vanished, settling)
            rest = tuple(project for project in old.projects if project.name not in settled)
            old = Snapshot(projects=rest, site=old.site)
            yield Batch(previous=old, found=found, settled=tuple(settled.values()))
            failures, rollbacks = [], []


def ask_page(spec: Spec, ports: Ports, asking: Asking, previous: Snapshot, project: NormalizedName) -> Found:
    """The page of ``project``, where it is wanted."""
    routes = asking.route_one(project, list_names(previous))
    found = Found(failures=list(routes.failures), rollbacks=list(routes.rollbacks))
    with contextlib.closing(asking.fetch_pages(routes.upstreams)) as answers:
        old = pick_projects(previous, [project])
        _collect(found, Demands(spec, now=ports.now), ports, old, answers, routes.vanished)
    return found


def _collect(
    found: Found,
    demands: Demands,
    ports: Ports,
    previous: Snapshot,
    answers: Iterable[tuple[NormalizedName, Index, FetchedPage | Missed]],
    vanished: Iterable[NormalizedName],
    settling: Settling | None = None,
) -> dict[str, tuple[SnapshotProject, Verdict]]:
    """Puts ``answers`` into ``found``, but for those projects of which nothing has changed: these are returned."""
    before = {project.name: project for project in previous.projects}
    published = {name: project.files for name, project in before.items()}
    settled: dict[str, tuple[SnapshotProject, Verdict]] = {}
    for project, index, result in answers:
        ports.progress.item()
        if settling is not None and isinstance(result, FetchedPage):
            verdict = settling.find(before.get(project), result)
            if verdict is not None:
                settled[project] = (before[project], verdict)
                continue
        wants = demands.of(project)
        if not isinstance(result, FetchedPage):
            found.missed[project] = result
        if isinstance(result, Missed) and result.is_unreached:
            found.unreached.add(project)
        elif isinstance(result, FetchedPage):
            files = tuple(map(as_file, published.get(project, ())))
            found.pages.append(Page(wants=wants, published=files, fetched=result, index=index))
            found.rollbacks += _find_rollbacks(project, index, result, published.get(project, ()))
        elif wants.is_named or project in published or not result.is_nothing:
            found.failures.append(Failure(project=project, what=project, problem=result.problem))
        else:
            # Only a pattern wants it, and many projects of a large index have no files.
            found.notes[project] = result.problem
            ports.progress.note(f"{project}: nothing to mirror: {result.problem}")
    for project in vanished:
        old = before[project]
        detail = ProjectDetail(files=(), status=old.status, status_reason=old.status_reason)
        nothing = FetchedPage(detail=detail, url="", to_remember=None)
        files = tuple(map(as_file, published[project]))
        found.pages.append(Page(wants=demands.of(project), published=files, fetched=nothing))
    return settled


def _find_rollbacks(
    project: NormalizedName, index: Index, page: FetchedPage, published: Sequence[SnapshotFile]
) -> Iterator[Rollback]:
    if page.is_new:
        from pymirror.commands.rollback import find_rollback  # late, since most pages are as they were

        before = index.cache.load(project, f"{index.upstream.url}{project}/")
        old = before.detail if before is not None else None
        found = find_rollback(project, index.upstream.name, page.detail, old, published)
        if found is not None:
            yield found


def _list_unservable(spec: Spec) -> list[Failure]:
    return [
        Failure(
            project="",
            what=f"{line.origin.text} ({line.origin})",
            problem=f"no index can serve it: {line.problem}; to be told no more, name it under ignore:",
        )
        for line in spec.unservable
    ]
