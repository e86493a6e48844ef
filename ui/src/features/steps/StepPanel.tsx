import type { ReactNode } from 'react';
import { isDesktop } from '../../platform/environment';
import type { Artifact, Attempt, FailureCause, Run, Step, VerifyResult } from '../../platform/protocol';
import { useProgress, useVerdicts } from '../../store/read';
import { bytes, duration, exact, shown } from '../../shared/format';
import { Lamp, State } from '../../shared/Lamp';
import { Elapsed, Meter } from '../../shared/parts';
import { conclusionLook, stepLook, stepValue } from '../../shared/status';
import './steps.css';

const CAUSE: Record<FailureCause, string> = {
  command: 'The command reported a failure',
  infra: 'The process could not be started',
  rate_limit: 'A usage limit was reached',
  timeout: 'It ran out of time',
  stall: 'It was silent for too long',
  verify: 'A check did not hold',
  outputs: 'Its outputs are missing or malformed',
  crash: 'The host stopped while it ran',
  agent: 'The agent failed',
  budget: 'Its budget is used up',
  git: 'Git refused',
};

interface Props {
  run: Run;
  step: Step;
  /** The attempt that is shown, from 1. */
  attempt: number | undefined;
  onAttempt: (attempt: number) => void;
  actions: ReactNode;
  /** What the step asks, while it waits for a person. */
  question: ReactNode;
  log: ReactNode;
}

export function StepPanel({ run, step, attempt, onAttempt, actions, question, log }: Props) {
  const attempts = step.attempts ?? [];
  const shownAttempt = attempts.find((each) => each.number === attempt) ?? attempts.at(-1);
  const verdicts = useVerdicts(run.id).filter(
    (verdict) => verdict.step === step.key && verdict.attempt === shownAttempt?.number,
  );
  const look = stepLook(step);
  const progress = useProgress(run.id, step.key);
  const value = progress?.value ?? step.progress;
  return (
    <section className="step-panel" data-testid="step-panel" aria-label={`Step ${step.title}`}>
      <header className="step-head" data-tone={look.tone}>
        <div className="step-title-row">
          <h2 className="cut" title={step.key}>
            {step.title}
            {stepValue(step) !== '' && <span className="muted"> {stepValue(step)}</span>}
          </h2>
          <span className="row wrap step-line">
            <State look={look} />
            {shownAttempt && step.status !== 'blocked' && (
              <span className="muted">
                <Elapsed from={shownAttempt.started_at} until={shownAttempt.ended_at} />
              </span>
            )}
            {step.due_at !== undefined && step.status === 'scheduled' && (
              <span className="soft">goes on at {exact(step.due_at)}</span>
            )}
            {step.stalled === true && (
              <span className="badge" data-tone="wait">
                silent for long
              </span>
            )}
            {step.needs.length > 0 && step.status === 'blocked' && (
              <span className="muted cut">needs {step.needs.join(', ')}</span>
            )}
          </span>
          <span className="row step-acts">{actions}</span>
        </div>
        {value !== undefined && step.status === 'running' && <Meter value={value} label="Progress of the step" />}
        {progress?.text && step.status === 'running' && <span className="muted">{progress.text}</span>}
        {step.reason && step.reason !== shownAttempt?.message && <p className="soft">{step.reason}</p>}
        {shownAttempt && <Ending attempt={shownAttempt} />}
      </header>
      {attempts.length > 1 && (
        <div className="tabs" role="tablist" aria-label="Attempts">
          {attempts.map((each) => (
            <button
              key={each.number}
              type="button"
              role="tab"
              className="tab"
              aria-selected={each === shownAttempt}
              onClick={() => onAttempt(each.number)}
            >
              <Lamp look={each.ended_at === undefined ? look : conclusionLook(each.conclusion)} size={14} />
              Attempt {each.number}
            </button>
          ))}
        </div>
      )}
      <Handed step={step} verdicts={verdicts} />
      {question && <div className="step-question">{question}</div>}
      <div className="step-log" hidden={Boolean(question)}>
        {shownAttempt ? (
          log
        ) : (
          <p className="muted step-none">
            {step.status === 'done'
              ? 'It never started, so it printed nothing.'
              : 'It has not started yet. Its log appears here when it does.'}
          </p>
        )}
      </div>
    </section>
  );
}

function Ending({ attempt }: { attempt: Attempt }) {
  const failed = attempt.conclusion !== undefined && conclusionLook(attempt.conclusion).tone === 'bad';
  const facts = [
    attempt.cause && CAUSE[attempt.cause],
    attempt.exit_code !== undefined && attempt.exit_code !== 0 && `exit code ${String(attempt.exit_code)}`,
    attempt.signal !== undefined && `ended by signal ${String(attempt.signal)}`,
    attempt.stopped === 'forced' && 'had to be killed',
    attempt.stopped === 'survivors' && 'some of its processes could not be ended',
  ].filter((fact) => typeof fact === 'string');
  if (!attempt.message && (!failed || facts.length === 0)) {
    return facts.length > 0 && attempt.exit_code !== 0 ? <p className="muted">{facts.join(' · ')}</p> : null;
  }
  if (!failed)
    return (
      <p className="soft">
        {[attempt.message, ...facts.filter((fact) => fact !== 'exit code 0')].filter(Boolean).join(' · ')}
      </p>
    );
  return (
    <div className="problem" data-testid="failure">
      <div>
        <p>{attempt.message ?? facts[0]}</p>
        <p>{(attempt.message ? facts : facts.slice(1)).join(' · ')}</p>
      </div>
    </div>
  );
}

function Handed({ step, verdicts }: { step: Step; verdicts: VerifyResult[] }) {
  const outputs = Object.entries(step.outputs ?? {});
  const artifacts = step.artifacts ?? [];
  if (outputs.length === 0 && artifacts.length === 0 && verdicts.length === 0) return null;
  return (
    <div className="step-handed">
      {verdicts.length > 0 && (
        <details open={verdicts.some((verdict) => !verdict.passed)}>
          <summary>
            Checks{' '}
            <span className="badge" data-tone={verdicts.every((verdict) => verdict.passed) ? 'good' : 'bad'}>
              {verdicts.filter((verdict) => verdict.passed).length}/{verdicts.length}
            </span>
          </summary>
          <ul>
            {verdicts.map((verdict) => (
              <li key={verdict.check}>
                <div className="row">
                  <Lamp
                    look={conclusionLook(verdict.passed ? 'success' : 'failed')}
                    size={14}
                    title={verdict.passed ? 'Held' : 'Did not hold'}
                  />
                  <span className="grow">{verdict.what}</span>
                  <span className="muted num">{duration(verdict.duration_ms)}</span>
                </div>
                {verdict.detail && <pre className="soft">{verdict.detail}</pre>}
              </li>
            ))}
          </ul>
        </details>
      )}
      {outputs.length > 0 && (
        <details>
          <summary>
            Outputs <span className="badge">{outputs.length}</span>
          </summary>
          <dl className="facts">
            {outputs.map(([name, value]) => (
              <div key={name} style={{ display: 'contents' }}>
                <dt>{name}</dt>
                <dd className="mono">{shown(value)}</dd>
              </div>
            ))}
          </dl>
        </details>
      )}
      {artifacts.length > 0 && (
        <details>
          <summary>
            Files kept <span className="badge">{artifacts.length}</span>
          </summary>
          <ul>
            {artifacts.map((artifact) => (
              <li key={artifact.path} className="row">
                <ArtifactName artifact={artifact} />
                <span className="muted num">{bytes(artifact.bytes)}</span>
              </li>
            ))}
          </ul>
        </details>
      )}
    </div>
  );
}

/** A browser may fetch the file; the desktop window has no address to fetch it from. */
function ArtifactName({ artifact }: { artifact: Artifact }) {
  const name = artifact.path.split('/').at(-1) ?? artifact.path;
  return isDesktop ? (
    <span className="mono cut grow" title={artifact.hash}>
      {artifact.path}
    </span>
  ) : (
    <a className="mono cut grow text" href={`/api/v1/blobs/${artifact.hash}`} download={name} title={artifact.hash}>
      {artifact.path}
    </a>
  );
}
