import type { Limits, Role } from '../platform/protocol';

/**
 * `connecting` (no answer yet), `joining` (rooms are being filled), `live`, `waiting` (for the next
 * attempt), `refused` (final: the person must do something).
 */
export type Phase = 'idle' | 'connecting' | 'joining' | 'live' | 'waiting' | 'refused';

/** Everything the connection light tells. Replaced, never changed. */
export interface LinkState {
  phase: Phase;
  /** The view was complete once: what is on screen is real, perhaps old. */
  complete: boolean;
  /** Attempts since the last good connection. */
  attempts: number;
  retryAt?: number;
  /** When the host was last heard. */
  heardAt?: number;
  /** It was asked something, and has said nothing for some seconds. */
  doubtful?: boolean;
  /** When what is shown was last up to date. */
  freshAt?: number;
  roundTripMs?: number;
  closed?: { code: number; reason: string };
  lagging?: number;
  epoch?: string;
  seq?: number;
  version?: string;
  connection?: number;
  member?: string;
  memberName?: string;
  role?: Role;
  limits?: Limits;
  pingMs?: number;
  /** Losses noticed and mended by resuming. */
  gaps: number;
  reconnects: number;
}

export const initialLink: LinkState = { phase: 'idle', complete: false, attempts: 0, gaps: 0, reconnects: 0 };
