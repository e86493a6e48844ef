import type { Run, Step } from '../platform/protocol';
import { isAtWork, stepLook } from '../shared/status';

/** What failed first: the others often failed because of it. */
export function failedStep(steps: readonly Step[]): string | undefined {
  const failed = steps.filter((step) => step.status === 'done' && stepLook(step).tone === 'bad');
  failed.sort((a, b) => (a.ended_at ?? 0) - (b.ended_at ?? 0));
  return failed[0]?.key;
}

/** The step that a person wants to see now: what failed, else who waits, else what works, else the last that worked. */
export function stepInFront(run: Run, steps: readonly Step[]): string | undefined {
  const failed = failedStep(steps);
  if (failed !== undefined) return failed;
  const waiting = steps.find((step) => step.status === 'waiting_input');
  const working = steps
    .filter((step) => isAtWork(step.status))
    .sort((a, b) => (a.started_at ?? 0) - (b.started_at ?? 0));
  if (working.length > 0) return working.find((step) => step.key === run.current_step)?.key ?? working[0]?.key;
  if (waiting) return waiting.key;
  const ended = steps
    .filter((step) => (step.attempts ?? []).length > 0)
    .sort((a, b) => (b.ended_at ?? 0) - (a.ended_at ?? 0));
  return ended[0]?.key ?? run.current_step ?? steps[0]?.key;
}
