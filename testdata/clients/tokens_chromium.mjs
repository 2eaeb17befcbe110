// Chromium plays a client with a token: its WebSocket by play_tokens.js, its EventSource by the query. It is told its
// tokens by a line.
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const [executablePath, kind, url] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});
const page = await browser.newPage();
await page.exposeFunction('say', (line) => { console.log(JSON.stringify(line)); });
await page.addScriptTag({ path: fileURLToPath(new URL('play_tokens.js', import.meta.url)) });
console.log(JSON.stringify({ away: true }));
const { value } = await readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]().next();
const [token, next] = value.split(' ');
await page.evaluate(([kind, url, token, next]) => (kind === 'websocket'
  ? playTokens(WebSocket, url, token, next, say)
  : new Promise((over) => {
    const source = new EventSource(url + '&access_token=' + token);
    source.addEventListener('welcome', () => say({ open: true }));
    source.onmessage = async ({ data }) => {
      source.close();
      await say({ message: data });
      over();
    };
  })), [kind, url, token, next]);
await browser.close();
process.exit(0);
