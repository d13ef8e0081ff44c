"""Lock files that were made against another index: one line that makes them name the mirror.

The pool's paths are those of the public index, so that only the hosts differ: see ``pymirror.layout``.
"""

from __future__ import annotations

import re

from pymirror.errors import UsageError
from pymirror.settings.place import Site

_INDEX = re.compile(
    r"https?://((?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?(?:/(?:[A-Za-z0-9._~:+/-]|%[0-9A-Fa-f]{2})*)?)"
)
_ESCAPED = {".": "[.]", "+": "[+]", "[": r"\[", "]": r"\]"}  # which sed -E and Python read alike
_FILES = "https?://[A-Za-z0-9.:-]+/packages/([0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{60}/)"


def make_lockfile(site: Site, made_against: str) -> str:
    """Commands for a shell; ``made_against`` is the index URL that the lock files name. Raises :class:`UsageError`."""
    # Neither sed's delimiter nor a quote nor what a shell takes for its own can be in a URL that passes.
    match = _INDEX.fullmatch(made_against.rstrip("/"))
    if match is None:
        # It may hold a credential, so it is not repeated.
        raise UsageError(
            "--made-against: not the plain http(s) URL of an index",
            hint="as the lock file names it, without a user name: like https://index.example.com/simple/",
        )
    index = "".join(_ESCAPED.get(character, character) for character in match[1])
    return _LOCKFILE % {
        "index": f"https?://{index}/?",
        "files": _FILES,
        "mirror": site.index_url,
        "packages": f"{site.url}packages/",
    }


_LOCKFILE = r"""
# A uv.lock, a pylock.toml, a Pipfile.lock or requirements name the hosts of the index that they were made against: the
# public one, or that of --made-against. Either line replaces it by the mirror, and the hosts of files whose paths are
# those of the public index, as the mirror's are; the hashes stay, and are checked as before. With a uv.lock, uv must
# read the mirror as `pymirror config uv` has it. Name the file that is meant at the end of the line.

# A shell; what was there before is kept as uv.lock.orig:
sed -E -i.orig -e 's#%(index)s#%(mirror)s#g' -e 's#%(files)s#%(packages)s\1#g' uv.lock

# Python, also where there is no such shell; on Windows it may be called py:
python3 -c "import pathlib, re, sys; p = pathlib.Path(sys.argv[1]); t = p.read_bytes().decode(); @
t = re.sub(r'%(index)s', r'%(mirror)s', t); t = re.sub(r'%(files)s', r'%(packages)s\1', t); @
p.write_bytes(t.encode())" uv.lock
""".lstrip().replace("@\n", "")
