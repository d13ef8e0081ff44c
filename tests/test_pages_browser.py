"""The pages for people in a real browser: from a disk, from a server, by keyboard, on a phone, in the dark."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from pymirror.descriptions import Descriptions
from pymirror.metadata import CoreMetadata
from pymirror.pages.front import FrontRow, render_front
from pymirror.pages.project import render_project_page
from pymirror.snapshot import SnapshotProject
from pymirror.spec.model import Site
from tests.browser import OTHER_HOST, Browser, Page, start_browser
from tests.servers import serve_with_python
from tests.test_descriptions import HOSTILE_MARKDOWN, HOSTILE_RST
from tests.test_pages import (
    EVIL,
    NOON,
    make_file,
    make_hostile_metadata,
    make_hostile_project,
    make_project,
    make_row,
)

LONG_NAME = "long-" + "x" * 90
MANY = 20_000
_METADATA = CoreMetadata(
    summary="Python 2 and 3 compatibility utilities",
    author="A. Author",
    author_email="a@example.org",
    license="The licence. " * 40,
    classifiers=tuple(f"Programming Language :: Python :: 3.{minor}" for minor in range(20)),
    project_urls=(("Homepage", "https://example.org/"),),
    requires_python=">=3.9",
    requires_dist=tuple(f"dependency-{number}>=1" for number in range(20)),
)
_DESCRIPTION = """
# Six

A [link](https://example.org/), `code`, and a [place](#table).

> [!NOTE]
> A note.

```python
def long_function_name(argument: int = 1) -> str:  # a comment that is long enough to be wider than any phone
    return "text" + 'text' + str(argument)
```

## Table

| a | b | c | d | e | f | g | h |
|---|---|---|---|---|---|---|---|
| wide-cell | wide-cell | wide-cell | wide-cell | wide-cell | wide-cell | wide-cell | wide-cell |
"""


@dataclass(frozen=True)
class Tree:
    """Rendered pages on a disk whose path has characters that shells and URLs know, and on a server."""

    folder: Path
    http: str

    def file(self, name: str) -> str:
        """The address on the disk of ``name``, which may have a fragment."""
        path, sign, fragment = name.partition("#")
        return (self.folder / path).as_uri() + sign + fragment

    @property
    def other(self) -> str:
        """The same server under a name that a browser does not trust more than another."""
        return self.http.replace("127.0.0.1", OTHER_HOST)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with start_browser(tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    folder = tmp_path_factory.mktemp("tree") / "my (mirror) & 'co' $HOME"
    with Descriptions() as descriptions:
        hostile_markdown = descriptions.render("\n\n".join(HOSTILE_MARKDOWN), "text/markdown")
        hostile_rst = "".join(descriptions.render(text, "text/x-rst") for text in HOSTILE_RST)
        hostile_plain = descriptions.render(EVIL, "text/plain")
        six = descriptions.render(_DESCRIPTION, "text/markdown")
    long_file = make_file(f"{LONG_NAME.replace('-', '_')}-1.0-{'py3.' * 20}py2-none-any.whl", "1.0", upload_time=NOON)
    projects = [
        (make_project("six", wanted_by=("six >=1",), status="archived", status_reason="done"), _METADATA, six),
        (SnapshotProject(name=LONG_NAME, files=(long_file,)), _METADATA, f"<p>{'x' * 500}</p>"),
        (make_project("zope-interface", versions=("1.0",)), None, ""),
        (make_hostile_project(), make_hostile_metadata(), hostile_markdown + hostile_rst + hostile_plain),
    ]
    rows = []
    for project, metadata, description in sorted(projects, key=lambda item: item[0].name):
        page = folder / "project" / project.name / "index.html"
        page.parent.mkdir(parents=True)
        page.write_bytes(b"".join(render_project_page(project, metadata, description, site=Site())))
        summary = metadata.summary if metadata else "Interfaces for Python"
        rows.append(make_row(project.name, summary=summary, status=project.status, is_yanked=project.name == "evil"))
    _write_front(folder / "index.html", rows)
    _write_front(folder / "many" / "index.html", [make_row(f"p{n:05}-http", summary="x" * 60) for n in range(MANY)])
    _write_front(folder / "empty" / "index.html", [])
    with serve_with_python(folder) as url:
        yield Tree(folder, url)


def _write_front(path: Path, rows: list[FrontRow]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = render_front(
        rows, site=Site(), projects=len(rows), files=len(rows), size=len(rows) * 1000, newest_upload=NOON
    )
    path.write_bytes(b"".join(parts))


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page on which nothing may go wrong, and that may ask for nothing but itself and its own kind."""
    with browser.page() as opened:
        yield opened
        assert opened.complaints() == []
        assert [url for url in opened.requests() if not urlsplit(url).path.endswith((".html", "/"))] == []


FOUND = "#found a"
SHOWN = ".rows a"


# ── the search ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(params=["file", "http"])
def front(request: pytest.FixtureRequest, tree: Tree) -> str:
    return tree.file("index.html") if request.param == "file" else f"{tree.http}index.html"


def test_search_finds_names_and_summaries_when_typed(page: Page, front: str) -> None:
    page.open(front)
    assert len(page.texts(SHOWN)) == 4
    page.press("/")
    assert page.evaluate("document.activeElement.id") == "query"
    page.type("PYTHON compat")
    assert page.texts(SHOWN) == [LONG_NAME, "six"]
    assert page.text("#count") == "2 of 4 projects"
    page.wait_for("document.getElementById('said').textContent === '2 of 4 projects match'")
    page.wait_for("location.hash === '#q=PYTHON%20compat'")


def test_search_is_over_when_escape_is_pressed(page: Page, front: str) -> None:
    page.open(front)
    page.press("/")
    page.type("six")
    assert page.texts(SHOWN) == ["six"]
    page.wait_for("location.hash === '#q=six'")
    page.press("Escape")
    assert len(page.texts(SHOWN)) == 4
    assert page.evaluate("document.getElementById('query').value") == ""
    page.wait_for("document.getElementById('said').textContent === '4 projects'")
    page.wait_for("location.hash === ''")


@pytest.mark.parametrize("query", ["zope.interface", "zope_interface", "Zope-Interface", "interface zope", "z\u00f6pe"])
def test_search_takes_separators_and_case_alike(page: Page, tree: Tree, query: str) -> None:
    page.open(tree.file(f"index.html#q={query.replace(' ', '%20')}"))
    assert page.texts(SHOWN) == ["zope-interface"]
    assert page.evaluate("document.getElementById('query').value") == query


def test_search_tells_of_nothing_when_nothing_matches(page: Page, tree: Tree) -> None:
    page.open(tree.file("index.html#q=nonesuch"))
    assert page.texts(SHOWN) == []
    assert page.text("#none").startswith("No project has all of these words")
    assert page.text("#count") == "0 of 4 projects"


def test_search_comes_back_when_one_goes_back_to_it(page: Page, front: str) -> None:
    page.open(front)
    page.press("/")
    page.type("six")
    page.wait_for("location.hash === '#q=six'")
    page.press("Enter")
    page.wait_for("document.querySelector('h1')?.textContent === 'six' && document.readyState === 'complete'")
    page.back()
    page.wait_for("document.getElementById('count')?.textContent === '1 of 4 projects'")
    assert page.texts(SHOWN) == ["six"]
    page.back()
    page.wait_for("document.getElementById('count').textContent === '4 projects'")


def test_name_itself_comes_first_when_others_contain_it(page: Page, tree: Tree) -> None:
    page.open(tree.file("many/index.html#q=p00007"))
    assert page.texts(SHOWN) == ["p00007-http"]
    page.open(tree.file("index.html#q=e"))
    assert page.texts(SHOWN)[0] == "evil"  # begins so; the others only contain it


def test_search_works_when_there_are_twenty_thousand_projects(page: Page, tree: Tree) -> None:
    page.open(tree.file("many/index.html"))
    assert page.text("#count") == "20,000 projects"
    page.press("/")
    page.type("http")
    assert page.text("#count") == "20,000 of 20,000 projects"
    assert len(page.texts(SHOWN)) == 100
    page.click("#more")
    assert len(page.texts(SHOWN)) == 500
    assert page.evaluate("document.activeElement.textContent") == "p00100-http"
    page.press("/")
    page.type("p1999")
    assert page.texts(SHOWN) == [f"p1999{n}-http" for n in range(10)]
    page.press("Escape")
    assert page.evaluate("document.querySelectorAll('#all a').length") == MANY


def test_front_page_lists_all_when_there_are_no_scripts(page: Page, tree: Tree) -> None:
    page.without_scripts()
    page.send("Page.navigate", url=tree.file("index.html"))
    page.wait(lambda: page.events("Page.loadEventFired"), "the page does not load")
    names = {"six", LONG_NAME, "zope-interface", "evil"}
    page.wait(lambda: names <= {name for role, name in page.accessible() if role == "link"}, "some are not listed")
    assert not [name for role, name in page.accessible() if role in ("searchbox", "button")]


def test_front_page_has_no_search_when_the_mirror_is_empty(page: Page, tree: Tree) -> None:
    page.open(tree.file("empty/index.html"))
    assert page.texts("#main") == ["There is no project in this mirror yet."]


def test_page_tells_its_age_when_it_was_written_before(page: Page, tree: Tree) -> None:
    page.open(tree.file("index.html"))
    assert re.fullmatch(r"newest upload 20 Nov 2026(, .+ ago|, just now)?", page.texts(".stats span")[-1])
    page.open(f"{tree.http}index.html")
    age = page.evaluate(
        "[ago(opened - 59e3), ago(opened - 3600e3), ago(opened - 3 * 864e5), ago(opened + 1e3), ago(NaN)]"
    )
    assert age == ["just now", "1 hour ago", "3 days ago", "", ""]


# ── installing ──────────────────────────────────────────────────────────────────────────────────────


def commands(page: Page) -> list[str]:
    found: list[str] = page.evaluate("[...document.querySelectorAll('.command code')].map(code => code.textContent)")
    return found


def test_command_names_the_disk_when_the_page_is_read_from_one(page: Page, tree: Tree) -> None:
    page.open("file://" + quote(f"{tree.folder}/project/six/index.html", safe="/()&'$"))  # as people type it
    folder = tree.folder.parent.as_uri() + "/my%20%28mirror%29%20%26%20%27co%27%20%24HOME"
    assert commands(page) == [
        f"pip install --index-url {folder}/simple/ six",
        f"uv pip install --default-index {folder}/simple/ six",
        f"--index-url {folder}/simple/\nsix==1.17.0",
    ]


@pytest.mark.parametrize("name", ["project/six/index.html", "project/six/", "project/six/index.html?a=b#files"])
def test_command_names_the_server_when_the_page_is_read_from_one(page: Page, tree: Tree, name: str) -> None:
    page.open(tree.http + name)
    assert commands(page)[0] == f"pip install --index-url {tree.http}simple/ six"


def test_command_trusts_the_host_when_it_is_plain_http_from_another(page: Page, tree: Tree) -> None:
    page.open(f"{tree.other}project/six/index.html")
    host = tree.other.removeprefix("http://").rstrip("/")
    assert commands(page) == [
        f"pip install --index-url {tree.other}simple/ --trusted-host {host} six",
        f"uv pip install --default-index {tree.other}simple/ six",
        f"--index-url {tree.other}simple/\n--trusted-host {host}\nsix==1.17.0",
    ]


def test_command_of_the_front_page_names_the_server(page: Page, tree: Tree) -> None:
    page.open(f"{tree.http}index.html")
    page.click(".use summary")
    assert page.texts(".command code")[0] == f"pip install --index-url {tree.http}simple/ PROJECT"


@pytest.mark.parametrize("where", ["file", "http", "other"])
def test_button_copies_the_command_and_says_so_when_pressed(page: Page, tree: Tree, where: str) -> None:
    base = {"file": tree.file(""), "http": tree.http, "other": tree.other}[where].rstrip("/")
    page.allow_clipboard("clipboardReadWrite", "clipboardSanitizedWrite")
    page.open(f"{base}/project/six/index.html")
    assert page.evaluate("isSecureContext") is (where != "other")  # else there is no clipboard, only the old way
    page.click(".command .copy")
    page.wait_for("document.querySelector('.command .copy').textContent === 'Copied'")
    page.wait_for("document.getElementById('said').textContent === 'Copied to the clipboard'")
    assert page.evaluate("document.activeElement.className") == "copy done"
    page.evaluate("void document.body.append(Object.assign(document.createElement('textarea'), {id: 'pasted'}))")
    page.evaluate("document.getElementById('pasted').focus()")
    page.send("Input.dispatchKeyEvent", type="keyDown", key="v", commands=["paste"])
    page.wait_for("document.getElementById('pasted').value !== ''")
    assert page.evaluate("document.getElementById('pasted').value") == commands(page)[0]
    page.wait_for("document.querySelector('.command .copy').textContent === 'Copy'")


def test_command_is_selected_when_nothing_can_be_copied(page: Page, tree: Tree) -> None:
    page.open(f"{tree.other}project/six/index.html")
    page.evaluate("void (document.execCommand = () => false)")
    page.click(".command .copy")
    page.wait_for("document.getElementById('said').textContent.startsWith('It is selected')")
    assert page.evaluate("getSelection().toString().trim()") == commands(page)[0]


def test_button_copies_the_whole_digest_when_it_is_shown_shortened(page: Page, tree: Tree) -> None:
    page.open(tree.file("project/six/index.html"))
    digest = page.evaluate("document.querySelector('.digest code').textContent")
    assert re.fullmatch("[0-9a-f]{64}", digest)
    assert page.evaluate("(c => c.scrollWidth > 3 * c.clientWidth)(document.querySelector('.digest code'))")
    page.click(".digest .copy")
    page.wait_for("document.querySelector('.digest .copy').textContent === 'Copied'")


def test_release_is_opened_when_a_link_leads_to_it(page: Page, tree: Tree) -> None:
    page.open(tree.file("project/six/index.html#release-1.16.0"))
    assert page.evaluate("[...document.querySelectorAll('.release')].map(r => [r.id, r.open])") == [
        ["release-1.17.0", True],
        ["release-1.16.0", True],
    ]


# ── for everybody ───────────────────────────────────────────────────────────────────────────────────

PAGES = ["index.html", "project/six/index.html", f"project/{LONG_NAME}/index.html", "project/evil/index.html"]


@pytest.mark.parametrize("name", PAGES)
def test_page_is_as_wide_as_the_phone_when_names_are_long(page: Page, tree: Tree, name: str) -> None:
    page.resize(360, 740, is_phone=True)
    page.open(tree.file(name))
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    wide = page.evaluate(
        "[...document.querySelectorAll('body *')].filter(e => e.checkVisibility() && !e.closest('.unseen, .skip, pre, "
        ".scroll, .digest, thead') && e.getBoundingClientRect().right > 361).map(e => e.outerHTML.slice(0, 80))"
    )
    assert wide == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES[:2])
def test_text_stands_out_from_what_is_behind_it(page: Page, tree: Tree, name: str, scheme: str) -> None:
    """WCAG AA: 4.5 for all text, as no text here is large enough for less."""
    page.prefer(scheme)
    page.open(tree.file(name))
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    page.settle()
    background, weak = page.evaluate(_CONTRAST)
    assert (background < 0.2) is (scheme == "dark")
    assert weak == []


_CONTRAST = """(() => {
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const behind = e => {
    for (; e; e = e.parentElement) {
      const color = parse(getComputedStyle(e).backgroundColor);
      if (color.length < 4 || color[3] > 0) return color;
    }
  };
  const weak = [];
  for (const e of document.querySelectorAll('body *')) {
    const hasText = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!hasText || !e.checkVisibility()) continue;
    const pair = [light(parse(getComputedStyle(e).color)), light(behind(e))].sort((a, b) => b - a);
    const ratio = (pair[0] + .05) / (pair[1] + .05);
    if (ratio < 4.5) weak.push([e.outerHTML.slice(0, 80), ratio]);
  }
  return [light(behind(document.body)), weak];
})()"""


def test_focus_goes_through_the_page_in_order_and_is_seen(page: Page, tree: Tree) -> None:
    page.open(tree.file("project/six/index.html"))
    seen = []
    for _ in range(12):
        page.press("Tab")
        seen.append(
            page.evaluate(
                "(e => [(e.getAttribute('aria-label') || e.innerText).trim(), getComputedStyle(e).outlineStyle,"
                " e.getBoundingClientRect().top >= 0])(document.activeElement)"
            )
        )
    assert [name for name, _, _ in seen] == [
        "Skip to the content",
        "\u2190 All projects",
        "Install",
        "Files",
        "Details",
        "Description",
        "Copy what pip needs",
        "Copy what uv needs",
        "Copy what requirements.txt needs",
        *[name for name, _, _ in seen[9:]],
    ]
    assert seen[9][0].startswith("1.17.0")
    assert seen[10][0] == "six-1.17.0-py3-none-any.whl"
    assert {style for _, style, _ in seen} == {"solid"}
    assert all(is_in_view for _, _, is_in_view in seen)


def test_what_scrolls_by_itself_takes_the_focus_when_it_is_wider_than_the_page(page: Page, tree: Tree) -> None:
    page.resize(360, 740)
    page.open(tree.file("project/six/index.html"))
    wide = "[...document.querySelectorAll('.prose *')].filter(e => getComputedStyle(e).overflowX === 'auto'"
    found = page.evaluate(f"{wide} && e.scrollWidth > e.clientWidth).map(e => [e.localName, e.tabIndex])")
    assert found == [["pre", 0], ["div", 0]]


def test_skip_link_leads_to_the_content_and_keeps_the_search(page: Page, tree: Tree) -> None:
    page.open(tree.file("index.html#q=six"))
    page.press("Tab")
    page.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    assert page.texts(SHOWN) == ["six"]


def test_release_opens_when_its_summary_has_the_focus_and_space_is_pressed(page: Page, tree: Tree) -> None:
    page.open(tree.file("project/six/index.html"))
    page.evaluate("document.querySelectorAll('.release summary')[1].focus()")
    page.press(" ")
    assert page.evaluate("document.querySelectorAll('.release')[1].open") is True


@pytest.mark.parametrize("name", PAGES)
def test_everything_that_acts_has_a_name_when_read_aloud(page: Page, tree: Tree, name: str) -> None:
    page.open(tree.file(name))
    nodes = page.accessible()
    acting = [
        (role, said) for role, said in nodes if role in ("link", "button", "searchbox", "textbox", "DisclosureTriangle")
    ]
    assert acting
    assert [role for role, said in acting if not said.strip()] == []
    roles = [role for role, _ in nodes]
    assert roles.count("main") == roles.count("banner") == roles.count("contentinfo") == 1


def test_headings_skip_no_level_and_buttons_differ_when_read_aloud(page: Page, tree: Tree) -> None:
    page.open(tree.file("project/six/index.html"))
    levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].map(h => Number(h.localName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    names = [name for role, name in page.accessible() if role == "button"]
    assert len(names) == len(set(names))
    assert ("searchbox", "Search names and summaries") not in page.accessible()
    page.open(tree.file("index.html"))
    assert ("searchbox", "Search names and summaries") in page.accessible()


# ── hostile projects ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["project/evil/index.html", "index.html"])
@pytest.mark.parametrize("where", ["file", "http"])
def test_nothing_runs_and_nothing_is_asked_for_when_a_project_is_hostile(
    page: Page, tree: Tree, where: str, name: str
) -> None:
    url = tree.file(name) if where == "file" else tree.http + name
    page.open(url)
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    page.settle()
    assert page.evaluate("typeof window.ran") == "undefined"
    assert page.requests() == [url]
    assert page.evaluate("document.scripts.length") == 1
    assert page.evaluate("document.querySelectorAll('img, svg, iframe, object, embed, form, base, math').length") == 0
    assert page.evaluate('document.querySelectorAll(\'[href^="javascript" i], [href^="data" i]\').length') == 0


def test_policy_holds_when_something_live_came_into_a_page(browser: Browser, tree: Tree) -> None:
    """The last barrier: even what all others let through does not run."""
    page = tree.folder / "project" / "six" / "index.html"
    live = tree.folder / "project" / "live.html"
    bad = (
        '<script>window.ran=1</script><img src=x onerror="window.ran=1"><p style="position:fixed" id="styled">x</p>'
        '<a href="javascript:window.ran=1" id="link">x</a><base href="https://example.org/">'
        '<iframe src="index.html"></iframe><link rel="stylesheet" href="x.css">'
    )
    live.write_text(page.read_text(encoding="ascii").replace("</main>", f"{bad}</main>"), encoding="ascii")
    with browser.page() as opened:
        opened.open(f"{tree.http}project/live.html")
        opened.click("#link")
        assert opened.evaluate("typeof window.ran") == "undefined"
        assert opened.evaluate("getComputedStyle(document.getElementById('styled')).position") == "static"
        assert opened.evaluate("document.baseURI") == f"{tree.http}project/live.html"
        assert len(opened.complaints()) >= 5
        answered = [event["response"]["url"] for event in opened.events("Network.responseReceived")]
        # A frame that was refused shows the browser's own page, with its pictures.
        assert [url for url in answered if not url.startswith("data:")] == [f"{tree.http}project/live.html"]
