"""The scripts of the pages, as constants. Every page tells all that it has to tell without them.

They write text, never markup, and ask for nothing.
"""

from __future__ import annotations

_BASE = r"""
'use strict';
const opened = Date.now();
const page = document.documentElement;
page.classList.add('js');

const say = text => { document.getElementById('said').textContent = text; };

// How long ago, in the largest unit of which there is one; nothing where the clock is behind.
const UNITS = [
  ['year', 31557600], ['month', 2629800], ['week', 604800], ['day', 86400], ['hour', 3600], ['minute', 60],
];
function ago(time) {
  const seconds = (opened - time) / 1000;
  if (!(seconds >= 0)) return '';
  const found = UNITS.find(unit => seconds >= unit[1]);
  if (!found) return 'just now';
  const number = Math.floor(seconds / found[1]);
  return number + ' ' + found[0] + (number === 1 ? '' : 's') + ' ago';
}

function tellAges() {
  for (const time of document.querySelectorAll('time.age')) {
    const age = ago(Date.parse(time.dateTime));
    if (age) time.after(', ' + age);
  }
  // A browser that was told no time of the page answers with its own clock.
  const changed = Date.parse(document.lastModified);
  if (opened - changed > 5000) {
    document.getElementById('written').textContent = 'This page last changed ' + ago(changed) + '.';
  }
}

// The index as seen from here. What a shell could take for its own is percent-encoded, but brackets are an address.
function findIndex() {
  const here = new URL(document.body.dataset.root + 'simple/', location.href);
  const url = here.href.replace(/[^\w\-.~:\/%\[\]@]/g, sign => '%' + sign.charCodeAt(0).toString(16).toUpperCase());
  const isTrusted = here.protocol !== 'http:' || /^(localhost|127\.[\d.]+|\[::1\])$/.test(here.hostname);
  const quoted = text => /[\[\]~]/.test(text) ? '"' + text + '"' : text;
  return {url: quoted(url), trust: isTrusted ? '' : '--trusted-host ' + quoted(here.host)};
}

function fillCommands() {
  if (!/^(https?|file):$/.test(location.protocol)) return;
  const index = findIndex();
  for (const part of document.querySelectorAll('.index')) part.textContent = index.url;
  for (const part of document.querySelectorAll('.trust')) {
    part.textContent = index.trust && (part.classList.contains('line') ? '\n' : ' ') + index.trust;
  }
}

// The clipboard needs a secure page, and a disk or plain http is none: there the selection is copied as by hand.
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch (refused) {
    const area = document.createElement('textarea');
    area.value = text;
    area.readOnly = true;
    area.className = 'unseen';
    document.body.append(area);
    area.select();
    let done = false;
    try { done = document.execCommand('copy'); } catch (unsupported) { done = false; }
    area.remove();
    return done;
  }
}

async function copy(button) {
  const source = button.previousElementSibling;
  const done = await copyText(source.textContent.trim());
  button.focus({preventScroll: true});
  if (!done) getSelection().selectAllChildren(source);
  button.classList.toggle('done', done);
  button.textContent = done ? 'Copied' : 'Press Ctrl+C';
  say('');
  requestAnimationFrame(() => say(done ? 'Copied to the clipboard' : 'It is selected: press Ctrl+C to copy'));
  clearTimeout(button.timer);
  button.timer = setTimeout(() => {
    button.textContent = 'Copy';
    button.classList.remove('done');
  }, 2000);
}

document.addEventListener('click', event => {
  const button = event.target.closest('.copy');
  if (button) copy(button);
});

addEventListener('DOMContentLoaded', () => { fillCommands(); tellAges(); });
"""

PROJECT_SCRIPT = (
    _BASE
    + r"""
// A link to a release opens it, and all that it stands in.
function openTarget() {
  let id = '';
  try { id = decodeURIComponent(location.hash.slice(1)); } catch (malformed) { return; }
  const target = id && document.getElementById(id);
  if (!target) return;
  for (let part = target; part; part = part.parentElement) if (part.localName === 'details') part.open = true;
  target.scrollIntoView();
}
addEventListener('DOMContentLoaded', openTarget);
addEventListener('hashchange', openTarget);
"""
)

FRONT_SCRIPT = (
    _BASE
    + r"""
// The list of all projects is never touched, only put away as a whole: what is found is a list of its own, so that the
// work of a key press depends on what is shown, and not on how much there is.
const FIRST = 100;
const NEXT = 400;
const byId = id => document.getElementById(id);
const link = row => row.querySelector('a');
const number = amount => amount.toLocaleString('en-US');
let entries = null;
let matches = [];
let shown = 0;
let frame = 0;
let timer = 0;

// Case, accents and the kind of separator make no difference.
function fold(text) {
  let folded = text.toLowerCase();
  if (/[^\0-\x7f]/.test(folded)) folded = folded.normalize('NFKD').replace(/\p{M}/gu, '');
  return folded.replace(/[-_.]+/g, '-');
}

function readEntries() {
  entries = Array.from(document.querySelectorAll('#all li'), row => {
    const name = fold(link(row).textContent);
    const summary = row.querySelector('p');
    return {row, name, text: name + '\n' + (summary ? fold(summary.textContent) : '')};
  });
}

// Those with all words: the name itself first, then names that begin so, names with the words, and the rest.
function find(query) {
  const words = fold(query).split(/\s+/).filter(Boolean);
  const whole = words.join('-').replace(/-+/g, '-');
  const ranks = [[], [], [], []];
  for (const entry of entries) {
    if (!words.every(word => entry.text.includes(word))) continue;
    const rank = entry.name === whole ? 0 : entry.name.startsWith(whole) ? 1
      : words.every(word => entry.name.includes(word)) ? 2 : 3;
    ranks[rank].push(entry.row);
  }
  return ranks.flat();
}

function showMore(amount) {
  const end = Math.min(shown + amount, matches.length);
  const rows = document.createDocumentFragment();
  for (; shown < end; shown++) rows.append(matches[shown].cloneNode(true));
  byId('found').append(rows);
  const rest = matches.length - shown;
  byId('more').hidden = rest === 0;
  byId('more').textContent = 'Show ' + number(Math.min(rest, NEXT)) + ' more';
}

function search() {
  if (!entries) readEntries();
  const query = byId('query').value.trim();
  const total = entries.length;
  byId('all').hidden = query !== '';
  byId('found').hidden = query === '';
  byId('found').replaceChildren();
  matches = [];
  shown = 0;
  if (query) matches = find(query);
  showMore(FIRST);
  byId('none').hidden = query === '' || matches.length > 0;
  const projects = number(total) + (total === 1 ? ' project' : ' projects');
  const text = query ? number(matches.length) + ' of ' + projects : projects;
  byId('count').textContent = text;
  return query ? text + (matches.length === 1 ? ' matches' : ' match') : text;
}

// One step in the history for a search, however it was typed.
function remember() {
  const query = byId('query').value.trim();
  const target = query ? '#q=' + encodeURIComponent(query) : location.pathname + location.search;
  const had = location.hash.startsWith('#q=');
  if (query && !had) history.pushState(null, '', target);
  else if (query || had) history.replaceState(null, '', target);
}

function changed() {
  cancelAnimationFrame(frame);
  clearTimeout(timer);
  frame = requestAnimationFrame(() => {
    const told = search();
    timer = setTimeout(() => { say(told); remember(); }, 400);
  });
}

function readAddress() {
  if (location.hash && !location.hash.startsWith('#q=')) return;
  let query = '';
  try { query = decodeURIComponent(location.hash.slice(3)); } catch (malformed) { query = ''; }
  clearTimeout(timer);
  if (query === byId('query').value.trim()) return;
  byId('query').value = query;
  say(search());
}

function pressed(event) {
  const field = byId('query');
  const isTyping = event.target.closest('input, textarea, select');
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.key === '/' && !isTyping) {
    event.preventDefault();
    field.focus();
    field.select();
  } else if (event.key === 'Escape' && field.value) {
    event.preventDefault();
    field.value = '';
    field.focus();
    changed();
  } else if (event.key === 'Enter' && event.target === field && matches.length) {
    const isSure = matches.length === 1 || fold(field.value.trim()) === fold(link(matches[0]).textContent);
    if (isSure) location.assign(link(matches[0]).href);
  }
}

addEventListener('DOMContentLoaded', () => {
  if (!byId('query')) return;
  byId('query').addEventListener('input', changed);
  byId('more').addEventListener('click', () => {
    const next = shown;
    showMore(NEXT);
    link(byId('found').children[next]).focus();
  });
  document.addEventListener('keydown', pressed);
  addEventListener('hashchange', readAddress);
  addEventListener('popstate', readAddress);
  if (byId('query').value) search();
  readAddress();
  setTimeout(() => { if (!entries) readEntries(); }, 300);  // before the first key is pressed
});
"""
)
