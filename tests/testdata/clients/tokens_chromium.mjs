// Chromium plays a client with a token: its WebSocket by play_tokens.js, its EventSource by the query. It is told its
// tokens by a line.
import { fileURLToPath } from 'node:url';

export default async function play(page, say, told, kind, url) {
  await page.exposeFunction('say', say);
  await page.addScriptTag({ path: fileURLToPath(new URL('play_tokens.js', import.meta.url)) });
  say({ away: true });
  const [token, next] = (await told()).split(' ');
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
}
