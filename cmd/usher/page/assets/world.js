// The world around Usher: the clock, its process, the Graph API, and what Done does.

import { attr, byId, text } from './dom.js';
import { act, on, store } from './store.js';
import { span } from './time.js';

function lamp(id, well, words) {
  text(byId(id), words);
  attr(byId(`${id}-lamp`), 'data-well', well);
}

function show(state) {
  text(byId('ahead'), state.ahead_ms > 0 ? `+${span(state.ahead_ms)}` : 'now');
  lamp('up', state.up, state.up ? 'Usher runs' : 'Usher is dead');
  text(byId('up-switch'), state.up ? 'Kill' : 'Restart');
  lamp('graph', state.graph, state.graph ? 'Graph answers' : 'Graph is down');
  text(byId('graph-switch'), state.graph ? 'Take down' : 'Bring up');
  if (document.activeElement !== byId('done-is')) byId('done-is').value = state.done;
  const still = Boolean(state.playing); // a situation plays: the world is its
  for (const el of document.querySelectorAll('.world button, .world select')) el.disabled = still;
}

/** startWorld brings the world's switches to life. */
export function startWorld() {
  for (const el of document.querySelectorAll('[data-forward]')) el.addEventListener('click', () => act('forward', { text: el.dataset.forward }));
  byId('up-switch').addEventListener('click', () => act(store.state.up ? 'kill' : 'restart'));
  byId('graph-switch').addEventListener('click', () => act('graph', { text: store.state.graph ? 'down' : 'up' }));
  byId('done-is').addEventListener('change', async (e) => {
    if (!(await act('done_is', { text: e.target.value }))) e.target.value = store.state.done;
  });
  byId('reset').addEventListener('click', () => act('reset'));
  on('change', show);
}
