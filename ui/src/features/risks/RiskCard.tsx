import type { Risk, Severity } from '../../platform/protocol';
import { call, useLink, useStale } from '../../store/client';
import { useRun, useStep } from '../../store/read';
import { to } from '../../store/route';
import { State } from '../../shared/Lamp';
import { Ago, Button, Link } from '../../shared/parts';
import { Problem } from '../../shared/Problem';
import type { Look } from '../../shared/status';
import { useAction } from '../../shared/useAction';
import { useSeen } from '../../shared/useSeen';
import { riskKey } from '../../stream/agents';
import './risks.css';

export const SEVERITY: Record<Severity, Look> = {
  critical: { word: 'Critical', tone: 'bad', shape: 'bolt' },
  warning: { word: 'Warning', tone: 'wait', shape: 'hand' },
  info: { word: 'Note', tone: 'idle', shape: 'dot' },
};

/** Something that may go wrong: what was seen, and what to do. */
export function RiskCard({ risk }: { risk: Risk }) {
  const link = useLink();
  const stale = useStale();
  // What is on the screen needs no notice over it.
  useSeen(riskKey(risk));
  const run = useRun(risk.run ?? '');
  const step = useStep(risk.run ?? '', risk.step ?? '');
  const change = useAction((method: 'risk.acknowledge' | 'risk.resolve') =>
    call(method, { project: risk.project, risk: risk.id }),
  );
  const barred = link.role === 'viewer' ? 'Only operator or owner may settle it; you are viewer.' : undefined;
  const off = stale || change.pending || barred !== undefined;
  const look = SEVERITY[risk.severity];
  return (
    <article
      className="card risk"
      tabIndex={-1}
      data-tone={look.tone}
      data-state={risk.state}
      data-testid={`risk-${risk.id}`}
      aria-label={`${look.word}: ${risk.title}`}
    >
      <header>
        <State look={look} />
        <span className="muted grow">
          {risk.run === undefined ? (
            <Link className="text" to={to.project(risk.project)}>
              {risk.project}
            </Link>
          ) : (
            <Link className="text" to={to.run(risk.project, risk.run, { step: risk.step })} data-testid="risk-where">
              {run ? `${run.workflow} #${String(run.number)}` : 'its run'}
              {risk.step !== undefined && `, ${step?.title ?? risk.step}`}
            </Link>
          )}{' '}
          {risk.run !== undefined && <>in {risk.project}</>}
        </span>
        <span className="muted">
          <Ago at={risk.raised_at} />
        </span>
      </header>
      <h3>{risk.title}</h3>
      {risk.evidence !== '' && risk.evidence !== risk.title && (
        <figure className="risk-evidence">
          <figcaption>What was seen</figcaption>
          <pre tabIndex={0}>{risk.evidence}</pre>
        </figure>
      )}
      {risk.advice !== '' && (
        <p className="soft">
          <b>What to do:</b> {risk.advice}
        </p>
      )}
      <Problem error={change.error} />
      <footer>
        {risk.state === 'open' && (
          <Button
            size="small"
            disabled={off}
            data-testid="acknowledge"
            title="Says to everybody that you know of it"
            onClick={() => void change.run('risk.acknowledge')}
          >
            Acknowledge
          </Button>
        )}
        <Button
          size="small"
          disabled={off}
          data-testid="resolve"
          title="Says that it is over; it leaves this list"
          onClick={() => void change.run('risk.resolve')}
        >
          Resolve
        </Button>
        <span className="muted">
          {barred ?? (risk.state === 'acknowledged' ? `${risk.by ?? 'Somebody'} knows of it` : '')}
        </span>
      </footer>
    </article>
  );
}
