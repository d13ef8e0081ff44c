"""Judges what surrounds pages and files: redirects, what must not be served, TLS, the clock; pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from pymirror.commands.doctor_files import judge_files
from pymirror.commands.doctor_pages import judge_pages
from pymirror.commands.doctor_report import Check, Finding, error, ok, skipped, warning
from pymirror.commands.doctor_seen import UNASKED, Reply, Site, origin
from pymirror.errors import printable_url

MAX_SKEW = timedelta(minutes=5)
MIN_VALIDITY = timedelta(days=14)

_LOCAL = re.compile(r"localhost|127\.[0-9.]+|::1|.*\.localhost")
# Links that a listing of the pool or of the root has, and a page for people has not.
_LISTED = re.compile(
    rb"<title>\s*(?:Index of|Directory listing)|href=\"?'?(?:\./|/)?(?:packages/)?[0-9a-f]{2}/[\"' >]", re.I
)

# A link of our front page to the page of a project.
_LINKED = re.compile(rb"href=\"project/[a-z0-9-]+/index\.html\"")


def judge(site: Site) -> tuple[Finding, ...]:
    """All that is to be said of what was seen, in the order of the checks."""
    found = {finding.check: finding for finding in (*judge_pages(site), *judge_files(site), *_judge_surroundings(site))}
    # What was not asked is neither well nor wrong.
    return tuple(skipped(check, UNASKED) if UNASKED in found[check].seen else found[check] for check in Check)


def _judge_surroundings(site: Site) -> Iterator[Finding]:
    yield _judge_front(site)
    yield _judge_peoples_page(site)
    yield _judge_legacy(site)
    yield _judge_slash(site)
    yield _judge_odd_name(site)
    yield _judge_unknown(site)
    yield _judge_private(site)
    yield _judge_listing(site)
    yield _judge_tls(site)
    yield _judge_clock(site)


def _judge_front(site: Site) -> Finding:
    reply = site.front
    if reply is None:
        return skipped(Check.FRONT_PAGE, "not asked")
    if reply.redirects:
        return ok(Check.FRONT_PAGE, f"redirects to {printable_url(reply.redirects[0])}", reply.asked)
    if _is_absent(reply) or _LISTED.search(reply.body):
        if _is_page(site.peoples_page):
            return warning(Check.FRONT_PAGE, f"{reply.outcome}, but there are pages of projects", reply.asked)
        return skipped(Check.FRONT_PAGE, "a tree without pages for people")
    return _judge_page(Check.FRONT_PAGE, reply)


def _judge_peoples_page(site: Site) -> Finding:
    reply = site.peoples_page
    if reply is None:
        return skipped(Check.PEOPLES_PAGE, "no project is known to ask for")
    is_linked = _is_page(site.front) and site.front is not None and _LINKED.search(site.front.body)
    if not is_linked and reply.status != 200:
        return skipped(Check.PEOPLES_PAGE, "a tree without pages for people")
    return _judge_page(Check.PEOPLES_PAGE, reply)


def _judge_page(check: Check, reply: Reply) -> Finding:
    if _is_page(reply):
        return ok(check, reply.outcome, reply.asked)
    return warning(check, f"a browser is answered by {reply.outcome or 'no content type'}", reply.asked)


def _is_page(reply: Reply | None) -> bool:
    return reply is not None and reply.status == 200 and reply.kind == "text/html"


def _is_absent(reply: Reply) -> bool:
    return reply.status in (403, 404, 410)


def _judge_legacy(site: Site) -> Finding:
    reply = site.legacy
    if reply is None or reply.status != 200:
        return skipped(Check.LEGACY_JSON, "a tree without it")
    try:
        content = json.loads(reply.body)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or "info" not in content:
        return warning(Check.LEGACY_JSON, f"{reply.outcome}, and no JSON of a project", reply.asked)
    if reply.kind != "application/json":
        return warning(Check.LEGACY_JSON, f"comes as {reply.kind or 'no type'}", reply.asked)
    return ok(Check.LEGACY_JSON, reply.kind, reply.asked)


def _judge_slash(site: Site) -> Finding:
    moved = next(
        (reply for reply in (site.listing.html, *(pages.html for pages in site.projects)) if reply.redirects), None
    )
    if moved is not None and origin(moved.url) != origin(moved.asked):
        return warning(Check.SLASH, f"pages are redirected to {printable_url(moved.url)}; use that URL", moved.asked)
    reply = site.without_slash
    if reply is None:
        return skipped(Check.SLASH, "no project is known to ask for")
    if reply.redirects:
        return _judge_target(Check.SLASH, reply, f"{reply.asked}/")
    if reply.status == 200:
        return warning(Check.SLASH, "the page comes without the slash too, where its links lead elsewhere", reply.asked)
    if reply.status == 404:
        return warning(Check.SLASH, "HTTP 404 without the slash; clients send it, people do not", reply.asked)
    return error(Check.SLASH, f"without the slash: {reply.outcome}", reply.asked)


def _judge_target(check: Check, reply: Reply, expected: str) -> Finding:
    target = reply.redirects[0]
    told = f"redirects to {printable_url(target)}"
    if origin(target) != origin(reply.asked):
        return error(check, f"{told}, another scheme, host or port", reply.asked)
    if expected and target.partition("?")[0] != expected:
        return warning(check, f"{told}, not to {printable_url(expected)}", reply.asked)
    return ok(check, told, reply.asked)


def _judge_odd_name(site: Site) -> Finding:
    reply = site.odd_name
    if reply is None:
        return skipped(Check.NORMALIZED_NAME, "no project is known to ask for")
    if reply.redirects:
        judged = _judge_target(Check.NORMALIZED_NAME, reply, "")
        # Clients normalize names themselves, so this is no error.
        return judged if judged.seen.endswith("/") else warning(judged.check, judged.seen, judged.url)
    if reply.status in (200, 404):
        return ok(Check.NORMALIZED_NAME, f"HTTP {reply.status}; clients normalize names themselves", reply.asked)
    return warning(Check.NORMALIZED_NAME, f"a name that is not normalized: {reply.outcome}", reply.asked)


def _judge_unknown(site: Site) -> Finding:
    reply = site.unknown
    if reply is None:
        return skipped(Check.UNKNOWN_PROJECT, "not asked")
    if reply.status in (404, 410):
        return ok(Check.UNKNOWN_PROJECT, f"HTTP {reply.status}", reply.asked)
    if reply.redirects:
        told = f"is redirected to {printable_url(reply.redirects[0])}"
        return error(Check.UNKNOWN_PROJECT, f"a project that is not there {told}", reply.asked)
    return error(Check.UNKNOWN_PROJECT, f"a project that is not there: {reply.outcome}", reply.asked)


def _judge_private(site: Site) -> Finding:
    for reply in site.private:
        if reply.status in (200, 206):
            return error(Check.PRIVATE, "the private folder is served", reply.asked)
    if not site.private:
        return skipped(Check.PRIVATE, "not asked")
    return ok(Check.PRIVATE, site.private[0].outcome, site.private[0].asked)


def _judge_listing(site: Site) -> Finding:
    for reply in site.folders:
        if reply.status == 200 and _LISTED.search(reply.body):
            return warning(Check.LISTING, "the folder is listed", reply.asked)
    if not site.folders:
        return skipped(Check.LISTING, "not asked")
    return ok(Check.LISTING, f"folders are not listed ({site.folders[-1].outcome})", site.folders[0].asked)


def _judge_tls(site: Site) -> Finding:
    scheme, host, _ = origin(site.simple_url)
    if scheme != "https":
        if _LOCAL.fullmatch(host):
            return ok(Check.TLS, "http, on this machine", site.simple_url)
        return warning(Check.TLS, f"plain http; pip needs --trusted-host {host}", site.simple_url)
    if site.certificate is None:
        return skipped(Check.TLS, "the certificate could not be looked at")
    if site.certificate.problem:
        return error(Check.TLS, f"the certificate is not trusted: {site.certificate.problem}", site.simple_url)
    expires = site.certificate.expires
    if expires is None:
        return ok(Check.TLS, "the certificate is trusted", site.simple_url)
    judged = warning if expires - site.now < MIN_VALIDITY else ok
    return judged(Check.TLS, f"the certificate is trusted, until {expires:%Y-%m-%d %H:%M} UTC", site.simple_url)


def _judge_clock(site: Site) -> Finding:
    reply = site.listing.html
    text = reply.header("date")
    if not reply.status:
        return skipped(Check.CLOCK, "no page came")
    date = _parse_date(text)
    if date is None:
        return warning(Check.CLOCK, f"Date: {text}, which is no time" if text else "no Date", reply.asked)
    skew = abs(date - site.now)
    if skew > MAX_SKEW:
        told = f"the clock of the server is {int(skew.total_seconds())} s {'ahead' if date > site.now else 'behind'}"
        return warning(Check.CLOCK, told, reply.asked)
    return ok(Check.CLOCK, "the clocks agree", reply.asked)


def _parse_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else None
