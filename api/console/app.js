// The console: the current view and the API key.
import { call, key, stored } from './broker.js';
import { field, h, message, say } from './dom.js';
import * as overview from './overview.js';
import * as clients from './clients.js';
import * as topics from './topics.js';
import * as tail from './tail.js';
import * as publish from './publish.js';
import * as explain from './explain.js';
import * as settings from './settings.js';

const views = [
  ['overview', 'Overview', overview], ['clients', 'Clients', clients], ['topics', 'Topics', topics], ['tail', 'Live tail', tail],
  ['publish', 'Publish', publish], ['explain', 'Explain', explain], ['config', 'Configuration', settings],
];

const main = document.getElementById('main');
const nav = document.getElementById('nav');
const forget = document.getElementById('forget');
let leaving = new AbortController();

// place parses the address: #/clients/0123?event=x is the view clients with its argument.
function place() {
  const [path, query] = location.hash.slice(1).split('?');
  const [, name, argument] = path.split('/');
  return { view: views.find(([key]) => key === name) ?? views[0], argument: decodeSafely(argument ?? ''), query: new URLSearchParams(query) };
}

function decodeSafely(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function show() {
  if (location.hash === '#main') return;
  const { view: [name, title, module], argument, query } = place();
  leaving.abort();
  leaving = new AbortController();
  for (const link of nav.querySelectorAll('a')) {
    if (link.dataset.name === name) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.title = title + ' · belfry';
  forget.hidden = !key.get();
  const heading = h('h1', { tabindex: '-1' }, title);
  const content = h('div', { class: 'view', id: name });
  main.replaceChildren(heading, content);
  module.show(content, { argument, query, signal: leaving.signal, heading });
  heading.focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

// enter asks for a key, and shows the views once the broker accepts it.
function enter(why) {
  leaving.abort();
  nav.parentElement.hidden = true;
  forget.hidden = true;
  const wrong = message();
  const input = h('input', { type: 'password', autocomplete: 'off', spellcheck: 'false', required: true });
  const form = h('form', { class: 'panel narrow', onsubmit: (event) => { event.preventDefault(); attempt(input.value.trim()); } },
    h('p', {}, 'This broker has keys. Enter one with the right admin; to follow, publish and read events it needs subscribe and publish, too.'),
    field('API key', input), h('p', { class: 'quiet' }, 'The key stays in this tab and is gone with it.'), wrong.element,
    h('div', { class: 'actions' }, h('button', { class: 'primary' }, 'Enter')));
  const attempt = async (text) => {
    if (!/^[!-~]+$/.test(text)) {
      wrong.show('A key has no spaces and no characters beyond ASCII.');
      return;
    }
    key.set(text);
    await start((detail) => { key.forget(); wrong.show(detail); input.focus(); });
  };
  main.replaceChildren(h('h1', {}, 'Enter'), form);
  wrong.show(why);
  input.focus();
}

// start checks whether the broker admits us.
async function start(refused) {
  try {
    await call('GET', 'stats');
  } catch (problem) {
    if (problem.status === 401 || problem.status === 403) {
      refused(problem.status === 401 && key.get() ? 'The broker does not know this key. ' + problem.message
        : problem.code === 'forbidden' ? 'This key does not have the right admin. ' + problem.message
          : key.get() || problem.status === 403 ? problem.message : '');
      return;
    }
    main.replaceChildren(h('h1', {}, 'No answer'), h('p', { class: 'message bad', role: 'alert' }, problem.message),
      h('div', { class: 'actions' }, h('button', { type: 'button', class: 'primary', onclick: () => start(refused) }, 'Try again')));
    return;
  }
  nav.parentElement.hidden = false;
  show();
}

function theme() {
  const select = document.getElementById('theme');
  const chosen = stored('localStorage', 'belfry.theme');
  const put = (name) => {
    if (name) document.documentElement.dataset.theme = name;
    else delete document.documentElement.dataset.theme;
  };
  select.value = chosen.get();
  put(select.value);
  select.addEventListener('change', () => {
    chosen.set(select.value);
    put(select.value);
  });
}

theme();
nav.append(...views.map(([name, title]) => h('li', {}, h('a', { href: '#/' + name, 'data-name': name }, title))));
window.addEventListener('hashchange', show);
window.addEventListener('belfry-key', () => {
  if (nav.parentElement.hidden) return; // the key is already asked for
  key.forget();
  enter('The key is no longer accepted.');
});
forget.addEventListener('click', () => { key.forget(); say('The key is forgotten.'); enter(''); });
document.querySelector('.skip').addEventListener('click', (event) => { event.preventDefault(); main.focus(); });
nav.parentElement.hidden = true;
start(enter);
