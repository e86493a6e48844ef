import { useEffect, useRef } from 'react';
import { isDesktop } from '../platform/environment';
import { OtherPages, onNoteOpened, permission, showNote, withdrawNote } from '../platform/notifications';
import type { Choice } from '../platform/notifications';
import { useFirstLoad, world } from '../store/client';
import { comesThrough, quietUntil, useProfile, useQuietTimes } from '../store/quiet';
import { useWaiting } from '../store/read';
import { navigate } from '../store/route';

const SUMMARY = 'signalbox-quiet';

/** The answers that need no more than a click. */
function choicesOf(id: string): Choice[] {
  const approval = world.approvals.get(id)?.value;
  if (approval) {
    const choice = (label: string, decision: string): Choice => ({
      label,
      method: 'approval.answer',
      params: { approval: id, decision },
    });
    const easy = (approval.form ?? []).every((field) => !field.required);
    return [...(easy ? [choice('Approve', 'approve')] : []), choice('Reject', 'reject')];
  }
  const permissionAsked = world.permissions.get(id)?.value;
  return (permissionAsked?.options ?? []).map((option) => ({
    label: option.name,
    method: 'permission.answer',
    params: { permission: id, option: option.id },
  }));
}

/**
 * A notification for each new question while nobody looks, in a browser; the desktop shell has its own. It goes when the
 * question is answered. What comes in quiet hours is told afterwards, as one.
 */
export function useNotifications(): void {
  const open = useWaiting();
  const loading = useFirstLoad();
  const profile = useProfile();
  const times = useQuietTimes();
  const known = useRef<ReadonlySet<string>>(undefined);
  const held = useRef(new Set<string>());
  const pages = useRef<OtherPages>(undefined);
  useEffect(() => {
    if (isDesktop) return;
    const mine = new OtherPages();
    pages.current = mine;
    const stop = onNoteOpened((path) => navigate(path));
    return () => {
      stop();
      mine.close();
    };
  }, []);
  useEffect(() => {
    if (loading || isDesktop) return;
    const before = known.current;
    const now = new Set(open.map((asked) => asked.id));
    known.current = now;
    if (!before || permission() !== 'granted') return;
    for (const id of before)
      if (!now.has(id)) {
        held.current.delete(id);
        void withdrawNote(id);
      }
    for (const asked of open) {
      if (before.has(asked.id)) continue;
      if (quietUntil(times, Date.now()) !== undefined && !comesThrough(profile, 'questions')) {
        held.current.add(asked.id);
        continue;
      }
      if (document.visibilityState === 'visible' && document.hasFocus()) continue;
      void pages.current?.looked().then((looked) => {
        // Answered in that moment, perhaps.
        if (looked || !known.current?.has(asked.id)) return;
        const note = {
          tag: asked.id,
          title: asked.question,
          text: `${asked.about} in ${asked.project} waits for you`,
          path: `/inbox?approval=${asked.id}`,
          choices: choicesOf(asked.id),
        };
        return showNote(note, navigate);
      });
    }
  }, [open, loading, profile, times]);
  useEffect(() => {
    if (isDesktop) return;
    const timer = setInterval(() => {
      const count = held.current.size;
      if (count === 0 || quietUntil(times, Date.now()) !== undefined) return;
      held.current.clear();
      const title = count === 1 ? '1 question waits for you' : `${String(count)} questions wait for you`;
      void showNote({ tag: SUMMARY, title, text: 'Asked while you wanted it quiet', path: '/inbox' }, navigate);
    }, 5_000);
    return () => clearInterval(timer);
  }, [times]);
}
