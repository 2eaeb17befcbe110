// Configuration: the settings in force, without secrets.
import { get } from './broker.js';
import { field, h, message, Table } from './dom.js';

export async function show(main, { signal }) {
  const wrong = message();
  const filter = h('input', { type: 'search', autocomplete: 'off', spellcheck: 'false' });
  const changed = h('input', { type: 'checkbox', id: 'changed' });
  const groups = h('div', {});
  main.append(h('form', { class: 'filters', role: 'search', onsubmit: (event) => event.preventDefault() },
    field('Setting', filter), h('span', { class: 'choice' }, changed, h('label', { for: 'changed' }, 'only those that are not the default’s'))), wrong.element, groups);
  let settings;
  try {
    ({ settings } = await get('config', { signal }));
  } catch (problem) {
    if (!signal.aborted) wrong.show(problem.message);
    return;
  }
  const tables = new Map();
  for (const { group } of settings) {
    if (tables.has(group)) continue;
    const table = new Table(group, [
      { head: 'Setting', class: 'code name', value: (s) => s.name },
      { head: 'Value', class: 'code value', value: (s) => (s.value === '' ? 'none' : s.value) + (s.default ? '' : ' (set)') },
      { head: 'Meaning', value: (s) => (s.help ?? '') + (s.reload ? ' Changes while running.' : '') },
    ], (s) => s.name);
    const section = h('section', {}, h('h2', {}, group), table.element);
    tables.set(group, { table, section });
    groups.append(section);
  }
  const none = h('p', { class: 'quiet' }, 'There is no such setting.');
  groups.append(none);
  const update = () => {
    const wanted = settings.filter((s) => s.name.includes(filter.value.trim()) && !(changed.checked && s.default));
    for (const [group, { table, section }] of tables) {
      const rows = wanted.filter((s) => s.group === group);
      section.hidden = rows.length === 0;
      table.update(rows);
    }
    none.hidden = wanted.length > 0;
  };
  filter.addEventListener('input', update);
  changed.addEventListener('change', update);
  update();
}
