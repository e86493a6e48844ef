import { useRef, useState } from 'react';
import { plain } from '../../stream/ansi';
import { useKeys } from '../../store/keys';
import { count, percent, bytes } from '../../shared/format';
import { Button } from '../../shared/parts';
import { useAction } from '../../shared/useAction';
import { wholeLog } from './source';
import type { LogRef } from './source';
import type { useSearch } from './useSearch';

interface Props {
  logRef: LogRef;
  finder: ReturnType<typeof useSearch>;
  firstSeen: () => number;
  wrap: boolean;
  onWrap: () => void;
  total: number;
  size: number;
  live: boolean;
}

export function LogBar({ logRef, finder, firstSeen, wrap, onWrap, total, size, live }: Props) {
  const input = useRef<HTMLInputElement>(null);
  const { search } = finder;
  const [saved, setSaved] = useState<number>();
  const save = useAction(() => download(logRef, setSaved), { toast: true });
  useKeys([
    { keys: '/', label: 'Search the whole log', group: 'Log', run: () => input.current?.focus() },
    { keys: 'n', label: 'Next match', group: 'Log', run: () => finder.go(1) },
    { keys: 'shift+n', label: 'Previous match', group: 'Log', run: () => finder.go(-1) },
    { keys: 'w', label: 'Wrap long lines', group: 'Log', run: onWrap },
  ]);
  const submit = () => {
    if (search.matches && search.asked === search.query) finder.go(1);
    else void finder.run(firstSeen());
  };
  return (
    <div className="log-bar">
      <div className="log-search" role="search">
        <input
          ref={input}
          className="input"
          type="search"
          placeholder="Search whole log"
          aria-label="Search the whole log"
          data-testid="log-search"
          maxLength={200}
          value={search.query}
          onChange={(event) => finder.type(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === 'Enter') {
              event.preventDefault();
              if (event.shiftKey) finder.go(-1);
              else submit();
            } else if (event.key === 'Escape') {
              finder.clear();
              input.current?.blur();
              event.stopPropagation();
            }
          }}
        />
        <Button
          kind="quiet"
          size="small"
          icon="case"
          aria-label="Match upper and lower case"
          title="Match upper and lower case"
          aria-pressed={search.caseSensitive}
          onClick={() => void finder.run(firstSeen(), !search.caseSensitive)}
        />
        <Button
          kind="quiet"
          size="small"
          icon="up"
          aria-label="Previous match"
          title="Previous match (Shift+N)"
          disabled={!search.matches?.matches.length}
          onClick={() => finder.go(-1)}
        />
        <Button
          kind="quiet"
          size="small"
          icon="down"
          aria-label="Next match"
          title="Next match (N)"
          disabled={!search.matches?.matches.length}
          onClick={() => finder.go(1)}
        />
        <span className="muted num log-found" role="status" data-testid="log-matches">
          {search.error !== undefined
            ? 'Search failed'
            : search.pending
              ? 'Searching…'
              : search.matches
                ? found(search.matches.total, search.matches.matches.length, search.at)
                : ''}
        </span>
      </div>
      <span className="grow" />
      <span className="muted num log-size" title={`${bytes(size)}${live ? ', still growing' : ''}`}>
        {count(total, 'line')}
      </span>
      <Button
        kind="quiet"
        size="small"
        icon="wrap"
        aria-label="Wrap long lines"
        title="Wrap long lines (W)"
        aria-pressed={wrap}
        onClick={onWrap}
      />
      <Button
        kind="quiet"
        size="small"
        icon="download"
        aria-label="Download the log"
        title="Download as text"
        disabled={save.pending || total === 0}
        onClick={() => void save.run()}
      >
        {save.pending && saved !== undefined ? percent(saved) : undefined}
      </Button>
    </div>
  );
}

function found(total: number, held: number, at: number): string {
  if (total === 0) return 'No match';
  const of = total.toLocaleString();
  return held < total ? `${String(at + 1)} of ${of} (first ${held.toLocaleString()})` : `${String(at + 1)} of ${of}`;
}

async function download(ref: LogRef, progress: (part: number | undefined) => void): Promise<void> {
  const parts: string[] = [];
  try {
    for await (const page of wholeLog(ref)) {
      parts.push(page.lines.map(plain).join('\n'), '\n');
      progress(page.done / Math.max(1, page.total));
    }
  } finally {
    progress(undefined);
  }
  const url = URL.createObjectURL(new Blob(parts, { type: 'text/plain;charset=utf-8' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = `${ref.step.replace(/[^\w.-]+/g, '-')}-attempt-${String(ref.attempt)}.log`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
