import type {
  Commit,
  FileDiff,
  GoalVerdict,
  Permission,
  ProjectSnapshot,
  Risk,
  RunSnapshot,
  SignalboxEvent,
} from '../platform/protocol';
import { logKey } from './keys';
import { isAgentEvent, Transcript } from './transcript';
import type { AgentEvent } from './transcript';

export interface Dated<T> {
  value: T;
  /** The place in the log that this state is from: older news is refused, whatever way it comes. */
  at: number;
}

export interface Notice {
  id: number;
  kind: 'error' | 'info' | 'approval' | 'completion';
  title: string;
  text?: string;
  run?: string;
  project?: string;
  /** What it is about: an approval, a question of an agent, or a risk. Once that is settled, it says nothing. */
  about?: string;
}

/** How much of the past is known. */
export type History = 'loading' | 'complete' | { failed: unknown };

/** What a run's snapshot told, and how far back it went. */
interface Joined {
  /** The snapshot's place in the log. */
  at: number;
  /** Agent events from here on are known, for every step; 0: all of them. */
  from: number;
  /** Where a step's known events begin, once older ones were read. */
  readonly steps: Map<string, number>;
  /** Attempts from this one on have all their changes: from the snapshot, or live. */
  readonly attempts: Map<string, number>;
  /** Counts the snapshots. */
  turn: number;
}

/** A snapshot holds this many events of agents; with fewer there are none before them. */
const SNAPSHOT_EVENTS = 500;
const NOTICES_KEPT = 20;
/** These come by the project's room, so they say nothing of what is known of the run's. */
const TOLD_TO_PROJECT: ReadonlySet<string> = new Set(['permission_requested', 'permission_resolved', 'correction']);

/** The part of the world that is about agents: what they said, changed, asked and landed, and what may go wrong. */
export class AgentWorld {
  readonly dirty = new Set<string>();
  readonly transcripts = new Map<string, Transcript>();
  readonly permissions = new Map<string, Dated<Permission>>();
  readonly risks = new Map<string, Dated<Risk>>();
  /** The newest verdict on each run's goal. */
  readonly goals = new Map<string, Dated<GoalVerdict>>();
  /** Commits of a run, by hash and branch. */
  readonly commits = new Map<string, Map<string, Dated<Commit>>>();
  notices: Notice[] = [];
  readonly #histories = new Map<string, History>();
  readonly #changes = new Map<string, History>();
  readonly #joined = new Map<string, Joined>();
  /** The newest agent event of a run that came by its room. */
  readonly #newest = new Map<string, number>();
  #notice = 1;

  transcript(run: string, step: string, attempt: number): Transcript {
    const key = logKey(run, step, attempt);
    let transcript = this.transcripts.get(key);
    if (!transcript) {
      transcript = new Transcript();
      this.transcripts.set(key, transcript);
    }
    return transcript;
  }

  /** From the log: what agents said and did before the room was joined. */
  past(run: string, events: readonly SignalboxEvent[]): void {
    for (const event of events) if (isAgentEvent(event)) this.ofAgent(run, event.seq, event, false);
  }

  /** Undefined: nobody has asked for what came before yet. */
  historyOf(run: string, step: string): History | undefined {
    if (this.#joined.get(run)?.from === 0) return 'complete';
    return this.#histories.get(`${run} ${step}`);
  }

  /** Changes with each snapshot: events between it and what was known may be missing. */
  turnOf(run: string): number {
    return this.#joined.get(run)?.turn ?? 0;
  }

  /** The known events of a step begin here. */
  knownFrom(run: string, step: string): number | undefined {
    const joined = this.#joined.get(run);
    return joined?.steps.get(step) ?? joined?.from;
  }

  /** A page of a step's older events. */
  earlier(run: string, step: string, events: readonly SignalboxEvent[], more: boolean): void {
    this.past(run, events);
    const first = events[0];
    if (first) this.#joined.get(run)?.steps.set(step, first.seq);
    this.history(run, step, more ? 'loading' : 'complete');
  }

  history(run: string, step: string, state: History): void {
    this.#histories.set(`${run} ${step}`, state);
    this.dirty.add(`history:${run}`);
    if (state === 'complete') this.#settle(run, step);
  }

  /** Whether the oldest of a step is gone from memory already. */
  droppedOf(run: string, step: string): boolean {
    for (const [key, transcript] of this.transcripts) if (transcript.dropped > 0 && isOf(key, run, step)) return true;
    return false;
  }

  /** How much of an attempt's changed files is known. */
  changesOf(run: string, step: string, attempt: number): History | undefined {
    const joined = this.#joined.get(run);
    if (joined && attempt >= (joined.attempts.get(step) ?? 0)) return 'complete';
    return this.#changes.get(logKey(run, step, attempt));
  }

  /** An older attempt's files, read for themselves: nothing changes them any more. */
  changes(run: string, step: string, attempt: number, told: readonly FileDiff[] | History): void {
    const key = logKey(run, step, attempt);
    if (told === 'loading' || told === 'complete' || 'failed' in told) this.#changes.set(key, told);
    else {
      this.transcript(run, step, attempt).filesAt(this.#joined.get(run)?.at ?? 0, told);
      this.#changes.set(key, 'complete');
    }
    this.dirty.add(`agent:${key}`);
  }

  notice(notice: Omit<Notice, 'id'>): void {
    this.notices = [...this.notices.slice(1 - NOTICES_KEPT), { ...notice, id: this.#notice++ }];
    this.dirty.add('notices');
  }

  dismiss(id: number): void {
    this.notices = this.notices.filter((notice) => notice.id !== id);
    this.dirty.add('notices');
  }

  /** A notice of what is settled has nothing to say. */
  protected withdraw(about: string): void {
    if (!this.notices.some((notice) => notice.about === about)) return;
    this.notices = this.notices.filter((notice) => notice.about !== about);
    this.dirty.add('notices');
  }

  protected forgetAgents(): void {
    for (const map of [
      this.transcripts,
      this.permissions,
      this.risks,
      this.goals,
      this.commits,
      this.#histories,
      this.#changes,
      this.#joined,
      this.#newest,
    ])
      map.clear();
  }

  protected ofAgent(run: string, at: number, event: AgentEvent, live: boolean): void {
    const { step, attempt } = event.data;
    this.transcript(run, step, attempt).apply(at, event);
    this.dirty.add(`agent:${logKey(run, step, attempt)}`);
    if (live && !TOLD_TO_PROJECT.has(event.type)) this.#newest.set(run, Math.max(at, this.#newest.get(run) ?? 0));
    if (event.type === 'permission_requested') {
      const known = this.permissions.has(event.data.id);
      this.#permission(event.data, at);
      if (!live || known || event.data.state !== 'open') return;
      const { title, workflow, run_number, project, id } = event.data;
      this.notice({ kind: 'approval', title, text: `${workflow} #${String(run_number)}`, run, project, about: id });
    } else if (event.type === 'permission_resolved') {
      this.#permission(event.data, at);
      this.withdraw(event.data.id);
    }
  }

  protected fact(run: string, event: SignalboxEvent): void {
    if (event.type === 'goal_check') {
      if ((this.goals.get(run)?.at ?? 0) > event.seq) return;
      this.goals.set(run, { value: event.data as GoalVerdict, at: event.seq });
    } else if (event.type === 'commit') {
      const commit = event.data as Commit;
      let commits = this.commits.get(run);
      if (!commits) {
        commits = new Map();
        this.commits.set(run, commits);
      }
      const key = `${commit.hash} ${commit.branch}`;
      const held = commits.get(key);
      // Told twice, it keeps its first place.
      if (held && held.at <= event.seq) return;
      commits.set(key, { value: commit, at: event.seq });
    }
    this.dirty.add(`outcome:${run}`);
  }

  /** Raised anew it is the same one; only what nobody knew yet rings. */
  protected risk(risk: Risk, at: number): void {
    const key = riskKey(risk);
    const held = this.risks.get(key);
    if (held && held.at > at) return;
    this.#risk(risk, at);
    if (risk.state !== 'open') this.withdraw(key);
    else if (risk.severity === 'critical' && held?.value.state !== 'open') {
      const { title, project, run } = risk;
      // Some titles hold the evidence.
      const text = title.includes(risk.evidence) ? risk.advice : risk.evidence;
      this.notice({ kind: 'error', title, text, project, about: key, ...(run === undefined ? {} : { run }) });
    }
  }

  /** A run's room: the newest events are there at once, and what is older is read when somebody looks. */
  protected runOfAgents(at: number, state: RunSnapshot): void {
    const run = state.run.id;
    const before = this.#joined.get(run);
    const from = state.transcript.length < SNAPSHOT_EVENTS ? 0 : (state.transcript[0]?.seq ?? 0);
    // Does what we have reach the snapshot's oldest event, then nothing between is missing.
    const whole = before !== undefined && (this.#newest.get(run) ?? 0) >= from;
    this.#joined.set(run, {
      at,
      from: whole ? Math.min(before.from, from) : from,
      steps: whole ? before.steps : new Map(),
      attempts: new Map(
        state.steps.map((step) => [step.key, Math.max(1, (step.attempts ?? []).at(-1)?.number ?? 1)] as const),
      ),
      turn: (before?.turn ?? 0) + 1,
    });
    for (const [key, told] of this.#histories) {
      if (!key.startsWith(`${run} `)) continue;
      if (!whole || told !== 'complete') this.#histories.delete(key);
    }
    const files = new Map<string, { step: string; attempt: number; files: FileDiff[] }>();
    for (const step of state.steps) {
      const attempt = (step.attempts ?? []).at(-1)?.number;
      if (step.kind === 'agent' && attempt !== undefined)
        files.set(logKey(run, step.key, attempt), { step: step.key, attempt, files: [] });
    }
    for (const file of state.diffs) files.get(logKey(run, file.step, file.attempt))?.files.push(file);
    for (const each of files.values()) {
      this.transcript(run, each.step, each.attempt).filesAt(at, each.files);
      this.dirty.add(`agent:${logKey(run, each.step, each.attempt)}`);
    }
    for (const data of state.sessions) this.ofAgent(run, at, { type: 'agent_session', data }, false);
    for (const data of state.usage) this.ofAgent(run, at, { type: 'usage_update', data }, false);
    this.past(run, state.transcript);
    const newest = state.transcript.at(-1)?.seq ?? 0;
    this.#newest.set(run, Math.max(newest, this.#newest.get(run) ?? 0));
    if (from === 0) this.#settle(run);
    this.dirty.add(`history:${run}`);
  }

  /** Open questions and risks of a project: what is not named is settled. */
  protected projectOfAgents(project: string, at: number, state: ProjectSnapshot): void {
    const open = new Set(state.permissions.map((permission) => permission.id));
    for (const [key, { value, at: seen }] of this.permissions) {
      if (value.project === project && value.state === 'open' && !open.has(key) && seen <= at)
        this.permissions.delete(key);
    }
    for (const permission of state.permissions) this.#permission(permission, at);
    const known = new Set(state.risks.map(riskKey));
    for (const [key, { value, at: seen }] of this.risks) {
      if (value.project !== project || known.has(key) || seen > at) continue;
      this.risks.delete(key);
      this.withdraw(key);
    }
    for (const risk of state.risks) this.#risk(risk, at);
    this.dirty.add('permissions').add('risks');
  }

  #settle(run: string, step?: string): void {
    for (const [key, transcript] of this.transcripts) {
      if (!isOf(key, run, step)) continue;
      transcript.settle();
      this.dirty.add(`agent:${key}`);
    }
  }

  #permission(permission: Permission, at: number): void {
    const held = this.permissions.get(permission.id);
    if (held && held.at > at) return;
    this.permissions.set(permission.id, { value: permission, at });
    this.dirty.add('permissions');
  }

  #risk(risk: Risk, at: number): void {
    const key = riskKey(risk);
    const held = this.risks.get(key);
    if (held && held.at > at) return;
    this.risks.set(key, { value: risk, at });
    this.dirty.add('risks');
  }
}

/** Whether a `logKey` is one of this run, and of this step. */
function isOf(key: string, run: string, step: string | undefined): boolean {
  return key.startsWith(`${run} `) && (step === undefined || key.slice(key.indexOf(' ', run.length + 1) + 1) === step);
}

/** An id is unique in its project only. */
export function riskKey(risk: Risk): string {
  return `${risk.project} ${risk.id}`;
}
