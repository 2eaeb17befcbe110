// Pages in Chromium do what lines of JSON tell, one after another, and a line says what came of each: see pages_test.go.
// The pages of one context are tabs of one browser; a page's name begins with its context's.
import readline from 'node:readline';
import { chromium } from 'playwright-core';

const browser = await chromium.launch({
  executablePath: process.argv[2],
  args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--no-proxy-server'],
});
const contexts = new Map();
const pages = new Map();
const say = (line) => console.log(JSON.stringify(line));

const acts = {
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
  },
  async leave(context) { // all its pages
    await contexts.get(context)?.close();
    contexts.delete(context);
  },
  async freeze(name, { state }) {
    const session = await pages.get(name).context().newCDPSession(pages.get(name));
    await session.send('Page.setWebLifecycleState', { state });
  },
  async picture(name, { path }) {
    await pages.get(name).screenshot({ path });
  },
};

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { act, page, ...what } = JSON.parse(line);
  try {
    say({ message: JSON.stringify(await acts[act](page, what)) ?? 'null' });
  } catch (error) {
    say({ error: String(error) });
  }
}
await browser.close();
