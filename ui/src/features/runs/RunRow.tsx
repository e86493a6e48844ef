import type { Run } from '../../platform/protocol';
import { to } from '../../store/route';
import { useOff } from '../../store/client';
import { useStep } from '../../store/read';
import { Lamp } from '../../shared/Lamp';
import { Ago, Button, Elapsed, Link, Meter } from '../../shared/parts';
import { runLook } from '../../shared/status';
import { useAction } from '../../shared/useAction';
import { call } from '../../store/client';
import { cancelRun, canRetry, hasFailed } from './actions';
import './runs.css';

/** One run in a list: what it is, where it is, how long, and what can be done about it. */
export function RunRow({ run, showProject }: { run: Run; showProject?: boolean }) {
  const look = runLook(run);
  const step = useStep(run.id, run.current_step ?? '');
  const href = to.run(run.project, run.id);
  return (
    <li
      className="run-row"
      data-tone={look.tone}
      data-testid={`run-${String(run.number)}`}
      data-state={run.conclusion ?? run.status}
    >
      <Link to={href} className="run-main" data-row="">
        <Lamp look={look} size={20} />
        <span className="run-what">
          <span className="run-title">
            <b className="cut">{run.workflow}</b>
            <span className="muted num">#{run.number}</span>
            {showProject && <span className="muted cut">{run.project}</span>}
          </span>
          <span className="run-sub cut">
            <span className="tone">{look.word}</span>
            {run.current_step !== undefined && <span className="soft"> · {step?.title ?? run.current_step}</span>}
            {run.current_step === undefined && run.reason && <span className="soft"> · {run.reason}</span>}
          </span>
        </span>
        <span className="run-progress">
          {run.status !== 'done' && run.status !== 'queued' && (
            <Meter value={run.progress} label={`Progress of run ${String(run.number)}`} />
          )}
          <span className="muted num">
            {run.steps_done}/{run.steps_total} steps
          </span>
        </span>
        <span className="run-time num">
          {run.started_at !== undefined ? (
            <Elapsed from={run.started_at} until={run.ended_at} />
          ) : (
            <span className="muted">—</span>
          )}
          <span className="muted">
            <Ago at={run.created_at} />
          </span>
        </span>
      </Link>
      <RowActions run={run} />
    </li>
  );
}

function RowActions({ run }: { run: Run }) {
  const off = useOff('operator');
  const cancel = useAction(() => cancelRun(run), { toast: true });
  const retry = useAction(() => call('run.retry', { run: run.id, scope: hasFailed(run) ? 'failed' : 'all' }), {
    toast: true,
  });
  return (
    <span className="run-actions">
      {run.status !== 'done' && run.status !== 'cancelling' && (
        <Button
          size="small"
          kind="quiet"
          icon="stop"
          aria-label={`Cancel run ${String(run.number)}`}
          title="Cancel"
          disabled={off || cancel.pending}
          onClick={() => void cancel.run()}
        />
      )}
      {canRetry(run) && (
        <Button
          size="small"
          kind="quiet"
          icon="retry"
          aria-label={`Retry run ${String(run.number)}`}
          title={hasFailed(run) ? 'Retry what failed' : 'Run again'}
          disabled={off || retry.pending}
          onClick={() => void retry.run()}
        />
      )}
    </span>
  );
}
