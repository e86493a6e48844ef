import type { Project } from '../../platform/protocol';
import { to } from '../../store/route';
import { useRisks, useRuns, useStep, useWaiting } from '../../store/read';
import { count } from '../../shared/format';
import { Lamp } from '../../shared/Lamp';
import { Ago, Elapsed, Link } from '../../shared/parts';
import { runLook } from '../../shared/status';
import type { Run } from '../../platform/protocol';
import './projects.css';

const SHOWN = 3;

export function ProjectCard({ project }: { project: Project }) {
  const runs = useRuns(project.id);
  const waiting = useWaiting().filter((asked) => asked.project === project.id).length;
  const risks = useRisks().filter((risk) => risk.project === project.id);
  const active = runs.filter((run) => run.status !== 'done');
  const shown = [...active, ...runs.filter((run) => run.status === 'done')].slice(0, SHOWN);
  return (
    <li className="card project-card" data-testid={`project-${project.id}`}>
      <Link to={to.project(project.id)} className="project-head" data-row="">
        <span className="row">
          <h2 className="cut grow">{project.name}</h2>
          {active.length > 0 && (
            <span className="badge" data-tone="active">
              {active.length} active
            </span>
          )}
          {waiting > 0 && (
            <span className="badge" data-tone="wait">
              {waiting} waiting
            </span>
          )}
          {risks.length > 0 && (
            <span
              className="badge"
              data-tone={risks.some((risk) => risk.severity === 'critical') ? 'bad' : 'wait'}
              data-testid="project-risks"
            >
              {count(risks.length, 'risk')}
            </span>
          )}
        </span>
        <span className="muted mono cut" title={project.path}>
          {project.path}
        </span>
      </Link>
      {shown.length > 0 ? (
        <ul className="project-runs">
          {shown.map((run) => (
            <Brief key={run.id} run={run} />
          ))}
        </ul>
      ) : (
        <p className="muted project-none">
          No run yet.{' '}
          <Link className="text" to={to.project(project.id, 'workflows')}>
            Choose a workflow
          </Link>
        </p>
      )}
    </li>
  );
}

function Brief({ run }: { run: Run }) {
  const look = runLook(run);
  const step = useStep(run.id, run.current_step ?? '');
  return (
    <li>
      <Link to={to.run(run.project, run.id)} className="row" data-row="">
        <Lamp look={look} title={look.word} />
        <span className="cut grow">
          {run.workflow} <span className="muted num">#{run.number}</span>
          {run.current_step !== undefined && <span className="muted"> · {step?.title ?? run.current_step}</span>}
        </span>
        <span className="muted num">
          {run.status === 'done' ? <Ago at={run.ended_at ?? run.created_at} /> : <Elapsed from={run.started_at} />}
        </span>
      </Link>
    </li>
  );
}
