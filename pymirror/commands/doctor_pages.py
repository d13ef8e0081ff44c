"""Judges the pages of a hosted tree: from what was seen to findings, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pymirror.commands.doctor_report import Check, Finding, Severity, error, ok, skipped, warning
from pymirror.commands.doctor_seen import HTML_TYPES, JSON_TYPE, Pages, Reply, Site, origin, read_detail
from pymirror.errors import PageError, printable_url
from pymirror.simple.model import File
from pymirror.simple.parse import parse_project_list

_MAX_AGE = re.compile(r"max-age\s*=\s*\"?([0-9]{1,12})")
_LONG_SECONDS = 3600
_MAX_EXAMPLES = 3
_LARGE_BYTES = 128 * 1024


def judge_pages(site: Site) -> Iterator[Finding]:
    """Every finding about pages."""
    yield _judge_list(site)
    yield _judge_projects(site)
    yield _judge_default_type(site)
    yield _judge_json(site)
    yield _judge_vary(site)
    yield _judge_page_cache(site)
    yield _judge_conditional(site)
    yield _judge_packed(site)
    yield _judge_same_files(site)
    yield _judge_links(site)


def _all(site: Site) -> tuple[Pages, ...]:
    """Every pair of pages that came at all."""
    return tuple(pages for pages in (site.listing, *site.projects) if pages.html.status == 200)


def _judge_list(site: Site) -> Finding:
    reply = site.listing.html
    if reply.status != 200:
        return error(Check.INDEX_PAGE, f"simple/ answers {reply.outcome}", reply.asked)
    try:
        page = parse_project_list(reply.body, content_type=reply.header("content-type"), url=reply.url)
    except PageError as problem:
        return error(Check.INDEX_PAGE, problem.problem, reply.asked)
    return ok(Check.INDEX_PAGE, f"{len(page.projects)} projects", reply.asked)


def _judge_projects(site: Site) -> Finding:
    if not site.projects:
        return skipped(Check.PROJECT_PAGE, "no project is known to ask for")
    for pages in site.projects:
        detail = read_detail(pages.html)
        if isinstance(detail, str):
            return error(Check.PROJECT_PAGE, f"the page of {pages.project}: {detail}", pages.html.asked)
    return ok(Check.PROJECT_PAGE, f"{len(site.projects)} pages can be read", site.projects[0].html.asked)


def _judge_default_type(site: Site) -> Finding:
    for reply in (*(pages.html for pages in _all(site)), *([site.text_html] if site.text_html else [])):
        if reply.status == 200 and reply.kind not in HTML_TYPES:
            asked = "Accept: text/html" if reply is site.text_html else "Accept: */*"
            return error(Check.DEFAULT_TYPE, f"{asked} is answered by {reply.kind or 'no content type'}", reply.asked)
    if site.text_html is not None and site.text_html.status != 200:
        return error(Check.DEFAULT_TYPE, f"Accept: text/html is answered by {site.text_html.outcome}", site.simple_url)
    return ok(Check.DEFAULT_TYPE, "HTML to who does not name JSON", site.simple_url)


def _judge_json(site: Site) -> Finding:
    without = []
    for pages in (site.listing, *site.projects):
        reply = pages.json
        if reply.status == 200 and reply.kind == JSON_TYPE:
            if pages.project is not None and isinstance(problem := read_detail(reply), str):
                return error(Check.JSON, f"the JSON page of {pages.project}: {problem}", reply.asked)
        elif reply.status == 200 and reply.kind in HTML_TYPES:
            without.append(reply)
        elif pages.html.status == 200 or reply.status == 200:
            return error(Check.JSON, f"Accept of pip 22.2 and newer is answered by {reply.outcome}", reply.asked)
    if without:
        return warning(Check.JSON, f"HTML alone, also to pip's Accept ({len(without)} pages)", without[0].asked)
    return ok(Check.JSON, f"{JSON_TYPE} to who names it", site.simple_url)


def _judge_vary(site: Site) -> Finding:
    negotiated = [pages for pages in _all(site) if pages.json.status == 200 and pages.json.kind != pages.html.kind]
    if not negotiated:
        return ok(Check.VARY, "one format, so nothing varies", site.simple_url)
    for pages in negotiated:
        for reply in (pages.html, pages.json):
            if not _varies(reply):
                vary = reply.header("vary")
                return error(Check.VARY, f"Vary: {vary}" if vary else "no Vary, but two formats", reply.asked)
    return ok(Check.VARY, "Vary: Accept", site.simple_url)


def _varies(reply: Reply, by: str = "accept") -> bool:
    names = {name.strip().lower() for name in reply.header("vary").split(",")}
    return bool(names & {by, "*"})


def _judge_page_cache(site: Site) -> Finding:
    replies = [reply for pages in _all(site) for reply in (pages.html, pages.json)]
    replies += [reply for reply in (site.peoples_page, site.legacy) if reply is not None]
    found = [_judge_caching(reply) for reply in replies if reply.status == 200]
    if not found:
        return skipped(Check.PAGE_CACHE, "no page came")
    order = (Severity.ERROR, Severity.WARNING, Severity.OK)
    return min(found, key=lambda finding: order.index(finding.severity))


def _judge_caching(reply: Reply) -> Finding:
    text = reply.header("cache-control").lower()
    if any(word in text for word in ("no-cache", "no-store")):
        return ok(Check.PAGE_CACHE, f"Cache-Control: {text}", reply.asked)
    match = _MAX_AGE.search(text)
    if "immutable" in text or (match and int(match[1]) > 24 * _LONG_SECONDS):
        return error(Check.PAGE_CACHE, f"Cache-Control: {text}, on a page that changes", reply.asked)
    if match:
        judge = ok if int(match[1]) <= _LONG_SECONDS else warning
        return judge(Check.PAGE_CACHE, f"Cache-Control: {text}: as old as that at most", reply.asked)
    if reply.header("expires"):
        return ok(Check.PAGE_CACHE, f"Expires: {reply.header('expires')}", reply.asked)
    if not reply.header("last-modified"):
        return ok(Check.PAGE_CACHE, "neither Cache-Control nor Last-Modified, so nothing to guess by", reply.asked)
    return warning(Check.PAGE_CACHE, f"Cache-Control: {text}" if text else "no Cache-Control on pages", reply.asked)


def _judge_conditional(site: Site) -> Finding:
    for pages in _all(site):
        html, packed = pages.html, pages.json
        tag = html.header("etag")
        if tag and not tag.startswith("W/") and tag == packed.header("etag") and html.kind != packed.kind:
            return error(Check.CONDITIONAL, f"HTML and JSON have the same ETag, {tag}", html.asked)
        if not tag and not html.header("last-modified"):
            return warning(Check.CONDITIONAL, "neither ETag nor Last-Modified on a page", html.asked)
    for reply in site.conditional:
        if reply.status != 304:
            return warning(Check.CONDITIONAL, f"an unchanged page is answered by {reply.outcome}", reply.asked)
    if not site.conditional:
        return skipped(Check.CONDITIONAL, "no page came")
    return ok(Check.CONDITIONAL, "an unchanged page is answered by 304", site.conditional[0].asked)


def _judge_packed(site: Site) -> Finding:
    if site.copies is None:
        return skipped(Check.PACKED_PAGES, "no page came")
    plain, packed = site.copies
    if plain.status != 200:
        return error(Check.PACKED_PAGES, f"to who does not accept gzip: {plain.outcome}", plain.asked)
    if _is_packed(plain):
        return error(Check.PACKED_PAGES, "the page is packed for who does not accept it, too", plain.asked)
    if packed.status != 200:
        return error(Check.PACKED_PAGES, f"to who accepts gzip: {packed.outcome}", packed.asked)
    if packed.body != plain.body:
        return error(Check.PACKED_PAGES, "what accepts gzip gets another page than what does not", packed.asked)
    if not _is_packed(packed):
        judge = warning if len(packed.body) >= _LARGE_BYTES else ok
        return judge(Check.PACKED_PAGES, f"a page of {len(packed.body)} bytes comes as it is", packed.asked)
    for reply in (packed, plain):
        if not _varies(reply, by="accept-encoding"):
            told = f"Vary: {vary}" if (vary := reply.header("vary")) else "no Vary"
            return error(Check.PACKED_PAGES, f"{told}, but the page comes packed and as it is", reply.asked)
    return ok(Check.PACKED_PAGES, "packed for who accepts it", packed.asked)


def _is_packed(reply: Reply) -> bool:
    return reply.header("content-encoding").lower() not in ("", "identity")


def _judge_same_files(site: Site) -> Finding:
    compared = 0
    for pages in site.projects:
        one, other = read_detail(pages.html), read_detail(pages.json)
        if isinstance(one, str) or isinstance(other, str) or pages.html.kind == pages.json.kind:
            continue
        compared += 1
        differing = sorted({name for name, _ in _contents(one.files) ^ _contents(other.files)})
        if differing:
            shown = ", ".join(differing[:_MAX_EXAMPLES])
            return error(Check.SAME_FILES, f"HTML and JSON of {pages.project} differ in {shown}", pages.html.asked)
    if not compared:
        return skipped(Check.SAME_FILES, "there is one format alone")
    return ok(Check.SAME_FILES, f"the two formats of {compared} pages list the same files", site.simple_url)


def _contents(files: tuple[File, ...]) -> set[tuple[str, str | None]]:
    return {(file.filename, file.sha256) for file in files}


def _judge_links(site: Site) -> Finding:
    checked = 0
    for pages in site.projects:
        for reply in (pages.html, pages.json):
            detail = read_detail(reply)
            for file in () if isinstance(detail, str) else detail.files:
                checked += 1
                if origin(file.url) == origin(reply.url):
                    continue
                seen = f"{file.filename} is at {printable_url(file.url)}"
                if origin(reply.url)[0] == "https" and origin(file.url)[0] == "http":
                    return error(Check.LINKS, f"{seen}, by http from an https page", reply.asked)
                return warning(Check.LINKS, f"{seen}, another server than that of the page", reply.asked)
    if not checked:
        return skipped(Check.LINKS, "no page with a file came")
    return ok(Check.LINKS, "all files are on this server", site.simple_url)
