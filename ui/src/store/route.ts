import { isRoom } from '../stream/cursor';
import { useTopic, publish } from './topics';

export type ProjectTab = 'runs' | 'workflows' | 'queue' | 'chat' | 'settings';
export type RunTab = 'graph' | 'timeline' | 'steps' | 'outcome';

export type Route =
  | { name: 'projects' }
  | { name: 'project'; project: string; tab: ProjectTab; message?: string }
  | { name: 'workflow'; project: string; workflow: string }
  | { name: 'run'; project: string; run: string; tab?: RunTab; step?: string; attempt?: number; line?: number }
  | { name: 'inbox' }
  | { name: 'activity' }
  | { name: 'agents' }
  | { name: 'team' }
  | { name: 'system' }
  | { name: 'settings' }
  | { name: 'missing'; path: string };

export function parseRoute(path: string, search: string, hash: string): Route {
  let parts: string[];
  try {
    parts = path.split('/').filter(Boolean).map(decodeURIComponent);
  } catch {
    return { name: 'missing', path };
  }
  const [first, project, kind, id] = parts;
  if (first === undefined) return { name: 'projects' };
  if (
    first === 'inbox' ||
    first === 'activity' ||
    first === 'agents' ||
    first === 'team' ||
    first === 'system' ||
    first === 'settings'
  )
    return { name: first };
  if (first !== 'projects') return { name: 'missing', path };
  if (project === undefined) return { name: 'projects' };
  // What no project and no run can be called is never asked for: the host ends a connection for such a name.
  if (!isRoom(`project/${project}`) || (kind === 'runs' && id !== undefined && !isRoom(`run/${id}`)))
    return { name: 'missing', path };
  if (kind === undefined) return { name: 'project', project, tab: 'runs' };
  if (kind === 'workflows')
    return id === undefined
      ? { name: 'project', project, tab: 'workflows' }
      : { name: 'workflow', project, workflow: id };
  if (kind === 'chat') {
    const message = /^#(c_[0-9a-z]{8,40})$/.exec(hash)?.[1];
    return { name: 'project', project, tab: kind, ...(message === undefined ? {} : { message }) };
  }
  if (kind === 'queue' || kind === 'settings') return { name: 'project', project, tab: kind };
  if (kind !== 'runs') return { name: 'missing', path };
  if (id === undefined) return { name: 'project', project, tab: 'runs' };
  const query = new URLSearchParams(search);
  const route: Extract<Route, { name: 'run' }> = { name: 'run', project, run: id };
  const tab = query.get('tab');
  if (tab === 'graph' || tab === 'timeline' || tab === 'steps' || tab === 'outcome') route.tab = tab;
  const step = query.get('step');
  if (step) route.step = step;
  const attempt = Number(query.get('attempt'));
  if (Number.isInteger(attempt) && attempt > 0) route.attempt = attempt;
  const line = /^#L(\d{1,12})$/.exec(hash);
  if (line) route.line = Number(line[1]);
  return route;
}

export const to = {
  projects: () => '/',
  project: (project: string, tab: ProjectTab = 'runs') =>
    `/projects/${encodeURIComponent(project)}${tab === 'runs' ? '' : `/${tab}`}`,
  chat: (project: string, message?: string) =>
    `/projects/${encodeURIComponent(project)}/chat${message === undefined ? '' : `#${message}`}`,
  workflow: (project: string, workflow: string) =>
    `/projects/${encodeURIComponent(project)}/workflows/${encodeURIComponent(workflow)}`,
  run: (
    project: string,
    run: string,
    more: {
      tab?: RunTab | undefined;
      step?: string | undefined;
      attempt?: number | undefined;
      line?: number | undefined;
    } = {},
  ) => {
    const query = new URLSearchParams();
    if (more.tab && more.tab !== 'graph') query.set('tab', more.tab);
    if (more.step !== undefined) query.set('step', more.step);
    if (more.attempt !== undefined) query.set('attempt', String(more.attempt));
    const text = query.toString();
    return `/projects/${encodeURIComponent(project)}/runs/${encodeURIComponent(run)}${text ? `?${text}` : ''}${more.line === undefined ? '' : `#L${String(more.line)}`}`;
  },
};

let current = parseRoute(location.pathname, location.search, location.hash);
/** Which host the pages of the history are of, and who shows it when a person goes back to one of another. */
let tag: string | undefined;
let goTo: ((host: string | undefined) => void) | undefined;

interface Entry {
  host?: string;
}

const place = () => location.pathname + location.search + location.hash;
/** Where this person is, as a path. While the history leads to another host, still where they were. */
let at = place();

function changed(): void {
  at = place();
  current = parseRoute(location.pathname, location.search, location.hash);
  publish(['route']);
}

window.addEventListener('popstate', (event) => {
  const host = (event.state as Entry | null)?.host;
  if (goTo && host !== tag) goTo(host);
  changed();
});
window.addEventListener('hashchange', changed);

export function here(): string {
  return at;
}

/** Notes whose pages follow; `back` is called when the history leads to those of another host. */
export function tagHistory(host: string | undefined, back: (host: string | undefined) => void): void {
  tag = host;
  goTo = back;
}

export function navigate(path: string, options: { replace?: boolean; again?: boolean } = {}): void {
  if (path === here() && !options.again) return;
  const entry: Entry | null = tag === undefined ? null : { host: tag };
  if (options.replace) history.replaceState(entry, '', path);
  else history.pushState(entry, '', path);
  changed();
}

export function useRoute(): Route {
  return useTopic('route', () => current);
}
