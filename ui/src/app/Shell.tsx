import type { ReactNode } from 'react';
import { isDesktop } from '../platform/environment';
import { HostList } from '../features/hosts/HostList';
import { Light } from '../features/connection/Light';
import { StaleBanner } from '../features/connection/StaleBanner';
import { useLink } from '../store/client';
import { useProjects, useRisks, useWaiting } from '../store/read';
import { QuietMark } from '../features/team/Quiet';
import { to } from '../store/route';
import { useNotices, useUnreadChat } from '../store/team';
import type { Route } from '../store/route';
import { Icon } from '../shared/Icon';
import type { IconName } from '../shared/Icon';
import { Kbd, Link } from '../shared/parts';

interface Props {
  route: Route;
  children: ReactNode;
  onPalette: () => void;
  onHelp: () => void;
}

const MOD = navigator.platform.startsWith('Mac') ? '⌘' : 'Ctrl';

export function Shell({ route, children, onPalette, onHelp }: Props) {
  const link = useLink();
  const risks = useRisks().filter((risk) => risk.state === 'open').length;
  const told = useNotices().filter((notice) => notice.kind === 'mention' || notice.kind === 'reply').length;
  const waiting = useWaiting().length + risks + told;
  const projects = useProjects();
  const inProject = 'project' in route ? route.project : undefined;
  const here = (name: Route['name']) =>
    route.name === name || (name === 'projects' && inProject !== undefined) ? 'page' : undefined;
  return (
    <div className="shell">
      <a
        className="skip button"
        href="#main"
        onClick={(event) => {
          event.preventDefault();
          document.getElementById('main')?.focus();
        }}
      >
        Skip to content
      </a>
      <nav className="side" aria-label="Main">
        <span className="brand">
          <img src="/favicon.svg" width="24" height="24" alt="" /> Signalbox
        </span>
        {isDesktop && <HostList />}
        <SideLink to="/" icon="projects" label="Projects" current={here('projects')} />
        <SideLink to="/inbox" icon="inbox" label="Inbox" current={here('inbox')} badge={waiting} />
        <SideLink to="/activity" icon="activity" label="Activity" current={here('activity')} />
        <SideLink to="/agents" icon="agent" label="Agents" current={here('agents')} />
        <SideLink to="/team" icon="team" label="Team" current={here('team')} />
        <SideLink to="/system" icon="system" label="System" current={here('system')} />
        <SideLink to="/settings" icon="settings" label="Settings" current={here('settings')} />
        {projects.length > 0 && <span className="side-group">Projects</span>}
        {projects.slice(0, 20).map((project) => (
          <Link
            key={project.id}
            to={to.project(project.id)}
            className="side-link side-project"
            data-testid={`side-${project.id}`}
            aria-current={inProject === project.id ? 'page' : undefined}
          >
            <span className="cut grow">{project.name}</span>
            <Unread project={project.id} />
          </Link>
        ))}
        <button type="button" className="side-link side-foot" onClick={onHelp}>
          <Icon name="help" /> Keyboard <span className="grow" /> <Kbd>?</Kbd>
        </button>
      </nav>
      <div className="shell-main">
        <div className="top">
          <span className="top-brand">
            <img src="/favicon.svg" width="22" height="22" alt="" />
          </span>
          <button type="button" className="top-find" data-testid="open-palette" onClick={onPalette}>
            <Icon name="search" size={15} />
            <span className="grow">Go to, run, or do…</span>
            <Kbd>{MOD}</Kbd>
            <Kbd>K</Kbd>
          </button>
          <span className="grow" />
          <span className="muted cut">
            {link.memberName}
            {link.role === 'viewer' && ' (may only look)'}
          </span>
          <QuietMark />
          <Light />
        </div>
        <StaleBanner />
        <main id="main" className="shell-view" tabIndex={-1}>
          {children}
        </main>
      </div>
    </div>
  );
}

/** Messages that this person has not read. */
function Unread({ project }: { project: string }) {
  const unread = useUnreadChat(project);
  if (unread === 0) return null;
  return (
    <span className="badge num" aria-label={`${String(unread)} unread`}>
      {unread}
    </span>
  );
}

function SideLink({
  to: href,
  icon,
  label,
  current,
  badge = 0,
}: {
  to: string;
  icon: IconName;
  label: string;
  current: 'page' | undefined;
  badge?: number;
}) {
  return (
    <Link to={href} className="side-link" aria-current={current} data-testid={`nav-${label.toLowerCase()}`}>
      <Icon name={icon} />
      <span className="grow">{label}</span>
      {badge > 0 && (
        <span
          className="badge solid"
          data-tone="wait"
          aria-label={`${String(badge)} waiting`}
          data-testid={`badge-${label.toLowerCase()}`}
        >
          {badge}
        </span>
      )}
    </Link>
  );
}
