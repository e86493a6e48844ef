import { useCallback, useSyncExternalStore } from 'react';

export function useMedia(query: string): boolean {
  const subscribe = useCallback(
    (listener: () => void) => {
      const media = matchMedia(query);
      media.addEventListener('change', listener);
      return () => media.removeEventListener('change', listener);
    },
    [query],
  );
  return useSyncExternalStore(subscribe, () => matchMedia(query).matches);
}

export const NARROW = '(max-width: 960px)';
/** Room for a diagram and a log side by side. */
export const WIDE = '(min-width: 1600px)';
/** A finger, or a screen so small that it is one: the same as in the style sheets. */
export const TOUCH = '(max-width: 720px), (pointer: coarse)';
