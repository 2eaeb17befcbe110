// Clients: the list, and one client in detail.
import { call, get, query } from './broker.js';
import { ask, every, facts, field, h, message, say, Table } from './dom.js';
import { ago, bytes, count, moment } from './format.js';
import { Pager } from './pager.js';

const path = (handle) => '#/clients/' + encodeURIComponent(handle);

export function show(main, place) {
  if (place.argument) showOne(main, place);
  else showAll(main, place);
}

const columns = [
  { head: 'Client', class: 'code', value: (c) => ({ text: c.handle, href: path(c.handle) }) },
  { head: 'User', value: (c) => c.user_id ?? '' },
  { head: 'State', value: (c) => c.state },
  { head: 'Topics', value: (c) => brief(c.topics) },
  { head: 'Address', class: 'code', value: (c) => c.address ?? '' },
  { head: 'Lag', class: 'number', value: (c) => count(c.behind) },
  { head: 'Queue', class: 'number', value: (c) => (c.queue_bytes === undefined ? '' : bytes(c.queue_bytes) + (c.blocked ? ', full' : '')) },
  { head: 'Last close', value: (c) => c.last_close_reason ?? '' },
];

const brief = (topics) => topics.slice(0, 3).join(', ') + (topics.length > 3 ? `, and ${topics.length - 3} more` : '');

function showAll(main, { query: given, signal }) {
  const inputs = {};
  for (const name of ['user_id', 'topic', 'address', 'handle']) {
    inputs[name] = h('input', { type: 'search', value: given.get(name) ?? '', autocomplete: 'off', spellcheck: 'false' });
  }
  inputs.state = h('select', {}, [['', 'any'], ['live', 'live'], ['reading', 'reading'], ['away', 'away'], ['new', 'new']]
    .map(([value, text]) => h('option', { value, selected: value === (given.get('state') ?? '') }, text)));
  const search = h('form', { class: 'filters', role: 'search', onsubmit: (event) => { event.preventDefault(); pager.restart(); } },
    field('User', inputs.user_id), field('Subscription', inputs.topic), field('Address begins with', inputs.address),
    field('Handle begins with', inputs.handle), field('State', inputs.state), h('button', { class: 'primary' }, 'Search'));
  const table = new Table('Clients', columns, (c) => c.handle);
  const wrong = message();
  const pager = new Pager(signal, async (after) => {
    try {
      const wanted = Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, input.value.trim()]));
      const answer = await get('clients' + query({ ...wanted, after, limit: 50 }), { signal });
      wrong.show('');
      table.update(answer.clients, answer.next ? 'None so far; there are more to look through.' : 'There is no such client.');
      return answer.next;
    } catch (problem) {
      if (!signal.aborted) wrong.show(problem.message);
      return undefined;
    }
  });
  main.append(search, wrong.element, table.element, pager.element);
}

function showOne(main, { argument: handle, signal, heading }) {
  heading.textContent = 'Client ' + handle;
  const wrong = message();
  const about = h('div', {});
  let user = '';
  const end = async () => {
    const whose = user ? ` of the user ${user}` : '';
    if (!await ask('Disconnect this client?', `Client ${handle}${whose} is closed with 4000 and removed: its URL no longer works.`, 'Disconnect')) return;
    try {
      const { removed } = await call('DELETE', 'clients/' + encodeURIComponent(handle));
      say(removed ? `The client ${handle} is disconnected.` : `The client ${handle} was gone already.`);
      location.hash = '#/clients';
    } catch (problem) {
      wrong.show(problem.message);
    }
  };
  const disconnect = h('button', { type: 'button', class: 'danger', disabled: true, onclick: end }, 'Disconnect…'); // until the user is known
  main.append(wrong.element, about, h('div', { class: 'actions' },
    h('a', { class: 'button', href: '#/clients' }, 'All clients'),
    h('a', { class: 'button', href: '#/explain?client=' + encodeURIComponent(handle) }, 'Explain an event'), disconnect));
  const topics = new Table('Subscriptions', [{ head: 'Subscription', value: (t) => (/(^|\.)[*>](\.|$)/.test(t) ? t : { text: t, href: '#/topics/' + encodeURIComponent(t) }) }], (t) => t);
  main.append(h('section', {}, h('h2', {}, 'Subscriptions'), topics.element));
  every(2000, signal, async () => {
    try {
      const c = await get('clients/' + encodeURIComponent(handle), { signal });
      wrong.show('');
      user = c.user_id ?? '';
      disconnect.disabled = false;
      about.replaceChildren(h('div', { class: 'panel' }, facts([
        ['User', user || 'none'], ['State', c.state], ['Since', `${moment(c.since)} (${ago(c.since)})`], ['Connections so far', count(c.connections)],
        ['Registered', c.registered ? 'yes: it can come back' : 'no: it lasts as long as its connection'], ['Protocol', c.protocol], ['Address', c.address],
        ['Position', c.cursor], ['Lag, in events', count(c.behind)],
        ['Waiting', c.queue_bytes === undefined ? '' : bytes(c.queue_bytes) + (c.blocked ? ', its socket is full' : '')],
        ['Grant ends', moment(c.expires_at)], ['Last close', c.last_close_reason]])));
      topics.update(c.topics, 'It has none.');
    } catch (problem) {
      if (!signal.aborted) wrong.show(problem.message);
    }
  });
}
