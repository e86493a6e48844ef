import type { Step } from '../../platform/protocol';
import { stepLook, isAtWork } from '../../shared/status';
import type { Look } from '../../shared/status';

/** How a track is lit: by the signals at both its ends. */
export type TrackState = 'dark' | 'taken' | 'clear' | 'stop' | 'off';

export function trackState(from: readonly (Step | undefined)[], to: readonly (Step | undefined)[]): TrackState {
  const sources = from.filter((step) => step !== undefined);
  const targets = to.filter((step) => step !== undefined);
  if (sources.some((step) => stepLook(step).tone === 'bad' && step.status === 'done')) return 'stop';
  if (sources.length === 0 || !sources.every((step) => step.status === 'done')) return 'dark';
  if (targets.some((step) => isAtWork(step.status))) return 'taken';
  if (
    targets.length > 0 &&
    targets.every(
      (step) => step.conclusion === 'omitted' || step.conclusion === 'skipped' || step.conclusion === 'cancelled',
    )
  )
    return 'off';
  return targets.some((step) => step.status !== 'blocked') ? 'clear' : 'dark';
}

export const PLANNED: Look = { word: 'Not started', tone: 'idle', shape: 'hollow' };

/** How a step looks whose run has not begun, or that is not known yet, too. */
export function lookOf(step: Step | undefined): Look {
  return step ? stepLook(step) : PLANNED;
}

const ORDER = ['bad', 'wait', 'active', 'idle', 'off', 'good'];

/** One lamp for a whole panel: what needs attention first. */
export function panelLook(steps: readonly Step[]): Look {
  let worst = PLANNED;
  let rank = ORDER.length;
  for (const step of steps) {
    const look = stepLook(step);
    const at = ORDER.indexOf(look.tone);
    if (at < rank) {
      rank = at;
      worst = look;
    }
  }
  return worst;
}
