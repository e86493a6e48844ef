import { useSyncExternalStore } from 'react';

let now = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;
const listeners = new Set<() => void>();

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => {
    now = Date.now();
    for (const each of listeners) each();
  }, 1_000);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

const still = () => () => undefined;

/** The time, to the second; one timer for the whole window. Stands still when nothing needs it. */
export function useNow(ticking = true): number {
  return useSyncExternalStore(ticking ? subscribe : still, () => {
    if (!timer) now = Math.max(now, Date.now() - (Date.now() % 1_000));
    return now;
  });
}
