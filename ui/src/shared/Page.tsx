import type { ReactNode } from 'react';
import { useStale } from '../store/client';
import { useKeys } from '../store/keys';

/** Moves the focus itself, not a mark beside it: Enter then opens the row, and a screen reader says it. */
function toRow(by: number): void {
  const rows = [...document.querySelectorAll<HTMLElement>('#main [data-row]')];
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  const next = rows[at < 0 ? 0 : Math.max(0, Math.min(rows.length - 1, at + by))];
  next?.focus();
  next?.scrollIntoView({ block: 'nearest' });
}

/** A screen that scrolls as a whole. Greyed, never emptied, while what it shows may be old. */
export function Page({
  title,
  actions,
  children,
  testid,
}: {
  title: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
  testid: string;
}) {
  const stale = useStale();
  // A screen with keys of its own for this is the newer layer, and wins.
  useKeys([
    { keys: 'j', label: 'Next', group: 'Lists', run: () => toRow(1) },
    { keys: 'k', label: 'Previous', group: 'Lists', run: () => toRow(-1) },
  ]);
  return (
    <div className="page" data-testid={testid}>
      <header className="page-head">
        <h1 className="grow cut">{title}</h1>
        {actions}
      </header>
      <div className={stale ? 'page-body stale-view' : 'page-body'}>{children}</div>
    </div>
  );
}
