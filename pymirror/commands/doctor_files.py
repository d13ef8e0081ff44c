"""Judges the files of a hosted tree: from what was seen to findings, and nothing else."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterator

from pymirror.commands.doctor_report import Check, Finding, error, ok, skipped, warning
from pymirror.commands.doctor_seen import SeenFile, Site
from pymirror.simple.provenance import ACCEPT as PROVENANCE_TYPE
from pymirror.simple.provenance import find_problem

_MAX_AGE = re.compile(r"max-age\s*=\s*\"?([0-9]{1,12})")
_DAY_SECONDS = 86_400
_NO_FILE = "no file was fetched"


def judge_files(site: Site) -> Iterator[Finding]:
    """Every finding about files."""
    yield _judge_content(site)
    yield _judge_encoding(site)
    yield _judge_type(site)
    yield _judge_cache(site)
    yield _judge_range(site)
    yield _judge_metadata(site)
    yield _judge_provenance(site)
    yield _judge_encoded_names(site)
    yield _judge_head(site)


def _came(site: Site) -> list[SeenFile]:
    return [seen for seen in site.files if seen.reply.status == 200]


def _judge_content(site: Site) -> Finding:
    unhashed = []
    for seen in site.files:
        file, reply = seen.file, seen.reply
        if reply.status != 200:
            return error(Check.FILE, f"{file.filename}: {reply.outcome}", reply.asked)
        body = _unpack(seen)
        if file.size is not None and len(body) != file.size:
            return error(Check.FILE, f"{file.filename} has {len(body)} bytes, not {file.size}", reply.asked)
        if file.sha256 is None:
            unhashed.append(seen)
        elif hashlib.sha256(body).hexdigest() != file.sha256:
            return error(Check.FILE, f"{file.filename} has not the sha256 that its page says", reply.asked)
    if unhashed:
        return warning(Check.FILE, f"the page of {unhashed[0].file.filename} gives no sha256", unhashed[0].reply.asked)
    if not site.files:
        return skipped(Check.FILE, "no page names a file that is small enough")
    return ok(Check.FILE, f"{len(site.files)} files have the size and sha256 of their pages", site.files[0].reply.asked)


def _unpack(seen: SeenFile) -> bytes:
    """What a client has after it undid the content encoding; as it came, where that is the file already."""
    body = seen.reply.body
    if not seen.reply.header("content-encoding") or _is_the_file(seen, body):
        return body
    try:
        # A byte more than there should be is enough to tell that it is another file.
        return zlib.decompressobj(wbits=47).decompress(body, (seen.file.size or len(body) * 10) + 1)
    except zlib.error:
        return body


def _is_the_file(seen: SeenFile, body: bytes) -> bool:
    return seen.file.sha256 is not None and hashlib.sha256(body).hexdigest() == seen.file.sha256


def _judge_encoding(site: Site) -> Finding:
    packed = [seen for seen in _came(site) if seen.reply.header("content-encoding") not in ("", "identity")]
    for seen in packed:
        told = f"{seen.file.filename} comes with Content-Encoding: {seen.reply.header('content-encoding')}"
        if _is_the_file(seen, seen.reply.body):
            return error(Check.FILE_ENCODING, f"{told}, as if it were not itself packed", seen.reply.asked)
    if packed:
        return warning(Check.FILE_ENCODING, f"{packed[0].file.filename} is packed once more", packed[0].reply.asked)
    return (
        ok(Check.FILE_ENCODING, "files come as they are", site.simple_url)
        if _came(site)
        else _none(Check.FILE_ENCODING)
    )


def _none(check: Check) -> Finding:
    return skipped(check, _NO_FILE)


def _judge_type(site: Site) -> Finding:
    for seen in _came(site):
        if seen.reply.kind.startswith("text/"):
            return warning(Check.FILE_TYPE, f"{seen.file.filename} comes as {seen.reply.kind}", seen.reply.asked)
    if not _came(site):
        return _none(Check.FILE_TYPE)
    kinds = sorted({seen.reply.kind or "no type" for seen in _came(site)})
    return ok(Check.FILE_TYPE, ", ".join(kinds), site.simple_url)


def _judge_cache(site: Site) -> Finding:
    for seen in _came(site):
        text = seen.reply.header("cache-control").lower()
        match = _MAX_AGE.search(text)
        long = match is not None and int(match[1]) >= _DAY_SECONDS
        if any(word in text for word in ("no-cache", "no-store")) or not (long or "immutable" in text):
            told = f"Cache-Control: {text}" if text else "no Cache-Control"
            return warning(Check.FILE_CACHE, f"{told} on {seen.file.filename}", seen.reply.asked)
    return ok(Check.FILE_CACHE, "files may be kept", site.simple_url) if _came(site) else _none(Check.FILE_CACHE)


def _judge_range(site: Site) -> Finding:
    if site.part is None:
        return _none(Check.RANGE)
    seen, reply = site.part
    if reply.status != 206:
        return warning(Check.RANGE, f"Range: bytes=0-9 is answered by {reply.outcome}", reply.asked)
    size = len(seen.reply.body)
    if reply.body != seen.reply.body[:10] or not re.fullmatch(
        rf"bytes 0-9/(?:{size}|\*)", reply.header("content-range")
    ):
        told = reply.header("content-range") or "no Content-Range"
        return error(
            Check.RANGE, f"Range: bytes=0-9 is answered by {len(reply.body)} other bytes ({told})", reply.asked
        )
    return ok(Check.RANGE, "HTTP 206 to Range", reply.asked)


def _judge_metadata(site: Site) -> Finding:
    for seen in site.metadata:
        name = f"{seen.file.filename}.metadata"
        if seen.reply.status != 200:
            return error(Check.METADATA, f"{name} is promised and not there: {seen.reply.outcome}", seen.reply.asked)
        promised = dict(seen.file.core_metadata) if isinstance(seen.file.core_metadata, tuple) else {}
        if "sha256" in promised and hashlib.sha256(_unpack(seen)).hexdigest() != promised["sha256"]:
            return error(Check.METADATA, f"{name} has not the sha256 that its page says", seen.reply.asked)
    if not site.metadata:
        return skipped(Check.METADATA, "no page that was read promises .metadata")
    return ok(Check.METADATA, "there, and as the page says", site.metadata[0].reply.asked)


def _judge_provenance(site: Site) -> Finding:
    if site.provenance is None:
        return skipped(Check.PROVENANCE, "no page that was read names one")
    file, reply = site.provenance.file, site.provenance.reply
    if reply.status != 200:
        return warning(Check.PROVENANCE, f"that of {file.filename} is not there: {reply.outcome}", reply.asked)
    if file.sha256 is not None and (problem := find_problem(reply.body, sha256=file.sha256)) is not None:
        return error(Check.PROVENANCE, f"that of {file.filename}: {problem}", reply.asked)
    if reply.kind != PROVENANCE_TYPE:
        return warning(Check.PROVENANCE, f"that of {file.filename} comes as {reply.kind or 'no type'}", reply.asked)
    return ok(Check.PROVENANCE, f"there, for {file.filename}", reply.asked)


def _judge_encoded_names(site: Site) -> Finding:
    named = [seen for seen in site.files if "+" in seen.file.filename or "!" in seen.file.filename]
    for seen in named:
        if seen.reply.status != 200:
            return error(Check.ENCODED_NAMES, f"{seen.file.filename}: {seen.reply.outcome}", seen.reply.asked)
    if not named:
        return skipped(Check.ENCODED_NAMES, "no page that was read names a file with + or !")
    return ok(Check.ENCODED_NAMES, f"{named[0].file.filename} comes", named[0].reply.asked)


def _judge_head(site: Site) -> Finding:
    for whole, head in site.heads:
        if head.status != whole.status:
            return warning(Check.HEAD, f"HEAD is answered by {head.outcome}, GET by {whole.outcome}", head.asked)
        length = head.header("content-length")
        is_as_packed = head.header("content-encoding") == whole.header("content-encoding")
        if length and is_as_packed and length != (whole.header("content-length") or length):
            told = f"HEAD says {length} bytes, GET {whole.header('content-length')}"
            return warning(Check.HEAD, told, head.asked)
    if not site.heads:
        return _none(Check.HEAD)
    return ok(Check.HEAD, "as GET, without the body", site.heads[0][1].asked)
