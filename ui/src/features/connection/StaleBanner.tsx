import { retryNow, useLink } from '../../store/client';
import { useNow } from '../../store/time';
import { clockTime, duration } from '../../shared/format';
import { Button } from '../../shared/parts';

const WHY: Record<number, string> = {
  1000: 'The host ended this connection.',
  4501: 'The host and this page do not understand each other.',
  4503: 'You were removed from this host, or an owner closed this connection.',
  4504: 'Too many connections are open on this host.',
  4506: 'This page is of another version than the host. Reload it.',
  4507: 'Your role or projects do not allow this connection.',
};

/** On a break the view stays; this says how old it is and when it goes on. */
export function StaleBanner() {
  const link = useLink();
  const now = useNow(link.complete && link.phase !== 'live');
  if (!link.complete || link.phase === 'live') return null;
  if (link.phase === 'refused') {
    return (
      <div className="stale" role="alert" data-testid="stale-banner">
        <span>Showing last known data. {WHY[link.closed?.code ?? 0] ?? 'The host closed this connection.'}</span>
        <Button size="small" onClick={retryNow}>
          Connect again
        </Button>
      </div>
    );
  }
  const left = Math.ceil(((link.retryAt ?? now) - now) / 1000);
  const waiting = link.phase === 'waiting';
  return (
    <div className="stale" role="status" data-testid="stale-banner">
      <span>
        Showing last known data
        {link.freshAt !== undefined && <UpToDate at={link.freshAt} now={now} />}
        {waiting ? (
          // Said every second it would drown out everything else that a screen reader has to tell.
          <span className="num" aria-live="off">
            , reconnecting {left > 0 ? `in ${String(left)} s` : 'now'}
          </span>
        ) : link.phase === 'joining' ? (
          ', catching up'
        ) : (
          ', connecting'
        )}
        <span className="soft num" data-testid="stale-attempt">
          {' '}
          (attempt {waiting ? link.attempts + 1 : Math.max(1, link.attempts)})
        </span>
      </span>
      <Button size="small" disabled={!waiting} data-testid="retry-now" onClick={retryNow}>
        Retry now
      </Button>
    </div>
  );
}

/** When what is shown was last up to date. */
function UpToDate({ at, now }: { at: number; now: number }) {
  return (
    <span className="num" aria-live="off" data-testid="stale-since">
      {' '}
      of {clockTime(at)}, {duration(Math.max(0, now - at))} ago
    </span>
  );
}
