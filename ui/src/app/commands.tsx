import type { Command } from '../features/palette/Palette';
import type { Project, WorkflowSummary } from '../platform/protocol';
import { retryNow, useShownHost } from '../store/client';
import { isDesktop } from '../platform/environment';
import { showHost, useHosts } from '../store/hosts';
import { useProjects, useRuns, useWaiting } from '../store/read';
import { navigate, to, useRoute } from '../store/route';
import { setTheme } from '../store/preferences';
import { Icon } from '../shared/Icon';
import { Lamp } from '../shared/Lamp';
import { runLook } from '../shared/status';

const RUNS = 12;

/** What the palette offers: places, the project's workflows and runs, open questions, the theme. */
export function useCommands(
  project: string | undefined,
  workflows: readonly WorkflowSummary[],
  onHelp: () => void,
): Command[] {
  const projects = useProjects();
  const runs = useRuns(project ?? '');
  const open = useWaiting();
  const hosts = useHosts();
  const link = useRunLink();
  return [
    ...open.map((asked): Command => ({
      id: asked.id,
      label: asked.question,
      about: asked.about,
      group: 'Waiting',
      icon: <Icon name="inbox" size={16} />,
      run: () => navigate(`/inbox?approval=${asked.id}`),
    })),
    ...workflows.map((workflow): Command => ({
      id: `w-${workflow.name}`,
      label: `Open ${workflow.name}`,
      ...(workflow.description ? { about: workflow.description } : {}),
      group: 'Workflow',
      icon: <Icon name="edit" size={16} />,
      run: () => navigate(to.workflow(project ?? '', workflow.name)),
    })),
    ...runs.slice(0, RUNS).map((run): Command => ({
      id: run.id,
      label: `${run.workflow} #${String(run.number)}`,
      about: runLook(run).word,
      group: 'Run',
      icon: <Lamp look={runLook(run)} />,
      run: () => navigate(to.run(run.project, run.id)),
    })),
    ...projects.flatMap((each: Project): Command[] => [
      {
        id: `p-${each.id}`,
        label: each.name,
        about: each.path,
        group: 'Project',
        icon: <Icon name="folder" size={16} />,
        run: () => navigate(to.project(each.id)),
      },
      {
        id: `pw-${each.id}`,
        label: `${each.name}: workflows`,
        group: 'Project',
        icon: <Icon name="folder" size={16} />,
        run: () => navigate(to.project(each.id, 'workflows')),
      },
    ]),
    ...(link === undefined
      ? []
      : [
          {
            id: 'copy-link',
            label: 'Copy a link to this run',
            about: 'Opens in the desktop app of whoever has joined this host',
            group: 'Run',
            icon: <Icon name="copy" size={16} />,
            run: () => void navigator.clipboard.writeText(link).catch(() => undefined),
          },
        ]),
    ...(isDesktop && hosts.length > 1 ? hosts : []).map((host): Command => ({
      id: `h-${host.id ?? ''}`,
      label: `Show ${host.name}`,
      about: host.about,
      group: 'Host',
      icon: <Icon name="system" size={16} />,
      run: () => showHost(host.id),
    })),
    {
      id: 'go-projects',
      label: 'Projects',
      group: 'Go to',
      icon: <Icon name="projects" size={16} />,
      run: () => navigate('/'),
    },
    {
      id: 'go-inbox',
      label: 'Inbox',
      group: 'Go to',
      icon: <Icon name="inbox" size={16} />,
      run: () => navigate('/inbox'),
    },
    {
      id: 'go-activity',
      label: 'Activity',
      group: 'Go to',
      icon: <Icon name="activity" size={16} />,
      run: () => navigate('/activity'),
    },
    {
      id: 'go-system',
      label: 'Connections and system',
      group: 'Go to',
      icon: <Icon name="system" size={16} />,
      run: () => navigate('/system'),
    },
    {
      id: 'go-settings',
      label: 'Settings',
      group: 'Go to',
      icon: <Icon name="settings" size={16} />,
      run: () => navigate('/settings'),
    },
    { id: 'theme-light', label: 'Light theme', group: 'Look', run: () => setTheme('light') },
    { id: 'theme-dark', label: 'Dark theme', group: 'Look', run: () => setTheme('dark') },
    { id: 'theme-system', label: 'Theme of the system', group: 'Look', run: () => setTheme('system') },
    { id: 'retry', label: 'Reconnect now', group: 'Connection', run: retryNow },
    { id: 'help', label: 'Keyboard shortcuts', group: 'Help', icon: <Icon name="help" size={16} />, run: onHelp },
  ];
}

/** The link of the run that is shown: `this` names the host of the computer on which it is followed. */
function useRunLink(): string | undefined {
  const route = useRoute();
  const host = useShownHost();
  if (route.name !== 'run') return undefined;
  const place = isDesktop ? (host?.replace(/^https?:\/\//, '') ?? 'this') : location.host;
  return `signalbox://run/${place}/${route.project}/${route.run}`;
}
