import { call, useOff } from '../../store/client';
import { useQueue, useRun } from '../../store/read';
import { to } from '../../store/route';
import { Button, Empty, Link } from '../../shared/parts';
import { useAction } from '../../shared/useAction';
import type { QueuedRun } from '../../platform/protocol';

export function QueuePanel({ project }: { project: string }) {
  const queue = useQueue(project);
  const stale = useOff('operator');
  const toggle = useAction(() => call(queue?.paused ? 'queue.resume' : 'queue.pause', { project }), { toast: true });
  if (!queue) return null;
  return (
    <section className="panel" aria-label="Queue" data-testid="queue">
      <header>
        <h2 className="grow">
          Queue{' '}
          {queue.paused && (
            <span className="badge" data-tone="wait">
              paused
            </span>
          )}
        </h2>
        <Button
          size="small"
          icon={queue.paused ? 'play' : 'pause'}
          disabled={stale || toggle.pending}
          onClick={() => void toggle.run()}
        >
          {queue.paused ? 'Resume queue' : 'Pause queue'}
        </Button>
      </header>
      {queue.runs.length === 0 ? (
        <Empty title="Nothing waits">
          <p>
            {queue.paused
              ? 'The queue is paused: what you start will wait here.'
              : 'Runs wait here when their concurrency group is full. You can change their order.'}
          </p>
        </Empty>
      ) : (
        <ol className="runs">
          {queue.runs.map((entry, index) => (
            <QueueRow
              key={entry.run}
              entry={entry}
              place={placeIn(queue.runs, index)}
              last={isLast(queue.runs, index)}
              disabled={stale}
            />
          ))}
        </ol>
      )}
    </section>
  );
}

/** A run's place counts within its group. */
function placeIn(runs: readonly QueuedRun[], index: number): number {
  return runs.slice(0, index + 1).filter((entry) => entry.group === runs[index]?.group).length;
}

function isLast(runs: readonly QueuedRun[], index: number): boolean {
  return !runs.slice(index + 1).some((entry) => entry.group === runs[index]?.group);
}

function QueueRow({
  entry,
  place,
  last,
  disabled,
}: {
  entry: QueuedRun;
  place: number;
  last: boolean;
  disabled: boolean;
}) {
  const run = useRun(entry.run);
  const move = useAction((position: number) => call('queue.move', { run: entry.run, position }), { toast: true });
  const busy = disabled || move.pending;
  return (
    <li className="run-row" style={{ padding: '8px 12px', gap: 12 }}>
      <span className="badge num">{place}</span>
      <span className="grow">
        {run ? (
          <Link to={to.run(run.project, run.id)} className="queue-name" data-row="">
            <b>{run.workflow}</b> <span className="muted num">#{run.number}</span>
          </Link>
        ) : (
          entry.run
        )}
        <span className="muted cut" style={{ display: 'block' }}>
          {entry.reason} · group {entry.group}
        </span>
      </span>
      <Button
        size="small"
        kind="quiet"
        icon="up"
        aria-label="Move up"
        disabled={busy || place === 1}
        onClick={() => void move.run(place - 1)}
      />
      <Button
        size="small"
        kind="quiet"
        icon="down"
        aria-label="Move down"
        disabled={busy || last}
        onClick={() => void move.run(place + 1)}
      />
    </li>
  );
}
