import { useSyncExternalStore } from 'react';
import type { Methods } from '../platform/protocol';
import { here } from './client';
import type { Session } from './session';

type Params = Methods['chat.post']['params'];

/** A message that was written and is not known to be with the host yet. */
export interface Unsent {
  id: number;
  params: Params;
  error?: unknown;
}

/** What waits for one host, by project. It goes on while another host is shown. */
interface Outbox {
  queues: Map<string, readonly Unsent[]>;
  atWork: Set<string>;
}

const NONE: readonly Unsent[] = [];
const outboxes = new WeakMap<Session, Outbox>();
const listeners = new Set<() => void>();
let newest = 0;

function outboxOf(session: Session): Outbox {
  let outbox = outboxes.get(session);
  if (!outbox) {
    outbox = { queues: new Map(), atWork: new Set() };
    outboxes.set(session, outbox);
  }
  return outbox;
}

/** What waits in a project of the host that is shown. */
export const unsentOf = (project: string, session = here()): readonly Unsent[] =>
  outboxOf(session).queues.get(project) ?? NONE;

function change(session: Session, project: string, next: (queue: readonly Unsent[]) => readonly Unsent[]): void {
  const { queues } = outboxOf(session);
  const queue = next(queues.get(project) ?? NONE);
  if (queue.length === 0) queues.delete(project);
  else queues.set(project, queue);
  for (const listener of listeners) listener();
}

/** Sends what waits, one after the other, so that messages stand in the order in which they were written. */
async function work(session: Session, project: string): Promise<void> {
  const { atWork } = outboxOf(session);
  if (atWork.has(project)) return;
  atWork.add(project);
  try {
    for (;;) {
      const first = unsentOf(project, session)[0];
      if (!first || first.error !== undefined) return;
      try {
        await session.call('chat.post', first.params);
        change(session, project, (queue) => queue.filter((each) => each.id !== first.id));
      } catch (error) {
        change(session, project, (queue) => queue.map((each) => (each.id === first.id ? { ...each, error } : each)));
      }
    }
  } finally {
    atWork.delete(project);
  }
}

/** Posts a message, behind those that are still on their way. It is kept until the host has it or somebody takes it back. */
export function post(params: Params): void {
  const session = here();
  newest += 1;
  const waiting = { id: newest, params };
  change(session, params.project, (queue) => [...queue, waiting]);
  void work(session, params.project);
}

/** Tries again what failed. */
export function postAgain(project: string): void {
  const session = here();
  change(session, project, (queue) => queue.map(({ id, params }) => ({ id, params })));
  void work(session, project);
}

/** Gives up one that failed; its text is not lost, but for the caller to keep. */
export function takeBack(project: string, id: number): void {
  const session = here();
  change(session, project, (queue) => queue.filter((each) => each.id !== id));
  void work(session, project);
}

export function useOutbox(project: string): readonly Unsent[] {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => unsentOf(project),
  );
}
