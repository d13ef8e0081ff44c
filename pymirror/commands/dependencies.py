"""Dependencies: resolves what the spec wants with all that it needs, asking upstream for what it must know.

The resolver says what it must know next; pages and metadata are then asked for concurrently, each once in a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from packaging.utils import NormalizedName
from packaging.version import Version

from pymirror.closure import (
    AskNeeds,
    AskProject,
    Closure,
    NoNeeds,
    Option,
    Options,
    Outcome,
    Root,
    Solution,
    Unsolved,
)
from pymirror.commands.ask import Asking, Missed
from pymirror.commands.closed import Closed
from pymirror.commands.ports import DISK_THREADS, Ports
from pymirror.commands.sizes import Page, as_file
from pymirror.distribution import parse_filename
from pymirror.download import Download
from pymirror.environment import Environment
from pymirror.errors import OutOfTimeError
from pymirror.metadata_source import MetadataSource, WantedNeeds
from pymirror.needs import Needs
from pymirror.plan import Failure, want_file
from pymirror.pool import Pool
from pymirror.roots import find_first, gather_needs, list_lost, list_roots
from pymirror.selection.candidates import Candidate
from pymirror.selection.model import Chosen, Selection
from pymirror.selection.needs import Choices, find_max_size
from pymirror.selection.wants import Demands
from pymirror.snapshot import Snapshot
from pymirror.spec.model import Spec
from pymirror.upstream import FetchedPage


class Dependencies:
    """The resolution of one run. ``pages`` are those that were read on the way and that the spec does not name."""

    def __init__(
        self, spec: Spec, ports: Ports, asking: Asking, previous: Snapshot, pool: Pool, source: MetadataSource
    ) -> None:
        self._spec = spec
        self._pool = pool
        self._ports = ports
        self._asking = asking
        self._previous = previous
        self._source = source
        self._published = {project.name: project for project in previous.projects}
        self._needs: dict[tuple[NormalizedName, str], Needs | NoNeeds] = {}
        self.pages: dict[NormalizedName, Page] = {}
        self.missed: dict[NormalizedName, Missed] = {}
        self._stuck: set[NormalizedName] = set()
        self._broken: set[tuple[NormalizedName, Version]] = set()

    @cached_property
    def _demands(self) -> Demands:
        return Demands(self._spec, now=self._ports.now)

    @property
    def is_asked(self) -> bool:
        """Whether the spec wants any dependency."""
        return self._spec.wants_dependencies

    def close(
        self, named: Sequence[Page], missed: Mapping[NormalizedName, Missed], selections: Sequence[Selection]
    ) -> Closed:
        """Resolves every root. ``named`` are the pages of what the spec names, ``missed`` those that were not had."""
        self.missed |= missed
        self._check_reached()
        # What upstream's list names no more has no page yet: whether it is gone is known when it is asked for.
        pages = {page.wants.project: page for page in named if page.index is not None}
        facts = _Facts(pages, self.pages, self.missed, self._needs)
        closure = Closure(list_roots(self._spec, selections), facts)
        self._ports.progress.phase("resolving dependencies", items=0)
        while questions := closure.advance():
            self._ports.stop.check()
            self._ask_projects(sorted(q.project for q in questions if isinstance(q, AskProject)))
            self._ask_needs(sorted(q for q in questions if isinstance(q, AskNeeds)), facts)
        outcomes = closure.outcomes
        unread = list(_list_unread(outcomes, self._needs))
        needs = gather_needs(
            outcomes,
            self._previous.projects,
            lost=list_lost(self._spec, self._demands, selections, self._previous.projects),
            broken=self._broken,
            is_uncertain=bool(unread) or any(not each.is_nothing for each in self.missed.values()),
        )
        # What stays though nothing leads to it any more is judged by its page as well.
        self._ask_projects(
            [name for name in needs if name not in pages.keys() | self.pages.keys() | self.missed.keys()]
        )
        self._stuck = {name for name in needs if name not in pages and name not in self.pages}
        return Closed(outcomes=outcomes, needs=needs, failures=(*_list_failures(outcomes), *unread))

    def learn(self, downloads: Iterable[Download]) -> bool:
        """Takes in what the files themselves say, and which could not be had; whether all is to be resolved again.

        Upstream may have said something else of a wheel than the wheel does.
        """
        is_new = False
        for download in downloads:
            file, stored = download.file, download.stored
            key = (NormalizedName(file.project), file.filename)
            if stored is None and not download.is_too_large:
                release = (key[0], Version(file.version))
                is_new = is_new or (self.is_asked and release not in self._broken)
                self._broken.add(release)
            known = self._needs.get(key)
            own = self._source.read_stored(stored) if stored is not None and isinstance(known, Needs) else None
            if own is not None and own != known:
                self._ports.progress.warn(f"{file.filename} needs something else than upstream says of it")
                self._needs[key] = own
                is_new = True
        return is_new

    def list_missed(self) -> list[Failure]:
        """The pages that were needed and that could not be read. What upstream does not have is no such failure, unless
        it is published and stays.
        """
        return [
            Failure(project=project, what=project, problem=missed.problem)
            for project, missed in sorted(self.missed.items())
            if (not missed.is_nothing or project in self._stuck) and not missed.is_unreached
        ]

    def _check_reached(self) -> None:
        """Raises :class:`OutOfTimeError` where a page was not reached: then nothing can be said of what needs it."""
        for missed in self.missed.values():
            if missed.is_unreached:
                raise OutOfTimeError(missed.problem)

    def _ask_projects(self, projects: Sequence[NormalizedName]) -> None:
        routes = {project: self._asking.find_upstream(project) for project in projects}
        asked = {project: upstream for project, upstream in routes.items() if upstream is not None}
        self._ports.progress.phase("reading pages", items=len(asked))
        for project, index, result in self._asking.fetch_pages(asked):
            self._ports.progress.item()
            if isinstance(result, FetchedPage):
                published = self._published.get(project)
                self.pages[project] = Page(
                    wants=self._demands.of(project),
                    published=tuple(map(as_file, published.files)) if published is not None else (),
                    fetched=result,
                    index=index,
                )
            else:
                self.missed[project] = result
        self._check_reached()
        for project, upstream in routes.items():
            if upstream is None:
                self.missed[project] = Missed(problem="no upstream of the spec has it", is_nothing=True)

    def _ask_needs(self, questions: Sequence[AskNeeds], facts: _Facts) -> None:
        candidates = [(q.project, candidate) for q in questions if (candidate := facts.find(q.project, q.filename))]
        chosen = (
            want_file(name, Chosen(file=c.file, distribution=c.distribution, version=c.version, origins=()))
            for name, c in candidates
        )
        held = self._pool.find(
            chosen, progress=self._ports.progress, stop=self._ports.stop, threads=DISK_THREADS, write=False
        )
        wanted = [
            WantedNeeds(
                project=project,
                file=candidate.file,
                package_type=candidate.distribution.package_type,
                held=held.get((candidate.file.sha256 or "", candidate.file.filename)),
                max_size=find_max_size(candidate, self._demands.of(project)),
            )
            for project, candidate in candidates
        ]
        for question, needs in self._source.read(wanted):
            self._needs[(question.project, question.filename)] = needs


class _Facts:
    """The answers that are there, as the resolver asks for them."""

    def __init__(
        self,
        named: Mapping[NormalizedName, Page],
        others: Mapping[NormalizedName, Page],
        missed: Mapping[NormalizedName, Missed],
        needs: Mapping[tuple[NormalizedName, str], Needs | NoNeeds],
    ) -> None:
        self._named = named
        self._others = others
        self._missed = missed
        self._needs = needs
        self._candidates: dict[NormalizedName, dict[str, Candidate]] = {}
        self._choices: dict[NormalizedName, Choices] = {}
        self._options: dict[tuple[NormalizedName, Environment], Options] = {}

    def options(self, project: NormalizedName, environment: Environment) -> Options | None:
        key = (project, environment)
        if key not in self._options:
            page = self._named.get(project) or self._others.get(project)
            missed = self._missed.get(project)
            if page is not None:
                if project not in self._choices:
                    candidates = page.read().candidates
                    self._candidates[project] = {each.file.filename: each for each in candidates}
                    self._choices[project] = Choices(candidates, page.wants)
                self._options[key] = self._choices[project].list_options(environment)
            elif missed is not None:
                self._options[key] = Options(options=(), problem=missed.problem, is_error=not missed.is_nothing)
            else:
                return None
        return self._options[key]

    def needs(self, option: Option) -> Needs | NoNeeds | None:
        return self._needs.get((option.project, option.filename))

    def find(self, project: NormalizedName, filename: str) -> Candidate | None:
        """The file of that name on the page of ``project``."""
        return self._candidates.get(project, {}).get(filename)


def _list_unread(
    outcomes: Iterable[Outcome], needs: Mapping[tuple[NormalizedName, str], Needs | NoNeeds]
) -> Iterable[Failure]:
    """The files whose metadata could not be had, and in place of which an older release was taken."""
    picked: dict[NormalizedName, Version] = {}
    for outcome in outcomes:
        for pick in outcome.picks if isinstance(outcome, Solution) else ():
            lowest = picked.setdefault(pick.option.project, pick.option.version)
            picked[pick.option.project] = min(lowest, pick.option.version)
    for (project, filename), answer in sorted(needs.items(), key=lambda item: item[0]):
        if not isinstance(answer, NoNeeds) or not answer.is_error or project not in picked:
            continue
        distribution = parse_filename(filename, project)
        if distribution is not None and distribution.version is not None and distribution.version > picked[project]:
            yield Failure(project=project, what=filename, problem=f"what it needs cannot be told: {answer.problem}")


def _list_failures(outcomes: Iterable[Outcome]) -> Iterable[Failure]:
    """The roots without a solution; a problem that several environments share is told once."""
    environments: dict[tuple[str, Root, str], list[str]] = {}
    for outcome in outcomes:
        if isinstance(outcome, Unsolved):
            first = find_first(outcome.root)
            key = (first.requirements[0].name, first, outcome.problem)
            same = next((k for k in environments if (k[0], k[1].name, k[2]) == (key[0], first.name, key[2])), key)
            environments.setdefault(same, []).append(outcome.root.environment.name)
    for (project, root, problem), names in environments.items():
        where = f" ({root.origin})" if root.origin is not None else ""
        listed = ", ".join(dict.fromkeys(names))
        yield Failure(
            project=project, what=f"{root.name}{where}", problem=f"cannot be installed on {listed}: {problem}"
        )
