import type { World } from './world';

/** As many as a snapshot of a project holds: what is older is not the same in every window. */
const RUNS = 50;
const MESSAGES = 50;
const ENTRIES = 100;

/**
 * A short name for what a window holds of a room: two windows that are at the same place of the log have the same one,
 * whatever way each came there. Only what a newcomer is given as well counts. `undefined` for rooms that are read in
 * parts, and for a member's own.
 */
export function digestOf(world: World, room: string): string | undefined {
  if (room === 'activity') return digest(world.activity.slice(0, ENTRIES));
  if (room === 'host') return digest([byKey(world.projects), byKey(world.members)]);
  const [kind, id] = [room.slice(0, room.indexOf('/')), room.slice(room.indexOf('/') + 1)];
  if (kind === 'project') return ofProject(world, id);
  if (kind !== 'run') return undefined;
  const run = world.run(id);
  return run && digest([run, stepsOf(world, id)]);
}

function ofProject(world: World, id: string): string {
  const runs = [...world.runs.values()]
    .map(({ value }) => value)
    .filter((run) => run.project === id)
    .sort((a, b) => b.number - a.number)
    .slice(0, RUNS);
  const open = <T extends { project: string; state: string; id: string }>(of: ReadonlyMap<string, { value: T }>) =>
    [...of.values()]
      .map(({ value }) => value)
      .filter((each) => each.project === id && each.state === 'open')
      .sort((a, b) => compare(a.id, b.id));
  const chat = [...(world.team.chats.get(id)?.values() ?? [])]
    .map(({ value }) => value)
    .sort((a, b) => b.created_at - a.created_at || compare(b.id, a.id))
    .slice(0, MESSAGES);
  return digest([
    world.projects.get(id),
    runs.map((run) => [run, stepsOf(world, run.id)]),
    open(world.approvals),
    open(world.permissions),
    open(world.risks),
    world.queues.get(id),
    chat,
  ]);
}

function stepsOf(world: World, run: string) {
  return [...(world.steps.get(run)?.values() ?? [])].map(({ value }) => value).sort((a, b) => compare(a.key, b.key));
}

function byKey<T>(map: ReadonlyMap<string, T>): [string, T][] {
  return [...map].sort(([a], [b]) => compare(a, b));
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

/** Twelve hexadecimal digits. It tells states apart that differ by mistake; it is no proof against a forger. */
export function digest(value: unknown): string {
  const text = canonical(value);
  // Two lanes of a multiplicative hash (cyrb53), since the secure ones of browsers are not there over plain http.
  let a = 0xdeadbeef;
  let b = 0x41c6ce57;
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    a = Math.imul(a ^ code, 2654435761);
    b = Math.imul(b ^ code, 1597334677);
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
  return ((b >>> 0) & 0xffff).toString(16).padStart(4, '0') + (a >>> 0).toString(16).padStart(8, '0');
}

/** JSON with keys in order: an event and a snapshot may say the same in another one. */
function canonical(value: unknown): string {
  return (
    JSON.stringify(value, (_, part: unknown) =>
      typeof part === 'object' && part !== null && !Array.isArray(part)
        ? Object.fromEntries(Object.entries(part).sort(([x], [y]) => compare(x, y)))
        : part,
    ) ?? ''
  );
}
