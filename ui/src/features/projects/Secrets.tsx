import { useState } from 'react';
import type { SecretInfo } from '../../platform/protocol';
import { call, useStale } from '../../store/client';
import { Dialog } from '../../shared/Dialog';
import { Button, Loading } from '../../shared/parts';
import { Problem } from '../../shared/Problem';
import { useAction } from '../../shared/useAction';
import { useQuery } from '../../shared/useQuery';
import { useTick } from '../../shared/useTick';

const POLL_MS = 20_000;

/** What the workflows ask for, and where each comes from. A value goes to the host, and never comes back. */
export function Secrets({ project }: { project: string }) {
  const stale = useStale();
  const [turn, setTurn] = useState(0);
  const { data, error, loading } = useQuery('secret.list', { project }, `${useTick(POLL_MS)} ${String(turn)}`);
  const [asked, setAsked] = useState<string>();
  const again = () => setTurn((n) => n + 1);
  const remove = useAction(
    async (name: string) => {
      await call('secret.remove', { project, name });
      again();
    },
    { toast: true },
  );
  const secrets = data?.secrets ?? [];
  const noKeychain = data?.keychain_error;
  return (
    <section className="panel" aria-label="Secrets" data-testid="secrets">
      <header>
        <h2>Secrets</h2>
      </header>
      {noKeychain !== undefined && secrets.length > 0 && (
        <div className="body">
          <div className="problem" data-kind="warning" data-testid="keychain-error">
            <div>
              <p>The keychain of the host cannot be used: {noKeychain}</p>
              <p>
                Start the host with <code>SIGNALBOX_SECRET_</code> and the name of the secret in its environment
                instead.
              </p>
            </div>
          </div>
        </div>
      )}
      {loading ? (
        <div className="body">
          <Loading lines={2} label="Loading secrets" />
        </div>
      ) : error !== undefined && !data ? (
        <div className="body">
          <Problem error={error} />
        </div>
      ) : secrets.length === 0 ? (
        <p className="body soft">No workflow of this project asks for a secret.</p>
      ) : (
        <ul>
          {secrets.map((secret) => (
            <li key={secret.name} className="secret" data-testid={`secret-${secret.name}`}>
              <div className="grow">
                <p className="mono cut">{secret.name}</p>
                <p className="muted cut">{secret.workflows.join(', ')}</p>
              </div>
              <Source secret={secret} />
              <span className="row">
                {/* The environment comes first: a value in the keychain would not be used. */}
                {secret.source !== 'environment' && (
                  <Button
                    size="small"
                    disabled={stale || noKeychain !== undefined}
                    aria-label={`${secret.source === 'keychain' ? 'Replace' : 'Set'} ${secret.name}`}
                    onClick={() => setAsked(secret.name)}
                  >
                    {secret.source === 'keychain' ? 'Replace' : 'Set'}
                  </Button>
                )}
                {secret.source === 'keychain' && (
                  <Button
                    size="small"
                    kind="quiet"
                    disabled={stale || remove.pending}
                    aria-label={`Remove ${secret.name}`}
                    onClick={() => void remove.run(secret.name)}
                  >
                    Remove
                  </Button>
                )}
              </span>
            </li>
          ))}
        </ul>
      )}
      {asked !== undefined && (
        <SetSecret project={project} name={asked} onClose={() => setAsked(undefined)} onSet={again} />
      )}
    </section>
  );
}

function Source({ secret }: { secret: SecretInfo }) {
  if (secret.source === undefined)
    return (
      <span className="badge" data-tone="wait" title="Steps that need it will fail">
        not set
      </span>
    );
  return (
    <span
      className="badge"
      data-tone="good"
      title={secret.source === 'environment' ? `SIGNALBOX_SECRET_${secret.name} of the host` : undefined}
    >
      {secret.source === 'keychain' ? 'keychain' : 'environment'}
    </span>
  );
}

function SetSecret({
  project,
  name,
  onClose,
  onSet,
}: {
  project: string;
  name: string;
  onClose: () => void;
  onSet: () => void;
}) {
  const [value, setValue] = useState('');
  const set = useAction(async () => {
    await call('secret.set', { project, name, value });
    onSet();
    onClose();
  });
  return (
    <Dialog
      open
      onClose={onClose}
      title={`Set ${name}`}
      about="It goes into the keychain of the host's machine. No page, log or event shows it."
      testid="secret-dialog"
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button
            kind="primary"
            disabled={value === '' || set.pending}
            data-testid="save-secret"
            onClick={() => void set.run()}
          >
            Save
          </Button>
        </>
      }
    >
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          if (value !== '' && !set.pending) void set.run();
        }}
      >
        <label className="field">
          <span className="label">Value</span>
          <input
            className="input"
            type="password"
            autoComplete="off"
            spellCheck={false}
            value={value}
            data-testid="secret-value"
            onChange={(event) => setValue(event.target.value)}
          />
        </label>
        <Problem error={set.error} />
      </form>
    </Dialog>
  );
}
