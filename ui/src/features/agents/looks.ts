import type {
  AgentErrorKind,
  AgentState,
  FileStatus,
  OptionKind,
  PlanStatus,
  ToolKind,
  ToolStatus,
} from '../../platform/protocol';
import type { IconName } from '../../shared/Icon';
import type { Look } from '../../shared/status';

export const TOOL: Record<ToolKind, { word: string; icon: IconName }> = {
  read: { word: 'Read', icon: 'eye' },
  edit: { word: 'Edit', icon: 'edit' },
  delete: { word: 'Delete', icon: 'trash' },
  move: { word: 'Move', icon: 'swap' },
  search: { word: 'Search', icon: 'search' },
  execute: { word: 'Run', icon: 'terminal' },
  think: { word: 'Think', icon: 'bulb' },
  fetch: { word: 'Fetch', icon: 'globe' },
  switch_mode: { word: 'Change mode', icon: 'settings' },
  other: { word: 'Tool', icon: 'more' },
};

export const TOOL_STATUS: Record<ToolStatus, Look> = {
  pending: { word: 'Not begun', tone: 'idle', shape: 'hollow' },
  in_progress: { word: 'At work', tone: 'active', shape: 'play' },
  completed: { word: 'Done, it says', tone: 'good', shape: 'check' },
  failed: { word: 'Failed', tone: 'bad', shape: 'cross' },
  rejected: { word: 'Refused', tone: 'bad', shape: 'hand' },
  cancelled: { word: 'Cancelled', tone: 'off', shape: 'slash' },
  unknown: { word: 'Never told how it ended', tone: 'off', shape: 'dash' },
};

export const SESSION: Record<AgentState, Look> = {
  starting: { word: 'Starting', tone: 'active', shape: 'arc' },
  running: { word: 'At work', tone: 'active', shape: 'play' },
  waiting: { word: 'Waits for you', tone: 'wait', shape: 'question' },
  idle: { word: 'Waits for the next prompt', tone: 'idle', shape: 'dot' },
  closed: { word: 'Ended', tone: 'off', shape: 'stop' },
};

export const PLAN: Record<PlanStatus, Look> = {
  pending: { word: 'Not begun', tone: 'idle', shape: 'hollow' },
  in_progress: { word: 'At work', tone: 'active', shape: 'play' },
  completed: { word: 'Done', tone: 'good', shape: 'check' },
};

export const FILE: Record<FileStatus, { word: string; tone: Look['tone'] }> = {
  added: { word: 'new', tone: 'good' },
  modified: { word: 'changed', tone: 'active' },
  deleted: { word: 'deleted', tone: 'bad' },
  renamed: { word: 'renamed', tone: 'wait' },
  unchanged: { word: 'as before', tone: 'idle' },
};

/** What a person can do about an agent's failure. */
export const ADVICE: Record<AgentErrorKind, string> = {
  missing: 'Install the agent on the host, then retry the step.',
  auth: 'Sign in to the agent on the host, then retry the step.',
  rate_limit: 'The step goes on by itself when the limit ends, if its workflow allows a retry.',
  network: "Check the host's connection, then retry the step.",
  protocol: 'Look at the raw frames; a newer version of the agent may help.',
  exited: 'Look at its output, then retry the step.',
  limit: 'Raise the limit in the workflow, or make the task smaller.',
  agent: 'Look at what it said before, then retry the step.',
};

/** Allowing is the plain answer and refusing the red one; for ever is neither. */
export const OPTION: Record<OptionKind, 'primary' | 'danger' | undefined> = {
  allow_once: 'primary',
  allow_always: undefined,
  reject_once: 'danger',
  reject_always: 'danger',
  answer: undefined,
};

/** JSON as one reads it; anything else as it is. */
export function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
