// The building blocks of the views. Text stays text: nothing here or in the views parses
// markup.

const svgNames = new Set(['svg', 'polyline', 'polygon', 'line']);

// h makes an element. Properties are attributes; those that begin with "on" are listeners.
// Children are nodes or text. Null and undefined are left out.
export function h(name, properties = {}, ...children) {
  const element = svgNames.has(name) ? document.createElementNS('http://www.w3.org/2000/svg', name) : document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, '');
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

// setText changes a text only if it differs, so that screen readers do not repeat it.
export function setText(element, text) {
  if (element.textContent !== String(text)) element.textContent = text;
}

// say announces a text to screen readers.
export function say(text) {
  setText(document.getElementById('status'), text);
}

let fields = 0;

// field is an input with its label.
export function field(label, input) {
  input.id ||= 'field' + ++fields;
  return h('div', { class: 'field' }, h('label', { for: input.id }, label), input);
}

// choice is one of several options, with its label.
export function choice(name, value, label, checked) {
  const input = h('input', { type: 'radio', name, value, checked, id: 'field' + ++fields });
  return h('span', { class: 'choice' }, input, h('label', { for: input.id }, label));
}

// message is a place for an error or a success.
export function message() {
  const element = h('p', { class: 'message', role: 'alert', hidden: true });
  return {
    element,
    show(text, kind = 'bad') {
      element.className = 'message ' + kind;
      setText(element, text);
      element.hidden = !text;
    },
  };
}

// facts is a list of names and values.
export function facts(pairs) {
  return h('dl', { class: 'facts' }, pairs.filter(([, value]) => value !== null && value !== undefined && value !== '')
    .map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))));
}

// A Table shows rows. Rows that stay keep their elements, and so the focus. A column has a
// head, a value(row) that is text, { text, href } or { text, press }, and perhaps a class.
export class Table {
  constructor(caption, columns, key) {
    this.columns = columns;
    this.key = key;
    this.rows = new Map();
    this.body = h('tbody', { role: 'rowgroup' });
    this.empty = h('p', { class: 'quiet', hidden: true });
    // The roles repeat what the elements mean: a narrow page lays them out as
    // blocks.
    this.element = h('div', { class: 'tables' }, h('table', { role: 'table' },
      h('caption', { class: 'hidden' }, caption),
      h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, columns.map((c) => h('th', { scope: 'col', role: 'columnheader', class: c.class }, c.head)))),
      this.body), this.empty);
  }

  update(rows, nothing = 'Nothing to show.') {
    const seen = new Set();
    let at = this.body.firstChild;
    for (const row of rows) {
      const key = this.key(row);
      seen.add(key);
      let line = this.rows.get(key);
      if (!line) {
        line = h('tr', { role: 'row' }, this.columns.map((c) => h('td', { role: 'cell', class: c.class, 'data-head': c.head })));
        this.rows.set(key, line);
      }
      this.columns.forEach((column, i) => fill(line.children[i], column.value(row)));
      if (line === at) at = at.nextSibling;
      else this.body.insertBefore(line, at);
    }
    for (const [key, line] of this.rows) {
      if (!seen.has(key)) {
        line.remove();
        this.rows.delete(key);
      }
    }
    this.element.firstChild.hidden = rows.length === 0;
    this.empty.hidden = rows.length > 0;
    setText(this.empty, nothing);
  }
}

function fill(cell, value) {
  if (value === null || value === undefined || typeof value !== 'object') {
    setText(cell, value ?? '');
    return;
  }
  const name = value.href ? 'A' : 'BUTTON';
  let child = cell.firstElementChild;
  if (child?.tagName !== name) {
    child = value.href ? h('a') : h('button', { type: 'button' });
    cell.replaceChildren(child);
  }
  if (value.href) child.setAttribute('href', value.href);
  else child.onclick = value.press;
  if (value.label) child.setAttribute('aria-label', value.label);
  setText(child, value.text);
}

// every calls work after each pause, while the page is visible, until the signal.
export async function every(milliseconds, signal, work) {
  while (!signal.aborted) {
    if (!document.hidden) await work();
    await new Promise((over) => {
      const timer = setTimeout(over, milliseconds);
      signal.addEventListener('abort', () => { clearTimeout(timer); over(); }, { once: true });
    });
  }
}

// ask shows a question over the page. It resolves to true for yes.
export function ask(title, text, yes) {
  return new Promise((answer) => {
    const dialog = h('dialog', { 'aria-labelledby': 'question' },
      h('h2', { id: 'question' }, title), h('p', {}, text),
      h('div', { class: 'actions' },
        h('button', { type: 'button', autofocus: true, onclick: () => dialog.close() }, 'Cancel'),
        h('button', { type: 'button', class: 'danger', onclick: () => dialog.close('yes') }, yes)));
    dialog.addEventListener('close', () => { dialog.remove(); answer(dialog.returnValue === 'yes'); });
    document.body.append(dialog);
    dialog.showModal();
  });
}
