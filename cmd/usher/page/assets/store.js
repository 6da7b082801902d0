// What the server has told, and how it is told what people do.

import { toast } from './dom.js';

/** store is what the page shows: the server's state, and what this reader has chosen. */
export const store = {
  state: null, // State, see state.go
  chosen: null, // the customer whose phone is shown
  opened: null, // the customer whose conversation is open in the inbox
  linked: false,
};

const readers = { change: [], entry: [], anew: [] };
let arrived = 0;

/**
 * on calls fn with the state at each change of it or of a choice; with each entry
 * of the time line; or, when that begins anew, with the number of its first entry.
 */
export const on = (what, fn) => readers[what].push(fn);

/** changed shows the page again. */
export function changed() {
  if (store.state) for (const fn of readers.change) fn(store.state);
}

/** now is the stage's time in ms: the newest told, and what has passed since. */
export const now = () => Date.parse(store.state.now) + performance.now() - arrived;

/** at returns a stage time in ms, or 0 for none. */
export const at = (time) => (time ? Date.parse(time) : 0);

/** customer returns the chosen one. */
export const customer = () => store.state.customers.find((c) => c.psid === store.chosen);

/** choose shows another customer's phone. The inbox keeps a conversation of hers only. */
export function choose(psid) {
  store.chosen = psid;
  if (store.opened !== psid) store.opened = null;
  changed();
}

let known = new Set();

function receive(state) {
  store.state = state;
  arrived = performance.now();
  const ids = state.customers.map((c) => c.psid);
  const newest = ids.findLast((id) => !known.has(id));
  if (!ids.includes(store.chosen)) store.chosen = ids[0] ?? null;
  else if (newest) store.chosen = newest; // somebody new is looked at
  if (!ids.includes(store.opened) || store.opened !== store.chosen) store.opened = null;
  known = new Set(ids);
  if (state.first !== begins) anew(state.first);
  changed();
}

let begins = 0; // the number of this stage's first entry
let last = 0; // the newest entry's

function anew(from) {
  begins = from;
  for (const fn of readers.anew) fn(from);
}

function record(entry) {
  if (entry.seq <= last) anew(Infinity); // all of it again
  last = entry.seq;
  for (const fn of readers.entry) fn(entry);
}

function link(open) {
  store.linked = open;
  document.body.toggleAttribute('data-lost', !open);
  document.getElementById('lost').hidden = open;
}

/** connect listens to the server, for ever. */
export function connect() {
  const source = new EventSource('events');
  source.addEventListener('open', () => link(true));
  source.addEventListener('state', (e) => receive(JSON.parse(e.data)));
  source.addEventListener('log', (e) => record(JSON.parse(e.data)));
  source.addEventListener('error', () => {
    link(false);
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 2000); // it was refused; else it tries again by itself
  });
}

let before = Promise.resolve(); // what was done last

/**
 * act does something, after what was done before: two words typed fast stay in their order. It returns whether it was done;
 * if not, the server's words have been shown.
 */
export function act(what, fields = {}) {
  before = before.then(() => post(what, fields));
  return before;
}

async function post(what, fields) {
  try {
    const answer = await fetch('act', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ do: what, ...fields }),
    });
    if (answer.ok) return true;
    const told = await answer.json().catch(() => ({}));
    toast(told.error ?? `The demo answered ${answer.status}.`);
  } catch {
    toast('The demo does not answer. Is it still running?');
  }
  return false;
}
