"""The index to mirror from when the spec names none: pip's, uv's, or the finder library's own default.

pip's files: https://pip.pypa.io/en/stable/topics/configuration/
"""

from __future__ import annotations

import configparser
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from pymirror.credentials import find_home
from pymirror.errors import ConfigurationError
from pymirror.spec.model import Upstream
from pymirror.spec.upstreams import parse_upstream_url

_NAMED_URL = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*=")  # uv's `name=url`


def find_default_upstream(environ: Mapping[str, str]) -> Upstream:
    """``PIP_INDEX_URL``, pip's configuration files, ``UV_DEFAULT_INDEX``, else the finder library's default.

    Raises :class:`ConfigurationError` where the one that is set is no index URL.
    """
    for where, url in _candidates(environ):
        upstream = parse_upstream_url(url, name="default")
        if upstream is None:
            # The URL may hold a credential, so it is not repeated.
            raise ConfigurationError(
                f"{where} is not the http(s) URL of an index", hint="or name an index under upstreams: in the spec"
            )
        return upstream
    raise ConfigurationError("no index is configured", hint="name one under upstreams: in the spec")


def _candidates(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if url := environ.get("PIP_INDEX_URL", "").strip():
        yield "PIP_INDEX_URL", url
    # A later file overrides an earlier one, so the last is asked first.
    for path in reversed(_pip_configuration_files(environ)):
        if configured := _read_index_url(path):
            yield f"index-url in {path}", configured
    if url := _NAMED_URL.sub("", environ.get("UV_DEFAULT_INDEX", "").strip()):
        yield "UV_DEFAULT_INDEX", url
    from unearth import PackageFinder  # the import costs more than a start-up may

    for source in PackageFinder().sources:
        if source["type"] == "index":
            yield "the default index", str(source["url"])


def _pip_configuration_files(environ: Mapping[str, str]) -> list[Path]:
    """Where pip looks, from the least to the most specific."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == "/dev/null":
        return []  # pip's way to say: none at all
    home = find_home(environ) or Path("/nonexistent")
    if sys.platform == "win32":
        shared = [Path(environ.get("PROGRAMDATA", "C:/ProgramData"), "pip", "pip.ini")]
        own = [home / "pip" / "pip.ini", Path(environ.get("APPDATA", home), "pip", "pip.ini")]
    else:
        shared = [Path(folder, "pip", "pip.conf") for folder in environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")]
        shared.append(Path("/etc/pip.conf"))
        config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
        own = [home / ".pip" / "pip.conf", config / "pip" / "pip.conf"]
        if sys.platform == "darwin":
            own.insert(1, home / "Library" / "Application Support" / "pip" / "pip.conf")
    site = Path(sys.prefix, "pip.ini" if sys.platform == "win32" else "pip.conf")
    if named and Path(named).exists():
        own = []  # as pip does: a file that is named takes the place of the user's
    return [*shared, *own, site, *([Path(named)] if named else [])]


def _read_index_url(path: Path) -> str | None:
    parser = configparser.RawConfigParser()
    try:
        with path.open(encoding="utf-8") as file:
            parser.read_file(file)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise ConfigurationError(f"{path}: cannot be read as pip's configuration ({type(error).__name__})") from None
    for key in ("index-url", "index_url"):
        if url := parser.get("global", key, fallback="").strip():
            return url
    return None
