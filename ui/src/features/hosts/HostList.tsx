import { useState } from 'react';
import { forget, rename, showHost, useHosts } from '../../store/hosts';
import type { HostEntry, HostState } from '../../store/hosts';
import { useShownHost } from '../../store/client';
import { useKeys } from '../../store/keys';
import { CallFailed } from '../../stream/calls';
import { Dialog } from '../../shared/Dialog';
import { Icon } from '../../shared/Icon';
import { Menu } from '../../shared/Menu';
import { Button } from '../../shared/parts';
import { Problem } from '../../shared/Problem';
import { useAction } from '../../shared/useAction';
import { JoinHost } from './JoinHost';
import './hosts.css';

const WORDS: Record<HostState, string> = {
  live: 'connected',
  connecting: 'connecting',
  reconnecting: 'reconnecting',
  offline: 'cannot be reached',
  refused: 'refused: look at it',
  resting: 'not followed',
};
const TONES: Record<HostState, string> = {
  live: 'good',
  connecting: 'wait',
  reconnecting: 'wait',
  offline: 'bad',
  refused: 'bad',
  resting: 'idle',
};

/** All hosts, always in sight: how each is, and what waits there. One click or Ctrl and a digit shows another. */
export function HostList() {
  const hosts = useHosts();
  const shown = useShownHost();
  const [joining, setJoining] = useState(false);
  const [asked, setAsked] = useState<{ host: HostEntry; what: 'rename' | 'forget' }>();
  useKeys(
    hosts.length < 2
      ? []
      : hosts.slice(0, 9).map((host, index) => ({
          keys: `mod+${String(index + 1)}`,
          label: `Show ${host.name}`,
          group: 'Hosts',
          always: true,
          run: () => showHost(host.id),
        })),
  );
  return (
    <section className="hosts" aria-label="Hosts" data-testid="hosts">
      <div className="hosts-head">
        <span className="side-group">Hosts</span>
        <button
          type="button"
          className="hosts-add"
          aria-label="Join a host"
          title="Join a host"
          data-testid="host-join"
          onClick={() => setJoining(true)}
        >
          <Icon name="plus" size={15} />
        </button>
      </div>
      <ul>
        {hosts.map((host, index) => (
          <Row
            key={host.id ?? ''}
            host={host}
            digit={hosts.length > 1 && index < 9 ? index + 1 : undefined}
            shown={host.id === shown}
            onAsk={(what) => setAsked({ host, what })}
          />
        ))}
      </ul>
      {joining && <JoinHost onClose={() => setJoining(false)} />}
      {asked?.what === 'rename' && <Rename host={asked.host} onClose={() => setAsked(undefined)} />}
      {asked?.what === 'forget' && <Forget host={asked.host} onClose={() => setAsked(undefined)} />}
    </section>
  );
}

function Row({
  host,
  digit,
  shown,
  onAsk,
}: {
  host: HostEntry;
  digit: number | undefined;
  shown: boolean;
  onAsk: (what: 'rename' | 'forget') => void;
}) {
  const { id, name, about, state, waiting, unread, running } = host;
  const key = id === undefined ? 'own' : id.replace(/^https?:\/\//, '');
  return (
    <li className="host-row" data-shown={shown || undefined}>
      <button
        type="button"
        className="side-link host-link"
        aria-current={shown ? 'true' : undefined}
        title={`${about}: ${WORDS[state]}${digit === undefined ? '' : ` (Ctrl ${String(digit)})`}`}
        data-testid={`host-${key}`}
        data-state={state}
        onClick={() => showHost(id)}
      >
        <span className="host-lamp" data-tone={TONES[state]} data-state={state} aria-hidden="true" />
        <span className="grow cut">{name}</span>
        <span className="sr">, {WORDS[state]}</span>
        {running > 0 && waiting === 0 && (
          <span className="badge num" data-tone="active" aria-label={`${String(running)} at work`}>
            {running}
          </span>
        )}
        {unread > 0 && (
          <span className="badge num" aria-label={`${String(unread)} unread`} data-testid={`host-unread-${key}`}>
            {unread}
          </span>
        )}
        {waiting > 0 && (
          <span
            className="badge solid num"
            data-tone="wait"
            aria-label={`${String(waiting)} waiting`}
            data-testid={`host-waiting-${key}`}
          >
            {waiting}
          </span>
        )}
      </button>
      {id !== undefined && (
        <Menu
          entries={[
            {
              label: 'Rename…',
              testid: 'host-rename',
              icon: <Icon name="edit" size={15} />,
              onSelect: () => onAsk('rename'),
            },
            {
              label: 'Forget…',
              about: 'Its token is removed from this computer',
              testid: 'host-forget',
              icon: <Icon name="close" size={15} />,
              onSelect: () => onAsk('forget'),
            },
          ]}
          trigger={
            <button
              type="button"
              className="host-more"
              aria-label={`More for ${name}`}
              data-testid={`host-more-${key}`}
            >
              <Icon name="more" size={15} />
            </button>
          }
        />
      )}
    </li>
  );
}

/** What the shell says is told as every other failure is. */
async function told(action: Promise<void>): Promise<void> {
  try {
    await action;
  } catch (error) {
    throw new CallFailed({ code: 'bad_request', message: String(error) });
  }
}

function Rename({ host, onClose }: { host: HostEntry; onClose: () => void }) {
  const [name, setName] = useState(host.name);
  const save = useAction(async () => {
    await told(rename(host.id ?? '', name));
    onClose();
  });
  return (
    <Dialog
      open
      onClose={onClose}
      title={`Rename ${host.name}`}
      about="How it is called in this window. The host itself and the others keep their name for it."
      testid="rename-host"
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button
            kind="primary"
            type="submit"
            form="rename-form"
            data-testid="rename-submit"
            disabled={save.pending || name.trim() === ''}
          >
            Rename
          </Button>
        </>
      }
    >
      <form
        id="rename-form"
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void save.run();
        }}
      >
        <label className="label" htmlFor="rename-name">
          Name
        </label>
        <input
          id="rename-name"
          className="input"
          value={name}
          maxLength={80}
          data-testid="rename-name"
          onChange={(event) => setName(event.target.value)}
        />
        <Problem error={save.error} />
      </form>
    </Dialog>
  );
}

function Forget({ host, onClose }: { host: HostEntry; onClose: () => void }) {
  const go = useAction(async () => {
    await told(forget(host.id ?? ''));
    onClose();
  });
  return (
    <Dialog
      open
      onClose={onClose}
      title={`Forget ${host.name}?`}
      about="Its token is removed from this computer, and it is no longer followed. Nothing changes on the host; to come back you need a new invitation."
      testid="forget-host"
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="danger" data-testid="forget-submit" disabled={go.pending} onClick={() => void go.run()}>
            Forget
          </Button>
        </>
      }
    >
      <Problem error={go.error} />
    </Dialog>
  );
}
