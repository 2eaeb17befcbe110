// Live tail: the events of a pattern as they come.
import { exact, follow } from './broker.js';
import { every, field, h, message, say, setText } from './dom.js';
import { clock, count, json } from './format.js';

const kept = 300; // lines on the page
const held = 1000; // events that wait during a pause
const often = 200; // milliseconds between updates of the page
const spoken = 5000; // milliseconds between announcements to screen readers

export function show(main, { query, signal }) {
  const pattern = h('input', { type: 'search', required: true, value: query.get('pattern') ?? '>', autocomplete: 'off', spellcheck: 'false' });
  const start = h('button', { class: 'primary' }, 'Follow');
  const pause = h('button', { type: 'button', 'aria-pressed': 'false', disabled: true }, 'Pause');
  const clear = h('button', { type: 'button' }, 'Clear');
  const wrong = message();
  const state = h('p', { class: 'state' }, 'not following');
  const up = h('span', { class: 'dot' });
  // Events are not read out one by one; now and then a summary is.
  const lines = h('ol', { class: 'log', tabindex: '0', 'aria-label': 'Events, the newest first' });
  const log = h('div', { class: 'frame', role: 'log', 'aria-live': 'off', 'aria-label': 'Events, the newest first' }, lines);
  let waiting = [], paused = false, seen = 0, left = 0, told = 0, connected = 'not following', following = null;

  const tell = () => {
    const parts = [connected, count(seen) + ' events'];
    if (paused) parts.push(`paused, ${count(waiting.length)} wait`);
    if (left) parts.push(`${count(left)} came too fast to be shown`);
    state.replaceChildren(up, parts.join(' · '));
  };
  const render = () => {
    if (!paused && waiting.length) {
      const fresh = waiting.slice(-kept);
      left += waiting.length - fresh.length;
      waiting = [];
      lines.prepend(...fresh.map(line).reverse());
      while (lines.childElementCount > kept) lines.lastChild.remove();
    }
    tell();
  };
  const take = (item) => {
    waiting.push(item);
    if (waiting.length > held) {
      waiting.shift();
      left++;
    }
  };
  const begin = () => {
    following?.abort();
    following = new AbortController();
    wrong.show('');
    up.classList.remove('up');
    follow([pattern.value.trim()], {
      event: (e) => { seen++; take(e); },
      gap: (g) => take({ gap: g.reason, from: g.from, to: g.to }),
      state: (text, isUp) => { connected = text; up.classList.toggle('up', isUp); tell(); },
      end: (text) => { connected = 'not following'; pause.disabled = true; up.classList.remove('up'); wrong.show(text); tell(); },
    }, AbortSignal.any([signal, following.signal]), exact);
    pause.disabled = false;
  };
  pause.onclick = () => {
    paused = !paused;
    pause.setAttribute('aria-pressed', String(paused));
    setText(pause, paused ? 'Go on' : 'Pause');
    render();
  };
  clear.onclick = () => { lines.replaceChildren(); waiting = []; seen = left = told = 0; tell(); };
  main.append(h('form', { class: 'filters', onsubmit: (event) => { event.preventDefault(); begin(); } },
    field('Topic or pattern', pattern), start, pause, clear), wrong.element, state, log);
  every(often, signal, render);
  every(spoken, signal, () => {
    if (seen > told) say(`${count(seen - told)} new events.`);
    told = seen;
  });
  if (query.get('pattern')) begin();
}

function line(item) {
  if (item.gap) return h('li', { class: 'gap' }, `Events between ${item.from} and ${item.to} are lost: ${item.gap}.`);
  return h('li', {}, h('time', { datetime: item.time }, clock(item.time)), h('a', { href: '#/topics/' + encodeURIComponent(item.topic) }, item.topic),
    item.user_id === undefined ? null : h('span', { class: 'quiet' }, 'for ' + item.user_id), h('span', { class: 'data' }, json(item.data)));
}
