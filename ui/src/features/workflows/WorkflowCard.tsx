import { useState } from 'react';
import type { WorkflowSummary } from '../../platform/protocol';
import { useOff } from '../../store/client';
import { to } from '../../store/route';
import { count } from '../../shared/format';
import { Button, Link } from '../../shared/parts';
import { useAction } from '../../shared/useAction';
import { RunDialog, startRun } from './RunDialog';
import './workflows.css';

export function WorkflowCard({ project, workflow }: { project: string; workflow: WorkflowSummary }) {
  const stale = useOff('operator');
  const [asking, setAsking] = useState(false);
  const start = useAction(() => startRun(project, workflow.name, []), { toast: true });
  const href = to.workflow(project, workflow.name);
  return (
    <li className="card workflow-card" data-testid={`workflow-${workflow.name}`} data-valid={workflow.valid}>
      <div className="row">
        <Link to={href} className="grow workflow-name" data-row="">
          <h2 className="cut">{workflow.name}</h2>
          <p className="muted cut">{workflow.description ?? workflow.file}</p>
        </Link>
        <Button
          kind={workflow.valid ? 'primary' : undefined}
          icon="play"
          disabled={!workflow.valid || stale || start.pending}
          title={workflow.valid ? undefined : 'Mend the file first'}
          data-testid={`run-workflow-${workflow.name}`}
          aria-label={`Run ${workflow.name}`}
          onClick={() => {
            if (workflow.inputs.length > 0) setAsking(true);
            else void start.run();
          }}
        >
          Run
        </Button>
      </div>
      <p className="muted workflow-facts">
        <span>{count(workflow.steps, 'step')}</span>
        {workflow.inputs.length > 0 && <span>{count(workflow.inputs.length, 'input')}</span>}
        <Link to={href} className="text">
          Open
        </Link>
      </p>
      {workflow.diagnostics.length > 0 && (
        <ul className="diagnostics">
          {workflow.diagnostics.slice(0, 4).map((diagnostic, index) => (
            <li key={index} data-tone={diagnostic.severity === 'error' ? 'bad' : 'wait'}>
              <Link to={`${href}#L${String(diagnostic.line)}`}>
                <b className="tone">{diagnostic.line > 0 ? `Line ${String(diagnostic.line)}` : 'File'}</b>{' '}
                {diagnostic.message}
              </Link>
            </li>
          ))}
          {workflow.diagnostics.length > 4 && <li className="muted">and {workflow.diagnostics.length - 4} more</li>}
        </ul>
      )}
      {asking && <RunDialog project={project} workflow={workflow} onClose={() => setAsking(false)} />}
    </li>
  );
}
