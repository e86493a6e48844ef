import { useState } from 'react';
import type { Member, Role } from '../../platform/protocol';
import { call, useLink, useStale } from '../../store/client';
import { useMembers, useProjects, useSeesAll } from '../../store/read';
import { exact } from '../../shared/format';
import { Dialog } from '../../shared/Dialog';
import { Button } from '../../shared/parts';
import { Problem } from '../../shared/Problem';
import { useAction } from '../../shared/useAction';
import { Face } from './People';
import { Revoke } from './Revoke';
import './team.css';

const ROLES: readonly Role[] = ['viewer', 'operator', 'owner'];

/** Everybody who may come in, and what each may do. */
export function Members() {
  const link = useLink();
  const members = useMembers();
  const seesAll = useSeesAll();
  const [edited, setEdited] = useState<Member>();
  const [revoked, setRevoked] = useState<Member>();
  const owner = link.role === 'owner';
  const sorted = [...members].sort((a, b) => Number(a.revoked) - Number(b.revoked) || a.name.localeCompare(b.name));
  return (
    <section className="panel" aria-label="Members" data-testid="members">
      <header>
        <h2 className="grow">Members</h2>
        <span className="badge num">{members.filter((member) => !member.revoked).length}</span>
      </header>
      {!seesAll && <p className="body muted">Members of your projects.</p>}
      <ul>
        {sorted.map((member) => (
          <li
            key={member.id}
            className="member-row"
            data-off={member.revoked || undefined}
            data-testid={`member-${member.name}`}
          >
            <Face member={member.id} name={member.name} />
            <span className="grow">
              <b>{member.name}</b> {member.id === link.member && <span className="badge">you</span>}{' '}
              <span className="muted">
                {member.revoked
                  ? 'may not come in any more'
                  : (member.projects ?? []).length > 0
                    ? (member.projects ?? []).join(', ')
                    : 'all projects'}
                {member.expires_at !== undefined && !member.revoked && ` · until ${exact(member.expires_at)}`}
              </span>
            </span>
            <span className="badge">{member.role}</span>
            {owner && !member.revoked && member.id !== link.member && (
              <Button size="small" onClick={() => setEdited(member)}>
                Change…
              </Button>
            )}
          </li>
        ))}
      </ul>
      {edited && (
        <Change
          member={edited}
          onRevoke={() => {
            setEdited(undefined);
            setRevoked(edited);
          }}
          onClose={() => setEdited(undefined)}
        />
      )}
      {revoked && <Revoke member={revoked} onClose={() => setRevoked(undefined)} />}
    </section>
  );
}

function Change({ member, onRevoke, onClose }: { member: Member; onRevoke: () => void; onClose: () => void }) {
  const stale = useStale();
  const projects = useProjects();
  const [name, setName] = useState(member.name);
  const [role, setRole] = useState(member.role);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set(member.projects ?? []));
  const [all, setAll] = useState(chosen.size === 0);
  const save = useAction(async () => {
    const wanted = all ? [] : [...chosen];
    await call('member.update', { member: member.id, name: name.trim(), role, projects: wanted });
    onClose();
  });
  const off = stale || save.pending;
  // An empty list would mean all of them.
  const none = !all && chosen.size === 0;
  return (
    <Dialog
      open
      onClose={onClose}
      title={`Change ${member.name}`}
      about="Connections that are open follow at once."
      testid="member-dialog"
      footer={
        <>
          <Button kind="danger" disabled={off} data-testid="member-revoke" onClick={onRevoke}>
            Revoke…
          </Button>
          <span className="grow" />
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" disabled={off || none || name.trim() === ''} onClick={() => void save.run()}>
            Save
          </Button>
        </>
      }
    >
      <div className="stack">
        <label className="field">
          <span>Name</span>
          <input className="input" value={name} maxLength={60} onChange={(event) => setName(event.target.value)} />
        </label>
        <label className="field">
          <span>Role</span>
          <select className="input" value={role} onChange={(event) => setRole(event.target.value as Role)}>
            {ROLES.map((each) => (
              <option key={each}>{each}</option>
            ))}
          </select>
        </label>
        <fieldset className="stack">
          <legend>Projects</legend>
          <label className="row">
            <input
              type="checkbox"
              data-testid="member-all"
              checked={all}
              onChange={(event) => setAll(event.target.checked)}
            />
            All, also those to come
          </label>
          {projects.map((project) => (
            <label key={project.id} className="row">
              <input
                type="checkbox"
                disabled={all}
                checked={all || chosen.has(project.id)}
                onChange={(event) => {
                  const next = new Set(chosen);
                  if (event.target.checked) next.add(project.id);
                  else next.delete(project.id);
                  setChosen(next);
                }}
              />
              {project.name}
            </label>
          ))}
          {none && <p className="muted">Choose one at least. To let nobody in with this token any more, revoke it.</p>}
        </fieldset>
        <Problem error={save.error} />
      </div>
    </Dialog>
  );
}
