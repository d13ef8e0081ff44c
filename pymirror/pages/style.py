"""The style of the pages, as constants: what is read as one file needs no other."""

from __future__ import annotations

_BASE = """
:root {
  color-scheme: light dark;
  --page: #fbfbf9; --panel: #f3f3ef; --text: #1c1f23; --soft: #565d66; --line: #dedfd9; --edge: #8b9199;
  --link: #1d55a5; --focus: #1d55a5; --warn: #7a4b00; --warn-page: #fff5dd; --bad: #9c1c1c; --bad-page: #fdecea;
  --mark: #e6eefb; --c1: #5c6470; --c2: #8a2c6b; --c3: #1f6b3a; --c4: #1d55a5; --c5: #8a4300;
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", "JetBrains Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #15171a; --panel: #1d2024; --text: #e4e6e9; --soft: #a3aab3; --line: #30343a; --edge: #6d747d;
    --link: #8fb8f6; --focus: #8fb8f6; --warn: #f0c674; --warn-page: #2b2415; --bad: #f5a3a0; --bad-page: #331c1c;
    --mark: #22304a; --c1: #98a0ab; --c2: #e2a0cc; --c3: #9ad0a5; --c4: #8fb8f6; --c5: #e5b27a;
  }
}
*, ::before, ::after { box-sizing: border-box; }
html { font: 100%/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--text); overflow-wrap: anywhere; }
h1, h2, h3, h4, h5, h6, p, ul, ol, dl, dd, pre, table { margin: 0; padding: 0; }
h1, h2, h3, h4, h5, h6 { line-height: 1.25; text-wrap: balance; }
h1 { font-size: clamp(1.75rem, 1.4rem + 1.6vw, 2.5rem); font-weight: 700; letter-spacing: -.022em; }
h2 { font-size: 1.25rem; font-weight: 600; letter-spacing: -.01em; }
a { color: var(--link); text-decoration-thickness: .06em; text-underline-offset: .18em; }
a:hover { text-decoration-thickness: .12em; }
:focus-visible { outline: 2px solid var(--focus); outline-offset: 2px; border-radius: 3px; }
code, kbd, pre { font-family: var(--mono); font-size: .875em; font-variant-ligatures: none; }
pre code, small code { font-size: 1em; }
ul { list-style: none; }
time, data, .number { font-variant-numeric: tabular-nums; white-space: nowrap; }
summary { cursor: pointer; }
[hidden] { display: none !important; }
.wrap { width: 100%; max-width: 74rem; margin: 0 auto; padding: 0 clamp(1rem, 4vw, 2.5rem); }
.unseen { position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap; }
.skip { position: absolute; left: 1rem; top: -4rem; z-index: 1; padding: .5rem 1rem; border-radius: 0 0 6px 6px;
  background: var(--text); color: var(--page); }
.skip:focus { top: 0; }
.soft { color: var(--soft); }
.tag { display: inline-block; padding: 0 .45em; border: 1px solid currentColor; border-radius: 4px;
  color: var(--warn);
  font-size: .75rem; font-weight: 600; line-height: 1.5; vertical-align: .08em; white-space: nowrap; }
.tag.bad { color: var(--bad); }
button { font: inherit; font-size: .8125rem; font-weight: 500; line-height: 1.2; padding: .45rem .7rem;
  cursor: pointer;
  color: var(--text); background: var(--page); border: 1px solid var(--edge); border-radius: 6px; }
button:hover { border-color: var(--text); }
.copy { display: none; flex: none; }
.js .copy { display: inline-block; }
.copy.done { color: var(--page); background: var(--text); border-color: var(--text); }
.command { display: flex; gap: .75rem; align-items: center; justify-content: space-between;
  padding: .55rem .6rem .55rem 1rem;
  background: var(--panel); border: 1px solid var(--line); border-radius: 8px; }
.command pre { flex: 1; min-width: 0; padding: .2rem 0; white-space: pre-wrap; }
.ways { display: grid; gap: .35rem; }
.ways dt { color: var(--soft); font-size: .8125rem; font-weight: 500; }
.ways dd + dt { margin-top: .5rem; }
.foot { margin-top: 4rem; padding: 1.5rem 0 2rem; border-top: 1px solid var(--line); color: var(--soft);
  font-size: .875rem; }
.foot .wrap { display: flex; flex-wrap: wrap; gap: .5rem 2rem; justify-content: space-between; }
.foot ul { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; }
.foot span + span { margin-left: .75rem; }
@media (prefers-reduced-motion: no-preference) {
  button, a { transition: background-color .12s, border-color .12s; }
}
@media print {
  :root { --page: #fff; --panel: #fff; --text: #000; --soft: #444; --line: #bbb; --edge: #bbb; --link: #000;
    --warn: #000; --warn-page: #fff; --bad: #000; --bad-page: #fff; --mark: #fff;
    --c1: #444; --c2: #000; --c3: #000; --c4: #000; --c5: #000; color-scheme: light; }
  .skip, .js .copy, .search, .foot nav { display: none; }
}
"""

FRONT_STYLE = f"""{_BASE}
.top {{ padding: clamp(2rem, 6vw, 4rem) 0 1.25rem; }}
.stats {{ display: flex; flex-wrap: wrap; gap: .25rem 1.75rem; margin-top: .75rem; color: var(--soft); }}
.stats b {{ color: var(--text); font-weight: 600; }}
.use {{ margin-top: 1.25rem; max-width: 46rem; }}
.use summary {{ width: fit-content; color: var(--link); }}
.use .ways {{ margin-top: .75rem; }}
.search {{ display: none; margin: .5rem 0 0; }}
.js .search {{ display: block; }}
.search label {{ display: block; margin-bottom: .35rem; font-size: .875rem; font-weight: 500; }}
.field {{ position: relative; }}
.field input {{ width: 100%; padding: .8rem 3.25rem .8rem 1rem; font: inherit; font-size: 1.0625rem;
  color: var(--text);
  background: var(--page); border: 1px solid var(--edge); border-radius: 10px; appearance: none; }}
.field input:focus-visible {{ outline-offset: 0; border-color: var(--focus); border-radius: 10px; }}
.field input::-webkit-search-cancel-button {{ display: none; }}
.field kbd {{ position: absolute; right: 1rem; top: 50%; transform: translateY(-50%); padding: 0 .45em;
  border: 1px solid var(--line); border-radius: 4px; color: var(--soft); background: var(--panel); }}
.count {{ padding: .9rem 0 .6rem; border-bottom: 1px solid var(--line); color: var(--soft); font-size: .875rem; }}
.rows li {{ display: grid; grid-template-columns: minmax(12rem, 17rem) minmax(0, 1fr) max-content; gap: 0 2rem;
  align-items: baseline; padding: .7rem 0; border-bottom: 1px solid var(--line); }}
#all .rows {{ content-visibility: auto; contain-intrinsic-size: auto 320rem; }}
#all .rows:last-child {{ contain-intrinsic-size: auto none; }}
.rows a {{ font-weight: 600; text-decoration: none; }}
.rows a:hover {{ text-decoration: underline; }}
.rows b {{ font-weight: 400; color: var(--soft); font-size: .875rem; }}
.rows p {{ grid-column: 2; display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2;
  overflow: hidden; }}
.rows small {{ grid-column: 3; color: var(--soft); font-size: .875rem; text-align: right;
  font-variant-numeric: tabular-nums; }}
.more {{ margin-top: 1.25rem; padding: .7rem 1.2rem; font-size: .9375rem; }}
.empty {{ padding: 2.5rem 0; color: var(--soft); }}
@media (max-width: 46rem) {{
  .rows li {{ display: block; padding: .85rem 0; }}
  #all .rows {{ contain-intrinsic-size: auto 650rem; }}
  .rows small {{ display: block; margin-top: .15rem; text-align: left; }}
  .field kbd {{ display: none; }}
  .field input {{ padding-right: 1rem; }}
}}
"""

PROJECT_STYLE = f"""{_BASE}
.top {{ padding: 1.5rem 0 0; }}
.back {{ font-size: .875rem; }}
.name {{ display: flex; flex-wrap: wrap; gap: 0 .9rem; align-items: baseline; margin-top: 1.25rem; }}
.name span {{ color: var(--soft); font-size: clamp(1.1rem, 1rem + .6vw, 1.5rem);
  font-variant-numeric: tabular-nums; }}
.lead {{ max-width: 46rem; margin-top: .5rem; color: var(--soft); font-size: 1.125rem; }}
.jump {{ margin-top: 1.25rem; border-bottom: 1px solid var(--line); }}
.jump ul {{ display: flex; flex-wrap: wrap; gap: 0 1.75rem; }}
.jump a {{ display: block; padding: .6rem 0; font-size: .9375rem; font-weight: 500; text-decoration: none; }}
.jump a:hover {{ text-decoration: underline; }}
.notice {{ margin-top: 1rem; padding: .8rem 1rem; border-left: 4px solid; border-radius: 0 8px 8px 0;
  max-width: 46rem;
  color: var(--warn); background: var(--warn-page); }}
.notice.bad {{ color: var(--bad); background: var(--bad-page); }}
.notice p + p {{ margin-top: .25rem; }}
.columns {{ display: grid; grid-template-columns: minmax(0, 1fr) 16.5rem; grid-template-rows: auto auto 1fr;
  gap: 0 3.5rem; }}
.columns > section {{ min-width: 0; grid-column: 1; padding-top: 2rem; }}
.columns > aside {{ min-width: 0; grid-column: 2; grid-row: 1 / span 3; padding-top: 2rem; font-size: .9375rem; }}
#description {{ padding-top: 2.5rem; }}
.columns > section > h2 {{ margin-bottom: .9rem; }}
.reason {{ margin-top: 1.5rem; }}
.reason p {{ color: var(--soft); font-size: .9375rem; }}
.reason li {{ margin-top: .35rem; }}
.reason h3, aside h2 {{ font-size: .9375rem; font-weight: 600; letter-spacing: 0; }}
.reason code {{ padding: .1rem .4rem; border-radius: 4px; background: var(--panel); white-space: pre-wrap; }}
aside section + section {{ margin-top: 1.5rem; padding-top: 1.5rem; border-top: 1px solid var(--line); }}
aside h2 {{ margin-bottom: .5rem; }}
aside dt {{ margin-top: .6rem; color: var(--soft); font-size: .8125rem; }}
aside dl > :first-child {{ margin-top: 0; }}
aside li + li {{ margin-top: .3rem; }}
aside summary {{ color: var(--link); }}
aside details > :not(summary) {{ margin-top: .5rem; }}
aside small {{ display: block; color: var(--soft); font-size: .8125rem; }}
.licence {{ max-height: 20rem; overflow: auto; padding: .75rem; background: var(--panel); border-radius: 6px;
  white-space: pre-wrap; font-size: .75rem; }}
.release {{ border-top: 1px solid var(--line); }}
.release:last-child {{ border-bottom: 1px solid var(--line); }}
.release > summary {{ list-style: none; }}
.release > summary::-webkit-details-marker {{ display: none; }}
.release h3 {{ display: flex; flex-wrap: wrap; gap: 0 1rem; align-items: baseline; padding: .65rem 0;
  font-size: 1rem; font-variant-numeric: tabular-nums; }}
.release h3::before {{ content: ""; flex: none; width: .42em; height: .42em; margin: 0 .1rem 0 .2rem;
  border: solid var(--soft); border-width: 0 1.5px 1.5px 0; transform: translateY(-.14em) rotate(-45deg); }}
.release[open] > summary h3::before {{ transform: translateY(-.2em) rotate(45deg); }}
.release h3 .soft {{ margin-left: auto; font-size: .875rem; font-weight: 400; }}
.older > summary {{ padding: .65rem 0; color: var(--link); border-top: 1px solid var(--line); }}
.files {{ width: 100%; margin: 0 0 1rem; border-collapse: collapse; font-size: .9375rem; }}
.files th {{ padding: .25rem 1rem .25rem 0; color: var(--soft); font-size: .8125rem; font-weight: 500;
  text-align: left; }}
.files td {{ padding: .6rem 1rem .6rem 0; border-top: 1px solid var(--line); vertical-align: top; }}
.files th:last-child, .files td:last-child {{ padding-right: 0; }}
.files small {{ display: block; color: var(--soft); font-size: .8125rem; }}
.files small a {{ color: inherit; }}
.files .yanked {{ color: var(--bad); }}
.digest {{ white-space: nowrap; }}
.digest code {{ display: inline-block; width: 9ch; overflow: hidden; text-overflow: ellipsis; vertical-align: middle;
  user-select: all; }}
.digest button {{ margin-left: .4rem; padding: .2rem .5rem; font-size: .75rem; }}
@media (max-width: 60rem) {{
  .columns {{ display: block; }}
  .columns > aside section {{ max-width: 46rem; }}
}}
@media (max-width: 40rem) {{
  .files thead {{ position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }}
  .files, .files tbody, .files tr, .files td {{ display: block; width: 100%; }}
  .files tr {{ padding: .75rem 0; border-top: 1px solid var(--line); }}
  .files td {{ display: flex; gap: .75rem; align-items: baseline; padding: .1rem 0; border: 0; }}
  .files td[data-is]::before {{ content: attr(data-is); flex: none; width: 5.5rem; color: var(--soft);
    font-size: .8125rem; }}
  .files .digest button {{ padding: .45rem .7rem; }}
  .command {{ flex-wrap: wrap; padding: .7rem; }}
  .command pre {{ flex-basis: 100%; }}
  .release h3 .soft {{ flex-basis: 100%; margin-left: 1.6rem; }}
}}
.prose {{ max-width: 46rem; }}
.prose > * + * {{ margin-top: 1em; }}
.prose h3 {{ margin-top: 1.6em; font-size: 1.3rem; letter-spacing: -.012em; }}
.prose h4 {{ margin-top: 1.5em; font-size: 1.1rem; }}
.prose h5, .prose h6 {{ margin-top: 1.4em; font-size: 1rem; }}
.prose > :first-child {{ margin-top: 0; }}
.prose ul, .prose ol, .prose dd {{ padding-left: 1.5em; }}
.prose ul {{ list-style: disc; }}
.prose li + li {{ margin-top: .25em; }}
.prose li > * + *, .prose dd > * + *, .prose blockquote > * + *, .prose div > * + * {{ margin-top: .6em; }}
.prose dt {{ margin-top: .6em; font-weight: 600; }}
.prose blockquote {{ margin-left: 0; margin-right: 0; padding-left: 1em;
  border-left: 3px solid var(--line); color: var(--soft); }}
.prose pre {{ overflow-x: auto; padding: .9rem 1rem; background: var(--panel); border: 1px solid var(--line);
  border-radius: 8px;
  line-height: 1.5; overflow-wrap: normal; }}
.prose pre.plain {{ white-space: pre-wrap; overflow-wrap: anywhere; }}
.prose code {{ padding: .1em .3em; border-radius: 4px; background: var(--panel); }}
.prose pre code {{ padding: 0; background: none; }}
.prose kbd {{ padding: 0 .3em; border: 1px solid var(--line); border-radius: 4px; }}
.prose hr {{ height: 0; border: 0; border-top: 1px solid var(--line); }}
.prose .scroll {{ overflow-x: auto; }}
.prose table {{ border-collapse: collapse; font-size: .9375rem; overflow-wrap: normal; }}
.prose th, .prose td {{ padding: .4rem .8rem; border: 1px solid var(--line); text-align: left; vertical-align: top; }}
.prose th {{ background: var(--panel); font-weight: 600; }}
.prose caption {{ padding-bottom: .4rem; color: var(--soft); text-align: left; }}
.prose figure {{ margin-left: 0; margin-right: 0; }}
.prose .admonition {{ padding: .8rem 1rem; border-left: 4px solid var(--link); border-radius: 0 8px 8px 0;
  background: var(--mark); }}
.prose .admonition-title {{ font-weight: 600; }}
.prose .line-block .line-block {{ padding-left: 1.5em; }}
.prose .line-block > * + * {{ margin-top: 0; }}
.prose .label {{ float: left; margin-right: .5em; }}
.prose .note {{ color: var(--soft); font-size: .9375rem; }}
.prose sup, .prose sub {{ line-height: 0; }}
.c, .c1, .cm, .ch, .cs, .cp, .cpf {{ color: var(--c1); font-style: italic; }}
.k, .kc, .kd, .kn, .kp, .kr, .kt, .ow, .nt {{ color: var(--c2); }}
.s, .s1, .s2, .sa, .sb, .sc, .sd, .se, .sh, .si, .sr, .ss, .gi {{ color: var(--c3); }}
.nb, .nc, .nf, .fm, .nn, .bp {{ color: var(--c4); }}
.m, .mi, .mf, .mh, .mo, .mb, .il, .na, .nd, .nv, .vi {{ color: var(--c5); }}
.gp, .go {{ color: var(--c1); user-select: none; }}
.go {{ user-select: auto; }}
.gd {{ color: var(--bad); }}
@media print {{
  .columns {{ display: block; }}
  .jump, .back {{ display: none; }}
  .digest {{ white-space: normal; }}
  .digest code {{ display: inline; font-size: .6875rem; }}
}}
"""
