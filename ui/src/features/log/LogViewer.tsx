import { useEffect, useLayoutEffect, useRef, useState } from 'react';
import { remember, usePreference } from '../../store/preferences';
import { bookOf, useLogVersion } from '../../store/read';
import { count } from '../../shared/format';
import { Button } from '../../shared/parts';
import { Problem } from '../../shared/Problem';
import { tellAside } from './aside';
import { isScaled, lastTop, scrollFor, spacer, topAt } from './geometry';
import { LogBar } from './LogBar';
import { LogRow } from './LogRow';
import { isSelecting, selectedText } from './selection';
import { pullAround, pullTail } from './source';
import { useSearch } from './useSearch';
import './log.css';

const ROW = 20;
/** Lines made above and below what is seen: the browser scrolls before it tells of it. */
const OVER = 24;

interface Props {
  run: string;
  step: string;
  attempt: number;
  /** The attempt still works: more will come. */
  working: boolean;
  /** A line to go to, from 0. */
  line: number | undefined;
  hrefOf: (line: number) => string;
  onLine: (line: number) => void;
}

/** Mounted anew for each attempt (`key`), so that nothing of another log lingers. */
export function LogViewer({ run, step, attempt, working, line, hrefOf, onLine }: Props) {
  // The book changes in place (a copy per piece of a million lines would not do), so nothing here may be cached.
  'use no memo';
  const ref = { run, step, attempt };
  useLogVersion(run, step, attempt);
  const book = bookOf(run, step, attempt);
  const scroller = useRef<HTMLDivElement>(null);
  const rows = useRef<HTMLDivElement>(null);
  const wrap = usePreference('log.wrap', 'off') === 'on';
  const [view, setView] = useState(400);
  const [top, setTop] = useState(0);
  const [follow, setFollow] = useState(line === undefined);
  const [seen, setSeen] = useState(0);
  const [goal, setGoal] = useState(line);
  const [error, setError] = useState<unknown>();

  const { total, behind, loaded, bytes } = book;
  const geometry = { total, row: ROW, view };
  const at = follow ? lastTop(geometry) : Math.min(top, lastTop(geometry));
  const atEnd = at >= lastTop(geometry) - 0.05;
  const first = Math.floor(at);
  const visible = Math.ceil(view / ROW) + 1;
  // Where a pixel of the bar is many lines, those beside the seen ones are of no use.
  const over = isScaled(geometry) ? 4 : OVER;
  const from = wrap ? (atEnd ? Math.max(0, total - visible) : first) : Math.max(0, first - over);
  const to = Math.min(total, wrap ? from + visible : first + visible + over);

  const goTo = (next: number, sticky = false) => {
    const element = scroller.current;
    const limit = lastTop(geometry);
    const target = Math.min(Math.max(0, next), limit);
    setFollow(sticky && target >= limit - 0.05);
    setSeen(total);
    setTop(target);
    if (element) element.scrollTop = scrollFor(target, geometry);
  };
  const reveal = (n: number) => {
    setGoal(n);
    goTo(n - view / ROW / 3);
  };
  const finder = useSearch(ref, reveal);

  useEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setView(element.clientHeight));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

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
    if (!loaded) return;
    const timer = setTimeout(() => {
      pullAround({ run, step, attempt }, bookOf(run, step, attempt), from - 100, to + 100)?.then(
        () => setError(undefined),
        setError,
      );
    }, 50);
    return () => clearTimeout(timer);
  }, [run, step, attempt, loaded, from, to, total]);

  // The line of a link can only be gone to once it is known how long the log is.
  const [linked, setLinked] = useState(line === undefined);
  if (!linked && loaded && line !== undefined && view > 0) {
    setLinked(true);
    setSeen(total);
    setTop(Math.max(0, Math.min(line - view / ROW / 3, lastTop(geometry))));
  }

  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const want = follow ? element.scrollHeight - element.clientHeight : scrollFor(at, geometry);
    if (Math.abs(element.scrollTop - want) > 1) element.scrollTop = want;
    const block = rows.current;
    if (!block || !wrap) return;
    const head = block.firstElementChild;
    block.style.transform =
      atEnd || !(head instanceof HTMLElement) ? '' : `translateY(${String(-(at - first) * head.offsetHeight)}px)`;
  });

  useEffect(() => {
    const element = scroller.current;
    if (!element) return;
    // In a scaled log one pixel of the scroll bar is many lines: the wheel moves lines, not the bar.
    const onWheel = (event: WheelEvent) => {
      if (event.ctrlKey || !isScaled({ total, row: ROW, view }) || Math.abs(event.deltaX) > Math.abs(event.deltaY))
        return;
      event.preventDefault();
      const step = event.deltaMode === 1 ? event.deltaY : event.deltaY / ROW;
      goTo(at + step, true);
    };
    element.addEventListener('wheel', onWheel, { passive: false });
    return () => element.removeEventListener('wheel', onWheel);
  });

  const onScroll = () => {
    const element = scroller.current;
    if (!element) return;
    tellAside(element);
    // Our own doing: in a scaled log the bar is too coarse to give the line back.
    if (Math.abs(element.scrollTop - scrollFor(at, geometry)) <= 1) return;
    const next = topAt(element.scrollTop, geometry);
    const end = element.scrollTop >= element.scrollHeight - element.clientHeight - 2;
    if (follow && !end) setSeen(total);
    setFollow(end && !isSelecting(element));
    setTop(next);
  };

  const onKeyDown = (event: React.KeyboardEvent) => {
    const page = view / ROW - 2;
    const moves: Record<string, number> = {
      ArrowUp: at - 1,
      ArrowDown: at + 1,
      PageUp: at - page,
      PageDown: at + page,
      Home: 0,
      End: total,
    };
    if (
      event.target !== event.currentTarget ||
      event.ctrlKey ||
      event.metaKey ||
      event.altKey ||
      !Object.hasOwn(moves, event.key)
    )
      return;
    event.preventDefault();
    goTo(moves[event.key] ?? 0, true);
  };

  const fresh = follow ? 0 : Math.max(0, total - Math.max(seen, to));
  const lines: number[] = [];
  for (let n = from; n < to; n += 1) lines.push(n);
  const width = `${String(Math.max(3, String(total).length) + 1)}ch`;

  return (
    <div
      className="log"
      data-wrap={wrap || undefined}
      style={{ '--log-n': width } as React.CSSProperties}
      data-testid="log"
    >
      <LogBar
        logRef={ref}
        finder={finder}
        firstSeen={() => first}
        wrap={wrap}
        onWrap={() => remember('log.wrap', wrap ? 'off' : 'on')}
        total={total}
        size={bytes}
        live={working}
      />
      {error !== undefined && <Problem error={error} />}
      <div
        ref={scroller}
        className="log-scroll"
        tabIndex={0}
        role="region"
        aria-label={`Log of ${step}, attempt ${String(attempt)}`}
        onScroll={onScroll}
        onKeyDown={onKeyDown}
        onMouseDown={() => {
          // A selection begins: hold still while text comes in below.
          if (follow && working) {
            setTop(at);
            setSeen(total);
            setFollow(false);
          }
        }}
        onMouseUp={() => {
          const element = scroller.current;
          if (element && atEnd && !isSelecting(element)) setFollow(true);
        }}
        onCopy={(event) => {
          const text = scroller.current && selectedText(scroller.current, book);
          if (text === undefined || text === null) return;
          event.clipboardData.setData('text/plain', text);
          event.preventDefault();
        }}
      >
        <div className="log-space" style={{ height: spacer(geometry) }}>
          <div
            className="log-window"
            style={
              wrap
                ? { height: view }
                : { transform: `translateY(${String(scrollFor(at, geometry) - (at - from) * ROW)}px)` }
            }
          >
            <div ref={rows} className="log-rows" data-end={(wrap && atEnd && total >= visible) || undefined}>
              {lines.map((n) => (
                <LogRow
                  key={n}
                  n={n}
                  line={book.get(n)}
                  mark={finder.search.matches ? finder.search.asked : ''}
                  caseSensitive={finder.search.caseSensitive}
                  current={goal === n}
                  href={hrefOf(n)}
                  onLink={(linkedLine) => {
                    setGoal(linkedLine);
                    onLine(linkedLine);
                  }}
                />
              ))}
            </div>
          </div>
        </div>
        {loaded && total === 0 && (
          <p className="log-none muted">
            {working ? 'Nothing printed yet. It will appear here as it comes.' : 'This attempt printed nothing.'}
          </p>
        )}
      </div>
      {!follow && (fresh > 0 || (working && !atEnd)) && (
        <div className="log-new">
          <Button size="small" kind="primary" icon="down" data-testid="log-follow" onClick={() => goTo(total, true)}>
            {fresh > 0 ? `${count(fresh, 'new line')}` : 'Follow'}
          </Button>
        </div>
      )}
    </div>
  );
}
