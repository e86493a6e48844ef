import { useState } from 'react';
import { OpenProject } from '../features/projects/OpenProject';
import { ProjectCard } from '../features/projects/ProjectCard';
import { Away } from '../features/team/Away';
import { useLink } from '../store/client';
import { useProjects, useSeesAll } from '../store/read';
import { Button, Empty } from '../shared/parts';
import { Page } from '../shared/Page';

export function ProjectsView() {
  const projects = useProjects();
  const link = useLink();
  const seesAll = useSeesAll();
  const [opening, setOpening] = useState(false);
  const open = link.role === 'owner' && (
    <Button
      kind="primary"
      icon="plus"
      disabled={!seesAll}
      title={seesAll ? undefined : 'Only an owner of all projects may open a folder.'}
      data-testid="open-folder"
      onClick={() => setOpening(true)}
    >
      Open folder
    </Button>
  );
  return (
    <Page title="Projects" testid="view-projects" actions={projects.length > 0 && open}>
      {projects.length === 0 ? (
        <Empty title="No project yet" action={open} testid="no-projects">
          <p>
            A project is a folder with workflows in <code>.signalbox/workflows</code>. Open one, and its workflows can
            be run at once.
          </p>
          <p>
            New to it? <code>signalbox init</code> in a folder writes a first workflow.
          </p>
        </Empty>
      ) : (
        <>
          <Away />
          <ul className="project-grid">
            {projects.map((project) => (
              <ProjectCard key={project.id} project={project} />
            ))}
          </ul>
        </>
      )}
      {opening && <OpenProject onClose={() => setOpening(false)} />}
    </Page>
  );
}
