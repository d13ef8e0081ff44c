"""What ``doctor`` finds: a closed list of checks, each with why it matters and what mends it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from pymirror.commands.why_report import kebab
from pymirror.errors import ExitCode, printable_url


class Severity(enum.StrEnum):
    """How bad it is: a client fails, or works worse than it could; or nothing could be asked."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"
    SKIPPED = "skipped"


class Check(enum.Enum):
    """Everything that is looked at: its name, why it matters, and what mends it."""

    INDEX_PAGE = (
        "tools that list an index (devpi, patterns of a mirror) read simple/",
        "serve simple/index.html for simple/; nginx: index, Apache: DirectoryIndex, Caddy: file_server",
    )
    PROJECT_PAGE = (
        "every client reads simple/<project>/ first, and finds nothing without it",
        "serve simple/<project>/index.html for simple/<project>/; object stores need the page under the key with the /",
    )
    DEFAULT_TYPE = (
        "poetry 1 sends Accept: */* and pip before 22.2 text/html; neither reads JSON",
        "send index.html unless Accept names JSON; with Apache no MultiViews",
    )
    JSON = (
        (
            "pip and uv read JSON faster than HTML, and pip has upload times from it alone (--uploaded-prior-to); with "
            "another type than application/vnd.pypi.simple.v1+json every client refuses the page"
        ),
        "send index.v1_json as application/vnd.pypi.simple.v1+json where Accept names it",
    )
    VARY = (
        "without Vary: Accept a cache gives one client's JSON to another, and poetry 1 and old pips find nothing",
        "send Vary: Accept with every page of simple/",
    )
    PAGE_CACHE = (
        "without Cache-Control uv and pdm take a page that is old for one that stays, and miss new releases for days",
        "send Cache-Control: no-cache with every page; uv's --refresh helps until then",
    )
    CONDITIONAL = (
        "pip, uv and caches ask whether a page changed; without an answer they fetch it whole each time",
        "send ETag or Last-Modified, and answer 304; a proxy that rewrites pages may have dropped them",
    )
    HEAD = (
        "uv and pip ask by HEAD before they read a part of a wheel",
        "allow HEAD wherever GET is allowed, with the same headers",
    )
    PACKED_PAGES = (
        (
            "packed, a large page has a third of its bytes or less; but one that unpacks to something else, or that a "
            "cache gives to who cannot unpack it, is no page"
        ),
        (
            "send the .gz beside a page with Content-Encoding: gzip to who accepts it, always with Vary: "
            "Accept-Encoding; nginx: gzip_static, Caddy: precompressed; copy the .gz files with their pages"
        ),
    )
    SAME_FILES = (
        "clients that read HTML install other files than those that read JSON",
        "publish both formats in one step; run `pymirror verify` on the tree, and empty the caches in between",
    )
    LINKS = (
        (
            "pages that link elsewhere do not work where only this server can be reached, or on a moved tree; "
            "pip refuses files by http from an https page"
        ),
        "serve the pages as they are in the tree: their links are relative",
    )
    FILE = (
        "a client compares size and sha256 with the page, and refuses the file",
        "run `pymirror verify` on the tree and copy it again; let no proxy rewrite files",
    )
    FILE_ENCODING = (
        "a client unpacks what is sent with Content-Encoding: gzip, and the sha256 of an sdist fits no more",
        "no encoding for packages/; Apache: RemoveEncoding .gz .tgz, nginx: gzip off, Caddy: no encode",
    )
    FILE_TYPE = (
        "a file sent as text is changed or guessed at by proxies and browsers",
        "send application/octet-stream for packages/; nginx: types {} default_type, Apache: ForceType",
    )
    FILE_CACHE = (
        "files never change, and without Cache-Control caches ask for them again each time",
        "send Cache-Control: public, max-age=31536000, immutable with packages/",
    )
    RANGE = (
        "uv and pip go on with a broken download, and uv reads the metadata inside a wheel, by Range",
        "let the server answer Range with 206; Python's http.server cannot",
    )
    METADATA = (
        "pip 23.2 and newer and uv stop where the .metadata that the page promises is missing or another",
        "copy the .metadata files too, and let no rule for file types stop them; `pymirror verify` checks them",
    )
    PROVENANCE = (
        "tools that verify attestations (PEP 740) follow the link of the page, and refuse the file without them",
        (
            "let public-url in the spec be the URL of the tree; copy the .provenance files, and send them as "
            "application/vnd.pypi.integrity.v1+json"
        ),
    )
    ENCODED_NAMES = (
        "versions like 1.0+cpu have a + in their file name, which pages write as %2B",
        "let the server or proxy decode %2B in a path once, and not take + for a space",
    )
    FRONT_PAGE = (
        "people who open the mirror in a browser see it first, and what is not sent as text/html they cannot read",
        "serve index.html for the top of the tree, as text/html; nginx: index, Apache: DirectoryIndex",
    )
    PEOPLES_PAGE = (
        "the front page leads people to project/<project>/, which tells what there is and how to install it",
        "serve project/ as text/html, and copy it with the tree; pages: false in the spec makes a tree without both",
    )
    LEGACY_JSON = (
        "scripts read pypi/<project>/json, and some refuse what does not say that it is JSON",
        "send application/json for pypi/; nginx: default_type, Apache: ForceType, Caddy: header Content-Type",
    )
    SLASH = (
        (
            "links of a page are relative to its URL with the slash; a redirect to another host leads astray, and one "
            "to http shows passwords to all"
        ),
        "redirect to the slash relatively; nginx: absolute_redirect off, behind a proxy: pass Host and scheme on",
    )
    NORMALIZED_NAME = (
        "easy_install and people ask for names as they are written; a project's page must not be another's",
        "answer 404, or redirect to the normalized name on the same host",
    )
    UNKNOWN_PROJECT = (
        "a client goes on to the next index, or says that there is no such project, only after a 404",
        "answer 404 where there is no file: no login page, no page for people, no 403 (object stores: allow listing)",
    )
    PRIVATE = (
        "the private folder holds snapshots and caches, which are nobody else's business",
        "nginx: location ~ /\\. { return 404; }; or copy the tree without .pymirror",
    )
    LISTING = (
        "a listing shows what no page names: what was excluded and not yet pruned",
        "nginx: autoindex off, Apache: Options -Indexes, Caddy: file_server without browse",
    )
    TLS = (
        "pip ignores an http index that is not localhost unless it is a trusted-host; an expired certificate stops all",
        "serve https with a certificate that the clients trust, and renew it in time",
    )
    CLOCK = (
        "caches count the age of a page by Date; with a wrong clock they keep it too long, or do not",
        "set the clock of the server, or of this machine (NTP)",
    )

    @property
    def why(self) -> str:
        return str(self.value[0])

    @property
    def mend(self) -> str:
        return str(self.value[1])

    @property
    def id(self) -> str:
        return self.name.lower().replace("_", "-")


SETTINGS = "`pymirror config nginx` (or apache, caddy) prints settings that do all of this"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check saw. ``seen`` is a sentence, ``url`` where it was seen."""

    check: Check
    severity: Severity
    seen: str
    url: str = ""

    def as_json(self) -> dict[str, Any]:
        told = {"id": self.check.id, "severity": self.severity.value, "seen": self.seen, "url": self.url}
        return told if self.severity is Severity.OK else told | {"why": self.check.why, "mend": self.check.mend}


def ok(check: Check, seen: str, url: str) -> Finding:
    return Finding(check=check, severity=Severity.OK, seen=seen, url=printable_url(url))


def warning(check: Check, seen: str, url: str) -> Finding:
    return Finding(check=check, severity=Severity.WARNING, seen=seen, url=printable_url(url))


def error(check: Check, seen: str, url: str) -> Finding:
    return Finding(check=check, severity=Severity.ERROR, seen=seen, url=printable_url(url))


def skipped(check: Check, seen: str) -> Finding:
    """Nothing could be asked, and ``seen`` is why."""
    return Finding(check=check, severity=Severity.SKIPPED, seen=seen)


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorReport:
    """What ``doctor`` saw; the samples are how many projects and files it looked at."""

    url: str
    requests: int
    projects: int
    sampled_projects: tuple[str, ...]
    sampled_files: tuple[str, ...]
    findings: tuple[Finding, ...]

    def of(self, severity: Severity) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity is severity)

    @property
    def exit_code(self) -> ExitCode:
        return ExitCode.DAMAGED if self.of(Severity.ERROR) else ExitCode.OK

    def as_json(self) -> dict[str, Any]:
        names = ("url", "requests", "projects", "sampled_projects", "sampled_files")
        return {
            "command": "doctor",
            "exit-code": int(self.exit_code),
            **{kebab(name): getattr(self, name) for name in names},
            "errors": len(self.of(Severity.ERROR)),
            "warnings": len(self.of(Severity.WARNING)),
            "findings": [finding.as_json() for finding in self.findings],
        }
