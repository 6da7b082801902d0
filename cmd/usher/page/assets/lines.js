// Messages, as the phone and the inbox show them.

import { attr, h, icon, list, text } from './dom.js';
import { at } from './store.js';
import { date, daytime, hm } from './time.js';

const shown = 300; // messages of a thread; older ones are not shown
const pause = 15 * 60 * 1000; // after which the time stands above a message

const media = { image: 'Photo', audio: 'Voice message', video: 'Video', file: 'File' };
const faces = { love: '❤️', smile: '😆', wow: '😮', sad: '😢', angry: '😠' };

/** reactions are those that Messenger has; face shows one. Thumbs are drawn: more fonts lack them. */
export const reactions = [...Object.keys(faces), 'like', 'dislike'];
export const face = (name) => (name.endsWith('like') && reactions.includes(name) ? icon(name) : faces[name] ?? name);

/** speaker is who said a line: customer, bot, human (an agent) or other (another app). */
export function speaker(line, page) {
  if (line.from === 'customer') return 'customer';
  if (line.app === page.app) return 'bot';
  return line.app === page.inbox ? 'human' : 'other';
}

/**
 * messages shows a thread. side is whose screen it is, customer or page; names
 * tells how speakers are called there; tap is called with a button's title, and
 * without it buttons are only shown.
 */
export function messages(parent, lines, { page, side, names, today, tap }) {
  let before;
  const items = lines.slice(-shown).map((line) => {
    const who = speaker(line, page);
    const late = !before || at(line.at) - at(before.line.at) > pause;
    const item = { line, who, late, head: late || before.who !== who || before.line.persona !== line.persona };
    before = item;
    return item;
  });
  items.forEach((item, i) => { item.tail = items[i + 1]?.head ?? true; });
  const lastSeen = items.findLast(({ line }) => line.from === side && line.seen);
  const lastOwn = items.findLast(({ line }) => line.from === side);
  const quoted = new Map(lines.map((line) => [line.mid, line]));
  list(parent, items, ({ line }) => line.mid || line.at,
    (item) => message(item, { names, quoted, tap, mine: item.line.from === side }),
    (el, item) => {
      attr(el, 'data-head', item.head);
      attr(el, 'data-tail', item.tail);
      attr(el, 'data-late', item.late);
      text(el.querySelector('.when'), item.late ? daytime(at(item.line.at), today) : '');
      text(el.querySelector('.body'), item.line.text ?? '');
      const reaction = el.querySelector('.reaction');
      const name = item.line.reaction ?? '';
      if (reaction.dataset.name !== name) {
        reaction.dataset.name = name;
        reaction.replaceChildren(face(name));
        attr(reaction, 'aria-label', `Reaction: ${name}`);
        reaction.hidden = !name;
      }
      const state = item === lastSeen ? 'Seen' : item === lastOwn ? 'Sent' : '';
      text(el.querySelector('.state'), [item.line.edited ? 'Edited' : '', state].filter(Boolean).join(' · '));
    });
}

function message({ line, who }, { names, quoted, tap, mine }) {
  const quote = line.reply_to && quoted.get(line.reply_to);
  return h('li', { class: 'msg', 'data-who': who, 'data-mine': mine, title: `${date(at(line.at))}, ${hm(at(line.at))}` },
    h('p', { class: 'when' }),
    h('p', { class: 'who', dir: 'auto' }, line.persona || names[who]),
    quote && h('p', { class: 'quote', dir: 'auto' }, quote.text || media[quote.attachment] || 'A message'),
    h('div', { class: 'bubble', 'data-bare': line.attachment === 'sticker' },
      line.attachment && medium(line),
      h('p', { class: 'body', dir: 'auto' }),
      line.buttons?.length > 0 && h('div', { class: 'buttons' }, line.buttons.map((b) => button(b, tap))),
      line.cards?.length > 0 && h('ul', { class: 'cards', tabindex: tap ? '0' : null, 'aria-label': 'Cards' }, line.cards.map((c) => card(c, tap))),
      h('span', { class: 'reaction', role: 'img', hidden: true })),
    h('p', { class: 'state' }));
}

function medium(line) {
  if (line.attachment === 'sticker') return h('span', { class: 'sticker', role: 'img', 'aria-label': 'A sticker: thumbs up' }, icon('like'));
  const kind = media[line.attachment] ? line.attachment : 'file';
  return h('span', { class: 'medium', 'data-kind': kind }, icon(kind), media[line.attachment] ?? line.attachment);
}

/** link returns a web address as it may be followed, or nothing. */
function link(address) {
  const url = URL.parse(address);
  return url && (url.protocol === 'https:' || url.protocol === 'http:') ? url.href : null;
}

function button(b, tap) {
  if (b.url) {
    const href = link(b.url);
    if (href) return h('a', { href, target: '_blank', rel: 'noopener noreferrer', dir: 'auto' }, b.title);
  } else if (tap) return h('button', { type: 'button', dir: 'auto', click: () => tap(b.title) }, b.title);
  return h('span', { dir: 'auto' }, b.title);
}

function card(c, tap) {
  const href = c.url && link(c.url);
  const title = h('strong', { dir: 'auto' }, c.title);
  return h('li', { class: 'card' },
    h('span', { class: 'picture' }, icon('image')),
    h('div', {},
      href ? h('a', { href, target: '_blank', rel: 'noopener noreferrer' }, title) : title,
      c.subtitle && h('p', { dir: 'auto' }, c.subtitle)),
    c.buttons?.length > 0 && h('div', { class: 'buttons' }, c.buttons.map((b) => button(b, tap))));
}
