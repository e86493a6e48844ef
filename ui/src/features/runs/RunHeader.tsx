import type { ReactNode } from 'react';
import type { Run } from '../../platform/protocol';
import { useOff } from '../../store/client';
import { useGoal, useProgress, useRisks, useSteps } from '../../store/read';
import { navigate, to } from '../../store/route';
import { useNow } from '../../store/time';
import { count, duration, exact } from '../../shared/format';
import { Lamp, State } from '../../shared/Lamp';
import { Ago, Button, Elapsed, Meter } from '../../shared/parts';
import { goalLook, runLook } from '../../shared/status';
import { useAction } from '../../shared/useAction';
import { brief, spelled, usedUp } from '../../shared/used';
import { cancelRun, pauseRun, resumeRun } from './actions';
import { ExportMenu } from '../export/ExportMenu';
import { RetryMenu } from './RetryMenu';
import './runs.css';

const FORCE_AFTER_MS = 10_000;

export function RunHeader({
  run,
  back,
  people,
  cancellingSince,
}: {
  run: Run;
  back: ReactNode;
  /** Who else is here. */
  people: ReactNode;
  cancellingSince: number | undefined;
}) {
  const look = runLook(run);
  const progress = useProgress(run.id, '');
  const inputs = Object.entries(run.inputs ?? {});
  return (
    <header
      className="run-head"
      data-tone={look.tone}
      data-testid="run-header"
      data-state={run.conclusion ?? run.status}
    >
      <div className="run-head-line">
        {back}
        <h1 className="cut">
          {run.workflow} <span className="muted num">#{run.number}</span>
        </h1>
        <span role="status">
          <State look={look} />
        </span>
        <span className="grow" />
        {people}
        {run.status === 'done' && <ExportMenu run={run} />}
        <RunActions run={run} cancellingSince={cancellingSince} />
      </div>
      <div className="run-head-facts">
        <span className="num" title={run.started_at === undefined ? undefined : `started ${exact(run.started_at)}`}>
          {run.started_at !== undefined ? <Elapsed from={run.started_at} until={run.ended_at} /> : 'not started'}
        </span>
        <span className="num">
          {run.steps_done} of {run.steps_total} steps
        </span>
        <span>
          by {run.actor}, <Ago at={run.created_at} />
        </span>
        {progress?.eta_ms !== undefined && run.status === 'running' && (
          <span>about {duration(progress.eta_ms)} left</span>
        )}
        {run.paused && run.status !== 'paused' && (
          <span className="badge" data-tone="wait">
            nothing new starts
          </span>
        )}
        {run.queue_position !== undefined && <span>place {run.queue_position} in the queue</span>}
        <Agents run={run} />
        {inputs.length > 0 && (
          <details className="run-inputs">
            <summary>{inputs.length === 1 ? '1 input' : `${String(inputs.length)} inputs`}</summary>
            <dl className="facts card">
              {inputs.map(([name, value]) => (
                <div key={name} style={{ display: 'contents' }}>
                  <dt>{name}</dt>
                  <dd className="mono">{typeof value === 'string' ? value : JSON.stringify(value)}</dd>
                </div>
              ))}
            </dl>
          </details>
        )}
        {run.reason && <span className="soft">{run.reason}</span>}
      </div>
      <Meter value={run.progress} label="Progress of the run" />
    </header>
  );
}

/** What its agents used up, whether its goal is reached, and what may go wrong. */
function Agents({ run }: { run: Run }) {
  const used = usedUp(useSteps(run.id));
  const goal = useGoal(run.id);
  const risks = useRisks().filter((risk) => risk.run === run.id);
  const look = goal && goalLook(goal.passed);
  const outcome = () => navigate(to.run(run.project, run.id, { tab: 'outcome' }), { replace: true });
  return (
    <>
      {used && brief(used) !== '' && (
        <span className="num" title={spelled(used)} data-testid="run-usage">
          {brief(used)}
        </span>
      )}
      {look && (
        <button type="button" className="run-facts" data-tone={look.tone} data-testid="run-goal" onClick={outcome}>
          <Lamp look={look} size={14} /> Goal {look.word.toLowerCase()}
        </button>
      )}
      {risks.length > 0 && (
        <button
          type="button"
          className="run-facts"
          data-tone={risks.some((risk) => risk.severity === 'critical') ? 'bad' : 'wait'}
          data-testid="run-risks"
          onClick={outcome}
        >
          {count(risks.length, 'risk')}
        </button>
      )}
    </>
  );
}

function RunActions({ run, cancellingSince }: { run: Run; cancellingSince: number | undefined }) {
  const stale = useOff('operator');
  const now = useNow(run.status === 'cancelling');
  const cancel = useAction(() => cancelRun(run), { toast: true });
  const force = useAction(() => cancelRun(run, true), { toast: true });
  const pause = useAction(() => (run.paused || run.status === 'paused' ? resumeRun(run) : pauseRun(run)), {
    toast: true,
  });
  if (run.status === 'done') return <RetryMenu run={run} disabled={stale} />;
  const waited = cancellingSince === undefined ? 0 : now - cancellingSince;
  const paused = run.paused === true || run.status === 'paused';
  return (
    <span className="row">
      {run.status !== 'cancelling' && (
        <Button
          icon={paused ? 'play' : 'pause'}
          disabled={stale || pause.pending}
          data-testid="pause-run"
          title={paused ? 'Let the run go on' : 'What runs goes on, nothing new starts'}
          onClick={() => void pause.run()}
        >
          {paused ? 'Resume' : 'Pause'}
        </Button>
      )}
      {run.status === 'cancelling' ? (
        <Button
          kind="danger"
          icon="stop"
          disabled={stale || force.pending || waited < FORCE_AFTER_MS}
          data-testid="force-run"
          title="Kill its processes at once"
          onClick={() => void force.run()}
        >
          {waited < FORCE_AFTER_MS ? `Force in ${String(Math.ceil((FORCE_AFTER_MS - waited) / 1000))}s` : 'Force'}
        </Button>
      ) : (
        <Button
          kind="danger"
          icon="stop"
          disabled={stale || cancel.pending}
          data-testid="cancel-run"
          onClick={() => void cancel.run()}
        >
          Cancel
        </Button>
      )}
    </span>
  );
}
