// Pages in Chromium try all that a page can do with a broker: see foreign_page_test.go. The argument is a list of cases, each
// with the page's address, the broker's host and port and perhaps a token; a line says what came of each. The names
// evil.example and events.example lead to this machine, as whoever owns them may have them do.
import { chromium } from 'playwright-core';

const [executablePath, cases] = process.argv.slice(2);
const browser = await chromium.launch({
  timeout: 150_000, // on a busy machine
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync',
    '--host-resolver-rules=MAP evil.example 127.0.0.1,MAP events.example 127.0.0.1'],
});

async function tryAll([broker, token]) {
  const query = token ? '&access_token=' + token : '';
  const bearer = token ? { Authorization: 'Bearer ' + token } : {};
  const body = '{"topic":"cats","message":1}';
  const ask = (path, options) => fetch('http://' + broker + path, options)
    .then((answer) => answer.status || answer.type, () => 'failed');
  const post = (type, headers, mode) => ask('/publish', { method: 'POST', body, mode, headers: { 'Content-Type': type, ...headers } });
  return [
    'websocket', await new Promise((over) => {
      const ws = new WebSocket('ws://' + broker + '/ws?topic=cats' + query);
      ws.onopen = () => { ws.close(); over('open'); };
      ws.onerror = () => over('failed');
    }),
    'eventsource', await new Promise((over) => {
      const source = new EventSource('http://' + broker + '/sse?topic=cats' + query);
      const end = (what) => { source.close(); over(what); };
      source.addEventListener('welcome', () => end('open'));
      source.onerror = () => end('failed');
    }),
    'history', await ask('/topics/cats/events', { headers: bearer }),
    'json', await post('application/json', bearer),
    'simple', await post('text/plain', {}), // these are sent without a preflight
    'form', await post('application/x-www-form-urlencoded', {}),
    'blind', await post('application/x-www-form-urlencoded', {}, 'no-cors'), // the answer is for nobody to see
  ].join(' ');
}

for (const { page: address, broker, token } of JSON.parse(cases)) {
  const page = await browser.newPage();
  const answer = await page.goto(address);
  console.log(JSON.stringify({ message: answer.status() + ' ' + await page.evaluate(tryAll, [broker, token]) }));
  await page.close();
}
await browser.close();
