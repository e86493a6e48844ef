import { useSyncExternalStore } from 'react';

let now = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;
const listeners = new Set<() => void>();

/** Nobody reads the time of a hidden page; it is right again the moment it is seen. */
function tick(): void {
  if (document.visibilityState === 'hidden') return;
  now = Date.now();
  for (const each of listeners) each();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(tick, 1_000);
  if (listeners.size === 1) document.addEventListener('visibilitychange', tick);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(timer);
      document.removeEventListener('visibilitychange', tick);
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
