// Between them: who has the thread, why, and until when.

import { attr, byId, first, text } from './dom.js';
import { at, customer, now, on, store } from './store.js';
import { ago, hm, span } from './time.js';

const stations = ['bot', 'waiting', 'human', 'solved'];

const headlines = {
  bot: (name) => `The bot has ${name}’s thread`,
  waiting: (name) => `${name} waits for a person`,
  human: (name) => `People have ${name}’s thread`,
  solved: (name) => `Solved: if ${name} writes again soon, people have her thread again`,
};

const dead = 'Usher is dead. Meta keeps its webhooks and delivers them again.';

const awaited = { take: 'taking control', owner: 'asking Meta who has it', pass: 'passing it on' };

/** next is what a newcomer might do now. */
function next(c) {
  const name = first(c);
  if (!c.phone.lines?.length) return `You are ${name}. Tap Get Started on the phone, or write hello.`;
  switch (c.thread.phase) {
    case 'waiting': return `${name} waits and the inbox rings. Open her thread in the inbox, and reply as an agent.`;
    case 'human': return 'People talk, the bot is silent. Press Move to done, or tap Back to bot.';
    case 'solved': return `An agent was done with ${name}. Write again as her, or put the clock forward.`;
    default:
      return c.thread.episode ? 'The bot is back: that was a handover. Now try to break it, with the situations above.' : 'The bot has answered. Now tap Talk to a human on the phone.';
  }
}

function show(state) {
  const c = customer();
  byId('relay').hidden = !c;
  if (!c) return;
  const { thread } = c;
  const name = first(c);
  attr(document.body, 'data-phase', thread.phase);
  attr(byId('relay'), 'data-dead', !state.up);
  byId('baton').style.setProperty('--station', String(Math.max(0, stations.indexOf(thread.phase))));
  for (const el of document.querySelectorAll('[data-station]')) attr(el, 'data-here', el.dataset.station === thread.phase);
  const headline = headlines[thread.phase](name);
  text(byId('headline'), headline);
  text(byId('holder'), state.up ? `${headline}${thread.why ? `: ${thread.why}` : ''}.` : dead); // what is seen counts minutes, and would be read out
  text(byId('episode'), thread.episode ? `Episode ${thread.episode}` : '');
  text(byId('hint-text'), next(c));
  tick();
}

/** tick shows what changes by time alone. */
function tick() {
  const c = store.state && customer();
  if (!c) return;
  const { thread } = c;
  const t = now();
  const since = at(thread.since);
  text(byId('why'), store.state.up ? [thread.why, since && ago(t - since)].filter(Boolean).join(' · ') : dead);

  const reopen = at(thread.reopen);
  text(byId('limit-label'), reopen ? 'Reopen buffer' : 'Time limit');
  timer('limit', reopen || at(thread.limit), t, reopen ? 'then it begins with the bot' : 'then the bot comes back', 'runs while people have it');

  text(byId('owner'), thread.owner_name);
  const ours = !thread.owner || thread.owner === store.state.page.app;
  const agreed = ours === (thread.phase === 'bot');
  attr(byId('owner-fact'), 'data-differs', !agreed);
  const lapses = at(thread.lapses);
  text(byId('owner-sub'), !agreed ? `Usher says ${thread.phase === 'bot' ? 'the bot' : 'people'}` : lapses ? `lapses in ${span(lapses - t)}` : 'as Usher says');

  timer('window', at(thread.window), t, 'for the Page to write', 'opens when she writes');
  text(byId('pending'), String(thread.pending));
  text(byId('pending-sub'), awaited[thread.awaiting] ?? (thread.pending ? 'under way' : 'all made'));
}

function timer(id, until, t, running, none) {
  text(byId(id), until ? (until > t ? span(until - t) : 'over') : '–');
  attr(byId(id), 'title', until ? `at ${hm(until)}` : null);
  text(byId(`${id}-sub`), until ? running : none);
}

/** startMiddle brings the middle to life. */
export function startMiddle() {
  const hint = byId('hint');
  hint.hidden = localStorage.getItem('usher.hint') === 'off';
  byId('hint-close').addEventListener('click', () => {
    hint.hidden = true;
    localStorage.setItem('usher.hint', 'off');
    byId('usher').querySelector('.timeline-scroll').focus();
  });
  const small = matchMedia('(width < 1180px)'); // as in style.css: there it stands above whatever part is shown
  const place = () => (small.matches ? document.querySelector('main') : byId('relay')).before(hint);
  small.addEventListener('change', place);
  place();
  on('change', show);
  setInterval(tick, 1000);
}
