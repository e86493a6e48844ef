import { useSyncExternalStore } from 'react';
import type { Methods } from '../platform/protocol';
import { call } from './client';

type Params = Methods['chat.post']['params'];

/** A message that was written and is not known to be with the host yet. */
export interface Unsent {
  id: number;
  params: Params;
  error?: unknown;
}

const NONE: readonly Unsent[] = [];
const queues = new Map<string, readonly Unsent[]>();
const listeners = new Set<() => void>();
const atWork = new Set<string>();
let newest = 0;

function put(project: string, queue: readonly Unsent[]): void {
  if (queue.length === 0) queues.delete(project);
  else queues.set(project, queue);
  for (const listener of listeners) listener();
}

/** What waits in a project. */
export const unsentOf = (project: string): readonly Unsent[] => queues.get(project) ?? NONE;

/** Sends what waits, one after the other, so that messages stand in the order in which they were written. */
async function work(project: string): Promise<void> {
  if (atWork.has(project)) return;
  atWork.add(project);
  try {
    for (;;) {
      const first = unsentOf(project)[0];
      if (!first || first.error !== undefined) return;
      try {
        await call('chat.post', first.params);
        put(
          project,
          unsentOf(project).filter((each) => each.id !== first.id),
        );
      } catch (error) {
        put(
          project,
          unsentOf(project).map((each) => (each.id === first.id ? { ...each, error } : each)),
        );
      }
    }
  } finally {
    atWork.delete(project);
  }
}

/** Posts a message, behind those that are still on their way. It is kept until the host has it or somebody takes it back. */
export function post(params: Params): void {
  newest += 1;
  put(params.project, [...unsentOf(params.project), { id: newest, params }]);
  void work(params.project);
}

/** Tries again what failed. */
export function postAgain(project: string): void {
  put(
    project,
    unsentOf(project).map(({ id, params }) => ({ id, params })),
  );
  void work(project);
}

/** Gives up one that failed; its text is not lost, but for the caller to keep. */
export function takeBack(project: string, id: number): void {
  put(
    project,
    unsentOf(project).filter((each) => each.id !== id),
  );
  void work(project);
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
