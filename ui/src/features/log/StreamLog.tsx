import { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useLayoutEffect, useRef, useState } from 'react';
import { bookOf, useLogVersion } from '../../store/read';
import { plain } from '../../stream/ansi';
import { count } from '../../shared/format';
import { Button } from '../../shared/parts';
import { Problem } from '../../shared/Problem';
import { tellAside } from './aside';
import { LogRow } from './LogRow';
import { pullAround, pullTail } from './source';
import './log.css';

/** Lines of the log that are looked through at first, and more each time one asks. */
const WINDOW = 2_000;

interface Props {
  run: string;
  step: string;
  attempt: number;
  working: boolean;
  /** Which lines: those of the protocol, or all others. */
  only: 'protocol' | 'output';
  hrefOf: (line: number) => string;
  onLine: (line: number) => void;
  /** Beside the count. */
  tools?: React.ReactNode;
}

/** The lines of some streams out of an attempt's log, newest at the end. */
export function StreamLog({ run, step, attempt, working, only, hrefOf, onLine, tools }: Props) {
  // The book changes in place, so nothing here may be cached.
  'use no memo';
  useLogVersion(run, step, attempt);
  const book = bookOf(run, step, attempt);
  const scroller = useRef<HTMLDivElement>(null);
  const [reach, setReach] = useState(WINDOW);
  const [open, setOpen] = useState<ReadonlySet<number>>(new Set());
  const [error, setError] = useState<unknown>();
  const { total, loaded, behind } = book;
  const from = Math.max(0, total - reach);
  const lines: number[] = [];
  for (let n = from; n < total; n += 1) {
    const line = book.get(n);
    if (line && (line.stream === 'protocol') === (only === 'protocol')) lines.push(n);
  }
  const hole = book.missing(from, total);
  useEffect(() => {
    if (loaded && !behind) return;
    const timer = setTimeout(
      () => {
        pullTail({ run, step, attempt }).then(() => setError(undefined), setError);
      },
      loaded ? 250 : 0,
    );
    return () => clearTimeout(timer);
  }, [run, step, attempt, loaded, behind]);
  useEffect(() => {
    if (!loaded || hole === undefined) return;
    pullAround({ run, step, attempt }, bookOf(run, step, attempt), hole.from, hole.to)?.then(
      () => setError(undefined),
      setError,
    );
  }, [run, step, attempt, loaded, hole?.from, hole?.to, hole]);
  // eslint-disable-next-line react-hooks/incompatible-library
  const rows = useVirtualizer({
    count: lines.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => 20,
    getItemKey: (index) => lines[index] ?? index,
    overscan: 12,
    anchorTo: 'end',
    followOnAppend: true,
    scrollEndThreshold: 30,
  });
  const begun = lines.length > 0;
  useLayoutEffect(() => {
    if (begun) rows.scrollToEnd();
  }, [begun, rows]);
  const frames = only === 'protocol';
  const toggle = (n: number) => {
    const next = new Set(open);
    if (!next.delete(n)) next.add(n);
    setOpen(next);
  };
  return (
    <div
      className="log log-stream"
      data-testid={frames ? 'raw-frames' : 'output'}
      style={{ '--log-n': `${String(Math.max(3, String(total).length) + 1)}ch` } as React.CSSProperties}
    >
      <div className="log-bar">
        <span className="grow muted num">
          {count(lines.length, frames ? 'frame' : 'line')}
          {from > 0 && ` in the last ${count(reach, 'line')} of the log`}
        </span>
        {from > 0 && (
          <Button size="small" kind="quiet" icon="up" onClick={() => setReach(reach + WINDOW * 5)}>
            Look further back
          </Button>
        )}
        {tools}
      </div>
      {error !== undefined && <Problem error={error} />}
      <div
        ref={scroller}
        className="log-scroll"
        onScroll={(event) => tellAside(event.currentTarget)}
        tabIndex={0}
        role="region"
        aria-label={`${frames ? 'Raw frames' : 'Output'} of ${step}, attempt ${String(attempt)}`}
      >
        {loaded && lines.length === 0 && (
          <p className="log-none muted">
            {frames
              ? working
                ? 'No frame was exchanged yet.'
                : 'No frames were kept of this attempt.'
              : working
                ? 'Nothing printed yet. It will appear here as it comes.'
                : 'This attempt printed nothing.'}
          </p>
        )}
        <div style={{ height: rows.getTotalSize(), position: 'relative' }}>
          {rows.getVirtualItems().map((item) => {
            const n = lines[item.index] ?? 0;
            const line = book.get(n);
            return (
              <div
                key={item.key}
                ref={rows.measureElement}
                data-index={item.index}
                className="log-streamed"
                style={{ transform: `translateY(${String(item.start)}px)` }}
              >
                {frames ? (
                  <Frame n={n} text={line?.text} open={open.has(n)} onToggle={() => toggle(n)} />
                ) : (
                  <LogRow
                    n={n}
                    line={line}
                    mark=""
                    caseSensitive={false}
                    current={false}
                    href={hrefOf(n)}
                    onLink={onLine}
                  />
                )}
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}

function Frame({
  n,
  text,
  open,
  onToggle,
}: {
  n: number;
  text: string | undefined;
  open: boolean;
  onToggle: () => void;
}) {
  return (
    <>
      <button type="button" className="log-row log-frame-head" aria-expanded={open} onClick={onToggle}>
        <span className="log-n">{n + 1}</span>
        <span className="log-text">{text}</span>
      </button>
      {open && text !== undefined && (
        <pre className="log-frame" tabIndex={0}>
          {indented(plain(text))}
        </pre>
      )}
    </>
  );
}

function indented(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
