/**
 * A client of the belfry event broker that reconnects, resumes exactly, and shares one connection among tabs.
 *
 *   import { connect } from '/belfry.js';
 *   const client = connect('/ws');
 *   client.subscribe('orders.>', { last: 20 }, ({ topic, data }) => console.log(topic, data));
 *
 * How it keeps what it promises: each subscription remembers the cursor that it has come to. On every new connection it
 * is asked for again behind that cursor, gets nothing before its replay is over, and the replay as a whole then. So a
 * cut at any moment, a second tab that takes over and another transport are all the same thing.
 */

/** @type {typeof import('./belfry.js').connect} */
export const connect = (url, options) => new Client(url, options);

/** What is wrong, with a stable `code`. */
export class BelfryError extends Error {
  constructor(code, detail) {
    super(detail || code);
    this.name = 'BelfryError';
    this.code = code;
  }
}

const STABLE = 5000; // a connection that lasted so long was a good one, in ms
const CHECK = 5000; // how long the answer to a ping may take
const DIAL = 10000; // how long a connection may take to begin
const CERTAIN = 110000; // how long after the first attempt the broker still knows a repeated publish for one (dedupe_window, with room)

const unique = () => [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, '0')).join('');

/** Whether an event's topic is one that a subscription is about. */
const matches = (pattern, topic) => {
  if (pattern === topic) return true;
  if (topic[0] === '$' && pattern[0] !== '$') return false;
  const want = pattern.split('.'), levels = topic.split('.');
  const more = want.at(-1) === '>';
  if (more) want.pop();
  return (more ? levels.length > want.length : levels.length === want.length) && want.every((w, i) => w === '*' || w === levels[i]);
};

/** Another address of the broker that a URL leads to. */
const resolve = (url, scheme, path) => {
  const u = new URL(url, globalThis.location?.href);
  u.protocol = u.protocol.replace(/^(http|ws)/, scheme);
  if (!path) return u;
  u.pathname = u.pathname.replace(/\/(ws|sse)(\/[^/]*)?$/, (_, kind, client = '') => '/' + path + (path === 'sse' ? client : ''));
  if (path !== 'sse') u.search = '';
  return u;
};

/** The page's side: subscriptions, and publishes without an answer. */
class Client extends EventTarget {
  state = 'connecting';
  #url;
  #options;
  #line; // a Link of its own, or a Share
  #up = false; // the line takes requests
  #id = unique();
  #refs = 0;
  #subs = new Map(); // by ref
  #posts = new Map(); // by ref
  #base; // the subscription to what the URL or the registration brings
  #end = new AbortController();

  constructor(url, options = {}) {
    super();
    this.#url = url;
    this.#options = { maxQueue: 100, minBackoff: 500, maxBackoff: 30000, retryWebSocket: 300000, ...options };
    this.#open();
    // A page that is frozen, or put aside for the way back, hears nothing, and must hold nothing that others wait for.
    const { signal } = this.#end;
    for (const target of [globalThis, globalThis.document]) {
      for (const type of ['pagehide', 'freeze']) target?.addEventListener?.(type, () => this.#shut('offline'), { signal });
      for (const type of ['pageshow', 'resume']) target?.addEventListener?.(type, () => this.#line || this.#open(), { signal });
    }
  }

  subscribe(topics, options, handler) {
    if (typeof options === 'function') [options, handler] = [{}, options];
    const { after, last, onFrame = this.#options.onFrame } = options || {};
    if (this.state === 'closed') throw new BelfryError('closed');
    const sub = this.#add([].concat(topics), handler, { cursor: after, last, onFrame });
    if (this.#up) this.#ask(sub);
    return {
      topics: sub.topics,
      get cursor() { return sub.cursor; },
      unsubscribe: () => this.#drop(sub),
    };
  }

  publish(topic, data, { id, key = unique(), expiresIn, userId } = {}) {
    const body = JSON.stringify({ topic, message: data, id, expires_in: expiresIn, user_id: userId });
    return new Promise((resolve, reject) => {
      if (this.state === 'closed') throw new BelfryError('closed');
      if (this.#posts.size >= this.#options.maxQueue) throw new BelfryError('queue_full');
      const post = { op: { op: 'publish', ref: this.#ref(), body, key }, resolve, reject };
      this.#posts.set(post.op.ref, post);
      if (this.#up) this.#post(post);
    });
  }

  close() { this.#finish(new BelfryError('closed')); }

  #ref() { return this.#id + ':' + ++this.#refs; }

  #drop({ ref }) {
    if (this.#subs.delete(ref) && this.#up) this.#line.send({ op: 'drop', ref });
  }

  #add(topics, handler, more) {
    const sub = { ref: this.#ref(), topics, handler, replay: [], newest: new Map(), ...more };
    this.#subs.set(sub.ref, sub);
    return sub;
  }

  #open() {
    const { shared = true, token } = this.#options;
    // Tabs that bring tickets or tokens of their own may be of several users: they have to say who shares.
    const name = typeof shared === 'string' ? shared : shared && !token && typeof this.#url === 'string' && this.#url;
    const start = (take) => new Link(this.#url, this.#options, take);
    const take = (f) => this.#take(f);
    this.#line = name && globalThis.navigator?.locks && globalThis.BroadcastChannel ? new Share('belfry ' + name, this.#id, start, take) : start(take);
  }

  #shut(state) {
    this.#up = false;
    if (state) this.#state(state);
    this.#line?.close();
    this.#line = undefined;
  }

  #finish(error, more) {
    if (this.state === 'closed') return;
    this.#end.abort();
    this.#shut();
    for (const { reject } of this.#posts.values()) reject(error);
    this.#posts.clear();
    this.#subs.clear();
    this.#state('closed', more);
  }

  #state(state, more) {
    if (state === this.state) return;
    this.state = state;
    this.#tell('state', { state, ...more });
  }

  #tell(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }

  /** Asks for a subscription under a new name, so that what still comes for an older request is nobody's. */
  #ask(sub) {
    this.#drop(sub);
    Object.assign(sub, { ref: this.#ref(), live: false, replay: [], replays: sub.cursor || sub.last });
    this.#subs.set(sub.ref, sub);
    const from = sub.cursor ? { after: sub.cursor } : { last: sub.last };
    this.#line.send({ op: 'subscribe', topics: sub.topics, ref: sub.ref, ...from });
  }

  #post(post) {
    post.since ??= Date.now();
    if (Date.now() - post.since < CERTAIN) return this.#line.send(post.op);
    this.#posts.delete(post.op.ref);
    post.reject(new BelfryError('uncertain', 'it may be published: the answer was lost'));
  }

  /** Takes what the broker says, or the line about itself. */
  #take(f) {
    const sub = this.#subs.get(f.ref), post = this.#posts.get(f.ref);
    switch (f.type) {
      case 'state':
        if (f.state !== 'live') this.#up = false;
        return this.#state(f.state, f);
      case 'end': {
        const error = new BelfryError(f.reason || 'closed', 'the broker has closed the connection: ' + f.code + ' ' + f.reason);
        this.#tell('error', error);
        return this.#finish(error, f);
      }
      case 'welcome':
        return this.#welcome(f);
      case 'receipt':
      case 'error':
        this.#posts.delete(f.ref);
        if (f.receipt) return post?.resolve(f.receipt);
        return this.#refused(f, sub, post);
      case 'gap':
        if ([...this.#subs.values()].some((s) => s.topics.some((t) => f.topics.includes(t)))) this.#tell('gap', f);
        return;
      case 'ack':
      case 'live':
        if (sub && (f.type === 'live' || !sub.replays)) this.#live(sub, f);
        break;
      case 'event':
        if (f.replay) return sub?.replay.push(f);
        for (const s of [...this.#subs.values()]) {
          if (this.#moves(s, f) && s.topics.some((t) => matches(t, f.topic))) {
            s.cursor = f.cursor;
            this.#deliver(s, f);
          }
        }
    }
    for (const s of this.#subs.values()) if (this.#moves(s, f)) s.cursor = f.cursor;
  }

  /** Whether what is said brings a subscription forward. */
  #moves(s, f) { return s.live && f.cursor > (s.cursor || '') && (!f.refs || f.refs.includes(s.ref)); }

  #welcome(f) {
    this.#up = true;
    let fresh;
    if (!this.#base && f.topics.length) {
      fresh = this.#base = this.#add(f.topics, (event) => this.#tell('event', event), { cursor: f.cursor, live: true });
    }
    for (const s of [...this.#subs.values()]) if (s !== fresh || f.ask) this.#ask(s);
    for (const post of [...this.#posts.values()]) this.#post(post);
    this.#state('live');
  }

  #refused(f, sub, post) {
    const error = new BelfryError(f.code, f.detail);
    if (sub) error.topics = sub.topics;
    this.#subs.delete(f.ref);
    if (post) post.reject(error);
    else if (sub || !f.ref) this.#tell('error', error);
  }

  #live(sub, f) {
    const { replay } = sub;
    Object.assign(sub, { live: true, cursor: f.cursor, replay: [] });
    for (const event of replay) this.#deliver(sub, event);
  }

  #deliver(sub, f) {
    const event = { topic: f.topic, id: f.id, time: f.time, data: f.data, cursor: f.cursor, userId: f.user_id, replay: !!f.replay };
    if (!sub.onFrame) return this.#call(sub, event);
    if (!sub.newest.size) {
      (globalThis.requestAnimationFrame || setTimeout)(() => {
        const events = [...sub.newest.values()];
        sub.newest.clear();
        for (const e of events) this.#call(sub, e);
      });
    }
    sub.newest.set(f.topic, event);
  }

  #call(sub, event) {
    if (!this.#subs.has(sub.ref)) return;
    try {
      sub.handler(event);
    } catch (error) {
      this.#tell('error', error);
    }
  }
}

/** The connection, made again whenever it is lost. It is one tab's, and may serve others. */
class Link {
  topics; // of what the URL or the registration brought first
  welcome; // of the connection that there is
  #source;
  #options;
  #take;
  #ticket; // { url, token }
  #wire; // the connection that has begun
  #wires = new Set(); // all there are: another may be tried beside it
  #attempt = 0;
  #failures = 0; // in a row
  #refused = 0; // handshakes of a WebSocket that failed in a row
  #told; // when to come back, by the broker, in ms
  #began;
  #retry; // timers
  #upgrade;
  #posting = Promise.resolve();
  #end = new AbortController();

  constructor(source, options, take) {
    this.#source = source;
    this.#options = options;
    this.#take = take;
    for (const type of ['online', 'offline', 'visibilitychange']) {
      for (const target of [globalThis, globalThis.document]) target?.addEventListener?.(type, () => this.#look(), { signal: this.#end.signal });
    }
    queueMicrotask(() => this.#connect());
  }

  send(op) {
    if (op.op !== 'publish') return this.#wire?.send(op);
    const wire = this.#wire;
    this.#posting = this.#posting.then(() => this.#post(op, wire));
  }

  close() {
    this.#end.abort();
    this.#attempt++;
    clearTimeout(this.#retry);
    clearTimeout(this.#upgrade);
    this.#wire = undefined;
    for (const wire of this.#wires) wire.close();
  }

  /** Something has changed in the world: see whether the line is alive, or comes back now. */
  #look() {
    if (this.#wire) this.#wire.check();
    else if (this.#retry && this.#told === undefined) this.#connect();
  }

  async #credentials() {
    const { token } = this.#options;
    const given = typeof this.#source === 'function' ? await this.#source() : this.#source;
    const ticket = typeof given === 'object' && !(given instanceof URL) ? { ...given } : { url: given };
    if (token) ticket.token = typeof token === 'function' ? await token() : token;
    return ticket;
  }

  async #connect(beside) {
    const attempt = ++this.#attempt;
    clearTimeout(this.#retry);
    this.#retry = this.#told = undefined;
    if (!beside) this.#take({ type: 'state', state: 'connecting' });
    try {
      const ticket = this.#ticket ||= await this.#credentials();
      if (attempt !== this.#attempt) return;
      const streams = this.#options.transport === 'sse' || (!beside && this.#refused >= 3 && this.#refused % 2);
      const wire = (streams ? eventStreams : webSocket)(ticket, (f) => this.#heard(wire, f), (code, reason) => this.#lost(wire, code, reason), this);
      this.#wires.add(wire);
    } catch (error) {
      if (attempt !== this.#attempt) return;
      this.#fault(error);
      if (error.permanent || error.name === 'SyntaxError') this.#over(0, error.message);
      else this.#again(0);
    }
  }

  #heard(wire, f) {
    if (f.type === 'welcome') {
      const before = this.#wire;
      this.#wire = wire;
      if (before) {
        this.#wires.delete(before);
        before.close();
      }
      this.#began = Date.now();
      this.#refused = wire.streams ? 3 : 0;
      if (wire.streams) this.#later(2000); // soon at first: the broker itself may have been away
      this.topics ||= f.topics;
      this.welcome = f;
    }
    if (f.type === 'closing') this.#told = f.reconnect_after_ms;
    else if (f.type === 'expiring') setTimeout(() => this.#renew(wire), f.expires_in_ms > 30000 ? 0 : f.expires_in_ms / 2); // not at once, or a short token would have us ask without end
    else if (wire === this.#wire) {
      if (f.cursor && !f.refs) this.welcome.cursor = f.cursor;
      this.#take(f);
    }
  }

  /** Tries a WebSocket again, beside the streams that there are. */
  #later(pause) {
    clearTimeout(this.#upgrade);
    if (this.#options.transport !== 'sse') this.#upgrade = setTimeout(() => this.#connect(true), Math.min(pause, this.#options.retryWebSocket));
  }

  async #renew(wire) {
    if (wire !== this.#wire || (typeof this.#source !== 'function' && typeof this.#options.token !== 'function')) return;
    try {
      const { token } = await this.#credentials();
      if (token && this.#ticket) this.#ticket.token = token; // it may have ended meanwhile
      if (token && wire === this.#wire) wire.send({ op: 'auth', token });
    } catch (error) {
      this.#fault(error);
    }
  }

  #lost(wire, code, reason) {
    this.#wires.delete(wire);
    if (this.#wire && wire !== this.#wire) return this.#later(Infinity);
    if (this.#wire && Date.now() - this.#began >= STABLE) this.#failures = 0;
    if (!this.#wire && code === 1006) this.#refused++;
    clearTimeout(this.#upgrade);
    this.#wire = this.welcome = undefined;
    if (this.#wires.size) return this.#take({ type: 'state', state: 'connecting' }); // a WebSocket has taken over from its own streams
    const expired = code === 4002 && reason === 'token_expired';
    const asks = typeof this.#source === 'function' || (expired && typeof this.#options.token === 'function');
    if (asks && (expired || code === 4003 || code === 4004)) this.#ticket = undefined;
    else if (code >= 4000 && code < 4100) return this.#over(code, reason);
    this.#again(code, reason);
  }

  #fault({ code = 'ticket', message }) { this.#take({ type: 'error', code, detail: message }); }

  #over(code, reason) {
    this.close();
    this.#take({ type: 'end', code, reason });
  }

  #again(code, reason) {
    const { minBackoff, maxBackoff } = this.#options;
    const first = !this.#failures++;
    let pause = Math.random() * Math.min(maxBackoff, minBackoff * 2 ** (this.#failures - 1));
    if (this.#told !== undefined) pause = this.#told;
    else if (code >= 4100 && code < 4200) pause += minBackoff;
    else if (first && ((code >= 4200 && code < 4300) || !this.#ticket)) pause = 0;
    this.#take({ type: 'state', state: 'offline', code, reason, retryIn: pause });
    this.#retry = setTimeout(() => this.#connect(), pause);
  }

  /** Publishes by HTTP, whatever the events come by: the keys of repetitions are then of one kind. */
  async #post({ ref, body, key }, wire) {
    for (let n = 0; wire && wire === this.#wire; n++) { // else the page asks again on the next connection
      const { url, token } = this.#ticket;
      const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': '"' + key + '"', ...bearer(token) };
      let answer, told = {};
      try {
        answer = await fetch(resolve(url, 'http', 'publish'), { method: 'POST', headers, body, signal: this.#end.signal });
        told = await answer.json();
      } catch {} // no answer, or none of the broker's
      if (answer?.ok && told.id) return this.#take({ type: 'receipt', ref, receipt: told });
      const wait = !answer || answer.ok || answer.status >= 500 || answer.status === 429 || answer.status === 409;
      if (!wait) return this.#take({ type: 'error', ref, code: told.code || 'http_' + answer.status, detail: told.detail });
      const pause = answer?.headers.get('Retry-After') * 1000 || Math.random() * Math.min(5000, 200 * 2 ** n);
      await new Promise((over) => { setTimeout(over, pause); });
    }
  }
}

const bearer = (token) => (token ? { Authorization: 'Bearer ' + token } : {});

/** Calls dead() when nothing was heard for too long; late() first if it was us who slept. */
function watchdog(dead, late) {
  let timer, due;
  const bark = () => {
    if (!late || Date.now() - due < 1000 || !late()) dead();
  };
  const stop = () => clearTimeout(timer);
  const heard = (ms) => {
    stop();
    due = Date.now() + ms;
    timer = setTimeout(bark, ms);
  };
  return { heard, stop };
}

/** A connection by belfry.v1. */
function webSocket({ url, token }, take, end, link) {
  const ws = new WebSocket(resolve(url, 'ws'), token ? ['belfry.v1', 'bearer.' + token] : ['belfry.v1']);
  const refs = new Map(); // topics
  const replays = []; // refs, in order
  let queue = [], beat = DIAL;
  const ping = () => {
    if (ws.readyState !== 1) return false;
    ws.send('{"op":"ping"}');
    dog.heard(CHECK);
    return true;
  };
  const close = () => {
    dog.stop();
    ws.onmessage = ws.onclose = null;
    ws.close();
  };
  const finish = (code, reason) => {
    close();
    end(code, reason);
  };
  const dog = watchdog(() => finish(1006, 'silent'), ping);
  dog.heard(beat);
  const pump = () => {
    while (queue.length && replays.length < 16) {
      const op = queue.shift();
      if (op.after || op.last) replays.push(op.ref);
      ws.send(JSON.stringify(op));
    }
  };
  ws.onclose = ({ code, reason }) => finish(code, reason);
  ws.onmessage = ({ data }) => {
    const f = JSON.parse(data);
    if (f.type === 'welcome') {
      beat = 2 * f.heartbeat_ms;
      refs.set('', link.topics || f.topics);
    }
    dog.heard(beat);
    if (f.replay) f.ref = replays[0]; // they come one after another
    const at = replays.indexOf(f.ref);
    if (at >= 0 && (f.type === 'live' || f.type === 'error')) replays.splice(at, 1);
    take(f);
    pump();
  };
  const send = (op) => {
    if (op.op === 'subscribe') {
      refs.set(op.ref, op.topics);
      queue.push(op);
      return pump();
    }
    if (op.op === 'auth') return ws.send(JSON.stringify(op));
    const topics = refs.get(op.ref) || [];
    refs.delete(op.ref);
    queue = queue.filter(({ ref }) => ref !== op.ref);
    const kept = [...refs.values()].flat();
    const gone = topics.filter((t) => !kept.includes(t));
    if (gone.length) ws.send(JSON.stringify({ op: 'unsubscribe', topics: gone }));
  };
  return { send, close, check: ping };
}

const CODES = { unknown_client: 4004, token_expired: 4002, credentials_missing: 4002, credentials_invalid: 4002, unregistered: 4000, replaced: 4001 };

/** The same by server-sent events, for where WebSocket is blocked. Subscriptions that begin alike share a stream. */
function eventStreams({ url, token }, take, end) {
  const target = resolve(url, 'http', 'sse');
  const client = /\/sse\/(.+)$/.exec(target.pathname)?.[1];
  const headers = bearer(token);
  const refs = new Map(); // subscriptions; "after" moves on
  const streams = new Set();
  let greeted, due, over;
  const drop = (stream) => {
    streams.delete(stream);
    stream.cut.abort();
  };
  const close = () => {
    over = true;
    streams.forEach(drop);
  };
  const finish = (code, reason) => {
    if (over) return;
    close();
    end(code, reason);
  };
  const greet = (topics, cursor) => {
    greeted = true;
    take({ type: 'welcome', topics, cursor, ask: true });
  };
  const fail = async (answer, ops) => {
    const { code = '', detail } = await answer.json().catch(() => ({}));
    if (CODES[code] || answer.status >= 429 || !ops.length) return finish(CODES[code] || 1006, code);
    for (const { ref } of ops) {
      refs.delete(ref);
      take({ type: 'error', ref, code, detail });
    }
  };

  const heard = (stream, { event, data, id }) => {
    const { ops } = stream;
    const f = data ? JSON.parse(data) : { type: 'heartbeat', cursor: id };
    if (event) f.type = event;
    f.refs = ops.map(({ ref }) => ref);
    if (event === 'closing') {
      if (!f.reconnect_after_ms) return finish(CODES[f.reason] || 1006, f.reason);
      take(f);
      return finish(1012, f.reason);
    }
    if (event === 'welcome') {
      stream.beat = 2 * f.heartbeat_ms;
      if (!greeted) return greet(f.topics, f.cursor);
      for (const op of ops) {
        if (!op.live) take({ type: 'live', ref: op.ref, refs: [op.ref], cursor: op.after || (op.last ? '' : f.cursor) });
        op.live = true;
      }
      return;
    }
    for (const op of ops) if (f.cursor > (op.after || '')) op.after = f.cursor;
    take(f);
  };

  const read = async (ops) => {
    const stream = { ops, cut: new AbortController(), beat: DIAL };
    streams.add(stream);
    const dog = watchdog(() => stream.cut.abort());
    const u = new URL(target);
    u.searchParams.delete('topic');
    u.searchParams.set('envelope', 1);
    const topics = new Set(ops.flatMap((op) => op.topics));
    const after = ops.map((op) => op.after).filter(Boolean).sort()[0];
    const last = Math.max(...ops.map((op) => op.last || 0));
    if (after) u.searchParams.set('after', after);
    else if (last > 0) u.searchParams.set('last', last);
    try {
      dog.heard(DIAL);
      for (const topic of topics) {
        u.searchParams.append('topic', topic);
        if (client) await fetch(resolve(url, 'http', 'add_topic') + '?' + new URLSearchParams({ client_id: client, topic }), { method: 'POST', signal: stream.cut.signal });
      }
      const answer = await fetch(u, { headers, cache: 'no-store', signal: stream.cut.signal });
      if (answer.status !== 200) {
        streams.delete(stream);
        return fail(answer, ops);
      }
      const body = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let text = ''; ;) {
        const { done, value } = await body.read();
        if (done || !streams.has(stream)) break;
        const blocks = (text + value).split('\n\n');
        text = blocks.pop();
        for (const block of blocks) if (!over) heard(stream, Object.fromEntries(block.split('\n').map((line) => /^(\w+): (.*)/.exec(line)?.slice(1) || [])));
        dog.heard(stream.beat);
      }
    } catch {} finally { // whatever it was, the line is lost
      dog.stop();
    }
    if (streams.has(stream)) finish(1006, 'lost');
  };

  const open = () => {
    due = false;
    if (over) return;
    if (client || streams.size > 1) streams.forEach(drop); // browsers have few connections for one host
    const has = new Set([...streams].flatMap(({ ops }) => ops.map(({ ref }) => ref)));
    const groups = new Map();
    for (const op of refs.values()) {
      const key = client ? '' : op.after ? 'after' : !!op.last;
      if (!has.has(op.ref)) groups.set(key, [...(groups.get(key) || []), op]);
    }
    for (const ops of groups.values()) read(ops);
  };
  const send = (op) => {
    if (op.op === 'subscribe') refs.set(op.ref, { ...op });
    else if (op.op === 'drop') {
      refs.delete(op.ref);
      for (const s of streams) {
        s.ops = s.ops.filter(({ ref }) => ref !== op.ref);
        if (!s.ops.length && !client) drop(s);
      }
      return;
    }
    if (!due) queueMicrotask(open);
    due = true;
  };

  if (client) read([]);
  else {
    fetch(resolve(url, 'http', 'health/live'), { signal: AbortSignal.timeout(DIAL) })
      .then((answer) => !over && (answer.ok ? greet(target.searchParams.getAll('topic')) : finish(1006, 'unhealthy')), () => finish(1006, 'unreachable'));
  }
  return { streams: true, send, close, check() {} };
}

/** The line of one tab of several: one of them, by a lock, has the connection, and the others hear it over a channel. */
class Share {
  #name;
  #id;
  #start;
  #take;
  #channel;
  #leader;
  #link; // if it is ours
  #release; // of the leader's lock
  #leave; // of our own, by which the leader sees us go
  #turn; // of waiting to lead
  #closed = false;
  #greeted = false; // by the connection that the leader has
  #tabs; // those that we serve
  #dog; // of the leader
  #asked; // it is to answer now
  #beat = DIAL;

  constructor(name, id, start, take) {
    this.#name = name;
    this.#id = id;
    this.#start = start;
    this.#take = take;
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = ({ data }) => this.#heard(data);
    this.#dog = watchdog(() => this.#silent());
    navigator.locks.request(name + ' ' + id, () => new Promise((leave) => {
      this.#leave = leave;
      if (this.#closed) return leave();
      this.#queue();
      this.#hello();
    }));
  }

  send(op) {
    if (this.#link) this.#link.send(op);
    else this.#channel.postMessage({ up: op, from: this.#id });
  }

  close() {
    this.#closed = true;
    this.#turn?.abort();
    this.#dog.stop();
    this.#link?.close();
    this.#channel.close();
    this.#release?.();
    this.#leave?.();
  }

  /** Waits for its turn to lead. */
  #queue(steal) {
    this.#turn?.abort();
    const { signal } = this.#turn = new AbortController();
    navigator.locks.request(this.#name, steal ? { steal } : { signal }, () => new Promise((release) => {
      this.#release = release;
      this.#lead();
    })).catch(() => {
      if (signal.aborted) return;
      this.#follow(); // another tab took us for dead
      this.#queue();
    });
  }

  #lead() {
    if (this.#closed) return this.#release();
    this.#dog.stop();
    this.#leader = this.#id;
    this.#tabs = new Map();
    this.#link = this.#start((f) => this.#say(f));
    this.#channel.postMessage({ down: { type: 'lead' }, from: this.#id });
  }

  #follow() {
    this.#link?.close();
    this.#link = this.#leader = undefined;
    this.#greeted = false;
    this.#take({ type: 'state', state: 'connecting' });
    this.#hello();
  }

  /** Asks the leader for a sign of life; a tab that knows none yet asks for a welcome. */
  #hello() {
    this.#dog.heard(CHECK);
    this.#asked = true;
    this.#channel.postMessage({ up: { op: 'hello', fresh: !this.#leader }, from: this.#id });
  }

  #silent() {
    if (!this.#asked) return this.#hello();
    this.#leader = undefined;
    this.#queue(true);
  }

  /** What the connection says is for all tabs. */
  #say(f, to) {
    this.#channel.postMessage({ down: f, from: this.#id, to });
    if (!to) this.#take(f);
  }

  #heard({ up, down, from, to }) {
    if (up) {
      if (this.#link) this.#serve(up, from);
      return;
    }
    if (down.type === 'lead') {
      this.#leader = from;
      this.#greeted = false;
      if (!this.#link) this.#take({ type: 'state', state: 'connecting' });
      return;
    }
    if (this.#link || (to && to !== this.#id)) return;
    this.#leader ??= from;
    if (from !== this.#leader) return; // one that was frozen, and does not know yet
    this.#asked = false;
    this.#dog.heard(this.#beat);
    if (down.type === 'state') this.#greeted = false;
    if (down.type === 'welcome') {
      if (to && this.#greeted) return; // it has crossed our hello
      this.#greeted = true;
      this.#beat = 2 * down.heartbeat_ms || DIAL;
    }
    this.#take(down);
  }

  #serve(op, from) {
    if (!this.#tabs.has(from)) {
      const refs = new Set();
      this.#tabs.set(from, refs);
      const link = this.#link;
      navigator.locks.request(this.#name + ' ' + from, () => { // it is gone
        for (const ref of refs) link.send({ op: 'drop', ref });
        this.#tabs.delete(from);
      });
    }
    if (op.op === 'hello') {
      const { welcome } = this.#link;
      if (op.fresh && welcome) this.#say(welcome, from);
      else this.#say({ type: 'alive' }, from);
      return;
    }
    this.#tabs.get(from)[op.op === 'subscribe' ? 'add' : 'delete'](op.ref);
    this.#link.send(op);
  }
}
