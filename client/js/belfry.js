/**
 * A client of the belfry event broker that reconnects, resumes exactly, and shares one connection among tabs.
 *
 *   import { connect } from '/belfry.js';
 *   const client = connect('/ws');
 *   client.subscribe('orders.>', { last: 20 }, ({ topic, data }) => console.log(topic, data));
 *
 * How it keeps what it promises: each subscription remembers the cursor that it has come to. On every new connection it
 * is asked for again after that cursor, gets nothing before its replay is over, and the replay as a whole then. So a
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
const DIAL = 10000; // how long a connection, or the answer to a request, may take
const TICKET = 30000; // how long a function may take to get an address or a token
const RENEW = 5000; // the shortest pause between two renewals of a token
const LATELY = 60000; // a token that was asked for so short a time ago is not renewed at once
const CERTAIN = 110000; // how long after the first attempt the broker still knows a repeated publish for one (dedupe_window, with room)
const LONGEST = 2 ** 31 - 1; // of what timers take, in ms

const isCursor = (text) => /^[0-9a-f]{24}$/.test(text);
const NOWHERE = '0'.repeat(24); // a cursor of no log: the broker tells of a gap, and then all that it has

/** Whether two cursors are of one log, which their first halves name. */
const sameLog = (a, b) => a.slice(0, 12) === b.slice(0, 12);

/** Whether a cursor is after another. Those of two logs have no order: what the broker says is of the log that it has now. */
const isAfter = (cursor, other) => !!cursor && (!other || !sameLog(cursor, other) || cursor > other);

/** Where what stood at a cursor goes on after a gap: at the beginning of a log that is another one. */
const restart = (cursor, { reason, from, to, refs }) => (cursor && reason === 'restarted' && (cursor === from || (refs && !sameLog(cursor, to))) ? to : cursor);

/** What begin() promises, unless it takes too long or the outer signal ends. Its own signal ends in any case. */
async function within(ms, begin, outer) {
  const end = new AbortController();
  let timer;
  try {
    return await Promise.race([begin(end.signal), new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${ms / 1000} seconds`)), ms);
      outer.addEventListener('abort', reject, { signal: end.signal });
    })]);
  } finally {
    clearTimeout(timer);
    end.abort();
  }
}

/** Checks what a function has got: a page that says "not found" is no token. */
function plain(what, text) {
  if (text instanceof URL) return text;
  const short = typeof text === 'string' ? text.trim() : '';
  if (/^[^\s<>"]+$/.test(short)) return short;
  const got = typeof text === 'string' ? `a text of ${text.length} characters` : String(text);
  throw new BelfryError('ticket', `want ${what}, got ${got}; look at response.ok first`);
}

/** What to tell of a message that can't be read. It is passed over: the next connection would bring it again. */
const unreadable = (text, error) => ({ type: 'error', code: 'unreadable', detail: `a message of ${text?.length} characters can't be read: ${error.message}` });

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
  #hearers = new Set(); // listeners of 'error'
  #end = new AbortController();

  constructor(url, options = {}) {
    super();
    this.#url = url;
    const figure = (name, usual, least = 1) => (options[name] >= least ? +options[name] : usual); // no pause may be none, or what is no number
    this.#options = {
      ...options,
      maxQueue: figure('maxQueue', 100, 0),
      minBackoff: figure('minBackoff', 500),
      maxBackoff: figure('maxBackoff', 30000),
      retryWebSocket: figure('retryWebSocket', 300000, 100),
    };
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
    const list = [].concat(topics);
    if (!list.length || list.some((t) => typeof t !== 'string')) throw new TypeError('subscribe: want a topic, or a list of them');
    if (typeof handler !== 'function') throw new TypeError('subscribe: want a function that takes each event');
    const cursor = !after || isCursor(after) ? after || undefined : NOWHERE;
    const sub = this.#add(list, handler, { cursor, last, onFrame });
    if (this.#up) this.#ask(sub);
    return {
      topics: sub.topics,
      get cursor() { return sub.cursor; },
      unsubscribe: () => {
        this.#drop(sub);
        if (this.#up && !this.#subs.size) this.#state('live');
      },
    };
  }

  publish(topic, data, { id, key = unique(), expiresIn, userId } = {}) {
    return new Promise((resolve, reject) => {
      const body = JSON.stringify({ topic, message: data, id, expires_in: expiresIn, user_id: userId });
      if (this.state === 'closed') throw new BelfryError('closed');
      if (this.#posts.size >= this.#options.maxQueue) throw new BelfryError('queue_full');
      const post = { op: { op: 'publish', ref: this.#ref(), body, key }, resolve, reject };
      this.#posts.set(post.op.ref, post);
      if (this.#up) this.#post(post);
    });
  }

  close() { this.#finish(new BelfryError('closed')); }

  addEventListener(type, listener, options) {
    super.addEventListener(type, listener, options);
    if (type !== 'error' || !listener || options?.once) return;
    this.#hearers.add(listener);
    options?.signal?.addEventListener('abort', () => this.#hearers.delete(listener));
  }

  removeEventListener(type, listener, options) {
    super.removeEventListener(type, listener, options);
    if (type === 'error') this.#hearers.delete(listener);
  }

  #ref() { return this.#id + ':' + ++this.#refs; }

  #drop({ ref }) {
    if (this.#subs.delete(ref) && this.#up) this.#send({ op: 'drop', ref });
  }

  #add(topics, handler, more) {
    const sub = { ref: this.#ref(), topics, handler, replay: [], newest: new Map(), ...more };
    this.#subs.set(sub.ref, sub);
    return sub;
  }

  #open() {
    const { shared = true, token } = this.#options;
    // Tabs that bring tickets or tokens of their own may be of several users: they have to say who shares.
    const address = typeof this.#url === 'string' ? this.#url : '';
    const name = typeof shared === 'string' ? shared + ' ' + address : shared && !token && address;
    const start = (take) => new Link(this.#url, this.#options, take);
    const take = (f) => this.#take(f);
    this.#line = name && globalThis.navigator?.locks && globalThis.BroadcastChannel ? new Share('belfry ' + name, this.#ref(), start, take) : start(take);
  }

  #send(op) {
    this.#log('>', op);
    this.#line.send(op);
  }

  #log(...what) {
    if (this.#options.debug) console.debug('belfry', ...what);
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

  #state(state, { code, reason, retryIn } = {}) {
    if (state === this.state) return;
    this.state = state;
    const detail = { state, code, reason, retryIn };
    this.#log('is', detail);
    this.#tell('state', detail);
  }

  #tell(type, detail) {
    if (type === 'error' && !this.#hearers.size) console.error('belfry:', detail); // nobody else would say it
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** Asks for a subscription by a new name, so that what still comes for an older request is nobody's. */
  #ask(sub) {
    this.#drop(sub);
    Object.assign(sub, { ref: this.#ref(), live: false, replay: [], replays: sub.cursor || sub.last });
    this.#subs.set(sub.ref, sub);
    const from = sub.cursor ? { after: sub.cursor } : { last: sub.last };
    this.#send({ op: 'subscribe', topics: sub.topics, ref: sub.ref, ...from });
  }

  #post(post) {
    post.op.since ??= Date.now();
    this.#send(post.op);
  }

  /** Takes what the broker says, or the line about itself. */
  #take(f) {
    if (this.state === 'closed') return;
    const sub = this.#subs.get(f.ref), post = this.#posts.get(f.ref);
    if (f.type !== 'state') this.#log('<', f);
    switch (f.type) {
      case 'state':
        if (f.state !== 'live') this.#up = false;
        return this.#state(f.state, f);
      case 'end': {
        const error = new BelfryError(f.reason || 'closed', f.detail || 'the broker has closed the connection: ' + f.code + ' ' + f.reason);
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
    }
    if (!this.#up) return; // it is of a connection that we were not greeted by: what came before it may be missing
    switch (f.type) {
      case 'gap': {
        const { topics, from, to, reason } = f;
        const about = [...this.#subs.values()].filter((s) => (!f.refs || f.refs.includes(s.ref)) && s.topics.some((t) => topics.includes(t)));
        for (const s of about) s.cursor = restart(s.cursor, f);
        if (about.length) this.#tell('gap', { topics, from, to, reason });
        return;
      }
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
  #moves(s, f) { return s.live && isAfter(f.cursor, s.cursor) && (!f.refs || f.refs.includes(s.ref)); }

  #welcome(f) {
    this.#up = true;
    let fresh;
    if (!this.#base && f.topics.length) {
      fresh = this.#base = this.#add(f.topics, (event) => this.#tell('event', event), { cursor: f.cursor, live: true });
    } else if (f.other && f.topics.length) this.#base.topics = f.topics;
    for (const s of [...this.#subs.values()]) if (s !== fresh || f.ask) this.#ask(s);
    for (const post of [...this.#posts.values()]) this.#post(post);
    if (!f.ask || !this.#subs.size) this.#state('live'); // else when there is a stream
  }

  #refused(f, sub, post) {
    const error = new BelfryError(f.code, f.detail);
    if (sub) error.topics = sub.topics;
    if (this.#subs.delete(f.ref)) this.#state('live'); // it is the broker that answers
    if (post) post.reject(error);
    else if (sub || !f.ref) this.#tell('error', error);
  }

  #live(sub, f) {
    this.#state('live');
    const { replay } = sub;
    Object.assign(sub, { live: true, replay: [] });
    if (isAfter(f.cursor, sub.cursor)) sub.cursor = f.cursor; // the connection may not be there yet
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
    } catch (error) { // it is the page's: its window hears of it, as of any other
      if (globalThis.reportError) reportError(error);
      else setTimeout(() => { throw error; });
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
  #ticket; // { url, token }, and whether it has been of use
  #at; // whose topics it has
  #wire; // the connection that has begun
  #wires = new Set(); // all there are: another may be tried beside it
  #attempt = 0;
  #failures = 0; // in a row
  #refused = 0; // handshakes of a WebSocket that failed in a row
  #told; // when to come back, by the broker, in ms
  #began;
  #asked = 0; // when it was last asked for credentials
  #retry; // timers
  #upgrade;
  #renewal;
  #posting = Promise.resolve();
  #end = new AbortController();

  constructor(source, options, take) {
    this.#source = source;
    this.#options = options;
    this.#take = take;
    for (const type of ['online', 'offline', 'visibilitychange']) {
      for (const target of [globalThis, globalThis.document]) target?.addEventListener?.(type, () => this.#look(type), { signal: this.#end.signal });
    }
    queueMicrotask(() => this.#end.signal.aborted || this.#connect());
  }

  send(op) {
    if (op.op !== 'publish') return this.#wire?.send(op);
    const wire = this.#wire;
    this.#posting = this.#posting.then(() => this.#post(op, wire));
  }

  close() {
    this.#end.abort();
    this.#attempt++;
    for (const timer of [this.#retry, this.#upgrade, this.#renewal]) clearTimeout(timer);
    this.#wire = undefined;
    for (const wire of this.#wires) wire.close();
  }

  /** Something has changed in the world: see whether the line is alive, or comes back now. */
  #look(type) {
    if (this.#wire) this.#wire.check(type);
    else if (this.#retry && this.#told === undefined) this.#connect();
  }

  /** Whether there is a function to ask for other credentials, or only for another token. */
  get #asks() { return typeof this.#source === 'function' || this.#renews; }
  get #renews() { return typeof this.#options.token === 'function'; }

  async #credentials() {
    this.#asked = Date.now();
    const given = await this.#ask(this.#source);
    const ticket = given && typeof given === 'object' && !(given instanceof URL) ? { ...given } : { url: given };
    ticket.url = plain('an address', ticket.url);
    const { token = ticket.token } = this.#options;
    ticket.token = token == null ? undefined : plain('a token', await this.#ask(token));
    return ticket;
  }

  #ask(what) { return typeof what === 'function' ? within(TICKET, async () => what(), this.#end.signal) : what; }

  async #connect(beside) {
    const attempt = ++this.#attempt;
    clearTimeout(this.#retry);
    this.#retry = this.#told = undefined;
    if (!beside) this.#take({ type: 'state', state: 'connecting' });
    try {
      this.#ticket ||= await this.#credentials();
    } catch (error) {
      if (attempt === this.#attempt) this.#failed(error, 'ticket', error?.permanent || !this.#asks);
      return;
    }
    if (attempt !== this.#attempt) return;
    const streams = this.#options.transport === 'sse' || !globalThis.WebSocket || (!beside && this.#refused >= 3 && this.#refused % 2);
    try {
      if (streams && !globalThis.fetch) throw new BelfryError('unsupported', 'there is neither WebSocket nor fetch here');
      const wire = (streams ? eventStreams : webSocket)(this.#ticket, (f) => this.#heard(wire, f), (code, reason) => this.#lost(wire, code, reason), this);
      this.#wires.add(wire);
    } catch (error) {
      if (beside) return this.#later(Infinity);
      this.#ticket = undefined;
      // The browser's own words may have the token in them.
      const told = error instanceof BelfryError ? error : new BelfryError('address', 'no connection can be made with this address or token: ' + error.name);
      this.#failed(told, 'address', error === told || !this.#asks);
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
      this.#refused = wire.streams ? Math.max(3, this.#refused) : 0;
      if (wire.streams) this.#later(2000); // soon at first: the broker itself may have been away
      const at = '' + this.#ticket?.url;
      f.other = this.topics && this.#at !== at; // its topics are not those of before
      if (this.#at !== at) this.topics = f.topics;
      this.#at = at;
      this.welcome = f;
    }
    if (this.#ticket && !f.ask) this.#ticket.used = true;
    if (f.type === 'closing') this.#told = f.reconnect_after_ms;
    else if (f.ref === AUTH && f.type === 'ack') clearTimeout(this.#renewal);
    else if (f.type === 'expiring') this.#expiring(wire, f.expires_in_ms);
    else if (f.type === 'error' && (f.ref === AUTH || wire !== this.#wire)) this.#take({ ...f, ref: undefined });
    else if (wire === this.#wire) {
      if (f.cursor && !f.refs) this.welcome.cursor = f.cursor;
      this.#take(f);
    }
  }

  /** Tries a WebSocket again, beside the streams that there are. */
  #later(pause) {
    clearTimeout(this.#upgrade);
    const { transport, retryWebSocket } = this.#options;
    if (transport !== 'sse' && globalThis.WebSocket) this.#upgrade = setTimeout(() => this.#connect(true), Math.min(pause, retryWebSocket, LONGEST));
  }

  /**
   * Has the token renewed before it ends: at once, but if one was asked for lately, in half of what is left. A token that
   * ends no later, as from a cache, makes no loop then. (The broker counts its leeway in: more may be left than the token has.)
   */
  #expiring(wire, left) {
    clearTimeout(this.#renewal);
    const pause = Math.abs(Date.now() - this.#asked) < LATELY ? Math.max(RENEW, left / 2) : 0;
    if (pause < left && this.#asks) this.#renewal = setTimeout(() => this.#renew(wire, left - pause), pause);
  }

  async #renew(wire, left) {
    const begun = this.#asked = Date.now();
    try {
      const token = this.#renews ? plain('a token', await this.#ask(this.#options.token)) : (await this.#credentials()).token;
      if (this.#ticket && token) this.#ticket.token = token; // the connection may have ended meanwhile
      if (wire === this.#wire && token) wire.send({ op: 'auth', token, ref: AUTH });
    } catch (error) {
      if (wire === this.#wire) this.#take(fault(error, 'ticket'));
    }
    if (wire === this.#wire) this.#expiring(wire, left - (Date.now() - begun)); // until the broker has taken it
  }

  #lost(wire, code, reason) {
    this.#wires.delete(wire);
    if (this.#wire && wire !== this.#wire) return this.#later(Infinity);
    if (this.#wire && Date.now() - this.#began >= STABLE) this.#failures = 0;
    else if (code === 1006 && (!this.#wire || wire.streams)) this.#refused++;
    clearTimeout(this.#upgrade);
    clearTimeout(this.#renewal);
    this.#wire = this.welcome = undefined;
    if (this.#wires.size) return this.#take({ type: 'state', state: 'connecting' }); // a WebSocket has taken over from its own streams
    // What counted once and does not any more is like what has ended; what is new and does not count is wrong.
    const expired = code === 4002 && (reason === 'token_expired' || (this.#ticket?.used && /^(revoked|credentials_invalid)$/.test(reason)));
    const asks = typeof this.#source === 'function' || (expired && this.#renews);
    if (asks && (expired || code === 4003 || code === 4004)) this.#ticket = undefined;
    else if (code >= 4000 && code < 4100) return this.#over(code, reason);
    this.#again(code, reason);
  }

  /** No connection could be tried. */
  #failed(error, kind, permanent) {
    const f = fault(error, kind);
    if (permanent) return this.#over(0, f.code, f.detail);
    this.#take(f);
    if (!this.#end.signal.aborted) this.#again(0, f.code); // what is told may have the page close it
  }

  #over(code, reason, detail) {
    this.close();
    this.#take({ type: 'end', code, reason, detail });
  }

  #again(code, reason) {
    const { minBackoff, maxBackoff } = this.#options;
    const first = !this.#failures++;
    let pause = Math.random() * Math.min(maxBackoff, minBackoff * 2 ** (this.#failures - 1));
    if (this.#told >= 0) pause = first ? this.#told : Math.max(pause, this.#told);
    else if (code >= 4100 && code < 4200) pause += minBackoff;
    else if (first && code && ((code >= 4200 && code < 4300) || !this.#ticket)) pause = 0;
    pause = Math.min(pause, LONGEST);
    this.#retry = setTimeout(() => this.#connect(), pause);
    this.#take({ type: 'state', state: 'offline', code, reason, retryIn: pause }); // last: the page may close it
  }

  /** Publishes by HTTP, whatever the events come by: the keys of repetitions are then of one kind. */
  async #post({ ref, body, key, since }, wire) {
    for (let n = 0; wire && wire === this.#wire; n++) { // else the page asks again on the next connection
      const age = Date.now() - since;
      if (!(age >= 0 && age < CERTAIN)) return this.#take({ type: 'error', ref, code: 'uncertain', detail: 'it may be published: the answer was lost' });
      const { url, token } = this.#ticket;
      const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': '"' + key + '"', ...bearer(token) };
      let answer, told = {};
      try {
        await within(DIAL, async (signal) => {
          answer = await fetch(resolve(url, 'http', 'publish'), { method: 'POST', headers, body, signal });
          told = await answer.json();
        }, this.#end.signal);
      } catch {} // no answer, or none of the broker's
      if (answer?.ok && told?.id) return this.#take({ type: 'receipt', ref, receipt: told });
      const wait = !answer || answer.ok || answer.status >= 500 || answer.status === 429 || answer.status === 409;
      if (!wait) return this.#take({ type: 'error', ref, code: told?.code || 'http_' + answer.status, detail: told?.detail });
      const pause = answer?.headers.get('Retry-After') * 1000 || Math.random() * Math.min(5000, 200 * 2 ** n);
      await within(Math.min(pause, CERTAIN), () => new Promise(() => {}), this.#end.signal).catch(() => {});
    }
  }
}

const AUTH = 'auth'; // the ref of what renews a token

/** What to tell of an error that somebody has thrown, whatever that is. */
const fault = (error, kind) => ({ type: 'error', code: typeof error?.code === 'string' ? error.code : kind, detail: error?.message || String(error) });

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
    timer = setTimeout(bark, Math.min(ms, LONGEST));
  };
  return { heard, stop };
}

/** A connection by belfry.v1. */
function webSocket({ url, token }, take, end, link) {
  const ws = new WebSocket(resolve(url, 'ws'), token ? ['belfry.v1', 'bearer.' + token] : ['belfry.v1']);
  const refs = new Map(); // topics
  const replays = []; // operations, in order
  let queue = [], beat = DIAL, most = Infinity, greeted = false;
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
      const op = queue.shift(), text = JSON.stringify(op);
      if (new TextEncoder().encode(text).length > most) { // the broker would close the connection, each time
        refs.delete(op.ref);
        queueMicrotask(() => ws.onmessage && take({ type: 'error', ref: op.ref, code: 'message_too_large', detail: `its topics take more than ${most} bytes` }));
        continue;
      }
      if (op.after || op.last) replays.push(op);
      ws.send(text);
    }
  };
  ws.onclose = ({ code, reason }) => finish(code, reason);
  const heard = (f) => {
    if (f.type === 'welcome') {
      beat = 2 * f.heartbeat_ms || DIAL;
      most = f.limits?.max_message || Infinity;
      refs.set('', link.topics || f.topics);
      greeted = true;
    }
    const [first] = replays; // they come one after another
    if (f.replay) f.ref = first?.ref;
    if (f.type === 'gap' && f.reason !== 'dropped' && f.from === first?.after) { // of its replay, and there may be another
      f.refs = [first.ref];
      first.after = f.to;
    }
    const at = replays.findIndex(({ ref }) => ref === f.ref);
    if (at >= 0 && (f.type === 'live' || f.type === 'error')) replays.splice(at, 1);
    take(f);
    pump();
  };
  ws.onmessage = ({ data }) => {
    try {
      heard(JSON.parse(data));
    } catch (error) {
      take(unreadable(data, error));
    }
    if (greeted && ws.onmessage) dog.heard(beat);
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

const CODES = { unknown_client: 4004, token_expired: 4002, credentials_missing: 4002, credentials_invalid: 4002, revoked: 4002, unregistered: 4000, replaced: 4001 };

/** Reads a stream of server-sent events (HTML standard, section 9.2.6) in pieces, as they come. */
function eventReader(take) {
  let rest = '', half = false, event = {};
  const line = (text) => {
    if (!text) {
      if (event.data || event.id) take(event);
      event = {};
      return;
    }
    const [, field, value] = /^([^:]*):? ?([^]*)$/.exec(text);
    if (field === 'data') event.data = event.data === undefined ? value : event.data + '\n' + value;
    else if (field === 'event' || field === 'id') event[field] = value;
  };
  return (text) => {
    if (half && text[0] === '\n') text = text.slice(1); // the other half of a CRLF
    if (!text) return;
    half = text.at(-1) === '\r';
    const lines = (rest + text).split(/\r\n|\r|\n/);
    rest = lines.pop();
    lines.forEach(line);
  };
}

/** The same by server-sent events, for where there is no WebSocket. Subscriptions that begin alike share a stream. */
function eventStreams({ url, token }, take, end) {
  const target = resolve(url, 'http', 'sse');
  const client = /\/sse\/(.+)$/.exec(target.pathname)?.[1];
  const headers = bearer(token);
  const refs = new Map(); // subscriptions; "after" moves on
  const streams = new Set();
  const gone = new AbortController();
  let greeted, due, over;
  const drop = (stream) => {
    streams.delete(stream);
    stream.cut.abort();
  };
  const close = () => {
    over = true;
    gone.abort();
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
  /** What is refused by the broker has no place here; what says somebody else may pass. */
  const fail = async (answer, ops, sift) => {
    const { status } = answer;
    const { code = status === 414 || status === 431 ? 'message_too_large' : '', detail } = await answer.json().catch(() => ({}));
    if (!code || CODES[code] || status === 429 || status >= 500 || !ops.length) return finish(CODES[code] || 1006, code || 'http_' + status);
    if (sift && ops.length > 1) return sift();
    for (const { ref } of ops) {
      refs.delete(ref);
      take({ type: 'error', ref, code, detail });
    }
  };

  const heard = (stream, { event = 'event', data, id }) => {
    const { ops } = stream;
    const known = ['event', 'welcome', 'gap', 'closing'].includes(event) && data;
    const f = known ? JSON.parse(data) : { type: 'heartbeat' }; // of others only the cursor counts
    if (known) f.type = event;
    f.cursor ??= id;
    f.refs = ops.map(({ ref }) => ref);
    if (event === 'closing') {
      if (!f.reconnect_after_ms) return finish(CODES[f.reason] || 1006, f.reason);
      take(f);
      return finish(1012, f.reason);
    }
    if (event === 'welcome') {
      stream.beat = 2 * f.heartbeat_ms || DIAL;
      stream.greeted = true;
      if (!greeted) return greet(f.topics, f.cursor);
      for (const op of ops) {
        if (!op.last) op.after ||= f.cursor;
        if (!op.live) take({ type: 'live', ref: op.ref, refs: [op.ref], cursor: op.after || '' });
        op.live = true;
      }
      return;
    }
    for (const op of ops) op.after = event === 'gap' ? restart(op.after, f) : isAfter(f.cursor, op.after) ? f.cursor : op.after;
    take(f);
  };
  const block = (stream, event) => {
    if (over) return;
    try {
      heard(stream, event);
    } catch (error) {
      take(unreadable(event.data, error));
      heard(stream, { event: 'heartbeat', id: event.id });
    }
  };

  /** Where a stream of several subscriptions begins: at the earliest; before the beginning, if they stand in several logs. */
  const start = (ops) => {
    const [first, ...more] = ops.map((op) => op.after).filter(Boolean).sort();
    return more.some((cursor) => !sameLog(first, cursor)) ? NOWHERE : first;
  };

  const get = (ops, signal) => {
    const u = new URL(target);
    u.searchParams.delete('topic');
    u.searchParams.set('envelope', 1);
    const after = start(ops);
    const last = Math.max(...ops.map((op) => op.last || 0));
    if (after) u.searchParams.set('after', after);
    else if (last > 0) u.searchParams.set('last', last);
    for (const topic of topicsOf(ops)) u.searchParams.append('topic', topic);
    return fetch(u, { headers, cache: 'no-store', signal });
  };
  const topicsOf = (ops) => new Set(ops.flatMap((op) => op.topics));

  const follow = async (ops) => {
    const stream = { ops, cut: new AbortController(), beat: DIAL, at: Date.now() };
    const { signal } = stream.cut;
    streams.add(stream);
    const dog = watchdog(() => stream.cut.abort());
    /** Finds those that have others refused: each is asked for together with those that were not. */
    const sift = async () => {
      dog.stop();
      const good = [];
      for (const op of ops) {
        await within(DIAL, async (signal) => {
          const answer = await get([...good, op], signal);
          if (answer.ok) good.push(op);
          else await fail(answer, [op]);
        }, signal);
        if (over) return;
      }
      drop(stream);
      open();
    };
    try {
      dog.heard(DIAL);
      if (client) for (const topic of topicsOf(ops)) {
        const query = new URLSearchParams({ client_id: client, topic });
        const added = await fetch(resolve(url, 'http', 'add_topic') + '?' + query, { method: 'POST', signal });
        if (!added.ok) await fail(added, ops.filter((op) => op.topics.includes(topic)));
        if (over) return;
      }
      const answer = await get(ops, signal);
      if (answer.status !== 200) {
        await fail(answer, ops, !client && sift);
        streams.delete(stream);
        return;
      }
      if (!/^text\/event-stream/.test(answer.headers.get('Content-Type'))) return finish(1006, 'no_stream');
      const body = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      const heard = eventReader((event) => block(stream, event));
      for (;;) {
        const { done, value } = await body.read();
        if (done || !streams.has(stream)) break;
        heard(value);
        stream.at = Date.now();
        if (stream.greeted && streams.has(stream)) dog.heard(stream.beat);
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
    const groups = new Map(client ? [['', []]] : []);
    for (const op of refs.values()) {
      const key = client ? '' : op.after ? op.after.slice(0, 12) : !!op.last;
      if (!has.has(op.ref)) groups.set(key, [...(groups.get(key) || []), op]);
    }
    for (const ops of groups.values()) follow(ops);
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
  /** A stream can't be asked whether it is alive. What may not be begins anew, where it was: nothing is lost. */
  const check = (type) => {
    if (![...streams].some((s) => type !== 'visibilitychange' || Date.now() - s.at > s.beat / 2 + 1000)) return;
    streams.forEach(drop);
    open();
  };

  if (client) open();
  else {
    within(DIAL, (signal) => fetch(resolve(url, 'http', 'health/live'), { signal }), gone.signal)
      .then((answer) => !over && (answer.ok ? greet(target.searchParams.getAll('topic')) : finish(1006, 'unhealthy')), () => finish(1006, 'unreachable'));
  }
  return { streams: true, send, close, check };
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
    this.#dog = watchdog(() => (this.#leave ? this.#silent() : this.#alone()), () => (this.#dog.heard(CHECK), true)); // what came while we slept is heard first
    this.#dog.heard(DIAL);
    try {
      this.#channel = new BroadcastChannel(name);
      this.#channel.onmessage = ({ data }) => this.#heard(data);
      this.#lock(name + ' ' + id, {}, (leave) => {
        this.#leave = leave;
        this.#queue();
        this.#hello();
      });
    } catch { // they are there, and refused
      this.#alone();
    }
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
    this.#channel?.close();
    this.#release?.();
    this.#leave?.();
  }

  /** Has a lock until the function that held() gets is called. Where locks are refused there is nothing to share. */
  #lock(name, options, held, lost = () => this.#alone()) {
    navigator.locks.request(name, options, () => new Promise((release) => {
      if (this.#closed) release();
      else held(release);
    })).catch(lost);
  }

  /** Has a connection of its own, as without anybody to share it with. */
  #alone() {
    if (this.#closed) return;
    this.close();
    this.#link = this.#start(this.#take);
  }

  /** Waits for its turn to lead. */
  #queue(steal) {
    this.#turn?.abort();
    const { signal } = this.#turn = new AbortController();
    this.#lock(this.#name, steal ? { steal } : { signal }, (release) => {
      this.#release = release;
      this.#lead();
    }, (error) => {
      if (signal.aborted) return;
      if (error?.name !== 'AbortError') return this.#alone();
      this.#queue();
      this.#follow(); // another tab took us for dead
    });
  }

  #lead() {
    this.#dog.stop();
    this.#leader = this.#id;
    this.#tabs = new Map();
    this.#link = this.#start((f) => this.#say(f));
    this.#channel.postMessage({ down: { type: 'lead' }, from: this.#id });
  }

  #follow() {
    this.#link?.close();
    this.#link = undefined;
    this.#greeted = false;
    this.#hello();
    this.#turnTo();
  }

  /** Has another leader, or none that it knows. What that one's connection says counts from its welcome on. */
  #turnTo(leader) {
    this.#leader = leader;
    this.#greeted = false;
    if (!this.#link) this.#take({ type: 'state', state: 'connecting' });
  }

  /** Asks the leader for a sign of life; a tab that has no welcome yet asks for one. */
  #hello() {
    this.#dog.heard(CHECK);
    this.#asked = true;
    this.#channel.postMessage({ up: { op: 'hello', fresh: !this.#greeted }, from: this.#id });
  }

  #silent() {
    if (!this.#asked) return this.#hello();
    this.#queue(true);
    this.#turnTo();
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
    if (down.type === 'lead') return this.#turnTo(from);
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
      const bury = () => {
        for (const ref of refs) link.send({ op: 'drop', ref });
        this.#tabs.delete(from);
      };
      navigator.locks.request(this.#name + ' ' + from, bury).catch(() => {}); // it is had when that tab is gone
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
