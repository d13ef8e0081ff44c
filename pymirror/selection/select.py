"""A project's page and what the spec says of it → the decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from packaging.version import Version

from pymirror.selection.candidates import Candidate, Offered, read_offered
from pymirror.selection.explain import find_unmet
from pymirror.selection.judge import Bench, ask_all
from pymirror.selection.model import Chosen, Excluded, Refused, Selection, Verdict, Wants
from pymirror.simple.model import File, ProjectDetail


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A page judged file by file: ``excluded`` are the entries that are no distribution of the project."""

    verdicts: tuple[tuple[Candidate, Verdict], ...]
    selection: Selection


def select(
    wants: Wants,
    detail: ProjectDetail,
    *,
    page_url: str,
    published: Sequence[File] = (),
    offered: Offered | None = None,
) -> Selection:
    """The files of ``detail``, which was read from ``page_url``, that ``wants`` asks for.

    ``published`` are those that the mirror has: what upstream lists no more is judged too. ``offered`` is what
    :func:`read_offered` made of all this, where that was done before.
    """
    return examine(wants, detail, page_url=page_url, published=published, offered=offered).selection


def examine(
    wants: Wants,
    detail: ProjectDetail,
    *,
    page_url: str,
    published: Sequence[File] = (),
    offered: Offered | None = None,
) -> Judgement:
    """:func:`select`, with what every rule said of every file."""
    if offered is None:
        offered = read_offered(wants.project, detail, page_url=page_url, published=published)
    candidates, unread = offered.candidates, offered.unread
    is_dependency = not (wants.rules or wants.pins or wants.files)
    if is_dependency:
        # Nobody asked for another release: a page of thousands of files is not judged for one of them.
        needed = {need.version for need in wants.needs}
        candidates = tuple(candidate for candidate in candidates if candidate.version in needed)
    opinions = ask_all(wants, candidates)
    bench = Bench(opinions, wants)
    judged = tuple((candidate, bench.judge(candidate)) for candidate in candidates)
    outcomes = [verdict.outcome for _, verdict in judged]
    excluded = [*unread, *(outcome for outcome in outcomes if isinstance(outcome, Excluded))]
    selection = Selection(
        project=wants.project,
        chosen=tuple(sorted((item for item in outcomes if isinstance(item, Chosen)), key=_order)),
        excluded=tuple(sorted(excluded, key=lambda item: (item.filename, item.reason))),
        unmet=tuple(find_unmet(wants, detail, judged, opinions, unread)),
        refused=tuple(sorted((o for o in outcomes if isinstance(o, Refused)), key=lambda item: item.filename)),
        status=detail.status,
        status_reason=detail.status_reason,
        is_dependency=is_dependency,
    )
    return Judgement(verdicts=judged, selection=selection)


def _order(chosen: Chosen) -> tuple[Version, str]:
    return chosen.version, chosen.file.filename
