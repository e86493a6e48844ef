import type {
  ActivityEntry,
  Approval,
  Commit,
  GoalVerdict,
  HealthCheck,
  Member,
  Permission,
  Progress,
  Project,
  QueueState,
  Risk,
  Run,
  Severity,
  Step,
  SystemStatus,
  VerifyResult,
  WorkflowSaved,
} from '../platform/protocol';
import type { Logbook } from '../stream/logbook';
import type { Transcript } from '../stream/transcript';
import { logKey } from '../stream/keys';
import type { Notice } from '../stream/world';
import { world } from './client';
import { derive, useTopic } from './topics';

const NONE: readonly never[] = [];

export function useProjects(): readonly Project[] {
  return useTopic('projects', () =>
    derive('projects', 'projects', () =>
      [...world.projects.values()].filter((project) => project.open).sort((a, b) => a.name.localeCompare(b.name)),
    ),
  );
}

export function useProject(id: string): Project | undefined {
  return useTopic('projects', () => world.projects.get(id));
}

/** Whether it was seen here, and is not this person's any more. */
export function useGone(id: string | undefined): boolean {
  return useTopic('projects', () => id !== undefined && world.gone.has(id) && !world.projects.has(id));
}

/** Whether this person sees all projects: the host's room is for those. */
export function useSeesAll(): boolean {
  return useTopic('room:host', () => !world.refused.has('host'));
}

export function useRun(id: string): Run | undefined {
  return useTopic(`run:${id}`, () => world.run(id));
}

/** Newest first. */
export function useRuns(project: string): readonly Run[] {
  return useTopic(`runs:${project}`, () =>
    derive(`runs:${project}`, `runs:${project}`, () => {
      const runs: Run[] = [];
      for (const { value } of world.runs.values()) if (value.project === project) runs.push(value);
      return runs.sort((a, b) => b.number - a.number);
    }),
  );
}

/** In the order of their index, which is stable over the run's life. */
export function useSteps(run: string): readonly Step[] {
  return useTopic(`steps:${run}`, () => stepsOf(run));
}

export function stepsOf(run: string): readonly Step[] {
  return derive(`steps:${run}`, `steps:${run}`, () => {
    const steps = world.steps.get(run);
    return steps ? [...steps.values()].map((entry) => entry.value).sort((a, b) => a.index - b.index) : NONE;
  });
}

export function useStep(run: string, key: string): Step | undefined {
  return useTopic(`steps:${run}`, () => world.step(run, key));
}

export function useProgress(run: string, step: string): Progress | undefined {
  return useTopic(`progress:${run} ${step}`, () => world.progress.get(`${run} ${step}`));
}

export function useVerdicts(run: string): readonly VerifyResult[] {
  return useTopic(`verdicts:${run}`, () => world.verdicts.get(run) ?? NONE);
}

export function useQueue(project: string): QueueState | undefined {
  return useTopic(`queue:${project}`, () => world.queues.get(project));
}

export function useApproval(id: string | undefined): Approval | undefined {
  return useTopic('approvals', () => (id === undefined ? undefined : world.approvals.get(id)?.value));
}

export function useApprovals(): readonly Approval[] {
  return useTopic('approvals', () =>
    derive('approvals', 'approvals', () =>
      [...world.approvals.values()].map((entry) => entry.value).sort((a, b) => a.opened_at - b.opened_at),
    ),
  );
}

export function useOpenApprovals(): readonly Approval[] {
  return useTopic('approvals', () =>
    derive('approvals', 'approvals:open', () =>
      [...world.approvals.values()]
        .map((entry) => entry.value)
        .filter((approval) => approval.state === 'open')
        .sort((a, b) => a.opened_at - b.opened_at),
    ),
  );
}

export function useActivity(): readonly ActivityEntry[] {
  return useTopic('activity', () => world.activity);
}

export function useNotices(): readonly Notice[] {
  return useTopic('notices', () => world.notices);
}

export function useHealth(): readonly HealthCheck[] {
  return useTopic('host', () => derive('host', 'health', () => [...world.health.values()]));
}

export function useMembers(): readonly Member[] {
  return useTopic('host', () =>
    derive('host', 'members', () => [...world.members.values()].sort((a, b) => a.name.localeCompare(b.name))),
  );
}

export function useSystem(): SystemStatus | undefined {
  return useTopic('host', () => world.system);
}

/** Changes with every piece of the log; the lines themselves are read from the book while painting. */
export function useLogVersion(run: string, step: string, attempt: number): number {
  return useTopic(`log:${logKey(run, step, attempt)}`, () => bookOf(run, step, attempt).version);
}

export function bookOf(run: string, step: string, attempt: number): Logbook {
  return world.logbook(run, step, attempt);
}

/** Changes with everything the agent says and does; the entries are read from the transcript while painting. */
export function useTranscriptVersion(run: string, step: string, attempt: number): number {
  return useTopic(`agent:${logKey(run, step, attempt)}`, () => transcriptOf(run, step, attempt).version);
}

export function useFilesVersion(run: string, step: string, attempt: number): number {
  return useTopic(`agent:${logKey(run, step, attempt)}`, () => transcriptOf(run, step, attempt).filesVersion);
}

export function transcriptOf(run: string, step: string, attempt: number): Transcript {
  return world.transcript(run, step, attempt);
}

/** The newest verdict on a run's goal. */
export function useGoal(run: string): GoalVerdict | undefined {
  return useTopic(`outcome:${run}`, () => world.goals.get(run)?.value);
}

/** In the order in which they were made. */
export function useCommits(run: string): readonly Commit[] {
  return useTopic(`outcome:${run}`, () =>
    derive(`outcome:${run}`, `commits:${run}`, () =>
      [...(world.commits.get(run)?.values() ?? [])].sort((a, b) => a.at - b.at).map((commit) => commit.value),
    ),
  );
}

const GRAVITY: Record<Severity, number> = { critical: 0, warning: 1, info: 2 };

/** Risks that are not resolved: what nobody knows yet first, then the worst, then the oldest. */
export function useRisks(): readonly Risk[] {
  return useTopic('risks', () =>
    derive('risks', 'risks', () =>
      [...world.risks.values()]
        .map((entry) => entry.value)
        .filter((risk) => risk.state !== 'resolved')
        .sort(
          (a, b) =>
            Number(a.state !== 'open') - Number(b.state !== 'open') ||
            GRAVITY[a.severity] - GRAVITY[b.severity] ||
            a.raised_at - b.raised_at,
        ),
    ),
  );
}

/** Questions of agents, oldest first. */
export function usePermissions(): readonly Permission[] {
  return useTopic('permissions', () =>
    derive('permissions', 'permissions', () =>
      [...world.permissions.values()].map((entry) => entry.value).sort((a, b) => a.opened_at - b.opened_at),
    ),
  );
}

export function useOpenPermissions(): readonly Permission[] {
  return useTopic('permissions', () =>
    derive('permissions', 'permissions:open', () =>
      [...world.permissions.values()]
        .map((entry) => entry.value)
        .filter((permission) => permission.state === 'open')
        .sort((a, b) => a.opened_at - b.opened_at),
    ),
  );
}

/** Who saved a workflow last while this window looked, and what. */
export function useSavedWorkflow(project: string, name: string): (WorkflowSaved & { by: string }) | undefined {
  const key = `${project}/${name}`;
  return useTopic(`workflow:${key}`, () => world.saved.get(key));
}

/** Everything that waits for a person, whatever asks. */
export function useWaiting(): readonly { id: string; question: string; project: string; about: string }[] {
  const approvals = useOpenApprovals();
  const permissions = useOpenPermissions();
  const about = (asked: Approval | Permission) => `${asked.workflow} #${String(asked.run_number)}`;
  return [
    ...approvals.map((asked) => ({
      id: asked.id,
      question: asked.question,
      project: asked.project,
      about: about(asked),
    })),
    ...permissions.map((asked) => ({
      id: asked.id,
      question: asked.title,
      project: asked.project,
      about: about(asked),
    })),
  ];
}

export interface Tally {
  running: number;
  waiting: number;
  failed: number;
}

const DAY = 86_400_000;

/** For the window's title and the badges. Failed: since yesterday, so that an old failure does not stay for ever. */
export function useTally(): Tally {
  return useTopic('runs', () =>
    derive('runs', 'tally', () => {
      const tally: Tally = { running: 0, waiting: 0, failed: 0 };
      const since = Date.now() - DAY;
      const latest = new Map<string, Run>();
      for (const { value: run } of world.runs.values()) {
        if (run.status === 'waiting_input') tally.waiting += 1;
        else if (run.status !== 'done') tally.running += 1;
        const key = `${run.project} ${run.workflow}`;
        if (run.number > (latest.get(key)?.number ?? 0)) latest.set(key, run);
      }
      // A failure counts until the same workflow is run again.
      for (const run of latest.values())
        if (isFailure(run.conclusion) && (run.ended_at ?? 0) > since) tally.failed += 1;
      return tally;
    }),
  );
}

export function isFailure(conclusion: string | undefined): boolean {
  return conclusion === 'failed' || conclusion === 'timed_out' || conclusion === 'crashed' || conclusion === 'rejected';
}
