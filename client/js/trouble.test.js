// What goes wrong: the client never hangs, never loops, and says so. Run by node --test.
import { test, mock } from 'node:test';
import assert from 'node:assert/strict';
import { connect } from './belfry.js';
import { begin, c, fakeTabs, last, pass, serveStreams, set, settle, tick, world } from './fakes.js';

const MINUTE = 60000;
const LEEWAY = 30000; // of the broker, which it counts in

/** A broker that takes tokens such as "7@1000000005000", which end then, and tells of that as the real one does. */
function tokenBroker() {
  const take = (socket, token) => {
    const left = Number(/@(\d+)$/.exec(token)[1]) + LEEWAY - Date.now();
    clearTimeout(socket.notice);
    clearTimeout(socket.ending);
    if (left <= 0) return socket.end(4002, 'token_expired');
    socket.notice = setTimeout(() => socket.say({ type: 'expiring', expires_in_ms: Math.min(left, MINUTE) }), Math.max(0, left - MINUTE));
    socket.ending = setTimeout(() => socket.closed || socket.end(4002, 'token_expired'), left);
  };
  world.dialled = (socket) => {
    socket.welcome();
    take(socket, socket.protocols[1].slice('bearer.'.length));
    const beat = () => {
      if (socket.closed) return;
      socket.say({ type: 'heartbeat', cursor: c(1) });
      setTimeout(beat, 15000);
    };
    beat();
  };
  world.said = (socket, op) => {
    if (op.op !== 'auth') return;
    setTimeout(() => socket.say({ type: 'ack', ref: op.ref, cursor: c(1) }), 0);
    setTimeout(() => take(socket, op.token), 0);
  };
}

const fresh = (life) => () => '7@' + (Date.now() + life);
const constant = (life) => {
  const token = fresh(life)();
  return () => token;
};
const cached = (life) => { // as an identity provider's library has it: the same until it ends
  let token, end = 0;
  return () => {
    if (Date.now() >= end) token = '7@' + (end = Date.now() + life);
    return token;
  };
};

for (const [what, life, make] of [
  ['5 s', 5000, fresh], ['20 s', 20000, fresh], ['29 s', 29000, fresh], ['35 s', 35000, fresh], ['45 s', 45000, fresh], ['10 min', 600000, fresh],
  ['a constant of 10 min', 600000, constant], ['cached for 35 s', 35000, cached], ['cached for 10 min', 600000, cached],
]) {
  for (const shared of life === 29000 || make !== fresh ? [false, 'user 7'] : [false]) {
    test(`tokens of a short life are no reason to ask for many: ${what}${shared ? ', shared' : ''}`, async () => {
      if (shared) fakeTabs();
      tokenBroker();
      const calls = [];
      const token = make(life);
      const options = { shared, token: async () => { calls.push(Date.now()); return token(); } };
      const start = Date.now();
      const clients = [await begin(options)];
      if (shared) clients.push(await begin(options));
      const end = Math.min(life, 65000);
      await pass(life - end, 5000);
      await pass(end);
      const most = 1 + life / 5000;
      assert.ok(calls.length <= most, `${calls.length} calls in ${life / 1000} s, want at most ${most}`);
      if (make !== constant) await pass(MINUTE);
      for (const from of calls) {
        const burst = calls.filter((at) => at >= from && at < from + 5000).length;
        assert.ok(burst <= 2, `${burst} calls in the 5 s after ${from - start} ms`);
      }
      assert.ok(calls.length > 1, 'it is asked for again');
      if (make !== constant) {
        const all = 1 + (life + MINUTE) / 5000;
        assert.ok(calls.length <= all, `${calls.length} calls, want at most ${all}`);
        assert.equal(world.sockets.length, 1, 'the connection goes on');
        for (const client of clients) assert.equal(client.state, 'live');
      }
      for (const client of clients) client.close();
    });
  }
}

test('a token that can not be had, or is refused, is asked for again before the old one ends', async () => {
  const answers = [() => 'one', () => { throw new Error('down'); }, () => 'two', () => 'three'];
  let calls = 0;
  const client = await begin({ token: () => answers[Math.min(calls++, answers.length - 1)]() });
  last().welcome({ heartbeat_ms: 1e6 });
  await pass(MINUTE);
  last().say({ type: 'expiring', expires_in_ms: MINUTE });
  await pass(30500);
  assert.deepEqual(last().ops('auth').map((op) => op.token), ['two']);
  last().say({ type: 'error', ref: 'auth', code: 'credentials_invalid', detail: 'no' });
  await pass(15000);
  assert.deepEqual(last().ops('auth').map((op) => op.token), ['two', 'three']);
  last().say({ type: 'ack', ref: 'auth', cursor: c(1) });
  await pass(5 * MINUTE);
  assert.equal(calls, 4, 'it is taken');
  assert.deepEqual(client.told.filter(([type]) => type === 'error').map(([, error]) => error.message), ['down', 'no']);
  client.close();
});

for (const reason of ['revoked', 'credentials_invalid']) {
  for (const transport of ['auto', 'sse']) {
    test(`a token that counted and does not any more has another asked for, once: ${reason} by ${transport}`, async () => {
      let calls = 0;
      const good = new Set(['1', '2']);
      const check = (token) => good.has(token);
      world.dialled = (s) => (check(s.protocols[1].slice('bearer.'.length)) ? s.welcome({ heartbeat_ms: 1e9 }) : s.end(4002, 'credentials_invalid'));
      serveStreams((stream) => stream.welcome(c(1), ['a'], 1e9));
      const streams = world.fetched;
      world.fetched = (url, options) => (url.includes('/sse') && !check(options.headers.Authorization.slice('Bearer '.length))
        ? Response.json({ code: 'credentials_invalid' }, { status: 401 }) : streams(url, options));
      const client = await begin({ transport, token: () => String(++calls) });
      client.subscribe('a', {}, () => {});
      await tick(0);
      good.delete('1');
      if (transport === 'auto') last().end(...(reason === 'revoked' ? [4002, reason] : [1006]));
      else if (reason === 'revoked') world.streams.at(-1).say('closing', { reason });
      else world.streams.at(-1).end();
      await pass(10000);
      assert.deepEqual([client.state, calls], ['live', 2]);
      good.clear();
      if (transport === 'auto') last().end(4002, 'revoked');
      else world.streams.at(-1).say('closing', { reason: 'revoked' });
      await pass(MINUTE);
      assert.deepEqual([client.state, calls], ['closed', 3]);
      assert.deepEqual(client.told.filter(([type]) => type === 'error').map(([, e]) => e.code), ['credentials_invalid']);
    });
  }
}

/** What the console is told while a test runs. */
function listen() {
  const said = [];
  for (const kind of ['error', 'debug']) mock.method(console, kind, (...what) => said.push([kind, ...what]));
  return said;
}

test('an error that nobody listens for is in the console', async () => {
  const said = listen();
  const client = connect('ws://broker/ws');
  await settle();
  client.subscribe('a..b', () => {});
  last().welcome();
  const refuse = () => last().say({ type: 'error', code: 'forbidden', detail: 'no' });
  const heard = [];
  const leave = new AbortController();
  const f = ({ detail }) => heard.push(detail.code);
  refuse();
  assert.deepEqual([said.length, said[0][0], said[0][2].code], [1, 'error', 'forbidden']);
  client.addEventListener('error', f);
  refuse();
  client.removeEventListener('error', f);
  refuse();
  client.addEventListener('error', f, { signal: leave.signal });
  refuse();
  leave.abort();
  refuse();
  client.addEventListener('state', f);
  refuse();
  client.addEventListener('error', { handleEvent: f });
  refuse();
  assert.equal(said.length, 4);
  assert.equal(heard.length, 3);
  client.close();
});

test('debug says what happens, and no token and no address', async () => {
  const said = listen();
  const client = connect('ws://broker/ws/SECRET1', { debug: true, token: async () => 'SECRET2' });
  await settle();
  client.subscribe('a', () => {});
  last().welcome();
  last().say({ type: 'expiring', expires_in_ms: 20000 });
  await tick(20000);
  last().say({ type: 'error', code: 'forbidden', detail: 'no' });
  last().end(1012, 'draining');
  await pass(1000);
  last().end(1006);
  client.close();
  assert.equal(said.filter(([kind]) => kind === 'error').length, 1);
  const text = JSON.stringify(said);
  for (const part of ['"live"', '"subscribe"', '"welcome"', '"draining"', '"closed"']) assert.ok(text.includes(part), part + ' in ' + text);
  assert.ok(!text.includes('SECRET'), text);
});

test('what can not be subscribed to is refused at once', async () => {
  const client = await begin();
  for (const wrong of [['a'], ['a', {}], [[], () => {}], [[7], () => {}], [undefined, () => {}]]) assert.throws(() => client.subscribe(...wrong), TypeError);
  client.close();
  assert.throws(() => client.subscribe('a', () => {}), { code: 'closed' });
});

test('a message that has no JSON fails, and nothing else does', async () => {
  const client = await begin();
  await assert.rejects(client.publish('a', 1n), TypeError);
  client.close();
});

// Server-sent events

async function stream(topics, how, f, options) {
  serveStreams();
  const client = await begin({ transport: 'sse', ...options });
  client.got = [];
  client.sub = client.subscribe(topics, how, f || ((e) => client.got.push(e.data)));
  await settle();
  return client;
}

test('lines of a stream end with LF, CR or CRLF, and nothing else; fields come in any order', async () => {
  const client = await stream('a', {});
  const s = world.streams.at(-1);
  s.welcome(c(1));
  const event = (data, n) => JSON.stringify({ type: 'event', topic: 'a', data, cursor: c(n) });
  s.hear(`id: ${c(2)}\ndata: ${event('a\u2028b\u2029c\u0085d', 2)}\n\n`);
  s.hear(`data:${event('crlf', 3)}\r\nid:${c(3)}\r\n\r`);
  s.hear(`\n: a comment\nretry: 7\ndata: ${event('cr', 4)}\rid: ${c(4)}\r\r`);
  const text = `data: {"type":"event","topic":"a",\ndata: "data":"two lines","cursor":"${c(5)}"}\nid: ${c(5)}\nunknown: x\nalone\n\n`;
  for (const letter of text) s.hear(letter);
  s.hear(`event: heartbeat\nid: ${c(6)}\n\nid: ${c(7)}\n\nevent: heartbeat\ndata\nid: ${c(8)}\n\nevent: news\ndata: no JSON\nid: ${c(9)}\n\n`);
  await settle();
  assert.deepEqual(client.got, ['a\u2028b\u2029c\u0085d', 'crlf', 'cr', 'two lines']);
  assert.equal(client.sub.cursor, c(9));
  assert.deepEqual(client.told.filter(([type]) => type === 'error'), []);
  client.close();
});

test('a message that can not be read is told and passed over, and does not come again', async () => {
  const client = await stream('a', {});
  const s = world.streams.at(-1);
  s.welcome(c(1));
  s.hear(`data: {"type":"event","topic\nid: ${c(2)}\n\ndata: null\nid: ${c(3)}\n\nevent: gap\ndata: {"reason":"expired"}\nid: ${c(4)}\n\n`);
  s.event('a', 'next', c(5));
  await settle();
  assert.deepEqual(client.got, ['next']);
  assert.deepEqual(client.told.filter(([type]) => type === 'error').map(([, e]) => e.code), ['unreadable', 'unreadable', 'unreadable']);
  s.hear(`data: {\nid: ${c(6)}\n\n`);
  s.end();
  await pass(2000);
  assert.equal(world.streams.at(-1).url.searchParams.get('after'), c(6));
  client.close();
});

test('ten thousand events in one piece', async () => {
  const client = await stream('a', {});
  world.streams[0].welcome(c(0));
  let text = '';
  for (let n = 1; n <= 10000; n++) text += `data: {"type":"event","topic":"a","data":${n},"cursor":"${c(n)}"}\nid: ${c(n)}\n\n`;
  world.streams[0].hear(text);
  await settle();
  assert.equal(client.got.length, 10000);
  assert.equal(client.sub.cursor, c(10000));
  client.close();
});

test('cursors of two logs are not compared: after a restart the client hears the new log, whatever its name', async () => {
  for (const [old, now] of [['b', 'a'], ['a', 'b']]) {
    const client = await stream('t', {});
    world.streams.at(-1).welcome(c(50, old));
    world.streams.at(-1).event('t', 1, c(51, old));
    await settle();
    world.streams.at(-1).end();
    await pass(2000);
    const s = world.streams.at(-1);
    assert.equal(s.url.searchParams.get('after'), c(51, old));
    s.welcome(c(51, old));
    s.say('gap', { topics: ['t'], from: c(51, old), to: c(0, now), reason: 'restarted' });
    s.event('t', 2, c(1, now));
    s.event('t', 3, c(2, now));
    await settle();
    assert.deepEqual(client.got, [1, 2, 3]);
    assert.deepEqual(client.told.find(([type]) => type === 'gap')[1], { topics: ['t'], from: c(51, old), to: c(0, now), reason: 'restarted' });
    assert.equal(client.sub.cursor, c(2, now));
    s.end();
    await pass(2000);
    assert.equal(world.streams.at(-1).url.searchParams.get('after'), c(2, now));
    client.close();
    await settle();
  }
});

test('cursors that are of no log, or of the future, are told as a gap', async () => {
  const nowhere = '0'.repeat(24);
  for (const [after, sent] of [['null', nowhere], ['f'.repeat(24), 'f'.repeat(24)], ['undefined', nowhere], [c(1).toUpperCase(), nowhere], [{}, nowhere], [c(0xffffff), c(0xffffff)]]) {
    for (const transport of ['sse', 'auto']) {
      serveStreams();
      const client = await begin({ transport });
      const got = [];
      client.subscribe('t', { after }, (e) => got.push(e.data));
      await settle();
      const gap = { topics: ['t'], from: sent, to: c(7), reason: 'restarted' };
      if (transport === 'sse') {
        const s = world.streams.at(-1);
        assert.equal(s.url.searchParams.get('after'), sent);
        s.welcome(sent);
        s.say('gap', gap);
        s.event('t', 1, c(8));
      } else {
        last().welcome();
        const [{ ref, ...op }] = last().ops('subscribe');
        assert.equal(op.after, sent);
        last().say({ type: 'ack', ref, cursor: c(7) });
        last().say({ type: 'gap', ...gap });
        last().say({ type: 'live', ref, cursor: c(7) });
        last().say({ type: 'event', topic: 't', data: 1, cursor: c(8) });
      }
      await settle();
      assert.deepEqual(client.told.filter(([type]) => type === 'gap').map(([, detail]) => detail), [gap]);
      assert.deepEqual(got, [1], after + ' by ' + transport);
      client.close();
      await settle();
    }
  }
  for (const after of [null, undefined, '']) {
    const client = await begin();
    client.subscribe('t', { after }, () => {});
    last().welcome();
    assert.deepEqual(Object.keys(last().ops('subscribe')[0]), ['op', 'topics', 'ref']);
    client.close();
  }
});

test('a gap of one replay is told to the tab that asked, one of the connection to all', async () => {
  fakeTabs();
  const [first, second] = [await begin({ shared: 'x' }), await begin({ shared: 'x' })];
  last().welcome({ cursor: c(9), heartbeat_ms: 1e9 });
  await settle();
  const ask = async (client, how, say) => {
    client.subscribe('a', how, () => {});
    await settle();
    const { ref } = last().sent.at(-1);
    last().say({ type: 'ack', ref, cursor: c(9) });
    say?.();
    if (how.after) last().say({ type: 'live', ref, cursor: c(9) });
    await settle();
  };
  const gap = (from, to, reason) => last().say({ type: 'gap', topics: ['a'], from, to, reason });
  await ask(first, {});
  await ask(second, { after: c(1, '0') }, () => {
    gap(c(1, '0'), c(0), 'restarted');
    gap(c(0), c(5), 'expired');
    gap(c(8), c(9), 'dropped');
  });
  const gaps = (client) => client.told.filter(([type]) => type === 'gap').map(([, { reason }]) => reason);
  assert.deepEqual(gaps(first), ['dropped']);
  assert.deepEqual(gaps(second), ['restarted', 'expired', 'dropped']);
  first.close();
  second.close();
});

test('subscriptions that stand in several logs do not share a beginning', async () => {
  const client = await stream('t', { after: c(5, 'a') });
  client.subscribe('u', { after: c(1, 'b') }, () => {});
  client.subscribe('v', { after: c(3, 'a') }, () => {});
  await settle();
  const open = world.streams.filter((s) => !s.cut).map((s) => s.url.searchParams.get('after')).sort();
  assert.deepEqual(open, [c(3, 'a'), c(5, 'a'), c(1, 'b')]);
  client.close();

  // A registered client has one stream for all.
  const one = await begin({ transport: 'sse' }, 'ws://broker/ws/client');
  world.streams.at(-1).welcome(c(9, 'b'), []);
  await settle();
  const old = [], now = [];
  one.subscribe('t', { after: c(5, 'a') }, (e) => old.push(e.data));
  one.subscribe('u', { after: c(8, 'b') }, (e) => now.push(e.data));
  await settle();
  const s = world.streams.at(-1);
  const nowhere = '0'.repeat(24);
  assert.equal(s.url.searchParams.get('after'), nowhere);
  s.welcome(nowhere, ['t', 'u']);
  s.say('gap', { topics: ['t', 'u'], from: nowhere, to: c(0, 'b'), reason: 'restarted' });
  for (let n = 7; n < 10; n++) for (const topic of ['t', 'u']) s.event(topic, n, c(n * 2 + (topic === 'u'), 'b'));
  await settle();
  assert.deepEqual(old, [7, 8, 9]);
  assert.deepEqual(now, [7, 8, 9]); // at 15 and later, all after 8
  one.close();
});

test('nothing is lost between the beginning of a stream and another subscription', async () => {
  const client = await stream('a', {});
  world.streams.at(-1).welcome(c(7));
  await settle();
  client.subscribe('b', { last: 1 }, () => {});
  await settle();
  client.subscribe('d', {}, () => {});
  await settle(); // now all begin anew
  const again = world.streams.filter((s) => !s.cut).find((s) => s.url.searchParams.getAll('topic').includes('a'));
  assert.equal(again.url.searchParams.get('after'), c(7));
  client.close();
});

test('a change of the network has a stream begin anew where it was, a glance at the page only one that is late', async () => {
  const listeners = {};
  set('addEventListener', (type, f) => { listeners[type] = f; });
  const client = await stream('a', {});
  world.streams.at(-1).welcome(c(1));
  world.streams.at(-1).event('a', 1, c(2));
  await settle();
  listeners.visibilitychange();
  await settle();
  assert.equal(world.streams.length, 1);
  for (const [type, wait] of [['online', 0], ['offline', 0], ['visibilitychange', 17000]]) {
    await tick(wait);
    const before = world.streams.at(-1);
    listeners[type]();
    await settle();
    const now = world.streams.at(-1);
    assert.ok(before.cut && now !== before, type);
    assert.equal(now.url.searchParams.get('after'), c(2));
    now.welcome(c(2));
    await settle();
  }
  world.streams.at(-1).event('a', 2, c(3));
  await settle();
  assert.deepEqual(client.got, [1, 2]);
  assert.deepEqual(client.told.map(([, detail]) => detail.state), ['live']);
  client.close();
});

test('what a registered client may not add is told, and the rest goes on', async () => {
  serveStreams();
  const streams = world.fetched;
  world.fetched = (url, options) => {
    if (!url.includes('/add_topic')) return streams(url, options);
    return url.includes('topic=no') ? Response.json({ code: 'forbidden', detail: 'no' }, { status: 403 }) : new Response('ok');
  };
  const client = await begin({ transport: 'sse' }, 'ws://broker/ws/client');
  world.streams.at(-1).welcome(c(1), []);
  await settle();
  const got = [];
  client.subscribe('no', {}, () => {});
  client.subscribe('yes', {}, (e) => got.push(e.data));
  await settle();
  world.streams.at(-1).welcome(c(1), ['yes']);
  world.streams.at(-1).event('yes', 1, c(2));
  await settle();
  assert.deepEqual(client.told.filter(([type]) => type === 'error').map(([, e]) => [e.code, e.topics]), [['forbidden', ['no']]]);
  assert.deepEqual(got, [1]);
  client.close();
});

test('by streams, too, only the subscription that is refused ends', async () => {
  serveStreams((stream) => stream.welcome(c(1)));
  const streams = world.fetched;
  const asked = [];
  world.fetched = (url, options) => {
    const topics = new URL(url).searchParams.getAll('topic');
    if (url.includes('/sse')) asked.push(topics.join());
    if (topics.includes('no')) return Response.json({ code: 'forbidden', detail: 'no' }, { status: 403 });
    if (topics.includes('long')) return new Response('too long', { status: 431 });
    return streams(url, options);
  };
  const client = await begin({ transport: 'sse' });
  const got = [];
  for (const topic of ['a', 'no', 'b', 'long']) client.subscribe(topic, {}, (e) => got.push(e.data));
  await pass(10000);
  assert.deepEqual(client.told.filter(([type]) => type === 'error').map(([, e]) => [e.code, e.topics]), [['forbidden', ['no']], ['message_too_large', ['long']]]);
  const open = world.streams.filter((stream) => !stream.cut);
  assert.deepEqual(open.map(({ url }) => url.searchParams.getAll('topic')), [['a', 'b']]);
  for (const [i, topic] of ['a', 'b'].entries()) open[0].event(topic, i, c(2 + i));
  await settle();
  assert.deepEqual(got, [0, 1]);
  assert.equal(asked.length, 6, asked.join('; '));
  client.close();
});

test('a subscription that is too long for a message is refused, and makes no loop', async () => {
  world.dialled = (s) => s.welcome({ heartbeat_ms: 1e9, limits: { max_message: 300 } });
  const client = await begin();
  client.subscribe('a'.repeat(300), {}, () => {});
  client.subscribe(['\u00e4'.repeat(150)], {}, () => {});
  client.subscribe('b', { last: 1 }, () => {});
  await pass(MINUTE);
  assert.deepEqual(client.told.map(([type, { code }]) => [type, code]), [['state', undefined], ['error', 'message_too_large'], ['error', 'message_too_large']]);
  assert.deepEqual([world.sockets.length, last().sent.map((op) => op.topics)], [1, [['b']]]);
  client.close();
});

test('over streams a page is live when it has one, not when the broker is healthy', async () => {
  serveStreams();
  const client = await begin({ transport: 'sse' });
  assert.equal(client.state, 'live', 'there is nothing to wait for');
  client.close();
  for (const [what, then] of [
    ['a stream', () => world.streams.at(-1).welcome(c(1))],
    ['a refusal', () => {}],
    ['nothing to wait for', (sub) => sub.unsubscribe()],
  ]) {
    const other = connect('ws://broker/ws', { transport: 'sse' });
    const sub = other.subscribe('a', () => {});
    other.addEventListener('error', () => {});
    const streams = world.fetched;
    if (what === 'a refusal') world.fetched = (url, o) => (url.includes('/sse') ? Response.json({ code: 'forbidden' }, { status: 403 }) : streams(url, o));
    await settle();
    if (what !== 'a refusal') assert.equal(other.state, 'connecting', what);
    then(sub);
    await settle();
    assert.equal(other.state, 'live', what);
    other.close();
    world.fetched = streams;
  }
});

test('where streams are refused and the broker is healthy a WebSocket is tried again, in turn', async () => {
  let up = false;
  world.dialled = (s) => (up ? healthy(s) : s.end(1006));
  world.fetched = (url) => (url.includes('/health/live') ? new Response('{}') : page());
  const client = await begin();
  client.subscribe('a', {}, () => {});
  await pass(5000, 100);
  assert.ok(client.told.every(([type, { state }]) => type === 'state' && state !== 'live'));
  const tried = world.sockets.length;
  up = true;
  await pass(MINUTE);
  assert.ok(world.sockets.length > tried);
  assert.equal(client.state, 'live');
  client.close();
});

test('another registration may have other topics', async () => {
  let n = 0;
  const client = await begin({}, async () => 'ws://broker/ws/' + n++);
  const next = async (topics, cursor) => {
    last().welcome({ topics, cursor, heartbeat_ms: 1e9 });
    await settle();
    for (const { ref } of last().sent) last().say({ type: 'live', ref, cursor });
    for (const [i, topic] of ['a', 'b', 'c'].entries()) last().say({ type: 'event', topic, data: n, cursor: c(10 * n + 1 + i) });
    last().end(4004, 'unknown_client');
    await tick(1000);
  };
  await next(['a'], c(10));
  await next(['b', 'c'], c(20));
  await next([], c(30));
  assert.deepEqual(client.told.filter(([type]) => type === 'event').map(([, e]) => e.topic + e.data), ['a1', 'b2', 'c2', 'b3', 'c3']);
  client.close();
});

// Tabs

const refused = () => Promise.reject(new DOMException('The request was denied.', 'SecurityError'));
for (const [what, spoil] of [
  ['locks are refused', () => set('navigator', { locks: { request: refused } })],
  ['asking for a lock throws', () => set('navigator', { locks: { request: () => { throw new DOMException('no', 'SecurityError'); } } })],
  ['locks are never had', () => set('navigator', { locks: { request: () => new Promise(() => {}) } })],
  ['the lock of all is refused', () => {
    const { request } = navigator.locks;
    set('navigator', { locks: { request: (name, ...more) => (/^belfry user 7 [^ ]+$/.test(name) ? refused() : request(name, ...more)) } });
  }],
  ['channels are refused', () => set('BroadcastChannel', class { constructor() { throw new DOMException('The operation is insecure.', 'SecurityError'); } })],
]) {
  test('a connection of its own where ' + what, async () => {
    fakeTabs();
    spoil();
    world.dialled = (socket) => socket.welcome();
    const clients = [await begin({ shared: 'user 7' }), await begin({ shared: 'user 7' })];
    await pass(11000);
    assert.equal(world.sockets.length, 2);
    for (const [i, client] of clients.entries()) {
      const socket = world.sockets[i], got = [];
      assert.equal(client.state, 'live');
      client.subscribe('a', (e) => got.push(e.data));
      socket.say({ type: 'ack', ref: socket.ops('subscribe')[0].ref, cursor: c(1) });
      socket.say({ type: 'event', topic: 'a', data: i, cursor: c(2) });
      assert.deepEqual(got, [i]);
      client.close();
      assert.ok(socket.closed);
    }
  });
}

test('clients of two addresses do not share a connection, whoever shares it', async () => {
  fakeTabs();
  world.dialled = healthy;
  const clients = [];
  for (const broker of ['one', 'two', 'one']) clients.push(await begin({ shared: 'user 7' }, `ws://${broker}/ws`));
  await tick(0);
  assert.deepEqual(world.sockets.map(({ url }) => url), ['ws://one/ws', 'ws://two/ws']);
  for (const client of clients) {
    assert.equal(client.state, 'live');
    client.close();
  }
});

test('a leader that hangs loses its place, and has it taken for good', async () => {
  const channels = fakeTabs();
  world.dialled = (socket) => socket.welcome({ heartbeat_ms: 1e9 });
  const one = await begin(), two = await begin();
  await tick(0);
  await settle();
  assert.deepEqual([one.state, two.state, world.sockets.length], ['live', 'live', 1]);
  const [first] = channels;
  first.hangs = true;
  let wake;
  world.hang = new Promise((over) => { wake = over; });
  two.close();
  const three = await begin();
  await pass(6000);
  assert.deepEqual([three.state, world.sockets.length], ['live', 2]);
  first.hangs = false;
  wake();
  await pass(6000);
  assert.deepEqual([one.state, three.state, world.sockets.length], ['live', 'live', 2]);
  one.close();
  three.close();
});

// The rest: each trouble ends in an error, a retry with a growing pause, or a state that says so. When it is over the client is live
// again, unless it has said that it is closed. At no time does it loop, and after close() nothing is left of it.

const later = (f) => setTimeout(f, 1000);
const never = () => new Promise(() => {});
const html = '<!doctype html>\n<title>404 Not Found</title>';
const healthy = (socket) => socket.welcome({ heartbeat_ms: 1e9 });
const silent = (socket) => { socket.readyState = 1; };
const drip = (text) => (socket) => {
  silent(socket);
  const on = () => {
    if (socket.closed) return;
    socket.hear(text);
    later(on);
  };
  on();
};
const closing = (ms, code = 1012) => (socket) => {
  socket.welcome();
  socket.say({ type: 'closing', reason: 'draining', reconnect_after_ms: ms });
  socket.end(code, 'draining');
};
const streams = (answer) => (url, options) => (url.includes('/health/live') ? new Response('{}') : url.includes('/sse') ? answer(options.signal) : undefined);
const hanging = (signal) => new Promise((_, reject) => { signal.addEventListener('abort', () => reject(signal.reason)); });
const page = () => new Response(html, { headers: { 'Content-Type': 'text/html' } });
const problem = (status, code) => () => Response.json({ code, detail: 'words' }, { status });

// Each: what it is, how the connections behave, with which options and address, and how it ends: what the error's code is, and
// whether the client is closed then. "live" are those that are no trouble to who is connected.
const troubles = [
  ['a socket cut at once', { dialled: (s) => s.end(1006) }],
  ['a connection cut at once', { dialled: (s) => { s.welcome(); s.end(1006); } }],
  ['close code 4200 at once', { dialled: (s) => { s.welcome(); s.end(4200); } }],
  ['figures that are none', { options: { minBackoff: undefined, maxBackoff: NaN, retryWebSocket: 'soon', maxQueue: null }, dialled: (s) => s.end(1006) }],
  ['figures of nothing', { options: { minBackoff: 0, maxBackoff: 0, retryWebSocket: 0 }, dialled: (s) => s.end(1006), fetched: streams(hanging) }],
  ['a broker that says nothing', { dialled: silent }],
  ['garbage and no welcome', { dialled: drip('nonsense'), code: 'unreadable' }],
  ['messages of another program and no welcome', { dialled: drip('{"hello":"world"}') }],
  ['garbage after the welcome', { dialled: (s) => { s.welcome(); drip('{')(s); }, code: 'unreadable', live: true }],
  ...['null', '7', '[]', '{"type":"gap"}', '{"type":"welcome"}', '', undefined, new Blob()].map((data) => [
    'a message ' + String(data), { dialled: (s) => { healthy(s); s.hear(data); }, code: /null|gap|welcome|^$|undefined|Blob/.test(String(data)) ? 'unreadable' : undefined, live: true }]),
  ['a heartbeat of -1', { dialled: (s) => s.welcome({ heartbeat_ms: -1 }) }],
  ['a heartbeat of 10^15', { dialled: (s) => s.welcome({ heartbeat_ms: 1e15 }), live: true }],
  ['a heartbeat of words', { dialled: (s) => s.welcome({ heartbeat_ms: 'soon' }) }],
  ...[0, -5, 'soon', null].map((ms) => ['come back after ' + ms, { dialled: closing(ms) }]),
  ['come back after 10^15', { dialled: closing(1e15), far: true }],
  ['a token that never comes', { options: { token: never }, code: 'ticket' }],
  ['a token that throws', { options: { token: () => { throw new Error('no'); } }, code: 'ticket' }],
  ['a token that throws a code', { options: { token: () => { throw Object.assign(new Error('no'), { code: 12 }); } }, code: 'ticket' }],
  ['a token that throws nothing', { options: { token: () => { throw undefined; } }, code: 'ticket' }],
  ['a token that is rejected with nothing', { options: { token: () => Promise.reject() }, code: 'ticket' }],
  ['a token that is refused for good', { options: { token: () => { throw Object.assign(new Error('no'), { permanent: true }); } }, code: 'ticket', closed: true }],
  ...[undefined, null, '', 7, {}, html, '{"token":"x"}'].map((token) => ['a token ' + JSON.stringify(token), { options: { token: async () => token }, code: 'ticket' }]),
  ['a constant token that is a page', { options: { token: html }, code: 'ticket', closed: true }],
  ...[undefined, null, html, {}, { url: html }].map((url) => ['an address ' + JSON.stringify(url), { source: async () => url, code: 'ticket' }]),
  ['an address that is relative to nothing', { source: '/ws', code: 'address', closed: true }],
  ['no address', { source: null, code: 'ticket', closed: true }],
  ['a function that gets one relative to nothing', { source: () => '/ws', code: 'address' }],
  ['an address that never comes', { source: never, code: 'ticket' }],
  ['a token that no WebSocket can bring', { socket: class { constructor(url, [, token]) { throw new DOMException(`"${token}" is invalid`, 'SyntaxError'); } }, options: { token: async () => 'SECRET' }, code: 'address' }],
  ['neither WebSocket nor fetch', { socket: undefined, fetch: undefined, code: 'unsupported', closed: true }],
  ['no WebSocket', { socket: undefined, fetched: streams((signal) => hanging(signal)), streams: true }],
  ['a question that is never answered', { streams: true, fetched: (url, { signal }) => hanging(signal) }],
  ['a fetch that hears no signal', { streams: true, fetched: never }],
  ['a stream that never begins', { streams: true, fetched: streams(hanging) }],
  ['a stream that is a page', { streams: true, fetched: streams(page) }],
  ['a stream that ends at once', { streams: true, fetched: streams(() => new Response('', { headers: { 'Content-Type': 'text/event-stream' } })) }],
  ['a stream of garbage', { streams: true, fetched: streams(() => new Response('data: x\n\n'.repeat(100), { headers: { 'Content-Type': 'text/event-stream' } })), code: 'unreadable' }],
  ['a proxy that answers 404', { streams: true, fetched: streams(() => new Response(html, { status: 404 })) }],
  ['a broker that is busy', { streams: true, fetched: streams(problem(503, 'over_capacity')) }],
  ['a token that has ended', { streams: true, options: { token: () => 'x' }, fetched: streams(problem(401, 'token_expired')) }],
  ['a token that is wrong', { streams: true, options: { token: () => 'x' }, fetched: streams(problem(401, 'credentials_invalid')), code: 'credentials_invalid', closed: true }],
  ['a topic that is refused', { streams: true, fetched: streams(problem(403, 'forbidden')), code: 'forbidden', live: true }],
];

for (const [what, trouble] of troubles) {
  test('trouble: ' + what, async () => {
    let calls = 0;
    const counted = (f) => (typeof f === 'function' ? (...args) => { calls++; return f(...args); } : f);
    const { source = 'source' in trouble ? undefined : 'ws://broker/ws', options = {} } = trouble;
    const begun = { ...options };
    let over = false;
    world.dialled = (socket) => (over ? healthy : trouble.dialled || healthy)(socket);
    if (trouble.fetched) world.fetched = counted(trouble.fetched);
    const { WebSocket, fetch } = globalThis;
    if ('socket' in trouble) set('WebSocket', trouble.socket);
    if ('fetch' in trouble) set('fetch', trouble.fetch);
    if (trouble.streams) begun.transport = 'sse';
    if (typeof options.token === 'function') begun.token = (...args) => { calls++; return over ? 'good' : options.token(...args); };
    const from = typeof source === 'function' ? () => { calls++; return over ? 'ws://broker/ws' : source(); } : source;
    const client = await begin(begun, from);
    if (client.state !== 'closed') client.subscribe('a', () => {});

    await pass(5 * MINUTE, 1000);
    const attempts = calls + world.sockets.length;
    assert.ok(attempts <= 90, `${attempts} attempts in five minutes`); // at most 10 s apart when they have no time to grow
    const errors = client.told.filter(([type]) => type === 'error').map(([, error]) => error);
    assert.equal(errors[0]?.code, trouble.code, String(errors[0]));
    for (const error of errors) assert.ok(!/SECRET|<title>/.test(error.message), error.message);
    const states = client.told.filter(([type]) => type === 'state').map(([, { state }]) => state);
    if (trouble.closed) assert.deepEqual([client.state, states.at(-1)], ['closed', 'closed']);
    else if (trouble.live) assert.deepEqual(states, ['live']);
    else assert.ok(states.includes('offline') || errors.length > 1, states.join());

    if (!trouble.closed && !trouble.far) {
      over = true;
      serveStreams((stream) => stream.welcome(c(1), [], 1e9));
      set('WebSocket', WebSocket);
      set('fetch', fetch);
      await pass(2 * MINUTE, 1000);
      assert.equal(client.state, 'live');
    }
    client.close();
    assert.equal(client.state, 'closed');
    const left = [calls, world.sockets.length, client.told.length, world.streams.length];
    await pass(2 * MINUTE, 5000);
    assert.deepEqual([calls, world.sockets.length, client.told.length, world.streams.length], left, 'nothing is left');
    for (const socket of world.sockets.slice(-1)) assert.ok(socket.closed || !socket.onclose);
  });
}

for (const [what, at] of [
  ['before it has begun', () => connect('ws://broker/ws', { shared: false })],
  ['before a tab has begun', () => { fakeTabs(); return connect('ws://broker/ws'); }],
  ['while a token is asked for', async () => begin({ token: never })],
  ['while a socket is opened', async () => begin()],
  ['while it is live', async () => { world.dialled = healthy; const client = await begin(); await tick(0); return client; }],
  ['while it waits to come back', async () => { world.dialled = (s) => s.end(1006); const client = await begin(); await tick(0); return client; }],
  ['while a stream is asked for', async () => { world.fetched = (url, { signal }) => hanging(signal); return begin({ transport: 'sse' }); }],
  ['while a stream is there', async () => { serveStreams(); return begin({ transport: 'sse' }); }],
  ['in a tab that leads', async () => { fakeTabs(); return begin({ shared: 'x' }); }],
  ['in a tab that follows', async () => { fakeTabs(); const first = await begin({ shared: 'x' }); const second = await begin({ shared: 'x' }); first.close(); return second; }],
  ['twice', async () => { const client = await begin(); client.close(); return client; }],
]) {
  test('close() ' + what, async () => {
    const begun = at();
    const client = begun.then ? await begun : begun;
    const sent = client.state === 'closed' ? undefined : client.publish('a', 1);
    client.close();
    assert.equal(client.state, 'closed');
    if (sent) await assert.rejects(sent, { code: 'closed' });
    const left = [world.sockets.length, world.streams.length, world.asked.length];
    await pass(MINUTE);
    assert.deepEqual([world.sockets.length, world.streams.length, world.asked.length], left);
    assert.ok(world.sockets.every((s) => s.closed) && world.streams.every((s) => s.cut));
  });
}

for (const [type, token] of [['state'], ['error', () => { throw new Error('down'); }]]) {
  for (const shared of [false, 'user 7']) {
    test(`close() in a handler of ${type}${shared ? ', shared' : ''} is for good`, async () => {
      if (shared) fakeTabs();
      world.dialled = (s) => s.end(1006);
      let calls = 0;
      const client = connect('ws://broker/ws', { shared, token: token && (() => { calls++; return token(); }) });
      client.addEventListener(type, ({ detail }) => detail.state !== 'connecting' && client.close());
      await pass(1000);
      assert.equal(client.state, 'closed');
      const left = [world.sockets.length, calls];
      await pass(MINUTE);
      assert.deepEqual([world.sockets.length, calls], left);
    });
  }
}

test('a tab hears what comes over a connection only after its welcome: what came before it is missing', async () => {
  const listeners = [];
  set('addEventListener', (type, f) => listeners.push([type, f]));
  fakeTabs();
  world.dialled = healthy;
  const second = await begin({ shared: 'x' });
  await tick(0);
  const hide = listeners.find(([type]) => type === 'pagehide')[1], show = listeners.find(([type]) => type === 'pageshow')[1];
  const got = [];
  second.subscribe('a', (e) => got.push(e.data));
  last().say({ type: 'ack', ref: last().ops('subscribe')[0].ref, cursor: c(1) });
  last().say({ type: 'event', topic: 'a', data: 2, cursor: c(2) });
  hide(); // as before another page is shown
  const first = await begin({ shared: 'x' });
  await tick(0);
  first.subscribe('a', () => {});
  last().say({ type: 'ack', ref: last().ops('subscribe')[0].ref, cursor: c(3) });
  show();
  last().say({ type: 'event', topic: 'a', data: 4, cursor: c(4) }); // before it answers
  await settle();
  assert.deepEqual(got, [2]);
  const { ref, after } = last().ops('subscribe').at(-1);
  assert.equal(after, c(2));
  for (const n of [3, 4]) last().say({ type: 'event', topic: 'a', data: n, replay: true });
  last().say({ type: 'live', ref, cursor: c(4) });
  await settle();
  assert.deepEqual(got, [2, 3, 4]);
  assert.equal(second.state, 'live');
  first.close();
  second.close();
});

test('a connection that is not yet where a subscription is brings nothing twice', async () => {
  world.dialled = healthy;
  const client = await begin();
  const got = [];
  client.subscribe('a', { after: c(5) }, (e) => got.push(e.data));
  await tick(0);
  last().say({ type: 'live', ref: last().ops('subscribe')[0].ref, cursor: c(3) });
  for (let n = 4; n < 8; n++) last().say({ type: 'event', topic: 'a', data: n, cursor: c(n) });
  assert.deepEqual(got, [6, 7]);
  client.close();
});

test('a tab that lost its place and closes when it hears so leaves the others alone', async () => {
  fakeTabs();
  world.dialled = healthy;
  const [first, second] = [await begin({ shared: 'x' }), await begin({ shared: 'x' })];
  await tick(0);
  first.addEventListener('state', ({ detail }) => detail.state === 'connecting' && first.close());
  navigator.locks.request('belfry x ws://broker/ws', { steal: true }, () => {});
  await pass(MINUTE);
  assert.deepEqual([first.state, second.state], ['closed', 'live']);
  const { length } = world.sockets;
  await pass(MINUTE);
  assert.equal(world.sockets.length, length);
  second.close();
});

test('close() ends the pause before a publish is repeated', async () => {
  const timers = new Set(), { setTimeout, clearTimeout } = globalThis;
  set('setTimeout', (f, ms) => {
    const id = setTimeout(() => { timers.delete(id); f(); }, ms);
    timers.add(id);
    return id;
  });
  set('clearTimeout', (id) => { timers.delete(id); clearTimeout(id); });
  world.dialled = healthy;
  const client = await begin();
  await tick(0);
  world.answers = [[503, {}, { 'Retry-After': '100' }]];
  client.publish('a', 1).catch(() => {});
  await settle();
  assert.equal(timers.size, 2, 'the pause, and silence');
  client.close();
  await settle();
  assert.equal(timers.size, 0);
});

test('a publish that is never answered ends as uncertain', async () => {
  world.dialled = healthy;
  for (const answer of [(url, { signal }) => hanging(signal), never, page, () => new Response('{', { status: 200 }), () => new Response('null', { status: 200 })]) {
    world.fetched = answer;
    const client = await begin();
    await tick(0);
    const sent = client.publish('a', 1);
    sent.catch(() => {});
    await pass(3 * MINUTE);
    await assert.rejects(sent, { code: 'uncertain' });
    client.close();
  }
});

test('a clock that jumps neither loops nor hangs', async () => {
  for (const jump of [3600_000, -3600_000]) {
    tokenBroker();
    let calls = 0;
    const client = await begin({ token: async () => { calls++; return '7@' + (Date.now() + 45000); } });
    await pass(20000);
    mock.timers.setTime(Date.now() + Math.max(jump, 0));
    const now = Date.now.bind(Date);
    if (jump < 0) mock.method(Date, 'now', () => now() + jump);
    await pass(5 * MINUTE);
    assert.ok(calls > 2 && calls <= 1 + 320 / 5, `${calls} calls`);
    assert.equal(client.state, 'live');
    const sent = client.publish('a', 1);
    await pass(1000);
    assert.equal((await sent).id, 'e');
    client.close();
    mock.restoreAll();
  }
});
