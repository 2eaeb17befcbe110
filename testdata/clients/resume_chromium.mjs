// Chromium's own EventSource or WebSocket plays a client that comes back: see play_eventsource.js and play_v1.js.
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const [kind, executablePath, ...urls] = process.argv.slice(2);
const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', ...(process.env.CHROMIUM_FLAGS ?? '').split(' ').filter(Boolean)],
});
const page = await browser.newPage();
await page.exposeFunction('say', (line) => { console.log(JSON.stringify(line)); });
await page.exposeFunction('told', async () => { await lines.next(); });
const part = kind === 'eventsource' ? 'play_eventsource.js' : 'play_v1.js';
await page.addScriptTag({ path: fileURLToPath(new URL(part, import.meta.url)) });
await page.evaluate(([kind, urls]) => (kind === 'eventsource'
  ? playEventSource(EventSource, urls, say, told)
  : playV1(WebSocket, urls, say, told)), [kind, urls]);
await browser.close();
process.exit(0);
