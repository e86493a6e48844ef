import type { Notice, NoticeKind } from '../../platform/protocol';
import { useStale } from '../../store/client';
import { to } from '../../store/route';
import { readNotices, useNotices } from '../../store/team';
import { Ago, Button, Link } from '../../shared/parts';
import { useAction } from '../../shared/useAction';
import './team.css';

const SAYS: Partial<Record<NoticeKind, (notice: Notice) => string>> = {
  mention: (notice) => `${notice.actor} named you`,
  reply: (notice) => `${notice.actor} answered you`,
  webhook: () => 'A webhook was switched off',
};

/** Messages to this person that were not read; questions have cards of their own. */
export function Notices() {
  const stale = useStale();
  const notices = useNotices().filter((notice) => SAYS[notice.kind] !== undefined);
  const read = useAction(readNotices, { toast: true });
  if (notices.length === 0) return null;
  return (
    <section className="panel column" aria-label="For you" data-testid="notices">
      <header>
        <h2 className="grow">For you</h2>
        <Button
          size="small"
          kind="quiet"
          disabled={stale || read.pending}
          onClick={() => void read.run(notices.map((notice) => notice.id))}
        >
          All read
        </Button>
      </header>
      <ul>
        {notices.map((notice) => (
          <li key={notice.id} className="notice-row">
            <div className="grow">
              <p>
                <Link
                  className="text"
                  to={
                    notice.run === undefined
                      ? to.chat(notice.project, notice.message)
                      : to.run(notice.project, notice.run)
                  }
                  onClick={() => void read.run([notice.id])}
                >
                  {SAYS[notice.kind]?.(notice)}
                </Link>{' '}
                <span className="muted">
                  in {notice.project}, <Ago at={notice.at} />
                </span>
              </p>
              <p className="soft">{notice.text}</p>
            </div>
            <Button size="small" disabled={stale || read.pending} onClick={() => void read.run([notice.id])}>
              Read
            </Button>
          </li>
        ))}
      </ul>
    </section>
  );
}
