import { ProjectSettings } from '../features/projects/ProjectSettings';
import { Chat } from '../features/team/Chat';
import { People } from '../features/team/People';
import { QueuePanel } from '../features/queue/QueuePanel';
import { RunsList } from '../features/runs/RunsList';
import { WorkflowCard } from '../features/workflows/WorkflowCard';
import type { Project } from '../platform/protocol';
import { call, useOff, useRoom } from '../store/client';
import { useProject, useQueue, useRuns } from '../store/read';
import { navigate, to } from '../store/route';
import type { ProjectTab } from '../store/route';
import { useUnreadChat } from '../store/team';
import { Menu } from '../shared/Menu';
import { Button, Empty, Link, Loading } from '../shared/parts';
import { Page } from '../shared/Page';
import { Problem } from '../shared/Problem';
import { useAction } from '../shared/useAction';
import { useQuery } from '../shared/useQuery';
import { useTick } from '../shared/useTick';
import { NotHere } from './NotHere';

const POLL_MS = 20_000;
/** Workflows that are shown above the runs. */
const QUICK = 3;

export function ProjectView({ id, tab, message }: { id: string; tab: ProjectTab; message?: string | undefined }) {
  const project = useProject(id);
  const room = useRoom(`project/${id}`);
  const queue = useQueue(id);
  const runs = useRuns(id);
  const unread = useUnreadChat(id);
  if (!project || typeof room === 'object')
    return <NotHere what="project" refused={typeof room === 'object' ? room.refused : undefined} />;
  const tabs = [
    ['runs', 'Runs', runs.filter((run) => run.status !== 'done').length],
    ['workflows', 'Workflows', 0],
    ['queue', 'Queue', queue?.runs.length ?? 0],
    ['chat', 'Chat', unread],
    ['settings', 'Settings', 0],
  ] as const;
  return (
    <Page
      testid="view-project"
      title={
        <>
          <Link to={to.projects()} className="muted crumb">
            Projects
          </Link>{' '}
          {project.name}
        </>
      }
      actions={
        <>
          <People project={id} />
          <ProjectMenu project={project} />
        </>
      }
    >
      <nav className="tabs" aria-label="Parts of the project">
        {tabs.map(([key, label, n]) => (
          <Link
            key={key}
            to={to.project(id, key)}
            className="tab"
            aria-current={tab === key ? 'page' : undefined}
            data-testid={`tab-${key}`}
          >
            {label}
            {n > 0 && <span className="badge num">{n}</span>}
          </Link>
        ))}
      </nav>
      {room === 'loading' ? (
        <Loading lines={5} label="Loading the project" />
      ) : tab === 'runs' ? (
        <Runs project={id} />
      ) : tab === 'queue' ? (
        <QueuePanel project={id} />
      ) : tab === 'chat' ? (
        <Chat project={id} sought={message} />
      ) : tab === 'settings' ? (
        <ProjectSettings project={project} />
      ) : (
        <Workflows project={id} />
      )}
    </Page>
  );
}

function Runs({ project }: { project: string }) {
  const { data } = useQuery('workflow.list', { project }, useTick(POLL_MS));
  const all = data?.workflows ?? [];
  const quick = all.filter((workflow) => workflow.valid).slice(0, QUICK);
  return (
    <>
      {quick.length > 0 && (
        <ul className="workflow-grid">
          {quick.map((workflow) => (
            <WorkflowCard key={workflow.name} project={project} workflow={workflow} />
          ))}
        </ul>
      )}
      {quick.length > 0 && all.length > quick.length && (
        <p className="all-workflows">
          <Link className="text" to={to.project(project, 'workflows')} data-testid="all-workflows">
            All {all.length} workflows
          </Link>
        </p>
      )}
      <RunsList
        project={project}
        empty={
          <Empty
            title="No run yet"
            action={
              quick.length === 0 && (
                <Link className="button" to={to.project(project, 'workflows')}>
                  See workflows
                </Link>
              )
            }
          >
            <p>Press Run on a workflow. You will see each step as it happens.</p>
          </Empty>
        }
      />
    </>
  );
}

function Workflows({ project }: { project: string }) {
  const { data, error, loading } = useQuery('workflow.list', { project }, useTick(POLL_MS));
  if (loading) return <Loading lines={4} label="Loading workflows" />;
  if (error !== undefined && !data) return <Problem error={error} />;
  if (!data || data.workflows.length === 0) {
    return (
      <Empty title="No workflow in this project">
        <p>
          A workflow is a file <code>.signalbox/workflows/name.yaml</code>. <code>signalbox init</code> in the project
          folder writes a first one; it appears here by itself.
        </p>
      </Empty>
    );
  }
  return (
    <ul className="workflow-grid" data-testid="workflows">
      {data.workflows.map((workflow) => (
        <WorkflowCard key={workflow.name} project={project} workflow={workflow} />
      ))}
    </ul>
  );
}

function ProjectMenu({ project }: { project: Project }) {
  const stale = useOff('owner');
  const close = useAction(
    async () => {
      await call('project.close', { project: project.id });
      navigate(to.projects());
    },
    { toast: true },
  );
  return (
    <Menu
      trigger={<Button icon="more" kind="quiet" aria-label="More about this project" disabled={stale} />}
      entries={[
        {
          label: 'Settings',
          about: 'Secrets, worktrees, trust',
          onSelect: () => navigate(to.project(project.id, 'settings')),
        },
        { label: 'Close project', about: 'Its runs are kept', onSelect: () => void close.run() },
      ]}
    />
  );
}
