import { PROTOCOL_VERSION } from '../platform/protocol';
import type {
  ClientFrame,
  ClientInfo,
  Methods,
  PresenceState,
  ServerFrame,
  SignalboxEvent,
} from '../platform/protocol';
import type { Transport } from '../platform/transport';
import type { SessionState } from '../platform/session';
import { backoff } from './backoff';
import { Calls } from './calls';
import type { Clock } from './clock';
import { formatCursor, isRoom, parseCursor } from './cursor';
import type { Place } from './cursor';
import { initialLink } from './link';
import type { LinkState } from './link';
import { Rooms } from './rooms';

const CONNECT_MS = 15_000;
const GRACE_MS = 10_000;
const STEADY_MS = 5_000;
const DEFAULT_PING_MS = 25_000;
const PROBE_MS = 15_000;
/** A host that answers nothing for so long may be gone; the connection is given up later, when its pings are missed. */
const DOUBT_MS = 5_000;

export interface Sink {
  /** The log is another one: nothing held is good. */
  forget(): void;
  /** Changes the state by one frame. */
  apply(frame: ServerFrame): void;
  /** A group of frames was applied: show it. */
  flushed(): void;
}

export interface ConnectionOptions {
  transport: () => Transport;
  clock: Clock;
  /** When to apply what has come in: once per painted frame. */
  schedule: (flush: () => void) => () => void;
  client: ClientInfo;
  sink: Sink;
  changed: (link: LinkState) => void;
  /** Tells a refused login from an unreachable host: browsers hide the status of a failed upgrade. */
  session?: () => Promise<SessionState>;
}

/** Keeps the rooms' state complete for ever, over any number of connections. */
export class Connection {
  readonly rooms = new Rooms();
  readonly calls: Calls;
  #link: LinkState = initialLink;
  #transport: Transport | undefined;
  /** Counts attempts, so that a frame of an old socket is known for a ghost. */
  #era = 0;
  #cursor: Place | undefined;
  #queue: ServerFrame[] = [];
  #batches = 0;
  #cancelFlush: (() => void) | undefined;
  #heard = 0;
  #seen = 0;
  #byeMs: number | undefined;
  #welcomed = false;
  readonly #subscribing = new Map<number, string[]>();
  readonly #presence = new Map<string, PresenceState>();
  #stopRetry: (() => void) | undefined;
  #stopWatch: (() => void) | undefined;
  #stopSteady: (() => void) | undefined;
  #stopProbe: (() => void) | undefined;
  #stopDoubt: (() => void) | undefined;

  constructor(private readonly options: ConnectionOptions) {
    this.calls = new Calls(
      options.clock,
      (frame) => this.#post(frame),
      (ms) => {
        this.#update({ roundTripMs: Math.max(0, Math.round(ms)) });
      },
    );
  }

  get link(): LinkState {
    return this.#link;
  }

  get cursor(): string | undefined {
    return this.#cursor && formatCursor(this.#cursor);
  }

  start(): void {
    if (this.#link.phase === 'idle' || this.#link.phase === 'refused') this.#connect();
  }

  stop(): void {
    this.#drop();
    this.#update({ phase: 'idle' });
  }

  /** The network came back, the window is seen again, or a person is tired of waiting. */
  retryNow(): void {
    if (this.#link.phase === 'waiting' || this.#link.phase === 'refused') this.#connect();
    else if (this.#link.phase === 'live' && this.#silentFor() > this.#patience()) this.#lost(4000, 'silent', 0);
  }

  call<M extends keyof Methods>(
    method: M,
    params: Methods[M]['params'],
    timeoutMs?: number,
  ): Promise<Methods[M]['reply']> {
    return this.calls.call(method, params, timeoutMs) as Promise<Methods[M]['reply']>;
  }

  join(room: string): void {
    if (!isRoom(room)) {
      this.rooms.refuse(room, 'not_found');
      return;
    }
    if (this.rooms.want(room) && this.#welcomed) this.#subscribe([room]);
  }

  /** Says what this person looks at in a room; said again after each reconnect, since nothing keeps it. */
  presence(room: string, state: PresenceState | undefined): void {
    if (!isRoom(room)) return;
    if (state) this.#presence.set(room, state);
    else this.#presence.delete(room);
    if (this.#link.phase === 'live') this.#post({ type: 'presence', room, state: state ?? {} });
  }

  /** In a room that is joined late: the host hears nothing of rooms that a connection does not follow. */
  #sayPresence(room: string): void {
    const state = this.#presence.get(room);
    if (state && this.#link.phase === 'live') this.#post({ type: 'presence', room, state });
  }

  leave(room: string): void {
    if (this.rooms.release(room) && this.#welcomed) {
      this.#post({ type: 'unsubscribe', rid: this.calls.nextRid(), rooms: [room] });
    }
  }

  #update(change: Partial<LinkState>): void {
    this.#link = { ...this.#link, ...change };
    this.options.changed(this.#link);
  }

  #post(frame: ClientFrame): boolean {
    if (!this.#transport || (!this.#welcomed && frame.type !== 'hello')) return false;
    this.#transport.send(frame);
    return true;
  }

  #connect(): void {
    this.#drop();
    // What this person may see may be another by now: a change of rights ends a connection.
    for (const room of [...this.rooms.refused.keys()]) if (this.rooms.isWanted(room)) this.rooms.refused.delete(room);
    const era = ++this.#era;
    const transport = this.options.transport();
    this.#transport = transport;
    this.#heard = this.options.clock.now();
    const { retryAt: _, ...rest } = this.#link;
    this.#link = rest;
    this.#update({ phase: 'connecting', attempts: rest.attempts + 1 });
    this.#watch();
    transport.open({
      open: () => {
        if (era === this.#era) this.#hello();
      },
      frames: (batch) => {
        if (era === this.#era) this.#receive(batch);
      },
      close: (code, reason) => {
        if (era === this.#era) this.#lost(code, reason);
      },
    });
  }

  #hello(): void {
    const wanted = this.rooms.wanted();
    const hello: ClientFrame = {
      type: 'hello',
      rid: this.calls.nextRid(),
      v: PROTOCOL_VERSION,
      client: this.options.client,
      rooms: wanted,
    };
    if (this.#cursor) {
      // Resuming a room that was never filled would leave it empty: those are asked for without a cursor.
      hello.rooms = wanted.filter((room) => this.rooms.holds(room));
      hello.resume = formatCursor(this.#cursor);
    }
    this.#post(hello);
  }

  #subscribe(rooms: string[]): void {
    if (rooms.length === 0) return;
    const rid = this.calls.nextRid();
    this.#subscribing.set(rid, rooms);
    this.#post({ type: 'subscribe', rid, rooms });
  }

  #receive(batch: ServerFrame[]): void {
    this.#heard = this.options.clock.now();
    // A goodbye may be the desktop's own, of a host that it has lost.
    if (batch.some((frame) => frame.type !== 'bye'))
      this.#link = { ...this.#link, heardAt: this.#heard, doubtful: false };
    this.#batches += 1;
    for (const frame of batch) this.#queue.push(frame);
    this.#cancelFlush ??= this.options.schedule(() => {
      this.#cancelFlush = undefined;
      this.#flush();
    });
  }

  #flush(): void {
    const queue = this.#queue;
    const batches = this.#batches;
    const era = this.#era;
    this.#queue = [];
    this.#batches = 0;
    for (const frame of queue) {
      this.#take(frame);
      // A gap or a `bye` ended this connection: what is left of the batch belongs to it.
      if (era !== this.#era || !this.#transport) break;
    }
    if (era === this.#era && this.#transport?.credit && batches > 0) this.#post({ type: 'credit', batches });
    if (this.#cursor) this.#link = { ...this.#link, seq: this.#cursor.seq };
    // Not while it catches up: what is shown is as old as it was.
    if (this.#link.phase === 'live' && this.#link.heardAt !== undefined)
      this.#link = { ...this.#link, freshAt: this.#link.heardAt };
    this.options.sink.flushed();
    this.options.changed(this.#link);
  }

  #take(frame: ServerFrame): void {
    switch (frame.type) {
      case 'connection':
        this.#welcome(frame);
        return;
      case 'subscribed':
        this.rooms.joined(frame.room, frame.mode, frame.head);
        this.#sayPresence(frame.room);
        return;
      case 'snapshot':
        if (!this.rooms.isWanted(frame.room)) return;
        this.rooms.snapshot(frame.room, frame.at);
        this.#seen = Math.max(this.#seen, frame.at);
        this.options.sink.apply(frame);
        return;
      case 'synced':
        this.#synced(frame);
        return;
      case 'ping':
        this.#post({ type: 'pong' });
        if (frame.sent > this.#seen) this.#gap(this.#cursor?.seq ?? 0);
        return;
      case 'reply':
        this.#reply(frame);
        return;
      case 'left':
        if (frame.code !== 'unsubscribed') this.rooms.refuse(frame.room, frame.code);
        this.options.sink.apply(frame);
        return;
      case 'lagging':
        this.#update({ lagging: frame.behind });
        return;
      case 'bye':
        this.#byeMs = frame.reconnect_ms;
        this.#lost(frame.code, frame.reason);
        return;
      case 'reset':
      case 'presence':
      case 'connection_stats':
        this.options.sink.apply(frame);
        return;
      default:
        this.#event(frame);
    }
  }

  #event(frame: SignalboxEvent): void {
    if (typeof frame.seq !== 'number') {
      // Ephemeral: never stored, has no place in the log, may be lost.
      this.options.sink.apply(frame);
      return;
    }
    this.#seen = Math.max(this.#seen, frame.seq);
    const verdict = this.rooms.judge(frame);
    if (verdict === 'gap') {
      this.#gap(this.rooms.last(frame.room) ?? 0);
      return;
    }
    if (verdict === 'apply') {
      this.options.sink.apply(frame);
      this.rooms.advance(frame);
    }
    if (this.#cursor && verdict !== 'stranger') this.#cursor.seq = Math.max(this.#cursor.seq, frame.seq);
  }

  /** Something was lost: go back to what is surely held, and ask for everything after it. */
  #gap(from: number): void {
    if (this.#cursor) this.#cursor.seq = Math.min(this.#cursor.seq, from);
    this.#link = { ...this.#link, gaps: this.#link.gaps + 1 };
    this.#lost(4000, 'gap');
  }

  #welcome(frame: Extract<ServerFrame, { type: 'connection' }>): void {
    if (this.#cursor && this.#cursor.epoch !== frame.epoch) {
      this.#cursor = undefined;
      this.rooms.forgetAll();
      this.options.sink.forget();
    }
    const resumed = this.#cursor !== undefined;
    this.#welcomed = true;
    this.#seen = Math.max(this.#cursor?.seq ?? 0, 0);
    this.#update({
      phase: 'joining',
      epoch: frame.epoch,
      version: frame.version,
      connection: frame.connection,
      member: frame.member,
      memberName: frame.member_name,
      role: frame.role,
      limits: frame.limits,
      pingMs: frame.ping_ms,
      lagging: undefined,
    });
    // The host joins a member's own room by itself.
    const own = `member/${frame.member}`;
    if (!this.rooms.isWanted(own)) this.rooms.want(own);
    this.options.sink.apply(frame);
    if (resumed) this.#subscribe(this.rooms.wanted().filter((room) => !this.rooms.holds(room)));
    this.calls.resend();
  }

  #synced(frame: Extract<ServerFrame, { type: 'synced' }>): void {
    const shortfall = this.rooms.shortfall();
    if (shortfall !== undefined) {
      this.#gap(shortfall);
      return;
    }
    const place = parseCursor(frame.cursor);
    if (place) {
      this.#seen = Math.max(this.#seen, place.seq);
      if (frame.rid === undefined || !this.#subscribing.has(frame.rid))
        this.#cursor = { ...place, seq: Math.max(place.seq, this.#cursor?.seq ?? 0) };
    }
    if (frame.rid !== undefined && this.#subscribing.delete(frame.rid)) {
      this.options.sink.apply(frame);
      return;
    }
    this.#update({
      phase: 'live',
      complete: true,
      closed: undefined,
      lagging: undefined,
      reconnects: this.#link.reconnects + (this.#link.complete && this.#link.phase === 'joining' ? 1 : 0),
    });
    this.options.sink.apply(frame);
    for (const [room, state] of this.#presence) this.#post({ type: 'presence', room, state });
    this.#stopSteady?.();
    this.#stopSteady = this.options.clock.after(STEADY_MS, () => {
      this.#update({ attempts: 0 });
    });
    this.#probe();
  }

  #reply(frame: Extract<ServerFrame, { type: 'reply' }>): void {
    const rooms = this.#subscribing.get(frame.rid);
    if (rooms) {
      if (!frame.error) return;
      this.#subscribing.delete(frame.rid);
      for (const room of rooms) {
        this.rooms.refuse(room, frame.error.code);
        this.options.sink.apply({ type: 'left', room, code: frame.error.code });
      }
      return;
    }
    this.calls.settle(frame.rid, frame.result, frame.error);
  }

  #silentFor(): number {
    return this.options.clock.now() - this.#heard;
  }

  #patience(): number {
    return this.#welcomed ? (this.#link.pingMs ?? DEFAULT_PING_MS) + GRACE_MS : CONNECT_MS;
  }

  #watch(): void {
    const left = this.#patience() - this.#silentFor();
    if (left <= 0) {
      this.#lost(4000, this.#welcomed ? 'silent' : 'no answer');
      return;
    }
    this.#stopWatch = this.options.clock.after(Math.min(left, 5_000), () => {
      this.#watch();
    });
  }

  /** A cheap call now and then tells the round trip, and brings a half-dead socket to light. */
  #probe(): void {
    this.#stopProbe?.();
    const ask = () => {
      const asked = this.options.clock.now();
      this.call('project.list', {}).catch(() => undefined);
      this.#stopDoubt?.();
      this.#stopDoubt = this.options.clock.after(DOUBT_MS, () => {
        if (this.#heard <= asked) this.#update({ doubtful: true });
      });
      this.#stopProbe = this.options.clock.after(PROBE_MS, ask);
    };
    this.#stopProbe = this.options.clock.after(50, ask);
  }

  #drop(): void {
    for (const stop of [
      this.#stopRetry,
      this.#stopWatch,
      this.#stopSteady,
      this.#stopProbe,
      this.#stopDoubt,
      this.#cancelFlush,
    ])
      stop?.();
    this.#cancelFlush = undefined;
    this.#queue = [];
    this.#batches = 0;
    this.#welcomed = false;
    this.#subscribing.clear();
    this.#era += 1;
    const transport = this.#transport;
    this.#transport = undefined;
    transport?.close();
  }

  #lost(code: number, reason: string, delay?: number): void {
    // Frames that came before the end are good: apply them, or they would be asked for again.
    if (this.#queue.length > 0 && reason !== 'gap' && this.#cancelFlush) {
      const queue = this.#queue;
      this.#queue = [];
      const era = this.#era;
      for (const frame of queue) {
        if (frame.type !== 'ping') this.#take(frame);
        if (era !== this.#era) return;
      }
      this.options.sink.flushed();
    }
    const answered = this.#welcomed;
    this.#drop();
    // 4502: our hello came too late, as it does when a machine sleeps between the two.
    const final = code === 1000 || (code >= 4500 && code < 5000 && code !== 4502);
    if (final) {
      this.#update({ phase: 'refused', closed: { code, reason } });
      this.calls.failAll({
        code: 'unavailable',
        message: 'The host closed this connection. What was not answered may not have been done.',
      });
      return;
    }
    const wait = delay ?? Math.max(this.#byeMs ?? 0, backoff(Math.max(0, this.#link.attempts - 1), this.options.clock));
    this.#byeMs = undefined;
    this.#update({ phase: 'waiting', retryAt: this.options.clock.now() + wait, closed: { code, reason } });
    this.#stopRetry = this.options.clock.after(wait, () => {
      this.#connect();
    });
    if (!answered) void this.#askSession();
  }

  async #askSession(): Promise<void> {
    const era = this.#era;
    const state = await this.options.session?.();
    if (state !== 'none' || era !== this.#era) return;
    this.#drop();
    this.#update({ phase: 'refused', closed: { code: 4500, reason: 'invalid_token' } });
  }
}
