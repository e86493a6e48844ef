import { People } from '../features/team/People';
import { useEffect, useState } from 'react';
import { AgentPanel } from '../features/agents/AgentPanel';
import { PermissionCard } from '../features/agents/PermissionCard';
import { ApprovalCard } from '../features/approvals/ApprovalCard';
import { SignalGraph } from '../features/graph/SignalGraph';
import { LogViewer } from '../features/log/LogViewer';
import { StreamLog } from '../features/log/StreamLog';
import { StepRetry } from '../features/runs/RetryMenu';
import { RunHeader } from '../features/runs/RunHeader';
import { StepList } from '../features/steps/StepList';
import { StepPanel } from '../features/steps/StepPanel';
import { Timeline } from '../features/timeline/Timeline';
import type { Run, Step } from '../platform/protocol';
import { follow, useRoom, useOff, useStale } from '../store/client';
import { useKeys } from '../store/keys';
import { useApproval, useOpenApprovals, useOpenPermissions, useRisks, useRun, useStep, useSteps } from '../store/read';
import { remember, usePreference } from '../store/preferences';
import { navigate, to } from '../store/route';
import type { Route, RunTab } from '../store/route';
import { useNow } from '../store/time';
import { Later } from '../shared/Later';
import { Button, Link, Loading } from '../shared/parts';
import { Splitter, useSplit } from '../shared/Splitter';
import { isAtWork } from '../shared/status';
import { useCalm } from '../shared/useCalm';
import { NARROW, WIDE, useMedia } from '../shared/useMedia';
import { failedStep, stepInFront } from './front';
import { NotHere } from './NotHere';
import { Outcome } from './Outcome';
import './run.css';

type RunRoute = Extract<Route, { name: 'run' }>;

const TABS: readonly (readonly [RunTab, string])[] = [
  ['graph', 'Diagram'],
  ['timeline', 'Timeline'],
  ['steps', 'Steps'],
  ['outcome', 'Outcome'],
];

/** How long the step at work stays in front at least, in milliseconds: short steps follow each other faster than one can look. */
const CALM = 500;

export function RunView({ route }: { route: RunRoute }) {
  const run = useRun(route.run);
  const room = useRoom(`run/${route.run}`);
  useEffect(() => follow(`run/${route.run}`), [route.run]);
  if (typeof room === 'object') return <NotHere what="run" refused={room.refused} />;
  if (!run)
    return (
      <div className="page-body">
        <Loading lines={6} label="Loading the run" />
      </div>
    );
  return <Shown run={run} route={route} filled={room === 'filled'} />;
}

function Shown({ run, route, filled }: { run: Run; route: RunRoute; filled: boolean }) {
  const steps = useSteps(run.id);
  const stale = useStale();
  const narrow = useMedia(NARROW);
  const wide = useMedia(WIDE);
  const chosenLayout = usePreference('run.layout', 'auto');
  const below = chosenLayout === 'below' || (chosenLayout !== 'side' && !wide);
  const [width, widen] = useSplit('step', Math.round(Math.min(760, innerWidth * 0.44)), 340, 'x');
  const [height, heighten] = useSplit('stage', Math.round(innerHeight * 0.34), 130, 'y');
  const now = useNow(run.status === 'cancelling');
  const [cancellingSince, setCancellingSince] = useState<number>();
  if (run.status === 'cancelling' && cancellingSince === undefined) setCancellingSince(now);
  if (run.status !== 'cancelling' && cancellingSince !== undefined) setCancellingSince(undefined);

  const tab = route.tab ?? (narrow ? 'steps' : 'graph');
  const newest = stepInFront(run, steps);
  const calm = useCalm(newest, CALM);
  // Another run may have other steps.
  const front = steps.some((step) => step.key === calm) ? calm : newest;
  const selected = route.step ?? (narrow ? undefined : front);
  const failed = failedStep(steps);
  const asked = useOpenApprovals().find((approval) => approval.run === run.id);
  const wanted = useOpenPermissions().find((permission) => permission.run === run.id);
  const risks = useRisks().filter((risk) => risk.run === run.id);
  const choose = (step: string | undefined, attempt?: number) =>
    navigate(to.run(run.project, run.id, { tab: route.tab === 'outcome' ? undefined : route.tab, step, attempt }), {
      replace: !narrow,
    });
  const move = (by: number) => {
    const at = steps.findIndex((step) => step.key === selected);
    const next = steps[Math.max(0, Math.min(steps.length - 1, at + by))];
    if (next) choose(next.key);
  };
  useKeys([
    { keys: 'j', label: 'Next step', group: 'Run', run: () => move(1) },
    { keys: 'k', label: 'Previous step', group: 'Run', run: () => move(-1) },
    { keys: 'f', label: 'Follow the step at work', group: 'Run', run: () => choose(undefined) },
    {
      keys: 'Escape',
      label: 'Back',
      group: 'Run',
      run: () => (route.step === undefined ? navigate(to.project(run.project)) : choose(undefined)),
    },
  ]);
  // What came of the run is about no step, and takes the whole room.
  const panel = selected !== undefined && tab !== 'outcome' && (
    <Panel key={selected} run={run} stepKey={selected} route={route} narrow={narrow} onBack={() => choose(undefined)} />
  );
  return (
    <div className={stale ? 'run-view stale-view' : 'run-view'} data-testid="view-run">
      <RunHeader
        run={run}
        cancellingSince={cancellingSince}
        people={<People project={run.project} run={run.id} />}
        back={
          <Link
            to={to.project(run.project)}
            className="button"
            data-kind="quiet"
            data-size="small"
            aria-label={`Back to ${run.project}`}
          >
            ← {run.project}
          </Link>
        }
      />
      {narrow && !panel && asked && (
        <div className="step-question run-asked">
          <ApprovalCard key={asked.id} approval={asked} keys />
        </div>
      )}
      {narrow && !panel && !asked && wanted && (
        <div className="step-question run-asked">
          <PermissionCard key={wanted.id} permission={wanted} keys />
        </div>
      )}
      {narrow && panel ? (
        panel
      ) : (
        <div className="run-body" data-below={(below && !narrow) || undefined}>
          <div className="run-left" style={below && !narrow && panel ? { flex: 'none', height } : undefined}>
            <div className="tabs">
              <div role="tablist" aria-label="Ways to see the run">
                {TABS.map(([key, label]) => (
                  <button
                    key={key}
                    type="button"
                    role="tab"
                    className="tab"
                    aria-selected={tab === key}
                    data-testid={`run-tab-${key}`}
                    onClick={() =>
                      navigate(
                        to.run(run.project, run.id, {
                          tab: key === 'graph' && narrow ? undefined : key,
                          step: route.step,
                        }),
                        { replace: true },
                      )
                    }
                  >
                    {label}
                    {key === 'outcome' && risks.length > 0 && (
                      <span className="badge num" data-tone="bad" title="Risks">
                        {risks.length}
                      </span>
                    )}
                  </button>
                ))}
              </div>
              <span className="grow" />
              {failed !== undefined && (selected !== failed || tab === 'outcome') && (
                <Button kind="danger" size="small" data-testid="show-failed" onClick={() => choose(failed)}>
                  {narrow ? 'What failed' : 'Show what failed'}
                </Button>
              )}
              {route.step !== undefined && !narrow && run.status !== 'done' && (
                <Button kind="quiet" size="small" title="Follow the step at work (F)" onClick={() => choose(undefined)}>
                  Follow
                </Button>
              )}
              {!narrow && tab !== 'outcome' && (
                <Button
                  kind="quiet"
                  size="small"
                  icon={below ? 'side' : 'below'}
                  aria-label={below ? 'Put the step beside the diagram' : 'Put the step below the diagram'}
                  title={below ? 'Step beside the diagram' : 'Step below the diagram'}
                  onClick={() => remember('run.layout', below ? 'side' : 'below')}
                />
              )}
            </div>
            <div className="run-stage">
              {!filled && steps.length === 0 ? (
                <div className="page-body">
                  <Loading label="Loading steps" />
                </div>
              ) : tab === 'timeline' ? (
                <Timeline run={run} selected={selected} onSelect={choose} />
              ) : tab === 'outcome' ? (
                <Outcome project={run.project} run={run.id} statement={run.goal} risks={risks} />
              ) : tab === 'steps' ? (
                <StepList run={run.id} selected={selected} focus={front} onSelect={choose} />
              ) : (
                <Later>
                  <SignalGraph run={run.id} steps={steps} selected={selected} focus={front} onSelect={choose} />
                </Later>
              )}
            </div>
          </div>
          {!narrow && panel && (
            <Splitter
              label="Size of the step panel"
              across={below ? 'y' : 'x'}
              size={below ? height : width}
              onMove={below ? heighten : (delta) => widen(-delta)}
            />
          )}
          {!narrow && panel && (
            <div className="run-right" style={below ? undefined : { width }}>
              {panel}
            </div>
          )}
        </div>
      )}
    </div>
  );
}

interface PanelProps {
  run: Run;
  stepKey: string;
  route: RunRoute;
  narrow: boolean;
  onBack: () => void;
}

function Panel({ run, stepKey, route, narrow, onBack }: PanelProps) {
  const step = useStep(run.id, stepKey);
  const off = useOff('operator');
  const approval = useApproval(step?.approval);
  if (!step)
    return (
      <div className="page-body">
        <p className="muted">This run has no step “{stepKey}”.</p>
      </div>
    );
  const mine = route.step === stepKey;
  const newest = (step.attempts ?? []).at(-1)?.number;
  const attempt = mine ? (route.attempt ?? newest) : newest;
  const link = (line: number) =>
    to.run(run.project, run.id, { tab: route.tab, step: stepKey, attempt, line: line + 1 });
  return (
    <StepPanel
      run={run}
      step={step}
      attempt={attempt}
      onAttempt={(number) =>
        navigate(to.run(run.project, run.id, { tab: route.tab, step: stepKey, attempt: number }), { replace: true })
      }
      actions={
        <>
          <StepRetry run={run} step={stepKey} disabled={off} />
          {narrow && (
            <Button
              size="small"
              kind="quiet"
              icon="close"
              aria-label="Back to the steps"
              data-testid="step-back"
              onClick={onBack}
            />
          )}
        </>
      }
      question={approval?.state === 'open' && <ApprovalCard key={approval.id} approval={approval} keys />}
      log={
        attempt !== undefined &&
        (step.kind === 'agent' ? (
          <Agent
            key={`${stepKey} ${String(attempt)}`}
            run={run}
            step={step}
            attempt={attempt}
            line={mine ? route.line : undefined}
            hrefOf={link}
          />
        ) : (
          <LogViewer
            key={`${stepKey} ${String(attempt)}`}
            run={run.id}
            step={stepKey}
            attempt={attempt}
            working={works(step, attempt)}
            line={mine && route.line !== undefined ? route.line - 1 : undefined}
            hrefOf={link}
            onLine={(line) => navigate(link(line), { replace: true })}
          />
        ))
      }
    />
  );
}

interface AgentProps {
  run: Run;
  step: Step;
  attempt: number;
  /** From 1: of a link to a line of the log. */
  line: number | undefined;
  hrefOf: (line: number) => string;
}

/** An agent's log mixes the frames of its protocol with what it printed: each has its tab, and both are in all lines. */
function Agent({ run, step, attempt, line, hrefOf }: AgentProps) {
  const questions = useOpenPermissions().filter((asked) => asked.run === run.id && asked.step === step.key);
  const [whole, setWhole] = useState(line !== undefined);
  const working = works(step, attempt);
  const shared = { run: run.id, step: step.key, attempt, working, hrefOf };
  const onLine = (n: number) => navigate(hrefOf(n), { replace: true });
  return (
    <AgentPanel
      run={run.id}
      step={step.key}
      attempt={attempt}
      working={working}
      linked={line !== undefined}
      questions={
        questions.length > 0 &&
        questions.map((asked, index) => <PermissionCard key={asked.id} permission={asked} keys={index === 0} />)
      }
      output={
        whole ? (
          <LogViewer {...shared} line={line === undefined ? undefined : line - 1} onLine={onLine} />
        ) : (
          <StreamLog
            {...shared}
            only="output"
            onLine={onLine}
            tools={
              <Button size="small" kind="quiet" onClick={() => setWhole(true)}>
                All lines
              </Button>
            }
          />
        )
      }
      frames={<StreamLog {...shared} only="protocol" onLine={onLine} />}
    />
  );
}

function works(step: Step, attempt: number): boolean {
  return (
    (isAtWork(step.status) || step.status === 'waiting_input' || step.status === 'paused') &&
    (step.attempts ?? []).at(-1)?.number === attempt
  );
}
