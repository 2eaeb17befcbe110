// Explain: why a client received an event or did not, check by check.
import { get, query } from './broker.js';
import { choice, facts, field, h, message, say } from './dom.js';
import { moment } from './format.js';

const marks = new Map([[true, ['✓', 'yes', 'good']], [false, ['✗', 'no', 'bad']], [null, ['–', 'not looked at', 'quiet']]]);

export function show(main, { query: given, signal }) {
  const client = h('input', { required: true, value: given.get('client') ?? '', autocomplete: 'off', spellcheck: 'false' });
  const about = given.has('event') ? 'event' : 'topic';
  const what = h('input', { required: true, value: given.get(about) ?? '', autocomplete: 'off', spellcheck: 'false' });
  const kind = h('fieldset', {}, h('legend', {}, 'Why it gets'),
    choice('about', 'topic', 'events of a topic', about === 'topic'), choice('about', 'event', 'one event, by its id', about === 'event'));
  const wrong = message();
  const found = h('section', { hidden: true, 'aria-label': 'Explanation' });
  const explain = async () => {
    wrong.show('');
    const asked = kind.querySelector('input:checked').value;
    try {
      const x = await get(`clients/${encodeURIComponent(client.value.trim())}/explain` + query({ [asked]: what.value.trim() }), { signal });
      found.hidden = false;
      found.replaceChildren(...explained(x));
      say(`${x.verdict}: ${x.detail}`);
    } catch (problem) {
      found.hidden = true;
      if (!signal.aborted) wrong.show(problem.message);
    }
  };
  main.append(h('form', { class: 'panel narrow', onsubmit: (event) => { event.preventDefault(); explain(); } },
    field('Client, by its handle', client), kind, field('Topic or event id', what), wrong.element,
    h('div', { class: 'actions' }, h('button', { class: 'primary' }, 'Explain'))), found);
  if (client.value && what.value) explain();
}

function explained(x) {
  const good = ['written', 'would_get', 'queued'].includes(x.verdict);
  return [
    h('div', { class: 'verdict ' + (good ? 'good' : 'bad') }, h('h2', {}, x.verdict.replaceAll('_', ' ')), h('p', {}, x.detail)),
    h('ol', { class: 'checks' }, x.checks.map(({ check, passed, detail }) => {
      const [mark, word, tone] = marks.get(passed);
      return h('li', { class: tone }, h('span', { class: 'mark', 'aria-hidden': 'true' }, mark), h('strong', {}, check), h('span', {}, word),
        detail ? h('span', { class: 'quiet' }, detail) : null);
    })),
    x.event ? h('div', { class: 'panel' }, h('h3', {}, 'The event'), facts([['Id', x.event.id], ['Topic', x.event.topic], ['For', x.event.user_id],
      ['Published', moment(x.event.time)], ['Runs out', moment(x.event.expires_at)], ['Position', x.event.cursor]])) : null,
    x.client ? h('div', { class: 'panel' }, h('h3', {}, 'The client'), facts([
      ['Handle', h('a', { href: '#/clients/' + encodeURIComponent(x.client.handle) }, x.client.handle)], ['User', x.client.user_id], ['State', x.client.state],
      ['Subscriptions', x.client.topics.join(', ')], ['Position', x.client.cursor], ['Last close', x.client.last_close_reason]])) : null,
  ].filter(Boolean);
}
