// Topics: the list, and one topic in detail.
import { exact, get, query } from './broker.js';
import { every, facts, field, h, message, Table } from './dom.js';
import { ago, clock, count, json, moment, rate } from './format.js';
import { Pager } from './pager.js';

const path = (topic) => '#/topics/' + encodeURIComponent(topic);

export function show(main, place) {
  if (place.argument) showOne(main, place);
  else showAll(main, place);
}

// A Meter turns counters that are polled into rates.
class Meter {
  before = new Map();

  rate(name, total) {
    const now = performance.now(), last = this.before.get(name);
    if (last && now - last.at < 500) return last.rate;
    const found = last && total >= last.total ? (total - last.total) / ((now - last.at) / 1000) : null;
    this.before.set(name, { at: now, total, rate: found });
    return found;
  }
}

function showAll(main, { query: given, signal }) {
  const pattern = h('input', { type: 'search', value: given.get('pattern') ?? '', placeholder: 'orders.>', autocomplete: 'off', spellcheck: 'false' });
  const meter = new Meter();
  const table = new Table('Topics', [
    { head: 'Topic', value: (t) => ({ text: t.topic, href: path(t.topic) }) },
    { head: 'Subscribers', class: 'number', value: (t) => count(t.subscribers) },
    { head: 'Events a second', class: 'number', value: (t) => (t.rate === null ? '–' : rate(t.rate)) },
    { head: 'Published', class: 'number', value: (t) => count(t.published) },
    { head: 'Retained', class: 'number', value: (t) => count(t.retained) },
    { head: 'Last event', value: (t) => ago(t.last_event_at) },
  ], (t) => t.topic);
  const wrong = message();
  const pager = new Pager(signal, async (after) => {
    try {
      const answer = await get('topics' + query({ pattern: pattern.value.trim(), after, limit: 50 }), { signal });
      wrong.show('');
      table.update(answer.topics.map((t) => ({ ...t, rate: meter.rate(t.topic, t.published) })),
        answer.next ? 'None so far; there are more to look through.' : 'There is no such topic.');
      return answer.next;
    } catch (problem) {
      if (!signal.aborted) wrong.show(problem.message);
      return undefined;
    }
  });
  main.append(h('form', { class: 'filters', role: 'search', onsubmit: (event) => { event.preventDefault(); pager.restart(); } },
    field('Pattern', pattern), h('button', { class: 'primary' }, 'Search')), wrong.element, table.element, pager.element);
}

function showOne(main, { argument: topic, signal, heading }) {
  heading.textContent = topic;
  const at = 'topics/' + encodeURIComponent(topic);
  const wrong = message(), lost = message();
  const about = h('div', {});
  const meter = new Meter();
  const present = new Table('Users who get the topic', [
    { head: 'User', value: (p) => (p.user_id ? { text: p.user_id, href: '#/clients?user_id=' + encodeURIComponent(p.user_id) } : 'without a user') },
    { head: 'Connected clients', class: 'number', value: (p) => count(p.clients) },
  ], (p) => p.user_id);
  const history = new Table('Retained events, the newest first', [
    { head: 'Time', class: 'code', value: (e) => clock(e.time) },
    { head: 'Message', class: 'code wide', value: (e) => json(e.data) },
    { head: 'Id', class: 'code', value: (e) => e.id },
  ], (e) => e.cursor);
  main.append(wrong.element, about, h('div', { class: 'actions' },
    h('a', { class: 'button', href: '#/topics' }, 'All topics'),
    h('a', { class: 'button', href: '#/tail?pattern=' + encodeURIComponent(topic) }, 'Follow'),
    h('a', { class: 'button', href: '#/publish?topic=' + encodeURIComponent(topic) }, 'Publish'),
    h('a', { class: 'button', href: '#/clients?topic=' + encodeURIComponent(topic) }, 'Its clients')),
  h('section', {}, h('h2', {}, 'Present'), present.element),
  h('section', {}, h('h2', {}, 'The newest events for everybody'), lost.element, history.element));
  every(2000, signal, async () => {
    try {
      const [t, { users }] = await Promise.all([get(at, { signal }), get(at + '/presence', { signal })]);
      wrong.show('');
      const speed = meter.rate(topic, t.published);
      about.replaceChildren(h('div', { class: 'panel' }, facts([
        ['Subscribers', count(t.subscribers)], ['Patterns that match', (t.patterns ?? []).join(', ')], ['Events a second', speed === null ? '–' : rate(speed)],
        ['Published', count(t.published)], ['Retained', count(t.retained)], ['Users with events of their own', count(t.users)],
        ['Last event', t.last_event_at && `${moment(t.last_event_at)} (${ago(t.last_event_at)})`]])));
      const most = 200;
      present.update(users.slice(0, most), 'Nobody is connected.');
    } catch (problem) {
      if (!signal.aborted) wrong.show(problem.message);
    }
    try {
      const { events } = await get(at + '/events?last=20', { signal, parse: exact });
      lost.show('');
      history.update(events.reverse(), 'Nothing is retained.');
    } catch (problem) {
      if (!signal.aborted) lost.show(problem.message);
    }
  });
}
