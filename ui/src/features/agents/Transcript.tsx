import { useVirtualizer } from '@tanstack/react-virtual';
import { useLayoutEffect, useRef, useState } from 'react';
import type { Entry } from '../../stream/transcript';
import { useHistory } from '../../store/history';
import { transcriptOf, useTranscriptVersion } from '../../store/read';
import { count } from '../../shared/format';
import { Button, Loading } from '../../shared/parts';
import { Problem } from '../../shared/Problem';
import { EntryRow } from './Entries';
import { Plan, SessionHead } from './Session';
import './agents.css';

interface Props {
  run: string;
  step: string;
  attempt: number;
  /** The attempt still works: more will come. */
  working: boolean;
}

/** Mounted anew for each attempt (`key`). Only what is seen is in the page, however long the story. */
export function Transcript({ run, step, attempt, working }: Props) {
  // The transcript changes in place, so nothing here may be cached.
  'use no memo';
  useTranscriptVersion(run, step, attempt);
  const history = useHistory(run, step);
  const transcript = transcriptOf(run, step, attempt);
  const { entries, dropped } = transcript;
  const scroller = useRef<HTMLDivElement>(null);
  const [chosen, setChosen] = useState<ReadonlyMap<string, boolean>>(new Map());
  // eslint-disable-next-line react-hooks/incompatible-library
  const rows = useVirtualizer({
    count: entries.length,
    getScrollElement: () => scroller.current,
    estimateSize: (index) => guess(entries[index]),
    getItemKey: (index) => entries[index]?.key ?? index,
    overscan: 6,
    gap: 8,
    paddingStart: 10,
    paddingEnd: 14,
    // New text keeps the end in sight for who is there, and moves nothing for who reads above.
    anchorTo: 'end',
    followOnAppend: true,
    scrollEndThreshold: 40,
  });
  // One begins at the end, where an agent is at work.
  const begun = entries.length > 0;
  useLayoutEffect(() => {
    if (begun) rows.scrollToEnd();
  }, [begun, rows]);
  const loading = history.state === undefined || history.state === 'loading';
  const away = entries.length > 0 && !rows.isAtEnd();
  return (
    <div className="agent-story">
      <SessionHead session={transcript.session} usage={transcript.usage} working={working} />
      {transcript.plan && <Plan plan={transcript.plan} />}
      {typeof history.state === 'object' && (
        <div className="agent-problem">
          <Problem error={history.state.failed} kind="warning" />
          <Button size="small" onClick={history.again}>
            Load what came before
          </Button>
        </div>
      )}
      <div
        ref={scroller}
        className="agent-scroll"
        tabIndex={0}
        role="log"
        aria-live="off"
        aria-busy={loading}
        aria-label={`Transcript of ${step}, attempt ${String(attempt)}`}
        data-testid="transcript"
      >
        {dropped > 0 && (
          <p className="muted agent-none">
            {count(dropped, 'older entry', 'older entries')} left out here to save memory; the log has them.
          </p>
        )}
        {entries.length === 0 &&
          (loading ? (
            <div className="agent-none">
              <Loading label="Loading the transcript" />
            </div>
          ) : (
            <p className="muted agent-none">
              {working ? 'Nothing said yet. It will appear here as it comes.' : 'This attempt’s agent said nothing.'}
            </p>
          ))}
        <div style={{ height: rows.getTotalSize(), position: 'relative' }}>
          {rows.getVirtualItems().map((item) => {
            const entry = entries[item.index];
            if (!entry) return null;
            const open = chosen.get(entry.key) ?? opensItself(entry);
            return (
              <div
                key={item.key}
                ref={rows.measureElement}
                data-index={item.index}
                className="agent-row"
                style={{ transform: `translateY(${String(item.start)}px)` }}
              >
                <EntryRow entry={entry} open={open} onToggle={() => setChosen(new Map(chosen).set(entry.key, !open))} />
              </div>
            );
          })}
        </div>
      </div>
      {away && (
        <div className="log-new agent-new">
          <Button size="small" kind="primary" icon="down" onClick={() => rows.scrollToEnd()}>
            {working ? 'Follow' : 'To the end'}
          </Button>
        </div>
      )}
    </div>
  );
}

/** A failed tool is what one looks for. */
function opensItself(entry: Entry): boolean {
  return entry.kind === 'tool' && entry.value.status === 'failed';
}

/** Near enough that measuring moves little. */
function guess(entry: Entry | undefined): number {
  if (entry?.kind !== 'message') return entry?.kind === 'error' ? 90 : 34;
  const length = entry.parts.reduce((sum, part) => sum + part.text.length, 0);
  return 34 + Math.ceil(length / 90) * 20;
}
