// Above: situations to play, and what the ledger proves.

import { attr, byId, h, icon, list, text } from './dom.js';
import { act, on, store } from './store.js';

const counts = [
  ['events', 'events', null],
  ['answered', 'answered', null],
  ['lost', 'lost', 0],
  ['doubled', 'doubled', 0],
  ['over', 'over a person', 0],
];

const invitation = 'Play a situation: something goes wrong, and the ledger tells what came of it.';

let pointed = null; // the situation that is pointed at, or has the focus
let last = null; // the one played last

function situation(s) {
  const el = h('button', {
    type: 'button', class: 'situation', id: `play-${s.id}`,
    click: () => { if (!store.state.playing) act('play', { psid: store.chosen, text: s.id }); },
    pointerenter: () => point(s.id), pointerleave: () => point(null), focus: () => point(s.id), blur: () => point(null),
  }, h('span', { class: 'mark' }), h('span', {}, s.title), h('span', { class: 'sr' }));
  return h('li', {}, el);
}

function point(id) {
  pointed = id;
  if (store.state) caption(store.state);
}

const words = { held: 'held', broken: 'broken' };

function show(state) {
  if (state.playing) last = state.playing;
  list(byId('situation-list'), state.situations, (s) => s.id, situation, (li, s) => {
    const el = li.firstChild;
    const how = state.playing === s.id ? 'playing' : s.verdict || 'new';
    attr(el, 'aria-disabled', state.playing ? 'true' : null);
    attr(el, 'title', s.about);
    if (el.dataset.how !== how) {
      el.dataset.how = how;
      el.querySelector('.mark').replaceChildren(...{ playing: [], held: [icon('check')], broken: [icon('x')] }[how] ?? [icon('play')]);
    }
    text(el.querySelector('.sr'), how === 'playing' ? '(playing)' : words[s.verdict] ? `(${words[s.verdict]})` : '');
  });
  list(byId('tally'), counts, ([key]) => key,
    ([, label]) => h('div', {}, h('dt', {}, label), h('dd', {})),
    (el, [key, , want]) => {
      const n = state.tally[key];
      text(el.querySelector('dd'), String(n));
      attr(el, 'data-tone', want === null ? null : n === want ? 'good' : 'bad');
    });
  byId('stop').hidden = !state.playing;
  attr(document.body, 'data-playing', state.playing || null);
  caption(state);
}

/** caption says what plays, else what is pointed at, else what came of the last. */
function caption(state) {
  const of = (id) => state.situations.find((s) => s.id === id);
  const playing = of(state.playing);
  const el = byId('caption');
  const s = playing ?? of(pointed) ?? of(last);
  attr(el, 'data-tone', playing ? 'playing' : s && s.verdict ? s.verdict : null);
  attr(el, 'aria-live', pointed && !playing ? 'off' : 'polite'); // what is pointed at is told by its button
  if (!s) text(el, invitation);
  else if (playing) text(el, `${s.title}: ${s.step || 'begins'}`);
  else if (s.verdict) text(el, `${s.title} ${s.verdict}${s.proof ? `: ${s.proof}` : ''}`);
  else text(el, s.about);
}

/** startSituations brings the situations to life. */
export function startSituations() {
  byId('stop').addEventListener('click', () => act('stop'));
  on('change', show);
  on('anew', () => { last = null; });
}
