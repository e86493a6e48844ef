/**
 * Follows a Signalbox host over WebSocket: resumes after a break at the exact event, checks the chain of each room, comes
 * back with full jitter, and calls methods. Works in browsers, and in Node with `WebSocket` (global from 22 on, else `ws`).
 */
import type { CallError, HostFrame, Methods, PresenceState, ServerFrame, SignalboxEvent } from './protocol.js';

export type * from './protocol.js';

/** What is needed of a WebSocket. */
export interface Socket {
  onopen: ((event: never) => unknown) | null;
  onmessage: ((event: never) => unknown) | null;
  onclose: ((event: never) => unknown) | null;
  onerror: ((event: never) => unknown) | null;
  send(text: string): void;
  close(code?: number): void;
}

export type State =
  | { phase: 'connecting'; attempt: number }
  | { phase: 'joining' }
  | { phase: 'live' }
  /** Waits before it tries again. */
  | { phase: 'waiting'; attempt: number; ms: number; reason: string }
  /** It does not come back: closed by the caller, or for good by the host. */
  | { phase: 'closed'; code: number; reason: string };

export interface Options {
  /** The host's address: `http://127.0.0.1:7117`. */
  url: string;
  /** A token, or where to get one before each connection. Leave it out in a page of the host, whose cookie says who it is. */
  token?: string | (() => string | Promise<string>);
  /** Rooms to follow, such as `project/shop/**`. */
  rooms: string[];
  /** Go on after this cursor, which an earlier client had. */
  resume?: string;
  /** What is shown to others: 60 bytes each at most. */
  name?: string;
  version?: string;
  /** Each event once and in order. The cursor moves on when this has returned. */
  onEvent?: (event: SignalboxEvent) => void;
  /** A room's state, in place of everything that was known of it. */
  onSnapshot?: (frame: Extract<HostFrame, { type: 'snapshot' }>) => void;
  /** The view is complete up to this cursor. */
  onSynced?: (cursor: string) => void;
  /** Who is here, and other things that are worth knowing only now. */
  onEphemeral?: (frame: Extract<HostFrame, { type: 'presence' | 'connection_stats' }>) => void;
  /** A room was refused. */
  onLeft?: (room: string, code: string) => void;
  onState?: (state: State) => void;
  /** For Node before 22, and for tests. */
  webSocket?: new (url: string, protocol: string) => Socket;
  random?: () => number;
}

/** Why a call failed. */
export class CallFailed extends Error {
  readonly code: string;
  readonly details: CallError;
  constructor(error: CallError) {
    super(error.message);
    this.name = 'CallFailed';
    this.code = error.code;
    this.details = error;
  }
}

interface Waiting {
  method: string;
  params: unknown;
  key: string | undefined;
  resolve(value: unknown): void;
  reject(error: Error): void;
}

const FIRST_MS = 500;
const CAP_MS = 20_000;
/** A connection that held this long starts the delays anew. */
const STEADY_MS = 5_000;
/** Beyond `ping_ms` a connection that says nothing is dead. */
const PATIENCE_MS = 10_000;

export class Client {
  readonly #options: Options;
  readonly #rooms: string[];
  readonly #instance = Math.random().toString(36).slice(2);
  readonly #calls = new Map<number, Waiting>();
  /** The last event of each room. */
  #last = new Map<string, number>();
  /** Where each subscription begins. */
  #bases = new Map<string, number>();
  #socket: Socket | undefined;
  #cursor: string | undefined;
  #rid = 0;
  #attempt = 0;
  #era = 0;
  #welcomed = false;
  #over = false;
  #pingMs = 25_000;
  #comeBackMs: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;
  #steady: ReturnType<typeof setTimeout> | undefined;

  constructor(options: Options) {
    this.#options = options;
    this.#rooms = [...new Set(options.rooms)];
    this.#cursor = options.resume;
    void this.#connect();
  }

  /** Hand this to `resume` to go on where this client is. */
  get cursor(): string | undefined {
    return this.#cursor;
  }

  /**
   * Calls a method. With a `key` it is sent again after a break, and done once; without one it fails then, since nobody
   * knows whether it was done.
   */
  call<M extends keyof Methods>(method: M, params: Methods[M]['params'], key?: string): Promise<Methods[M]['reply']> {
    if (this.#over) return Promise.reject(new Error('this client is closed'));
    return new Promise((resolve, reject) => {
      const rid = ++this.#rid;
      const waiting: Waiting = { method, params, key, resolve: resolve as (value: unknown) => void, reject };
      this.#calls.set(rid, waiting);
      if (this.#welcomed) this.#sendCall(rid, waiting);
    });
  }

  /** Says what this member looks at, in a room that it follows. */
  presence(room: string, state: PresenceState): void {
    if (this.#welcomed) this.#send({ type: 'presence', room, state });
  }

  /** Leaves for good. */
  close(): void {
    this.#finish(1000, 'closed by the caller');
  }

  #finish(code: number, reason: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#drop(1000);
    clearTimeout(this.#timer);
    for (const call of this.#calls.values()) call.reject(new Error(`the connection has ended: ${reason}`));
    this.#calls.clear();
    this.#options.onState?.({ phase: 'closed', code, reason });
  }

  /** Forgets the socket: whatever it still says belongs to an era that is over. */
  #drop(code: number): void {
    this.#era += 1;
    this.#welcomed = false;
    clearTimeout(this.#silence);
    clearTimeout(this.#steady);
    const socket = this.#socket;
    this.#socket = undefined;
    try {
      socket?.close(code);
    } catch {
      // It was not open yet.
    }
  }

  async #connect(): Promise<void> {
    this.#attempt += 1;
    this.#options.onState?.({ phase: 'connecting', attempt: this.#attempt });
    const era = ++this.#era;
    let token: string | undefined;
    try {
      token = typeof this.#options.token === 'function' ? await this.#options.token() : this.#options.token;
      if (era !== this.#era || this.#over) return;
      const Socket = this.#options.webSocket ?? (globalThis as { WebSocket?: Options['webSocket'] }).WebSocket;
      if (!Socket) throw new Error('there is no WebSocket here: give one as `webSocket`');
      const socket = new Socket(`${this.#options.url.replace(/^http/, 'ws').replace(/\/$/, '')}/api/v1/ws`, 'signalbox.v1');
      this.#socket = socket;
      this.#listen(PATIENCE_MS);
      socket.onopen = () => {
        if (era === this.#era) this.#hello(token);
      };
      socket.onmessage = (event: { data?: unknown }) => {
        if (era !== this.#era) return;
        this.#listen(this.#pingMs + PATIENCE_MS);
        this.#take(JSON.parse(String(event.data)) as ServerFrame);
      };
      socket.onerror = () => {
        if (era === this.#era) this.#lost(1006, 'the connection broke');
      };
      socket.onclose = (event: { code?: number; reason?: unknown }) => {
        if (era === this.#era) this.#lost(event.code ?? 1006, String(event.reason ?? ''));
      };
    } catch (error) {
      if (era === this.#era) this.#lost(1006, String(error));
    }
  }

  #listen(ms: number): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#lost(1006, 'the host says nothing any more'), ms);
  }

  #hello(token: string | undefined): void {
    const from = seqOf(this.#cursor);
    this.#bases = new Map(this.#rooms.map((room) => [room, from]));
    const client = {
      name: this.#options.name ?? '@signalbox/client',
      version: this.#options.version ?? '0.1.0',
      instance: this.#instance,
    };
    this.#send({ type: 'hello', v: 1, token, client, rooms: this.#rooms, resume: this.#cursor });
    this.#options.onState?.({ phase: 'joining' });
  }

  #send(frame: object): void {
    this.#socket?.send(JSON.stringify(frame));
  }

  #sendCall(rid: number, { method, params, key }: Waiting): void {
    this.#send({ type: 'call', rid, method, params, key });
  }

  #lost(code: number, reason: string): void {
    if (this.#over) return;
    this.#drop(1000);
    // From 4500 on the host does not want us back, and 1000 says the same.
    if (code === 1000 || (code >= 4500 && code < 5000)) {
      this.#finish(code, reason);
      return;
    }
    for (const [rid, call] of this.#calls) {
      if (call.key !== undefined) continue;
      this.#calls.delete(rid);
      call.reject(new Error('the connection broke; it is not known whether the call was done'));
    }
    const random = this.#options.random ?? Math.random;
    const jitter = random() * Math.min(CAP_MS, FIRST_MS * 2 ** Math.min(this.#attempt - 1, 10));
    const ms = this.#comeBackMs ?? Math.max(50, Math.round(jitter));
    this.#comeBackMs = undefined;
    this.#options.onState?.({ phase: 'waiting', attempt: this.#attempt, ms, reason });
    this.#timer = setTimeout(() => void this.#connect(), ms);
  }

  #take(frame: ServerFrame): void {
    switch (frame.type) {
      case 'connection':
        this.#pingMs = frame.ping_ms;
        this.#welcomed = true;
        for (const [rid, call] of this.#calls) this.#sendCall(rid, call);
        return;
      case 'subscribed':
        if (frame.mode === 'live' && !this.#last.has(frame.room)) this.#last.set(frame.room, frame.head);
        // A room that the host joined for us goes on from where we were.
        if (frame.mode === 'resumed' && !this.#bases.has(frame.room)) this.#bases.set(frame.room, seqOf(this.#cursor));
        return;
      case 'reset':
        this.#last.clear();
        return;
      case 'snapshot':
        this.#last.delete(frame.room.replace(/\/\*\*$/, ''));
        // The feed has a room for each project.
        if (frame.room === 'activity')
          for (const room of this.#last.keys()) if (room.startsWith('activity/')) this.#last.delete(room);
        this.#bases.set(frame.room, frame.at);
        if (this.#wants(frame.room)) this.#options.onSnapshot?.(frame);
        return;
      case 'synced':
        this.#cursor = frame.cursor;
        clearTimeout(this.#steady);
        this.#steady = setTimeout(() => (this.#attempt = 0), STEADY_MS);
        this.#options.onState?.({ phase: 'live' });
        this.#options.onSynced?.(frame.cursor);
        return;
      case 'ping':
        this.#send({ type: 'pong' });
        if (frame.sent > seqOf(this.#cursor)) this.#lost(4000, 'an event was lost');
        return;
      case 'reply': {
        const call = this.#calls.get(frame.rid);
        this.#calls.delete(frame.rid);
        if (frame.error) call?.reject(new CallFailed(frame.error));
        else call?.resolve(frame.result);
        return;
      }
      case 'left':
        if (frame.code !== 'unsubscribed') this.#options.onLeft?.(frame.room, frame.code);
        return;
      case 'presence':
      case 'connection_stats':
        this.#options.onEphemeral?.(frame);
        return;
      case 'bye':
        this.#comeBackMs = frame.reconnect_ms;
        this.#lost(frame.code, frame.reason);
        return;
      case 'lagging':
        return;
      default:
        if (typeof frame.seq === 'number') this.#event(frame);
    }
  }

  /** Whether a room was asked for: the host also joins the member's own, which is checked all the same. */
  #wants(room: string): boolean {
    return !room.startsWith('member/') || this.#rooms.includes(room);
  }

  #base(room: string): number {
    const exact = this.#bases.get(room);
    if (exact !== undefined) return exact;
    const feed = room.startsWith('activity/');
    const trees = [...this.#bases]
      .filter(([filter]) => filter.endsWith('/**') || (feed && filter === 'activity'))
      .map(([, base]) => base);
    return Math.max(0, ...trees);
  }

  #event(event: SignalboxEvent): void {
    const last = this.#last.get(event.room);
    if (last !== undefined && event.seq <= last) return;
    // Each event names the one before it in its room: a loss shows here, whoever lost it.
    if (last === undefined ? event.prev > this.#base(event.room) : event.prev !== last) {
      this.#lost(4000, `an event of ${event.room} was lost`);
      return;
    }
    this.#last.set(event.room, event.seq);
    if (this.#wants(event.room)) this.#options.onEvent?.(event);
    if (event.seq > seqOf(this.#cursor)) this.#cursor = event.cursor;
  }
}

function seqOf(cursor: string | undefined): number {
  return cursor === undefined ? 0 : Number(cursor.slice(cursor.indexOf('.') + 1));
}
