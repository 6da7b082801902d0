// Left: the customer's phone.

import { attr, avatar, byId, called, composer, first, follow, h, initials, list, panel, text } from './dom.js';
import { face, messages, reactions } from './lines.js';
import { act, choose, customer, now, on, store } from './store.js';
import { hm } from './time.js';

const scroll = follow(byId('phone-thread'));
let showing = null; // whose thread

const does = (what, written) => act(what, { psid: store.chosen, text: written });

/** taps does what a tap does; its answer is looked at. */
function taps(what, title) {
  scroll.go(true);
  does(what, title);
}

function customers(state) {
  list(byId('customers'), state.customers, (c) => c.psid,
    (c) => h('li', {}, h('button', { type: 'button', class: 'person', click: () => choose(c.psid) }, avatar(c), h('span', { dir: 'auto' }, first(c)))),
    (el, c) => {
      attr(el.firstChild, 'aria-pressed', String(c.psid === store.chosen));
      attr(el.firstChild, 'aria-label', `${called(c)}’s phone`);
      attr(el.firstChild, 'title', `${called(c)} (${c.locale})`);
      attr(el.firstChild, 'data-phase', c.thread.phase);
    });
}

/** chips shows what can be tapped once. The focus goes on to the text field when they go. */
function chips(el, titles, what) {
  const held = el.contains(document.activeElement);
  list(el, titles.map((title, i) => ({ title, i })), ({ title, i }) => `${i} ${title}`,
    ({ title }) => h('li', {}, h('button', { type: 'button', dir: 'auto', click: () => taps(what, title) }, title)));
  el.hidden = titles.length === 0;
  if (held && !el.contains(document.activeElement)) byId('says').focus();
}

function show(state) {
  customers(state);
  const c = customer();
  byId('phone-form').inert = !c;
  if (!c) return;
  const { phone } = c;
  const moved = showing !== c.psid;
  const log = byId('phone-lines');
  attr(log, 'aria-live', moved ? 'off' : null); // another phone is no news
  attr(log, 'aria-label', `Messages on ${called(c)}’s phone`);
  showing = c.psid;

  text(byId('phone-clock'), hm(now()));
  text(byId('page-name'), state.page.name);
  text(byId('page-mark'), initials(state.page.name));
  text(byId('phone-whose'), `on ${called(c)}’s phone`);
  byId('welcome').hidden = phone.lines?.length > 0;
  text(byId('welcome-mark'), initials(state.page.name));
  text(byId('welcome-name'), state.page.name);
  text(byId('greeting'), phone.greeting ?? '');

  const lines = phone.lines ?? [];
  messages(log, lines, {
    page: state.page, side: 'customer', today: now(), names: { customer: '', bot: 'Bot', human: 'Agent', other: 'Another app' },
    tap: (title) => taps('button', title),
  });
  byId('typing').hidden = !phone.typing;
  const last = lines.at(-1);
  chips(byId('chips'), last?.tappable ? (last.quick_replies ?? []).map((q) => q.title) : [], 'reply');
  byId('start').hidden = !(phone.get_started || phone.ice_breakers?.length);
  const started = !phone.get_started && document.activeElement === byId('get-started');
  byId('get-started').hidden = !phone.get_started;
  if (started) byId('says').focus();
  chips(byId('ice-breakers'), phone.ice_breakers ?? [], 'button');

  const menu = phone.menu ?? [];
  byId('menu-open').hidden = menu.length === 0;
  list(byId('menu-items'), menu.map((b, i) => ({ ...b, i })), (b) => `${b.i} ${b.title}`,
    (b) => h('li', {}, h('button', { type: 'button', dir: 'auto', click: () => { menus.close(); does('menu', b.title); } }, b.title)));
  if (menu.length === 0) menus.close();
  attr(byId('says'), 'placeholder', `Write as ${first(c)}`);
  scroll.go(moved);
}

const menus = panel(byId('menu-open'), byId('menu'));
const more = panel(byId('more-open'), byId('more'));
const adding = panel(byId('customer-add'), byId('customer-form'));

/** startPhone brings the phone to life. */
export function startPhone() {
  composer(byId('phone-form'), byId('says'), (written) => { scroll.go(true); return does('says', written); });
  for (const el of document.querySelectorAll('[data-sends]')) el.addEventListener('click', () => { more.close(); does('sends', el.dataset.sends); });
  byId('reads').addEventListener('click', () => { more.close(); does('reads'); });
  for (const name of reactions) {
    byId('reactions').append(h('button', { type: 'button', 'aria-label': `React: ${name}`, title: name, click: () => { more.close(); does('reacts', name); } }, face(name)));
  }
  byId('get-started').addEventListener('click', () => taps('start'));
  byId('customer-form').addEventListener('submit', async (e) => {
    e.preventDefault();
    const field = byId('customer-name');
    if (!field.value.trim() || !(await act('customer', { text: field.value.trim() }))) return;
    field.value = '';
    adding.close();
  });
  on('change', show);
  setInterval(() => { if (store.state) text(byId('phone-clock'), hm(now())); }, 1000);
}
