import type { ReactNode } from 'react';
import { useStale } from '../store/client';

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
