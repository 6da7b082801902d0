// Elements without markup: every text becomes a text node, so nothing that anybody writes is ever read as HTML.

export const byId = (id) => document.getElementById(id);

/**
 * h makes an element. A property that is a function listens to that event; true
 * is written out; null and false are left out.
 */
export function h(tag, props = {}, ...children) {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === 'function') el.addEventListener(name, value);
    else attr(el, name, value);
  }
  el.append(...children.flat(Infinity).filter((c) => c != null && c !== false && c !== ''));
  return el;
}

/** attr sets an attribute if it is another one than before. */
export function attr(el, name, value) {
  if (value == null || value === false) el.removeAttribute(name);
  else if (el.getAttribute(name) !== String(value)) el.setAttribute(name, value);
}

/** text sets a text if it is another one than before. */
export function text(el, value) {
  if (el.textContent !== value) el.textContent = value;
}

const svg = 'http://www.w3.org/2000/svg';

/** icon shows a symbol of the page. People who do not see it miss nothing. */
export function icon(name) {
  const el = document.createElementNS(svg, 'svg');
  el.setAttribute('class', 'icon');
  el.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(svg, 'use');
  use.setAttribute('href', `#i-${name}`);
  el.append(use);
  return el;
}

const rows = new WeakMap(); // parent → key → row

/**
 * list shows items as children of parent: make(item) returns an element, and
 * update(el, item) is called each time. Elements stay, so that focus, scroll
 * positions and what is unfolded do too.
 */
export function list(parent, items, key, make, update = () => {}) {
  const before = rows.get(parent) ?? new Map();
  const after = new Map();
  for (const item of items) {
    const k = key(item);
    const el = before.get(k) ?? make(item);
    before.delete(k);
    after.set(k, el);
    update(el, item);
  }
  for (const el of before.values()) el.remove();
  let next = parent.firstElementChild;
  for (const el of after.values()) {
    if (el === next) next = next.nextElementSibling;
    else parent.insertBefore(el, next);
  }
  rows.set(parent, after);
}

/**
 * panel lets a button open and close an element. Escape closes it and gives the
 * focus back; so does whatever happens elsewhere.
 */
export function panel(button, el) {
  const show = (open) => {
    el.hidden = !open;
    button.setAttribute('aria-expanded', String(open));
    if (open) el.querySelector('button, input')?.focus();
  };
  button.addEventListener('click', () => show(el.hidden));
  document.addEventListener('keydown', (e) => {
    if (e.key !== 'Escape' || el.hidden) return;
    const inside = el.contains(document.activeElement);
    show(false);
    if (inside) button.focus();
    e.stopPropagation();
  }, true);
  document.addEventListener('pointerdown', (e) => {
    if (!el.hidden && !el.contains(e.target) && !button.contains(e.target)) show(false);
  });
  return { close: () => { if (!el.hidden) { show(false); button.focus(); } } };
}

/** composer sends what is written in a form: Enter sends, Shift+Enter begins a line. */
export function composer(form, field, send) {
  field.addEventListener('keydown', (e) => {
    if (e.key !== 'Enter' || e.shiftKey || e.isComposing) return;
    e.preventDefault();
    form.requestSubmit();
  });
  form.addEventListener('submit', async (e) => {
    e.preventDefault();
    const written = field.value;
    if (!written.trim()) return field.focus();
    field.value = '';
    field.focus();
    if (!(await send(written)) && !field.value.trim()) field.value = written; // it is not lost
  });
}

/**
 * follow keeps a scrolling element at its end while the reader is there: go after
 * each change. end tells whether the reader is, and stop that there is something
 * to read.
 */
export function follow(el) {
  let atEnd = true;
  const go = (always) => {
    atEnd ||= Boolean(always);
    if (atEnd) el.scrollTop = el.scrollHeight;
  };
  el.addEventListener('scroll', () => { atEnd = el.scrollHeight - el.scrollTop - el.clientHeight < 24; }, { passive: true });
  new ResizeObserver(() => go()).observe(el);
  return { go, end: () => atEnd, stop: () => { atEnd = false; } };
}

const toasts = byId('toasts');

/** toast shows a short message for some seconds. */
export function toast(message) {
  const el = h('p', { dir: 'auto' }, message, h('button', { type: 'button', 'aria-label': 'Dismiss', click: () => el.remove() }, icon('x')));
  toasts.append(el);
  while (toasts.children.length > 3) toasts.firstElementChild.remove();
  setTimeout(() => el.remove(), 8000);
}

/** initials are what stands in a round picture. */
export function initials(name) {
  const words = name.trim().split(/\s+/u).filter(Boolean);
  const picked = words.length > 1 ? [words[0], words.at(-1)] : words;
  return picked.map((w) => [...w][0].toUpperCase()).join('') || '?';
}

/** avatar is a round picture with initials, in one of six hues. */
export function avatar(customer) {
  let hue = 0;
  for (const c of customer.psid) hue = (hue * 31 + c.codePointAt(0)) % 6;
  return h('span', { class: 'avatar', 'data-hue': hue, 'aria-hidden': 'true' }, initials(customer.name));
}

/** called is how a customer is called. */
export const called = (customer) => customer.name || `Somebody (…${customer.psid.slice(-4)})`;
/** first is her first name. */
export const first = (customer) => customer.name.trim().split(/\s+/u)[0] || 'somebody';
