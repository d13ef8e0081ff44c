"""An index that is made: ``python -m benchmarks.upstream make|serve FOLDER``.

The same preset and seed give the same bytes. It has two states: in the second one, a hundredth of the files are new
releases. What was made is used again as long as the preset and this format are the same.

On disk it is frugal: pages and files stand in flat folders, and the pages of the second state are only those that
differ. ``benchmarks.web`` gives them the URLs that an index has.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import io
import json
import math
import os
import random
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path

import msgspec

FORMAT = 2
MANIFEST = "files.jsonl"
MARK = "upstream.json"
FIRST_SERIAL = 1_000_000
EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
WRITTEN = {"pages": datetime(2025, 1, 1, tzinfo=UTC), "changed": datetime(2025, 1, 2, tzinfo=UTC)}
"""The times of the pages, by their folder: nginx makes validators of time and size, and the second may be the same."""

_SHARE_CHANGED = 0.01
_ZIP_DATE = (2020, 1, 1, 0, 0, 0)
_PLATFORMS = (
    "cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64",
    "cp312-cp312-manylinux_2_17_aarch64.manylinux2014_aarch64",
    "cp312-cp312-macosx_11_0_arm64",
    "cp312-cp312-win_amd64",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """How much there is. Sizes are spread log-normally around their mean, or evenly between a half and three halves.

    ``sigma`` is that of the logarithm; 0 is evenly.
    """

    projects: int
    releases: int = 1
    wheels: int = 1
    has_sdists: bool = False
    mean_bytes: int = 2_000
    sigma: float = 0.0

    @property
    def files_per_release(self) -> int:
        return self.wheels + self.has_sdists

    @property
    def files(self) -> int:
        """In the first state."""
        return self.projects * self.releases * self.files_per_release

    @property
    def changed(self) -> int:
        """How many projects have a new release in the second state."""
        return max(1, round(self.files * _SHARE_CHANGED / self.files_per_release))


PRESETS = {
    "tiny": Preset(projects=6, releases=3, wheels=2, has_sdists=True, mean_bytes=8_000, sigma=0.8),
    "small": Preset(projects=50, releases=8, wheels=4, has_sdists=True, mean_bytes=90_000, sigma=1.2),
    "even": Preset(projects=50, releases=40, mean_bytes=50_000),
    "many": Preset(projects=2_000, releases=4, wheels=4, has_sdists=True, mean_bytes=15_000, sigma=1.2),
    "big": Preset(projects=5, wheels=4, mean_bytes=75_000_000),
    "wide": Preset(projects=40_000),
    "widest": Preset(projects=200_000),
}


class MadeFile(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the manifest: a file of the index. ``state`` is the first one that has it; ``path`` that of its URL."""

    project: str
    filename: str
    path: str
    sha256: str
    size: int
    requires_python: str
    upload_time: str
    state: int


class Upstream:
    """What was made in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        mark = json.loads((folder / MARK).read_text(encoding="utf-8"))
        self.preset = Preset(**mark["preset"])

    @property
    def projects(self) -> list[str]:
        return [_name(number) for number in range(self.preset.projects)]

    def files(self) -> Iterator[MadeFile]:
        """Those of both states."""
        decoder = msgspec.json.Decoder(MadeFile)
        with (self.folder / MANIFEST).open("rb") as lines:
            yield from map(decoder.decode, lines)

    def switch(self, state: int) -> None:
        """Serves another state from now on; with one rename, so that no page is missing meanwhile."""
        new = self.folder / "overlay.new"
        new.unlink(missing_ok=True)
        new.symlink_to("changed" if state else "unchanged")
        new.rename(self.folder / "overlay")


def make_upstream(folder: Path, preset: Preset, *, seed: int = 1) -> Upstream:
    """Makes the index of ``preset`` in ``folder``, if it is not there already."""
    mark = json.dumps({"format": FORMAT, "seed": seed, "preset": asdict(preset)})
    if not (folder / MARK).exists() or (folder / MARK).read_text(encoding="utf-8") != mark:
        shutil.rmtree(folder, ignore_errors=True)
        for name in ("pages", "changed", "unchanged", "files"):
            (folder / name).mkdir(parents=True)
        for number in range(256):
            (folder / "files" / f"{number:02x}").mkdir()
        _fill(folder, preset, seed)
        (folder / MARK).write_text(mark, encoding="utf-8")
    upstream = Upstream(folder)
    upstream.switch(0)
    return upstream


def _fill(folder: Path, preset: Preset, seed: int) -> None:
    step = preset.projects / preset.changed
    changed = {int(number * step) for number in range(min(preset.changed, preset.projects))}
    with (folder / MANIFEST).open("wb") as manifest:
        for number in range(preset.projects):
            files: list[MadeFile] = []
            for release in range(preset.releases):
                files += _make_release(folder, preset, seed, number, release)
            _write_pages(folder / "pages", number, files, serial=FIRST_SERIAL + number)
            if number in changed:
                files += _make_release(folder, preset, seed, number, preset.releases, state=1)
                _write_pages(folder / "changed", number, files, serial=FIRST_SERIAL + preset.projects + number)
            manifest.writelines(msgspec.json.encode(file) + b"\n" for file in files)
    serials = {number: FIRST_SERIAL + number for number in range(preset.projects)}
    _write_list(folder / "pages", serials)
    _write_list(folder / "changed", serials | {number: FIRST_SERIAL + preset.projects + number for number in changed})


def _name(number: int) -> str:
    return f"made-project-{number:06d}"


# ── distributions ───────────────────────────────────────────────────────────────────────────────────


def _make_release(
    folder: Path, preset: Preset, seed: int, number: int, release: int, *, state: int = 0
) -> list[MadeFile]:
    """Writes the files of a release."""
    name, version = _name(number), f"{1 + release // 10}.{release % 10}"
    stem = f"{name.replace('-', '_')}-{version}"
    tags = _PLATFORMS[: preset.wheels] if preset.wheels > 1 else ("py3-none-any",)
    names = [f"{stem}-{tag}.whl" for tag in tags] + [f"{stem}.tar.gz"] * preset.has_sdists
    uploaded = EPOCH + timedelta(days=30 * release, seconds=number)
    made = []
    for filename in names:
        chance = random.Random(f"{seed}:{filename}")  # noqa: S311 - no secret
        payload = chance.randbytes(max(64, _pick_size(preset, chance) - 1_200))
        make = _make_wheel if filename.endswith(".whl") else _make_sdist
        data = make(name, version, stem, payload)
        digest = hashlib.blake2b(data, digest_size=32).hexdigest()
        (folder / "files" / digest[:2] / filename).write_bytes(data)
        made.append(
            MadeFile(
                project=name,
                filename=filename,
                path=f"packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/{filename}",
                sha256=hashlib.sha256(data).hexdigest(),
                size=len(data),
                requires_python=">=3.9",
                upload_time=f"{uploaded:%Y-%m-%dT%H:%M:%S}.000000Z",
                state=state,
            )
        )
    return made


def _pick_size(preset: Preset, chance: random.Random) -> int:
    mean = preset.mean_bytes
    if not preset.sigma:
        return int(mean * chance.uniform(2 / 3, 4 / 3))
    median = mean / math.exp(preset.sigma**2 / 2)
    return int(min(chance.lognormvariate(math.log(median), preset.sigma), 50 * mean))


def _metadata(name: str, version: str) -> bytes:
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: made\nRequires-Python: >=3.9\n"
    return text.encode("ascii")


def _make_wheel(name: str, version: str, stem: str, payload: bytes) -> bytes:
    """Stored, not packed: the payload is random, and to unpack it is no part of a mirror's work."""
    info = f"{stem}.dist-info"
    members = {
        f"{name.replace('-', '_')}.bin": payload,
        f"{info}/METADATA": _metadata(name, version),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: made\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},sha256={_record_digest(data)},{len(data)}\n" for path, data in members.items())
    members[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode("ascii")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, data in members.items():
            archive.writestr(zipfile.ZipInfo(path, _ZIP_DATE), data)
    return buffer.getvalue()


def _record_digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode("ascii")


def _make_sdist(name: str, version: str, stem: str, payload: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, data in (("PKG-INFO", _metadata(name, version)), ("payload.bin", payload)):
            member = tarfile.TarInfo(f"{stem}/{path}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return gzip.compress(buffer.getvalue(), compresslevel=1, mtime=0)


# ── pages ───────────────────────────────────────────────────────────────────────────────────────────


def render_json(name: str, files: list[MadeFile], *, serial: int) -> bytes:
    """A project's page in JSON (PEP 691, 700)."""
    entries = [
        {
            "core-metadata": False,
            "filename": file.filename,
            "hashes": {"sha256": file.sha256},
            "requires-python": file.requires_python,
            "size": file.size,
            "upload-time": file.upload_time,
            "url": f"../../{file.path}",
            "yanked": False,
        }
        for file in files
    ]
    versions = list(dict.fromkeys(_version(file) for file in files))
    meta = {"api-version": "1.1", "_last-serial": serial}
    page = {"files": entries, "meta": meta, "name": name, "versions": versions}
    return json.dumps(page, separators=(",", ":")).encode("ascii")


def render_html(name: str, files: list[MadeFile], *, serial: int) -> bytes:
    """A project's page in HTML (PEP 503)."""
    anchors = "".join(
        f'<a href="../../{file.path}#sha256={file.sha256}" data-requires-python="{escape(file.requires_python)}">'
        f"{file.filename}</a><br />\n"
        for file in files
    )
    return _html(name, anchors, serial)


def _version(file: MadeFile) -> str:
    return file.filename.removesuffix(".tar.gz").split("-")[1]


def _html(title: str, anchors: str, serial: int) -> bytes:
    head = f'<head><meta name="pypi:repository-version" content="1.1"><title>{title}</title></head>'
    return f"<!DOCTYPE html>\n<html>{head}\n<body>\n{anchors}</body></html>\n<!--SERIAL {serial}-->".encode("ascii")


def _write_pages(folder: Path, number: int, files: list[MadeFile], *, serial: int) -> None:
    name = _name(number)
    _write_page(folder / f"{name}.json", render_json(name, files, serial=serial))
    _write_page(folder / f"{name}.html", render_html(name, files, serial=serial))


def _write_list(folder: Path, serials: dict[int, int]) -> None:
    last = max(serials.values())
    projects = [{"name": _name(number), "_last-serial": serial} for number, serial in serials.items()]
    page = {"meta": {"api-version": "1.1", "_last-serial": last}, "projects": projects}
    _write_page(folder / "index.json", json.dumps(page, separators=(",", ":")).encode("ascii"))
    anchors = "".join(f'<a href="{_name(number)}/">{_name(number)}</a><br />\n' for number in serials)
    _write_page(folder / "index.html", _html("Simple index", anchors, last))


def _write_page(path: Path, body: bytes) -> None:
    path.write_bytes(body)
    seconds = WRITTEN[path.parent.name].timestamp()
    os.utime(path, (seconds, seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    making = verbs.add_parser("make", help="make an index")
    making.add_argument("--preset", choices=PRESETS, default="small")
    making.add_argument("--seed", type=int, default=1)
    serving = verbs.add_parser("serve", help="serve one until Ctrl-C; every Enter switches to the other state")
    for verb in (making, serving):
        verb.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    if arguments.verb == "make":
        upstream = make_upstream(arguments.folder, PRESETS[arguments.preset], seed=arguments.seed)
        size = sum(file.size for file in upstream.files())
        sys.stdout.write(f"{upstream.preset.projects} projects, {upstream.preset.files} files, {size / 1e6:.0f} MB\n")
        return
    from benchmarks.web import serve

    upstream, state = Upstream(arguments.folder), 0
    with serve(arguments.folder) as site:
        sys.stdout.write("".join(f"{name}  {url}\n" for name, url in site.urls.items()) + f"CA  {site.ca}\n")
        sys.stdout.flush()
        while sys.stdin.readline():
            state = 1 - state
            upstream.switch(state)
            sys.stdout.write(f"state {state}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
