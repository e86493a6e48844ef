import type { Clock } from './clock';

const FIRST_MS = 500;
const CAP_MS = 20_000;
const FLOOR_MS = 50;

/** Full jitter: after a host restart a hundred windows must not come back in the same millisecond. */
export function backoff(attempt: number, clock: Clock): number {
  const ceiling = Math.min(CAP_MS, FIRST_MS * 2 ** Math.min(attempt, 10));
  return Math.max(FLOOR_MS, Math.round(clock.random() * ceiling));
}
