import type { ClientFrame, EventData, RunSnapshot, ServerFrame, Snapshot } from '../src/platform/protocol';
import type { Transport, TransportHandlers } from '../src/platform/transport';
import type { Clock } from '../src/stream/clock';
import { Connection } from '../src/stream/connection';
import type { SessionState } from '../src/platform/session';
import { World } from '../src/stream/world';

/** A clock that moves when told. */
export class ManualClock implements Clock {
  time = 1_000_000;
  chance = 0.5;
  #tasks: { at: number; task: () => void }[] = [];

  now(): number {
    return this.time;
  }
  random(): number {
    return this.chance;
  }
  after(ms: number, task: () => void): () => void {
    const entry = { at: this.time + ms, task };
    this.#tasks.push(entry);
    return () => {
      this.#tasks = this.#tasks.filter((other) => other !== entry);
    };
  }
  advance(ms: number): void {
    const end = this.time + ms;
    for (;;) {
      const next = this.#tasks.filter((entry) => entry.at <= end).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.#tasks = this.#tasks.filter((entry) => entry !== next);
      this.time = Math.max(this.time, next.at);
      next.task();
    }
    this.time = end;
  }
}

/** One connection as the host sees it. */
export class Socket implements Transport {
  readonly sent: ClientFrame[] = [];
  handlers!: TransportHandlers;
  closed = false;
  constructor(readonly credit = false) {}
  open(handlers: TransportHandlers): void {
    this.handlers = handlers;
  }
  send(frame: ClientFrame): void {
    this.sent.push(JSON.parse(JSON.stringify(frame)) as ClientFrame);
  }
  close(): void {
    this.closed = true;
  }
  last<T extends ClientFrame['type']>(type: T): Extract<ClientFrame, { type: T }> | undefined {
    return this.sent.findLast((frame): frame is Extract<ClientFrame, { type: T }> => frame.type === type);
  }
}

export const LIMITS = {
  frame_bytes: 65536,
  event_bytes: 262144,
  outbound_bytes: 1048576,
  rooms: 128,
  hello_ms: 10000,
  calls_per_second: 100,
  connections_per_member: 0,
  connections: 0,
  replay_events: 10000,
};

export const HOST_STATE: Snapshot = { of: 'host', version: '0.1.0', projects: [], members: [], health: [] };

export function project(id: string) {
  return { id, name: id, path: `/src/${id}`, trusted: true, open: true, opened_at: 1 };
}

export function run(id: string, change: Record<string, unknown> = {}) {
  return {
    id,
    number: 1,
    project: 'shop',
    workflow: 'ship',
    plan: 'x',
    status: 'running' as const,
    generation: 1,
    actor: 'ada',
    created_at: 1,
    progress: 0,
    steps_total: 2,
    steps_done: 0,
    ...change,
  };
}

export function step(runId: string, key: string, change: Record<string, unknown> = {}) {
  return {
    run: runId,
    key,
    id: key,
    index: 0,
    title: key,
    kind: 'command' as const,
    needs: [],
    status: 'running' as const,
    generation: 1,
    ...change,
  };
}

export function projectState(id: string, runs: unknown[] = []): Snapshot {
  return {
    of: 'project',
    project: project(id),
    runs: runs as never,
    queue: { paused: false, runs: [] },
    approvals: [],
    permissions: [],
    risks: [],
  };
}

export function runState(runId: string, more: Partial<RunSnapshot> = {}): Snapshot {
  return {
    of: 'run',
    run: run(runId),
    steps: [],
    logs: [],
    sessions: [],
    usage: [],
    diffs: [],
    transcript: [],
    cursor: 'a.15',
    ...more,
  };
}

export class Bench {
  readonly clock = new ManualClock();
  readonly sockets: Socket[] = [];
  readonly world = new World();
  readonly applied: string[] = [];
  credit = false;
  session: SessionState = 'valid';
  flushes = 0;
  readonly connection = new Connection({
    transport: () => {
      const socket = new Socket(this.credit);
      this.sockets.push(socket);
      return socket;
    },
    clock: this.clock,
    schedule: (flush) => this.clock.after(16, flush),
    client: { name: 'test', version: '1', instance: 'one' },
    sink: {
      forget: () => {
        this.applied.push('forget');
        this.world.forget();
      },
      apply: (frame) => {
        this.applied.push('seq' in frame ? `${frame.type}@${String(frame.seq)}` : frame.type);
        this.world.apply(frame);
      },
      flushed: () => {
        this.flushes += 1;
      },
    },
    changed: () => undefined,
    session: async () => this.session,
  });

  get socket(): Socket {
    return this.sockets.at(-1)!;
  }
  give(...frames: (ServerFrame | Record<string, unknown>)[]): void {
    this.socket.handlers.frames(frames as ServerFrame[]);
    this.clock.advance(16);
  }
  welcome(epoch = 'aaaa', head = 10): void {
    this.socket.handlers.open();
    this.give({
      type: 'connection',
      epoch,
      head,
      version: '0.1.0',
      connection: 1,
      member: 'm_12345678',
      member_name: 'ada',
      role: 'owner',
      limits: LIMITS,
      ping_ms: 25000,
    });
  }
  event(
    room: string,
    seq: number,
    prev: number,
    data: EventData | { type: string; data: unknown },
  ): Record<string, unknown> {
    return { seq, prev, cursor: `aaaa.${String(seq)}`, room, ts: 1, actor: 'engine', ...data };
  }
  /** Joined `host` (last event 3), `activity` (none) and `project/shop` (last event 9), complete at 10. */
  live(): void {
    this.connection.join('host');
    this.connection.join('activity');
    this.connection.join('project/shop');
    this.connection.start();
    this.welcome();
    this.give(
      { type: 'subscribed', room: 'host', mode: 'snapshot', head: 3 },
      { type: 'snapshot', room: 'host', at: 10, state: { ...HOST_STATE, projects: [project('shop')] } as Snapshot },
      { type: 'subscribed', room: 'activity', mode: 'snapshot', head: 0 },
      { type: 'snapshot', room: 'activity', at: 10, state: { of: 'activity', entries: [] } },
      { type: 'subscribed', room: 'project/shop', mode: 'snapshot', head: 9 },
      {
        type: 'snapshot',
        room: 'project/shop',
        at: 10,
        state: projectState('shop', [{ run: run('r_00000001'), steps: [] }]),
      },
      { type: 'synced', cursor: 'aaaa.10' },
    );
  }
}
