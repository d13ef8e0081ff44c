"""What each installer reads the mirror from: its own settings, or variables of the environment.

Only URLs are written, and those hold no character that means something in TOML, INI or a shell.
"""

from __future__ import annotations

from pymirror.errors import UsageError
from pymirror.settings.place import Site


def make_pip(site: Site) -> str:
    """``pip.conf``."""
    return _PIP % {
        "index": site.index_url,
        "links": site.links_url,
        "trust": ""
        if site.is_trusted
        else f"# pip trusts plain http only when it is told to.\ntrusted-host = {site.netloc}\n",
    }


_PIP = """\
# pip.conf (pip.ini on Windows); `pip config debug` says where pip looks for it.
# For one command: pip install --index-url %(index)s
# A pylock.toml or requirements file that was made against another index: see `pymirror config lockfile`.
[global]
index-url = %(index)s
%(trust)s
# Or the flat page of all files, which needs no folders to be resolved; in place of index-url:
# no-index = true
# find-links = %(links)s
"""


def make_uv(site: Site) -> str:
    """``uv.toml``."""
    return _UV % {"index": site.index_url, "links": site.links_url}


_UV = """\
# uv.toml, beside pyproject.toml or in ~/.config/uv/; in pyproject.toml the table is called [[tool.uv.index]].
# For one command: uv sync --default-index %(index)s
# A uv.lock that was made against another index: see `pymirror config lockfile`.

# The flat page of all files; in place of [[index]]:
# no-index = true
# find-links = ["%(links)s"]

[[index]]
url = "%(index)s"
default = true
"""


def make_poetry(site: Site) -> str:
    """A table of ``pyproject.toml``. Raises :class:`UsageError` for a disk, which Poetry cannot read."""
    if site.scheme == "file":
        raise UsageError(
            "Poetry reads no index from a disk: file:// cannot work with it",
            hint="serve the tree, and name it: --url http://mirror.example.com/",
        )
    return _POETRY % {"index": site.index_url}


_POETRY = """\
# pyproject.toml, of Poetry 1.8 or newer. The same by a command:
#   poetry source add --priority=primary mirror %(index)s
# Then `poetry lock`. A lock file that was made without the source stays as it is where the plugin
# poetry-plugin-pypi-mirror is installed and POETRY_PYPI_MIRROR_URL=%(index)s is set.
[[tool.poetry.source]]
name = "mirror"
url = "%(index)s"
priority = "primary"
"""


def make_pdm(site: Site) -> str:
    """A table of ``pyproject.toml``."""
    return _PDM % {"index": site.index_url, "links": site.links_url, "verify": str(site.is_trusted).lower()}


_PDM = """\
# pyproject.toml. For every project of this user, also with lock files that were made against another index:
#   pdm config pypi.url %(index)s
#   pdm config pypi.verify_ssl %(verify)s
# "pypi" is how PDM calls the default index, which this one takes the place of. PDM reads plain http from another
# host only where verify_ssl is false.
[[tool.pdm.source]]
name = "pypi"
url = "%(index)s"
verify_ssl = %(verify)s

# Or the flat page of all files; in place of the above:
# [[tool.pdm.source]]
# name = "pypi"
# type = "find_links"
# url = "%(links)s"
# verify_ssl = %(verify)s
"""


def make_pipenv(site: Site) -> str:
    """The source of a ``Pipfile``."""
    return _PIPENV % {"index": site.index_url, "verify": str(site.is_trusted).lower()}


_PIPENV = """\
# Pipfile, in place of the [[source]] that is there. A Pipfile and its lock that shall stay as they are, where their
# source is the public index:
#   PIPENV_PYPI_MIRROR=%(index)s pipenv sync
# Plain http from another host is read only where verify_ssl is false.
[[source]]
name = "mirror"
url = "%(index)s"
verify_ssl = %(verify)s
"""


def make_pip_tools(site: Site) -> str:
    """Options of ``pip-compile``."""
    trust = "" if site.is_trusted else f" --trusted-host {site.netloc}"
    return _PIP_TOOLS % {"index": site.index_url, "trust": trust}


_PIP_TOOLS = """\
# pip-compile reads what `pymirror config pip` prints. Without that:
pip-compile --index-url %(index)s%(trust)s --generate-hashes requirements.in
"""


def make_tox(site: Site) -> str:
    """Variables that tox hands to pip."""
    trust = "" if site.is_trusted else f"export PIP_TRUSTED_HOST={site.netloc}\n"
    return _TOX % {"index": site.index_url, "trust": trust}


_TOX = """\
# For a shell or a CI job: tox hands every PIP_ variable to pip, as hatch and nox do. tox-uv reads UV_DEFAULT_INDEX.
export PIP_INDEX_URL=%(index)s
%(trust)sexport UV_DEFAULT_INDEX=%(index)s
"""
