import { Popover } from '@base-ui/react/popover';
import { retryNow, useLink } from '../../store/client';
import { useNow } from '../../store/time';
import type { LinkState } from '../../stream/link';
import { duration } from '../../shared/format';
import { Button } from '../../shared/parts';
import './connection.css';

type Signal = { tone: 'good' | 'wait' | 'bad'; word: string; bars: number };

const SLOW_MS = 400;
const POOR_MS = 1_500;

function signalOf(link: LinkState): Signal {
  if (link.phase === 'refused') return { tone: 'bad', word: 'Disconnected', bars: 0 };
  if (link.phase === 'waiting') return { tone: 'bad', word: 'Reconnecting', bars: 0 };
  if (link.phase !== 'live') return { tone: 'wait', word: link.complete ? 'Catching up' : 'Connecting', bars: 1 };
  if (link.lagging !== undefined) return { tone: 'wait', word: 'Catching up', bars: 2 };
  if (link.doubtful) return { tone: 'wait', word: 'No answer', bars: 1 };
  const trip = link.roundTripMs ?? 0;
  if (trip > POOR_MS) return { tone: 'wait', word: 'Very slow', bars: 1 };
  if (trip > SLOW_MS) return { tone: 'wait', word: 'Slow', bars: 2 };
  return { tone: 'good', word: 'Live', bars: 3 };
}

/** Quality, last update and attempt at a glance; the figures on a click. */
export function Light() {
  const link = useLink();
  const now = useNow();
  const signal = signalOf(link);
  const silent = link.heardAt === undefined ? undefined : Math.max(0, now - link.heardAt);
  return (
    <Popover.Root>
      <Popover.Trigger
        className="light"
        data-tone={signal.tone}
        data-testid="light"
        data-phase={link.phase}
        data-state={link.phase}
      >
        <span className="light-bars" aria-hidden="true">
          {[1, 2, 3].map((bar) => (
            <i key={bar} data-on={bar <= signal.bars || undefined} />
          ))}
        </span>
        <span>
          <span className="sr">Connection: </span>
          {signal.word}
        </span>
        {link.phase === 'live' && !link.doubtful && link.roundTripMs !== undefined && (
          <span className="muted num">{link.roundTripMs} ms</span>
        )}
        {link.phase === 'waiting' && link.retryAt !== undefined && (
          <span className="num">{Math.max(0, Math.ceil((link.retryAt - now) / 1000))}s</span>
        )}
      </Popover.Trigger>
      <Popover.Portal>
        <Popover.Positioner className="menu-layer" align="end" sideOffset={6}>
          <Popover.Popup className="menu light-more" aria-label="Connection">
            <dl className="facts">
              <dt>State</dt>
              <dd>{signal.word}</dd>
              {link.roundTripMs !== undefined && (
                <>
                  <dt>Round trip</dt>
                  <dd className="num">{link.roundTripMs} ms</dd>
                </>
              )}
              {silent !== undefined && (
                <>
                  <dt>Last heard</dt>
                  <dd className="num">{silent < 1000 ? 'now' : `${duration(silent)} ago`}</dd>
                </>
              )}
              {link.attempts > 1 && (
                <>
                  <dt>Attempt</dt>
                  <dd className="num">{link.attempts}</dd>
                </>
              )}
              {link.seq !== undefined && (
                <>
                  <dt>Seen up to</dt>
                  <dd className="num mono">
                    {link.epoch}.{link.seq}
                  </dd>
                </>
              )}
              <dt>Reconnects</dt>
              <dd className="num">{link.reconnects}</dd>
              {link.gaps > 0 && (
                <>
                  <dt>Losses mended</dt>
                  <dd className="num">{link.gaps}</dd>
                </>
              )}
              {link.closed && link.phase !== 'live' && (
                <>
                  <dt>Last close</dt>
                  <dd>
                    {link.closed.code} {link.closed.reason}
                  </dd>
                </>
              )}
            </dl>
            {(link.phase === 'waiting' || link.phase === 'refused') && (
              <Button size="small" onClick={retryNow}>
                Try now
              </Button>
            )}
          </Popover.Popup>
        </Popover.Positioner>
      </Popover.Portal>
    </Popover.Root>
  );
}
