import { useEffect, useState } from 'react';
import type { ReactNode } from 'react';

/**
 * Comes a frame after what is around it: a page whose parts are large is seen sooner, and holds nothing up for long, when they do
 * not all come at once.
 */
export function Later({ children }: { children: ReactNode }) {
  const [isDue, setDue] = useState(false);
  useEffect(() => {
    // The first of the two comes before anything is painted.
    let frame = requestAnimationFrame(() => {
      frame = requestAnimationFrame(() => setDue(true));
    });
    return () => cancelAnimationFrame(frame);
  }, []);
  return isDue ? children : null;
}
