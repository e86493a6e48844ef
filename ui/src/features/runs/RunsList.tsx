import { useEffect, useRef, useState } from 'react';
import type { Run } from '../../platform/protocol';
import { call, show, world } from '../../store/client';
import { useKeys } from '../../store/keys';
import { isFailure, useRuns } from '../../store/read';
import { navigate, to } from '../../store/route';
import { Button, Empty } from '../../shared/parts';
import { Problem } from '../../shared/Problem';
import { useAction } from '../../shared/useAction';
import { RunRow } from './RunRow';

const FILTERS = {
  all: { label: 'All', test: () => true },
  active: { label: 'Active', test: (run: Run) => run.status !== 'done' },
  waiting: { label: 'Waiting', test: (run: Run) => run.status === 'waiting_input' },
  failed: { label: 'Failed', test: (run: Run) => isFailure(run.conclusion) },
  success: { label: 'Succeeded', test: (run: Run) => run.conclusion === 'success' },
} as const;

type Filter = keyof typeof FILTERS;

const PAGE = 50;

export function RunsList({ project, empty }: { project: string; empty: React.ReactNode }) {
  const runs = useRuns(project);
  const [filter, setFilter] = useState<Filter>('all');
  const [at, setAt] = useState(-1);
  const [more, setMore] = useState(true);
  const list = useRef<HTMLUListElement>(null);
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
  const move = (step: number) => setAt(Math.max(0, Math.min(shown.length - 1, at + step)));
  useKeys([
    { keys: 'j', label: 'Next', group: 'Lists', run: () => move(1) },
    { keys: 'k', label: 'Previous', group: 'Lists', run: () => move(-1) },
    {
      keys: 'Enter',
      label: 'Open',
      group: 'Lists',
      run: () => {
        const run = shown[at];
        if (run) navigate(to.run(project, run.id));
      },
    },
  ]);
  useEffect(() => {
    list.current?.children[at]?.scrollIntoView({ block: 'nearest' });
  }, [at]);
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
        <ul ref={list} className="runs" data-testid="runs">
          {shown.map((run, index) => (
            <RunRow key={run.id} run={run} active={index === at} />
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
