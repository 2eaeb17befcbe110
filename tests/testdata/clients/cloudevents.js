// The SDK of CloudEvents publishes in all modes, and reads what comes of it from a WebSocket by its own parser:
// see publish_foreign_test.go for what it prints.
const { CloudEvent, HTTP } = require('cloudevents');
const WebSocket = require('ws');

const addr = process.argv[2];
const say = (line) => console.log(JSON.stringify(line));

async function publish({ headers, body }) {
  const answer = await fetch(`http://${addr}/publish`, { method: 'POST', headers, body });
  const text = await answer.text();
  if (answer.status !== 200) say({ error: text });
  return JSON.parse(text);
}

const attributes = { source: '/shops/7?x=1', type: 'com.example.paid', subject: 'orders.eu' };
const events = [
  new CloudEvent({ ...attributes, id: 'structured', data: { n: 1.5, s: 'grüße \u2028' }, zone: 'b', area: 7, time: '2026-01-02T03:04:05.678Z' }),
  new CloudEvent({ ...attributes, id: 'text', data: 'a text', datacontenttype: 'text/plain' }),
  new CloudEvent({ ...attributes, id: 'bytes', data: new Uint8Array([0, 255, 10]), datacontenttype: 'application/octet-stream' }),
  new CloudEvent({ ...attributes, id: 'binary', data: { n: 2 }, name: 'size "x"', expirytime: '2099-01-02T03:04:05Z' }),
];

const ws = new WebSocket(`ws://${addr}/ws?topic=orders.%3E`, 'cloudevents.json');
ws.on('error', (error) => say({ error: error.message }));
ws.on('message', (data) => {
  const e = HTTP.toEvent({ headers: { 'content-type': 'application/cloudevents+json' }, body: data.toString() });
  e.validate();
  if (e.id === 'last') return ws.close();
  const { id, source, type, subject, time, zone, area, name, expirytime, datacontenttype, data_base64 } = e;
  const value = data_base64 === undefined ? e.data : { base64: data_base64 };
  say({ cursor: e.sequence, message: JSON.stringify({ id, source, type, subject, time, zone, area, name, expirytime, datacontenttype, value }) });
});
ws.on('open', async () => {
  say({ open: true });
  const batch = { headers: { 'content-type': 'application/cloudevents-batch+json' }, body: JSON.stringify(events.slice(1, 3)) };
  const receipts = [
    await publish(HTTP.structured(events[0])),
    ...(await publish(batch)),
    await publish(HTTP.binary(events[3])),
    await publish(HTTP.structured(events[0])),
  ];
  for (const r of receipts) say({ ack: 1, cursor: r.cursor, again: r.duplicate });
  await publish(HTTP.structured(new CloudEvent({ ...attributes, id: 'last' })));
});
ws.on('close', (code) => say({ code }));
