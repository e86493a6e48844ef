import { lastShown, rememberShown } from '../platform/hosts';
import type { Methods, PresenceState } from '../platform/protocol';
import type { LinkState } from '../stream/link';
import type { World } from '../stream/world';
import { Session } from './session';
import { derive, publish, useTopic } from './topics';

const LINGER_MS = 20_000;
/** Hosts that are connected at once, the one of this computer among them. The one longest out of sight makes room. */
const CONNECTED = 9;

const sessions = new Map<string | undefined, Session>();

function changed(session: Session, topics: string[]): void {
  if (session === shown) publish(topics);
  publish([HOSTS]);
}

/** What is known of the hosts that are connected, whichever is shown, is told under this topic. */
export const HOSTS = 'hosts';

function sessionOf(host: string | undefined): Session {
  let session = sessions.get(host);
  if (!session) {
    session = new Session(host, changed);
    sessions.set(host, session);
  }
  return session;
}

let shown: Session = sessionOf(lastShown());

/** The state of the host that is shown. Read it anew after each wait: another host may be shown by then. */
export let world: World = shown.world;

/** The session of the host that is shown now, for what goes on while another one may come to be shown. */
export function here(): Session {
  return shown;
}

/** Shows what was changed outside the stream's flush. */
export function show(): void {
  shown.show();
}

const leaving = new Set<() => void>();

/** Calls `listener` just before another host is shown. */
export function beforeSwitch(listener: () => void): void {
  leaving.add(listener);
}

/**
 * Shows another host. Whatever was drawn has to be drawn anew from nothing (the tree is keyed by the host), so that no
 * state of one is taken for the other's.
 */
export function switchSession(host: string | undefined): Session {
  const next = sessionOf(host);
  if (next === shown) return next;
  for (const listener of leaving) listener();
  // The order of the map is the order in which hosts were looked at.
  sessions.delete(host);
  sessions.set(host, next);
  shown = next;
  world = next.world;
  rememberShown(host);
  // What passed while nobody looked is in the inbox; it is no news now.
  world.notices = [];
  void next.connect();
  for (const [id, session] of sessions) {
    if (sessions.size <= CONNECTED) break;
    if (session === shown || id === undefined) continue;
    sessions.delete(id);
    session.end();
  }
  publish(['*']);
  return next;
}

/** Connects to a host that is not shown, if there is room for one more. */
export function connectBeside(host: string | undefined): void {
  if (!sessions.has(host) && sessions.size >= CONNECTED) return;
  void sessionOf(host).connect();
}

/** Ends the connection to a host that is not shown, and forgets what it told. */
export function endSession(host: string | undefined): void {
  const session = sessions.get(host);
  if (!session || session === shown) return;
  sessions.delete(host);
  session.end();
  publish([HOSTS]);
}

/** What is known of a host; none if it is not connected. */
export function peek(host: string | undefined): Session | undefined {
  return sessions.get(host);
}

let listening = false;

export async function connect(): Promise<void> {
  await shown.connect();
  if (listening) return;
  listening = true;
  const again = () => {
    if (document.visibilityState !== 'visible') return;
    for (const session of sessions.values()) session.connection?.retryNow();
  };
  window.addEventListener('online', again);
  document.addEventListener('visibilitychange', again);
}

export function retryNow(): void {
  shown.connection?.retryNow();
}

/** Says what this person looks at; nothing is stored. */
export function tellPresence(room: string, state: PresenceState | undefined): void {
  shown.presence(room, state);
}

/** The place in the log up to which a room is shown; none while it is not. */
export function placeOf(room: string): { seq: number; cursor: string } | undefined {
  const seq = shown.connection?.rooms.last(room);
  const link = shown.link;
  if (link.phase !== 'live' || link.epoch === undefined || seq === undefined) return undefined;
  return { seq, cursor: `${link.epoch}.${String(seq)}` };
}

/** Rooms that are held, by name, each with its newest event. */
export function heldRooms(): [string, number | undefined][] {
  const rooms = shown.connection?.rooms;
  if (!rooms) return [];
  return rooms
    .wanted()
    .filter((room) => rooms.holds(room))
    .sort()
    .map((room) => [room, rooms.last(room)]);
}

/**
 * Asks the host that is shown. Waits for a connection if there is none, and survives the loss of one. If another host
 * is shown by the time of the answer, nobody is told: whoever asked is no longer on the screen.
 */
export async function call<M extends keyof Methods>(
  method: M,
  params: Methods[M]['params'],
  timeoutMs?: number,
): Promise<Methods[M]['reply']> {
  const asked = shown;
  const unless = <T>(answer: () => T): T | Promise<T> =>
    asked === shown ? answer() : new Promise<never>(() => undefined);
  return asked.call(method, params, timeoutMs).then(
    (reply) => unless(() => reply),
    (error: unknown) =>
      unless(() => {
        throw error;
      }),
  );
}

/** Joins a room while something shows it; a short absence (a step back and forth) keeps it filled. */
export function follow(room: string): () => void {
  const session = shown;
  session.join(room);
  let left = false;
  return () => {
    if (left) return;
    left = true;
    setTimeout(() => session.leave(room), LINGER_MS);
  };
}

export function useLink(): LinkState {
  return useTopic('link', () => shown.link);
}

/** Nothing here may be changed while what is shown may be old. */
export function useStale(): boolean {
  return useTopic('link', () => shown.link.complete && shown.link.phase !== 'live');
}

/** Whether this person cannot do something now: not connected, or their role is too low. */
export function useOff(least: 'operator' | 'owner'): boolean {
  const role = useLink().role;
  return useStale() || role === 'viewer' || (least === 'owner' && role !== 'owner');
}

export function useFirstLoad(): boolean {
  return useTopic('link', () => !shown.link.complete);
}

/** The host that is shown. */
export function useShownHost(): string | undefined {
  return useTopic(HOSTS, () => shown.host);
}

export type RoomState = 'loading' | 'filled' | { refused: string };

export function useRoom(room: string): RoomState {
  return useTopic(`room:${room}`, () =>
    derive(`room:${room}`, `room:${room}`, () => {
      const code = world.refused.get(room) ?? shown.connection?.rooms.refused.get(room);
      if (code !== undefined) return { refused: code };
      return world.filled.has(room) ? 'filled' : 'loading';
    }),
  );
}
