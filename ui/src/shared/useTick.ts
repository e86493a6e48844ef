import { useEffect, useState } from 'react';
import { useLink } from '../store/client';

/**
 * Changes when what the stream does not carry (files on disk, figures of connections) should be
 * asked for again: on focus, on a new connection, and every `everyMs` while the page is seen.
 */
export function useTick(everyMs: number): string {
  const { connection } = useLink();
  const [tick, setTick] = useState(0);
  useEffect(() => {
    const next = () => {
      if (document.visibilityState === 'visible') setTick((n) => n + 1);
    };
    const timer = setInterval(next, everyMs);
    window.addEventListener('focus', next);
    return () => {
      clearInterval(timer);
      window.removeEventListener('focus', next);
    };
  }, [everyMs]);
  return `${String(connection ?? 0)}.${String(tick)}`;
}
