// Pages in Chromium or Firefox do what lines of JSON tell, and a line says what came of each: see pages_test.go.
// The pages of one context are tabs of one browser; a page's name begins with its context's.
import readline from 'node:readline';
import { chromium } from 'playwright-core';
import * as firefox from './bidi.mjs';

const [kind, executablePath] = process.argv.slice(2);
const browser = kind === 'firefox' ? await firefox.launch(executablePath) : await chromium.launch({
  timeout: 150_000, // on a busy machine
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--no-proxy-server'],
});
const contexts = new Map();
const pages = new Map();
const say = (line) => console.log(JSON.stringify(line));

// Pages that are tabs of one window are hidden unless they are in front, and only hidden ones can be frozen. Playwright has
// no such pages, so these are spoken to without it. Firefox freezes none.
const root = await browser.newBrowserCDPSession?.();
const answers = new Map();
let asked = 0;
root?.on('Target.receivedMessageFromTarget', ({ message }) => {
  const answer = JSON.parse(message);
  answers.get(answer.id)?.(answer);
  answers.delete(answer.id);
});

async function newTab(url) {
  const { targetId } = await root.send('Target.createTarget', { url });
  const { sessionId } = await root.send('Target.attachToTarget', { targetId, flatten: false });
  const send = (method, params) => new Promise((over) => {
    answers.set(++asked, over);
    root.send('Target.sendMessageToTarget', { sessionId, message: JSON.stringify({ id: asked, method, params }) });
  });
  for (let at; at !== url + ' complete';) { // it begins with another document
    ({ result: { result: { value: at } = {} } = {} } = await send('Runtime.evaluate', { expression: "location.href + ' ' + document.readyState" }));
  }
  return {
    send,
    close: () => root.send('Target.closeTarget', { targetId }),
    async evaluate(expression) {
      const { result, error } = await send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
      if (error || result.exceptionDetails) throw new Error(JSON.stringify(error || result.exceptionDetails));
      return result.result.value;
    },
  };
}

const acts = {
  async tab(name, { url }) {
    pages.set(name, await newTab(url));
  },
  async open(name, { url, width = 1000, height = 760, dark }) {
    const [of] = name.split(' ');
    if (!contexts.has(of)) contexts.set(of, await browser.newContext({ timezoneId: 'UTC' }));
    const page = await contexts.get(of).newPage();
    page.on('pageerror', (error) => console.error(name, error));
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme: dark ? 'dark' : 'light' });
    pages.set(name, page);
    await page.goto(url);
  },
  run: (name, { code }) => pages.get(name).evaluate(code),
  async close(name) { // as when somebody closes the tab
    await pages.get(name).close();
    pages.delete(name);
  },
  async leave(context) { // all its pages
    for (const [name, page] of pages) if (name.startsWith(context + ' ') && page.send) await page.close();
    await contexts.get(context)?.close();
    contexts.delete(context);
  },
  async freeze(name, { state }) {
    const page = pages.get(name);
    if (state === 'frozen') await page.evaluate("new Promise((over) => { const look = () => document.hidden ? over() : setTimeout(look, 10); look(); })");
    await page.send('Page.setWebLifecycleState', { state });
  },
  async picture(name, { path }) {
    await pages.get(name).screenshot({ path });
  },
};

async function obey({ told, act, page, ...what }) {
  try {
    say({ told, message: JSON.stringify(await acts[act](page, what)) ?? 'null' });
  } catch (error) {
    say({ told, error: String(error) });
  }
}

// What opens and closes pages is done one after another: Firefox may lose a page that it opens while it closes others.
let before = Promise.resolve();
for (const act of ['tab', 'open', 'close', 'leave']) {
  const does = acts[act];
  acts[act] = (...args) => (before = before.then(() => does(...args), () => does(...args)));
}

for await (const line of readline.createInterface({ input: process.stdin })) obey(JSON.parse(line));
await browser.close();
