// Firefox by WebDriver BiDi, its own protocol: as much of it as pages.mjs needs, in the words of Playwright. (Playwright itself
// wants a Firefox of its own, or commands that this one does not have.)
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import WebSocket from 'ws';

// Frames of another site have no storage and no locks, a connection that was cut may come back at once, hidden pages have their
// timers as others do, and nothing is asked of anybody else. What else a driven browser should leave alone Firefox knows by itself.
const prefs = {
  'network.cookie.cookieBehavior': 1,
  'network.websocket.delay-failed-reconnects': false,
  'dom.min_background_timeout_value': 4,
  'dom.timeout.enable_budget_timer_throttling': false,
  'network.proxy.type': 0,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'browser.aboutwelcome.enabled': false,
  'browser.startup.page': 0,
};

export async function launch(executablePath) {
  const home = await mkdtemp(path.join(tmpdir(), 'firefox-'));
  const lines = Object.entries(prefs).map(([name, value]) => `user_pref("${name}", ${value});`);
  await writeFile(path.join(home, 'user.js'), lines.join('\n'));
  // The shell ends Firefox when we end, however we do.
  const child = spawn('sh', ['-c', '"$@" & read -r line; kill $! 2>/dev/null; wait', 'sh', executablePath,
    '--headless', '--no-remote', '--profile', home, '--remote-debugging-port', '0'],
  { env: { ...process.env, HOME: home }, stdio: ['pipe', 'ignore', 'pipe'] });
  const gone = new Promise((over) => { child.on('close', over); });
  let address, told = '';
  for await (const line of readline.createInterface({ input: child.stderr })) {
    address = /^WebDriver BiDi listening on (ws:\S+)/.exec(line)?.[1];
    if (address) break;
    told += line + '\n';
  }
  if (!address) throw new Error('Firefox has not begun: ' + told);
  child.stderr.resume();
  const { send, on } = await connect(address + '/session');
  await send('session.new', { capabilities: {} });
  await send('session.subscribe', { events: ['log.entryAdded'] });
  return {
    async newContext() {
      const { userContext } = await send('browser.createUserContext', {});
      return {
        newPage: () => newPage(send, on, userContext),
        close: () => send('browser.removeUserContext', { userContext }),
      };
    },
    async close() {
      child.stdin.end();
      await gone;
      await rm(home, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** The connection: commands with answers, and events. */
async function connect(url) {
  const ws = new WebSocket(url, { perMessageDeflate: false, maxPayload: 1 << 28 });
  const waiting = new Map(), listeners = [];
  let asked = 0;
  ws.on('message', (data) => {
    const m = JSON.parse(data);
    if (m.type === 'event') {
      for (const f of listeners) f(m);
      return;
    }
    const { over, fail } = waiting.get(m.id) ?? {};
    waiting.delete(m.id);
    if (!over) throw new Error('nobody has asked for ' + data);
    if (m.type === 'success') over(m.result);
    else fail(new Error(`${m.error}: ${m.message}`));
  });
  ws.on('close', () => { for (const { fail } of waiting.values()) fail(new Error('the browser has gone')); });
  await new Promise((over, fail) => { ws.on('open', over).on('error', fail); });
  const send = (method, params) => new Promise((over, fail) => {
    waiting.set(++asked, { over, fail });
    ws.send(JSON.stringify({ id: asked, method, params }));
  });
  return { send, on: (f) => listeners.push(f) };
}

async function newPage(send, on, userContext) {
  const { context } = await send('browsingContext.create', { type: 'tab', userContext });
  return {
    on(what, f) { // errors of the page, which are all that is listened for
      on(({ params }) => { if (params.source?.context === context && params.type === 'javascript') f(params.text); });
    },
    goto: (url) => send('browsingContext.navigate', { context, url, wait: 'complete' }),
    async evaluate(expression) {
      const answer = await send('script.evaluate', { expression, target: { context }, awaitPromise: true });
      if (answer.type === 'exception') throw new Error(answer.exceptionDetails.text);
      return plain(answer.result);
    },
    setViewportSize: (viewport) => send('browsingContext.setViewport', { context, viewport }),
    async emulateMedia({ colorScheme }) {
      if (colorScheme !== 'light') throw new Error('it is always light here');
    },
    async screenshot({ path: file }) {
      const { data } = await send('browsingContext.captureScreenshot', { context });
      await writeFile(file, Buffer.from(data, 'base64'));
    },
    close: () => send('browsingContext.close', { context }),
  };
}

/** A value as it was in the page, of those that JSON has. */
function plain({ type, value }) {
  if (type === 'null') return null;
  if (type === 'array') return value.map(plain);
  if (type === 'object') return Object.fromEntries(value.map(([name, v]) => [name, plain(v)]));
  return ['string', 'number', 'boolean'].includes(type) ? value : undefined;
}
