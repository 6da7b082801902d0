// Right: the Page Inbox, where agents answer.

import { attr, avatar, byId, called, composer, first, follow, h, icon, list, text } from './dom.js';
import { messages, speaker } from './lines.js';
import { act, at, changed, choose, on, now, store } from './store.js';
import { hm } from './time.js';

const scroll = follow(byId('inbox-thread'));
let showing = null; // whose conversation

/** open opens a conversation; an agent has then seen it. */
export function open(psid) {
  if (store.chosen !== psid) choose(psid);
  store.opened = psid;
  changed();
  seen(psid);
}

let opening = null; // whose badge is being taken away

/** seen takes the badge away, if there is one. */
async function seen(psid) {
  const chat = store.state.customers.find((c) => c.psid === psid)?.inbox;
  if (opening === psid || !chat || !(chat.unread || chat.notified)) return;
  opening = psid;
  await act('open', { psid });
  opening = null;
}

function snippet(c, page) {
  const line = c.phone.lines.at(-1);
  const who = { customer: '', bot: 'Bot: ', human: 'You: ', other: 'App: ' }[speaker(line, page)];
  return who + (line.text || line.cards?.[0]?.title || line.attachment || '…');
}

function thread(c) {
  return h('li', {}, h('button', { type: 'button', class: 'row', click: () => open(c.psid) },
    avatar(c),
    h('span', { class: 'row-name', dir: 'auto' }, called(c)), h('time', { class: 'row-when' }),
    h('span', { class: 'row-text', dir: 'auto' }),
    h('span', { class: 'row-marks' }, h('span', { class: 'bell', hidden: true }, icon('bell'), h('span', { class: 'sr' }, 'passed to people')), h('span', { class: 'badge', hidden: true }))));
}

/** badge shows what is unread, or that something is new, for those who see and those who do not. */
function badge(el, unread, fresh) {
  text(el, unread ? `${unread} unread` : 'new');
  attr(el, 'data-n', unread > 99 ? '99+' : unread || 'new');
  el.hidden = !unread && !fresh;
}

function folder(name, chats, state) {
  list(byId(`${name}-list`), chats, (c) => c.psid, thread, (el, c) => {
    const row = el.firstChild;
    attr(row, 'aria-current', c.psid === store.opened ? 'true' : null);
    attr(row, 'data-unread', c.inbox.unread > 0 || c.inbox.notified);
    text(row.querySelector('.row-text'), snippet(c, state.page));
    text(row.querySelector('.row-when'), hm(at(c.phone.lines.at(-1).at)));
    row.querySelector('.bell').hidden = !c.inbox.notified;
    badge(row.querySelector('.badge'), c.inbox.unread, c.inbox.notified);
  });
  text(byId(`${name}-count`), String(chats.length));
  byId(`${name}-empty`).hidden = chats.length > 0;
}

function show(state) {
  const written = state.customers.filter((c) => c.phone.lines?.length > 0)
    .sort((a, b) => at(b.phone.lines.at(-1).at) - at(a.phone.lines.at(-1).at));
  folder('main', written.filter((c) => c.inbox.folder === 'main'), state);
  folder('done', written.filter((c) => c.inbox.folder !== 'main'), state);
  text(byId('main-empty'), written.length ? 'Nothing here: the bot has them all.' : 'Nothing here.');
  const ringing = written.filter((c) => c.inbox.notified);
  text(byId('ring'), ringing.length ? `${ringing.map(called).join(', ')} ${ringing.length > 1 ? 'wait' : 'waits'} for a person` : '');
  badge(byId('views-badge'), written.reduce((n, c) => n + c.inbox.unread, 0), ringing.length > 0);
  conversation(state, written.find((c) => c.psid === store.opened));
}

function conversation(state, c) {
  attr(byId('conversation'), 'data-empty', !c);
  for (const id of ['conversation-head', 'inbox-thread', 'inbox-form']) byId(id).hidden = !c;
  byId('conversation-empty').hidden = Boolean(c);
  const moved = showing !== c?.psid;
  showing = c?.psid;
  if (!c) return;
  text(byId('with'), called(c));
  text(byId('control'), c.inbox.controls ? 'The inbox has control' : 'Not the inbox’s');
  attr(byId('control'), 'data-ours', c.inbox.controls);
  const [from, to] = c.inbox.folder === 'main' ? ['to-main', 'to-done'] : ['to-done', 'to-main'];
  const pressed = document.activeElement === byId(from);
  byId(from).hidden = true;
  byId(to).hidden = false;
  if (pressed) byId(to).focus(); // the button that was pressed has gone
  text(byId('agent-note'), c.inbox.controls ? '' : `${c.thread.owner_name} has control. A reply takes it.`);
  attr(byId('agent'), 'placeholder', `Reply to ${first(c)} as an agent`);
  messages(byId('inbox-lines'), c.phone.lines, {
    page: state.page, side: 'page', today: now(), names: { customer: first(c), bot: 'Usher, the bot', human: 'You', other: 'Another app' },
  });
  scroll.go(moved);
}

/** startInbox brings the inbox to life. */
export function startInbox() {
  composer(byId('inbox-form'), byId('agent'), (written) => { scroll.go(true); return act('agent', { psid: store.opened, text: written }); });
  byId('agent').addEventListener('focus', () => seen(store.opened));
  byId('inbox-thread').addEventListener('click', () => seen(store.opened));
  byId('to-main').addEventListener('click', () => act('main', { psid: store.opened }));
  byId('to-done').addEventListener('click', () => act('done', { psid: store.opened }));
  on('change', show);
}
