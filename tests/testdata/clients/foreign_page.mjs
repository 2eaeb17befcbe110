// Pages in Chromium try all that a page can do with a broker: see foreign_page_test.go. The argument is a list of cases, each
// with the page's address, the broker's host and port and perhaps a token; a line says what came of each. The name
// evil.example leads to this machine, as whoever owns it may have it do: see browser.mjs. Each has a context of its own.

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

export default async function play(page, say, told, cases) {
  for (const { page: address, broker, token } of JSON.parse(cases)) {
    const foreign = await page.context().browser().newPage();
    const answer = await foreign.goto(address);
    say({ message: answer.status() + ' ' + await foreign.evaluate(tryAll, [broker, token]) });
    await foreign.close();
  }
}
