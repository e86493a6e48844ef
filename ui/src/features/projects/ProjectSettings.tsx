import type { Project } from '../../platform/protocol';
import { call, useOff } from '../../store/client';
import { Button } from '../../shared/parts';
import { useAction } from '../../shared/useAction';
import { Secrets } from './Secrets';
import { Worktrees } from './Worktrees';

export function ProjectSettings({ project }: { project: Project }) {
  return (
    <div className="stack column" data-testid="project-settings">
      <Secrets project={project.id} />
      <Worktrees project={project.id} />
      <Trust project={project} />
    </div>
  );
}

/** Quiet: nothing that this version does by itself depends on it. */
function Trust({ project }: { project: Project }) {
  const stale = useOff('owner');
  const { run, pending } = useAction(() => call('project.trust', { project: project.id, trusted: !project.trusted }), {
    toast: true,
  });
  return (
    <section className="panel" aria-label="Trust">
      <header>
        <h2 className="grow">Trust</h2>
        <Button size="small" disabled={stale || pending} data-testid="trust" onClick={() => void run()}>
          {project.trusted ? 'Take trust back' : 'Trust this project'}
        </Button>
      </header>
      <p className="body soft">
        {project.trusted
          ? 'Programs that the settings of this project name may be run.'
          : 'Programs that the settings of this project name are not run. Its workflows run when you start them.'}
      </p>
    </section>
  );
}
