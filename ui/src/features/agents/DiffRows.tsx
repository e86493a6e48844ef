import { useState } from 'react';
import { usePreference } from '../../store/preferences';
import { count } from '../../shared/format';
import { Button } from '../../shared/parts';
import { sideBySide } from './patch';
import type { Hunk, Row } from './patch';

/** Rows that are painted at once; a generated file has a hundred thousand. */
const ROWS = 600;

export function useSplitDiff(): boolean {
  return usePreference('diff.view', 'unified') === 'split';
}

/** The changed lines of one file. */
export function DiffRows({ hunks, label }: { hunks: readonly Hunk[]; label: string }) {
  const split = useSplitDiff();
  const [limit, setLimit] = useState(ROWS);
  const total = hunks.reduce((sum, hunk) => sum + hunk.rows.length, 0);
  return (
    <div className="diff-scroll" tabIndex={0} role="region" aria-label={label}>
      <table className="diff-table" data-split={split || undefined}>
        {split && (
          <colgroup>
            <col className="diff-n" />
            <col />
            <col className="diff-n" />
            <col />
          </colgroup>
        )}
        <tbody>
          {firstRows(hunks, limit).map(({ hunk, rows }, index) =>
            split ? (
              <SplitHunk key={index} hunk={hunk} rows={rows} />
            ) : (
              <UnifiedHunk key={index} hunk={hunk} rows={rows} />
            ),
          )}
        </tbody>
      </table>
      {total > limit && (
        <p className="diff-more">
          <Button size="small" onClick={() => setLimit(limit + 4 * ROWS)}>
            Show more ({count(total - limit, 'line')} left)
          </Button>
        </p>
      )}
    </div>
  );
}

function firstRows(hunks: readonly Hunk[], limit: number) {
  const shown: { hunk: Hunk; rows: readonly Row[] }[] = [];
  let left = limit;
  for (const hunk of hunks) {
    if (left <= 0) break;
    shown.push({ hunk, rows: hunk.rows.slice(0, left) });
    left -= hunk.rows.length;
  }
  return shown;
}

function Title({ hunk, columns }: { hunk: Hunk; columns: number }) {
  return (
    <tr className="diff-hunk">
      <td colSpan={columns}>
        Line {hunk.new || hunk.old}
        {hunk.title && <span className="mono"> {hunk.title}</span>}
      </td>
    </tr>
  );
}

/** Said aloud; the eye has sign and colour. */
const ALOUD: Record<Row['kind'], string> = { same: '', add: 'added: ', remove: 'removed: ' };
const SIGN: Record<Row['kind'], string> = { same: ' ', add: '+', remove: '−' };

function Text({ row }: { row: Row | undefined }) {
  if (!row) return <td className="diff-text" data-kind="none" />;
  // A line end of Windows is a change that one cannot see.
  const windows = row.text.endsWith('\r');
  return (
    <td className="diff-text" data-kind={row.kind}>
      {row.kind !== 'same' && <span className="sr">{ALOUD[row.kind]}</span>}
      <span aria-hidden="true" className="diff-sign">
        {SIGN[row.kind]}
      </span>
      {windows ? row.text.slice(0, -1) : row.text}
      {windows && <span className="muted"> CR</span>}
      {row.open && <span className="muted"> no line end</span>}
    </td>
  );
}

function UnifiedHunk({ hunk, rows }: { hunk: Hunk; rows: readonly Row[] }) {
  return (
    <>
      <Title hunk={hunk} columns={3} />
      {rows.map((row, index) => (
        <tr key={index}>
          <td className="diff-n">{row.old}</td>
          <td className="diff-n">{row.new}</td>
          <Text row={row} />
        </tr>
      ))}
    </>
  );
}

function SplitHunk({ hunk, rows }: { hunk: Hunk; rows: readonly Row[] }) {
  return (
    <>
      <Title hunk={hunk} columns={4} />
      {sideBySide(rows).map(([before, after], index) => (
        <tr key={index}>
          <td className="diff-n">{before?.old}</td>
          <Text row={before} />
          <td className="diff-n">{after?.new}</td>
          <Text row={after} />
        </tr>
      ))}
    </>
  );
}
