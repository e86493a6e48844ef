import type { RunConclusion, RunStatus, StepConclusion, StepStatus } from '../platform/protocol';

export type Tone = 'idle' | 'active' | 'wait' | 'good' | 'bad' | 'off';

export type Shape =
  | 'hollow'
  | 'dot'
  | 'clock'
  | 'arc'
  | 'play'
  | 'question'
  | 'pause'
  | 'inspect'
  | 'stop'
  | 'check'
  | 'cross'
  | 'hourglass'
  | 'slash'
  | 'skip'
  | 'dash'
  | 'hand'
  | 'bolt'
  | 'swap'
  | 'queue';

/** What a state looks like: the shape alone tells it, the colour helps. */
export interface Look {
  word: string;
  tone: Tone;
  shape: Shape;
}

const STEP: Record<Exclude<StepStatus, 'done'>, Look> = {
  blocked: { word: 'Not started', tone: 'idle', shape: 'hollow' },
  ready: { word: 'Ready', tone: 'idle', shape: 'dot' },
  scheduled: { word: 'Scheduled', tone: 'wait', shape: 'clock' },
  starting: { word: 'Starting', tone: 'active', shape: 'arc' },
  running: { word: 'Running', tone: 'active', shape: 'play' },
  waiting_input: { word: 'Waiting for an answer', tone: 'wait', shape: 'question' },
  paused: { word: 'Paused', tone: 'wait', shape: 'pause' },
  verifying: { word: 'Checking', tone: 'active', shape: 'inspect' },
  cancelling: { word: 'Cancelling', tone: 'off', shape: 'stop' },
};

const ENDED: Record<StepConclusion, Look> = {
  success: { word: 'Succeeded', tone: 'good', shape: 'check' },
  failed: { word: 'Failed', tone: 'bad', shape: 'cross' },
  timed_out: { word: 'Timed out', tone: 'bad', shape: 'hourglass' },
  cancelled: { word: 'Cancelled', tone: 'off', shape: 'slash' },
  skipped: { word: 'Skipped', tone: 'off', shape: 'skip' },
  omitted: { word: 'Not reached', tone: 'off', shape: 'dash' },
  rejected: { word: 'Rejected', tone: 'bad', shape: 'hand' },
  crashed: { word: 'Outcome unknown', tone: 'bad', shape: 'bolt' },
  superseded: { word: 'Superseded', tone: 'off', shape: 'swap' },
};

const RUN: Record<Exclude<RunStatus, 'done'>, Look> = {
  queued: { word: 'Queued', tone: 'idle', shape: 'queue' },
  running: { word: 'Running', tone: 'active', shape: 'play' },
  waiting_input: STEP.waiting_input,
  scheduled: STEP.scheduled,
  paused: STEP.paused,
  cancelling: STEP.cancelling,
};

const UNKNOWN: Look = { word: 'Unknown', tone: 'idle', shape: 'hollow' };

export function stepLook(step: { status: StepStatus; conclusion?: StepConclusion }): Look {
  if (step.status === 'done') return (step.conclusion && ENDED[step.conclusion]) ?? UNKNOWN;
  return STEP[step.status] ?? UNKNOWN;
}

export function runLook(run: { status: RunStatus; conclusion?: RunConclusion }): Look {
  if (run.status === 'done') return (run.conclusion && ENDED[run.conclusion]) ?? UNKNOWN;
  return RUN[run.status] ?? UNKNOWN;
}

export function conclusionLook(conclusion: StepConclusion | undefined): Look {
  return (conclusion && ENDED[conclusion]) ?? STEP.running;
}

/** What a check of the goal found. */
export function goalLook(passed: boolean): Look {
  return passed
    ? { word: 'Reached', tone: 'good', shape: 'check' }
    : { word: 'Not reached', tone: 'bad', shape: 'cross' };
}

export function isAtWork(status: StepStatus): boolean {
  return status === 'starting' || status === 'running' || status === 'verifying' || status === 'cancelling';
}

/** The matrix value in brackets, unless the title says it already. */
export function stepValue(step: { key: string; id: string; title: string }): string {
  const value = step.key.slice(step.id.length);
  return value === '' || step.title.includes(value) ? '' : value;
}
