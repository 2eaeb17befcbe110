// Overview: the broker's figures, from the topic $stats or, with a key that may not
// subscribe, from GET /stats.
import { follow, get } from './broker.js';
import { Sparkline } from './chart.js';
import { every, facts, h, message, setText } from './dom.js';
import { bytes, count, duration, milliseconds, rate } from './format.js';

// windowed is how many figures back rates and latencies reach: those of single seconds
// jump.
const windowed = 5;

// A card is a figure with its sparkline.
class Card {
  constructor(title, show, note = () => '') {
    Object.assign(this, { show, note, chart: new Sparkline(), value: h('dd', { class: 'value' }, '–'), small: h('dd', { class: 'quiet' }) });
    this.element = h('div', { class: 'card' }, h('dl', {}, h('dt', {}, title), this.value, this.small), this.chart.element);
  }

  add(figure, sample) {
    setText(this.value, this.show(figure));
    setText(this.small, this.note(sample));
    this.chart.add(figure);
  }
}

export function show(main, { signal }) {
  const state = h('p', { class: 'state' }, 'connecting');
  const wrong = message();
  const cards = {
    published: new Card('Publishes a second', rate, (s) => count(s.now.published) + ' in all'),
    delivered: new Card('Deliveries a second', rate, (s) => bytes(s.bytes) + ' a second'),
    connections: new Card('Connections', count, (s) => `${count(s.now.clients)} clients, ${count(s.now.users)} users`),
    latency: new Card('Publish latency, p99', (n) => (n === null ? '–' : milliseconds(n)), (s) => 'p50 ' + (s.p50 === null ? '–' : milliseconds(s.p50))),
    queued: new Card('Waiting for clients', bytes, (s) => `${count(s.now.connections.blocked)} sockets full`),
    backlog: new Card('Waiting for couriers', count, (s) => `${count(s.now.hub_queue)} commands wait for the hub` + (s.now.behind ? '; publishes wait' : '')),
  };
  const more = h('div', { class: 'columns' });
  main.append(state, wrong.element, h('div', { class: 'cards' }, Object.values(cards).map((c) => c.element)), more);

  const before = [];
  const take = (now) => {
    if (before.length && now.uptime_s < before.at(-1).uptime_s) before.length = 0; // the broker was restarted
    before.push(now);
    if (before.length > windowed + 1) before.shift();
    if (before.length < 2) return;
    const sample = compare(before[0], now);
    cards.published.add(sample.published, sample);
    cards.delivered.add(sample.delivered, sample);
    cards.connections.add(now.connections.open, sample);
    cards.latency.add(sample.p99, sample);
    cards.queued.add(now.connections.queue_bytes, sample);
    cards.backlog.add(now.courier_backlog, sample);
    more.replaceChildren(...details(now));
  };

  const up = h('span', { class: 'dot' });
  const tell = (text, connected) => {
    up.classList.toggle('up', connected);
    state.replaceChildren(up, text);
  };
  follow(['$stats'], {
    event: (e) => take(e.data),
    state: (text, connected) => tell(connected ? 'live, once a second' : text, connected),
    end: (text) => {
      tell('asking every 2 seconds: ' + text, true);
      every(2000, signal, () => get('stats', { signal }).then((now) => { wrong.show(''); take(now); },
        (problem) => { if (!signal.aborted) wrong.show(problem.message); }));
    },
  }, signal);
}

// compare turns counters into rates.
function compare(from, now) {
  const seconds = (Date.parse(now.time) - Date.parse(from.time)) / 1000 || 1;
  const buckets = now.publish_ms.buckets?.map((n, i) => n - from.publish_ms.buckets[i]) ?? [];
  const total = now.publish_ms.count - from.publish_ms.count;
  return {
    now, published: (now.published - from.published) / seconds, delivered: (now.connections.delivered - from.connections.delivered) / seconds,
    bytes: (now.connections.bytes - from.connections.bytes) / seconds,
    p50: quantile(buckets, now.publish_ms.bounds, total, 0.5), p99: quantile(buckets, now.publish_ms.bounds, total, 0.99),
  };
}

// quantile interpolates within a bucket, as Prometheus does; null: nothing was published.
function quantile(buckets, bounds, total, q) {
  if (!total) return null;
  let left = q * total;
  for (let i = 0; i < buckets.length; i++) {
    if (left <= buckets[i]) {
      const low = i ? bounds[i - 1] : 0;
      return low + (bounds[i] - low) * (left / buckets[i]);
    }
    left -= buckets[i];
  }
  return bounds.at(-1);
}

function details(now) {
  const ended = Object.entries(now.disconnects).sort(([, a], [, b]) => b - a);
  return [
    h('section', { class: 'panel' }, h('h2', {}, 'Broker'), facts([
      ['Version', now.version], ['Up for', duration(now.uptime_s)], ['State', now.draining ? 'shutting down' : now.behind ? 'publishes wait' : 'accepting events'],
      ['Topics', count(now.topics)], ['Patterns', count(now.patterns)], ['Reading from the log', count(now.reading)], ['Long polls', count(now.polls)]])),
    h('section', { class: 'panel' }, h('h2', {}, 'Retained'), facts([
      ['Events', count(now.log_events)], ['Size', bytes(now.log_bytes)], ['Dropped by retention', count(now.evicted)], ['Gaps told', count(now.gaps)],
      ['Replayed', count(now.replayed)], ['Dropped for slow clients', count(now.dropped)], ['Repeated publishes', count(now.repeated)]])),
    h('section', { class: 'panel' }, h('h2', {}, 'Why connections ended'),
      ended.length ? facts(ended.map(([reason, n]) => [reason, count(n)])) : h('p', { class: 'quiet' }, 'None has ended.')),
  ];
}
