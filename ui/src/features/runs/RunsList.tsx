import { useState } from 'react';
import type { Run } from '../../platform/protocol';
import { call, show, world } from '../../store/client';
import { isFailure, useRuns } from '../../store/read';
import { Button, Empty } from '../../shared/parts';
import { Problem } from '../../shared/Problem';
import { useAction } from '../../shared/useAction';
import { RunRow } from './RunRow';

const FILTERS = {
  all: { label: 'All', test: () => true },
  active: { label: 'Active', test: (run: Run) => run.status !== 'done' },
  waiting: { label: 'Waiting', test: (run: Run) => run.status === 'waiting_input' },
  failed: { label: 'Failed', test: (run: Run) => isFailure(run.conclusion) },
  cancelled: { label: 'Cancelled', test: (run: Run) => run.conclusion === 'cancelled' },
  success: { label: 'Succeeded', test: (run: Run) => run.conclusion === 'success' },
} as const;

type Filter = keyof typeof FILTERS;

const PAGE = 50;

export function RunsList({ project, empty }: { project: string; empty: React.ReactNode }) {
  const runs = useRuns(project);
  const [filter, setFilter] = useState<Filter>('all');
  const [more, setMore] = useState(true);
  const shown = runs.filter(FILTERS[filter].test);
  const oldest = runs.at(-1);
  const older = useAction(async () => {
    const page = await call(
      'run.list',
      oldest ? { project, before: oldest.number, limit: PAGE } : { project, limit: PAGE },
    );
    world.older(page.runs);
    setMore(page.more);
    show();
  });
  if (runs.length === 0) return empty;
  return (
    <section className="panel" aria-label="Runs">
      <header className="runs-filter" role="group" aria-label="Filter by state">
        {(Object.keys(FILTERS) as Filter[]).map((key) => (
          <Button
            key={key}
            size="small"
            kind="quiet"
            aria-pressed={filter === key}
            data-testid={`filter-${key}`}
            onClick={() => setFilter(key)}
          >
            {FILTERS[key].label}
            <span className="badge num">{runs.filter(FILTERS[key].test).length}</span>
          </Button>
        ))}
      </header>
      {shown.length === 0 ? (
        <Empty title="No run in this state">
          <p>{more && (oldest?.number ?? 1) > 1 ? 'Older runs may be: load them below.' : 'Choose another filter.'}</p>
        </Empty>
      ) : (
        <ul className="runs" data-testid="runs">
          {shown.map((run) => (
            <RunRow key={run.id} run={run} />
          ))}
        </ul>
      )}
      {older.error !== undefined && <Problem error={older.error} />}
      {more && (oldest?.number ?? 1) > 1 && (
        <div className="runs-more">
          <Button size="small" disabled={older.pending} onClick={() => void older.run()}>
            {older.pending ? 'Loading…' : 'Load older runs'}
          </Button>
        </div>
      )}
    </section>
  );
}
