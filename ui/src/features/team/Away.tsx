import { useState } from 'react';
import type { AwayItem, AwayKind } from '../../platform/protocol';
import { call, useStale, world } from '../../store/client';
import { to } from '../../store/route';
import { count } from '../../shared/format';
import { Ago, Button, Link } from '../../shared/parts';
import { useAction } from '../../shared/useAction';
import { useQuery } from '../../shared/useQuery';
import './team.css';

const ONE: Record<AwayKind, [string, string]> = {
  mention: ['mention of you', 'mentions of you'],
  reply: ['answer to you', 'answers to you'],
  question_waiting: ['question waits', 'questions wait'],
  question_answered: ['question was answered', 'questions were answered'],
  run_finished: ['run ended well', 'runs ended well'],
  run_failed: ['run failed', 'runs failed'],
  risk: ['risk', 'risks'],
};
const TONE: Partial<Record<AwayKind, string>> = {
  question_waiting: 'wait',
  run_failed: 'bad',
  risk: 'bad',
  run_finished: 'good',
};

/** What happened since this person looked last, on whatever device that was. */
export function Away() {
  const stale = useStale();
  const [done, setDone] = useState(false);
  const { data, reload } = useQuery('away.list', { limit: 20 });
  const seen = useAction(
    async (cursor: string) => {
      const projects = [...world.projects.values()].filter((project) => project.open);
      await Promise.all(projects.map((project) => call('mark.set', { project: project.id, cursor })));
      setDone(true);
      reload();
    },
    { toast: true },
  );
  // Who was never here was not away.
  if (done || !data || data.items.length === 0 || data.marks.length === 0) return null;
  return (
    <section className="panel" aria-label="While you were away" data-testid="away">
      <header>
        <h2 className="grow">While you were away</h2>
        <Button size="small" disabled={stale || seen.pending} onClick={() => void seen.run(data.cursor)}>
          Got it
        </Button>
      </header>
      <p className="body away-counts">
        {(Object.entries(data.counts) as [AwayKind, number][]).map(([kind, n]) => {
          const [one, many] = ONE[kind] ?? [kind, kind];
          return (
            <span key={kind} className="badge" data-tone={TONE[kind]}>
              {count(n, one, many)}
            </span>
          );
        })}
      </p>
      <ul>
        {data.items.map((item) => (
          <li key={`${item.cursor} ${item.kind}`} className="notice-row">
            <span className="grow">
              <Link className="text" to={linkOf(item)}>
                {item.text}
              </Link>{' '}
              <span className="muted">
                {item.project}, <Ago at={item.at} />
              </span>
            </span>
            <span className="muted">{ONE[item.kind]?.[0]}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function linkOf(item: AwayItem): string {
  if (item.run !== undefined) return to.run(item.project, item.run, { step: item.step });
  return item.kind === 'mention' || item.kind === 'reply'
    ? to.chat(item.project, item.message)
    : to.project(item.project);
}
