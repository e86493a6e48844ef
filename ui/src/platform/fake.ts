import type { ServerFrame } from './protocol';
import type { Transport, TransportHandlers } from './transport';
import { FakeFailure, FakeHost, LIMITS } from './fake/host';

/** The demo's way to a host in this very page. Only the demo build contains it. */
const host = new FakeHost();
let down = false;
const cut = new Set<() => void>();

// For looking at a broken connection: `signalboxDemo.drop()`, `.restore()`.
Object.assign(window, {
  signalboxDemo: {
    drop: () => {
      down = true;
      for (const each of [...cut]) each();
    },
    restore: () => {
      down = false;
    },
    flood: (pieces: number) => host.flood(pieces),
  },
});

export function fake(): Transport {
  let handlers: TransportHandlers | undefined;
  const rooms = new Set<string>();
  let stop: (() => void) | undefined;
  const give = (...frames: ServerFrame[]) => {
    const batch = structuredClone(frames);
    setTimeout(() => handlers?.frames(batch), 4);
  };
  const end = () => {
    stop?.();
    cut.delete(end);
    const target = handlers;
    handlers = undefined;
    target?.close(1006, '');
  };
  const fill = (names: readonly string[], resume: number | undefined): ServerFrame[] => {
    const frames: ServerFrame[] = [];
    for (const room of names) {
      const state = resume === undefined ? host.snapshot(room) : undefined;
      if (resume === undefined && !state) {
        frames.push({ type: 'left', room, code: 'not_found' });
        continue;
      }
      rooms.add(room);
      frames.push({ type: 'subscribed', room, mode: state ? 'snapshot' : 'resumed', head: host.headOf(room) });
      if (state) frames.push({ type: 'snapshot', room, at: host.head, state });
    }
    return frames;
  };
  return {
    credit: false,
    open(target) {
      handlers = target;
      cut.add(end);
      setTimeout(() => {
        if (down) end();
        else handlers?.open();
      }, 20);
      stop = host.listen((room, frame) => {
        if (rooms.has(room)) give(frame);
      });
    },
    send(frame) {
      if (frame.type === 'hello') {
        const resume = frame.resume === undefined ? undefined : Number(frame.resume.split('.')[1]);
        const welcome: ServerFrame = {
          type: 'connection',
          epoch: host.epoch,
          head: host.head,
          version: '0.1.0-demo',
          connection: 1,
          member: 'm_demo0001',
          member_name: 'ada',
          role: 'owner',
          limits: LIMITS,
          ping_ms: 25_000,
        };
        const filled = fill(frame.rooms, resume);
        give(welcome, ...filled, ...(resume === undefined ? [] : host.since(rooms, resume)), {
          type: 'synced',
          cursor: `${host.epoch}.${String(host.head)}`,
        });
      } else if (frame.type === 'subscribe') {
        give(...fill(frame.rooms, undefined), {
          type: 'synced',
          rid: frame.rid ?? 0,
          cursor: `${host.epoch}.${String(host.head)}`,
        });
      } else if (frame.type === 'unsubscribe') {
        for (const room of frame.rooms) rooms.delete(room);
      } else if (frame.type === 'call') {
        try {
          give({
            type: 'reply',
            rid: frame.rid,
            result: host.call(frame.method, (frame.params ?? {}) as Record<string, unknown>),
          });
        } catch (error) {
          give({
            type: 'reply',
            rid: frame.rid,
            error: error instanceof FakeFailure ? error.detail : { code: 'internal', message: String(error) },
          });
        }
      }
    },
    close() {
      stop?.();
      cut.delete(end);
      handlers = undefined;
    },
  };
}
