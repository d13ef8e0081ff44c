"""What the tests of crashes and of failing machines share: a run that can be watched, and what must hold after it."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

from pymirror.commands.ports import Ports
from pymirror.commands.prune import prune
from pymirror.commands.report import PruneReport
from pymirror.commands.sync import sync
from pymirror.progress import NoProgress
from pymirror.spec.load import load_spec
from pymirror.storage.local import LocalStorage
from pymirror.workers import Stop
from tests.archives import make_sdist, make_wheel
from tests.conftest import Mirror
from tests.index import LocalIndex
from tests.test_provenance import make_provenance

IS_THOROUGH = bool(os.environ.get("PYMIRROR_CRASH"))
"""Read before a test empties the environment: `make crash` tries every moment, `make test` some of them."""

_BODY = """\
flat: true
dependencies: true
environments: {{python: ['3.12'], platform: [linux]}}
public-url: https://mirror.example.com/
projects: [{}]
"""


def every(step: int, offset: int, total: int) -> range:
    """Of ``total`` moments, those that are tried."""
    return range(total) if IS_THOROUGH else range(offset, total, step)


def make_ports(mirror: Mirror, now: datetime | None = None) -> Ports:
    """What a command works with, in this very process."""
    storage = LocalStorage(mirror.tree)
    return Ports(storage=storage, environ={}, progress=NoProgress(), stop=Stop(), now=now or datetime.now(UTC))


def sync_here(mirror: Mirror) -> None:
    """A run in this very process, whose every call can be watched."""
    spec = load_spec(mirror.spec, read=Path.read_bytes, environ={})
    sync(spec, make_ports(mirror), allow_shrink=False)


def prune_here(mirror: Mirror) -> PruneReport:
    """The same of ``prune``, without a time of grace."""
    return prune(make_ports(mirror), grace_seconds=0, now=time.time(), dry_run=False)


def make_change(index: LocalIndex, mirror: Mirror) -> None:
    """A published mirror, and an upstream and a spec that have all kinds of changes for the next run."""
    for name in ("demo", "kept", "other"):
        index.add(make_wheel(name, "1.0"))
    mirror.write_spec(index, _BODY.format("demo, kept, other"), network="connections: 1")
    mirror.sync()
    entry = index.add(make_wheel("demo", "2.0", requires=["leaf"]))
    entry.provenance = make_provenance(entry.hashes["sha256"])
    index.add(make_sdist("demo", "2.0"))
    index.add(make_wheel("leaf", "1.0"))
    index.entries[0].yanked = "bad"
    mirror.write_spec(index, _BODY.format("demo, kept"), network="connections: 1")


def assert_whole(mirror: Mirror) -> None:
    """Every project of the list has its pages, and every link leads to a file of its size."""
    if not (mirror.tree / "simple").is_dir():
        return
    for project in mirror.projects():
        assert (mirror.tree / "simple" / project / "index.html").stat().st_size
        for file in mirror.page(project)["files"]:
            path = mirror.tree / "simple" / project / file["url"]
            assert path.stat().st_size == file["size"]
            if "core-metadata" in file:
                assert path.with_name(path.name + ".metadata").stat().st_size
