"""The first half of ``plan`` and ``sync``: wanted projects → upstream pages → selections → plan. Touches no page.

With ``write``, what the pool turns out to hold is recorded; ``plan`` writes nothing at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from packaging.utils import NormalizedName

from pymirror.credentials import Credentials
from pymirror.default_index import find_default_upstream
from pymirror.errors import PymirrorError, StorageError
from pymirror.history import History
from pymirror.plan import Failure, Plan, PoolFile, PoolKey, list_published, make_plan, plan_projects
from pymirror.pool import Pool
from pymirror.progress import Progress
from pymirror.selection import Selection, select, wants_of
from pymirror.snapshot import EMPTY, Snapshot
from pymirror.spec.model import Spec, Upstream
from pymirror.state import CachedPage, PageCache
from pymirror.storage.interface import Storage
from pymirror.transport import Transport
from pymirror.upstream import FetchedPage, Index
from pymirror.workers import Stop, run_ordered

DISK_THREADS = 8
"""Threads that read and hash files: enough for fast disks, few enough for slow ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What a command works with; the command line makes it once."""

    storage: Storage
    environ: Mapping[str, str]
    progress: Progress
    stop: Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The plan, and what it was made from."""

    previous: Snapshot
    selections: tuple[Selection, ...]
    held: dict[PoolKey, PoolFile]
    plan: Plan
    pages: tuple[tuple[PageCache, str, CachedPage], ...]


def open_transport(spec: Spec, ports: Ports) -> tuple[Transport, dict[NormalizedName, Upstream]]:
    """The transport, with the credentials of every upstream, and the upstream of each wanted project."""
    routes: dict[NormalizedName, Upstream] = {}
    default: Upstream | None = None
    for project in spec.projects():
        upstream = spec.upstream_of(project)
        if upstream is None:
            default = upstream = default or find_default_upstream(ports.environ)
        routes[project] = upstream
    upstreams = [*spec.upstreams, *([default] if default else [])]
    return Transport(spec.network, Credentials(upstreams, ports.environ), ports.stop), routes


def decide(
    spec: Spec,
    ports: Ports,
    transport: Transport,
    routes: Mapping[NormalizedName, Upstream],
    *,
    pool: Pool,
    write: bool,
) -> Decision:
    """Asks upstream for every wanted project and decides. With ``write``, what the pool holds is recorded."""
    previous = History(ports.storage).current() or EMPTY
    pool.load(progress=ports.progress, stop=ports.stop, threads=DISK_THREADS, write=write)
    selections: list[Selection] = []
    failures = [
        Failure(
            project="", what=f"{line.origin.text} ({line.origin})", problem=f"no index can serve it: {line.problem}"
        )
        for line in spec.unservable
    ]
    pages = []
    for project, index, result in _fetch_pages(spec, ports, transport, routes):
        if isinstance(result, Failure):
            failures.append(result)
            continue
        selections.append(select(wants_of(spec, project), result.detail, page_url=result.url))
        if result.to_remember is not None:
            pages.append((index.cache, project, result.to_remember))
    projects, found = plan_projects(selections, failures, previous, spec.excludes)
    wanted = (file for project in projects for file in project.files)
    held = pool.find(
        [*wanted, *list_published(previous)],
        progress=ports.progress,
        stop=ports.stop,
        threads=DISK_THREADS,
        write=write,
    )
    return Decision(
        previous=previous,
        selections=tuple(selections),
        held=held,
        plan=make_plan(projects, found, previous, held),
        pages=tuple(pages),
    )


def _fetch_pages(
    spec: Spec, ports: Ports, transport: Transport, routes: Mapping[NormalizedName, Upstream]
) -> list[tuple[NormalizedName, Index, FetchedPage | Failure]]:
    indexes: dict[str, Index] = {}
    for upstream in routes.values():
        indexes.setdefault(
            upstream.url,
            Index(
                upstream,
                transport=transport,
                cache=PageCache(ports.storage, upstream.url),
                network=spec.network,
                progress=ports.progress,
            ),
        )

    def fetch(project: NormalizedName) -> FetchedPage | Failure:
        try:
            return indexes[routes[project].url].fetch(project)
        except StorageError:
            raise
        except PymirrorError as error:
            ports.stop.check()
            return Failure(project=project, what=project, problem=str(error))
        except Exception as error:  # noqa: BLE001 - whatever one page brings up must not cost the others
            return Failure(project=project, what=project, problem=f"unexpected {type(error).__name__}")
        finally:
            ports.progress.item()

    projects = list(routes)
    ports.progress.phase("reading pages", items=len(projects))
    results = run_ordered(projects, fetch, threads=spec.network.connections, stop=ports.stop)
    return [(project, indexes[routes[project].url], result) for project, result in results]
