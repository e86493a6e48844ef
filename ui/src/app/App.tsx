import { lazy, Suspense, useEffect, useState } from 'react';
import { Help } from '../features/palette/Help';
import { Palette } from '../features/palette/Palette';
import { useFirstLoad, useLink } from '../store/client';
import { useKeys } from '../store/keys';
import { useGone } from '../store/read';
import { navigate, useRoute } from '../store/route';
import type { Route } from '../store/route';
import { useReadHere, useTellRoute } from '../store/team';
import { Button, Loading } from '../shared/parts';
import { useQuery } from '../shared/useQuery';
import { NotHere } from '../views/NotHere';
import { ProjectsView } from '../views/ProjectsView';
import { retryNow } from '../store/client';
import { useReadyMark, useTitle } from './announce';
import { Boundary } from './Boundary';
import { useCommands } from './commands';
import { useNotifications } from './notifying';
import { Shell } from './Shell';
import { Toasts } from './Toasts';

// What is not on the first screen comes after it, or at once where the address asks for it.
const loadOthers = () => import('../views/others');
type Others = Awaited<ReturnType<typeof loadOthers>>;
const other = <K extends keyof Others>(name: K) =>
  lazy(() => loadOthers().then((module) => ({ default: module[name] })));
const ActivityView = other('ActivityView');
const AgentsView = other('AgentsView');
const InboxView = other('InboxView');
const ProjectView = other('ProjectView');
const SettingsView = other('SettingsView');
const SystemView = other('SystemView');
const TeamView = other('TeamView');
if (location.pathname !== '/') void loadOthers();

// The diagram is the heaviest part: it comes in a quiet moment once a project is looked at, before anybody presses Run.
const loadRun = () => import('../views/RunView');
const RunView = lazy(() => loadRun().then((module) => ({ default: module.RunView })));
const WorkflowView = lazy(() => import('../views/WorkflowView').then((module) => ({ default: module.WorkflowView })));

function View({ route }: { route: Route }) {
  const gone = useGone('project' in route ? route.project : undefined);
  if (gone) return <NotHere what="project" refused="gone" />;
  switch (route.name) {
    case 'projects':
      return <ProjectsView />;
    case 'project':
      return <ProjectView key={route.project} id={route.project} tab={route.tab} message={route.message} />;
    case 'workflow':
      return <WorkflowView project={route.project} name={route.workflow} />;
    case 'run':
      return <RunView key={route.run} route={route} />;
    case 'inbox':
      return <InboxView />;
    case 'activity':
      return <ActivityView />;
    case 'agents':
      return <AgentsView />;
    case 'team':
      return <TeamView />;
    case 'system':
      return <SystemView />;
    case 'settings':
      return <SettingsView />;
    case 'missing':
      return <NotHere what="page" refused={undefined} />;
  }
}

export function App() {
  const route = useRoute();
  const loading = useFirstLoad();
  const [over, setOver] = useState<'palette' | 'help'>();
  useTitle();
  useNotifications();
  useReadyMark();
  useTellRoute(route);
  useReadHere(route);
  useEffect(() => {
    if (loading) return;
    const timer = setTimeout(() => void loadOthers(), 200);
    return () => clearTimeout(timer);
  }, [loading]);
  const inProject = 'project' in route;
  useEffect(() => {
    if (!inProject) return;
    const timer = setTimeout(() => void loadRun(), 500);
    return () => clearTimeout(timer);
  }, [inProject]);
  useKeys([
    {
      keys: 'mod+k',
      label: 'Commands',
      group: 'Everywhere',
      always: true,
      run: () => setOver((now) => (now === 'palette' ? undefined : 'palette')),
    },
    { keys: '?', label: 'This help', group: 'Everywhere', run: () => setOver('help') },
    { keys: 'g p', label: 'Projects', group: 'Go to', run: () => navigate('/') },
    { keys: 'g i', label: 'Inbox', group: 'Go to', run: () => navigate('/inbox') },
    { keys: 'g a', label: 'Activity', group: 'Go to', run: () => navigate('/activity') },
    { keys: 'g t', label: 'Team', group: 'Go to', run: () => navigate('/team') },
    { keys: 'g s', label: 'System', group: 'Go to', run: () => navigate('/system') },
  ]);
  // A new screen begins at its top for a screen reader too; the first one is where the page began.
  const place = route.name === 'run' ? route.run : `${route.name} ${'project' in route ? route.project : ''}`;
  useEffect(() => {
    if (document.activeElement === document.body) document.getElementById('main')?.focus({ preventScroll: true });
  }, [place]);
  return (
    <>
      <Shell route={route} onPalette={() => setOver('palette')} onHelp={() => setOver('help')}>
        <Boundary place={place}>
          {loading ? (
            <FirstLoad />
          ) : (
            <Suspense fallback={<FirstLoad />}>
              <View route={route} />
            </Suspense>
          )}
        </Boundary>
      </Shell>
      <Toasts />
      {over === 'palette' && (
        <Commands
          project={'project' in route ? route.project : undefined}
          onHelp={() => setOver('help')}
          onClose={() => setOver((now) => (now === 'palette' ? undefined : now))}
        />
      )}
      {over === 'help' && <Help onClose={() => setOver(undefined)} />}
    </>
  );
}

function Commands({
  project,
  onHelp,
  onClose,
}: {
  project: string | undefined;
  onHelp: () => void;
  onClose: () => void;
}) {
  const { data } = useQuery('workflow.list', project === undefined ? undefined : { project });
  const commands = useCommands(project, data?.workflows ?? [], onHelp);
  return <Palette commands={commands} onClose={onClose} />;
}

function FirstLoad() {
  const link = useLink();
  if (link.phase === 'waiting' || link.phase === 'refused') {
    return (
      <div className="crash stack" role="status" data-testid="unreachable">
        <h1>{link.phase === 'refused' ? 'The host refused this connection' : 'The host cannot be reached yet'}</h1>
        <p className="soft">
          {link.phase === 'refused'
            ? `It said: ${link.closed?.reason ?? 'nothing'}.`
            : 'This page keeps trying. Check that the host is running.'}
        </p>
        <div>
          <Button kind="primary" onClick={retryNow}>
            Try now
          </Button>
        </div>
      </div>
    );
  }
  return (
    <div className="page-body" style={{ paddingTop: 30 }}>
      <Loading lines={6} label="Connecting" />
    </div>
  );
}
