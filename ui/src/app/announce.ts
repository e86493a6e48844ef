import { useEffect, useRef } from 'react';
import { isDesktop } from '../platform/environment';
import { useFirstLoad } from '../store/client';
import { useTally, useWaiting } from '../store/read';
import { navigate } from '../store/route';

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

/** A Web Notification for each new question while the page is not looked at. The desktop shell has its own. */
export function useNotifications(): void {
  const open = useWaiting();
  const loading = useFirstLoad();
  const known = useRef<Set<string>>(undefined);
  useEffect(() => {
    if (loading || isDesktop) return;
    const before = known.current;
    known.current = new Set(open.map((asked) => asked.id));
    if (
      !before ||
      !('Notification' in window) ||
      Notification.permission !== 'granted' ||
      document.visibilityState === 'visible'
    )
      return;
    for (const asked of open) {
      if (before.has(asked.id)) continue;
      const note = new Notification(asked.question, {
        body: `${asked.about} in ${asked.project} waits for you`,
        tag: asked.id,
        icon: '/favicon.svg',
      });
      note.onclick = () => {
        window.focus();
        navigate(`/inbox?approval=${asked.id}`);
        note.close();
      };
    }
  }, [open, loading]);
}

/** Marks the page once the first view is complete and painted: tests, and the shell's splash, wait for it. */
export function useReadyMark(): void {
  const loading = useFirstLoad();
  useEffect(() => {
    if (loading) return;
    requestAnimationFrame(() =>
      requestAnimationFrame(() => {
        document.documentElement.dataset['ready'] = 'true';
      }),
    );
  }, [loading]);
}
