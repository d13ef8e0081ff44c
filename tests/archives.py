"""Wheels and sdists, made in memory: the same arguments give the same bytes."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping, Sequence

_TIME = (2020, 1, 1, 0, 0, 0)

# A build backend in the sdist itself, of the standard library alone: so that pip can build it without any index.
_BACKEND = """
import base64, hashlib, os, zipfile

NAME, VERSION, METADATA, MODULE = {name!r}, {version!r}, {metadata!r}, {module!r}


def get_requires_for_build_wheel(config_settings=None):
    return []


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    info = f"{{NAME}}-{{VERSION}}.dist-info"
    files = {{
        f"{{NAME}}/__init__.py": MODULE,
        f"{{info}}/METADATA": METADATA,
        f"{{info}}/WHEEL": "Wheel-Version: 1.0\\nGenerator: tests\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }}
    lines = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        lines.append(f"{{path}},sha256={{digest}},{{len(text.encode())}}")
    files[f"{{info}}/RECORD"] = "\\n".join([*lines, f"{{info}}/RECORD,,", ""])
    filename = f"{{NAME}}-{{VERSION}}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, filename), "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return filename
"""


def make_metadata(
    name: str,
    version: str,
    *,
    requires: Sequence[str] = (),
    requires_python: str | None = None,
    extras: Sequence[str] = (),
) -> str:
    """The text of a METADATA file."""
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", "Summary: made by the tests"]
    lines += [f"Requires-Python: {requires_python}"] if requires_python else []
    lines += [f"Provides-Extra: {extra}" for extra in extras]
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    return "\n".join([*lines, "", ""])


def make_wheel(
    name: str,
    version: str,
    *,
    tag: str = "py3-none-any",
    build: str = "",
    requires: Sequence[str] = (),
    requires_python: str | None = None,
    extras: Sequence[str] = (),
    metadata: str | bytes | None = None,
    files: Mapping[str, bytes] | None = None,
) -> tuple[str, bytes]:
    """(file name, bytes). ``metadata`` takes the place of the METADATA that would be written; ``files`` are added."""
    stem = name.replace("-", "_")
    text = (
        metadata
        if metadata is not None
        else make_metadata(name, version, requires=requires, requires_python=requires_python, extras=extras)
    )
    info = f"{stem}-{version}.dist-info"
    content = {
        f"{stem}/__init__.py": f"version = {version!r}\n".encode(),
        **(files or {}),
        f"{info}/METADATA": text if isinstance(text, bytes) else text.encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
    }
    record = [
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}"
        for path, data in content.items()
    ]
    content[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, data in content.items():
            wheel.writestr(zipfile.ZipInfo(path, _TIME), data)
    return f"{stem}-{version}{'-' + build if build else ''}-{tag}.whl", out.getvalue()


def make_sdist(
    name: str,
    version: str,
    *,
    requires_python: str | None = None,
    requires: Sequence[str] = (),
    build_requires: Sequence[str] = (),
) -> tuple[str, bytes]:
    """(file name, bytes) of an sdist that builds without any other distribution than ``build_requires``.

    With ``requires``, its metadata are those that PEP 643 lets an installer trust.
    """
    stem = name.replace("-", "_")
    metadata = make_metadata(name, version, requires=requires, requires_python=requires_python)
    if requires:
        metadata = metadata.replace("Metadata-Version: 2.1", "Metadata-Version: 2.2")
    backend = _BACKEND.format(name=stem, version=version, metadata=metadata, module=f"version = {version!r}\n")
    content = {
        "PKG-INFO": metadata,
        "pyproject.toml": f"[build-system]\nrequires = {list(build_requires)}\n"
        'build-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": backend,
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for path, text in content.items():
            data = text.encode()
            member = tarfile.TarInfo(f"{stem}-{version}/{path}")
            member.size = len(data)
            member.mtime = 1577836800
            archive.addfile(member, io.BytesIO(data))
    return f"{stem}-{version}.tar.gz", gzip.compress(out.getvalue(), mtime=0)
