// A broker, a clock, locks and tabs that are made up, for the tests of the client.
import { mock, beforeEach, afterEach } from 'node:test';
import { connect } from './belfry.js';

/** What there is in a test: what the client has opened, asked for and said, and how it is answered. */
export const world = {};

/** A cursor of a log. */
export const c = (n, log = 'a') => log.repeat(12) + n.toString(16).padStart(12, '0');

class FakeSocket {
  constructor(url, protocols) {
    Object.assign(this, { url: String(url), protocols, readyState: 0, sent: [] });
    world.sockets.push(this);
    if (world.dialled) setTimeout(() => this.closed || world.dialled(this), 0);
  }
  send(text) {
    const op = JSON.parse(text);
    this.sent.push(op);
    world.said?.(this, op);
  }
  close() { this.closed = true; }
  say(m) { this.hear(JSON.stringify(m)); }
  hear(data) { this.onmessage?.({ data }); }
  end(code, reason = '') { this.onclose?.({ code, reason }); }
  welcome(more) {
    this.readyState = 1;
    this.say({ type: 'welcome', topics: [], cursor: c(0), heartbeat_ms: 15000, ...more });
  }
  ops(op) { return this.sent.filter((m) => m.op === op); }
}

/** The answer to a request for a stream, of which the test says the pieces. */
class FakeStream {
  constructor(url, signal) {
    this.url = new URL(url);
    const body = new ReadableStream({ start: (into) => { this.into = into; } });
    this.response = new Response(body.pipeThrough(new TextEncoderStream()), { headers: { 'Content-Type': 'text/event-stream; charset=utf-8' } });
    signal.addEventListener('abort', () => {
      this.cut = true;
      try {
        this.into.error(new Error('cut'));
      } catch {} // it has ended
    });
    world.streams.push(this);
  }
  hear(text) { this.into.enqueue(text); }
  /** An event as the broker writes it, the id last. */
  say(event, data, id) { this.hear((event ? `event: ${event}\n` : '') + `data: ${JSON.stringify(data)}\n` + (id ? `id: ${id}\n` : '') + '\n'); }
  welcome(cursor, topics = this.url.searchParams.getAll('topic'), beat = 15000) { this.say('welcome', { topics, cursor, heartbeat_ms: beat }, cursor); }
  event(topic, data, cursor) { this.say('', { type: 'event', topic, data, cursor }, cursor); }
  end() { this.into.close(); }
}

/** Answers requests for streams, and the question whether the broker is there, as a broker does. */
export function serveStreams(opened = () => {}) {
  world.fetched = (url, { signal }) => {
    if (url.includes('/health/live')) return new Response('{}');
    if (!url.includes('/sse')) return undefined;
    const stream = new FakeStream(url, signal);
    opened(stream);
    return stream.response;
  };
}

/** Web Locks and BroadcastChannels for tabs that are all in this process. */
export function fakeTabs() {
  const held = new Map(), channels = new Set();
  const queue = (name) => held.get(name) || held.set(name, []).get(name);
  const next = (name) => {
    const [first] = queue(name);
    if (!first || first.on) return;
    first.on = true;
    Promise.resolve().then(first.work).then(first.resolve, first.reject).then(() => {
      const at = queue(name).indexOf(first);
      if (at >= 0) queue(name).splice(at, 1);
      next(name);
    });
  };
  const locks = {
    request: (name, options, work = options) => new Promise((resolve, reject) => {
      const entry = { work, resolve, reject };
      const robbed = options.steal && queue(name).shift();
      if (robbed) Promise.resolve(world.hang).then(() => robbed.reject(new DOMException('stolen', 'AbortError')));
      queue(name)[options.steal ? 'unshift' : 'push'](entry);
      options.signal?.addEventListener('abort', () => {
        if (entry.on) return;
        queue(name).splice(queue(name).indexOf(entry), 1);
        reject(new DOMException('aborted', 'AbortError'));
      });
      next(name);
    }),
  };
  class Channel {
    constructor(name) {
      this.name = name;
      channels.add(this);
    }
    postMessage(data) {
      if (!channels.has(this)) throw new DOMException('closed', 'InvalidStateError');
      if (this.hangs) return;
      for (const other of channels) {
        if (other !== this && other.name === this.name) queueMicrotask(() => !other.hangs && channels.has(other) && other.onmessage({ data: structuredClone(data) }));
      }
    }
    close() { channels.delete(this); }
  }
  set('navigator', { locks });
  set('BroadcastChannel', Channel);
  return channels;
}

const before = new Map();

/** Sets a global until the test ends. */
export function set(name, value) {
  if (!before.has(name)) before.set(name, Object.getOwnPropertyDescriptor(globalThis, name));
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}

export const settle = async () => { for (let i = 0; i < 5; i++) await new Promise(setImmediate); };
export const tick = async (ms) => {
  mock.timers.tick(ms);
  await settle();
};
/** Lets time pass in small steps, as it does. */
export const pass = async (ms, step = 500) => { for (; ms > 0; ms -= step) await tick(Math.min(ms, step)); };
export const last = () => world.sockets.at(-1);

export async function begin(options, source = 'ws://broker/ws') {
  const client = connect(source, options);
  client.told = [];
  for (const type of ['state', 'error', 'gap', 'event']) client.addEventListener(type, ({ detail }) => client.told.push([type, detail]));
  await settle();
  return client;
}

beforeEach(() => {
  Object.assign(world, { sockets: [], streams: [], asked: [], answers: [], dialled: undefined, hang: undefined, said: undefined, fetched: undefined });
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1e12 });
  mock.method(Math, 'random', () => 0.5);
  set('WebSocket', FakeSocket);
  set('fetch', async (url, options = {}) => {
    const { method, headers, body } = options;
    const own = await world.fetched?.(String(url), options);
    if (own) return own;
    world.asked.push({ url: String(url), method, headers, body });
    const answer = world.answers.length ? world.answers.shift() : [200, { id: 'e' }];
    if (!answer) throw new TypeError('the line is cut');
    return new Response(JSON.stringify(answer[1]), { status: answer[0], headers: answer[2] });
  });
});
afterEach(() => {
  for (const [name, descriptor] of before) {
    if (descriptor) Object.defineProperty(globalThis, name, descriptor);
    else delete globalThis[name];
  }
  before.clear();
  mock.timers.reset();
  mock.restoreAll();
});
