"""Descriptions: what is rendered and what is left of it, and that no text hangs or ends a run."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from readme_renderer.clean import clean

from pymirror.descriptions import (
    MAX_PLAIN_CHARACTERS,
    MAX_RENDERED_CHARACTERS,
    Descriptions,
    read_message,
    write_message,
)
from pymirror.errors import InterruptedRunError
from pymirror.pages.prose import MAX_DEPTH, tidy
from tests.test_pages import EVIL, Strict, read_strictly

MARKDOWN = "text/markdown"
RST = "text/x-rst"
WAIT_SECONDS = 20.0

needs_proc = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="/proc tells of the processes")


@pytest.fixture(scope="module")
def shared() -> Iterator[Descriptions]:
    with Descriptions() as descriptions:
        yield descriptions


def read(html: str) -> Strict:
    """What stands in the page, read strictly; links within it must lead somewhere."""
    reader = read_strictly(html, inside="div")
    assert not [name for name in reader.ids if not name.startswith("user-content-")]
    return reader


def children(pid: int | str = "self") -> set[int]:
    """The processes that a process has started and that are still there."""
    found = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            found |= {int(number) for number in (task / "children").read_text().split()}
    return found


# ── the kinds of text ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "content_type", "expected"),
    [
        ("Hello *you*", "text/markdown", "<p>Hello <em>you</em></p>"),
        ("Hello *you*", "text/markdown; charset=UTF-8; variant=GFM", "<p>Hello <em>you</em></p>"),
        ("~~gone~~", "text/markdown", "<p><del>gone</del></p>"),
        ("~~gone~~", "text/markdown; variant=CommonMark", "<p>~~gone~~</p>"),
        ("Hello *you*", "text/x-rst", "<p>Hello <em>you</em></p>"),
        ("Hello *you*", "", "<p>Hello <em>you</em></p>"),
        ("Hello *you*\r\n<b>", "text/plain", '<pre class="plain">Hello *you*\n&lt;b&gt;</pre>'),
        ("Hello *you*", "application/x-odd", '<pre class="plain">Hello *you*</pre>'),
        ("Hello *you*", "text/markdown\n; variant=GFM", "<p>Hello <em>you</em></p>"),
    ],
)
def test_text_is_rendered_as_its_type_says(shared: Descriptions, text: str, content_type: str, expected: str) -> None:
    assert shared.render(text, content_type).strip() == expected


@pytest.mark.parametrize("text", ["", " \n\t", "UNKNOWN", "UNKNOWN\n"])
def test_description_is_empty_when_it_says_nothing(shared: Descriptions, text: str) -> None:
    assert shared.render(text, MARKDOWN) == ""


def test_text_is_shown_as_it_is_when_it_is_not_of_its_type(shared: Descriptions) -> None:
    html = shared.render("Title\n==\n\n*wrong <b>", RST)
    assert html.endswith('<pre class="plain">Title\n==\n\n*wrong &lt;b&gt;</pre>')
    assert not shared.is_makeshift
    assert "could not be formatted" in html
    read(html)


def test_text_is_cut_and_says_so_when_it_is_too_long(shared: Descriptions) -> None:
    html = shared.render("*a*" * MAX_RENDERED_CHARACTERS, MARKDOWN)
    assert "too long to be formatted. Its first 100,000 characters of 786,432 are shown." in html
    assert len(html) < MAX_PLAIN_CHARACTERS + 1000
    assert "<em>" not in html


def test_text_is_whole_when_it_is_as_long_as_may_be(shared: Descriptions) -> None:
    html = shared.render("word " * (MAX_RENDERED_CHARACTERS // 5), MARKDOWN)
    assert html.count("word") == MAX_RENDERED_CHARACTERS // 5


@pytest.mark.parametrize("content_type", [MARKDOWN, RST, "text/plain"])
def test_text_is_rendered_when_it_has_characters_that_no_page_may_have(shared: Descriptions, content_type: str) -> None:
    html = shared.render("a\x00b\ud800c\x85d\x0ce\ufffe", content_type)
    assert "a\ufffdb\ufffdc\ufffdd e\ufffd" in html


# ── what is left of it ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[![Build](https://ci.example/b.svg)](https://ci.example/)", ">Build</a>"),
        ("before ![a diagram](https://x.example/d.png) after", "<p>before a diagram after</p>"),
        ("before [![](https://x.example/d.png)](https://x.example/) after", "<p>before  after</p>"),
        ("before ![https://x.example/d.png](https://x.example/d.png) after", "<p>before  after</p>"),
        ("[guide](docs/guide.md)", "<p>guide</p>"),
        ("[guide](/docs)", "<p>guide</p>"),
        ("[guide](//evil.example/)", "<p>guide</p>"),
        ("[guide](#nowhere)", "<p>guide</p>"),
        ("- [x] done\n- [ ] open", "<ul><li>\u2611 done</li><li>\u2610 open</li></ul>"),
        ("<tt>x</tt> <acronym>y</acronym>", "<p><code>x</code> <abbr>y</abbr></p>"),
        ('<p align="center">x</p>', "<p>x</p>"),
        ('<b class="evil" id="main">x</b>', '<p><b id="user-content-main">x</b></p>'),
        ("<b><div>x</div></b>", "<div><b>x</b></div>"),  # as a browser reads it
        ("<span><table><tr><td>x</table></span>", '<div class="scroll" role="group" aria-label="Table" tabindex="0">'),
        ("<div><b>x<ul><li>y</li></ul></b></div>", "<div>x<ul><li>y</li></ul></div>"),
        ("<ul>text<li>x</li></ul>", "<ul><li>text</li><li>x</li></ul>"),
        ("<dl><dd>x</dd><dt>y</dt></dl>", "<dl><dt></dt><dd>x</dd><dt>y</dt><dd></dd></dl>"),
        ("<details>x</details>", "<details><summary>Details</summary>x</details>"),
        ("<summary>x</summary>", "<div>x</div>"),
        ("```python\nx = 1\n```", '<pre tabindex="0"><span class="n">x</span>'),
    ],
)
def test_markdown_becomes_what_a_page_has_room_for(shared: Descriptions, text: str, expected: str) -> None:
    html = shared.render(text, MARKDOWN)
    read(html)
    assert expected in html


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (".. image:: https://x.example/a.svg\n   :target: https://x.example/\n   :alt: Build", "Build\n</a>"),
        ("``code``", "<p><code>code</code></p>"),
        (".. note:: careful", '<div class="admonition">\n<p class="admonition-title">Note</p>\n<p>careful</p>'),
        ("`here <docs/x.html>`_", "<p>here</p>"),
        ("A\n=\n\ntext\n\nB\n-\n\ntext", "<h4>B</h4>"),
        (".. code:: python\n\n   x = 1", '<pre tabindex="0"><code><span class="n">x</span>'),
    ],
)
def test_rst_becomes_what_a_page_has_room_for(shared: Descriptions, text: str, expected: str) -> None:
    html = shared.render(text, RST)
    read(html)
    assert expected in html


def test_web_link_stays_and_follows_nothing_when_it_is_absolute(shared: Descriptions) -> None:
    html = shared.render("[a](https://example.org/) [b](mailto:a@example.org)", MARKDOWN)
    assert '<a href="https://example.org/" rel="nofollow noopener noreferrer">a</a>' in html
    assert '<a href="mailto:a@example.org" rel="nofollow noopener noreferrer">b</a>' in html


@pytest.mark.parametrize(
    ("text", "content_type"),
    [
        ("# One\n\n[to it](#two)\n\n## Two\n\nfoot[^1]\n\n[^1]: note", MARKDOWN),
        ("# Gr\u00f6\u00dfe\n\n[to it](#gr\u00f6\u00dfe)", MARKDOWN),
        ("One\n===\n\n.. contents::\n\nTwo_ [1]_\n\nTwo\n---\n\ntext\n\n.. [1] note", RST),
    ],
)
def test_links_within_the_text_lead_to_their_place(shared: Descriptions, text: str, content_type: str) -> None:
    reader = read(shared.render(text, content_type))
    inner = [href for href in reader.links if href.startswith("#")]
    assert inner
    assert {href[1:] for href in inner} <= {*reader.ids, "user-content-gr%C3%B6%C3%9Fe"}


def test_headings_go_on_below_those_of_the_page_and_skip_none(shared: Descriptions) -> None:
    html = shared.render("### a\n\n###### b\n\n# c\n\n## d\n\n### e\n\n#### f\n\n##### g", MARKDOWN)
    found = [tag for tag, _ in read(html).elements if tag[0] == "h"]
    assert found == ["h3", "h4", "h3", "h4", "h5", "h6", "h6"]


def test_second_of_two_equal_ids_is_dropped(shared: Descriptions) -> None:
    html = shared.render('<p id="a">x</p>\n\n<p id="a">y</p>\n\n<p id="user-content-a">z</p>', MARKDOWN)
    assert read(html).ids == ["user-content-a"]


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        ("<table><tr><td>a<td>b<tr><td>c</table>", ["a b", "c "]),
        ("<table><tr><td colspan=2>a<tr><td>b<td>c</table>", ["a", "b c"]),
        ("<table><tr><td rowspan=9>a<td>b<tr><td>c</table>", ["a b", "c "]),
        ("<table><tr><td colspan=0>a</table>", ["a"]),
        ("<table><caption>t</caption></table>", []),
    ],
)
def test_table_is_whole_when_its_cells_do_not_fit(shared: Descriptions, table: str, rows: list[str]) -> None:
    html = shared.render(f"{table}\n", MARKDOWN)
    read(html)
    found = html.split("<tr>")[1:]
    assert [" ".join(cell.split("</td>")[0].split(">")[-1] for cell in row.split("<td")[1:]) for row in found] == rows


def test_text_says_the_same_on_every_day_when_it_asks_for_the_date(shared: Descriptions) -> None:
    html = shared.render(".. |today| date::\n\nBuilt on |today|.", RST)
    assert html.strip() == "<p>Built on (date).</p>"


def test_rendering_is_the_same_when_done_by_another_process() -> None:
    text = "Title\n=====\n\n.. contents::\n\n.. code:: python\n\n   class A: pass\n\n`x <https://example.org>`_"
    with Descriptions() as one, Descriptions() as other:
        assert one.render(text, RST) == other.render(text, RST)


# ── hostile texts ───────────────────────────────────────────────────────────────────────────────────

HOSTILE_MARKDOWN = [
    EVIL,
    "[x](javascript:window.ran=1)",
    "[x](JaVaScRiPt:window.ran=1)",
    "[x](&#106;avascript:window.ran=1)",
    "[x](\x01javascript:window.ran=1)",
    "[x](data:text/html,<script>window.ran=1</script>)",
    "[x](vbscript:x) ![x](javascript:window.ran=1)",
    '<a href="java\tscript:window.ran=1">x</a>',
    '<https://example.org/" onclick="window.ran=1>',
    "<script>window.ran=1</script>",
    "<style>body{display:none}</style>",
    '<p style="position:fixed" onclick="window.ran=1" class="skip" id="main">x</p>',
    "<iframe src=https://example.org></iframe><object data=x></object><embed src=x><base href=//x>",
    "<svg><script>window.ran=1</script></svg><math><mtext></p><style><img src=x onerror=window.ran=1>",
    "<form action=https://example.org><input name=x><button>x</button></form><textarea></title>",
    "<meta http-equiv=refresh content='0;url=https://example.org'><link rel=stylesheet href=//x>",
    '<noscript><p title="</noscript><img src=x onerror=window.ran=1>"></noscript>',
    '```"><script>window.ran=1</script>\ncode\n```',
    "```python\n</pre><script>window.ran=1</script>\n```",
    "</div></section></main><h1>Other page</h1>",
    '<div tabindex="5" role="alert" aria-label="Evil"><pre tabindex="-1">x</pre></div>',
    '[x]: https://example.org "><script>window.ran=1</script>"\n\n[x]',
]
HOSTILE_RST = [
    ".. raw:: html\n\n   <script>window.ran=1</script>",
    ".. include:: /etc/passwd",
    ".. include:: /etc/passwd\n   :literal:",
    ".. csv-table:: x\n   :file: /etc/passwd",
    ".. csv-table:: x\n   :url: file:///etc/passwd",
    "`x <javascript:window.ran=1>`_",
    ".. image:: javascript:window.ran=1\n   :target: javascript:window.ran=1\n   :alt: x",
    ".. role:: raw-html(raw)\n   :format: html\n\n:raw-html:`<script>window.ran=1</script>`",
    ".. container:: skip\n\n   x",
    ".. class:: skip\n\nx",
    ".. _main:\n\nx",
    ".. figure:: https://example.org/x.svg\n\n   caption",
]


@pytest.mark.parametrize(
    ("text", "content_type"),
    [*((text, MARKDOWN) for text in HOSTILE_MARKDOWN), *((text, RST) for text in [*HOSTILE_RST, EVIL])],
)
def test_nothing_is_live_when_a_text_is_hostile(shared: Descriptions, text: str, content_type: str) -> None:
    html = shared.render(text, content_type)
    reader = read(html)
    assert "root:x:" not in html
    own = {"role": "group", "aria-label": "Table", "tabindex": "0"}
    for tag, attributes in reader.elements:
        assert tag not in {"script", "style", "img", "input", "button", "h1", "h2", "main"}
        assert set(attributes) <= {"id", "class", "href", "rel", "start", "colspan", "rowspan", *own}
        assert {name: attributes[name] for name in own if name in attributes}.items() <= own.items()
        assert (attributes.get("class") or "plain") not in ("skip", "evil")
    for href in reader.links:
        assert href.startswith(("https://", "http://", "mailto:", "#user-content-"))


_PARTS = """
<p> </p> <div> </div> <b> </b> <a/href="https://x.org"> <a/href=#a> </a> <ul> <li> </ul> <ol/start=3> <dl> <dt> <dd>
</dl> <table> <tr> <td> <td/colspan=2> <th/rowspan=3> </table> <thead> <caption> <details> <summary> </details>
<pre> </pre> <code> </code> <h1> </h1> <h3/id=a> <blockquote> </blockquote> <hr> <br> <img/alt=x> <input> <span/class=k>
</span>
<section/id=a> <nav> <figure> <figcaption> <del> text &amp;
"""


@given(st.lists(st.sampled_from(_PARTS.split()), max_size=30))
@settings(max_examples=300, deadline=None)
def test_tidied_html_is_valid_when_anything_was_let_through(parts: list[str]) -> None:
    cleaned = clean("".join(parts))
    assert cleaned is not None
    read(tidy(cleaned))


def test_tidied_html_keeps_its_text_when_it_is_nested_deeper_than_any_limit() -> None:
    html = tidy("<blockquote>" * 5000 + "deep" + "</blockquote>" * 5000)
    assert html.count("<blockquote>") == MAX_DEPTH
    assert "deep" in html
    read(html)


@pytest.mark.parametrize(
    ("text", "content_type"),
    [
        (">" * 60_000 + "x", MARKDOWN),
        ("[" * 100_000, MARKDOWN),
        ("*a " * 80_000, MARKDOWN),
        ("<b>" * 80_000, MARKDOWN),
        ("|" + "a|" * 1000 + "\n|" + "-|" * 1000 + "\n" + "|a\n" * 5000, MARKDOWN),
        ("  " * 50 + "- " * 2000, MARKDOWN),
        ("| " * 100_000, RST),
        ("*" * 200_000, RST),
    ],
)
def test_run_goes_on_when_a_text_is_made_to_be_slow(text: str, content_type: str) -> None:
    with Descriptions(timeout_seconds=3) as descriptions:
        read(descriptions.render(text, content_type))
        assert descriptions.render("*next*", MARKDOWN).strip() == "<p><em>next</em></p>"


# ── the processes ───────────────────────────────────────────────────────────────────────────────────

SLOW = "".join(f"term{number}\n  *a* ``b`` `c <https://x.example/{number}>`_\n\n" for number in range(4000))


@needs_proc
def test_process_is_killed_and_replaced_when_it_takes_too_long() -> None:
    before = children()
    with Descriptions(timeout_seconds=1.5) as descriptions:
        assert descriptions.render("*a*", MARKDOWN)
        (first,) = children() - before
        assert "could not be formatted" in descriptions.render(SLOW, RST)
        assert not descriptions.is_makeshift  # it is so on every day
        assert descriptions.render("*a*", MARKDOWN).strip() == "<p><em>a</em></p>"
        (second,) = children() - before
        assert first != second
    assert children() - before == set()


@needs_proc
def test_text_is_rendered_by_another_process_when_the_first_was_killed() -> None:
    before = children()
    with Descriptions() as descriptions:
        assert descriptions.render("*a*", MARKDOWN)
        (worker,) = children() - before
        os.kill(worker, signal.SIGKILL)
        assert descriptions.render("*b*", MARKDOWN).strip() == "<p><em>b</em></p>"
        assert not descriptions.is_makeshift


@needs_proc
@pytest.mark.parametrize(
    ("number", "is_makeshift"), [(signal.SIGKILL, True), (signal.SIGTERM, True), (signal.SIGSEGV, False)]
)
def test_plain_text_is_makeshift_when_others_killed_every_process(number: signal.Signals, is_makeshift: bool) -> None:
    """A text that makes every process crash is another thing: it is so on every day."""
    before = children()
    with Descriptions() as descriptions, ThreadPoolExecutor(1) as thread:
        assert descriptions.render("*a*", MARKDOWN)
        answer = thread.submit(descriptions.render, SLOW, RST)
        killed: set[int] = set()
        while not answer.done():
            for worker in children() - before - killed:
                if _has_worked(worker):
                    os.kill(worker, number)
                    killed.add(worker)
            time.sleep(0.01)
        assert len(killed) == 2
        assert "could not be formatted" in answer.result()
        assert descriptions.is_makeshift is is_makeshift
        assert descriptions.render("*c*", MARKDOWN).strip() == "<p><em>c</em></p>"
        assert descriptions.is_makeshift is is_makeshift


def _has_worked(worker: int) -> bool:
    """Whether a process has begun with a text: then it has limited its time."""
    limits = [Path(f"/proc/{pid}/limits").read_text().splitlines() for pid in (worker, "self")]
    time_limit, usual = ([line for line in lines if line.startswith("Max cpu time")] for lines in limits)
    return time_limit != usual


def test_plain_text_is_makeshift_when_no_process_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with Descriptions() as descriptions:
        assert not descriptions.is_makeshift
        assert "could not be formatted" in descriptions.render("*a*", MARKDOWN)
        assert descriptions.is_makeshift


@needs_proc
def test_process_is_killed_and_replaced_when_it_answers_nothing_and_does_nothing() -> None:
    before = children()
    with Descriptions(timeout_seconds=1.5) as descriptions:
        assert descriptions.render("*a*", MARKDOWN)
        (worker,) = children() - before
        os.kill(worker, signal.SIGSTOP)
        assert "could not be formatted" in descriptions.render("*b*", MARKDOWN)
        assert worker not in children()
        assert descriptions.render("*c*", MARKDOWN).strip() == "<p><em>c</em></p>"


def test_message_is_read_whole_or_not_at_all() -> None:
    pipe = io.BytesIO()
    write_message(pipe, b"text")
    assert read_message(io.BytesIO(pipe.getvalue())) == b"text"
    for length in range(8):
        assert read_message(io.BytesIO(pipe.getvalue()[:length])) is None
    with pytest.raises(ValueError, match="4294967295 bytes"):
        read_message(io.BytesIO(b"\xff\xff\xff\xff"))


@needs_proc
def test_no_process_is_started_when_there_is_nothing_to_format() -> None:
    before = children()
    with Descriptions() as descriptions:
        assert children() == before
        assert descriptions.render("*a*", "text/plain")
        assert children() == before


@needs_proc
def test_processes_are_few_and_answers_their_own_when_many_threads_ask() -> None:
    before = children()
    most = 0
    with Descriptions() as descriptions, ThreadPoolExecutor(16) as threads:
        answers = threads.map(lambda number: descriptions.render(f"*{number}*", MARKDOWN).strip(), range(200))
        for number, answer in enumerate(answers):
            assert answer == f"<p><em>{number}</em></p>"
            most = max(most, len(children() - before))
    assert 1 <= most <= (os.cpu_count() or 1)
    assert children() - before == set()


@needs_proc
def test_close_ends_a_process_that_is_at_work_and_no_text_is_plain_for_it() -> None:
    before = children()
    descriptions = Descriptions()
    assert descriptions.render("*a*", MARKDOWN)
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(descriptions.render, SLOW, RST)
        time.sleep(0.2)
        descriptions.close()
        with pytest.raises(InterruptedRunError):
            answer.result(WAIT_SECONDS)
    assert children() - before == set()
    with pytest.raises(InterruptedRunError):
        descriptions.render("*a*", MARKDOWN)
    assert children() - before == set()


@needs_proc
def test_process_goes_when_the_run_was_killed() -> None:
    program = (
        "from pymirror.descriptions import Descriptions\n"
        "d = Descriptions(); d.render('*a*', 'text/markdown'); print('ready', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "ready\n"
        (worker,) = children(run.pid)
        run.kill()
    deadline = time.monotonic() + WAIT_SECONDS
    while Path(f"/proc/{worker}").exists() and "Z" not in Path(f"/proc/{worker}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline, "the process outlives the run"
        time.sleep(0.02)


def test_files_of_the_current_folder_are_not_read_when_rendering(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither modules that are called like ours, nor settings of docutils."""
    for name in ("readme_renderer", "docutils", "nh3", "struct", "comrak"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(1)\n")
    (tmp_path / "docutils.conf").write_text("[general]\nraw_enabled: yes\ninitial_header_level: 6\nid_prefix: x\n")
    monkeypatch.chdir(tmp_path)
    with Descriptions() as descriptions:
        html = descriptions.render(".. raw:: html\n\n   <b>raw</b>", RST)
        assert "<b>" not in html
        assert 'id="user-content-a"' in descriptions.render(".. _a:\n\nA\n=\n\ntext\n\nB\n=\n\ntext", RST)
