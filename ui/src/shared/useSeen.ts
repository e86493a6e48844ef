import { useEffect } from 'react';
import { show, world } from '../store/client';
import { useNotices } from '../store/read';

/** A notice of a question that is on the screen says nothing new, and lies over its buttons. */
export function useSeen(question: string): void {
  const notices = useNotices();
  useEffect(() => {
    const mine = notices.filter((notice) => notice.about === question);
    for (const { id } of mine) world.dismiss(id);
    if (mine.length > 0) show();
  }, [notices, question]);
}
