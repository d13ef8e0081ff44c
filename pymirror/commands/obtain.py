"""Files that are fetched before anything is decided, since nothing else tells what they need."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pymirror.commands.ask import Asking
from pymirror.commands.ports import Ports
from pymirror.download import Download, Downloader
from pymirror.errors import OutOfTimeError, UnavailableError
from pymirror.layout import pool_path
from pymirror.plan import ProjectPlan, WantedFile, want_file
from pymirror.pool import Pool
from pymirror.spec.model import Spec
from pymirror.storage.interface import Storage
from pymirror.storage.local import LocalStorage

if TYPE_CHECKING:
    from pymirror.metadata_source import MetadataSource, Obtain, WantedNeeds


class PoolObtain:
    """Fetches into the pool, as every download: what is chosen in the end is there then."""

    def __init__(self, downloader: Downloader, storage: Storage) -> None:
        self._downloader = downloader
        self._storage = storage
        self._downloads: dict[tuple[str, str], Download] = {}

    def __call__(self, wanted: WantedNeeds) -> Path | None:
        file = _want(wanted)
        if file is None:
            return None
        download = self._downloader.fetch(file)
        if download.is_unreached:
            raise OutOfTimeError(download.problem)
        if download.stored is None:
            problem = download.problem or "it cannot be had"
            raise UnavailableError(file.filename, problem, may_not_be=download.is_too_large)
        self._downloads[(file.project, file.filename)] = download
        return self._storage.local_path(pool_path(download.stored.blake2b, download.stored.filename))

    def list_wanted(self, projects: Iterable[ProjectPlan]) -> dict[tuple[str, str], Download]:
        """Those that the mirror is to hold; the others stay in the pool until they are pruned."""
        keys = {(file.project, file.filename) for project in projects for file in project.files}
        return {key: download for key, download in self._downloads.items() if key in keys}


@contextlib.contextmanager
def open_temporary(spec: Spec, ports: Ports, asking: Asking) -> Iterator[Obtain]:
    """Fetches into a folder of the system that is gone in the end: the mirror is not touched."""
    with tempfile.TemporaryDirectory(prefix="pymirror-", ignore_cleanup_errors=True) as folder:
        storage = LocalStorage(Path(folder))
        yield PoolObtain(make_downloader(spec, ports, asking, Pool(storage), storage), storage)


def make_downloader(spec: Spec, ports: Ports, asking: Asking, pool: Pool, storage: Storage) -> Downloader:
    """What fetches into ``pool``."""
    return Downloader(
        transport=asking.transport,
        pool=pool,
        storage=storage,
        network=spec.network,
        progress=ports.progress,
        stop=ports.stop,
    )


def make_source(spec: Spec, ports: Ports, asking: Asking, *, obtain: Obtain, write: bool) -> MetadataSource:
    """What tells the needs of files."""
    from pymirror.metadata_source import MetadataSource  # late, since most specs do without a resolver

    return MetadataSource(
        transport=asking.transport,
        storage=ports.storage,
        network=spec.network,
        progress=ports.progress,
        stop=ports.stop,
        obtain=obtain,
        write=write,
    )


def _want(wanted: WantedNeeds) -> WantedFile | None:
    from pymirror.distribution import parse_filename
    from pymirror.selection.model import Chosen

    distribution = parse_filename(wanted.file.filename, wanted.project)
    if distribution is None or distribution.version is None or not wanted.file.url:
        return None
    chosen = Chosen(
        file=wanted.file,
        distribution=distribution,
        version=distribution.version,
        origins=(),
        max_size=wanted.max_size if wanted.file.size is None else None,
    )
    return want_file(wanted.project, chosen)
