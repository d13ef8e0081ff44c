"""Rules, pins and pages of the project ``demo``, for the tests of the selection."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from pymirror.selection.model import Reason, Selection, Wants
from pymirror.selection.select import select
from pymirror.simple.model import File, ProjectDetail
from pymirror.spec.model import (
    FileRule,
    Filters,
    Origin,
    PackageType,
    Pin,
    ProjectRule,
    ReleaseRule,
    RemovalPolicy,
    YankedPolicy,
)

DEMO = canonicalize_name("demo")
BOTH = frozenset({PackageType.BDIST_WHEEL, PackageType.SDIST})
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
A, B, C = "a" * 64, "b" * 64, "c" * 64


def make_file(
    filename: str,
    *,
    sha256: str | None = A,
    hashes: tuple[tuple[str, str], ...] = (),
    yanked: bool | str = False,
    url: str | None = None,
    size: int | None = None,
    uploaded: str | None = None,
    requires_python: str | None = None,
) -> File:
    """An entry of a page; ``uploaded`` is a date or a time in UTC."""
    return File(
        filename=filename,
        url=url or f"https://files.example/{filename}",
        hashes=hashes or ((("sha256", sha256),) if sha256 else ()),
        yanked=yanked,
        size=size,
        upload_time=datetime.fromisoformat(uploaded).replace(tzinfo=UTC) if uploaded else None,
        requires_python=requires_python,
    )


def wheel(version: str, *, sha256: str | None = A, yanked: bool | str = False) -> File:
    return make_file(f"demo-{version}-py3-none-any.whl", sha256=sha256, yanked=yanked)


def sdist(version: str, *, sha256: str | None = A, yanked: bool | str = False) -> File:
    return make_file(f"demo-{version}.tar.gz", sha256=sha256, yanked=yanked)


def rule(
    specifier: str = "",
    *,
    types: frozenset[PackageType] = BOTH,
    prereleases: bool = False,
    yanked: YankedPolicy = YankedPolicy.PINNED,
    line: int = 1,
    pattern: str = "demo",
    marker: str | None = None,
    files: tuple[str, ...] = (),
    filters: Filters | None = None,
) -> ProjectRule:
    return ProjectRule(
        pattern=pattern,
        specifier=SpecifierSet(specifier),
        filters=filters or Filters(package_types=types, prereleases=prereleases, yanked=yanked),
        origin=Origin(file="mirror.yaml", line=line, text=f"{pattern} {specifier}".strip()),
        marker=marker,
        files=files,
    )


def pin(specifier: str, *hashes: str, algorithm: str = "sha256", line: int = 1) -> Pin:
    return Pin(
        project=DEMO,
        specifier=SpecifierSet(specifier),
        origin=Origin(file="demo.lock", line=line, text=f"demo{specifier}"),
        hashes=frozenset((algorithm, digest) for digest in hashes),
    )


def exclude(
    specifier: str = "", *, line: int = 90, files: tuple[str, ...] = (), reason: str | None = None
) -> ReleaseRule:
    return ReleaseRule(
        pattern="demo",
        specifier=SpecifierSet(specifier),
        origin=Origin(file="mirror.yaml", line=line, text=f"demo {specifier}".strip()),
        files=files,
        reason=reason,
    )


def make_wants(
    *wanted: ProjectRule | Pin | FileRule | ReleaseRule,
    types: frozenset[PackageType] = BOTH,
    yanked: YankedPolicy = YankedPolicy.PINNED,
    require_hashes: bool = True,
    filters: Filters | None = None,
    allow_newer: Sequence[ReleaseRule] = (),
    on_upstream_removal: RemovalPolicy = RemovalPolicy.QUARANTINE,
) -> Wants:
    return Wants(
        project=DEMO,
        now=NOW,
        rules=tuple(item for item in wanted if isinstance(item, ProjectRule)),
        pins=tuple(item for item in wanted if isinstance(item, Pin)),
        files=tuple(item for item in wanted if isinstance(item, FileRule)),
        excludes=tuple(item for item in wanted if isinstance(item, ReleaseRule)),
        allow_newer=tuple(allow_newer),
        filters=filters or Filters(package_types=types, yanked=yanked),
        require_hashes=require_hashes,
        on_upstream_removal=on_upstream_removal,
    )


PAGE = "https://index.example/simple/demo/"


def run(
    wants: Wants, *files: File, status: str = "active", page_url: str = PAGE, published: Sequence[File] = ()
) -> Selection:
    return select(wants, ProjectDetail(files=files, status=status), page_url=page_url, published=published)


def reasons(selection: Selection) -> dict[str, Reason]:
    """Why each file was left out or refused."""
    found = {item.filename: item.reason for item in selection.excluded}
    return found | {item.filename: item.reason for item in selection.refused}


def chosen(wants: Wants, *files: File) -> list[str]:
    return [item.file.filename for item in run(wants, *files).chosen]


def versions(wants: Wants, *texts: str) -> list[str]:
    """The versions that are chosen of a page that has a wheel of each of ``texts``."""
    return [str(item.version) for item in run(wants, *(wheel(text) for text in texts)).chosen]


def unmet_of(wants: Wants, *files: File) -> list[tuple[str, str]]:
    return [(str(item.origin), item.problem) for item in run(wants, *files).unmet]
