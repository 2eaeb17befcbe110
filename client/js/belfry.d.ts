/** Where to connect to: `/ws`, `wss://host/ws?topic=news`, or the URL that `POST /register` has answered. */
export type Address = string | URL;

/** An address with the token to bring. */
export interface Ticket {
  url: Address;
  token?: string;
}

export interface Options {
  /** A token, or what gets one within 30 seconds: called for the first, when one is about to end, and when one has ended. */
  token?: string | (() => string | Promise<string>);
  /**
   * Share one connection among the tabs of this origin that have the same address (default true). Those with a function as
   * address, or with a token, may be of several users: they share if they give the same name here, such as `'user 7'`.
   */
  shared?: boolean | string;
  /** Call handlers at most once per animation frame and topic, with the newest event. */
  onFrame?: boolean;
  /** How many publishes may wait for their answer (100). */
  maxQueue?: number;
  /** The pause after a first failure is random, up to this, and doubles (500), in ms. */
  minBackoff?: number;
  /** The longest pause (30000), in ms. */
  maxBackoff?: number;
  /** How often WebSocket is tried again while server-sent events stand in for it (300000), in ms. */
  retryWebSocket?: number;
  /** `'sse'` never tries WebSocket. Where there is none, `'auto'` does not either. */
  transport?: 'auto' | 'sse';
  /** Print changes of state, and what is said to and by the broker, but no address and no token, by console.debug (false). */
  debug?: boolean;
}

export interface BelfryEvent<T = any> {
  topic: string;
  id: string;
  /** RFC 3339, in UTC. */
  time: string;
  data: T;
  /** Where the event is in the log. Events of a replay have none. */
  cursor?: string;
  /** The user whom alone the event is for. */
  userId?: string;
  /** It was published before, and comes because of `last` or `after`, or after a lost connection. */
  replay: boolean;
}

export interface SubscribeOptions {
  /** Begin after this cursor. A text that is none is told as a gap. */
  after?: string;
  /** Begin with the newest so many events of each topic: 1 to 1000. */
  last?: number;
  onFrame?: boolean;
}

export interface Subscription {
  readonly topics: readonly string[];
  /** What to give as `after` to go on from here in another life of the page. */
  readonly cursor?: string;
  unsubscribe(): void;
}

export interface PublishOptions {
  /** The event's id; the broker gives one otherwise. */
  id?: string;
  /** The idempotency key; a random one otherwise. */
  key?: string;
  /** In seconds. */
  expiresIn?: number;
  /** Only this user's clients get the event. */
  userId?: string | number;
}

export interface Receipt {
  id: string;
  cursor: string;
  topic: string;
  matched: number;
  queued: number;
  scope: string;
  duplicate: boolean;
}

export type State = 'connecting' | 'live' | 'offline' | 'closed';

/** Events of these topics in (from, to] can't be had any more: load the page's state anew. */
export interface Gap {
  topics: string[];
  from: string;
  to: string;
  reason: 'expired' | 'restarted' | 'dropped';
}

export interface StateChange {
  state: State;
  /** The close code, if a connection has ended. */
  code?: number;
  reason?: string;
  /** When the next attempt is, in ms. */
  retryIn?: number;
}

export interface ClientEvents {
  state: CustomEvent<StateChange>;
  gap: CustomEvent<Gap>;
  /** What was refused, what could not be had or read, or what ended the client. Without a listener it is in the console. */
  error: CustomEvent<BelfryError>;
  /** An event of the topics that the URL or the registration brings. */
  event: CustomEvent<BelfryEvent>;
}

/** An EventTarget with the events of ClientEvents, and no others. */
export interface Client {
  readonly state: State;
  /** What the handler throws goes to reportError, and so to the window's `error` event. Throws a TypeError without topics or handler. */
  subscribe<T = any>(topics: string | readonly string[], handler: (event: BelfryEvent<T>) => void): Subscription;
  subscribe<T = any>(topics: string | readonly string[], options: SubscribeOptions | undefined, handler: (event: BelfryEvent<T>) => void): Subscription;
  /** Settles with the answer, however many connections that takes; fails with a BelfryError. */
  publish(topic: string, data: unknown, options?: PublishOptions): Promise<Receipt>;
  /** Ends the client for good. Publishes without an answer fail with code `closed`. */
  close(): void;
  addEventListener<K extends keyof ClientEvents>(type: K, listener: ClientListener<K>, options?: boolean | AddEventListenerOptions): void;
  removeEventListener<K extends keyof ClientEvents>(type: K, listener: ClientListener<K>, options?: boolean | EventListenerOptions): void;
  dispatchEvent(event: Event): boolean;
}

export type ClientListener<K extends keyof ClientEvents> =
  ((event: ClientEvents[K]) => void) | { handleEvent(event: ClientEvents[K]): void } | null;

/**
 * A failure with a stable code: one of the broker's, `closed`, `queue_full`, `uncertain`, `ticket` (no address or token can be
 * had), `address` (what was had is none to connect with), `unreadable` (a message), `unsupported` (neither WebSocket nor fetch
 * here), or `http_` and a status.
 */
export class BelfryError extends Error {
  constructor(code: string, detail?: string);
  readonly code: string;
  /** Of a subscription that was refused. */
  topics?: string[];
}

/**
 * Connects to a broker, and does so again whenever the connection is lost.
 * A function is asked for the first address, and for another when that has ended. An error that it throws counts as a failed
 * attempt, and so does one that takes 30 seconds, unless it has a property `permanent` that is true.
 */
export function connect(address: Address | (() => Address | Ticket | Promise<Address | Ticket>), options?: Options): Client;
