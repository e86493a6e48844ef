import { useState } from 'react';
import type { AuditEntry } from '../../platform/protocol';
import { call } from '../../store/client';
import { auditedProject } from '../../store/lists';
import { useProjects, useSeesAll } from '../../store/read';
import { exact } from '../../shared/format';
import { Ago, Button } from '../../shared/parts';
import { Problem } from '../../shared/Problem';
import { useAction } from '../../shared/useAction';
import { useQuery } from '../../shared/useQuery';
import { useTick } from '../../shared/useTick';

const POLL_MS = 15_000;
const PAGE = 50;

/** Who did what, when and from where: on the whole host, or in one project for who does not see all. */
export function Audit() {
  const seesAll = useSeesAll();
  const projects = useProjects();
  const [chosen, setChosen] = useState<string>();
  const at = auditedProject(seesAll, projects, chosen);
  return (
    <section className="panel" aria-label="Audit list" data-testid="audit">
      <header>
        <h2 className="grow">Who did what</h2>
        {!seesAll && at !== undefined && (
          <select
            className="input"
            aria-label="Project"
            data-testid="audit-project"
            value={at}
            onChange={(event) => setChosen(event.target.value)}
          >
            {projects.map((project) => (
              <option key={project.id} value={project.id}>
                {project.name}
              </option>
            ))}
          </select>
        )}
      </header>
      {seesAll || at !== undefined ? (
        <Entries key={at ?? ''} project={at} />
      ) : (
        <p className="body muted">There is no project that you see.</p>
      )}
    </section>
  );
}

function Entries({ project }: { project: string | undefined }) {
  const where = project === undefined ? {} : { project };
  const { data, error } = useQuery('audit.list', { limit: PAGE, ...where }, useTick(POLL_MS));
  const [older, setOlder] = useState<{ entries: readonly AuditEntry[]; more: boolean }>();
  const newest = data?.entries ?? [];
  const entries = [...newest, ...(older?.entries ?? []).filter((entry) => entry.id < (newest.at(-1)?.id ?? Infinity))];
  const read = useAction(async (before: number) => {
    const page = await call('audit.list', { before, limit: PAGE, ...where });
    setOlder({ entries: [...(older?.entries ?? []), ...page.entries], more: page.more });
  });
  const last = entries.at(-1);
  return (
    <>
      <Problem error={error ?? read.error} />
      <div className="table-scroll" tabIndex={0} role="region" aria-label="Audit list">
        <table className="table">
          <thead>
            <tr>
              <th>When</th>
              <th>Who</th>
              <th>What</th>
              <th>From</th>
              <th>Outcome</th>
            </tr>
          </thead>
          <tbody>
            {entries.map((entry) => (
              <tr key={entry.id}>
                <td title={exact(entry.at)}>
                  <Ago at={entry.at} />
                </td>
                <td>{entry.name ?? <span className="muted">unknown</span>}</td>
                <td>
                  <code>{entry.method}</code>{' '}
                  <span className="muted">{[entry.project, entry.target].filter(Boolean).join(' · ')}</span>
                </td>
                <td className="muted mono">{entry.address ?? 'this machine'}</td>
                <td>
                  {entry.outcome === 'ok' ? (
                    'done'
                  ) : (
                    <b className="tone" data-tone="bad">
                      {entry.outcome}
                    </b>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {last && (older ? older.more : data?.more) && (
        <p className="body">
          <Button size="small" disabled={read.pending} onClick={() => void read.run(last.id)}>
            Show more
          </Button>
        </p>
      )}
    </>
  );
}
