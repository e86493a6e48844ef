import { retryNow, useLink } from '../../store/client';
import { useNow } from '../../store/time';
import { Button } from '../../shared/parts';

const WHY: Record<number, string> = {
  1000: 'The host ended this connection.',
  4501: 'The host and this page do not understand each other.',
  4503: 'An owner closed this connection, or this page was opened again elsewhere.',
  4504: 'Too many connections are open on this host.',
  4506: 'This page is of another version than the host. Reload it.',
  4507: 'Your role or projects do not allow this connection.',
};

/** On a break the view stays; this says how old it is and when it goes on. */
export function StaleBanner() {
  const link = useLink();
  const now = useNow(link.phase === 'waiting');
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
  return (
    <div className="stale" role="status" data-testid="stale-banner">
      <span>
        Showing last known data
        {link.phase === 'waiting' ? (
          <span className="num">, reconnecting {left > 0 ? `in ${String(left)} s` : 'now'}</span>
        ) : link.phase === 'joining' ? (
          ', catching up'
        ) : (
          ', connecting'
        )}
        {link.attempts > 2 && <span className="soft num"> (attempt {link.attempts})</span>}
      </span>
      <Button size="small" disabled={link.phase !== 'waiting'} data-testid="retry-now" onClick={retryNow}>
        Retry now
      </Button>
    </div>
  );
}
