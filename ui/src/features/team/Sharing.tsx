import { useState } from 'react';
import type { InviteCreated, Role } from '../../platform/protocol';
import { call, useLink, useStale } from '../../store/client';
import { useProjects, useSeesAll } from '../../store/read';
import { useNow } from '../../store/time';
import { count, exact } from '../../shared/format';
import { Dialog } from '../../shared/Dialog';
import { Ago, Button, Loading } from '../../shared/parts';
import { Problem } from '../../shared/Problem';
import { useAction } from '../../shared/useAction';
import { useQuery } from '../../shared/useQuery';
import './team.css';

const DAY_MS = 86_400_000;
const ROLES: readonly [Role, string][] = [
  ['viewer', 'Viewer: sees'],
  ['operator', 'Operator: runs, answers, chats'],
  ['owner', 'Owner: also shares and configures'],
];

/** Whether others reach this host, under which addresses, and the invitations to it. */
export function Sharing() {
  const stale = useStale();
  const seesAll = useSeesAll();
  const why = seesAll ? undefined : 'Only an owner of all projects may do this.';
  const owner = useLink().role === 'owner';
  const [turn, setTurn] = useState(0);
  const { data, error, loading } = useQuery('share.status', {}, turn);
  const again = () => setTurn((n) => n + 1);
  const start = useAction(async () => {
    await call('share.start', {});
    again();
  });
  const stop = useAction(async () => {
    await call('share.stop', {});
    again();
  });
  const [inviting, setInviting] = useState(false);
  return (
    <section className="panel" aria-label="Sharing" data-testid="sharing">
      <header>
        <h2 className="grow">Sharing</h2>
        {owner && data && (
          <>
            {data.state === 'on' && (
              <Button kind="primary" disabled={stale} data-testid="invite" onClick={() => setInviting(true)}>
                Invite…
              </Button>
            )}
            {data.state === 'off' ? (
              <Button
                kind="primary"
                disabled={stale || start.pending || !seesAll}
                title={why}
                data-testid="share-start"
                onClick={() => void start.run()}
              >
                Share this host
              </Button>
            ) : (
              <Button
                disabled={stale || stop.pending || !seesAll}
                title={why}
                data-testid="share-stop"
                onClick={() => void stop.run()}
              >
                Stop sharing
              </Button>
            )}
          </>
        )}
      </header>
      <div className="body stack">
        {owner && !seesAll && <p className="muted">Only an owner of all projects may start or stop sharing.</p>}
        {loading && <Loading lines={2} label="Loading" />}
        <Problem error={error ?? start.error ?? stop.error} />
        {data?.state === 'failed' && (
          <div className="problem">
            <p>{data.error}</p>
          </div>
        )}
        {data?.state === 'off' && (
          <p className="soft">
            Only this machine reaches the host. When it is shared, people with an invitation see it from their own
            Signalbox or from a browser, over an encrypted connection. It stays shared until somebody stops it here.
          </p>
        )}
        {data?.state === 'on' && (
          <>
            <p className="share-urls">
              Others reach it at{' '}
              {data.urls.slice(0, 4).map((url, index) => (
                <span key={url}>
                  {index > 0 && ', '}
                  <code>{url}</code>
                </span>
              ))}
              .
            </p>
            <p className="muted">
              {data.own_certificate
                ? 'Your own certificate'
                : 'A certificate that was made here; invitations carry its fingerprint'}
              {data.certificate_expires_at !== undefined && `, good until ${exact(data.certificate_expires_at)}`}.{' '}
              {data.since !== undefined && (
                <>
                  Shared since <Ago at={data.since} />.
                </>
              )}
            </p>
            {data.fingerprint !== undefined && (
              <details>
                <summary>Fingerprint</summary>
                <code style={{ overflowWrap: 'anywhere' }}>{data.fingerprint}</code>
              </details>
            )}
          </>
        )}
      </div>
      {owner && data?.state === 'on' && <Invites turn={turn} again={again} />}
      {inviting && (
        <Invite
          onClose={() => {
            setInviting(false);
            again();
          }}
        />
      )}
    </section>
  );
}

function Invites({ turn, again }: { turn: number; again: () => void }) {
  const stale = useStale();
  const now = useNow();
  const { data } = useQuery('invite.list', {}, turn);
  const revoke = useAction(
    async (invite: string) => {
      await call('invite.revoke', { invite });
      again();
    },
    { toast: true },
  );
  const open = (data?.invites ?? []).filter(
    (invite) => !invite.revoked && invite.joined.length < invite.uses && invite.expires_at > now,
  );
  if (open.length === 0) return null;
  return (
    <ul aria-label="Open invitations" data-testid="invites">
      {open.map((invite) => (
        <li key={invite.id} className="member-row">
          <span className="grow">
            <b>{invite.name ?? 'Anybody with the link'}</b> <span className="badge">{invite.role}</span>{' '}
            <span className="muted">
              {(invite.projects ?? []).length > 0 ? (invite.projects ?? []).join(', ') : 'all projects'} ·{' '}
              {count(invite.uses - invite.joined.length, 'use')} left · until {exact(invite.expires_at)}
            </span>
          </span>
          <Button size="small" disabled={stale || revoke.pending} onClick={() => void revoke.run(invite.id)}>
            Take back
          </Button>
        </li>
      ))}
    </ul>
  );
}

function Invite({ onClose }: { onClose: () => void }) {
  const projects = useProjects();
  const seesAll = useSeesAll();
  const [role, setRole] = useState<Role>('operator');
  const [project, setProject] = useState('');
  const [name, setName] = useState('');
  const [days, setDays] = useState(7);
  const [uses, setUses] = useState(1);
  const [made, setMade] = useState<InviteCreated>();
  const create = useAction(async () => {
    setMade(
      await call('invite.create', {
        role,
        ttl_ms: days * DAY_MS,
        uses,
        ...(project !== '' && { projects: [project] }),
        ...(name.trim() !== '' && { name: name.trim() }),
      }),
    );
  });
  return (
    <Dialog
      open
      onClose={onClose}
      title={made ? 'Send this link' : 'Invite somebody'}
      about={made ? 'It is shown this once. Whoever has it can join, until it is used up or taken back.' : undefined}
      testid="invite-dialog"
      footer={
        made ? (
          <Button kind="primary" onClick={onClose}>
            Done
          </Button>
        ) : (
          <>
            <Button onClick={onClose}>Cancel</Button>
            <Button
              kind="primary"
              disabled={create.pending}
              data-testid="invite-make"
              onClick={() => void create.run()}
            >
              Make the link
            </Button>
          </>
        )
      }
    >
      {made ? (
        <Made made={made} />
      ) : (
        <div className="stack">
          <label className="field">
            <span>For whom (optional)</span>
            <input className="input" value={name} maxLength={60} onChange={(event) => setName(event.target.value)} />
          </label>
          <label className="field">
            <span>Role</span>
            <select className="input" value={role} onChange={(event) => setRole(event.target.value as Role)}>
              {ROLES.map(([value, text]) => (
                <option key={value} value={value}>
                  {text}
                </option>
              ))}
            </select>
          </label>
          <label className="field">
            <span>Projects</span>
            <select className="input" value={project} onChange={(event) => setProject(event.target.value)}>
              <option value="">{seesAll ? 'All projects' : 'All of your projects'}</option>
              {projects.map((each) => (
                <option key={each.id} value={each.id}>
                  {each.name}
                </option>
              ))}
            </select>
          </label>
          <label className="field">
            <span>Good for</span>
            <select className="input" value={days} onChange={(event) => setDays(Number(event.target.value))}>
              {[1, 7, 30, 90].map((each) => (
                <option key={each} value={each}>
                  {count(each, 'day')}
                </option>
              ))}
            </select>
          </label>
          <label className="field">
            <span>How many may join with it</span>
            <input
              className="input"
              type="number"
              min={1}
              max={1000}
              value={uses}
              onChange={(event) => setUses(Math.max(1, Math.min(1000, Number(event.target.value) || 1)))}
            />
          </label>
          <Problem error={create.error} />
        </div>
      )}
    </Dialog>
  );
}

function Made({ made }: { made: InviteCreated }) {
  const [copied, setCopied] = useState<string>();
  const copy = (what: string, text: string) =>
    void navigator.clipboard.writeText(text).then(
      () => setCopied(what),
      () => setCopied(undefined),
    );
  return (
    <div className="invite-made">
      <div className="invite-qr">
        <img src={`data:image/svg+xml;utf8,${encodeURIComponent(made.qr)}`} alt="The link as a QR code" />
      </div>
      <div className="invite-link">
        <label className="field">
          <span>For a browser, and for Signalbox</span>
          <input
            className="input mono"
            readOnly
            value={made.link}
            data-testid="invite-link"
            onFocus={(event) => event.target.select()}
          />
        </label>
        <div className="row">
          <Button icon="copy" onClick={() => copy('link', made.link)}>
            {copied === 'link' ? 'Copied' : 'Copy the link'}
          </Button>
          <Button icon="copy" onClick={() => copy('app', made.app_link)}>
            {copied === 'app' ? 'Copied' : 'Copy the link for the app'}
          </Button>
        </div>
        {!made.link.includes('.local') && (
          <p className="muted">
            A browser warns of a certificate that was made here; Signalbox checks its fingerprint.
          </p>
        )}
      </div>
    </div>
  );
}
