// Publish: one event, and its receipt.
import { call } from './broker.js';
import { choice, facts, field, h, message, say } from './dom.js';
import { count } from './format.js';

export function show(main, { query }) {
  const topic = h('input', { required: true, value: query.get('topic') ?? '', autocomplete: 'off', spellcheck: 'false' });
  const user = h('input', { autocomplete: 'off', spellcheck: 'false' });
  const text = h('textarea', { rows: '6', spellcheck: 'false' });
  const kind = h('fieldset', {}, h('legend', {}, 'The message is'), choice('kind', 'text', 'text', true), choice('kind', 'json', 'JSON', false));
  const wrong = message();
  const receipt = h('section', { class: 'panel', hidden: true, 'aria-label': 'Receipt' });
  const send = async () => {
    wrong.show('');
    let message = JSON.stringify(text.value);
    if (kind.querySelector('input:checked').value === 'json') {
      try {
        JSON.parse(text.value);
      } catch (error) {
        wrong.show('The message is not JSON: ' + error.message);
        return;
      }
      message = text.value; // unchanged: numbers keep their digits
    }
    const to = user.value === '' ? '' : `"user_id":${JSON.stringify(user.value)},`;
    try {
      const r = await call('POST', 'publish', { body: `{"topic":${JSON.stringify(topic.value)},${to}"message":${message}}` });
      receipt.hidden = false;
      receipt.replaceChildren(h('h2', {}, 'Receipt'), facts([
        ['Topic', h('a', { href: '#/topics/' + encodeURIComponent(r.topic) }, r.topic)], ['Id', h('code', {}, r.id)], ['Cursor', h('code', {}, r.cursor)],
        ['Matched', `${count(r.matched)} clients are subscribed`], ['Queued', `${count(r.queued)} of them are connected and will get it`],
        ['Duplicate', r.duplicate ? 'yes: it was published before' : 'no'], ['Scope', r.scope]]));
      say(`Published. ${r.matched} clients matched, ${r.queued} queued.`);
    } catch (problem) {
      receipt.hidden = true;
      wrong.show(problem.message);
    }
  };
  main.append(h('form', { class: 'panel narrow', onsubmit: (event) => { event.preventDefault(); send(); } },
    field('Topic', topic), field('User (optional: this user’s clients alone get it)', user), kind, field('Message', text),
    wrong.element, h('div', { class: 'actions' }, h('button', { class: 'primary' }, 'Publish'))), receipt);
}
