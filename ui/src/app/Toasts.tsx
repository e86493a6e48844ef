import { useEffect } from 'react';
import { show, world } from '../store/client';
import { useNotices } from '../store/read';
import { to } from '../store/route';
import { Button, Link } from '../shared/parts';
import type { Notice } from '../stream/world';

const SHOWN = 4;
const SHORT_MS = 9_000;
const TONE: Record<Notice['kind'], string> = { error: 'bad', info: 'active', approval: 'wait', completion: 'good' };

function dismiss(id: number): void {
  world.dismiss(id);
  show();
}

export function Toasts() {
  const notices = useNotices();
  return (
    <div className="toasts" role="region" aria-label="Notices" aria-live="polite">
      {notices.slice(-SHOWN).map((notice) => (
        <Toast key={notice.id} notice={notice} />
      ))}
    </div>
  );
}

function Toast({ notice }: { notice: Notice }) {
  const { id, kind } = notice;
  useEffect(() => {
    // An error stays until it was read.
    if (kind === 'error') return;
    const timer = setTimeout(() => dismiss(id), SHORT_MS);
    return () => clearTimeout(timer);
  }, [id, kind]);
  const href =
    kind === 'approval'
      ? '/inbox'
      : notice.project !== undefined && notice.run !== undefined
        ? to.run(notice.project, notice.run)
        : undefined;
  return (
    <div
      className="toast"
      data-tone={TONE[kind]}
      data-testid={`toast-${kind}`}
      role={kind === 'error' ? 'alert' : undefined}
    >
      <div className="grow">
        <p>
          <b>{notice.title}</b>
        </p>
        {notice.text && <p className="soft">{notice.text}</p>}
        {href !== undefined && (
          <Link className="text" to={href} onClick={() => dismiss(id)}>
            {kind === 'approval' ? 'Answer' : 'Look'}
          </Link>
        )}
      </div>
      <Button
        kind="quiet"
        size="small"
        icon="close"
        aria-label="Dismiss"
        data-testid="toast-dismiss"
        onClick={() => dismiss(id)}
      />
    </div>
  );
}
