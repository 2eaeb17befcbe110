// The interface to the broker: calls, and connections of belfry.v1 that reconnect.

// stored is a text in the browser's storage of that name. If storage is refused, as with
// blocked cookies, the text lasts as long as the page.
export function stored(kind, name) {
  let kept = '';
  const attempt = (f) => {
    try {
      return f(window[kind]);
    } catch {
      return undefined;
    }
  };
  return {
    get: () => attempt((storage) => storage.getItem(name)) ?? kept,
    set(text) {
      kept = text;
      attempt((storage) => storage.setItem(name, text));
    },
    forget() {
      kept = '';
      attempt((storage) => storage.removeItem(name));
    },
  };
}

export const key = stored('sessionStorage', 'belfry.key');

// A Problem is a refusal (RFC 9457), or a missing answer.
export class Problem extends Error {
  constructor(status, code, detail) {
    super(code ? `${detail} (${code})` : detail);
    this.status = status;
    this.code = code;
  }
}

const base = new URL('.', location.href);

// exact parses JSON and keeps the digits of numbers, where the browser can.
export function exact(text) {
  if (!JSON.rawJSON) return JSON.parse(text);
  return JSON.parse(text, (_, value, context) =>
    (typeof value === 'number' && context.source !== String(value) ? JSON.rawJSON(context.source) : value));
}

// call calls the broker. The body is a JSON object as text.
export async function call(method, path, { body, signal, parse = JSON.parse } = {}) {
  const headers = {};
  if (key.get()) headers.Authorization = 'Bearer ' + key.get();
  if (body) headers['Content-Type'] = 'application/json';
  let response, text;
  try {
    response = await fetch(new URL(path, base), { method, headers, body, signal });
    text = await response.text();
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Problem(0, '', 'The broker does not answer: ' + error.message);
  }
  if (response.ok) return parse(text);
  let document;
  try {
    document = JSON.parse(text);
  } catch {
    throw new Problem(response.status, '', 'The answer is ' + response.status + ' without a problem document; is there a proxy in between?');
  }
  if (response.status === 401) window.dispatchEvent(new CustomEvent('belfry-key', { detail: document }));
  throw new Problem(response.status, document.code, document.detail);
}

export const get = (path, options) => call('GET', path, options);

// query returns the query for the given values.
export function query(parameters) {
  const given = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== '' && value !== undefined));
  return given.size ? '?' + given : '';
}

const silent = 10_000; // milliseconds that a connection may take to begin

// follow subscribes until the signal. It reconnects after a cut, or after two heartbeats
// of silence. It calls on.event(event), on.gap(gap), on.state(text, up) and, if it cannot
// reconnect, on.end(text).
export function follow(topics, on, signal, parse = JSON.parse) {
  let cursor = '', pause = 0, attempts = 0, beat, socket, timer, watch;
  const heard = () => {
    clearTimeout(watch);
    watch = setTimeout(() => {
      socket.onmessage = socket.onclose = null; // a dead line may take minutes to close
      socket.close();
      closed({ code: 1006 });
    }, beat);
  };
  const closed = ({ code, reason }) => {
    clearTimeout(watch);
    if (signal.aborted) return;
    if (code >= 4000 && code < 4100 || code === 1008) {
      on.end(`the broker ended the connection: ${reason} (${code})`);
      return;
    }
    const wait = pause || Math.min(15_000, 500 * 2 ** Math.min(attempts++, 5)) * (0.5 + Math.random());
    on.state('connection lost, reconnecting', false);
    timer = setTimeout(open, wait);
  };
  const open = () => {
    const address = new URL('ws' + query({ after: cursor }), base);
    address.protocol = base.protocol.replace('http', 'ws');
    for (const topic of topics) address.searchParams.append('topic', topic);
    on.state('connecting', false);
    try {
      socket = new WebSocket(address, ['belfry.v1', ...(key.get() ? ['bearer.' + key.get()] : [])]);
    } catch (error) { // the key does not fit into the handshake
      on.end(error.message);
      return;
    }
    pause = 0;
    beat = silent;
    heard();
    socket.onmessage = ({ data }) => {
      if (signal.aborted) return;
      take(parse(data));
      heard();
    };
    socket.onclose = closed;
  };
  const take = (m) => {
    if (m.cursor) cursor = m.cursor;
    if (m.type === 'welcome') {
      attempts = 0;
      beat = 2 * m.heartbeat_ms || silent;
      on.state('connected', true);
    } else if (m.type === 'event') on.event(m);
    else if (m.type === 'gap') on.gap?.(m);
    else if (m.type === 'closing') pause = Number(m.reconnect_after_ms ?? 0);
  };
  signal.addEventListener('abort', () => {
    clearTimeout(timer);
    clearTimeout(watch);
    if (socket?.readyState === WebSocket.CONNECTING) socket.onopen = () => socket.close();
    else socket?.close();
  }, { once: true });
  open();
}
