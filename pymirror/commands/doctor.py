"""``pymirror doctor``: asks a hosted tree what clients would ask, and says what its server does wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pymirror.commands.doctor_ask import NETWORK, Prober, look_at_certificate
from pymirror.commands.doctor_report import DoctorReport
from pymirror.commands.doctor_seen import (
    MAX_FILE_BYTES,
    PIP_ACCEPT,
    Certificate,
    Pages,
    Reply,
    SeenFile,
    Site,
    choose_files,
    choose_large,
    choose_projects,
    read_files,
    read_names,
)
from pymirror.commands.doctor_site import judge
from pymirror.credentials import Credentials
from pymirror.errors import RequestError, UsageError
from pymirror.layout import METADATA_SUFFIX, POOL, PRIVATE, SIMPLE, legacy_page, project_page
from pymirror.progress import Progress
from pymirror.simple.provenance import ACCEPT as PROVENANCE_ACCEPT
from pymirror.spec.upstreams import parse_upstream_url
from pymirror.transport import Transport
from pymirror.workers import Stop

_UNKNOWN = "no-such-project-of-pymirror-doctor"


def doctor(url: str, *, environ: Mapping[str, str], now: datetime, progress: Progress, stop: Stop) -> DoctorReport:
    """Asks at most ``MAX_REQUESTS`` times, for a few projects and files. ``now`` is aware UTC.

    Raises :class:`UsageError` for what is no URL, :class:`RequestError` where no answer comes, or none without a
    credential.
    """
    index = parse_upstream_url(url)
    if index is None:
        raise UsageError(f'"{url}" is not a URL of http or https', hint="name the tree, or its simple/")
    transport = Transport(NETWORK, Credentials([index], environ), stop)
    try:
        progress.phase("asking", items=0)
        prober = Prober(transport, progress)
        root = index.url.removesuffix(f"{SIMPLE}/") if index.url.endswith(f"/{SIMPLE}/") else index.url
        site = _Visit(prober, root).visit(now)
    finally:
        transport.close()
    return DoctorReport(
        url=site.simple_url,
        requests=prober.spent,
        projects=len(read_names(site.listing)),
        sampled_projects=tuple(pages.project or "" for pages in site.projects),
        sampled_files=tuple(seen.file.filename for seen in site.files),
        findings=judge(site),
    )


@dataclass(frozen=True, slots=True)
class _Visit:
    """Asks for one thing after the other; what is asked follows from what came."""

    prober: Prober
    root: str

    def visit(self, now: datetime) -> Site:
        simple = f"{self.root}{SIMPLE}/"
        certificate = look_at_certificate(simple)
        listing = self._ask_pages(None, simple)
        if not listing.html.status:
            return _unreachable(simple, now, listing, certificate)
        if listing.html.status in (401, 403):
            problem = f"{listing.html.outcome}: access was refused; put user:password@ into the URL, or use netrc"
            raise RequestError(simple, problem, status=listing.html.status)
        projects = tuple(self._ask_pages(name, f"{simple}{name}/") for name in choose_projects(read_names(listing)))
        page = next((pages.html for pages in projects if pages.html.status == 200), listing.html)
        files = tuple(
            self._ask_file(file.url, file=SeenFile(file=file, reply=page))
            for file in choose_files(read_files(projects))
        )
        whole = next((seen for seen in files if seen.reply.status == 200 and len(seen.reply.body) > 10), None)
        name = projects[0].project if projects else None
        front = self.prober.ask(self.root)
        return Site(
            simple_url=simple,
            now=now,
            listing=listing,
            projects=projects,
            text_html=self.prober.ask(page.asked, accept="text/html", follow=True),
            conditional=self._ask_again(page),
            copies=self._ask_copies((listing, *projects)),
            heads=self._ask_heads(page, whole),
            files=files,
            part=self._ask_part(whole),
            metadata=self._ask_metadata(files),
            provenance=self._ask_provenance(projects),
            front=front,
            peoples_page=self.prober.ask(self.root + project_page(name)) if name else None,
            legacy=self.prober.ask(self.root + legacy_page(name)) if name else None,
            without_slash=self.prober.ask(f"{simple}{name}") if name else None,
            odd_name=self.prober.ask(f"{simple}{name.upper().replace('-', '_.')}/") if name else None,
            unknown=self.prober.ask(f"{simple}{_UNKNOWN}/", accept=PIP_ACCEPT),
            private=tuple(self.prober.ask(f"{self.root}{PRIVATE}/{part}") for part in ("", "snapshots/current")),
            folders=(front, self.prober.ask(f"{self.root}{POOL}/")),
            # The transport trusts what the system does, which knows more than OpenSSL alone where they differ.
            certificate=Certificate() if certificate is not None and certificate.problem else certificate,
        )

    def _ask_pages(self, project: str | None, url: str) -> Pages:
        html = self.prober.ask(url, follow=True)
        # What did not come at all will not come in another format.
        packed = self.prober.ask(url, accept=PIP_ACCEPT, follow=True) if html.status else html
        return Pages(project=project, html=html, json=packed)

    def _ask_again(self, page: Reply) -> tuple[Reply, ...]:
        """Conditionally, by each validator that the page has."""
        pairs = (("If-None-Match", "etag"), ("If-Modified-Since", "last-modified"))
        return tuple(
            self.prober.ask(page.url, headers={asked: page.header(told)}) for asked, told in pairs if page.header(told)
        )

    def _ask_copies(self, pages: tuple[Pages, ...]) -> tuple[Reply, Reply] | None:
        """What was packed, if the server packs; and the same for who cannot unpack."""
        packed = choose_large(pages)
        if packed is None:
            return None
        plain = self.prober.ask(packed.asked, headers={"Accept-Encoding": "identity"}, follow=True)
        if packed.status == 200 and plain.body != packed.body:  # it may have been published anew meanwhile
            packed = self.prober.ask(packed.asked, follow=True)
        return plain, packed

    def _ask_file(self, url: str, *, file: SeenFile) -> SeenFile:
        """With the Accept-Encoding of uv, as it comes over the line."""
        reply = self.prober.ask(url, headers={"Accept-Encoding": "gzip"}, follow=True, max_file_bytes=MAX_FILE_BYTES)
        return SeenFile(file=file.file, reply=reply)

    def _ask_heads(self, page: Reply, whole: SeenFile | None) -> tuple[tuple[Reply, Reply], ...]:
        wholes = [page, *([whole.reply] if whole else [])]
        plain = {"Accept-Encoding": "gzip"}
        return tuple((reply, self.prober.ask(reply.url, method="HEAD", headers=plain)) for reply in wholes)

    def _ask_part(self, whole: SeenFile | None) -> tuple[SeenFile, Reply] | None:
        if whole is None:
            return None
        headers = {"Range": "bytes=0-9", "Accept-Encoding": "identity"}
        return whole, self.prober.ask(whole.reply.url, headers=headers, max_file_bytes=MAX_FILE_BYTES)

    def _ask_metadata(self, files: tuple[SeenFile, ...]) -> tuple[SeenFile, ...]:
        promised = [seen for seen in files if seen.file.core_metadata][:1]
        return tuple(self._ask_file(f"{seen.file.url}{METADATA_SUFFIX}", file=seen) for seen in promised)

    def _ask_provenance(self, projects: tuple[Pages, ...]) -> SeenFile | None:
        for file in read_files(projects):
            if file.provenance is not None:
                return SeenFile(
                    file=file, reply=self.prober.ask(file.provenance, accept=PROVENANCE_ACCEPT, follow=True)
                )
        return None


def _unreachable(simple: str, now: datetime, listing: Pages, certificate: Certificate | None) -> Site:
    """A certificate that nobody trusts is a finding; that nobody answers is none."""
    if certificate is not None and certificate.problem:
        return Site(simple_url=simple, now=now, listing=listing, certificate=certificate)
    problem = listing.html.problem
    if listing.html.redirects:
        problem = "the page of all projects is redirected in a circle, or too often"
    raise RequestError(simple, problem)
