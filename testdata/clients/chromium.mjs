// Chromium's own WebSocket plays a client: see foreign_test.go for what it prints and is told.
import readline from 'node:readline';
import { chromium } from 'playwright-core';

const [url, executablePath] = process.argv.slice(2);
const told = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', ...(process.env.CHROMIUM_FLAGS ?? '').split(' ').filter(Boolean)],
});
const page = await browser.newPage();
let over;
const ended = new Promise((resolve) => { over = resolve; });
await page.exposeFunction('say', (line) => {
  console.log(JSON.stringify(line));
  if (line.code) over();
});
await page.exposeFunction('told', async () => { await told.next(); });

await page.evaluate((url) => {
  function connect(first) {
    const ws = new WebSocket(url);
    let away = false;
    ws.onopen = () => {
      if (first) {
        ws.send(JSON.stringify({ topics: ['cats', 'dogs.>'] }));
        ws.send('ping');
      }
      say({ open: true });
    };
    ws.onmessage = ({ data }) => {
      if (data !== 'leave') return say({ message: data });
      away = true;
      ws.close();
    };
    ws.onclose = async ({ code, reason, wasClean }) => {
      if (!away) return say({ code, reason, unclean: !wasClean });
      await say({ away: true });
      await told();
      connect(false);
    };
  }
  connect(true);
}, url);
await ended;
await browser.close();
