// Chromium's own EventSource or WebSocket plays a client that comes back: see play_eventsource.js and play_v1.js.
import { fileURLToPath } from 'node:url';

export default async function play(page, say, told, kind, ...urls) {
  await page.exposeFunction('say', say);
  await page.exposeFunction('told', told);
  const part = kind === 'eventsource' ? 'play_eventsource.js' : 'play_v1.js';
  await page.addScriptTag({ path: fileURLToPath(new URL(part, import.meta.url)) });
  await page.evaluate(([kind, urls]) => (kind === 'eventsource'
    ? playEventSource(EventSource, urls, say, told)
    : playV1(WebSocket, urls, say, told)), [kind, urls]);
}
