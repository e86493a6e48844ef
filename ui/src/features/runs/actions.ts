import type { Run } from '../../platform/protocol';
import { call } from '../../store/client';
import { isFailure } from '../../store/read';

export const cancelRun = (run: Run, force = false) =>
  call('run.cancel', force ? { run: run.id, force } : { run: run.id });
export const pauseRun = (run: Run) => call('run.pause', { run: run.id });
export const resumeRun = (run: Run) => call('run.resume', { run: run.id });

export function canRetry(run: Run): boolean {
  return run.status === 'done';
}

export function hasFailed(run: Run): boolean {
  return isFailure(run.conclusion) || run.conclusion === 'cancelled';
}
