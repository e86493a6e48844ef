import { useEffect } from 'react';
import { useFirstLoad } from '../store/client';
import { useTally } from '../store/read';

/** The window's title says what runs, failed and waits, for when the window is not in front. */
export function useTitle(): void {
  const tally = useTally();
  const parts = [
    tally.waiting > 0 && `${String(tally.waiting)} waiting`,
    tally.failed > 0 && `${String(tally.failed)} failed`,
    tally.running > 0 && `${String(tally.running)} running`,
  ].filter((part) => typeof part === 'string');
  const title = parts.length > 0 ? `${parts.join(', ')} · Signalbox` : 'Signalbox';
  useEffect(() => {
    document.title = title;
  }, [title]);
}

/** Marks the page once the first view is complete and painted: tests, and the shell's splash, wait for it. */
export function useReadyMark(): void {
  const loading = useFirstLoad();
  useEffect(() => {
    if (loading) return;
    requestAnimationFrame(() =>
      requestAnimationFrame(() => {
        performance.mark('ready');
        document.documentElement.dataset['ready'] = 'true';
      }),
    );
  }, [loading]);
}
