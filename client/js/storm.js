// Tabs, a broker and a clock of which a seed says what happens next. What one sends to one other stays in order; all else may be
// late, as it is where machines are busy: messages, locks, connections, timers, and whole tabs.
import { mock } from 'node:test';
import { connect } from './belfry.js';
import { c, set } from './fakes.js';

/** The place of a cursor in its log. */
const at = (cursor) => (cursor ? parseInt(cursor.slice(12), 16) : undefined);

const settle = () => new Promise(setImmediate);

/** Numbers from 0 to 1 that a seed names (mulberry32). */
function dice(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export class Storm {
  tabs = [];
  trace = [];
  now = 1e12;
  #dice;
  #lanes = new Set(); // each is a queue of what happens in order
  #current; // the tab that runs
  #timers = new Set();
  #locks = new Map();
  #channels = new Set();
  #conns = new Set();
  #log = [];
  #opened = 0;

  constructor(seed) {
    this.#dice = dice(seed);
    mock.method(Date, 'now', () => this.now);
    mock.method(Math, 'random', this.#dice);
    const storm = this;
    set('setTimeout', (f, ms) => {
      const timer = { due: this.now + ms, f, tab: this.#current };
      this.#timers.add(timer);
      return timer;
    });
    set('clearTimeout', (timer) => {
      this.#timers.delete(timer);
      if (timer) timer.f = undefined;
    });
    set('addEventListener', (type, f, { signal }) => {
      const tab = this.#current;
      tab.listeners.push({ type, f, signal });
    });
    set('navigator', { locks: { request: (...what) => this.#lock(...what) } });
    set('BroadcastChannel', class {
      constructor(name) {
        Object.assign(this, { name, tab: storm.#current, lanes: new Map() });
        storm.#channels.add(this);
      }
      postMessage(data) { storm.#broadcast(this, data); }
      close() { storm.#channels.delete(this); }
    });
    set('WebSocket', class {
      constructor() {
        Object.assign(this, { readyState: 0, tab: storm.#current, up: storm.#lane(), down: storm.#lane(storm.#current) });
        storm.#put(this.up, () => storm.#accept(this));
      }
      send(text) { storm.#put(this.up, () => storm.#said(this, JSON.parse(text))); }
      close() {
        this.readyState = 3;
        storm.#put(this.up, () => storm.#conns.delete(this.conn));
      }
    });
  }

  /** Whether something is so, once in so many times. */
  once(times) { return this.#dice() * times < 1; }
  pick(list) { return list[Math.floor(this.#dice() * list.length)]; }

  // What happens

  #lane(tab) { return { tab, tasks: [] }; }

  #put(lane, f, what) {
    lane.tasks.push(f);
    this.#lanes.add(lane);
  }

  async #as(tab, f) {
    this.#current = tab;
    f();
    await settle();
    for (const sub of tab?.subs || []) sub.start ??= at(sub.handle?.cursor);
  }

  /** Does one of the things that may be next. It is false if there is none. */
  async step() {
    const able = [...this.#lanes].filter(({ tab }) => !tab?.stalled);
    const conns = [...this.#conns].filter((conn) => this.#busy(conn));
    if (!able.length && !conns.length) return false;
    const next = this.pick([...able, ...conns]);
    if (!next.tasks) {
      this.#deliver(next);
      return true;
    }
    const f = next.tasks.shift();
    if (!next.tasks.length) this.#lanes.delete(next);
    if (!next.tab?.dead) await this.#as(next.tab, f);
    return true;
  }

  /** Has time pass up to the next timer, or by so much if there is none until then. It tells whether there was. */
  wait(ms = 60e3) {
    const [next] = [...this.#timers].sort((a, b) => a.due - b.due);
    if (!next || next.due > this.now + ms) {
      this.now += Math.max(0, ms);
      return false;
    }
    this.now = Math.max(this.now, next.due);
    this.#timers.delete(next);
    this.#put(this.#lane(next.tab), () => next.f?.());
    return true;
  }

  /** Lets all that is under way come to its end, and so much time pass. */
  async calm(ms) {
    for (const tab of this.tabs) tab.stalled = false;
    for (const end = this.now + ms; ; this.beat()) {
      for (let n = 0; await this.step();) if (++n > 20000) throw new Error('it loops');
      if (this.now >= end) return;
      const to = this.now + 10e3;
      while (this.wait(to - this.now)) for (let n = 0; n < 10 && await this.step(); n++) {}
    }
  }

  // Tabs

  async open(options) {
    const tab = { name: 'tab ' + this.#opened++, listeners: [], subs: [] };
    this.tabs.push(tab);
    await this.#as(tab, () => {
      tab.client = connect('ws://broker/ws', options);
      for (const type of ['state', 'error', 'gap']) tab.client.addEventListener(type, ({ detail }) => this.say(tab.name, type, JSON.stringify(detail)));
    });
    return tab;
  }

  async subscribe(tab, topics, from) {
    const sub = { topics, got: [], start: at(from.after) };
    tab.subs.push(sub);
    await this.#as(tab, () => {
      sub.handle = tab.client.subscribe(topics, from, ({ data }) => {
        this.say(tab.name, 'got', data);
        sub.got.push(data);
      });
    });
    return sub;
  }

  async unsubscribe(tab, sub) {
    tab.subs.splice(tab.subs.indexOf(sub), 1);
    await this.#as(tab, () => sub.handle.unsubscribe());
  }

  async tell(tab, type) {
    this.say('tell', tab.name, type);
    await this.#as(tab, () => {
      tab.listeners = tab.listeners.filter(({ signal }) => !signal?.aborted);
      for (const listener of tab.listeners) if (listener.type === type) listener.f();
    });
  }

  async close(tab) {
    this.say('close', tab.name);
    this.tabs.splice(this.tabs.indexOf(tab), 1);
    await this.#as(tab, () => tab.client.close());
  }

  /** Ends a tab as a crash does. */
  async kill(tab) {
    this.tabs.splice(this.tabs.indexOf(tab), 1);
    this.say('kill', tab.name);
    tab.dead = true;
    for (const timer of this.#timers) if (timer.tab === tab) this.#timers.delete(timer);
    for (const channel of this.#channels) if (channel.tab === tab) this.#channels.delete(channel);
    for (const conn of this.#conns) if (conn.socket.tab === tab) this.#conns.delete(conn);
    for (const [name, queue] of this.#locks) {
      const had = queue.filter((entry) => entry.tab === tab);
      for (const entry of had) queue.splice(queue.indexOf(entry), 1);
      if (had.length) this.#grant(name);
    }
  }

  // Locks and channels

  #lock(name, options, work = options) {
    return new Promise((resolve, reject) => {
      const entry = { work, resolve, reject, tab: this.#current, signal: options.signal };
      if (!this.#locks.has(name)) this.#locks.set(name, []);
      const queue = this.#locks.get(name);
      const stolen = new DOMException('stolen', 'AbortError');
      const robbed = options.steal && queue[0]?.on && queue.shift();
      if (robbed) this.#put(this.#lane(robbed.tab), () => robbed.reject(stolen));
      queue[options.steal ? 'unshift' : 'push'](entry);
      options.signal?.addEventListener('abort', () => {
        if (entry.on) return;
        queue.splice(queue.indexOf(entry), 1);
        reject(options.signal.reason);
      });
      this.#grant(name);
    });
  }

  #grant(name) {
    const queue = this.#locks.get(name);
    const [first] = queue;
    if (!first || first.on) return;
    first.on = true;
    this.say('lock', name, first.tab.name);
    const over = () => {
      if (queue[0] === first) queue.shift();
      this.#grant(name);
    };
    this.#put(this.#lane(first.tab), () => {
      if (first.signal?.aborted) {
        first.reject(first.signal.reason);
        return over();
      }
      Promise.resolve().then(first.work).then(first.resolve, first.reject).then(over);
    });
  }

  #broadcast(from, data) {
    if (!this.#channels.has(from)) throw new DOMException('closed', 'InvalidStateError');
    for (const to of this.#channels) {
      if (to === from || to.name !== from.name) continue;
      if (!from.lanes.has(to)) from.lanes.set(to, this.#lane(to.tab));
      const text = JSON.stringify(data);
      this.#put(from.lanes.get(to), () => this.#channels.has(to) && (this.say(to.tab.name, 'hears', text), to.onmessage({ data: JSON.parse(text) })));
    }
  }

  // The broker

  get head() { return this.#log.length; }
  get cursor() { return c(this.head); }

  publish(topic) {
    this.#log.push(topic);
    this.say('publish', topic, this.head);
  }

  cut() {
    const conn = this.pick([...this.#conns]);
    if (!conn) return;
    this.say('cut', conn.socket.tab.name);
    this.#end(conn, this.once(2));
  }

  #end(conn, lost) {
    this.#conns.delete(conn);
    const { socket } = conn;
    if (lost) socket.down.tasks.splice(this.#dice() * socket.down.tasks.length);
    this.#put(socket.down, () => socket.onclose?.({ code: 1006, reason: '' }));
  }

  beat() {
    for (const conn of this.#conns) this.#tell(conn, { type: 'heartbeat', cursor: c(conn.pos) });
  }

  #accept(socket) {
    if (socket.tab.dead || socket.readyState === 3) return;
    socket.conn = { socket, pos: this.head, subs: new Map(), replays: [] };
    this.#conns.add(socket.conn);
    this.#put(socket.down, () => { socket.readyState = 1; });
    this.#tell(socket.conn, { type: 'welcome', topics: [], cursor: this.cursor, heartbeat_ms: 15000 });
  }

  #tell({ socket }, f) {
    const data = JSON.stringify(f);
    this.#put(socket.down, () => {
      this.say(socket.tab.name, '<', data);
      socket.onmessage?.({ data });
    });
  }

  #said(socket, op) {
    const { conn } = socket;
    if (!this.#conns.has(conn)) return;
    this.say(socket.tab.name, '>', JSON.stringify(op));
    if (op.op === 'ping') return this.#tell(conn, { type: 'pong' });
    if (op.op === 'unsubscribe') {
      for (const topic of op.topics) {
        conn.subs.delete(topic);
        for (const replay of conn.replays) replay.topics = replay.topics.filter((t) => t !== topic);
      }
      return this.#tell(conn, { type: 'ack', cursor: c(conn.pos) });
    }
    const replay = { ref: op.ref, topics: op.topics, pos: at(op.after) };
    const from = op.after ? Math.max(conn.pos, replay.pos) : conn.pos;
    for (const topic of op.topics) conn.subs.set(topic, Math.min(conn.subs.get(topic) ?? Infinity, from));
    this.#tell(conn, { type: 'ack', ref: op.ref, cursor: c(conn.pos) });
    if (op.after) conn.replays.push(replay);
  }

  #busy(conn) { return conn.replays.length || conn.pos < this.head; }

  /** Goes on in a replay, or with the next event. */
  #deliver(conn) {
    const [replay] = conn.replays;
    const event = (n, more) => ({ type: 'event', topic: this.#log[n - 1], data: n, ...more });
    if (!replay) {
      const n = ++conn.pos;
      if (conn.subs.get(this.#log[n - 1]) < n) this.#tell(conn, event(n, { cursor: c(n) }));
    } else if (replay.pos < conn.pos) {
      const n = ++replay.pos;
      if (replay.topics.includes(this.#log[n - 1])) this.#tell(conn, event(n, { replay: true }));
    } else {
      conn.replays.shift();
      this.#tell(conn, { type: 'live', ref: replay.ref, cursor: c(conn.pos) });
    }
  }

  // What is told of it

  say(...what) {
    if (this.debug) this.trace.push(what.join(' '));
  }

  /** What is wrong with what a subscription has got: a text, or nothing. */
  fault({ topics, got, start }) {
    if (start === undefined) return 'never live';
    for (let i = 1; i < got.length; i++) if (got[i] <= got[i - 1]) return `${got[i]} after ${got[i - 1]}`;
    const want = [];
    for (let n = start + 1; n <= this.head; n++) if (topics.includes(this.#log[n - 1])) want.push(n);
    const without = want.filter((n) => !got.includes(n)), more = got.filter((n) => !want.includes(n));
    return without.length || more.length ? `without ${without}; with ${more}` : undefined;
  }
}
