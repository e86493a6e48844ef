import { findTransport } from '../platform/environment';
import type { Methods, PresenceState } from '../platform/protocol';
import { checkSession } from '../platform/session';
import { nextFrame, systemClock } from '../stream/clock';
import { Connection } from '../stream/connection';
import { CallFailed } from '../stream/calls';
import type { LinkState } from '../stream/link';
import { World } from '../stream/world';
import { derive, publish, useTopic } from './topics';

const OPEN_PROJECTS = 100;
const LINGER_MS = 20_000;

export const world = new World();

let link: LinkState = { phase: 'idle', complete: false, attempts: 0, gaps: 0, reconnects: 0 };
let connection: Connection | undefined;
const early = new Set<string>();

/** Shows what was changed outside the stream's flush. */
export function show(): void {
  const topics = [...world.dirty];
  world.dirty.clear();
  if (topics.includes('projects') || topics.includes('*')) followProjects();
  if (topics.length > 0) publish(topics);
}

export async function connect(): Promise<void> {
  if (connection) {
    connection.start();
    return;
  }
  const transport = await findTransport();
  connection = new Connection({
    transport,
    clock: systemClock,
    schedule: nextFrame,
    client: { name: 'signalbox-ui', version: __VERSION__, instance: crypto.randomUUID() },
    sink: {
      forget: () => {
        followed.clear();
        world.forget();
      },
      apply: (frame) => {
        world.apply(frame);
        // A member of some projects only may not see the host's room: what is theirs is asked for.
        if (frame.type === 'left' && frame.room === 'host' && frame.code !== 'unsubscribed') void askProjects();
      },
      flushed: show,
    },
    changed: (next) => {
      link = next;
      publish(['link']);
    },
    session: checkSession,
  });
  for (const room of ['host', 'activity', ...early]) connection.join(room);
  early.clear();
  connection.start();
  const again = () => {
    if (document.visibilityState === 'visible') connection?.retryNow();
  };
  window.addEventListener('online', again);
  document.addEventListener('visibilitychange', again);
}

async function askProjects(): Promise<void> {
  const { projects } = await call('project.list', {}).catch(() => ({ projects: [] }));
  for (const project of projects) world.projects.set(project.id, project);
  world.dirty.add('projects');
  show();
}

export function retryNow(): void {
  connection?.retryNow();
}

/** Says what this person looks at; nothing is stored. */
export function tellPresence(room: string, state: PresenceState | undefined): void {
  connection?.presence(room, state);
}

/** The place in the log up to which a room is shown; none while it is not. */
export function placeOf(room: string): { seq: number; cursor: string } | undefined {
  const seq = connection?.rooms.last(room);
  if (link.phase !== 'live' || link.epoch === undefined || seq === undefined) return undefined;
  return { seq, cursor: `${link.epoch}.${String(seq)}` };
}

export function disconnect(): void {
  connection?.stop();
}

/** Asks the host. Waits for a connection if there is none, and survives the loss of one. */
export async function call<M extends keyof Methods>(
  method: M,
  params: Methods[M]['params'],
  timeoutMs?: number,
): Promise<Methods[M]['reply']> {
  if (!connection) throw new CallFailed({ code: 'unavailable', message: 'Not connected yet. Nothing was done.' });
  const size = JSON.stringify(params).length;
  const limit = link.limits?.frame_bytes ?? 65_536;
  if (size > limit - 512) {
    throw new CallFailed({
      code: 'limit_exceeded',
      message: `This is larger than the host takes in one message (${String(Math.round(limit / 1024))} KiB). Nothing was done.`,
      hint: 'Shorten it, or edit the file in the project folder.',
    });
  }
  return connection.call(method, params, timeoutMs);
}

/** Joins a room while something shows it; a short absence (a step back and forth) keeps it filled. */
export function follow(room: string): () => void {
  if (connection) connection.join(room);
  else early.add(room);
  let left = false;
  return () => {
    if (left) return;
    left = true;
    setTimeout(() => connection?.leave(room), LINGER_MS);
  };
}

const followed = new Set<string>();

/** The rooms of open projects are always joined: the inbox and the title speak for all of them. */
function followProjects(): void {
  for (const project of world.projects.values()) {
    const room = `project/${project.id}`;
    if (project.open && !followed.has(room) && followed.size < OPEN_PROJECTS) {
      followed.add(room);
      connection?.join(room);
    }
  }
}

export function useLink(): LinkState {
  return useTopic('link', () => link);
}

/** Nothing here may be changed while what is shown may be old. */
export function useStale(): boolean {
  return useTopic('link', () => link.complete && link.phase !== 'live');
}

/** Whether this person cannot do something now: not connected, or their role is too low. */
export function useOff(least: 'operator' | 'owner'): boolean {
  const role = useLink().role;
  return useStale() || role === 'viewer' || (least === 'owner' && role !== 'owner');
}

export function useFirstLoad(): boolean {
  return useTopic('link', () => !link.complete);
}

export type RoomState = 'loading' | 'filled' | { refused: string };

export function useRoom(room: string): RoomState {
  return useTopic(`room:${room}`, () =>
    derive(`room:${room}`, `room:${room}`, () => {
      const code = world.refused.get(room) ?? connection?.rooms.refused.get(room);
      if (code !== undefined) return { refused: code };
      return world.filled.has(room) ? 'filled' : 'loading';
    }),
  );
}
