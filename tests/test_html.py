"""Every HTML page of a tree before a judge: the Nu Html Checker of the W3C, which `.ci/run` fetches from npm."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pymirror.spec.load import load_spec
from tests.archives import make_metadata, make_sdist, make_wheel
from tests.conftest import Mirror
from tests.index import LocalIndex
from tests.servers import skip_or_fail

ROOT = Path(__file__).parent.parent
CHECKER = ROOT / ".tools" / "vnu.jar"

# The checker does not count digests as sources of a policy; that a browser does is seen in the tests of the pages.
_KNOWS_NO_DIGESTS = "violates Content Security Policy (meta tag)"

_MARKDOWN = """# Demo & <friends>

[![badge](https://example.com/badge.svg)](https://example.com) <img src="x" onerror="alert(1)">

| a | b |
|---|---|
| `x < y` | **bold** |

- [ ] open
- [x] done

1. one
   ```python
   print("<script>")
   ```

<details><summary>More</summary>

Text with a footnote[^1], a [relative link](docs/x.md) and an [anchor](#demo).

</details>

[^1]: The footnote.

<script>alert(1)</script>
<center>old</center> <font color=red>HTML</font> <p align=center>x<p>y
"""

_RST = """
====
Demo
====

.. image:: https://example.com/badge.svg
   :target: https://example.com

.. contents::

Section
-------

Term
   Definition of `a link <https://example.com>`_ and *emphasis* [1]_.

.. [1] A footnote.

.. note:: An admonition, with a ``literal``.

.. code-block:: python

   print("<script>")

+---+---+
| a | b |
+===+===+
| c | d |
+---+---+

:field: value
--option  of a command
"""


def check(*paths: Path) -> list[str]:
    """What the checker has to say of the pages below ``paths``."""
    java = shutil.which("java")
    if java is None or not CHECKER.exists():
        skip_or_fail("the HTML checker is not there: make .tools/vnu.jar needs npm, and it needs java")
    # It is over before the better compiler pays; the frames of the plain one are larger.
    command = [java, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xss4m", "-jar", str(CHECKER)]
    command += ["--stdout", "--exit-zero-always", "--format", "json", "--skip-non-html"]
    done = subprocess.run([*command, *map(str, paths)], capture_output=True, text=True, timeout=120, check=True)
    messages: list[dict[str, Any]] = json.loads(done.stdout)["messages"]
    return [
        f"{message['url'].rpartition('/mirror/')[2]}:{message.get('lastLine')}: {message['message']}"
        for message in messages
        if _KNOWS_NO_DIGESTS not in message["message"]
    ]


def pages(mirror: Mirror) -> list[Path]:
    return [mirror.tree / name for name in ("index.html", "links.html", "simple", "project")]


def described(name: str, version: str, description: str, kind: str, *fields: str) -> str:
    head, _, _ = make_metadata(name, version).partition("\n\n")
    return "\n".join([head, f"Description-Content-Type: {kind}", *fields]) + f"\n\n{description}"


def test_the_checker_finds_a_mistake_when_there_is_one(tmp_path: Path) -> None:
    page = tmp_path / "mirror" / "index.html"
    page.parent.mkdir()
    page.write_text("<!DOCTYPE html><html lang=en><title>x</title><p><div align=left></p>")
    assert any("align" in problem for problem in check(page.parent))


def test_no_page_of_the_examples_tree_has_a_mistake_when_it_is_checked(index: LocalIndex, mirror: Mirror) -> None:
    """The example's own spec, over made-up files of the projects that it names."""
    folder = ROOT / "examples"
    spec = load_spec(folder / "mirror.yaml", read=Path.read_bytes, environ={})
    for rule in spec.rules:
        least = next(clause.version for clause in rule.specifier if clause.operator in (">=", "=="))
        version = str(next(filter(rule.specifier.contains, (f"{least}.9", least))))  # above what is excluded
        index.add(make_wheel(rule.pattern, version), project=rule.pattern)
        index.add(make_sdist(rule.pattern, version), project=rule.pattern)
    for pin in spec.pins:
        (clause,) = pin.specifier
        index.add(make_wheel(pin.project, clause.version), project=pin.project)
    text = (folder / "mirror.yaml").read_text()
    mirror.spec.write_text(f"upstreams: [{{name: local, url: '{index.url}'}}]\n{text}")
    shutil.copy(folder / "requirements.lock", mirror.folder)
    mirror.sync()
    assert (mirror.tree / "project/requests/index.html").exists()
    assert check(*pages(mirror)) == []


@pytest.mark.parametrize(
    ("kind", "text"), [("text/markdown", _MARKDOWN), ("text/x-rst", _RST), ("text/plain", _MARKDOWN)]
)
def test_no_page_has_a_mistake_when_upstream_says_what_it_likes(
    index: LocalIndex, mirror: Mirror, kind: str, text: str
) -> None:
    hostile = '"><script>alert(1)</script>&amp; \x07 é \U0001f4a5'
    fields = [
        f"Author: {hostile}",
        f"Keywords: {hostile},b",
        f"License: {hostile}",
        f"Classifier: {hostile} :: {hostile}",
        f"Project-URL: {hostile}, javascript:alert(1)",
        f"Project-URL: Home, https://example.com/?a=b&c=<{hostile}>",
        f"Requires-Dist: {hostile}",
        "Provides-Extra: fast",
        "Home-page: https://example.com/",
    ]
    metadata = described("demo", "1.0", text, kind, *fields)
    index.add(make_wheel("demo", "1.0", metadata=metadata), requires_python=hostile, yanked=hostile)
    index.add(make_wheel("demo", "1.0", tag="cp312-cp312-manylinux_2_28_x86_64", metadata=metadata))
    index.add(make_wheel("demo", "2.0+cpu"))
    index.add(make_sdist("demo", "1.0"))
    index.statuses["demo"] = ("archived", hostile)
    mirror.write_spec(index, "yanked: include\nprojects: [demo]")
    mirror.sync()
    assert check(*pages(mirror)) == []


def test_no_page_has_a_mistake_when_the_mirror_is_empty(index: LocalIndex, mirror: Mirror) -> None:
    index.add(make_wheel("demo", "1.0"))
    mirror.write_spec(index, "projects: [demo ==9]")
    mirror.sync(code=1)
    assert check(mirror.tree / "index.html", mirror.tree / "links.html", mirror.tree / "simple") == []
