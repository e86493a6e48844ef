import type {
  Activity,
  ActivityEntry,
  Approval,
  ChatMessage,
  HealthCheck,
  Member,
  Notice as MemberNotice,
  NoticesUpdated,
  Profile,
  Progress,
  Project,
  QueueState,
  ReadMark,
  Risk,
  Run,
  RunWithSteps,
  ServerFrame,
  SignalboxEvent,
  Snapshot,
  Step,
  SystemStatus,
  VerifyResult,
  WorkflowSaved,
} from '../platform/protocol';
import { Logbook } from './logbook';
import { AgentWorld } from './agents';
import type { Dated } from './agents';
import { logKey } from './keys';
import { Team } from './team';
import { isAgentEvent } from './transcript';

export { logKey };
export type { History, Notice } from './agents';

const ACTIVITY_KEPT = 1_000;
const NOTHING: readonly never[] = [];

/**
 * The state of everything, built from frames by upserts. Knows no React and no clock. Values are
 * replaced, never changed, so that a selector can compare by identity; `dirty` names what changed.
 *
 * Maps throughout: ids and keys come from files and other programs, and one may be `__proto__`.
 */
export class World extends AgentWorld {
  readonly projects = new Map<string, Project>();
  readonly members = new Map<string, Member>();
  readonly health = new Map<string, HealthCheck>();
  readonly queues = new Map<string, QueueState>();
  readonly approvals = new Map<string, Dated<Approval>>();
  readonly runs = new Map<string, Dated<Run>>();
  readonly steps = new Map<string, Map<string, Dated<Step>>>();
  readonly progress = new Map<string, Progress>();
  readonly verdicts = new Map<string, VerifyResult[]>();
  readonly logs = new Map<string, Logbook>();
  /** Rooms that were filled at least once, or that the host refused (then: why). */
  readonly filled = new Set<string>();
  readonly refused = new Map<string, string>();
  /** Projects that were seen, and are not this person's any more. */
  readonly gone = new Set<string>();
  /** Workflows that were saved while this window looked, by project and name: who did so last. */
  readonly saved = new Map<string, WorkflowSaved & { by: string }>();
  readonly unknown = new Map<string, number>();
  readonly team = new Team(this.dirty);
  activity: ActivityEntry[] = [];
  system: SystemStatus | undefined;
  version: string | undefined;
  /** Runs that a run room fills: a project's snapshot must not throw them away. */
  readonly #pinned = new Set<string>();

  forget(): void {
    for (const map of [
      this.projects,
      this.members,
      this.health,
      this.queues,
      this.approvals,
      this.runs,
      this.steps,
      this.progress,
      this.verdicts,
      this.logs,
      this.saved,
    ])
      map.clear();
    this.forgetAgents();
    this.team.forget();
    this.filled.clear();
    this.gone.clear();
    this.#pinned.clear();
    this.activity = [];
    this.system = undefined;
    this.dirty.add('*');
  }

  apply(frame: ServerFrame): void {
    switch (frame.type) {
      case 'snapshot':
        this.refused.delete(frame.room);
        this.filled.add(frame.room);
        this.dirty.add(`room:${frame.room}`);
        this.#snapshot(frame.room, frame.at, frame.state);
        return;
      case 'left':
        if (frame.code !== 'unsubscribed') this.#refuse(frame.room, frame.code);
        this.team.left(frame.room);
        this.dirty.add(`room:${frame.room}`);
        return;
      case 'connection':
        this.team.gone();
        return;
      case 'presence':
        this.team.present(frame);
        return;
      case 'connection_stats':
        this.team.measured(frame);
        return;
      case 'subscribed':
      case 'reset':
      case 'synced':
      case 'ping':
      case 'reply':
      case 'lagging':
      case 'bye':
        return;
      default:
        this.#event(frame);
    }
  }

  run(id: string): Run | undefined {
    return this.runs.get(id)?.value;
  }

  step(run: string, key: string): Step | undefined {
    return this.steps.get(run)?.get(key)?.value;
  }

  logbook(run: string, step: string, attempt: number): Logbook {
    const key = logKey(run, step, attempt);
    let book = this.logs.get(key);
    if (!book) {
      book = new Logbook();
      this.logs.set(key, book);
    }
    return book;
  }

  /** From a page of older runs: nothing that the stream said may be overwritten by it. */
  older(runs: readonly Run[]): void {
    for (const run of runs) if (!this.runs.has(run.id)) this.#putRun(run, 0);
  }

  /** From `run.get`, for a run whose room is not joined. */
  fetched(run: Run, steps: readonly Step[]): void {
    if (!this.runs.has(run.id)) this.#putRun(run, 0);
    for (const step of steps) if (!this.step(run.id, step.key)) this.#putStep(step, 0);
  }

  settled(approvals: readonly Approval[]): void {
    for (const approval of approvals) if (!this.approvals.has(approval.id)) this.#putApproval(approval, 0);
  }

  /** From the log: what was said of a run in its project's room, where nothing keeps it. */
  told(run: string, events: readonly SignalboxEvent[]): void {
    for (const event of events) {
      if (event.run !== run) continue;
      if (event.type === 'verify_result') this.#verdict(run, event.data as VerifyResult);
      else if (event.type === 'goal_check' || event.type === 'commit') this.fact(run, event);
    }
    this.past(run, events);
  }

  /** All projects that this person sees, as the host listed them: of others nothing is kept. */
  seesOnly(projects: readonly Project[]): void {
    const listed = new Set(projects.map((project) => project.id));
    const gone = [...this.projects.keys()].filter((id) => !listed.has(id));
    for (const id of gone) this.#drop(id);
    for (const project of projects) this.projects.set(project.id, project);
    this.dirty.add('projects');
    if (gone.length > 0) this.dirty.add('*');
  }

  /** All members that this person may know of. */
  setMembers(members: readonly Member[]): void {
    this.members.clear();
    for (const member of members) this.members.set(member.id, member);
    this.dirty.add('host');
  }

  #refuse(room: string, code: string): void {
    this.refused.set(room, code);
    if (room === 'host') {
      this.health.clear();
      this.system = undefined;
      this.dirty.add('host');
    } else if (room === 'activity') {
      this.activity = [];
      this.dirty.add('activity');
    }
  }

  #drop(project: string): void {
    this.gone.add(project);
    this.projects.delete(project);
    this.queues.delete(project);
    this.filled.delete(`project/${project}`);
    const runs = new Set<string>();
    for (const [id, { value }] of this.runs) if (value.project === project) runs.add(id);
    for (const id of runs) {
      this.runs.delete(id);
      this.steps.delete(id);
      this.verdicts.delete(id);
      this.#pinned.delete(id);
      this.filled.delete(`run/${id}`);
    }
    for (const key of this.progress.keys()) if (runs.has(key.split(' ', 1)[0] ?? '')) this.progress.delete(key);
    for (const key of this.saved.keys()) if (key.startsWith(`${project}/`)) this.saved.delete(key);
    for (const held of [this.approvals, this.permissions, this.risks])
      for (const [id, { value }] of held) if (value.project === project) held.delete(id);
    this.notices = this.notices.filter((notice) => notice.project !== project);
    this.team.drop(project);
  }

  #snapshot(room: string, at: number, state: Snapshot): void {
    switch (state.of) {
      case 'host':
        this.version = state.version;
        this.projects.clear();
        for (const project of state.projects) this.projects.set(project.id, project);
        this.setMembers(state.members);
        this.health.clear();
        for (const check of state.health) this.health.set(check.service, check);
        this.system = state.system;
        this.dirty.add('projects').add('host');
        return;
      case 'activity':
        this.activity = [...state.entries].reverse();
        this.dirty.add('activity');
        return;
      case 'project':
        this.#project(at, state);
        return;
      case 'run':
        this.#pinned.add(state.run.id);
        this.team.here(room, state.presence);
        this.#withSteps(state, at);
        this.runOfAgents(at, state);
        this.told(state.run.id, state.told ?? []);
        for (const tail of state.logs) {
          const first = tail.chunks[0];
          if (!first) continue;
          this.logbook(state.run.id, first.step, first.attempt).tail(tail);
          this.dirty.add(`log:${logKey(state.run.id, first.step, first.attempt)}`);
        }
        return;
      case 'member':
        this.team.mine(state);
        return;
      default:
        this.#count(`snapshot:${room}`);
    }
  }

  #project(at: number, state: Extract<Snapshot, { of: 'project' }>): void {
    const id = state.project.id;
    this.projects.set(id, state.project);
    this.queues.set(id, state.queue);
    const named = new Set(state.runs.map((entry) => entry.run.id));
    for (const [key, { value, at: seen }] of this.runs) {
      if (value.project !== id || named.has(key) || this.#pinned.has(key) || seen > at) continue;
      this.runs.delete(key);
      this.steps.delete(key);
    }
    for (const entry of state.runs) this.#withSteps(entry, at);
    const open = new Set(state.approvals.map((approval) => approval.id));
    for (const [key, { value, at: seen }] of this.approvals) {
      if (value.project === id && value.state === 'open' && !open.has(key) && seen <= at) this.approvals.delete(key);
    }
    for (const approval of state.approvals) this.#putApproval(approval, at);
    this.projectOfAgents(id, at, state);
    this.team.chat(id, state.chat ?? [], at);
    this.team.here(`project/${id}`, state.presence);
    this.dirty.add('projects').add(`queue:${id}`).add(`runs:${id}`).add('runs').add('approvals');
  }

  #withSteps({ run, steps }: RunWithSteps, at: number): void {
    this.#putRun(run, at);
    for (const step of steps) this.#putStep(step, at);
  }

  #event(frame: SignalboxEvent): void {
    const at = frame.seq;
    switch (frame.type) {
      case 'run_updated':
        this.#putRun(frame.data as Run, at);
        return;
      case 'step_updated':
      case 'step_completed':
        this.#putStep(frame.data as Step, at);
        return;
      case 'log': {
        const chunk = frame.data as Extract<SignalboxEvent, { type: 'log' }>['data'] & {
          step: string;
          attempt: number;
        };
        const run = frame.run ?? frame.room.slice(4);
        this.logbook(run, chunk.step, chunk.attempt).chunk(chunk as never);
        this.dirty.add(`log:${logKey(run, chunk.step, chunk.attempt)}`);
        return;
      }
      case 'progress_update':
        if (frame.run) {
          const key = `${frame.run} ${frame.step ?? ''}`;
          this.progress.set(key, frame.data as Progress);
          this.dirty.add(`progress:${key}`);
        }
        return;
      case 'approval_requested': {
        const approval = frame.data as Approval;
        this.#putApproval(approval, at);
        this.notice({
          kind: 'approval',
          title: approval.question,
          text: `${approval.workflow} #${String(approval.run_number)}`,
          run: approval.run,
          project: approval.project,
          about: approval.id,
        });
        return;
      }
      case 'approval_resolved': {
        const approval = frame.data as Approval;
        this.#putApproval(approval, at);
        this.withdraw(approval.id);
        return;
      }
      case 'verify_result':
        if (frame.run) this.#verdict(frame.run, frame.data as VerifyResult);
        return;
      case 'goal_check':
      case 'commit':
        if (frame.run) this.fact(frame.run, frame);
        return;
      case 'risk_alert':
        this.risk(frame.data as Risk, at);
        return;
      case 'queue_update':
        this.queues.set(frame.room.slice('project/'.length), frame.data as QueueState);
        this.dirty.add(`queue:${frame.room.slice('project/'.length)}`);
        return;
      case 'project_updated': {
        const project = frame.data as Project;
        this.projects.set(project.id, project);
        this.dirty.add('projects');
        return;
      }
      case 'activity_created':
        this.activity = [{ seq: at, ts: frame.ts, data: frame.data as Activity }, ...this.activity].slice(
          0,
          ACTIVITY_KEPT,
        );
        this.dirty.add('activity');
        return;
      case 'system_status':
        this.system = frame.data as SystemStatus;
        this.dirty.add('host');
        return;
      case 'health_check': {
        const check = frame.data as HealthCheck;
        this.health.set(check.service, check);
        this.dirty.add('host');
        return;
      }
      case 'member_updated': {
        const member = frame.data as Member;
        this.members.set(member.id, member);
        this.dirty.add('host');
        return;
      }
      case 'chat_message': {
        const message = frame.data as ChatMessage;
        this.team.chat(message.project, [message], at);
        return;
      }
      case 'notice': {
        const notice = frame.data as MemberNotice;
        // Questions have cards and notes of their own.
        if (this.team.notice(notice) && (notice.kind === 'mention' || notice.kind === 'reply'))
          this.notice({
            kind: 'info',
            title: notice.kind === 'mention' ? `${notice.actor} named you` : `${notice.actor} answered you`,
            text: notice.text,
            project: notice.project,
            about: notice.id,
            ...(notice.run === undefined ? {} : { run: notice.run }),
          });
        return;
      }
      case 'notices_updated': {
        const updated = frame.data as NoticesUpdated;
        this.team.noticesUpdated(updated);
        if (updated.read_at !== undefined) for (const id of updated.ids) this.withdraw(id);
        return;
      }
      case 'mark_updated':
        this.team.mark(frame.data as ReadMark);
        return;
      case 'profile_updated':
        this.team.setProfile(frame.data as Profile);
        return;
      case 'workflow_updated': {
        const saved = frame.data as WorkflowSaved;
        const key = `${saved.project}/${saved.workflow}`;
        this.saved.set(key, { ...saved, by: frame.actor });
        this.dirty.add(`workflow:${key}`);
        return;
      }
      case 'webhook_updated':
        this.dirty.add(`webhooks:${frame.room.slice('project/'.length)}`);
        return;
      case 'engine_recovered': {
        const { runs, crashed } = frame.data as { runs: number; crashed: unknown[] };
        this.notice({
          kind: crashed.length > 0 ? 'error' : 'info',
          title: `The host came back and picked up ${String(runs)} ${runs === 1 ? 'run' : 'runs'}`,
          text:
            crashed.length > 0
              ? crashed.length === 1
                ? 'The outcome of 1 step is unknown. Look at it, and retry it if that is safe.'
                : `The outcome of ${String(crashed.length)} steps is unknown. Look at them, and retry those for which that is safe.`
              : 'Nothing was lost.',
        });
        return;
      }
      case 'error': {
        const { message, hint } = frame.data as { message: string; hint?: string };
        this.notice(hint ? { kind: 'error', title: message, text: hint } : { kind: 'error', title: message });
        return;
      }
      case 'completion':
        // What it says is in `run_updated` as well; programs read it, this window does not need it.
        return;
      default:
        if (isAgentEvent(frame)) this.ofAgent(frame.run ?? frame.room.slice(4), at, frame, true);
        else this.#count(frame.type);
    }
  }

  #count(type: string): void {
    this.unknown.set(type, (this.unknown.get(type) ?? 0) + 1);
    this.dirty.add('unknown');
  }

  #putRun(run: Run, at: number): void {
    const held = this.runs.get(run.id);
    if (held && held.at > at) return;
    this.runs.set(run.id, { value: run, at });
    this.dirty.add(`run:${run.id}`).add(`runs:${run.project}`).add('runs');
  }

  #putStep(step: Step, at: number): void {
    let steps = this.steps.get(step.run);
    if (!steps) {
      steps = new Map();
      this.steps.set(step.run, steps);
    }
    const held = steps.get(step.key);
    if (held && held.at > at) return;
    steps.set(step.key, { value: step, at });
    this.dirty.add(`steps:${step.run}`);
  }

  #putApproval(approval: Approval, at: number): void {
    const held = this.approvals.get(approval.id);
    if (held && held.at > at) return;
    this.approvals.set(approval.id, { value: approval, at });
    this.dirty.add('approvals');
  }

  #verdict(run: string, result: VerifyResult): void {
    const held = this.verdicts.get(run) ?? (NOTHING as readonly VerifyResult[]);
    const same = (other: VerifyResult) =>
      other.step === result.step && other.attempt === result.attempt && other.check === result.check;
    this.verdicts.set(run, [...held.filter((other) => !same(other)), result]);
    this.dirty.add(`verdicts:${run}`);
  }
}
