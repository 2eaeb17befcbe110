// What the client does by the clock, with a broker and a clock that are made up. Run by node --test.
import { test, mock } from 'node:test';
import assert from 'node:assert/strict';
import { begin, c, last, set, settle, tick, world } from './fakes.js';

test('pauses grow up to a bound, and a good connection makes them short again', async () => {
  const client = await begin({ minBackoff: 100, maxBackoff: 300 });
  const pauses = [];
  for (let i = 0; i < 5; i++) {
    last().welcome();
    last().end(1006);
    pauses.push(client.told.at(-1)[1].retryIn);
    await tick(300);
  }
  assert.deepEqual(pauses, [50, 100, 150, 150, 150]);
  last().welcome();
  await tick(6000);
  last().end(1006);
  assert.equal(client.told.at(-1)[1].retryIn, 50);
  client.close();
});

for (const [code, reason, want, fresh] of [
  [1012, 'draining', 50], [4100, 'slow_consumer', 150], [4199, '', 150], [4200, '', 0], [4299, '', 0],
  [4000, 'unregistered', 'closed', 'closed'], [4001, 'replaced', 'closed', 'closed'], [4002, 'takeover_limit', 'closed', 'closed'],
  [4002, 'token_expired', 'closed', 0], [4003, 'gap', 'closed', 0], [4004, 'unknown_client', 'closed', 0],
]) {
  test(`close code ${code} ${reason}`, async () => {
    for (const renewable of [false, true]) {
      let tickets = 0;
      const client = await begin({ minBackoff: 100 }, renewable ? async () => 'ws://broker/ws/' + ++tickets : undefined);
      last().welcome();
      last().end(code, reason);
      const [, detail] = client.told.at(-1);
      const expected = renewable && fresh !== undefined ? fresh : want;
      assert.equal(expected === 'closed' ? detail.state : detail.retryIn, expected);
      await tick(1000);
      if (renewable && expected !== 'closed') assert.equal(last().url, 'ws://broker/ws/' + (fresh === undefined ? 1 : 2));
      client.close();
    }
  });
}

test('the broker says when to come back', async () => {
  const client = await begin();
  last().welcome();
  last().say({ type: 'closing', reason: 'draining', reconnect_after_ms: 1234 });
  last().end(1012, 'draining');
  await tick(1233);
  assert.equal(world.sockets.length, 1);
  await tick(1);
  assert.equal(world.sockets.length, 2);
  client.close();
});

test('a line on which nothing is heard is given up, a sleep is not taken for one', async () => {
  const client = await begin();
  last().welcome();
  await tick(29999);
  last().say({ type: 'heartbeat', cursor: c(1) });
  await tick(29999);
  assert.equal(client.state, 'live');
  await tick(1);
  assert.equal(client.state, 'offline');
  await tick(500);
  last().welcome();
  const awake = last();
  mock.timers.setTime(Date.now()); // so far
  const now = Date.now();
  mock.method(Date, 'now', () => now + 3600_000); // the clock has gone on without us
  await tick(30000);
  assert.equal(client.state, 'live');
  assert.equal(awake.ops('ping').length, 1);
  awake.say({ type: 'pong' });
  await tick(5000);
  assert.equal(client.state, 'live');
  client.close();
});

test('a replay is had as a whole or not at all, and then the client goes on after it', async () => {
  const client = await begin({ minBackoff: 100 });
  const got = [];
  client.subscribe('a.*', { last: 2 }, (e) => got.push([e.data, e.replay]));
  last().welcome();
  let [{ ref, ...op }] = last().ops('subscribe');
  assert.deepEqual(op, { op: 'subscribe', topics: ['a.*'], last: 2 });
  last().say({ type: 'ack', ref, cursor: c(1) });
  last().say({ type: 'event', topic: 'a.b', data: 1, replay: true });
  last().end(1006);
  await tick(100);
  last().welcome();
  [{ ref, ...op }] = last().ops('subscribe');
  assert.equal(op.last, 2);
  last().say({ type: 'event', topic: 'a.b', data: 'early', cursor: c(1) });
  last().say({ type: 'ack', ref, cursor: c(1) });
  last().say({ type: 'event', topic: 'a.b', data: 1, replay: true });
  last().say({ type: 'event', topic: 'a.b', data: 2, replay: true });
  assert.deepEqual(got, []);
  last().say({ type: 'live', ref, cursor: c(2) });
  last().say({ type: 'event', topic: 'a.b', data: 3, cursor: c(3) });
  last().say({ type: 'event', topic: 'b', data: 'of another', cursor: c(4) });
  last().say({ type: 'heartbeat', cursor: c(5) });
  assert.deepEqual(got, [[1, true], [2, true], [3, false]]);
  last().end(1006);
  await tick(100);
  last().welcome();
  assert.equal(last().ops('subscribe')[0].after, c(5));
  client.close();
});

test('topics end when nobody wants them', async () => {
  const client = await begin();
  const one = client.subscribe(['a', 'b'], () => {}), two = client.subscribe(['b', 'c'], () => {});
  last().welcome();
  one.unsubscribe();
  two.unsubscribe();
  assert.deepEqual(last().ops('unsubscribe').map((op) => op.topics), [['a'], ['b', 'c']]);
  client.close();
});

test('patterns', async () => {
  const client = await begin();
  last().welcome();
  for (const [pattern, topic, want] of [
    ['a', 'a', 1], ['a', 'a.b', 0], ['a.*', 'a.b', 1], ['a.*', 'a', 0], ['a.*', 'a.b.c', 0], ['*.b', 'a.b', 1], ['a.>', 'a.b', 1],
    ['a.>', 'a.b.c', 1], ['a.>', 'a', 0], ['>', 'a.b', 1], ['>', '$a', 0], ['$a.>', '$a.b', 1],
  ]) {
    let got = 0;
    const sub = client.subscribe(pattern, () => got++);
    last().say({ type: 'ack', ref: last().ops('subscribe').at(-1).ref, cursor: c(1) });
    last().say({ type: 'event', topic, data: 1, cursor: c(2) });
    assert.equal(got, want, pattern + ' ' + topic);
    sub.unsubscribe();
  }
  client.close();
});

for (const kind of ['reportError', 'a timer']) {
  test('a handler that throws harms nobody, and is told by ' + kind, async () => {
    const client = await begin();
    const got = [], reported = [];
    if (kind === 'reportError') set('reportError', (error) => reported.push(error.message));
    client.subscribe('a', () => { throw new Error('mine'); });
    client.subscribe('a', (e) => got.push(e.data));
    last().welcome();
    for (const { ref } of last().ops('subscribe')) last().say({ type: 'ack', ref, cursor: c(1) });
    last().say({ type: 'event', topic: 'a', data: 1, cursor: c(2) });
    assert.deepEqual(got, [1]);
    if (kind === 'reportError') assert.deepEqual(reported, ['mine']);
    else assert.throws(() => mock.timers.tick(0), { message: 'mine' });
    client.close();
  });
}

test('what is refused is told', async () => {
  const client = await begin();
  client.subscribe('a..b', () => {});
  last().welcome();
  last().say({ type: 'error', ref: last().ops('subscribe')[0].ref, code: 'invalid_topic', detail: 'empty level' });
  const [type, error] = client.told.at(-1);
  assert.deepEqual([type, error.code, error.topics], ['error', 'invalid_topic', ['a..b']]);
  last().end(1012);
  await tick(1000);
  last().welcome();
  assert.deepEqual(last().ops('subscribe'), []);
  client.close();
});

test('onFrame: once per frame, with the newest of each topic', async () => {
  const frames = [];
  set('requestAnimationFrame', (f) => frames.push(f));
  const client = await begin({ onFrame: true });
  const got = [];
  client.subscribe('>', (e) => got.push(e.topic + e.data));
  last().welcome();
  last().say({ type: 'ack', ref: last().ops('subscribe')[0].ref, cursor: c(0) });
  for (let i = 1; i <= 4; i++) last().say({ type: 'event', topic: i % 2 ? 'a' : 'b', data: i, cursor: c(i) });
  assert.equal(frames.length, 1);
  frames.shift()();
  assert.deepEqual(got, ['a3', 'b4']);
  client.close();
});

test('a publish waits for the connection, and is repeated with its key', async () => {
  const client = await begin({ token: 'T' });
  const receipt = client.publish('a', { n: 1 }, { id: 'e', userId: 7, expiresIn: 60 });
  await settle();
  assert.equal(world.asked.length, 0);
  world.answers = [null, [503, {}, { 'Retry-After': '2' }], [409, {}], [200, { id: 'e', duplicate: true }]];
  last().welcome();
  for (let i = 0; i < 5; i++) await tick(2000);
  assert.equal((await receipt).duplicate, true);
  assert.equal(world.asked.length, 4);
  assert.deepEqual(new Set(world.asked.map((a) => JSON.stringify(a))).size, 1);
  const [{ url, headers, body }] = world.asked;
  assert.equal(url, 'http://broker/publish');
  assert.equal(body, '{"topic":"a","message":{"n":1},"id":"e","expires_in":60,"user_id":7}');
  assert.match(headers['Idempotency-Key'], /^"[0-9a-f]{32}"$/);
  assert.equal(headers.Authorization, 'Bearer T');
  world.answers = [[403, { code: 'forbidden', detail: 'no' }]];
  await assert.rejects(client.publish('b', 1), { code: 'forbidden', message: 'no' });
  client.close();
});

test('publishes are bounded, and never repeated when the broker may have forgotten the first', async () => {
  const client = await begin({ maxQueue: 2 });
  const first = client.publish('a', 1), second = client.publish('a', 2);
  await assert.rejects(client.publish('a', 3), { code: 'queue_full' });
  world.answers = [null];
  last().welcome();
  await settle();
  last().end(1006);
  await tick(119000);
  last().welcome();
  await assert.rejects(first, { code: 'uncertain' });
  await assert.rejects(second, { code: 'uncertain' });
  const third = client.publish('a', 3);
  client.close();
  await assert.rejects(third, { code: 'closed' });
});

test('a ticket is asked for once, and tokens before they end', async () => {
  let tickets = 0;
  const client = await begin({ minBackoff: 100 }, async () => ({ url: 'ws://broker/ws', token: 't' + ++tickets }));
  for (let i = 0; i < 3; i++) {
    last().welcome();
    last().end(1006);
    await tick(1000);
  }
  assert.equal(tickets, 1);
  last().welcome();
  await tick(29000);
  last().say({ type: 'heartbeat' });
  await tick(29000);
  last().say({ type: 'expiring', expires_in_ms: 60000 });
  await tick(0);
  assert.deepEqual(last().ops('auth'), [{ op: 'auth', token: 't2', ref: 'auth' }]);
  last().end(1006);
  await tick(1000);
  assert.deepEqual(last().protocols, ['belfry.v1', 'bearer.t2']);
  client.close();
});

test('a function that fails is asked again, unless it says that it is of no use', async () => {
  let permanent = false, calls = 0;
  const client = await begin({ minBackoff: 100 }, async () => {
    calls++;
    throw Object.assign(new Error('no ticket'), { permanent });
  });
  await tick(1000);
  assert.equal(calls, 2);
  permanent = true;
  await tick(1000);
  assert.equal(client.state, 'closed');
  assert.equal(client.told.find(([type]) => type === 'error')[1].message, 'no ticket');
});
