// The demo page: a phone, an inbox, and between them what Usher sees.

import { attr, byId } from './dom.js';
import { open, startInbox } from './inbox.js';
import { startMiddle } from './middle.js';
import { startPhone } from './phone.js';
import { startSituations } from './situations.js';
import { choose, connect, store } from './store.js';
import { startTimeline } from './timeline.js';
import { startWorld } from './world.js';

const root = document.documentElement;
const dark = matchMedia('(prefers-color-scheme: dark)');

function toggleTheme() {
  const now = root.dataset.theme ?? (dark.matches ? 'dark' : 'light');
  root.dataset.theme = now === 'dark' ? 'light' : 'dark';
  localStorage.setItem('usher.theme', root.dataset.theme);
}

/** view shows one part of the page, where there is not room for all. */
function view(name) {
  document.body.dataset.view = name;
  for (const el of document.querySelectorAll('[data-show]')) attr(el, 'aria-current', el.dataset.show === name ? 'true' : null);
}

const shortcuts = {
  c: () => { view('phone'); byId('says').focus(); },
  a: () => { view('inbox'); open(store.chosen); byId('agent').focus(); },
  n: () => {
    const all = store.state.customers;
    choose(all[(all.findIndex((c) => c.psid === store.chosen) + 1) % all.length].psid);
  },
  t: () => { view('usher'); byId('timeline-scroll').focus(); },
  d: toggleTheme,
  '?': () => byId('help').showModal(),
};

document.addEventListener('keydown', (e) => {
  const typing = e.target.closest?.('input, textarea, select');
  if (e.key === 'Escape' && typing) return typing.blur();
  if (typing || e.ctrlKey || e.metaKey || e.altKey || byId('help').open || !byId('shortcuts').checked || !store.state) return;
  if (!Object.hasOwn(shortcuts, e.key)) return;
  e.preventDefault();
  shortcuts[e.key]();
});

root.dataset.theme = localStorage.getItem('usher.theme') ?? '';
if (!root.dataset.theme) delete root.dataset.theme;
byId('theme').addEventListener('click', toggleTheme);
byId('help-open').addEventListener('click', () => byId('help').showModal());
byId('help-close').addEventListener('click', () => byId('help').close());
byId('shortcuts').checked = localStorage.getItem('usher.shortcuts') !== 'off';
byId('shortcuts').addEventListener('change', (e) => localStorage.setItem('usher.shortcuts', e.target.checked ? 'on' : 'off'));
for (const el of document.querySelectorAll('[data-show]')) el.addEventListener('click', () => view(el.dataset.show));
view('phone');

for (const start of [startWorld, startSituations, startPhone, startMiddle, startTimeline, startInbox]) start();
connect();
