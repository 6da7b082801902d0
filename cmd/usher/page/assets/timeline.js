// The time line: what people did, what Meta delivered, what Usher decided, and what it called.

import { attr, byId, first, follow, h, icon, text } from './dom.js';
import { at, on, store } from './store.js';
import { date, hms } from './time.js';

const most = 500; // entries on the page

const kinds = { act: 'People', webhook: 'Webhooks', decision: 'Decisions', call: 'Calls', world: 'World' };
const hidden = new Set(); // kinds
let everyone = true;

const lines = byId('timeline');
const box = byId('timeline-scroll');
const scroll = follow(box);
let missed = 0; // entries that came while somebody read older ones

/** name is whose entry it is, where that is not plain. */
function name(psid) {
  const c = store.state?.customers.find((x) => x.psid === psid);
  return c ? first(c) : '';
}

function row(entry) {
  const t = at(entry.at);
  const head = [
    h('time', { datetime: entry.at, title: `${date(t)}, ${hms(t)}` }, hms(t)),
    h('span', { class: 'kind', title: kinds[entry.kind] ?? entry.kind }, icon(entry.kind), h('span', { class: 'sr' }, entry.kind)),
    h('span', { class: 'what' }, h('span', { class: 'title', dir: 'auto' }, entry.title), entry.cause && [' ', h('span', { class: 'cause' }, entry.cause.replaceAll('_', ' '))]),
    h('span', { class: 'whose', dir: 'auto' }, entry.psid ? name(entry.psid) : ''),
  ];
  const el = h('li', { 'data-seq': entry.seq, 'data-kind': entry.kind, 'data-tone': entry.tone || null, 'data-psid': entry.psid || null });
  if (entry.json == null) el.append(h('div', { class: 'entry' }, head));
  else {
    const details = h('details', {}, h('summary', { class: 'entry' }, head));
    details.addEventListener('toggle', () => {
      if (details.open && details.children.length === 1) details.append(h('pre', { tabindex: '0', dir: 'ltr' }, JSON.stringify(entry.json, null, 2)));
      if (details.open) scroll.stop(); // somebody reads
    });
    el.append(details);
  }
  return el;
}

function sift(el) {
  const of = el.dataset.psid;
  el.hidden = hidden.has(el.dataset.kind) || (!everyone && of !== undefined && of !== store.chosen);
}

function add(entry) {
  const el = row(entry);
  sift(el);
  lines.append(el);
  byId('timeline-empty').hidden = true;
  let gone = 0; // what is taken away above must not move what is read
  while (lines.children.length > most) {
    gone += lines.firstElementChild.offsetHeight;
    lines.firstElementChild.remove();
  }
  if (scroll.end()) scroll.go();
  else {
    if (gone) box.scrollTop -= gone;
    if (!el.hidden) missed++;
  }
  mark();
}

/** mark says that there is something newer. */
function mark() {
  if (scroll.end()) missed = 0;
  byId('newest').hidden = missed === 0;
  text(byId('newest-text'), `${missed} newer`);
}

function siftAll() {
  for (const el of lines.children) sift(el);
  scroll.go();
}

function filter(label, on, pressed) {
  const el = h('button', { type: 'button', class: 'filter', 'aria-pressed': pressed }, label);
  el.addEventListener('click', () => {
    const is = el.getAttribute('aria-pressed') !== 'true';
    attr(el, 'aria-pressed', String(is));
    on(is);
    siftAll();
  });
  return el;
}

/** startTimeline brings the time line to life. */
export function startTimeline() {
  for (const [kind, label] of Object.entries(kinds)) {
    byId('filters').append(filter([icon(kind), label], (is) => { if (is) hidden.delete(kind); else hidden.add(kind); }, 'true'));
  }
  const only = filter('', (is) => { everyone = !is; }, 'false');
  only.id = 'only';
  byId('filters').append(only);
  box.addEventListener('scroll', mark, { passive: true });
  byId('newest').addEventListener('click', () => { scroll.go(true); box.focus(); mark(); });
  on('entry', add);
  on('anew', (from) => {
    for (const el of [...lines.children]) if (Number(el.dataset.seq) < from) el.remove();
    byId('timeline-empty').hidden = lines.children.length > 0;
    scroll.go(true);
    mark();
  });
  let chosen = null;
  on('change', (state) => {
    const c = state.customers.find((x) => x.psid === store.chosen);
    text(only, c ? `Only ${first(c)}` : 'Only hers');
    if (chosen !== store.chosen && !everyone) siftAll();
    chosen = store.chosen;
    for (const el of lines.querySelectorAll('[data-psid] .whose:empty')) text(el, name(el.closest('li').dataset.psid));
  });
}
