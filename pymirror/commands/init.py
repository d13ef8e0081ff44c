"""``pymirror init``: a commented spec to start from, with what requirements and lock files want."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from pymirror.errors import Problem, SpecError, StorageError, UsageError
from pymirror.lockfiles import (
    NOT_PINNED,
    Lock,
    LockFormat,
    LooseRequirement,
    detect_format,
    list_requirements,
    read_lockfile,
)
from pymirror.spec.document import write_scalar
from pymirror.spec.load import load_spec
from pymirror.spec.model import Unservable

_HEAD = """\
# What the mirror holds; `pymirror sync` makes it so. `pymirror plan` shows what that would mean, and
# `pymirror schema > mirror.schema.json` gives editors something to complete and check this file with.

# The folder that becomes the mirror, relative to this file.
output: ./mirror

# Where packages come from. Left out: the index that pip is configured for on this machine, otherwise PyPI.
# upstreams:
#   - name: internal
#     url: https://packages.example.com/simple/
#     username: ${INDEX_USER}
#     password: ${INDEX_PASSWORD}
#     projects: [acme-*]              # these come from here and from nowhere else

# What must be installable, each interpreter on each platform. Left out: every wheel is kept.
# environments:
#   python: ["%(python)s"]
#   platform: [%(platform)s]

# Which files are kept. A project in its long form may say otherwise.
package-types: [bdist_wheel, sdist]
# sdists: fallback                    # an sdist only where a wheel is missing for one of the environments
# keep-latest: 5                      # the newest releases of each project, for each environment
# exclude-newer: 7 days               # a cooldown: what is younger waits
# max-file-size: 500 MB
# max-total-size: 50 GB               # sync stops before the first byte where the mirror would be larger

# How much of the line and of the night a sync may take; the next one goes on.
# network: {max-rate: 10 MB/s}
# stop-after: 6h

# With environments: everything that the newest releases need is mirrored too, and what builds sdists without a wheel.
# dependencies: true
# build-dependencies: false           # nothing is built from these

# Requirements that can be installed together, with all that they need. With environments.
# groups:
#   web: [flask >=3, gunicorn]
"""

_EXAMPLE = """
projects:
  - requests >=2.32,<3                # a requirement, as in requirements.txt
"""

_TAIL = """
# Wins over everything above.
# exclude:
#   - urllib3 <2.2.2
#   - {name: "*-nightly", reason: not for production}
"""


_MAX_NAMED = 5  # lines, in a message


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A requirements or lock file: its path as seen from the spec's folder, and its content."""

    name: str
    data: bytes


def write_spec(sources: Sequence[Path], spec: Path, *, read: Callable[[Path], bytes]) -> None:
    """Writes ``spec``, which must not be there yet, once it is known to load.

    Raises :class:`UsageError` where it is or where a source cannot be used, :class:`SpecError`, :class:`StorageError`.
    """
    folder = spec.absolute().parent
    named = []
    for source in sources:
        try:
            name = Path(os.path.relpath(source.absolute(), folder)).as_posix()
            named.append(Source(name=name, data=read(source)))
        except (OSError, ValueError) as error:
            problem = error.strerror if isinstance(error, OSError) else str(error)
            raise UsageError(f"{source} cannot be read: {problem}") from None
    text = make_spec(
        named,
        read=lambda name: read(folder / name),
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        platform=_name_platform(sysconfig.get_platform()),
    )
    data = text.encode("utf-8")
    load_spec(spec, read=lambda path: data if path == spec else read(path), environ={})
    try:
        with spec.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{spec} is there already", hint="name another with --output") from None
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(f"{spec} cannot be written: {error.strerror}", hint="make its folder first") from None
    except OSError as error:
        raise StorageError.from_os_error(error, spec) from error


def _name_platform(platform: str) -> str:
    """This machine as an example of ``platform``, from what ``sysconfig`` calls it (``linux-x86_64``)."""
    system, _, machine = platform.partition("-")
    if platform.startswith("win"):
        return "aarch64-pc-windows-msvc" if machine == "arm64" else "x86_64-pc-windows-msvc"
    if system == "macosx":
        return "x86_64-apple-darwin" if machine.endswith("x86_64") else "aarch64-apple-darwin"
    return f"{machine if system == 'linux' else 'x86_64'}-manylinux_2_28"


def make_spec(sources: Sequence[Source], *, read: Callable[[str], bytes], python: str, platform: str) -> str:
    """The text of a spec that wants what ``sources`` want.

    ``python`` and ``platform`` are the example of an environment. Raises :class:`SpecError` for a file that is none,
    and :class:`UsageError` for one that a spec cannot want.
    """
    locks: list[str] = []
    wanted: dict[object, str] = {}
    unservable: list[str] = []
    for source in sources:
        if "${" in source.name:
            raise UsageError(f"{source.name} has ${{ in its path, which a spec takes for a variable", hint="rename it")
        lock = read_lockfile(source.data, file=source.name, read=read)
        loose = [problem for problem in lock.problems if problem.message.endswith(NOT_PINNED)]
        requirements: tuple[LooseRequirement, ...] = ()
        if loose and detect_format(source.data, file=source.name) is LockFormat.REQUIREMENTS:
            requirements = list_requirements(source.data, file=source.name, read=read)
        if problems := [problem for problem in lock.problems if not requirements or problem not in loose]:
            raise SpecError(problems)
        if not (lock.pins or lock.unservable or requirements):
            raise UsageError(f"{source.name} holds no requirement", hint="leave it out")
        _check_hashes(lock, loose, requirements)
        unservable += [_name(line) for line in lock.unservable]
        if not requirements:
            locks.append(source.name)
        for each in requirements:
            key = (canonicalize_name(each.name), each.extras, each.specifier, each.marker)
            wanted.setdefault(key, each.text)
    text = _HEAD % {"python": python, "platform": platform}
    if wanted:
        text += "\nprojects:\n" + "".join(f"  - {write_scalar(text)}\n" for text in wanted.values())
    if locks:
        text += "\n# Exact versions and hashes, taken as they are.\nlockfiles:\n"
        text += "".join(f"  - {write_scalar(name)}\n" for name in dict.fromkeys(locks))
    if unservable:
        text += "\n# No index can serve these; sync reports them, and ends with code 1, unless they are ignored.\n"
        text += "# ignore:\n"
        text += "".join(f"#   - {write_scalar(name)}\n" for name in dict.fromkeys(unservable))
    return text + ("" if wanted or locks else _EXAMPLE) + _TAIL


def _check_hashes(lock: Lock, loose: Sequence[Problem], requirements: Sequence[LooseRequirement]) -> None:
    """A file becomes a lock or projects as a whole, and ``projects`` have no hashes: none is lost."""
    has_hashes = any(pin.hashes for pin in lock.pins) or any(each.has_hashes for each in requirements)
    if not (loose and has_hashes):
        return
    places = [problem.file if problem.line is None else f"{problem.file}:{problem.line}" for problem in loose]
    named = ", ".join(places[:_MAX_NAMED]) + (f" and {len(places) - _MAX_NAMED} more" if places[_MAX_NAMED:] else "")
    raise UsageError(
        f"{named}: not pinned with ==, where other lines have hashes",
        hint="pin every line, or move those that are not into a file of their own",
    )


def _name(line: Unservable) -> str:
    """What ``ignore`` knows the line by; a URL may hold a credential, which is not copied."""
    if line.project is not None:
        return line.project
    return line.origin.text if not line.line or "://" in line.line or "@" in line.line else line.line
