import { useEffect, useState } from 'react';
import { forgetHost, listHosts, showHost, shownHost } from '../../platform/hosts';
import type { JoinedHost } from '../../platform/hosts';
import { Icon } from '../../shared/Icon';
import { Menu } from '../../shared/Menu';
import type { MenuEntry } from '../../shared/Menu';
import { useAction } from '../../shared/useAction';
import { JoinHost } from './JoinHost';
import './hosts.css';

/** Which host this window shows, the others that were joined, and a way to join one more. */
export function HostSwitch() {
  const [hosts, setHosts] = useState<readonly JoinedHost[]>([]);
  const [joining, setJoining] = useState(false);
  useEffect(() => {
    void listHosts().then(setHosts);
  }, []);
  const current = hosts.find((host) => host.id === shownHost);
  const forget = useAction(
    async (host: JoinedHost) => {
      await forgetHost(host.id);
      showHost(undefined);
    },
    { toast: true },
  );
  const tick = (shown: boolean) => <Icon name={shown ? 'right' : 'system'} size={15} />;
  const entries: (MenuEntry | 'line')[] = [
    {
      label: 'This computer',
      testid: 'host-own',
      icon: tick(shownHost === undefined),
      disabled: shownHost === undefined,
      onSelect: () => showHost(undefined),
    },
    ...hosts.map((host) => ({
      label: host.name,
      about: `${host.id}, as ${host.member}`,
      icon: tick(host.id === shownHost),
      disabled: host.id === shownHost,
      onSelect: () => showHost(host.id),
    })),
    'line',
    {
      label: 'Join a host…',
      testid: 'host-join',
      icon: <Icon name="plus" size={15} />,
      onSelect: () => setJoining(true),
    },
  ];
  if (current) {
    entries.push({
      label: `Forget ${current.name}`,
      about: 'Its token is removed from this computer',
      icon: <Icon name="close" size={15} />,
      onSelect: () => void forget.run(current),
    });
  }
  return (
    <>
      <Menu
        entries={entries}
        trigger={
          <button
            type="button"
            className="side-link host-switch"
            data-testid="host-switch"
            data-elsewhere={shownHost !== undefined}
            aria-label={`Host: ${current?.name ?? shownHost ?? 'this computer'}. Show another`}
          >
            <Icon name="system" />
            <span className="grow cut">{current?.name ?? shownHost ?? 'This computer'}</span>
            <Icon name="down" size={14} />
          </button>
        }
      />
      {joining && <JoinHost onClose={() => setJoining(false)} />}
    </>
  );
}
