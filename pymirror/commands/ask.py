"""Asking upstream: which projects a pattern stands for, their pages, and the sizes that the pages do not tell."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from packaging.utils import NormalizedName

from pymirror.commands.ports import Ports
from pymirror.commands.report import Rollback
from pymirror.credentials import Credentials
from pymirror.errors import (
    ConfigurationError,
    EmptyPageError,
    OutOfTimeError,
    PymirrorError,
    RequestError,
    StorageError,
    UnsafeNameError,
    printable_url,
)
from pymirror.layout import project_folder
from pymirror.plan import Failure
from pymirror.simple.model import File
from pymirror.spec.model import Origin, Spec, Upstream
from pymirror.spec.upstreams import OPEN, is_open
from pymirror.state import CachedList, PageCache
from pymirror.transport import Transport
from pymirror.upstream import FetchedList, FetchedPage, Index
from pymirror.workers import Stop, run_ordered

MAX_SIZE_FAILURES = 5

PAGES_AHEAD = 2
"""So many pages are read ahead for each connection while the last ones are dealt with."""

_LIST = "the list of projects of "


@dataclass(slots=True, kw_only=True)
class Routes:
    """Where each wanted project comes from.

    ``vanished`` are published projects that only a pattern wants and that upstream lists no more. ``rollbacks`` are
    lists that are older than they were.
    """

    upstreams: dict[NormalizedName, Upstream] = field(default_factory=dict)
    vanished: list[NormalizedName] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    rollbacks: list[Rollback] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """A page that could not be had; ``is_nothing`` where upstream says that the project has no files.

    One that ``is_unreached`` was not asked for, or not to the end, since the time of ``stop-after`` was over.
    """

    problem: str
    is_nothing: bool = False
    is_unreached: bool = False


class Asking:
    """The upstreams of a spec during one run. ``stop`` ends their requests, be it before the run."""

    def __init__(self, spec: Spec, ports: Ports, stop: Stop) -> None:
        self._spec = spec
        self._ports = ports
        self._stop = stop
        self._default = _find_default(spec, ports) if _needs_default(spec) else None
        upstreams = [*spec.upstreams, *([self._default] if self._default else [])]
        self._upstreams = upstreams
        credentials = Credentials(upstreams, ports.environ)
        self.transport = Transport(spec.network, credentials, stop, upstreams=upstreams)
        self._indexes: dict[str, Index] = {}
        self._lists: dict[str, FetchedList] = {}

    def close(self) -> None:
        self.transport.close()

    def remember_lists(self) -> None:
        """Keeps what the lists said: to be called when the run has succeeded.

        An index of many projects has another list at every moment, so that is done only where a page was kept too, or
        where the list names other projects: a run with nothing new writes nothing.
        """
        for url, index in self._indexes.items():
            fetched = self._lists.get(url)
            if not (index.cache.has_saved or (fetched is not None and fetched.is_other)):
                continue
            if fetched is not None and fetched.to_remember is not None:
                index.cache.save_list(fetched.to_remember)
            if index.serials.to_remember is not None:
                index.cache.save_serials(index.serials.to_remember)

    def index_of(self, upstream: Upstream) -> Index:
        if upstream.url not in self._indexes:
            self._indexes[upstream.url] = Index(
                upstream,
                transport=self.transport,
                cache=PageCache(self._ports.storage, upstream.url),
                network=self._spec.network,
                progress=self._ports.progress,
                now=datetime.now(UTC),  # and not when the run began, which SOURCE_DATE_EPOCH may say
            )
        return self._indexes[upstream.url]

    @property
    def has_saved(self) -> bool:
        """Whether anything was kept of any page."""
        return any(index.cache.has_saved for index in self._indexes.values())

    def find_upstream(self, project: NormalizedName) -> Upstream | None:
        """Where ``project`` comes from; ``None`` where no upstream of the spec has it."""
        return self._spec.upstream_of(project) or self._default

    # ── which projects ──────────────────────────────────────────────────────────────────────────

    def route(self, published: Iterable[str]) -> Routes:
        """Every project that the spec names, and those that its patterns match in upstream's list.

        Where a list cannot be had, the patterns stand for what is ``published``: an error empties nothing.
        """
        routes = Routes()
        for project in self._spec.projects():
            self._add(routes, project)
        globs = self._spec.globs()
        if not globs:
            return routes
        self._ports.progress.phase("reading lists of projects", items=0)
        names = [NormalizedName(name) for name in published]
        matched: set[str] = set()
        for upstream in self._upstreams:
            asked = self._globs_for(upstream, globs)
            if asked:
                matched |= self._route_globs(routes, upstream, asked, names)
        if not routes.failures:
            rules = (rule for rule in self._spec.rules if rule.is_glob and rule.pattern not in matched)
            routes.failures += [_unmatched(rule.origin) for rule in rules]
        return routes

    def route_one(self, project: NormalizedName, published: Iterable[str]) -> Routes:
        """``project`` alone, where the spec wants it."""
        is_matched = any(fnmatchcase(project, glob) for glob in self._spec.globs())
        if not is_matched or project in self._spec.projects():
            routes = Routes()
            if project in self._spec.projects():
                self._add(routes, project)
            return routes
        routes = self.route(published)
        routes.upstreams = {name: upstream for name, upstream in routes.upstreams.items() if name == project}
        routes.vanished = [name for name in routes.vanished if name == project]
        routes.failures = [failure for failure in routes.failures if failure.project or failure.what.startswith(_LIST)]
        return routes

    def _route_globs(
        self, routes: Routes, upstream: Upstream, globs: Sequence[str], published: Sequence[NormalizedName]
    ) -> set[str]:
        """Adds what ``globs`` match on ``upstream``; the patterns that did."""
        fetched = self._fetch_list(routes, upstream)
        if isinstance(fetched, Failure):
            routes.failures.append(fetched)
        listed = published if isinstance(fetched, Failure) else [NormalizedName(name) for name in fetched]
        matched: set[str] = set()
        for name in listed:
            hits = [glob for glob in globs if fnmatchcase(name, glob)]
            if hits and self.find_upstream(name) is upstream:
                matched.update(hits)
                self._add(routes, name)
        self.index_of(upstream).serials.keep(routes.upstreams)
        if not isinstance(fetched, Failure):
            known = frozenset(listed)
            gone = (name for name in published if name not in known and name not in routes.upstreams)
            routes.vanished += [
                name
                for name in gone
                if self.find_upstream(name) is upstream and any(fnmatchcase(name, glob) for glob in globs)
            ]
        return matched

    def _fetch_list(self, routes: Routes, upstream: Upstream) -> tuple[str, ...] | Failure:
        index = self.index_of(upstream)
        what = f"{_LIST}{upstream.name}"
        try:
            fetched = index.fetch_list()
        except StorageError:
            raise
        except PymirrorError as error:
            self._ports.stop.check()
            return Failure(project="", what=what, problem=str(error))
        except Exception as error:  # noqa: BLE001 - whatever the list brings up must not cost the named projects
            return Failure(project="", what=what, problem=f"unexpected {type(error).__name__}")
        if fetched.to_remember is not None:
            self._find_rollback(routes, index, fetched.to_remember)
            self._lists[index.upstream.url] = fetched
        return fetched.projects

    @staticmethod
    def _find_rollback(routes: Routes, index: Index, names: CachedList) -> None:
        from pymirror.commands.rollback import find_list_rollback  # late, since most lists are as they were

        found = find_list_rollback(index.upstream.name, names, index.cache.load_list(index.upstream.url))
        if found is not None:
            routes.rollbacks.append(found)

    def _add(self, routes: Routes, project: NormalizedName) -> None:
        upstream = self.find_upstream(project)
        if upstream is not None:  # there is a default wherever one is needed
            routes.upstreams[project] = upstream

    def _globs_for(self, upstream: Upstream, globs: Iterable[str]) -> list[str]:
        """The patterns that may match a project of this upstream, and not only those of others."""
        others = self._upstreams[: self._upstreams.index(upstream)] if upstream.projects else self._upstreams
        return [glob for glob in globs if not any(each.claims_all(glob) for each in others if each is not upstream)]

    # ── their pages ─────────────────────────────────────────────────────────────────────────────

    def fetch_pages(
        self, routes: Mapping[NormalizedName, Upstream]
    ) -> Generator[tuple[NormalizedName, Index, FetchedPage | Missed], None, None]:
        """The page of each project, in order, or why it could not be had."""

        def fetch(project: NormalizedName) -> FetchedPage | Missed:
            try:
                self._stop.check()
                if not self._ports.storage.can_hold(project_folder(project)):
                    raise UnsafeNameError(project, "is no name that this disk takes")
                return self.index_of(routes[project]).fetch(project)
            except StorageError:
                raise
            except OutOfTimeError as error:
                return Missed(problem=str(error), is_unreached=True)
            except PymirrorError as error:
                self._ports.stop.check()
                is_gone = isinstance(error, RequestError) and error.status in (404, 410)
                return Missed(problem=str(error), is_nothing=is_gone or isinstance(error, EmptyPageError))
            except Exception as error:  # noqa: BLE001 - whatever one page brings up must not cost the others
                return Missed(problem=f"unexpected {type(error).__name__}")

        self._ask_serials(routes)
        threads = self._spec.network.connections
        ahead = PAGES_AHEAD * threads
        with contextlib.closing(
            run_ordered(list(routes), fetch, threads=threads, stop=self._ports.stop, ahead=ahead)
        ) as results:
            for project, result in results:
                yield project, self.index_of(routes[project]), result

    def _ask_serials(self, routes: Mapping[NormalizedName, Upstream]) -> None:
        """Asks the lists which pages have not changed; and makes the indexes, before threads share them."""
        projects: dict[str, list[NormalizedName]] = {}
        for project, upstream in routes.items():
            self.index_of(upstream)
            projects.setdefault(upstream.url, []).append(project)
        for url, names in projects.items():
            self._indexes[url].serials.ask(names)
            self._ports.stop.check()

    # ── sizes ───────────────────────────────────────────────────────────────────────────────────

    def fetch_sizes(self, files: list[tuple[Index, File]], *, by_get: bool = False) -> dict[str, int]:
        """The bytes behind each URL, as far as their servers say; a server that fails often is asked no more.

        ``by_get`` is that of :meth:`Index.fetch_size`.
        """
        failures: Counter[str] = Counter()

        def fetch(item: tuple[Index, File]) -> int | None:
            index, file = item
            name = index.upstream.name
            try:
                return index.fetch_size(file.url, by_get=by_get) if failures[name] < MAX_SIZE_FAILURES else None
            except StorageError:
                raise
            except OutOfTimeError:
                return None
            except PymirrorError as error:
                self._ports.stop.check()
                failures[name] += 1
                self._ports.progress.note(f"the size of {file.filename} cannot be had: {error}")
                return None
            finally:
                self._ports.progress.item()

        if not files:
            return {}
        self._ports.progress.phase("asking for sizes", items=len(files))
        threads = self._spec.network.connections
        answers = run_ordered(files, fetch, threads=threads, stop=self._ports.stop)
        found = {file.url: size for (_, file), size in answers}
        for name, number in failures.items():
            if number >= MAX_SIZE_FAILURES:
                problem = "does not tell the sizes of its files; limits hold for each once it is there"
                self._ports.progress.warn(f"{name} {problem}")
        return {url: size for url, size in found.items() if size is not None}


@contextlib.contextmanager
def open_asking(spec: Spec, ports: Ports, *, stop: Stop | None = None) -> Iterator[Asking]:
    """The upstreams of ``spec``. Raises :class:`ConfigurationError` before anything is asked."""
    with contextlib.closing(Asking(spec, ports, stop or ports.stop)) as asking:
        yield asking


def _find_default(spec: Spec, ports: Ports) -> Upstream:
    from pymirror.default_index import find_default_upstream  # late, since most specs name their own

    upstream = find_default_upstream(ports.environ)
    if is_open(replace(upstream, allow_http=spec.allow_http)):
        hint = "name one with https, or add `allow-http: true` to the spec where nobody can listen or meddle"
        raise ConfigurationError(f"the default index {printable_url(upstream.url)}: {OPEN}", hint=hint)
    return upstream


def _needs_default(spec: Spec) -> bool:
    if any(not upstream.projects for upstream in spec.upstreams):
        return False
    if spec.wants_dependencies:
        return True  # whatever is needed comes from somewhere
    is_open = any(not any(each.claims_all(glob) for each in spec.upstreams) for glob in spec.globs())
    return is_open or any(spec.upstream_of(project) is None for project in spec.projects())


def _unmatched(origin: Origin) -> Failure:
    return Failure(project="", what=f"{origin.text} ({origin})", problem="no project of upstream matches the pattern")
